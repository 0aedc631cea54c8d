// Schemas as plain trees: copied from a consumer's ArrowSchema or made for a store, and exported
// again as ArrowSchemas that own a share of their tree.
//
// Used by both plans. Pure functions, apart from the shared ownership of an exported tree.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrow/type.h"

namespace stream_store::arrow {

/// Deepest nesting of a foreign schema: that of a nested type inside the structs of a column, with
/// room to spare. The functions that walk schemas recurse, so a deeper one could overflow the stack.
inline constexpr int kMaxDepth = 128;

using SchemaNode = ArrowType;

/// Copies a schema. Throws Error(kInvalidArgument) if CheckSchema() does, or if the schema has
/// dictionaries.
SchemaNode CopySchema(const ArrowSchema& schema);

/// Checks that a schema can be walked: no pointer is missing, and the nesting is at most kMaxDepth.
/// Throws Error(kInvalidArgument).
void CheckSchema(const ArrowSchema& schema);

/// One key and its value as the specification encodes metadata.
std::string EncodeMetadata(const std::string& key, const std::string& value);

/// Makes `*out` an ArrowSchema of the tree, which it keeps alive. Throws std::bad_alloc; `*out` is
/// released then.
void ExportNode(const std::shared_ptr<const SchemaNode>& root, ArrowSchema* out);

/// A column of a store: a field, or a struct of columns.
struct ColumnNode {
  std::string name = {};
  std::optional<TypeId> leaf = {};    ///< the field, unless this is a struct
  std::optional<TypeId> marker = {};  ///< of a struct: its hidden field, if it has one
  std::vector<ColumnNode> children = {};
};

/// The columns of a store, with structs assembled from the paths of their leaves. Throws
/// Error(kInvalidArgument) if two fields have the same path or one lies inside another.
std::vector<ColumnNode> ColumnsOf(const Schema& schema);

/// The schema of a stream whose consumer requests none. Throws Error(kInvalidArgument) if
/// options.columns names a column that does not exist, or one twice.
SchemaNode DefaultSchema(const Schema& schema, const ArrowExportOptions& options);

}  // namespace stream_store::arrow
