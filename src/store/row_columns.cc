// The conversions of decoded rows and the plans that say where each field lies in a record.
#include "store/row_columns.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/template_cache.h"
#include "store/wide.h"

namespace stream_store::internal {
namespace {

DecodeOp OpOf(const Encoding& encoding) {
  if (encoding.packed) {
    return DecodeOp::kBytes;
  }
  switch (encoding.dtype) {
    case DType::kNull:
      return DecodeOp::kNothing;
    case DType::kBool:
      return DecodeOp::kBool;
    case DType::kFloat32:
      return DecodeOp::kFloat32;
    case DType::kFloat16:
      return DecodeOp::kOther;
    default:
      break;
  }
  if (encoding.item_bytes == 8 * encoding.item_words) {
    return DecodeOp::kWords;
  }
  if (encoding.item_words != 1) {
    return DecodeOp::kOther;
  }
  switch (encoding.item_bytes) {
    case 1:
      return DecodeOp::kInt8;
    case 2:
      return DecodeOp::kInt16;
    case 4:
      return DecodeOp::kInt32;
    default:
      return DecodeOp::kOther;
  }
}

template <class Item>
struct Truncate {
  static Item One(Value word) noexcept {
    return static_cast<Item>(static_cast<std::make_unsigned_t<Value>>(word));
  }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Item item = One(words[i]);
      std::memcpy(out + i * sizeof(Item), &item, sizeof(Item));
    }
  }
};

struct ToBool {
  static std::uint8_t One(Value word) noexcept { return word != 0 ? 1 : 0; }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<std::byte>(One(words[i]));
    }
  }
};

struct Words {
  static Value One(Value word) noexcept { return word; }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    if (count > 0) {
      std::memcpy(out, words, count * sizeof(Value));
    }
  }
};

// A run on its way out.
struct Run {
  const Value* first;
  std::uint64_t stride;
  std::uint64_t words;  // per row, after the cut
  std::uint64_t rows;
  std::byte* out;
  std::uint64_t place_bytes;
  std::uint64_t used_bytes;  // of place_bytes; the rest becomes zeros
};

template <class Convert>
void ConvertRun(const Run& run) noexcept {
  using Item = decltype(Convert::One(Value{}));
  if (run.words == 1 && run.place_bytes == sizeof(Item)) {
    for (std::uint64_t i = 0; i < run.rows; ++i) {
      const Item item = Convert::One(run.first[i * run.stride]);
      std::memcpy(run.out + i * sizeof(Item), &item, sizeof(Item));
    }
    return;
  }
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    std::byte* out = run.out + i * run.place_bytes;
    Convert::Many(run.first + i * run.stride, run.words, out);
    if (run.used_bytes < run.place_bytes) {
      std::memset(out + run.used_bytes, 0, run.place_bytes - run.used_bytes);
    }
  }
}

using WideReals = double __attribute__((vector_size(32)));
using FourFloats = float __attribute__((vector_size(16)));

// Narrows the words of a run as the hardware does; false if a NaN was among them, whose payload it
// may have changed.
STREAM_STORE_INLINE bool NarrowRun(const Run& run) {
  WideWords nan = {0, 0, 0, 0};
  bool odd = false;
  for (std::uint64_t row = 0; row < run.rows; ++row) {
    const Value* words = run.first + row * run.stride;
    std::byte* out = run.out + row * run.place_bytes;
    std::uint64_t i = 0;
    for (; i + kWide <= run.words; i += kWide) {
      WideReals reals;
      std::memcpy(&reals, words + i, sizeof(reals));
      const auto floats = __builtin_convertvector(reals, FourFloats);
      std::memcpy(out + i * sizeof(float), &floats, sizeof(floats));
      nan |= reals != reals;  // NOLINT(misc-redundant-expression): a NaN is not equal to itself
    }
    for (; i < run.words; ++i) {
      const auto real = std::bit_cast<double>(words[i]);
      const auto item = static_cast<float>(real);
      odd |= std::isnan(real);
      std::memcpy(out + i * sizeof(float), &item, sizeof(item));
    }
    if (run.used_bytes < run.place_bytes) {
      std::memset(out + run.used_bytes, 0, run.place_bytes - run.used_bytes);
    }
  }
  return !odd && (nan[0] | nan[1] | nan[2] | nan[3]) == 0;
}

bool NarrowRunBaseline(const Run& run) { return NarrowRun(run); }

STREAM_STORE_AVX2 bool NarrowRunAvx2(const Run& run) { return NarrowRun(run); }

void NarrowFloats(const Run& run) {
  if (Avx2InUse() ? NarrowRunAvx2(run) : NarrowRunBaseline(run)) {
    return;
  }
  for (std::uint64_t row = 0; row < run.rows; ++row) {
    for (std::uint64_t i = 0; i < run.words; ++i) {
      const auto word = static_cast<std::uint64_t>(run.first[row * run.stride + i]);
      const std::uint32_t bits = NarrowToFloat32(word);
      std::memcpy(run.out + row * run.place_bytes + i * sizeof(bits), &bits, sizeof(bits));
    }
  }
}

