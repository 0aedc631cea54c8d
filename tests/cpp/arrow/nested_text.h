// Cells as text, so that the expected cells of a test are easy to read:
// [{role: "user", n: 3}, null].
#pragma once

#include <string>
#include <vector>

#include "stream_store/nested.h"
#include "stream_store/store.h"

namespace stream_store::testing {

inline std::string HexOf(std::span<const std::byte> bytes) {
  std::string text = "0x";
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    text += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return text;
}

inline std::string ItemText(const NestedType& type, NestedDecoder& cell) {
  const char kind = type.format[0];
  if (kind == 'b') {
    return cell.Bool() ? "true" : "false";
  }
  if (kind == 'L') {
    return std::to_string(cell.UInt());
  }
  if (kind == 'e' || kind == 'f' || kind == 'g') {
    const std::string number = std::to_string(cell.Float());
    return number.substr(0, number.find_last_not_of('0') + 1);
  }
  return kind == 'd' || type.format.starts_with("ti") ? HexOf(cell.Item())
                                                      : std::to_string(cell.Int());
}

inline std::string TextOf(const NestedType& type, NestedDecoder& cell) {
  if (cell.Null()) {
    return "null";
  }
  std::string text;
  switch (type.kind) {
    case NestedType::Kind::kItem:
      return type.format.starts_with("w:") ? '"' + std::string(cell.Text()) + '"'
                                           : ItemText(type, cell);
    case NestedType::Kind::kBytes:
      return '"' + std::string(cell.Text()) + '"';
    case NestedType::Kind::kList:
    case NestedType::Kind::kFixedList:
      for (std::uint64_t left = cell.BeginList(); left > 0; --left) {
        text += (text.empty() ? "" : ", ") + TextOf(type.children[0], cell);
      }
      return "[" + text + "]";
    case NestedType::Kind::kStruct:
      cell.BeginStruct();
      for (const NestedType& child : type.children) {
        text += (text.empty() ? "" : ", ") + child.name + ": " + TextOf(child, cell);
      }
      return "{" + text + "}";
  }
  return text;
}

/// The cells of the first field of a store, row by row; "missing" if a row has none.
inline std::vector<std::string> CellsOf(const StreamStore& store) {
  const Reader reader = store.reader();
  const NestedType type = ParseNestedType(reader.schema()[0].nested);
  NestedDecoder cell(type);
  std::vector<std::string> texts;
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    texts.emplace_back("missing");
    for (const auto& [field, words] : reader.row(row)) {
      if (field != 0) {
        continue;  // the marker of a struct
      }
      cell.Open(PackedBytes(reader.schema()[field], words));
      texts.back() = TextOf(type, cell);
    }
  }
  return texts;
}

}  // namespace stream_store::testing
