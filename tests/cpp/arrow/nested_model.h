// Random nested cells, and the text of elements of Arrow arrays to compare them with.
//
// A cell is generated together with its text, so the expected text comes neither from the library's
// encoder nor from its export. The text of an array is read as the specification of the C data
// interface says.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

#include "stream_store/nested.h"

#include "arrow/consumer.h"

namespace stream_store::testing {

/// Appends random values of a type to an encoder and returns their text.
class RandomCells {
 public:
  explicit RandomCells(std::uint32_t seed) : random_(seed) {}

  /// One cell, which must be finished by the caller.
  std::string Cell(const NestedType& type, NestedEncoder& out) { return Present(type, out); }

  std::uint32_t Below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_()) % limit; }

 private:
  std::string Element(const NestedType& type, NestedEncoder& out) {
    if (type.format == "n" || (type.nullable && Below(4) == 0)) {
      out.Null();
      return "null";
    }
    return Present(type, out);
  }

  std::string Present(const NestedType& type, NestedEncoder& out) {
    switch (type.kind) {
      case NestedType::Kind::kItem:
        return Item(type, out);
      case NestedType::Kind::kBytes: {
        const std::string text(Below(20), static_cast<char>('a' + Below(26)));
        out.Text(text);
        return '"' + text + '"';
      }
      case NestedType::Kind::kList:
        return List(type, Below(4), out);
      case NestedType::Kind::kFixedList:
        return List(type, type.size, out);
      case NestedType::Kind::kStruct:
        break;
    }
    std::string text = "{";
    out.BeginStruct();
    for (const NestedType& child : type.children) {
      text += Element(child, out) + ",";
    }
    out.EndStruct();
    return text + "}";
  }

  std::string List(const NestedType& type, std::uint32_t length, NestedEncoder& out) {
    std::string text = "[";
    out.BeginList();
    for (std::uint32_t i = 0; i < length; ++i) {
      text += Element(type.children[0], out) + ",";
    }
    out.EndList();
    return text + "]";
  }

  // Random bytes, as hexadecimal digits; a bool as 0 or 1.
  std::string Item(const NestedType& type, NestedEncoder& out) {
    if (type.format == "b") {
      const bool value = Below(2) == 1;
      out.Bool(value);
      return value ? "1" : "0";
    }
    std::string bytes(type.size, '\0');
    for (char& byte : bytes) {
      byte = static_cast<char>(Below(256));
    }
    out.Item(std::as_bytes(std::span(bytes)));
    return Hex(bytes);
  }

 public:
  static std::string Hex(std::string_view bytes) {
    std::string text = "x";
    for (const char byte : bytes) {
      text += "0123456789abcdef"[static_cast<unsigned char>(byte) >> 4];
      text += "0123456789abcdef"[static_cast<unsigned char>(byte) & 15];
    }
    return text;
  }

 private:
  std::mt19937 random_;
};

/// The bytes of an item of a format, or -1 if it is not that of items of fixed size.
inline std::int64_t ItemBytes(const std::string& format) {
  if (format.starts_with("w:")) {
    return std::stoll(format.substr(2));
  }
  if (format.starts_with("d:")) {
    const std::size_t comma = format.rfind(',');
    return comma == format.find(',') ? 16 : std::stoll(format.substr(comma + 1)) / 8;
  }
  if (format.starts_with("ts") || format.starts_with("tD") || format == "tdm" || format == "ttu" ||
      format == "ttn" || format == "tiD" || format == "l" || format == "L" || format == "g") {
    return 8;
  }
  if (format == "tin") {
    return 16;
  }
  if (format == "tdD" || format == "tts" || format == "ttm" || format == "tiM" || format == "i" ||
      format == "I" || format == "f") {
    return 4;
  }
  if (format == "s" || format == "S" || format == "e") {
    return 2;
  }
  return format == "c" || format == "C" ? 1 : -1;
}

std::string TextOf(const ArrowSchema& schema, const ArrowArray& array, std::int64_t i);

