// The plan of a nested column: pairs each node of a field's type with a part of a foreign schema.
//
// Made once for each column of a stream, when an ArrowImporter is created; read by nested_view.cc
// and nested_writer.cc for every batch. A plan never changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/nested.h"

#include "arrow/nested_items.h"
#include "arrow/type.h"

namespace stream_store::arrow {

/// A dictionary or a run-end encoding around the values of a column. Only the values are stored.
struct NestedLayer {
  bool is_runs = false;  ///< run-end encoded, else a dictionary
  Type index = {};       ///< of the indices into the dictionary, or of the ends of the runs
};

/// One node of the field's type, and the column that fills it.
struct NestedSource {
  NestedType::Kind kind = NestedType::Kind::kItem;
  std::uint32_t item_bytes = 0;          ///< of kItem: bytes of an item in a cell
  std::uint32_t list_items = 0;          ///< of kFixedList
  bool nullable = true;                  ///< whether the field accepts nulls here
  bool is_text = false;                  ///< of kBytes: must be UTF-8
  bool is_null = false;                  ///< of kItem: the type without values
  bool only_nulls = false;               ///< the column has type null, the field another one
  std::uint32_t nodes = 1;               ///< of this subtree
  std::string name = {};                 ///< of a struct's child, for messages
  std::int64_t column = 0;               ///< of a child: its index among those of the foreign array
  std::vector<NestedLayer> layers = {};  ///< from the outside in
  Type type = {};                        ///< of the column, inside all layers
  ItemsConversion items = {};            ///< of kItem
  std::vector<NestedSource> children = {};  ///< in the order of the field's type
};

/// Pairs the type of a field with a column. `schema` must have passed CheckSchema().
///
/// place  of the column, for messages: "messages".
/// Throws Error(kInvalidArgument) whose message is the reason why they do not fit, such as
/// "expected string at messages[].role but found int64".
NestedSource PlanNested(const NestedType& type, const ArrowSchema& schema,
                        const std::string& place);

/// Follows the dictionaries and run ends around the values of a column. `place` is for messages, as
/// above. Throws Error(kInvalidArgument) if they are malformed.
const ArrowSchema& UnwrapValues(const ArrowSchema& column, const std::string& place,
                                std::vector<NestedLayer>& layers);

/// Makes the plan of a column of structs behind layers of which only one member is used.
///
/// path    child indices from the struct to the member; the plan has a node for each struct on the
///         way. The structs may have layers, too.
/// member  the plan of the member; without it, the plan is that of the structs only, of which the
///         innermost one is at `path`.
NestedSource PlanMember(const ArrowSchema& column, std::span<const std::int64_t> path,
                        std::optional<NestedSource> member, const std::string& place);

/// Makes the type of lists with these Arrow formats, from the outside in; the last one is that of
/// the items. Throws Error(kInvalidArgument) for a format that a nested cell cannot have.
NestedType TypeOfLevels(std::span<const std::string> formats, bool nullable);

/// Whether a type contains a union, which cannot be stored. If so, `place`, which is that of the
/// column, becomes that of the union.
bool FindUnion(const ArrowSchema& schema, std::string& place);

}  // namespace stream_store::arrow
