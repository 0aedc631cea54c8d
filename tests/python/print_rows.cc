// Prints the rows of stores as JSON: for each store one line with the array of its rows.
//
//     print_rows runs/a runs/b
//
// test_feature_table_cpp.py compiles it against the public headers and compares its output
// with the samples of every feature. Integers, bools and the counts of dates and times are numbers,
// and UTF-8 texts are strings. Everything else is printed as the hexadecimal digits of its bytes, so
// that the comparison is exact: floats, decimals, intervals and binaries. Missing fields are left
// out, and a null inside a cell is null.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stream_store/nested.h"
#include "stream_store/reader.h"

namespace {

using stream_store::DType;
using stream_store::DTypeInfo;
using stream_store::DTypeKind;
using stream_store::Field;
using stream_store::NestedDecoder;
using stream_store::NestedType;
using stream_store::PackedBytes;
using stream_store::Reader;
using stream_store::Row;
using stream_store::TypeId;
using stream_store::Value;

using Bytes = std::span<const std::byte>;

// --- items ---

std::string Hex(Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "\"";
  for (const std::byte byte : bytes) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text + '"';
}

std::string Quoted(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (code < 0x20) {
      quoted += "\\u00";
      quoted += kDigits[code >> 4];
      quoted += kDigits[code & 15];
      continue;
    }
    if (letter == '"' || letter == '\\') {
      quoted += '\\';
    }
    quoted += letter;
  }
  return quoted + '"';
}

template <class Integer>
std::string Number(Bytes item) {
  Integer number = 0;
  std::memcpy(&number, item.data(), sizeof(number));
  return std::to_string(number);
}

// The integer in an item of 1, 2, 4 or 8 bytes.
std::string Integer(Bytes item, bool is_signed) {
  switch (item.size()) {
    case 1:
      return is_signed ? Number<std::int8_t>(item) : Number<std::uint8_t>(item);
    case 2:
      return is_signed ? Number<std::int16_t>(item) : Number<std::uint16_t>(item);
    case 4:
      return is_signed ? Number<std::int32_t>(item) : Number<std::uint32_t>(item);
    default:
      return is_signed ? Number<std::int64_t>(item) : Number<std::uint64_t>(item);
  }
}

// --- flat and packed fields ---

std::string ItemText(const Field& field, Bytes item) {
  switch (stream_store::InfoOf(field.dtype).kind) {
    case DTypeKind::kNull:
      return "null";
    case DTypeKind::kBool:
      return item[0] == std::byte{0} ? "false" : "true";
    case DTypeKind::kFloat:
    case DTypeKind::kDecimal:
      return Hex(item);
    default:
      return Integer(item, stream_store::InfoOf(field.dtype).kind != DTypeKind::kUInt);
  }
}

// The items as lists: one level for each dimension of the shape from `level` on.
std::string ArrayText(const Field& field, std::size_t level, Bytes items, std::size_t item_bytes) {
  if (level == field.shape.size()) {
    return ItemText(field, items);
  }
  std::size_t each = item_bytes;
  for (std::size_t inner = level + 1; inner < field.shape.size(); ++inner) {
    each *= field.shape[inner];
  }
  std::string text = "[";
  for (std::size_t at = 0; at < items.size(); at += each) {
    text += at == 0 ? "" : ", ";
    text += ArrayText(field, level + 1, items.subspan(at, each), item_bytes);
  }
  return text + ']';
}

