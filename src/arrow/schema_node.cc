#include "arrow/schema_node.h"

#include <cstring>
#include <unordered_map>
#include <utility>

#include "stream_store/error.h"

namespace stream_store::arrow {
namespace {

[[noreturn]] void Refuse(const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, "Arrow schema: " + what);
}

void CheckNode(const ArrowSchema& schema, int depth) {
  if (depth > kMaxDepth) {
    Refuse("expected at most " + std::to_string(kMaxDepth) + " levels of nesting");
  }
  if (schema.release == nullptr) {
    Refuse("it was released already");
  }
  if (schema.format == nullptr) {
    Refuse("a field without a format");
  }
  if (schema.n_children < 0 || (schema.n_children > 0 && schema.children == nullptr)) {
    Refuse("expected " + std::to_string(schema.n_children) + " children but found none");
  }
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    if (schema.children[i] == nullptr) {
      Refuse("child " + std::to_string(i) + " is missing");
    }
    CheckNode(*schema.children[i], depth + 1);
  }
  if (schema.dictionary != nullptr) {
    CheckNode(*schema.dictionary, depth + 1);
  }
}

// The bytes of a metadata block; it carries no length of its own.
std::string CopyMetadata(const char* metadata) {
  if (metadata == nullptr) {
    return {};
  }
  const auto number_at = [&](std::size_t at) {
    std::int32_t number = 0;
    std::memcpy(&number, metadata + at, sizeof(number));
    if (number < 0) {
      Refuse("metadata with a negative length");
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
    Refuse("a dictionary was asked for, which a store has none of");
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

// What one exported ArrowSchema owns.
struct SchemaPrivate {
  std::shared_ptr<const SchemaNode> root;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
};

void ReleaseSchema(ArrowSchema* schema) {
  const std::unique_ptr<SchemaPrivate> mine(static_cast<SchemaPrivate*>(schema->private_data));
  for (ArrowSchema& child : mine->children) {
    if (child.release != nullptr) {
      child.release(&child);
    }
  }
  schema->release = nullptr;
}

void FillSchema(const std::shared_ptr<const SchemaNode>& root, const SchemaNode& node,
                ArrowSchema* out) {
  auto mine = std::make_unique<SchemaPrivate>();
  mine->root = root;
  mine->children.resize(node.children.size());
  mine->pointers.reserve(node.children.size());
  for (ArrowSchema& child : mine->children) {
    child.release = nullptr;
    mine->pointers.push_back(&child);
  }
  *out = ArrowSchema{};
  out->format = node.format.c_str();
  out->name = node.name.c_str();
  out->metadata = node.metadata.empty() ? nullptr : node.metadata.data();
  out->flags = node.flags;
  out->n_children = static_cast<std::int64_t>(node.children.size());
  out->children = mine->pointers.data();
  out->release = &ReleaseSchema;
  SchemaPrivate& kept = *mine;
  out->private_data = mine.release();
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    FillSchema(root, node.children[i], &kept.children[i]);
  }
}

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

SchemaNode NodeOf(const Schema& schema, const ArrowExportOptions& options,
                  const ColumnNode& column) {
  if (column.leaf) {
    const ArrowField given =
        *column.leaf < options.fields.size() ? options.fields[*column.leaf] : ArrowField{};
    return LevelNode(LevelsOf(schema[*column.leaf], given), 0, column.name);
  }
  SchemaNode node;
  node.format = "+s";
  node.name = column.name;
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
  const SchemaNode& node = *root;
  try {
    FillSchema(root, node, out);
  } catch (...) {
    if (out->release != nullptr) {
      out->release(out);
    }
    throw;
  }
}

std::vector<ColumnNode> ColumnsOf(const Schema& schema) {
  std::vector<ColumnNode> columns;
  // Where each path stands among the children of its parent: schemas have up to 65,536 fields.
  std::unordered_map<std::string, std::size_t> places;
  const auto node_of = [&](const std::vector<std::string>& path) -> ColumnNode* {
    std::vector<ColumnNode>* level = &columns;
    ColumnNode* node = nullptr;
    std::string key;
    for (const std::string& part : path) {
      if (node != nullptr && node->leaf) {
        return nullptr;  // inside a leaf
      }
      key += std::to_string(part.size()) + ":" + part;
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
                  "field '" + field.name + "' has the path of another field, or lies inside one");
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
  for (const ColumnNode& column : ColumnsOf(schema)) {
    root.children.push_back(NodeOf(schema, options, column));
  }
  return root;
}

}  // namespace stream_store::arrow
