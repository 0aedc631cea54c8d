#include "arrow/nested_source.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "stream_store/error.h"

#include "arrow/schema_node.h"
#include "base/str_cat.h"
#include "format/nested_block.h"

namespace stream_store::arrow {

using internal::NestedNode;
using internal::NestedPlan;
using internal::StrCat;

namespace {

std::string_view NameOf(const ArrowSchema& schema) {
  return schema.name == nullptr ? "" : schema.name;
}

[[noreturn]] void RefuseSource(const std::string& problem) {
  throw Error(ErrorCode::kInvalidArgument, problem);
}

bool IsList(const Type& type) { return type.is_list() || type.kind == Kind::kMap; }

// Walks both trees. `nodes_` are those of the field in preorder, in which `next_` is the next one.
class NestedPlanner {
 public:
  explicit NestedPlanner(const NestedType& type) : plan_(type) {}

  NestedSource Plan(const NestedType& type, const ArrowSchema& column, const std::string& place) {
    const NestedNode& node = plan_[next_++];
    NestedSource source;
    source.kind = node.kind;
    source.item_bytes = node.item_bytes;
    source.list_items = node.list_items;
    source.nullable = node.nullable;
    source.is_text = node.is_text;
    source.is_null = node.is_null;
    source.name = type.name;
    const ArrowSchema& values = UnwrapValues(column, place, source.layers);
    source.type = ParseFormat(values.format);
    source.only_nulls = source.type.kind == Kind::kNull && !node.is_null;
    if (source.only_nulls) {
      // The children have no elements, so it does not matter which columns they are paired with.
      for (const NestedType& child : type.children) {
        source.children.push_back(Plan(child, values, place));
      }
    } else {
      Match(type, values, place, source);
    }
    for (const NestedSource& child : source.children) {
      source.nodes += child.nodes;
    }
    return source;
  }

 private:
  void Match(const NestedType& type, const ArrowSchema& values, const std::string& place,
             NestedSource& source) {
    const Type wanted = ParseFormat(type.format.c_str());
    bool fits = false;
    switch (source.kind) {
      case NestedType::Kind::kItem:
        fits = MatchItems(wanted, source);
        break;
      case NestedType::Kind::kBytes:
        fits = source.type.kind == wanted.kind;
        break;
      case NestedType::Kind::kList:
      case NestedType::Kind::kFixedList:
        fits = IsList(source.type) && values.n_children == 1 &&
               (source.kind == NestedType::Kind::kList || source.type.kind != Kind::kFixedList ||
                source.type.size == std::int64_t{source.list_items});
        if (fits) {
          const bool entries = wanted.kind == Kind::kMap && source.type.kind == Kind::kMap;
          source.children.push_back(
              entries ? PlanEntries(type.children[0], *values.children[0], place + "[]")
                      : Plan(type.children[0], *values.children[0], place + "[]"));
        }
        break;
      case NestedType::Kind::kStruct:
        fits = source.type.kind == Kind::kStruct;
        if (fits) {
          PlanStruct(type, values, place, source);
        }
        break;
    }
    if (!fits) {
      RefuseSource(StrCat("expected ", NestedTypeText(type), " at ", place, " but found ",
                          TypeText(values)));
    }
  }

  static bool MatchItems(const Type& wanted, NestedSource& source) {
    if (source.is_null) {
      return source.type.kind == Kind::kNull;
    }
    const auto found = FindConversion(source.type, wanted, source.item_bytes);
    source.items = found.value_or(ItemsConversion{});
    return found.has_value();
  }

  // The key and the value of a map are found by their places, because their names vary.
  NestedSource PlanEntries(const NestedType& type, const ArrowSchema& column,
                           const std::string& place) {
    if (ParseFormat(column.format).kind != Kind::kStruct || column.dictionary != nullptr ||
        column.n_children != 2) {
      RefuseSource(StrCat("expected entries of a key and a value at ", place, " but found ",
                          TypeText(column)));
    }
    const NestedNode& node = plan_[next_++];
    NestedSource source;
    source.kind = node.kind;
    source.nullable = node.nullable;
    source.name = type.name;
    source.type = ParseFormat(column.format);
    for (std::size_t i = 0; i < 2; ++i) {
      source.children.push_back(
          Plan(type.children[i], *column.children[i], StrCat(place, ".", type.children[i].name)));
      source.children.back().column = static_cast<std::int64_t>(i);
      source.nodes += source.children.back().nodes;
    }
    return source;
  }

