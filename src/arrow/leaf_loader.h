// LeafLoader: turns rows of a foreign column into a Column for StagedRows::Extend().
//
// Used by import.cc, which has one loader for each column. There are two ways:
//   - Rows in sequence are passed on where they lie in the batch, if their type allows it
//     (leaf_loader.cc).
//   - Rows in any order, string views, list views and dictionaries are copied row by row
//     (leaf_gather.cc), and so are the cells of nested fields (leaf_cells.cc).
// Both check everything that they read, because a foreign array may contradict itself.
//
// A returned Column points into the batch or into the loader and is valid until the next load.
// Thread rules: one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/field_write.h"

#include "arrow/cell_buffer.h"
#include "arrow/column_view.h"
#include "arrow/nested_writer.h"

namespace stream_store::arrow {

/// A row of one of several batches.
struct RowRef {
  std::uint32_t batch = 0;
  std::uint64_t row = 0;
};

class LeafLoader {
 public:
  /// `leaf` must outlive the loader.
  explicit LeafLoader(const ImportLeaf& leaf) : leaf_(leaf) {
    if (leaf.nested) {
      writer_.emplace();
    }
  }

  /// Loads rows [begin, begin + count) of a batch. Messages number them from `first` on. Throws
  /// Error(kInvalidArgument) naming column and row.
  ///
  /// Of a nested field fewer rows may be loaded, so that memory stays bounded: see loaded_rows().
  Column LoadRange(const ColumnView& view, std::uint64_t begin, std::uint64_t count,
                   std::uint64_t first);

  /// Loads rows of several batches in any order; views[b] is the view of batch b. Throws as
  /// LoadRange().
  Column LoadRows(std::span<const ColumnView> views, std::span<const RowRef> rows,
                  std::uint64_t first);

  /// For the last load: a byte for each row, 0 where the row is null; a null pointer if no row is
  /// null.
  const std::uint8_t* present() const noexcept { return missing_ ? present_.data() : nullptr; }

  /// For the last load: the number of rows from the first on that were loaded, at least 1.
  std::uint64_t loaded_rows() const noexcept { return present_.size(); }

  /// For the last load: the number of bytes of the items.
  std::uint64_t loaded_bytes() const noexcept { return loaded_bytes_; }

 private:
  /// The items of one row: [begin, end) of `items`.
  struct Span {
    const std::byte* items = nullptr;  ///< address of item 0; of bools, the bitmap
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  // `row` counts within the current load.
  [[noreturn]] void Refuse(std::uint64_t row, const std::string& problem) const;
  [[noreturn]] void RefuseNullInside(std::uint64_t row) const;
  void Begin(std::uint64_t first, std::uint64_t count);
  void ClearAbsent(const Validity& validity, std::uint64_t begin, std::uint64_t count);
  Column LoadRangeUnchecked(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadRowsUnchecked(std::span<const ColumnView> views, std::span<const RowRef> rows);
  void CheckNotNull(std::uint64_t place, const StructView& around, std::uint64_t row) const;

  bool IsPresent(std::uint64_t row) const { return !missing_ || present_[row] != 0; }

  // Rows in sequence, in leaf_loader.cc.
  Column LoadFixed(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadText(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadLists(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  void ReadOffsets(const ArrayView& array, std::uint64_t begin, std::uint64_t count,
                   std::uint64_t most);
  void EnterInner(const ArrayView& list, std::uint32_t dimension, std::uint64_t child_length,
                  std::uint64_t count);
  void CheckNoNulls(const ArrayView& array, std::uint64_t count) const;
  Column MakeRagged(const ArrayView& item, std::uint64_t count);

  // Row by row, in leaf_gather.cc. `place` is the row within the current load.
  void Gather(const ColumnView& view, std::uint64_t row, std::uint64_t place);
  bool GatherFast(std::span<const ColumnView> views, std::span<const RowRef> rows);
  void GatherRagged(std::span<const ColumnView> views, std::span<const RowRef> rows);
  bool Locate(const ColumnView& view, std::uint64_t row, std::uint64_t place, Span& span) const;
  void LocateText(const ArrayView& array, std::uint64_t at, std::uint64_t place, Span& span) const;
  void LocateInList(const ColumnView& view, std::uint64_t at, std::uint64_t place,
                    Span& span) const;
  void EnterLists(const ColumnView& view, std::size_t level, std::uint64_t place,
                  Span& range) const;

  // Through cells, in leaf_cells.cc. `where(i)` returns the view and the row in it of row i.
  Column LoadCellRange(const ColumnView& view, std::uint64_t begin, std::uint64_t count);
  Column LoadCellRows(std::span<const ColumnView> views, std::span<const RowRef> rows);
  template <class Where>
  Column LoadCells(std::uint64_t count, const Where& where);
  bool WriteCell(const ColumnView& view, std::uint64_t row, std::uint64_t place);
  void GatherFromCell(const ColumnView& view, std::uint64_t row, std::uint64_t place);
  bool EnterStructs(std::size_t cell) const;
  void AddMissing(std::uint64_t place);

  // The common end of both ways, in leaf_loader.cc.
  Column MakeColumn(const std::byte* items, std::uint64_t count);
  void CheckItems(const std::byte* items, std::uint64_t count) const;
  bool IsAllowed(const std::byte* item) const;

  bool NeedsCheck() const { return leaf_.classes >= 0 || leaf_.exact_bits != 0; }

  const ImportLeaf& leaf_;
  std::uint64_t first_ = 0;  // number of the first row of this load, for messages
  std::uint64_t loaded_bytes_ = 0;
  bool missing_ = false;  // whether any byte of present_ is 0
  std::vector<std::uint8_t> present_;
  std::vector<std::int64_t> offsets_;      // of items, count + 1; empty if each row is one item
  std::vector<std::byte> bytes_;           // items that were copied or unpacked
  std::vector<const std::byte*> sources_;  // scratch of GatherRagged()
  std::optional<NestedWriter> writer_;     // if leaf_.nested
  CellBuffer cells_;
};

}  // namespace stream_store::arrow
