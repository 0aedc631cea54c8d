// Schemas as plain trees: copied from a consumer's ArrowSchema or made for a store, and handed out
// again as ArrowSchemas that outlive everything here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrow/type.h"

namespace stream_store::arrow {

/// Deeper schemas are refused: what walks them recurses.
inline constexpr int kMaxDepth = 64;

struct SchemaNode {
  std::string format = {};
  std::string name = {};
  std::string metadata = {};  ///< in the form of the specification; empty: none
  std::int64_t flags = ARROW_FLAG_NULLABLE;
  std::vector<SchemaNode> children = {};
};

/// Throws Error(kInvalidArgument) for what is no schema, deeper than kMaxDepth, or dictionaries.
SchemaNode CopySchema(const ArrowSchema& schema);

/// Throws Error(kInvalidArgument) unless the tree can be walked: pointers are there, not too deep.
void CheckSchema(const ArrowSchema& schema);

/// Key and value in the specification's form.
std::string EncodeMetadata(const std::string& key, const std::string& value);

/// Hands `root` out.
void ExportNode(const std::shared_ptr<const SchemaNode>& root, ArrowSchema* out);

/// A column of a store: a field, or a struct of columns.
struct ColumnNode {
  std::string name = {};
  std::optional<TypeId> leaf = {};
  std::optional<TypeId> marker = {};  ///< of a struct: the hidden field, if it has one
  std::vector<ColumnNode> children = {};
};

/// The columns of a store, structs put together by the paths of their leaves. Throws
/// Error(kInvalidArgument) where two fields have one path.
std::vector<ColumnNode> ColumnsOf(const Schema& schema);

/// The schema of a stream whose consumer asks for nothing.
SchemaNode DefaultSchema(const Schema& schema, const ArrowExportOptions& options);

}  // namespace stream_store::arrow
