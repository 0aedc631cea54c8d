// A plain model of nested cells: a tree of values, and a serialiser written from docs/format.md
// without the code under test. Also random types and cells, and how a tree is written and read
// through the public encoder and decoder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "stream_store/nested.h"

namespace stream_store::testing {

/// One value. Null has neither bytes nor children.
struct Cell {
  bool is_null = false;
  std::string bytes = {};           ///< of items and texts
  std::vector<Cell> children = {};  ///< elements of a list, fields of a struct

  friend bool operator==(const Cell&, const Cell&) = default;
};

/// The little-endian bytes of a number.
template <class T>
std::string BytesOf(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

inline Cell ItemCell(std::string bytes) { return {.bytes = std::move(bytes)}; }

inline Cell ParentCell(std::vector<Cell> children) { return {.children = std::move(children)}; }

inline Cell NullCell() { return {.is_null = true}; }

// --- the serialiser ---

inline void PutNode(const NestedType& type, const std::vector<const Cell*>& slots, bool is_root,
                    std::string& out) {
  using Kind = NestedType::Kind;
  std::vector<const Cell*> present;
  std::string bitmap((slots.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i]->is_null || type.format == "n") {
      present.push_back(slots[i]);
      bitmap[i / 8] = static_cast<char>(bitmap[i / 8] | 1 << (i % 8));
    }
  }
  const bool has_nulls = present.size() < slots.size();
  if (is_root && has_nulls) throw "the root is null";
  const bool has_lengths = type.kind == Kind::kBytes || type.kind == Kind::kList;
  std::uint64_t largest = 0;
  for (const Cell* cell : present) {
    if (has_lengths) {
      largest =
          std::max<std::uint64_t>(largest, std::max(cell->bytes.size(), cell->children.size()));
    }
  }
  const int log = largest < 256 ? 0 : largest < 65'536 ? 1 : largest < 4'294'967'296 ? 2 : 3;
  out += static_cast<char>((has_nulls ? 1 : 0) | log << 1);
  if (has_nulls) out += bitmap;
  for (const Cell* cell : present) {
    const std::uint64_t length = std::max(cell->bytes.size(), cell->children.size());
    if (has_lengths) out += BytesOf(length).substr(0, std::size_t{1} << log);
  }
  const bool is_empty = (type.kind == Kind::kItem && type.size == 0) ||
                        (type.kind == Kind::kFixedList && type.size == 0) ||
                        (type.kind == Kind::kStruct && type.children.empty());
  for (const Cell* cell : present) out += is_empty ? std::string(1, '\0') : cell->bytes;
  for (std::size_t child = 0; child < type.children.size(); ++child) {
    std::vector<const Cell*> inner;
    for (const Cell* cell : present) {
      if (type.kind == Kind::kStruct) {
        inner.push_back(&cell->children.at(child));
      } else {
        for (const Cell& item : cell->children) inner.push_back(&item);
      }
    }
    PutNode(type.children[child], inner, false, out);
  }
}

/// The block of a cell.
inline std::string ModelBlock(const NestedType& type, const Cell& cell) {
  std::string out;
  PutNode(type, {&cell}, true, out);
  return out;
}

// --- the encoder and the decoder ---

/// Writes a cell through the public encoder; items as their bytes.
inline void WriteCell(NestedEncoder& encoder, const NestedType& type, const Cell& cell) {
  using Kind = NestedType::Kind;
  if (cell.is_null) return encoder.Null();
  switch (type.kind) {
    case Kind::kItem:
      return encoder.Item(std::as_bytes(std::span(cell.bytes)));
    case Kind::kBytes:
      return encoder.Text(cell.bytes);
    case Kind::kStruct:
      encoder.BeginStruct();
      for (std::size_t i = 0; i < type.children.size(); ++i) {
        WriteCell(encoder, type.children[i], cell.children.at(i));
      }
      return encoder.EndStruct();
    default:
      encoder.BeginList();
      for (const Cell& item : cell.children) WriteCell(encoder, type.children[0], item);
      return encoder.EndList();
  }
}

/// Reads the next value through the public decoder.
inline Cell ReadCell(NestedDecoder& decoder, const NestedType& type) {
  using Kind = NestedType::Kind;
  if (decoder.Null()) return NullCell();
  Cell cell;
  switch (type.kind) {
    case Kind::kItem: {
      const auto bytes = decoder.Item();
      cell.bytes = std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      break;
    }
    case Kind::kBytes:
      cell.bytes = std::string(decoder.Text());
      break;
    case Kind::kStruct:
      decoder.BeginStruct();
      for (const NestedType& child : type.children) {
        cell.children.push_back(ReadCell(decoder, child));
      }
      break;
    default:
      for (std::uint64_t left = decoder.BeginList(); left > 0; --left) {
        cell.children.push_back(ReadCell(decoder, type.children[0]));
      }
  }
  return cell;
}

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// --- random types and cells ---

using Random = std::mt19937_64;

inline std::uint64_t Below(Random& random, std::uint64_t limit) { return random() % limit; }

inline NestedType RandomType(Random& random, int depth) {
  static const char* kFormats[] = {"n",   "b",   "c",   "s",        "i",     "l",   "C",
                                   "L",   "e",   "f",   "g",        "u",     "U",   "vu",
                                   "z",   "vz",  "w:3", "w:0",      "tdD",   "ttm", "tsu:UTC",
                                   "tDn", "tiM", "tin", "d:5,2,32", "d:20,3"};
  const std::uint64_t kind = depth <= 1 ? 0 : Below(random, 8);
  if (kind <= 1) return MakeNestedType(kFormats[Below(random, std::size(kFormats))]);
  if (kind <= 4 || kind == 6) {
    static const char* kLists[] = {"+l", "+L", "+vl", "+vL", "+w:0", "+w:1", "+w:2", "+w:3"};
    const char* format = kLists[kind == 6 ? 4 + Below(random, 4) : Below(random, 4)];
    NestedType item = RandomType(random, depth - 1);
    item.nullable = Below(random, 4) != 0;
    return MakeNestedType(format, {item});
  }
  std::vector<NestedType> children;
  const std::uint64_t count = kind == 7 ? 2 : Below(random, 4);
  for (std::uint64_t i = 0; i < count; ++i) {
    children.push_back(RandomType(random, depth - (kind == 7 ? 2 : 1)));
    children.back().name = std::string(1, static_cast<char>('a' + i));
    children.back().nullable = Below(random, 4) != 0;
  }
  NestedType type = MakeNestedType("+s", std::move(children));
  return kind == 7 ? MakeNestedType("+m", {type}) : type;
}

inline Cell RandomCell(Random& random, const NestedType& type, bool is_root = true) {
  using Kind = NestedType::Kind;
  if (type.format == "n") return NullCell();
  if (!is_root && type.nullable && Below(random, 4) == 0) return NullCell();
  Cell cell;
  switch (type.kind) {
    case Kind::kItem:
      for (std::uint32_t i = 0; i < type.size; ++i) {
        cell.bytes += static_cast<char>(random() & (type.format == "b" ? 1 : 255));
      }
      break;
    case Kind::kBytes:
      for (std::uint64_t i = Below(random, 40) == 0 ? 300 : Below(random, 5); i > 0; --i) {
        cell.bytes += "é";
      }
      break;
    case Kind::kStruct:
      for (const NestedType& child : type.children) {
        cell.children.push_back(RandomCell(random, child, false));
      }
      break;
    default:
      for (std::uint64_t i = type.kind == Kind::kFixedList ? type.size : Below(random, 5); i > 0;
           --i) {
        cell.children.push_back(RandomCell(random, type.children[0], false));
      }
  }
  return cell;
}

}  // namespace stream_store::testing
