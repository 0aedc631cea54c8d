// Rows of packed fields of varying length in plain vectors, as the model to compare a store with.
//
// A cell keeps its numbers and the bytes of its items; the bytes come from a table written by hand
// or from plain casts, never from the code under test.
//
// Used by packed_rows_test.cc and packed_verify_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "stream_store/store.h"

namespace stream_store::internal {

/// One packed field: how it is declared, and the sources that its items can come from.
struct PackedField {
  Field field;
  Source own = Source::kBytes;   ///< items as they are stored
  Source wide = Source::kBytes;  ///< items of 8 bytes that are converted; kBytes: none
  std::uint64_t unit = 1;        ///< items of one item of the outermost dimension
  std::uint64_t item_bytes = 1;
};

/// A field for every dtype that can be packed with a varying length, and two of more dimensions.
inline std::vector<PackedField> PackedFields() {
  const auto list = [](const char* name, DType dtype, Source own, Source wide, std::uint64_t bytes,
                       std::vector<std::uint32_t> shape = {kRagged}, std::uint64_t unit = 1) {
    Field field{.name = name, .dtype = dtype, .shape = std::move(shape), .packed = true};
    return PackedField{std::move(field), own, wide, unit, bytes};
  };
  return {{.field = {.name = "binary", .dtype = DType::kBinary, .packed = true}},
          {.field = {.name = "string", .dtype = DType::kString, .packed = true}},
          list("bool", DType::kBool, Source::kBool, Source::kInt64, 1),
          list("int8", DType::kInt8, Source::kInt8, Source::kInt64, 1),
          list("int16", DType::kInt16, Source::kInt16, Source::kInt64, 2),
          list("int32", DType::kInt32, Source::kInt32, Source::kInt64, 4),
          list("uint8", DType::kUInt8, Source::kUInt8, Source::kInt64, 1),
          list("uint16", DType::kUInt16, Source::kUInt16, Source::kInt64, 2),
          list("uint32", DType::kUInt32, Source::kUInt32, Source::kInt64, 4),
          list("float16", DType::kFloat16, Source::kFloat16, Source::kFloat64, 2),
          list("float32", DType::kFloat32, Source::kFloat32, Source::kFloat64, 4),
          list("points", DType::kFloat32, Source::kFloat32, Source::kFloat64, 4, {kRagged, 3}, 3),
          list("tiles", DType::kUInt8, Source::kUInt8, Source::kInt64, 1, {kRagged, 2, 2}, 4)};
}

/// The field-write of one field in one row.
struct PackedCell {
  bool present = false;
  std::vector<double> numbers = {};  ///< of fields of numbers
  std::vector<std::byte> bytes = {};

  std::uint64_t items(const PackedField& field) const { return bytes.size() / field.item_bytes; }

  /// The words as docs/format.md defines them.
  std::vector<Value> words(const PackedField& field) const {
    std::vector<Value> words(1 + (bytes.size() + 7) / 8, 0);
    words[0] = static_cast<Value>(items(field));
    if (!bytes.empty()) {
      std::memcpy(words.data() + 1, bytes.data(), bytes.size());
    }
    return words;
  }
};

using PackedRow = std::vector<PackedCell>;  ///< one cell per field

/// The items of one or more cells, as an append takes them.
struct PackedItems {
  Source source = Source::kBytes;
  std::uint64_t count = 0;
  std::vector<std::byte> bytes = {};

