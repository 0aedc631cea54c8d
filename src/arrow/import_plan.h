// Which column of a foreign schema becomes which field, and whether its type may.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arrow/schema_node.h"
#include "arrow/type.h"

namespace stream_store::arrow {

/// A column on its way to a field.
struct ImportLeaf {
  TypeId type = 0;
  std::string name = {};                ///< for messages: "outer.inner"
  std::vector<std::int64_t> path = {};  ///< child indices from the batch to the column
  bool is_dictionary = false;           ///< `index` picks from a dictionary of `lists` and `item`
  Type index = {};
  std::vector<Type> lists = {};  ///< the column's own, from the outside in
  Type item = {};
  std::vector<std::uint32_t> shape = {};  ///< of the field; as many entries as lists, but for a
                                          ///< scalar that becomes a list of one
  bool scalar_as_list = false;
  Source source = Source::kInt64;  ///< of what is handed to the store
  std::uint64_t item_bytes = 8;    ///< in the column's buffer; bools: 1, once unpacked
  std::uint64_t source_items = 1;  ///< items of `source` in one item: words of a decimal
  std::int64_t classes = -1;       ///< numbers outside [-1, classes) are refused
  int exact_bits = 0;              ///< floats must be exact in so many bits; 0: they are
};

/// A struct whose presence is a field-write of its own where nothing inside it is there.
struct ImportMarker {
  TypeId type = 0;
  std::vector<std::int64_t> path = {};
  std::vector<std::size_t> leaves = {};   ///< inside it, index into ImportPlan::leaves
  std::vector<std::size_t> markers = {};  ///< of structs inside it, index into ImportPlan::markers
};

struct ImportPlan {
  std::vector<ImportLeaf> leaves;     ///< by rising type id
  std::vector<ImportMarker> markers;  ///< inner structs before outer ones
  std::optional<ImportLeaf> steps;
};

/// Throws Error(kInvalidArgument): see ArrowImporter.
ImportPlan PlanImport(const Schema& fields, const ArrowSchema& columns,
                      const ArrowImportOptions& options);

}  // namespace stream_store::arrow
