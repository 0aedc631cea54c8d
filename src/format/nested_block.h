// Nested blocks: the bytes of one cell of a nested field, as columns.
//
// docs/format.md ("Nested blocks") specifies them. A block holds the nodes of the type in preorder;
// the elements of all lists of one level lie together, as in an Arrow column, so that whole columns
// are copied at a time.
//
// Used by nested_codec.cc (values), append and verify (checks) and src/arrow (columns).
// Thread rules: pure functions; a NestedPlan never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/nested.h"

#include "base/assert.h"
#include "format/nested_format.h"

namespace stream_store::internal {

/// One node of a type, in preorder. Derived once, so that reading a block follows no tree.
struct NestedNode {
  NestedType::Kind kind = NestedType::Kind::kItem;
  NestedItem item = NestedItem::kNone;
  std::uint32_t item_bytes = 0;  ///< of kItem, at least 1: items of size 0 are one zero byte each
  std::uint32_t list_items = 0;  ///< of kFixedList
  std::uint32_t children = 0;    ///< number of children
  std::uint32_t end = 0;         ///< index after its last descendant
  bool nullable = true;          ///< whether a bitmap is allowed; false for the root and for nulls
  bool is_text = false;          ///< of kBytes: must be UTF-8
  bool is_bool = false;          ///< of kItem: must be 0 or 1
  bool is_null = false;          ///< of kItem: the null type, whose slots never have a bitmap
  bool is_zero = false;          ///< of kItem: null and fixed_size_binary[0], whose bytes must be 0
};

/// The nodes of a type in preorder.
class NestedPlan {
 public:
  /// Throws Error(kInvalidArgument) if MakeNestedType() could not have made the type.
  explicit NestedPlan(const NestedType& type);

  std::span<const NestedNode> nodes() const noexcept { return nodes_; }

  std::size_t size() const noexcept { return nodes_.size(); }

  /// REQUIRES: i < size()
  const NestedNode& operator[](std::size_t i) const noexcept {
    STREAM_STORE_ASSERT(i < size());
    return nodes_[i];
  }

 private:
  std::vector<NestedNode> nodes_;
};

/// The elements of one node in one block. All pointers point into the block and may be unaligned.
struct NestedColumn {
  std::uint64_t slots = 0;    ///< elements, null ones included
  std::uint64_t present = 0;  ///< elements that are not null; only these have data and children
  const std::uint8_t* validity = nullptr;  ///< a bit for each slot, LSB first; null if none is null
  const std::byte* lengths = nullptr;      ///< of kBytes and kList: one for each present element
  int length_bytes = 1;                    ///< 1, 2, 4 or 8
  const std::byte* data = nullptr;         ///< of kItem and kBytes
  std::uint64_t data_bytes = 0;

  /// Length i. REQUIRES: i < present, and the node has lengths.
  std::uint64_t LengthAt(std::uint64_t i) const noexcept;
};

/// Finds the columns of a block: one for each node of the plan, in its order.
///
/// Checks the whole block, apart from the UTF-8 of texts: counts, lengths, unused bits, that it
/// ends where it should, and that it is the canonical encoding.
///
/// Cost    proportional to the bytes of the block and the number of nodes.
/// Returns the reason why the block is not valid, or null if it is.
/// REQUIRES: columns.size() == plan.size().
const char* FindNestedColumns(const NestedPlan& plan, std::span<const std::byte> block,
                              std::span<NestedColumn> columns) noexcept;

/// Checks that every text of a column of a node with `is_text` is UTF-8. Returns the reason why it
/// is not, or null. The column is one that FindNestedColumns() found.
/// REQUIRES: column.data != nullptr || column.data_bytes == 0.
const char* CheckNestedTexts(const NestedColumn& column) noexcept;

/// Checks a block in full, UTF-8 included. Returns the reason why it is not valid, or null.
const char* CheckNestedBlock(const NestedPlan& plan, std::span<const std::byte> block) noexcept;

/// The bytes of a header of a node.
inline constexpr std::uint8_t kNestedHasNulls = 1;         ///< a bitmap follows
inline constexpr unsigned kNestedLengthShift = 1;          ///< log2 of the bytes of a length
inline constexpr std::uint8_t kNestedLengthMask = 3 << 1;  ///< of kBytes and kList; else 0

/// Returns log2 of the bytes that the largest of some lengths needs: 0 to 3.
inline unsigned LengthWidth(std::uint64_t largest) noexcept {
  return largest <= 0xff ? 0 : largest <= 0xffff ? 1 : largest <= 0xffffffffU ? 2 : 3;
}

}  // namespace stream_store::internal