/// The text of elements [begin, end) of a list's child.
inline std::string TextOfItems(const ArrowSchema& schema, const ArrowArray& array,
                               std::int64_t begin, std::int64_t end) {
  std::string text = "[";
  for (std::int64_t i = begin; i < end; ++i) {
    text += TextOf(*schema.children[0], *array.children[0], i) + ",";
  }
  return text + "]";
}

/// The view at element `i` of an array of views.
inline std::string ViewAt(const ArrowArray& array, std::int64_t i) {
  const char* view = static_cast<const char*>(array.buffers[1]) + 16 * (array.offset + i);
  std::int32_t parts[4];
  std::memcpy(parts, view, sizeof(parts));
  const auto bytes = static_cast<std::size_t>(parts[0]);
  if (bytes <= 12) {
    return {view + 4, bytes};
  }
  const char* data = static_cast<const char*>(array.buffers[2 + parts[2]]) + parts[3];
  if (std::memcmp(data, view + 4, 4) != 0) {
    throw std::runtime_error("the prefix of a view differs from its text");
  }
  return {data, bytes};
}

/// The text of element `i` of an array, in the form of RandomCells.
inline std::string TextOf(const ArrowSchema& schema, const ArrowArray& array, std::int64_t i) {
  const std::string format = schema.format;
  if (i < 0 || i >= array.length) {
    throw std::runtime_error("an element is outside of its array of format " + format);
  }
  if (format == "n" || !Valid(array, i)) {
    return "null";
  }
  if (format == "b") {
    return BoolAt(array, i) ? "1" : "0";
  }
  if (const std::int64_t bytes = ItemBytes(format); bytes >= 0) {
    const char* items = static_cast<const char*>(array.buffers[1]);
    return RandomCells::Hex({items + (array.offset + i) * bytes, static_cast<std::size_t>(bytes)});
  }
  if (format == "vu" || format == "vz") {
    return '"' + ViewAt(array, i) + '"';
  }
  if (format == "u" || format == "z") {
    return '"' + TextAt(array, i) + '"';
  }
  const char* text = array.n_buffers > 2 ? static_cast<const char*>(array.buffers[2]) : nullptr;
  if (format == "U" || format == "Z") {
    const auto begin = At<std::int64_t>(array, i);
    return '"' + std::string(text + begin, text + At<std::int64_t>(array, i + 1)) + '"';
  }
  if (format == "+l" || format == "+m") {
    return TextOfItems(schema, array, At<std::int32_t>(array, i), At<std::int32_t>(array, i + 1));
  }
  if (format == "+L") {
    return TextOfItems(schema, array, At<std::int64_t>(array, i), At<std::int64_t>(array, i + 1));
  }
  if (format == "+vl" || format == "+vL") {
    const auto number = [&](int buffer) {
      const auto* numbers = static_cast<const char*>(array.buffers[buffer]);
      std::int32_t narrow = 0;
      std::int64_t wide = 0;
      std::memcpy(&narrow, numbers + 4 * i, sizeof(narrow));
      if (format == "+vL") {
        std::memcpy(&wide, numbers + 8 * i, sizeof(wide));
      }
      return format == "+vL" ? wide : narrow;
    };
    return TextOfItems(schema, array, number(1), number(1) + number(2));
  }
  if (format.starts_with("+w:")) {
    const std::int64_t size = std::stoll(format.substr(3));
    return TextOfItems(schema, array, (array.offset + i) * size, (array.offset + i + 1) * size);
  }
  if (format != "+s") {
    throw std::runtime_error("an unknown format: " + format);
  }
  std::string all = "{";
  for (std::int64_t child = 0; child < array.n_children; ++child) {
    if (array.children[child]->length < array.length + array.offset) {
      throw std::runtime_error("a child of a struct is shorter than the struct");
    }
    all += TextOf(*schema.children[child], *array.children[child], i) + ",";
  }
  return all + "}";
}

}  // namespace stream_store::testing