// Conversions that know no more than how many bytes come out.
template <class Decode>
void ConvertOther(const Run& run, const Decode& decode) {
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    std::byte* out = run.out + i * run.place_bytes;
    decode(run.first + i * run.stride, out);
    if (run.used_bytes < run.place_bytes) {
      std::memset(out + run.used_bytes, 0, run.place_bytes - run.used_bytes);
    }
  }
}

void DecodeItems(const RowColumn& column, const Run& run) {
  switch (column.op) {
    case DecodeOp::kNothing:
      return;
    case DecodeOp::kWords:
      return ConvertRun<Words>(run);
    case DecodeOp::kBytes:
      return ConvertOther(run, [&](const Value* words, std::byte* out) {
        std::memcpy(out, words, run.used_bytes);
      });
    case DecodeOp::kBool:
      return ConvertRun<ToBool>(run);
    case DecodeOp::kInt8:
      return ConvertRun<Truncate<std::uint8_t>>(run);
    case DecodeOp::kInt16:
      return ConvertRun<Truncate<std::uint16_t>>(run);
    case DecodeOp::kInt32:
      return ConvertRun<Truncate<std::uint32_t>>(run);
    case DecodeOp::kFloat32:
      return NarrowFloats(run);
    case DecodeOp::kOther:
      return ConvertOther(run, [&](const Value* words, std::byte* out) {
        DecodeWords(*column.encoding, words, run.words, out);
      });
  }
}

}  // namespace

RowColumn MakeRowColumn(const Encoding& encoding, const RowsColumn& column) {
  RowColumn made;
  made.op = column.out == nullptr ? DecodeOp::kNothing : OpOf(encoding);
  made.ragged = encoding.ragged;
  made.encoding = &encoding;
  made.unit_words = encoding.unit_words;
  made.unit_bytes = encoding.items * encoding.item_bytes;
  if (encoding.packed) {
    made.unit_bytes = std::min(made.unit_bytes, made.unit_words * sizeof(Value));
  }
  made.most_words = encoding.ragged ? column.max_length * encoding.unit_words : encoding.unit_words;
  made.place_bytes = encoding.ragged ? column.max_length * made.unit_bytes : made.unit_bytes;
  made.out = static_cast<std::byte*>(column.out);
  made.present = column.present;
  made.lengths = column.lengths;
  return made;
}

void DecodeRun(const RowColumn& column, const Value* first, std::uint64_t stride,
               std::uint64_t words, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 1, rows);
  }
  const std::uint64_t units = column.unit_words == 0 ? 0 : words / column.unit_words;
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, static_cast<std::int64_t>(units));
  }
  if (column.place_bytes == 0 || column.op == DecodeOp::kNothing) {
    return;
  }
  Run run{first,
          stride,
          words,
          rows,
          column.out + place * column.place_bytes,
          column.place_bytes,
          column.place_bytes};
  if (column.ragged) {
    run.words = std::min(words, column.most_words);
    run.used_bytes = run.words / column.unit_words * column.unit_bytes;
  }
  DecodeItems(column, run);
}

void ZeroRun(const RowColumn& column, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 0, rows);
  }
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, 0);
  }
  if (column.op == DecodeOp::kNothing || column.place_bytes == 0) {
    return;
  }
  std::memset(column.out + place * column.place_bytes, 0, rows * column.place_bytes);
}

RowPlanner::RowPlanner(const View& view, std::span<const RowsColumn> columns)
    : view_(view),
      first_of_type_(view.meaning->schema.size(), kNone),
      next_same_type_(columns.size(), kNone) {
  columns_.reserve(columns.size());
  for (const RowsColumn& column : columns) {
    if (column.type >= first_of_type_.size()) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("read rows: type id ", column.type, " is outside [0, ",
                         first_of_type_.size(), ")"));
    }
    const auto index = static_cast<std::uint32_t>(columns_.size());
    columns_.push_back(MakeRowColumn(view.meaning->encodings[column.type], column));
    next_same_type_[index] = first_of_type_[column.type];
    first_of_type_[column.type] = index;
  }
}

const RowPlan& RowPlanner::Insert(std::uint32_t layout, RowPlan& plan) {
  plan.used = false;
  plan.parts.clear();
  plan.missing.clear();
  plan.total =
      ForEachField(view_, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t words) {
        for (std::uint32_t index = first_of_type_[type]; index != kNone;
             index = next_same_type_[index]) {
          if (!columns_[index].encoding->AllowsLength(words)) {
            ThrowCorruptLayout(view_, layout, "a length is none that its field can have");
          }
          plan.parts.push_back({index, begin, words});
        }
      });
  std::vector<bool> found(columns_.size(), false);
  for (const RowPlan::Part& part : plan.parts) {
    found[part.column] = true;
  }
  for (std::uint32_t index = 0; index < columns_.size(); ++index) {
    if (!found[index]) {
      plan.missing.push_back(index);
    }
  }
  plan.layout = layout;
  plan.used = true;
  return plan;
}

}  // namespace stream_store::internal
