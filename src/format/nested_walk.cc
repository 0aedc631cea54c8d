// Places and texts for messages about the values of a nested cell.

#include "format/nested_walk.h"

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

using Kind = NestedType::Kind;

std::string Describe(const NestedType& type) {
  switch (type.kind) {
    case Kind::kList:
      return type.format == "+m" ? "a list of the entries of a map" : "a list";
    case Kind::kFixedList:
      return StrCat("a list of ", type.size, type.size == 1 ? " item" : " items");
    case Kind::kStruct:
      return "a struct";
    case Kind::kBytes:
      return type.format == "u" || type.format == "U" || type.format == "vu" ? "a string"
                                                                             : "a binary";
    case Kind::kItem:
      break;
  }
  const std::string text = NestedTypeText(type);
  return text == "null" ? text : StrCat(text.starts_with('i') ? "an " : "a ", text);
}

void AppendTexts(const NestedType& type, std::vector<std::string>& names,
                 std::vector<std::string>& descriptions) {
  names.push_back(type.name);
  descriptions.push_back(Describe(type));
  for (const NestedType& child : type.children) {
    AppendTexts(child, names, descriptions);
  }
}

}  // namespace

NestedNodes::NestedNodes(const NestedType& type) : plan_(type) {
  AppendTexts(type, names_, descriptions_);
}

std::string NestedWalk::PlaceAt(std::size_t depth) const {
  std::string place;
  for (std::size_t i = 0; i < depth; ++i) {
    const Frame& frame = frames_[i];
    if ((*nodes_)[frame.node].kind != Kind::kStruct) {
      place += StrCat('[', frame.count, ']');
    } else if (frame.next != kNoNode) {
      place += StrCat('.', nodes_->name(frame.next));
    }
  }
  return place;
}

void FailAt(const std::string& place, std::string_view expected, std::string_view found) {
  throw Error(ErrorCode::kInvalidArgument, StrCat(place, place.empty() ? "" : ": ", "expected ",
                                                  expected, " but found ", found));
}

}  // namespace stream_store::internal
