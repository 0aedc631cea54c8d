#include "arrow/schema_node.h"

#include <cstring>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "stream_store/error.h"

#include "arrow/nested_plan.h"
#include "arrow/owned.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

[[noreturn]] void RefuseSchema(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, "Arrow schema: " + problem);
}

// Checks each pointer before it is followed: the schema comes from a foreign library.
void CheckNode(const ArrowSchema& schema, int depth) {
  if (depth > kMaxDepth) {
    RefuseSchema(StrCat("expected at most ", kMaxDepth, " levels of nesting but found more"));
  }
  if (schema.release == nullptr) {
    RefuseSchema("it was released already");
  }
  if (schema.format == nullptr) {
    RefuseSchema("a field without a format");
  }
  if (schema.n_children < 0 || (schema.n_children > 0 && schema.children == nullptr)) {
    RefuseSchema(StrCat("expected ", schema.n_children, " children but found a null pointer"));
  }
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    if (schema.children[i] == nullptr) {
      RefuseSchema(StrCat("child ", i, " is missing"));
    }
    CheckNode(*schema.children[i], depth + 1);
  }
  if (schema.dictionary != nullptr) {
    CheckNode(*schema.dictionary, depth + 1);
  }
}

// Copies a metadata block. The block does not record its length, so its pairs must be walked.
std::string CopyMetadata(const char* metadata) {
  if (metadata == nullptr) {
    return {};
  }
  const auto number_at = [&](std::size_t at) {
    std::int32_t number = 0;
    std::memcpy(&number, metadata + at, sizeof(number));
    if (number < 0) {
      RefuseSchema("metadata with a negative length");
    }
    return static_cast<std::size_t>(number);
  };
  const std::size_t pairs = number_at(0);
  std::size_t at = sizeof(std::int32_t);
  for (std::size_t i = 0; i < 2 * pairs; ++i) {
    at += sizeof(std::int32_t) + number_at(at);
  }
  return {metadata, at};
}

SchemaNode CopyNode(const ArrowSchema& schema) {
  if (schema.dictionary != nullptr) {
    RefuseSchema("dictionaries cannot be requested; request the type of their values");
  }
  SchemaNode node;
  node.format = schema.format;
  node.name = schema.name == nullptr ? "" : schema.name;
  node.metadata = CopyMetadata(schema.metadata);
  node.flags = schema.flags;
  node.children.reserve(static_cast<std::size_t>(schema.n_children));
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    node.children.push_back(CopyNode(*schema.children[i]));
  }
  return node;
}

// The private_data of one exported ArrowSchema. `children` releases those that the consumer has not
// moved out; `root` owns the strings.
struct SchemaPrivate {
  std::shared_ptr<const SchemaNode> root;
  std::vector<OwnedArrow<ArrowSchema>> children;
  std::vector<ArrowSchema*> pointers;
};

void ReleaseSchema(ArrowSchema* schema) {
  delete static_cast<SchemaPrivate*>(schema->private_data);
  schema->release = nullptr;
}

OwnedArrow<ArrowSchema> MakeSchema(const std::shared_ptr<const SchemaNode>& root,
                                   const SchemaNode& node) {
  auto owned = std::make_unique<SchemaPrivate>();
  owned->root = root;
  owned->children.reserve(node.children.size());  // so that the pointers stay valid
  for (const SchemaNode& child : node.children) {
    owned->children.push_back(MakeSchema(root, child));
    owned->pointers.push_back(owned->children.back().get());
  }
  ArrowSchema schema{};
  schema.format = node.format.c_str();
  schema.name = node.name.c_str();
  schema.metadata = node.metadata.empty() ? nullptr : node.metadata.data();
  schema.flags = node.flags;
  schema.n_children = static_cast<std::int64_t>(owned->pointers.size());
  schema.children = owned->pointers.data();
  schema.release = &ReleaseSchema;
  schema.private_data = owned.release();
  return OwnedArrow<ArrowSchema>(&schema);
}

// A list field as nested nodes: node `at` of the levels, with the deeper ones as children.
SchemaNode LevelNode(const std::vector<std::string>& levels, std::size_t at,
                     const std::string& name) {
  SchemaNode node;
  node.format = levels[at];
  node.name = name;
  if (at + 1 < levels.size()) {
    node.children.push_back(LevelNode(levels, at + 1, "item"));
  }
  return node;
}

