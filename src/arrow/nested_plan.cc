#include "arrow/nested_plan.h"

#include <algorithm>
#include <utility>

#include "stream_store/error.h"

#include "arrow/type.h"
#include "base/str_cat.h"
#include "format/nested_format.h"

namespace stream_store::arrow {

using internal::NestedFormat;
using internal::NestedItem;

namespace {

using Form = NestedNodePlan::Form;

// Whether the cells of a node may be exported in another format: one of the same values.
bool SameValues(const NestedFormat& own, const NestedFormat& asked) {
  if (own.kind != asked.kind || own.size != asked.size || own.is_text != asked.is_text ||
      own.is_map != asked.is_map) {
    return false;
  }
  if (own.kind != NestedType::Kind::kItem || own.canonical == asked.canonical) {
    return true;
  }
  // Timestamps of the same unit: the time zone does not change the numbers.
  return own.canonical.starts_with("ts") && own.canonical.compare(0, 3, asked.canonical, 0, 3) == 0;
}

Form FormOf(const NestedFormat& format) {
  switch (format.kind) {
    case NestedType::Kind::kItem:
      return format.item == NestedItem::kNull   ? Form::kNull
             : format.item == NestedItem::kBool ? Form::kBools
                                                : Form::kItems;
    case NestedType::Kind::kBytes:
      return Form::kText;
    case NestedType::Kind::kList:
      return format.canonical.starts_with("+v") ? Form::kListView : Form::kList;
    case NestedType::Kind::kFixedList:
      return Form::kFixedList;
    case NestedType::Kind::kStruct:
      break;
  }
  return Form::kStruct;
}

int OffsetBits(const NestedFormat& format) {
  if (format.canonical == "vu" || format.canonical == "vz") {
    return 0;
  }
  const char last = format.canonical.back();
  return last == 'U' || last == 'Z' || last == 'L' ? 64 : 32;
}

// Walks both types together and adds their nodes to the plan.
class Planner {
 public:
  explicit Planner(NestedLeafPlan& plan) : plan_(plan) {}

  // Returns false if the types do not fit. `is_named` says whether the name of this node counts:
  // those of a struct's children do, but not those of the key and the value of a map.
  bool Add(const NestedType& own, const SchemaNode& asked, bool is_named, bool is_entries = false) {
    const auto own_format = internal::ReadNestedFormat(own.format);
    const auto asked_format = internal::ReadNestedFormat(asked.format);
    if (!own_format || !asked_format || !SameValues(*own_format, *asked_format) ||
        own.children.size() != asked.children.size() || (is_named && own.name != asked.name)) {
      return false;
    }
    const std::size_t index = plan_.nodes.size();
    NestedNodePlan& node = plan_.nodes.emplace_back();
    node.form = FormOf(*asked_format);
    node.nullable = (asked.flags & ARROW_FLAG_NULLABLE) != 0;
    node.offset_bits = OffsetBits(*asked_format);
    node.size = own.size;
    node.name = own.name;
    const bool names_count = own.kind == NestedType::Kind::kStruct && !is_entries;
    for (std::size_t i = 0; i < own.children.size(); ++i) {
      if (!Add(own.children[i], asked.children[i], names_count, own_format->is_map)) {
        return false;
      }
    }
    plan_.nodes[index].end = static_cast<std::uint32_t>(plan_.nodes.size());
    return true;
  }

 private:
  NestedLeafPlan& plan_;
};

NestedType TypeOf(const SchemaNode& node) {
  std::vector<NestedType> children;
  for (const SchemaNode& child : node.children) {
    children.push_back(TypeOf(child));
    children.back().name = child.name;
    children.back().nullable = (child.flags & ARROW_FLAG_NULLABLE) != 0;
  }
  return MakeNestedType(node.format, std::move(children));
}

}  // namespace

// Saturates far above any size of a batch, so that no product overflows.
std::uint64_t NestedLeafPlan::MissingBits(std::size_t node) const {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
  const NestedNodePlan& plan = nodes[node];
  std::uint64_t bits = 1;  // validity
  switch (plan.form) {
    case Form::kNull:
    case Form::kBools:
      return 1;
    case Form::kItems:
      return bits + 8 * plan.size;
    case Form::kText:
    case Form::kList:
    case Form::kListView:
      return bits + 64;
    case Form::kFixedList:
      return bits + std::min(kMost / std::max<std::uint64_t>(plan.size, 1), MissingBits(node + 1)) *
                        plan.size;
    case Form::kStruct:
      for (std::size_t child = node + 1; child < plan.end; child = nodes[child].end) {
        bits = std::min(kMost, bits + MissingBits(child));
      }
      return bits;
  }
  return bits;
}

std::string NestedLeafPlan::PlaceOf(std::size_t node) const {
  std::string place;
  std::size_t at = 0;
  while (at != node) {
    std::size_t child = at + 1;
    while (nodes[child].end <= node) {
      child = nodes[child].end;
    }
    place += nodes[at].form == Form::kStruct ? "." + nodes[child].name : "[]";
    at = child;
  }
  return place;
}

SchemaNode NestedNodeOf(const NestedType& type) {
  SchemaNode node;
  node.format = type.format;
  node.name = type.name;
  node.flags = (type.nullable ? ARROW_FLAG_NULLABLE : 0) |
               (type.keys_sorted ? ARROW_FLAG_MAP_KEYS_SORTED : 0);
  for (const NestedType& child : type.children) {
    node.children.push_back(NestedNodeOf(child));
  }
  return node;
}

std::optional<NestedLeafPlan> PlanNested(const NestedType& own, const SchemaNode& asked) {
  NestedLeafPlan plan{.blocks = internal::NestedPlan(own), .nodes = {}};
  if (!Planner(plan).Add(own, asked, /*is_named=*/false)) {
    return std::nullopt;
  }
  return plan;
}

std::string NodeText(const SchemaNode& node) {
  try {
    return NestedTypeText(TypeOf(node));
  } catch (const Error&) {  // a type that no cell can have
    return TypeText(ParseFormat(node.format.c_str()));
  }
}

}  // namespace stream_store::arrow
