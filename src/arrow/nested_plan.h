// Plans of nested fields: the Arrow array that each node of a type is exported as.
//
// Made by PlanExport() when a stream is created; read by nested_builder.cc. A plan never changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/nested.h"

#include "arrow/schema_node.h"
#include "format/nested_block.h"

namespace stream_store::arrow {

/// How one node of a nested field is exported.
struct NestedNodePlan {
  enum class Form : std::uint8_t {
    kNull,       ///< no buffers
    kBools,      ///< one byte each in a block, one bit each in Arrow
    kItems,      ///< `size` bytes each
    kText,       ///< offsets of `offset_bits`; 0 for views
    kList,       ///< offsets of `offset_bits`; maps too
    kListView,   ///< offsets and sizes of `offset_bits`
    kFixedList,  ///< `size` items each
    kStruct
  };
  Form form = Form::kStruct;
  bool nullable = true;
  int offset_bits = 0;
  std::uint64_t size = 0;
  std::string name = {};  ///< of a struct's child
  std::uint32_t end = 0;  ///< index after its last descendant

  /// Whether its offsets have at most 32 bits. Those of views do, too.
  bool has_narrow_offsets() const noexcept {
    return (form == Form::kText || form == Form::kList || form == Form::kListView) &&
           offset_bits != 64;
  }
};

struct NestedLeafPlan {
  internal::NestedPlan blocks;
  std::vector<NestedNodePlan> nodes;  ///< in preorder, as in `blocks`

  /// The bits that a missing row takes: those of fixed-size lists of numbers are many.
  std::uint64_t MissingBits(std::size_t node = 0) const;

  /// The place of a node inside the cell, for messages: "[].role"; "" for the root.
  std::string PlaceOf(std::size_t node) const;
};

/// The schema of cells of a type: its formats, names and nullability.
SchemaNode NestedNodeOf(const NestedType& type);

/// Plans cells of `own` as the type `asked`; none if that would change values.
///
/// The types may differ in the width of offsets, in views, in time zones, in the names of the
/// children of lists and maps, in metadata and in flags.
std::optional<NestedLeafPlan> PlanNested(const NestedType& own, const SchemaNode& asked);

/// A requested type as text, with its children: "list<struct<a: int8>>". It may be of any type.
std::string NodeText(const SchemaNode& node);

}  // namespace stream_store::arrow
