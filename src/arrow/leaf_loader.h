// LeafLoader: rows of a foreign column -> one Column that StagedRows::Extend() takes.
//
// Rows that lie one after the other are handed on where they lie, if their type allows it; rows in
// any order, views and dictionaries are copied together row by row. Both ways check what they read.
// A Column points into the batch or into the loader: until its next load.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "arrow/column_view.h"

namespace stream_store::arrow {

/// A row of one of several batches.
struct RowRef {
  std::uint32_t batch = 0;
  std::uint64_t row = 0;
};

class LeafLoader {
 public:
  explicit LeafLoader(const ImportLeaf& leaf) : leaf_(leaf) {}

  /// Rows [begin, begin + count) of a batch; `first` is the number of the first one in messages.
  Column LoadRange(const ColumnView& view, std::uint64_t begin, std::uint64_t count,
                   std::uint64_t first);

  /// Rows of kept batches, views by batch.
  Column LoadRows(std::span<const ColumnView> views, std::span<const RowRef> rows,
                  std::uint64_t first);

  /// Of the last load: a byte per row, 0 where it is missing; null where none is.
  const std::uint8_t* present() const noexcept { return missing_ ? present_.data() : nullptr; }

  std::uint64_t loaded_bytes() const noexcept { return loaded_bytes_; }

 private:
  /// The items of one row.
  struct Span {
    const std::byte* items = nullptr;  ///< item 0; bools: the bitmap
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  [[noreturn]] void Refuse(std::uint64_t row, const std::string& what) const;
  void Begin(std::uint64_t first, std::uint64_t count);
  void AndBits(const Validity& validity, std::uint64_t begin, std::uint64_t count);

  bool IsPresent(std::uint64_t row) const { return !missing_ || present_[row] != 0; }

  // Where they lie.
  Column LoadFixed(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadText(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadLists(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  void ReadOffsets(const ArrayView& array, std::uint64_t begin, std::uint64_t count,
                   std::uint64_t most);
  void EnterInner(const ArrayView& list, std::uint32_t dimension, std::uint64_t child_length,
                  std::uint64_t count);
  void CheckNoNulls(const ArrayView& array, std::uint64_t count) const;
  Column Ragged(const ArrayView& item, std::uint64_t count);

  // Row by row.
  void Gather(const ColumnView& view, std::uint64_t row, std::uint64_t place);
  Column FinishGathered(std::uint64_t count);
  bool GatherPlain(std::span<const ColumnView> views, std::span<const RowRef> rows);
  void GatherRagged(std::span<const ColumnView> views, std::span<const RowRef> rows);
  bool Locate(const ColumnView& view, std::uint64_t row, std::uint64_t place, Span& span) const;
  void LocateText(const ArrayView& array, std::uint64_t at, std::uint64_t place, Span& span) const;
  void LocateInList(const ColumnView& view, std::uint64_t at, std::uint64_t place,
                    Span& span) const;
  void EnterLists(const ColumnView& view, std::size_t level, std::uint64_t place,
                  Span& range) const;

  // What a type alone does not say.
  Column Made(const std::byte* items, std::uint64_t count);
  void CheckItems(const std::byte* items, std::uint64_t count) const;
  bool Belongs(const std::byte* item) const;

  bool NeedsCheck() const { return leaf_.classes >= 0 || leaf_.exact_bits != 0; }

  const ImportLeaf& leaf_;
  std::uint64_t first_ = 0;
  std::uint64_t loaded_bytes_ = 0;
  bool missing_ = false;
  std::vector<std::uint8_t> present_;
  std::vector<std::int64_t> offsets_;      // of items, count + 1
  std::vector<std::byte> bytes_;           // items that were copied
  std::vector<const std::byte*> sources_;  // of rows that are being copied
};

}  // namespace stream_store::arrow