  // Children are found by their names, in any order.
  void PlanStruct(const NestedType& type, const ArrowSchema& values, const std::string& place,
                  NestedSource& source) {
    std::unordered_map<std::string_view, std::int64_t> columns;
    for (std::int64_t i = 0; i < values.n_children; ++i) {
      const std::string_view name = NameOf(*values.children[i]);
      if (!columns.emplace(name, i).second) {
        RefuseSource(StrCat(place, " has two fields '", name, "'"));
      }
    }
    for (const NestedType& child : type.children) {
      const auto found = columns.find(child.name);
      if (found == columns.end()) {
        RefuseSource(StrCat("expected a field '", child.name, "' in ", place, " but found none"));
      }
      const std::int64_t column = found->second;
      columns.erase(found);
      source.children.push_back(
          Plan(child, *values.children[column], StrCat(place, ".", child.name)));
      source.children.back().column = column;
    }
    if (!columns.empty()) {
      const auto first = std::ranges::min_element(
          columns, {}, [](const auto& additional) { return additional.second; });
      RefuseSource(StrCat(place, " has a field '", first->first,
                          "' that the type of the store's field does not have"));
    }
  }

  const NestedPlan plan_;
  std::size_t next_ = 0;
};

}  // namespace

NestedSource PlanNested(const NestedType& type, const ArrowSchema& schema,
                        const std::string& place) {
  return NestedPlanner(type).Plan(type, schema, place);
}

const ArrowSchema& UnwrapValues(const ArrowSchema& column, const std::string& place,
                                std::vector<NestedLayer>& layers) {
  const ArrowSchema* at = &column;
  while (true) {
    const Type type = ParseFormat(at->format);
    if (at->dictionary != nullptr) {
      layers.push_back({.is_runs = false, .index = type});
      at = at->dictionary;
    } else if (type.kind == Kind::kRunEnds) {
      if (at->n_children != 2) {
        RefuseSource(StrCat("expected run ends and values at ", place, " but found ",
                            at->n_children, " children"));
      }
      layers.push_back({.is_runs = true, .index = ParseFormat(at->children[0]->format)});
      at = at->children[1];
    } else {
      return *at;
    }
    const Type& index = layers.back().index;
    if (index.kind != Kind::kInteger) {
      RefuseSource(
          StrCat("expected integers as the indices of ", place, " but found ", TypeText(index)));
    }
  }
}

NestedSource PlanMember(const ArrowSchema& column, std::span<const std::int64_t> path,
                        std::optional<NestedSource> member, const std::string& place) {
  NestedSource source;
  source.kind = NestedType::Kind::kStruct;
  const ArrowSchema& values = UnwrapValues(column, place, source.layers);
  source.type = ParseFormat(values.format);
  if (path.empty()) {
    return source;
  }
  NestedSource child =
      path.size() == 1 && member
          ? *std::move(member)
          : PlanMember(*values.children[path[0]], path.subspan(1), std::move(member), place);
  child.column = path[0];
  child.nullable = true;
  child.name.clear();  // the name of the column has it already
  source.nodes += child.nodes;
  source.children.push_back(std::move(child));
  return source;
}

NestedType TypeOfLevels(std::span<const std::string> formats, bool nullable) {
  NestedType type = MakeNestedType(formats.back());
  type.nullable = nullable;
  for (std::size_t i = formats.size() - 1; i-- > 0;) {
    type = MakeNestedType(formats[i], {std::move(type)});
    type.nullable = nullable;
  }
  return type;
}

bool FindUnion(const ArrowSchema& schema, std::string& place) {
  if (schema.dictionary != nullptr) {
    return FindUnion(*schema.dictionary, place);
  }
  const Type type = ParseFormat(schema.format);
  if (type.kind == Kind::kUnion) {
    return true;
  }
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    const ArrowSchema& child = *schema.children[i];
    std::string inner = type.kind == Kind::kStruct    ? StrCat(place, ".", NameOf(child))
                        : type.kind == Kind::kRunEnds ? place
                                                      : place + "[]";
    if (FindUnion(child, inner)) {
      place = std::move(inner);
      return true;
    }
  }
  return false;
}

}  // namespace stream_store::arrow
