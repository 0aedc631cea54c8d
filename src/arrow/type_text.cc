// Texts of Arrow types for messages.

#include <algorithm>

#include "arrow/type.h"
#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

namespace {

std::string UnitText(char unit) { return unit == 's' ? "s" : std::string(1, unit) + "s"; }

}  // namespace

std::string TypeText(const Type& type) {
  switch (type.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBool:
      return "bool";
    case Kind::kInteger:
      return StrCat(type.is_signed ? "int" : "uint", type.bits);
    case Kind::kFloat:
      return StrCat("float", type.bits);
    case Kind::kDate:
      return StrCat("date", type.bits);
    case Kind::kTime:
      return StrCat("time", type.bits, "[", UnitText(type.unit), "]");
    case Kind::kTimestamp:
      return StrCat("timestamp[", UnitText(type.unit), type.text.empty() ? "" : ", tz=", type.text,
                    "]");
    case Kind::kDuration:
      return StrCat("duration[", UnitText(type.unit), "]");
    case Kind::kDecimal:
      return StrCat("decimal", type.bits, "(", type.precision, ", ", type.scale, ")");
    case Kind::kString:
    case Kind::kBinary: {
      const std::string name = type.kind == Kind::kString ? "string" : "binary";
      return type.bits == 0 ? name + "_view" : (type.bits == 64 ? "large_" : "") + name;
    }
    case Kind::kFixedBinary:
      return StrCat("fixed_size_binary[", type.size, "]");
    case Kind::kList:
      return type.bits == 64 ? "large_list" : "list";
    case Kind::kListView:
      return type.bits == 64 ? "large_list_view" : "list_view";
    case Kind::kFixedList:
      return StrCat("fixed_size_list[", type.size, "]");
    case Kind::kStruct:
      return "struct";
    case Kind::kMap:
      return "map";
    case Kind::kRunEnds:
      return "run_end_encoded";
    case Kind::kMonths:
      return "month_interval";
    case Kind::kDayTime:
      return "day_time_interval";
    case Kind::kMonthDayNano:
      return "month_day_nano_interval";
    case Kind::kUnion:
      return type.text.starts_with("+ud:") ? "dense_union" : "sparse_union";
    case Kind::kOther:
      break;
  }
  return StrCat("a type of Arrow format '", type.text, "'");
}

namespace {

// "type, type" or, named, "name: type, name: type".
std::string ChildrenText(const ArrowSchema& schema, bool named) {
  constexpr std::int64_t kMostShown = 8;
  std::string text;
  for (std::int64_t i = 0; i < std::min(schema.n_children, kMostShown); ++i) {
    const ArrowSchema& child = *schema.children[i];
    text += i == 0 ? "" : ", ";
    if (named) {
      text += child.name == nullptr ? "" : child.name;
      text += ": ";
    }
    text += TypeText(child);
  }
  return schema.n_children > kMostShown ? text + ", …" : text;
}

}  // namespace

std::string TypeText(const ArrowSchema& schema) {
  if (schema.dictionary != nullptr) {
    return StrCat("dictionary<", TypeText(*schema.dictionary), ">");
  }
  const Type type = ParseFormat(schema.format);
  switch (type.kind) {
    case Kind::kStruct:
    case Kind::kUnion:
      return StrCat(TypeText(type), "<", ChildrenText(schema, /*named=*/true), ">");
    case Kind::kList:
    case Kind::kListView:
    case Kind::kFixedList:
      return StrCat(TypeText(type), "<", ChildrenText(schema, /*named=*/false), ">");
    case Kind::kMap:
      return StrCat(
          "map<", schema.n_children == 1 ? ChildrenText(*schema.children[0], /*named=*/false) : "",
          ">");
    case Kind::kRunEnds:
      return StrCat("run_end_encoded<", schema.n_children == 2 ? TypeText(*schema.children[1]) : "",
                    ">");
    default:
      return TypeText(type);
  }
}

}  // namespace stream_store::arrow
