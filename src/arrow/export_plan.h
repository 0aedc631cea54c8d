// What an export does with each field: decided once, from the schema of its stream.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arrow/schema_node.h"
#include "arrow/type.h"

namespace stream_store::arrow {

/// How stored words become items.
enum class ItemWay : std::uint8_t {
  kNothing,     ///< null columns and markers: validity alone
  kWords,       ///< as they are: 8-byte items, decimals, float64 bits of any float
  kDecode,      ///< Reader::Decode(): the field's own type
  kBits,        ///< bools, eight a byte
  kPacked,      ///< the bytes of packed words
  kPackedBits,  ///< the same of bools
  kChecksums    ///< integers of another width, each checked
};

/// A field on its way out.
struct LeafPlan {
  TypeId type = 0;
  std::string name = {};
  std::vector<Type> lists = {};  ///< from the outside in
  Type item = {};
  ItemWay way = ItemWay::kNothing;
  bool ragged = false;
  bool source_is_signed = true;  ///< kChecksums: of the stored integers
  std::uint64_t unit_words = 1;  ///< of one ragged item of the outermost list, or of a write
  std::uint64_t unit_items = 1;  ///< the same in items
  std::uint64_t item_bits = 0;   ///< of one item in its data buffer
  std::vector<std::uint64_t> fixed = {};  ///< children of each inner list, by level; [0] of a fixed
                                          ///< outermost one, else unused

  bool is_text() const noexcept { return item.is_bytes(); }

  /// Whether rows have as many items as they like, and missing ones none: it has row offsets.
  bool has_row_offsets() const noexcept {
    return is_text() || (!lists.empty() && lists[0].kind == Kind::kList);
  }

  /// Whether some offsets of it are 32 bits wide.
  bool has_narrow_offsets() const noexcept;
};

/// One column of a batch.
struct ColumnPlan {
  enum class What : std::uint8_t { kStep, kLeaf, kStruct };
  What what = What::kLeaf;
  std::size_t leaf = 0;                   ///< kLeaf: index into ExportPlan::leaves
  std::vector<std::size_t> markers = {};  ///< kStruct: none or one, index into leaves
  std::vector<ColumnPlan> children = {};
};

struct ExportPlan {
  std::shared_ptr<const SchemaNode> schema;
  std::vector<ColumnPlan> columns;
  std::vector<LeafPlan> leaves;
  std::vector<std::uint32_t> leaf_of_type;  ///< index into leaves, by type id
};

/// Throws Error(kInvalidArgument), naming column and types.
ExportPlan PlanExport(const Schema& schema, const ArrowExportOptions& options);

}  // namespace stream_store::arrow