// The type of a field: the given one, or the default one with the metadata and flags given.
//
// Whether a given type belongs to a nested field is checked by PlanExport(), which compares both.
SchemaNode FieldNode(const Field& field, const ArrowField& given) {
  const bool is_nested = field.dtype == DType::kNested;
  const auto levels = is_nested ? std::vector<std::string>() : LevelsOf(field, given);
  if (!given.type.format.empty()) {
    return given.type;
  }
  SchemaNode node =
      is_nested ? NestedNodeOf(ParseNestedType(field.nested)) : LevelNode(levels, 0, "");
  node.metadata = given.type.metadata;
  node.flags = (node.flags & ~std::int64_t{ARROW_FLAG_NULLABLE}) | given.type.flags;
  return node;
}

SchemaNode NodeOf(const Schema& schema, const ArrowExportOptions& options,
                  const ColumnNode& column) {
  const auto given = [&](TypeId type) {
    return type < options.fields.size() ? options.fields[type] : ArrowField{};
  };
  if (column.leaf) {
    SchemaNode node = FieldNode(schema[*column.leaf], given(*column.leaf));
    node.name = column.name;
    return node;
  }
  SchemaNode node;
  node.format = "+s";
  node.name = column.name;
  if (column.marker) {
    const ArrowField marker = given(*column.marker);
    node.metadata = marker.type.metadata;
    node.flags = marker.type.flags;
  }
  for (const ColumnNode& child : column.children) {
    node.children.push_back(NodeOf(schema, options, child));
  }
  return node;
}

}  // namespace

void CheckSchema(const ArrowSchema& schema) { CheckNode(schema, 0); }

SchemaNode CopySchema(const ArrowSchema& schema) {
  CheckNode(schema, 0);
  return CopyNode(schema);
}

std::string EncodeMetadata(const std::string& key, const std::string& value) {
  std::string out;
  const auto put_number = [&](std::size_t number) {
    const auto narrow = static_cast<std::int32_t>(number);
    out.append(reinterpret_cast<const char*>(&narrow), sizeof(narrow));
  };
  put_number(1);
  put_number(key.size());
  out += key;
  put_number(value.size());
  out += value;
  return out;
}

void ExportNode(const std::shared_ptr<const SchemaNode>& root, ArrowSchema* out) {
  out->release = nullptr;
  MakeSchema(root, *root).MoveTo(out);
}

std::vector<ColumnNode> ColumnsOf(const Schema& schema) {
  std::vector<ColumnNode> columns;
  // Index of each path among the children of its parent. A linear search would be quadratic in the
  // number of fields, and a schema may have 65,536.
  std::unordered_map<std::string, std::size_t> places;
  const auto node_of = [&](const std::vector<std::string>& path) -> ColumnNode* {
    std::vector<ColumnNode>* level = &columns;
    ColumnNode* node = nullptr;
    std::string key;
    for (const std::string& part : path) {
      if (node != nullptr && node->leaf) {
        return nullptr;  // the path goes through a leaf
      }
      key += StrCat(part.size(), ":", part);  // unambiguous for any characters in a name
      const auto [at, fresh] = places.try_emplace(key, level->size());
      if (fresh) {
        level->push_back(ColumnNode{.name = part});
      }
      node = &(*level)[at->second];
      level = &node->children;
    }
    return node;
  };
  for (std::size_t type = 0; type < schema.size(); ++type) {
    const Field& field = schema.fields()[type];
    ColumnNode* node =
        node_of(field.path.empty() ? std::vector<std::string>{field.name} : field.path);
    if (node == nullptr || node->leaf || node->marker ||
        (!field.hidden && !node->children.empty())) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("field '", field.name,
                         "': expected a path of its own, but it is that of another field or inside "
                         "another field"));
    }
    (field.hidden ? node->marker : node->leaf) = static_cast<TypeId>(type);
  }
  return columns;
}

SchemaNode DefaultSchema(const Schema& schema, const ArrowExportOptions& options) {
  SchemaNode root;
  root.format = "+s";
  root.flags = 0;
  if (!options.huggingface_metadata.empty()) {
    root.metadata = EncodeMetadata("huggingface", options.huggingface_metadata);
  }
  if (!options.step_column.empty()) {
    root.children.push_back(SchemaNode{.format = "l", .name = options.step_column});
  }
  const std::vector<ColumnNode> columns = ColumnsOf(schema);
  if (!options.columns) {
    for (const ColumnNode& column : columns) {
      root.children.push_back(NodeOf(schema, options, column));
    }
    return root;
  }
  std::unordered_map<std::string_view, const ColumnNode*> by_name;
  for (const ColumnNode& column : columns) {
    by_name.emplace(column.name, &column);
  }
  for (const std::string& name : *options.columns) {
    const auto at = by_name.find(name);
    if (at == by_name.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("exporting to Arrow: expected the names of different columns, but '", name,
                         "' is not one, or was named before"));
    }
    root.children.push_back(NodeOf(schema, options, *at->second));
    by_name.erase(at);
  }
  return root;
}

}  // namespace stream_store::arrow
