// The plan of an import: which column of a foreign schema becomes which field, and how.
//
// Made by PlanImport() when an ArrowImporter is created; read by column_view.cc, leaf_loader.cc and
// leaf_gather.cc for every batch. A plan never changes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/field_write.h"

#include "arrow/nested_source.h"
#include "arrow/schema_node.h"
#include "arrow/type.h"

namespace stream_store::arrow {

/// How one column is imported into one field.
struct ImportLeaf {
  TypeId type = 0;
  std::string name = {};                ///< of the column, for messages: "outer.inner"
  std::vector<std::int64_t> path = {};  ///< child indices from the batch to the column
  bool is_dictionary = false;           ///< `lists` and `item` are those of the dictionary's values
  Type index = {};                      ///< of a dictionary: the type of its indices
  std::vector<Type> lists = {};         ///< of the column, from the outside in
  Type item = {};
  std::vector<std::uint32_t> shape = {};  ///< of the field; as long as `lists`, unless
                                          ///< scalar_as_list
  bool scalar_as_list = false;            ///< a column of scalars fills lists of one item
  Source source = Source::kInt64;         ///< type of the items given to StagedRows::Extend()
  std::uint64_t item_bytes = 8;           ///< in the column's buffer; of bools 1, once unpacked
  std::uint64_t source_items = 1;         ///< items of `source` in an item; of a decimal its words
  std::int64_t classes = -1;              ///< reject numbers from `classes` on; -1: no check
  int exact_bits = 0;  ///< reject floats that a float of this many bits cannot hold exactly; 0: no
                       ///< check is needed
  bool is_layered = false;  ///< there are run ends, or dictionaries that are not outermost
  bool is_nested = false;   ///< the field is nested; of the types only `nested` is used
  bool not_null = false;    ///< reject nulls, except where a struct around the column is null
  /// Of a nested field its plan. Of a flat one with `is_layered`, a plan that takes the values out
  /// of the layers: its cells have the items of the column at their end. Null otherwise.
  std::shared_ptr<const NestedSource> nested = {};
  std::size_t outer_structs = 0;  ///< of `nested`: the structs around the column, inside layers;
                                  ///< the last so many entries of `path` lead through them
  std::string nested_text = {};   ///< of a flat field of lists: the nested type that takes nulls
};

/// A struct with a hidden marker field. The marker is written in the rows in which the struct is
/// present but none of its members is.
struct ImportMarker {
  TypeId type = 0;
  std::vector<std::int64_t> path = {};  ///< child indices from the batch to the struct
  /// Of a struct behind layers: the plan of the last `outer_structs` entries of `path`; else null.
  std::shared_ptr<const NestedSource> nested = {};
  std::size_t outer_structs = 0;
  std::vector<std::size_t> leaves = {};   ///< inside the struct: indices into ImportPlan::leaves
  std::vector<std::size_t> markers = {};  ///< inside the struct: indices into ImportPlan::markers
};

/// A struct column that is not nullable.
struct ImportNotNull {
  std::string name = {};                ///< for messages
  std::vector<std::int64_t> path = {};  ///< child indices from the batch to the struct
};

struct ImportPlan {
  std::vector<ImportLeaf> leaves;       ///< by rising type id, the order that Extend() requires
  std::vector<ImportMarker> markers;    ///< inner structs before outer ones
  std::vector<ImportNotNull> not_null;  ///< structs; of other columns see ImportLeaf::not_null
  std::optional<ImportLeaf> steps;      ///< the column of steps, if options.step_column names one
};

/// Makes the plan. Throws Error(kInvalidArgument) as described at ArrowImporter.
ImportPlan PlanImport(const Schema& fields, const ArrowSchema& columns,
                      const ArrowImportOptions& options);

}  // namespace stream_store::arrow
