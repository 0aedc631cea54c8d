// MutantStream::Fields(): fields for the columns of a stream, some of which do not fit.
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "fuzz/mutant_stream.h"

namespace stream_store::fuzz {
namespace {

// The type of the cells that hold a column; some children do not accept nulls.
NestedType NestedTypeOf(const Node& node, Draw& draw) {
  if (node.dictionary) {
    return NestedTypeOf(*node.dictionary, draw);
  }
  if (node.format == "+r") {
    return NestedTypeOf(*node.children[1], draw);
  }
  std::vector<NestedType> children;
  for (const auto& child : node.children) {
    children.push_back(NestedTypeOf(*child, draw));
    children.back().name = child->name;
    if (draw.Chance(20) || child->name == "entries" || child->name == "key") {
      children.back().nullable = false;
    }
  }
  return MakeNestedType(node.format, std::move(children));
}

DType DTypeOf(const std::string& format) {
  const std::array<std::pair<const char*, DType>, 20> known = {{
      {"l", DType::kInt64},          {"f", DType::kFloat32},  {"u", DType::kString},
      {"U", DType::kString},         {"vu", DType::kString},  {"z", DType::kBinary},
      {"Z", DType::kBinary},         {"vz", DType::kBinary},  {"b", DType::kBool},
      {"c", DType::kInt8},           {"C", DType::kUInt8},    {"s", DType::kInt16},
      {"i", DType::kInt32},          {"L", DType::kUInt64},   {"e", DType::kFloat16},
      {"g", DType::kFloat64},        {"tdD", DType::kDate32}, {"tts", DType::kTime32S},
      {"tsu:", DType::kTimestampUs}, {"n", DType::kNull},
  }};
  for (const auto& [text, dtype] : known) {
    if (format == text) {
      return dtype;
    }
  }
  return DType::kInt32;
}

// A flat field for a column, with a dimension for each of its lists.
Field FlatField(const Node& node, Draw& draw) {
  Field field;
  const Node* item = node.dictionary ? node.dictionary.get() : &node;
  for (; item->format.size() > 1 && item->format[0] == '+' && !item->children.empty();
       item = item->children[0].get()) {
    const std::uint32_t dimension =
        draw.Below(3) == 0 ? static_cast<std::uint32_t>(1 + draw.Below(3)) : kRagged;
    const bool fixed = item->format.starts_with("+w:") && item->format[3] != '0';
    field.shape.push_back(fixed                 ? static_cast<std::uint32_t>(item->format[3] - '0')
                          : field.shape.empty() ? dimension
                                                : 1 + static_cast<std::uint32_t>(draw.Below(3)));
  }
  field.dtype = DTypeOf(item->format);
  if (item->format == "w:3" && field.shape.empty()) {
    field.dtype = DType::kFixedBinary;
    field.shape = {3};
  }
  if (draw.Chance(20)) {
    field.dtype = static_cast<DType>(draw.Below(kDTypeCount));
  }
  return field;
}

// Makes the fields of columns, and the markers of structs that are split into their leaves.
class FieldMaker {
 public:
  explicit FieldMaker(Draw& draw) : draw_(draw) {}

  void Add(const Node& node, std::vector<std::string> path) {
    path.push_back(node.name);
    std::string name;
    for (const std::string& part : path) {
      name += name.empty() ? "" : ".";
      name += part;
    }
    if (draw_.Below(2) == 0 && AddNested(node, name, path)) {
      return;
    }
    if (node.format == "+s" && !node.children.empty()) {
      for (const auto& child : node.children) {
        Add(*child, path);
      }
      markers_.push_back({.name = name, .dtype = DType::kNull, .path = path, .hidden = true});
      return;
    }
    Field field = FlatField(node, draw_);
    field.name = name;
    field.path = path;
    fields_.push_back(std::move(field));
  }

  std::vector<Field> Finish() && {
    fields_.insert(fields_.end(), markers_.begin(), markers_.end());
    return std::move(fields_);
  }

 private:
  // Returns false if the column has a type that a nested cell cannot have; it becomes a flat field.
  bool AddNested(const Node& node, const std::string& name, const std::vector<std::string>& path) {
    try {
      fields_.push_back({.name = name,
                         .dtype = DType::kNested,
                         .path = path,
                         .nested = NestedTypeText(NestedTypeOf(node, draw_))});
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  Draw& draw_;
  std::vector<Field> fields_;
  std::vector<Field> markers_;
};

}  // namespace

std::vector<Field> MutantStream::Fields(Draw& draw) const {
  FieldMaker maker(draw);
  for (const auto& column : batches.front()->children) {
    maker.Add(*column, {});
  }
  return std::move(maker).Finish();
}

}  // namespace stream_store::fuzz
