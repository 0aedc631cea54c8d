#include "arrow/import_items.h"

#include "base/str_cat.h"

namespace stream_store::arrow {

using internal::StrCat;

bool AcceptsItems(DType dtype, const Type& declared, const Type& column) {
  const auto other = DTypeOf(column);
  if (!other) {
    return false;
  }
  if ((IsInteger(dtype) && IsInteger(*other)) || (IsFloat(dtype) && IsFloat(*other))) {
    return true;
  }
  if (dtype != *other) {
    return false;
  }
  switch (column.kind) {
    case Kind::kTimestamp:
      return column.text == declared.text;
    case Kind::kDecimal:
      return column.scale == declared.scale && column.precision <= declared.precision;
    case Kind::kFixedBinary:
      return column.size == declared.size;
    default:
      return true;
  }
}

Source SourceOfType(const Type& type) {
  const auto pick = [&](Source narrowest) {
    const int place = type.bits == 8 ? 0 : type.bits == 16 ? 1 : type.bits == 32 ? 2 : 3;
    return static_cast<Source>(static_cast<int>(narrowest) + place);
  };
  switch (type.kind) {
    case Kind::kBool:
      return Source::kBool;
    case Kind::kInteger:
      return pick(type.is_signed ? Source::kInt8 : Source::kUInt8);
    case Kind::kFloat:
      return type.bits == 16   ? Source::kFloat16
             : type.bits == 32 ? Source::kFloat32
                               : Source::kFloat64;
    case Kind::kDecimal:
      return Source::kWords;
    case Kind::kString:
    case Kind::kBinary:
    case Kind::kFixedBinary:
      return Source::kBytes;
    default:
      return pick(Source::kInt8);
  }
}

std::uint64_t ItemBytes(const Type& type) {
  switch (type.kind) {
    case Kind::kNull:
    case Kind::kBool:
    case Kind::kString:
    case Kind::kBinary:
      return 1;
    case Kind::kFixedBinary:
      return static_cast<std::uint64_t>(type.size);
    default:
      return static_cast<std::uint64_t>(type.bits) / 8;
  }
}

std::string DeclaredText(const Field& field, const std::vector<std::string>& levels) {
  std::string text;
  std::string closing;
  for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
    text += StrCat(TypeText(ParseFormat(levels[i].c_str())), "<");
    closing += '>';
  }
  text += TypeText(ParseFormat(levels.back().c_str())) + closing;
  return field.packed ? "packed " + text : text;
}

}  // namespace stream_store::arrow
