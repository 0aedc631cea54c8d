// LeafBuilder: builds the Arrow buffers of one field in one batch from stored words.
//
// Used by export.cc, in three phases for each batch:
//   1. Begin() allocates the buffers at their final size, which batch_size.cc has measured.
//   2. Write() is called for each run of records that has the field, in the order of rows.
//   3. Finish() returns the arrays. Rows that were not written are null.
//
// Thread rules: one thread at a time. Invariant: data_ has room for item_room_ items, and Write()
// checks this before it writes, so that a damaged store cannot cause a write outside the buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "arrow/buffers.h"
#include "arrow/export_plan.h"
#include "arrow/out_array.h"

namespace stream_store::arrow {

class LeafBuilder {
 public:
  /// `plan` and `reader` must outlive the builder.
  LeafBuilder(const Reader& reader, const LeafPlan& plan) : reader_(reader), plan_(plan) {}

  /// Starts a batch.
  ///
  /// memory     owns the buffers; must live until Finish() has returned.
  /// first_row  the row of the store that is row 0 of the batch, for messages.
  /// rows       the number of rows of the batch.
  /// units      an upper bound of the number of units (see LeafPlan) that will be written.
  void Begin(BatchMemory& memory, Row first_row, std::uint64_t rows, std::uint64_t units);

  /// Writes rows [row, row + count) of the batch. Each has `words` words; those of row i are at
  /// first + (i - row) * stride.
  ///
  /// Throws Error(kInvalidArgument) naming field and row for a number that the requested type
  /// cannot hold, Error(kCorrupt) for a row that was written before, is longer than measured, or
  /// whose first word contradicts its length.
  void Write(std::uint64_t row, std::uint64_t count, const Value* first, std::uint64_t stride,
             std::uint64_t words);

  /// Ends the batch. The arrays point into the memory given to Begin().
  OutArray Finish();

  /// After Finish(): a bitmap with a bit for each row, or null if all rows are present.
  const std::uint8_t* validity() const noexcept {
    return present_rows_ == rows_ ? nullptr : validity_;
  }

 private:
  void SkipTo(std::uint64_t row);
  void Claim(std::uint64_t row, std::uint64_t count, std::uint64_t items_each);
  void WriteBlocks(std::uint64_t row, std::uint64_t count, const Value* first, std::uint64_t stride,
                   std::uint64_t words);
  void WriteItems(std::uint64_t row, std::uint64_t count, const Value* first, std::uint64_t stride,
                  std::uint64_t words);
  void Convert(std::uint64_t row, const Value* words, std::uint64_t count);
  void CopyPacked(const std::byte* from, std::uint64_t count);
  void CheckAndNarrow(std::uint64_t row, const Value* words, std::uint64_t count);
  OutArray FinishItems();
  OutArray FinishInner(std::size_t level, OutArray items);
  OutArray FinishRows(OutArray items);
  OutArray FinishText();
  void AddOffsets(const Type& list, const std::byte* offsets, OutArray& out);

  const Reader& reader_;
  const LeafPlan& plan_;
  BatchMemory* memory_ = nullptr;
  Row first_row_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t next_row_ = 0;      // rows before it are written or null
  std::uint64_t present_rows_ = 0;  // rows written so far
  std::uint64_t items_ = 0;         // items written so far, including those of null rows
  std::uint64_t row_items_ = 0;     // items of a null row; 0 if rows have offsets
  std::uint64_t inner_items_ = 1;   // items in one element of the outermost list
  std::uint64_t item_room_ = 0;     // capacity of data_ in items
  std::uint64_t row_words_ = 1;     // words of each row being written, for messages
  std::uint8_t* validity_ = nullptr;
  std::byte* offsets_ = nullptr;  // of rows, int32 or int64; null if rows have none
  bool wide_offsets_ = false;     // offsets_ are int64
  std::byte* data_ = nullptr;
  std::vector<Value> gathered_;      // scratch of WriteItems()
  std::vector<std::uint8_t> bools_;  // scratch of Convert()
};

}  // namespace stream_store::arrow