std::string FlatText(const Reader& reader, TypeId type, std::span<const Value> words) {
  const Field& field = reader.schema()[type];
  const DTypeInfo& info = stream_store::InfoOf(field.dtype);
  std::vector<std::byte> decoded;
  Bytes bytes;
  if (field.packed) {
    bytes = PackedBytes(field, words);
  } else if (info.kind == DTypeKind::kDecimal) {
    bytes = std::as_bytes(words);
  } else {
    decoded.resize(words.size() * info.item_bytes);
    reader.Decode(words, type, decoded.data());
    bytes = decoded;
  }
  if (field.dtype == DType::kString) {
    return Quoted({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  return info.kind == DTypeKind::kBytes ? Hex(bytes) : ArrayText(field, 0, bytes, info.item_bytes);
}

// --- nested fields ---

// The item or text of a leaf, by the Arrow format of its type.
std::string LeafText(const NestedType& type, NestedDecoder& cell) {
  const std::string& format = type.format;
  if (format == "b") {
    return cell.Bool() ? "true" : "false";
  }
  if (format == "u" || format == "U" || format == "vu") {
    return Quoted(cell.Text());
  }
  if (type.kind == NestedType::Kind::kBytes) {
    return Hex(std::as_bytes(std::span(cell.Text())));
  }
  if (format == "L") {
    return std::to_string(cell.UInt());
  }
  const bool is_interval = format.starts_with("ti");
  const bool is_integer = std::string_view("cCsSiIl").find(format) != std::string_view::npos;
  if (is_integer || (format.starts_with('t') && !is_interval)) {
    return std::to_string(cell.Int());
  }
  return Hex(cell.Item());
}

std::string CellText(const NestedType& type, NestedDecoder& cell) {
  if (cell.Null()) {
    return "null";
  }
  if (type.kind == NestedType::Kind::kStruct) {
    std::string text = "{";
    cell.BeginStruct();
    for (const NestedType& child : type.children) {
      text += text.size() == 1 ? "" : ", ";
      text += Quoted(child.name) + ": " + CellText(child, cell);
    }
    return text + '}';
  }
  if (type.kind == NestedType::Kind::kList || type.kind == NestedType::Kind::kFixedList) {
    std::string text = "[";
    for (std::uint64_t left = cell.BeginList(); left > 0; --left) {
      text += text.size() == 1 ? "" : ", ";
      text += CellText(type.children[0], cell);
    }
    return text + ']';
  }
  return LeafText(type, cell);
}

std::string NestedText(const Field& field, std::span<const Value> words) {
  const NestedType type = stream_store::ParseNestedType(field.nested);
  NestedDecoder cell(type);
  cell.Open(PackedBytes(field, words));
  return CellText(type, cell);
}

// --- rows ---

// A column of a row, or a part of a struct.
struct Part {
  std::string json;  // empty for a struct
  std::vector<std::pair<std::string, std::size_t>> parts;
};

// The columns of one row. The leaves of a struct are fields of their own, and so is the marker of a
// struct whose leaves are all missing; Field::path says where each belongs.
class Columns {
 public:
  void Add(const Field& field, std::string json) {
    std::size_t place = 0;
    const std::vector<std::string> only = {field.name};
    for (const std::string& name : field.path.empty() ? only : field.path) {
      place = Enter(place, name);
    }
    parts_[place].json = std::move(json);
  }

  std::string Text(std::size_t place = 0) const {
    const Part& part = parts_[place];
    if (!part.json.empty()) {
      return part.json;
    }
    std::string text = "{";
    for (const auto& [name, inner] : part.parts) {
      text += text.size() == 1 ? "" : ", ";
      text += Quoted(name) + ": " + Text(inner);
    }
    return text + '}';
  }

 private:
  std::size_t Enter(std::size_t place, const std::string& name) {
    for (const auto& [known, inner] : parts_[place].parts) {
      if (known == name) {
        return inner;
      }
    }
    parts_[place].parts.emplace_back(name, parts_.size());
    parts_.emplace_back();
    return parts_.size() - 1;
  }

  std::vector<Part> parts_{1};
};

std::string RowText(const Reader& reader, Row row) {
  Columns columns;
  for (const auto& [type, words] : reader.row(row)) {
    const Field& field = reader.schema()[type];
    if (field.hidden) {
      columns.Add(field, "");
    } else {
      columns.Add(field, field.dtype == DType::kNested ? NestedText(field, words)
                                                       : FlatText(reader, type, words));
    }
  }
  return columns.Text();
}

}  // namespace

int main(int count, char** arguments) {
  try {
    for (int i = 1; i < count; ++i) {
      const Reader reader = Reader::Open(arguments[i]);
      std::cout << '[';
      for (std::uint64_t row = 0; row < reader.num_rows(); ++row) {
        std::cout << (row == 0 ? "" : ", ") << RowText(reader, static_cast<Row>(row));
      }
      std::cout << "]\n";
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
