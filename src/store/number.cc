// The "number" column: a word as float32, by the kind of its field. Integers and floats alternate
// within a record, so four words at a time are converted both ways and blended by a mask from the
// template, without a branch. The few words for which that is wrong are found along the way, and
// their part of the output is converted again word by word.
#include "store/number.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/assert.h"
#include "store/vector_copy.h"

namespace stream_store::internal {
namespace {

using WideBits = std::uint64_t __attribute__((vector_size(32)));  // sums may wrap
using WideReals = double __attribute__((vector_size(32)));
using FourFloats = float __attribute__((vector_size(16)));

// AVX2 cannot convert int64 to float64. Adding these bits to an integer of magnitude below 2^51
// gives the bits of the float64 (integer + 1.5 * 2^52); subtracting 1.5 * 2^52 leaves the integer.
constexpr std::uint64_t kRoundBits = 0x4338000000000000;
constexpr double kRound = 0x1.8p52;

// Converts four words, as integers where the lane of `integers` is -1. Sets lanes of `odd` where
// the result is wrong: NaNs, whose payload the hardware would change, and integers too large for
// the trick above.
STREAM_STORE_INLINE void FourNumbers(const Value* words, const std::int64_t* integers, float* out,
                                     WideBits& odd) {
  WideBits bits;
  WideBits integer;
  std::memcpy(&bits, words, sizeof(bits));
  std::memcpy(&integer, integers, sizeof(integer));
  WideReals real;
  std::memcpy(&real, &bits, sizeof(real));
  const WideBits shifted = bits + kRoundBits;
  WideReals counted;
  std::memcpy(&counted, &shifted, sizeof(counted));
  counted -= kRound;
  WideBits counted_bits;
  std::memcpy(&counted_bits, &counted, sizeof(counted_bits));
  const WideBits chosen_bits = (integer & counted_bits) | (~integer & bits);
  WideReals chosen;
  std::memcpy(&chosen, &chosen_bits, sizeof(chosen));
  const auto floats = __builtin_convertvector(chosen, FourFloats);
  std::memcpy(out, &floats, sizeof(floats));
  const WideBits large = (bits + (std::uint64_t{1} << 51)) & ~((std::uint64_t{1} << 52) - 1);
  // NOLINTNEXTLINE(misc-redundant-expression): a NaN is not equal to itself
  odd |= (integer & large) | (~integer & reinterpret_cast<WideBits>(real != real));
}

// Converts one word as NumberOf() does; reports NaNs, for which the result is wrong.
STREAM_STORE_INLINE float PlainNumber(Value word, std::int64_t integer, bool& nan) {
  const auto real = std::bit_cast<double>(word);
  nan |= integer == 0 && std::isnan(real);
  return integer != 0 ? static_cast<float>(word) : static_cast<float>(real);
}

// Returns false if a word was odd; `out` has no defined content then.
STREAM_STORE_INLINE bool FillPlain(const Value* words, const std::int64_t* integers,
                                   std::uint64_t count, float* out) {
  WideBits odd = {0, 0, 0, 0};
  std::uint64_t i = 0;
  for (; i + kWide <= count; i += kWide) {
    FourNumbers(words + i, integers + i, out + i, odd);
  }
  bool nan = false;
  for (; i < count; ++i) {
    out[i] = PlainNumber(words[i], integers[i], nan);
  }
  return (odd[0] | odd[1] | odd[2] | odd[3]) == 0 && !nan;
}

bool FillPlainBaseline(const Value* words, const std::int64_t* integers, std::uint64_t count,
                       float* out) {
  return FillPlain(words, integers, count, out);
}

STREAM_STORE_AVX2 bool FillPlainAvx2(const Value* words, const std::int64_t* integers,
                                     std::uint64_t count, float* out) {
  return FillPlain(words, integers, count, out);
}

// Converts words among which are large integers. Returns false if there is a NaN.
bool FillOneByOne(const Value* words, const std::int64_t* integers, std::uint64_t count,
                  float* out) {
  bool nan = false;
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = PlainNumber(words[i], integers[i], nan);
  }
  return !nan;
}

// Converts all words one by one with NumberOf().
void FillExactly(const View& view, const LayoutTemplate& layout, std::uint64_t skip,
                 const Value* values, std::uint64_t count, float* out) {
  std::uint64_t phase = skip;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto type = static_cast<TypeId>(layout.types.values[phase]);
    out[i] = NumberOf(view.store_schema->encodings[type], values[i]);
    if (++phase == layout.total) {
      phase = 0;
    }
  }
}

}  // namespace

void FillNumbers(const View& view, LayoutTemplate& layout, std::uint64_t skip, const Value* values,
                 std::uint64_t count, float* out) {
  STREAM_STORE_ASSERT(skip < layout.total);
  if (!layout.plain_numbers) {
    return FillExactly(view, layout, skip, values, count, out);
  }
  TemplateColumn& column = IntegersOf(view, layout);
  if (count > layout.total - skip && column.period_values == 0) {
    RepeatColumn(layout, column);
  }
  while (count > 0) {
    const std::uint64_t most = column.period_values == 0 ? count : column.period_values;
    const std::uint64_t n = std::min(count, most);
    const std::int64_t* integers = column.values.data() + skip;
    const bool plain = Avx2InUse() ? FillPlainAvx2(values, integers, n, out)
                                   : FillPlainBaseline(values, integers, n, out);
    if (!plain && !FillOneByOne(values, integers, n, out)) {
      FillExactly(view, layout, skip, values, n, out);
    }
    values += n;
    out += n;
    count -= n;
  }
}

}  // namespace stream_store::internal
