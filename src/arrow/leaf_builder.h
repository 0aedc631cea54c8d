// LeafBuilder: one field of one batch: stored words in, Arrow buffers out.
//
// Who uses it: export.cc, which calls Begin(), Write() for every run of records that has the field,
// in order of rows, and Finish(). Rows nobody wrote become nulls.
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
  /// `plan` and `reader` outlive it.
  LeafBuilder(const Reader& reader, const LeafPlan& plan) : reader_(reader), plan_(plan) {}

  /// `first_row` is row 0 of the batch; no more than `units` of its units will be written.
  void Begin(BatchMemory& memory, Row first_row, std::uint64_t rows, std::uint64_t units);

  /// Rows [row, row + count) of the batch: `words` words each, at first + i * stride. Throws
  /// Error(kInvalidArgument) naming field and row, Error(kCorrupt) for a row that was written.
  void Write(std::uint64_t row, std::uint64_t count, const Value* first, std::uint64_t stride,
             std::uint64_t words);

  OutArray Finish();

  /// After Finish(): bit per row, or null where all are present.
  const std::uint8_t* validity() const noexcept { return present_ == rows_ ? nullptr : validity_; }

 private:
  void SkipTo(std::uint64_t row);
  void WriteOffsets(std::uint64_t row, std::uint64_t count, std::uint64_t items_each);
  void WriteItems(std::uint64_t row, std::uint64_t count, const Value* first, std::uint64_t stride,
                  std::uint64_t words);
  void Convert(std::uint64_t row, const Value* words, std::uint64_t count);
  void CheckAndNarrow(std::uint64_t row, const Value* words, std::uint64_t count);
  OutArray FinishItems();
  OutArray FinishInner(std::size_t level, OutArray items);
  OutArray FinishRows(OutArray items);
  OutArray FinishText();
  OutArray FinishViews();

  const Reader& reader_;
  const LeafPlan& plan_;
  BatchMemory* memory_ = nullptr;
  Row first_row_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t next_row_ = 0;
  std::uint64_t present_ = 0;
  std::uint64_t items_ = 0;        // written, padding included
  std::uint64_t row_items_ = 0;    // of a missing row, where it has any
  std::uint64_t inner_items_ = 1;  // of one item of the outermost list
  std::uint64_t item_room_ = 0;
  std::uint64_t row_words_ = 1;  // of the rows being written, for messages
  std::uint8_t* validity_ = nullptr;
  std::byte* offsets_ = nullptr;  // of rows; 32 or 64 bits
  bool wide_offsets_ = false;
  std::byte* data_ = nullptr;
  std::vector<Value> gathered_;
  std::vector<std::uint8_t> bools_;
};

}  // namespace stream_store::arrow
