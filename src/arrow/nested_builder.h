// NestedBuilder: builds the Arrow buffers of one nested field in one batch from nested blocks.
//
// Used by export.cc, in three phases for each batch:
//   1. Begin() starts empty buffers, which grow: their sizes follow from the content of the blocks.
//   2. Write() is called for each row that has the field, in the order of rows.
//   3. Finish() returns the arrays. Rows that were not written are null.
//
// A block holds only the elements that are present, while Arrow has a place for absent ones too:
// for each child of a null struct, and for each item of a null fixed-size list.
//
// Thread rules: one thread at a time. Invariants between calls of Write():
//   1. All nodes that belong to the same elements have as many elements in Arrow.
//   2. No 32-bit offset exceeds the limit given to the constructor.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arrow/buffers.h"
#include "arrow/export_plan.h"
#include "arrow/out_array.h"
#include "format/nested_block.h"

namespace stream_store::arrow {

class NestedBuilder {
 public:
  /// `leaf`, which must be nested, must outlive the builder.
  NestedBuilder(const LeafPlan& leaf, std::uint64_t offset_limit);

  /// Starts a batch.
  ///
  /// memory     owns the buffers; must live until Finish() has returned.
  /// first_row  the row of the store that is row 0 of the batch, for messages.
  void Begin(BatchMemory& memory, Row first_row);

  /// Writes row `row` of the batch. Returns false, and writes nothing, if it needs larger offsets
  /// than its types and the limit allow after the rows before it.
  ///
  /// Throws Error(kInvalidArgument) naming field, row and place for a null that the requested type
  /// does not allow, and for a row that does not fit into an empty batch; Error(kCorrupt) for a row
  /// that was written before, and for a damaged block.
  bool Write(std::uint64_t row, std::span<const Value> words);

  /// One past the last row written; 0 if there is none.
  std::uint64_t next_row() const noexcept { return next_row_; }

  /// About how many bytes the batch has so far.
  std::uint64_t bytes() const noexcept { return bytes_; }

  /// Ends the batch after `rows` rows. The arrays point into the memory given to Begin().
  /// REQUIRES: rows >= next_row()
  OutArray Finish(std::uint64_t rows);

  /// After Finish(): a bitmap with a bit for each row, or null if all rows are present.
  const std::uint8_t* validity() const noexcept;

 private:
  // The buffers of one node.
  struct Node {
    std::uint64_t length = 0;   // elements in Arrow
    std::uint64_t nulls = 0;    // of which are null
    std::uint64_t offset = 0;   // the last offset written
    bool has_validity = false;  // whether a null has occurred, so that `validity` is kept
    GrowingBuffer validity = {};
    GrowingBuffer offsets = {};
    GrowingBuffer data = {};
  };

  [[noreturn]] void ThrowCorrupt(const std::string& problem) const;
  [[noreturn]] void ThrowNull(std::size_t node) const;
  bool OffsetsFit(std::uint64_t block_bytes) const;
  std::uint64_t OffsetsOf(std::size_t node) const;
  std::size_t FirstTooLarge() const;

  void SkipTo(std::uint64_t row);
  void AddElements(std::size_t i, std::uint64_t count);
  void AddWithNulls(std::size_t i, std::uint64_t count);
  void AddItemsWithNulls(std::size_t i, std::uint64_t begin, std::uint64_t count);
  void AddPresent(std::size_t i, std::uint64_t count);
  void AddAbsent(std::size_t i, std::uint64_t count);
  void CheckPadding(std::size_t i, std::uint64_t count, std::uint64_t bytes_each);
  void StartValidity(Node& node);
  void AddValidity(std::size_t i, bool valid, std::uint64_t count);
  std::uint64_t AddOffsets(std::size_t i, std::uint64_t count);

  OutArray FinishNode(std::size_t i);
  OutArray FinishBuffers(std::size_t i);
  const std::byte* ListSizes(std::size_t i);

  const LeafPlan& leaf_;
  const NestedLeafPlan& plan_;
  const std::uint64_t offset_limit_;
  BatchMemory* memory_ = nullptr;
  Row first_row_ = 0;
  std::uint64_t next_row_ = 0;
  std::uint64_t row_ = 0;  // the row being written, for messages
  std::uint64_t bytes_ = 0;
  std::uint64_t block_bytes_ = 0;   // of all blocks of the batch
  std::uint64_t padding_left_ = 0;  // bytes that null elements may still take
  std::vector<Node> nodes_;
  // By node: the parts of the current block. Their pointers move past the elements added.
  std::vector<internal::NestedColumn> columns_;
  std::vector<std::uint64_t> bits_;  // elements added of a column with a bitmap
};

}  // namespace stream_store::arrow