  template <class T>
  void Add(const T* items, std::size_t n) {
    count += n;
    const auto* begin = reinterpret_cast<const std::byte*>(items);
    bytes.insert(bytes.end(), begin, begin + n * sizeof(T));
  }
};

/// Where the items of an append come from.
enum class PackedFrom { kOwnItems, kWideItems, kWords };

/// Adds the items of a cell to those of the cells before it.
inline void AddItems(const PackedField& field, const PackedCell& cell, PackedFrom from,
                     PackedItems& out) {
  const bool wide = from == PackedFrom::kWideItems && field.wide != Source::kBytes;
  out.source = from == PackedFrom::kWords ? Source::kWords : wide ? field.wide : field.own;
  if (from == PackedFrom::kWords) {
    const std::vector<Value> words = cell.words(field);
    out.Add(words.data(), words.size());
  } else if (!wide) {
    out.bytes.insert(out.bytes.end(), cell.bytes.begin(), cell.bytes.end());
    out.count += cell.items(field);
  } else if (field.wide == Source::kFloat64) {
    out.Add(cell.numbers.data(), cell.numbers.size());
  } else {
    for (const double number : cell.numbers) {
      const auto integer = static_cast<std::int64_t>(number);
      out.Add(&integer, 1);
    }
  }
}

/// Seeded random cells and rows.
class PackedMaker {
 public:
  explicit PackedMaker(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  /// A cell of `length` items of the outermost dimension.
  PackedCell Cell(const PackedField& field, std::uint64_t length) {
    PackedCell cell{.present = true};
    if (field.field.dtype == DType::kBinary || field.field.dtype == DType::kString) {
      AddText(field, length, cell);
      return cell;
    }
    for (std::uint64_t i = 0; i < length * field.unit; ++i) {
      AddNumber(field, cell);
    }
    return cell;
  }

  /// Rows in which any field may be missing or empty.
  std::vector<PackedRow> Rows(const std::vector<PackedField>& fields, std::size_t count) {
    std::vector<PackedRow> rows(count);
    for (PackedRow& row : rows) {
      for (const PackedField& field : fields) {
        const std::uint64_t length = Below(40) == 0 ? Below(700) : Below(12);
        row.push_back(Below(5) == 0 ? PackedCell{} : Cell(field, length));
      }
    }
    return rows;
  }

 private:
  void AddText(const PackedField& field, std::uint64_t bytes, PackedCell& cell) {
    while (cell.bytes.size() < bytes) {
      const bool two =
          field.field.dtype == DType::kString && cell.bytes.size() + 2 <= bytes && Below(4) == 0;
      if (two) {
        cell.bytes.push_back(std::byte{0xc3});
        cell.bytes.push_back(std::byte{0xa9});
      } else {
        const bool any = field.field.dtype == DType::kBinary;
        cell.bytes.push_back(static_cast<std::byte>(any ? Below(256) : 32 + Below(95)));
      }
    }
  }

  template <class T>
  static void Add(T item, PackedCell& cell) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&item);
    cell.numbers.push_back(static_cast<double>(item));
    cell.bytes.insert(cell.bytes.end(), bytes, bytes + sizeof(item));
  }

  void AddNumber(const PackedField& field, PackedCell& cell) {
    switch (field.field.dtype) {
      case DType::kBool:
        return Add(static_cast<std::uint8_t>(Below(2)), cell);
      case DType::kInt8:
        return Add(static_cast<std::int8_t>(Below(256)), cell);
      case DType::kInt16:
        return Add(static_cast<std::int16_t>(Below(65'536)), cell);
      case DType::kInt32:
        return Add(static_cast<std::int32_t>(random_()), cell);
      case DType::kUInt8:
        return Add(static_cast<std::uint8_t>(Below(256)), cell);
      case DType::kUInt16:
        return Add(static_cast<std::uint16_t>(Below(65'536)), cell);
      case DType::kUInt32:
        return Add(static_cast<std::uint32_t>(random_()), cell);
      case DType::kFloat16:
        return AddHalf(cell);
      default:
        return Add(static_cast<float>(Below(1'000'000)) / 7 - 5000, cell);
    }
  }

  void AddHalf(PackedCell& cell) {
    struct Half {
      double number;
      std::uint16_t bits;
    };

    constexpr Half kHalves[] = {{0, 0},        {1, 0x3c00},      {-2, 0xc000},
                                {0.5, 0x3800}, {65504, 0x7bff},  {-65504, 0xfbff},
                                {1.5, 0x3e00}, {0x1p-24, 0x0001}};
    const Half half = kHalves[Below(std::size(kHalves))];
    Add(half.bits, cell);
    cell.numbers.back() = half.number;
  }

  std::mt19937_64 random_;
};

}  // namespace stream_store::internal
