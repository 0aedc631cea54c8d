// The plan of an export: how each field becomes a column, decided once from the schema of a stream.
//
// Made by PlanExport() when a stream is created; read by batch_size.cc and leaf_builder.cc for
// every batch. A plan never changes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "arrow/nested_plan.h"
#include "arrow/schema_node.h"
#include "arrow/type.h"
#include "format/encoding.h"

namespace stream_store::arrow {

/// How stored words become items of an Arrow buffer.
enum class ItemConversion : std::uint8_t {
  kNothing,     ///< null columns and markers: there are no items, only validity
  kWords,       ///< copy the words: 8-byte items, decimals, and any float as float64
  kDecode,      ///< Reader::Decode() to the field's own type
  kBits,        ///< bools, eight in a byte
  kPacked,      ///< copy the bytes of packed words
  kPackedBits,  ///< packed bools, eight in a byte
  kChecked      ///< narrow to an integer of another width, after a check of each number
};

/// How one field is exported.
///
/// A unit is one item of the outermost list of a ragged field, and a whole field-write of any other
/// field.
struct LeafPlan {
  TypeId type = 0;
  std::string name = {};
  std::shared_ptr<const NestedLeafPlan> nested = {};  ///< of a nested field, else null
  std::vector<Type> lists = {};                       ///< from the outside in
  Type item = {};
  ItemConversion conversion = ItemConversion::kNothing;
  bool ragged = false;
  bool has_nullable_items = true;         ///< whether the items of the outermost lists may be null
  bool source_is_signed = true;           ///< kChecked: whether the stored integers are
  std::uint64_t unit_words = 1;           ///< stored words of a unit
  std::uint64_t unit_items = 1;           ///< items of a unit
  std::uint64_t block_unit_bytes = 0;     ///< stored bytes of a unit of a block field, else 0
  std::uint64_t item_bits = 0;            ///< size of one item in its buffer
  std::vector<std::uint64_t> fixed = {};  ///< by list level: children of each list; 0 if it varies
  internal::Encoding encoding = {};       ///< of the field

  /// Whether each field-write begins with its number of items: packed fields of varying length and
  /// nested fields.
  bool is_block() const noexcept { return encoding.block; }

  /// Whether the items are strings or binaries.
  bool is_text() const noexcept { return item.is_bytes(); }

  /// Whether the rows have offsets, so that their numbers of items differ and a missing row has
  /// none.
  bool has_row_offsets() const noexcept {
    return is_text() || (!lists.empty() && lists[0].has_offsets());
  }

  /// An upper bound of the units in a field-write of `words` stored words; exact unless is_block().
  std::uint64_t MostUnits(std::uint64_t words) const noexcept {
    if (block_unit_bytes != 0) {
      return words == 0 ? 0 : (words - 1) * sizeof(Value) / block_unit_bytes;
    }
    return unit_words == 0 ? 0 : words / unit_words;
  }

  /// Whether any of its offsets have 32 bits.
  bool has_narrow_offsets() const noexcept;
};

/// One column of a batch, or a member of a struct column.
struct ColumnPlan {
  enum class Role : std::uint8_t { kStep, kLeaf, kStruct };
  Role role = Role::kLeaf;
  std::size_t leaf = 0;                   ///< kLeaf: index into ExportPlan::leaves
  std::string name = {};                  ///< the path to it: "outer.inner"
  bool nullable = true;                   ///< whether rows may lack it
  std::vector<std::size_t> markers = {};  ///< kStruct: at most one, index into ExportPlan::leaves
  std::vector<ColumnPlan> children = {};  ///< kStruct: its members
};

struct ExportPlan {
  std::shared_ptr<const SchemaNode> schema;
  std::vector<ColumnPlan> columns;
  std::vector<LeafPlan> leaves;
  std::vector<std::uint32_t> leaf_of_type;  ///< by type id: index into `leaves`, or kNotExported
};

/// Stands for fields that are in none of the columns.
inline constexpr std::uint32_t kNotExported = 0xffffffff;

/// Makes the plan. Throws Error(kInvalidArgument) naming the column if options.columns has one that
/// does not exist or has one twice; and naming the column and both types if options.requested has
/// other columns than these, or a type that a field cannot be exported as.
ExportPlan PlanExport(const Schema& schema, const ArrowExportOptions& options);

}  // namespace stream_store::arrow
