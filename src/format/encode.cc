// Encoding: converts a caller's items to stored words. These are the hot loops of append. Packed and
// nested fields are in encode_packed.cc.
//
// The integer loops write all words and only accumulate whether any item was invalid, without a
// branch in the loop, so that the compiler can vectorise them. The first invalid item is searched
// for only if there is one. That is safe because the words lie beyond `published`, where no reader
// looks, and a failed append never publishes them.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/assert.h"
#include "format/encode_loops.h"
#include "format/item.h"
#include "format/utf8.h"

namespace stream_store::internal {
namespace {

// Copies the first and the last kWords words, which may overlap. Both are loaded before either is
// stored, so the compiler keeps them in registers.
template <std::size_t kWords>
void CopyEnds(const unsigned char* from, std::uint64_t count, Value* to) noexcept {
  std::array<unsigned char, kWords * 8> first{};
  std::array<unsigned char, kWords * 8> last{};
  const std::uint64_t tail = (count - kWords) * 8;
  std::memcpy(first.data(), from, first.size());
  std::memcpy(last.data(), from + tail, last.size());
  std::memcpy(to, first.data(), first.size());
  std::memcpy(to + (count - kWords), last.data(), last.size());
}

// Copies words. Most writes are short, and a call of memcpy costs more than copying up to 16 words
// as two overlapping halves.
// REQUIRES: count > 0.
std::uint64_t CopyWords(const Encoding&, const unsigned char* from, std::uint64_t count,
                        Value* to) noexcept {
  STREAM_STORE_ASSERT(count > 0);
  if (count == 1) {
    std::memcpy(to, from, 8);
  } else if (count > 16) {
    std::memcpy(to, from, count * 8);
  } else if (count >= 8) {
    CopyEnds<8>(from, count, to);
  } else if (count >= 4) {
    CopyEnds<4>(from, count, to);
  } else {
    CopyEnds<2>(from, count, to);
  }
  return kEncodedAll;
}

template <class IsValid>
std::uint64_t FirstInvalid(std::uint64_t count, IsValid&& is_valid) noexcept {
  std::uint64_t index = 0;
  while (index < count && is_valid(index)) {
    ++index;
  }
  return index < count ? index : kEncodedAll;
}

// Any byte except 0 is true. Bools come from foreign memory, where a bool may have any bits, so
// they are read as bytes.
std::uint64_t BoolsToIntegers(const Encoding&, const unsigned char* items, std::uint64_t count,
                              Value* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = items[i] != 0 ? 1 : 0;
  }
  return kEncodedAll;
}

// If every number of type T is in the field's range, no item is checked. Otherwise the range is
// shifted to begin at 0, so that one unsigned comparison checks both ends.
template <class T>
std::uint64_t IntegersToIntegers(const Encoding& encoding, const unsigned char* items,
                                 std::uint64_t count, Value* out) noexcept {
  using Limits = std::numeric_limits<T>;
  const bool low_fits =
      std::is_unsigned_v<T> || encoding.lowest <= static_cast<Value>(Limits::min());
  const bool high_fits = encoding.highest >= static_cast<std::uint64_t>(Limits::max());
  if (low_fits && high_fits) {
    if constexpr (sizeof(T) == 8) {
      return CopyWords(encoding, items, count, out);
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<Value>(ItemAt<T>(items, i));
    }
    return kEncodedAll;
  }
  const std::uint64_t lowest =
      std::is_unsigned_v<T> ? 0 : static_cast<std::uint64_t>(encoding.lowest);
  const std::uint64_t highest =
      std::min(encoding.highest, static_cast<std::uint64_t>(Limits::max()));
  const std::uint64_t range = highest - lowest;
  std::uint64_t bad = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto word = static_cast<std::uint64_t>(ItemAt<T>(items, i));
    bad |= static_cast<std::uint64_t>(word - lowest > range);
    out[i] = static_cast<Value>(word);
  }
  if (bad == 0) {
    [[likely]] return kEncodedAll;
  }
  return FirstInvalid(
      count, [&](std::uint64_t i) { return static_cast<std::uint64_t>(out[i]) - lowest <= range; });
}

// Whether a number is integral and in [lowest, limit). The upper end is excluded because it is a
// power of two, which float64 represents exactly; the largest int64 would be rounded up to 2^63,
// which is not an int64.
bool IsIntegerWithin(double number, double lowest, double limit) noexcept {
  return number >= lowest && number < limit && std::trunc(number) == number;
}

struct BoolAsDouble {
  static double Get(const unsigned char* items, std::uint64_t index) noexcept {
    return items[index] != 0 ? 1.0 : 0.0;
  }
};

struct HalfAsDouble {
  static double Get(const unsigned char* items, std::uint64_t index) noexcept {
    return std::bit_cast<double>(WidenFloat16(ItemAt<std::uint16_t>(items, index)));
  }
};

template <class T>
struct NumberAsDouble {
  static double Get(const unsigned char* items, std::uint64_t index) noexcept {
    return static_cast<double>(ItemAt<T>(items, index));
  }
};

template <class Numbers>
std::uint64_t FloatsToIntegers(const Encoding& encoding, const unsigned char* items,
                               std::uint64_t count, Value* out) noexcept {
  const auto lowest = static_cast<double>(encoding.lowest);
  const double limit = encoding.highest == UINT64_MAX  ? 0x1p64
                       : encoding.highest == INT64_MAX ? 0x1p63
                                                       : static_cast<double>(encoding.highest) + 1;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double number = Numbers::Get(items, i);
    if (!IsIntegerWithin(number, lowest, limit)) {
      return i;
    }
    out[i] = number < 0x1p63 ? static_cast<Value>(number)
                             : static_cast<Value>(static_cast<std::uint64_t>(number));
  }
  return kEncodedAll;
}

// The loop for a field of a narrower type whose range the numbers may exceed. It tests for numbers
// that are beyond the range, infinite or NaN, which takes one addition: the sum has its highest bit
// set for those. Only if there are any, they are told apart.
template <class Numbers, std::uint64_t kBeyond>
std::uint64_t NumbersToNarrow(const Encoding&, const unsigned char* items, std::uint64_t count,
                              Value* out) noexcept {
  constexpr std::uint64_t kHighest = std::uint64_t{1} << 63U;
  std::uint64_t large = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint64_t>(Numbers::Get(items, i));
    large |= (bits & ~kHighest) + (kHighest - kBeyond);
    out[i] = static_cast<Value>(bits);
  }
  if ((large & kHighest) == 0) {
    [[likely]] return kEncodedAll;
  }
  return FirstInvalid(count, [&](std::uint64_t i) {
    return !IsBeyondRange(static_cast<std::uint64_t>(out[i]), kBeyond);
  });
}

template <class Numbers>
std::uint64_t NumbersToFloats(const Encoding&, const unsigned char* items, std::uint64_t count,
                              Value* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = std::bit_cast<Value>(Numbers::Get(items, i));
  }
  return kEncodedAll;
}

// Converts with the hardware instruction, which the compiler can vectorise, and notes whether a NaN
// occurred. Only then are the items converted again, by their bits.
std::uint64_t Float32sToFloats(const Encoding&, const unsigned char* items, std::uint64_t count,
                               Value* out) noexcept {
  std::uint32_t largest = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto bits = ItemAt<std::uint32_t>(items, i);
    largest = std::max(largest, bits & 0x7fffffffU);
    out[i] = std::bit_cast<Value>(static_cast<double>(std::bit_cast<float>(bits)));
  }
  if (IsNanFloat32(largest)) [[unlikely]] {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<Value>(WidenFloat32(ItemAt<std::uint32_t>(items, i)));
    }
  }
  return kEncodedAll;
}

std::uint64_t BytesToWords(const Encoding&, const unsigned char* items, std::uint64_t count,
                           Value* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    out[i] = items[i];
  }
  return kEncodedAll;
}

std::uint64_t TextToWords(const Encoding& encoding, const unsigned char* items, std::uint64_t count,
                          Value* out) noexcept {
  const std::uint64_t bad = FirstInvalidUtf8(items, count);
  return bad != kAllUtf8 ? bad : BytesToWords(encoding, items, count, out);
}

using Loop = EncodeLoop;
using LoopsOfKind = LoopsBySource;

constexpr LoopsOfKind kRefused = LoopsOfBytes(RefuseItems, CopyWords);

constexpr LoopsOfKind kToIntegers = {BoolsToIntegers,
                                     IntegersToIntegers<std::int8_t>,
                                     IntegersToIntegers<std::int16_t>,
                                     IntegersToIntegers<std::int32_t>,
                                     IntegersToIntegers<std::int64_t>,
                                     IntegersToIntegers<std::uint8_t>,
                                     IntegersToIntegers<std::uint16_t>,
                                     IntegersToIntegers<std::uint32_t>,
                                     IntegersToIntegers<std::uint64_t>,
                                     FloatsToIntegers<HalfAsDouble>,
                                     FloatsToIntegers<NumberAsDouble<float>>,
                                     FloatsToIntegers<NumberAsDouble<double>>,
                                     RefuseItems,  // text in a number field
                                     CopyWords};

constexpr LoopsOfKind kToFloats = {NumbersToFloats<BoolAsDouble>,
                                   NumbersToFloats<NumberAsDouble<std::int8_t>>,
                                   NumbersToFloats<NumberAsDouble<std::int16_t>>,
                                   NumbersToFloats<NumberAsDouble<std::int32_t>>,
                                   NumbersToFloats<NumberAsDouble<std::int64_t>>,
                                   NumbersToFloats<NumberAsDouble<std::uint8_t>>,
                                   NumbersToFloats<NumberAsDouble<std::uint16_t>>,
                                   NumbersToFloats<NumberAsDouble<std::uint32_t>>,
                                   NumbersToFloats<NumberAsDouble<std::uint64_t>>,
                                   NumbersToFloats<HalfAsDouble>,
                                   Float32sToFloats,
                                   CopyWords,
                                   RefuseItems,  // text in a number field
                                   CopyWords};

// The sources that cannot exceed the range of a float32 keep their loops: float16, float32, and
// integers, since 2^64 is far below its end.
constexpr LoopsOfKind ToFloat32s() {
  LoopsOfKind loops = kToFloats;
  loops[static_cast<std::size_t>(Source::kFloat64)] =
      NumbersToNarrow<NumberAsDouble<double>, kBeyondFloat32>;
  return loops;
}

// A float32 has NaN payloads, which its loop widens by their bits, so it is checked afterwards.
std::uint64_t Float32sToHalves(const Encoding& encoding, const unsigned char* items,
                               std::uint64_t count, Value* out) noexcept {
  Float32sToFloats(encoding, items, count, out);
  return FirstInvalid(count, [&](std::uint64_t i) {
    return !IsBeyondRange(static_cast<std::uint64_t>(out[i]), kBeyondFloat16);
  });
}

// Integers of 8 bits and int16 cannot exceed the range of a float16.
constexpr LoopsOfKind ToFloat16s() {
  LoopsOfKind loops = kToFloats;
  const auto set = [&](Source source, Loop loop) {
    loops[static_cast<std::size_t>(source)] = loop;
  };
  set(Source::kInt32, NumbersToNarrow<NumberAsDouble<std::int32_t>, kBeyondFloat16>);
  set(Source::kInt64, NumbersToNarrow<NumberAsDouble<std::int64_t>, kBeyondFloat16>);
  set(Source::kUInt16, NumbersToNarrow<NumberAsDouble<std::uint16_t>, kBeyondFloat16>);
  set(Source::kUInt32, NumbersToNarrow<NumberAsDouble<std::uint32_t>, kBeyondFloat16>);
  set(Source::kUInt64, NumbersToNarrow<NumberAsDouble<std::uint64_t>, kBeyondFloat16>);
  set(Source::kFloat32, Float32sToHalves);
  set(Source::kFloat64, NumbersToNarrow<NumberAsDouble<double>, kBeyondFloat16>);
  return loops;
}

constexpr LoopsOfKind kToFloat32s = ToFloat32s();
constexpr LoopsOfKind kToFloat16s = ToFloat16s();

// In the order of WordKind.
constexpr std::array<LoopsOfKind, 7> kLoops = {kRefused,
                                               kToIntegers,
                                               kToFloats,
                                               LoopsOfBytes(BytesToWords, CopyWords),
                                               LoopsOfBytes(TextToWords, CopyWords),
                                               kRefused,
                                               kRefused};

}  // namespace

EncodeLoop FindWordLoop(const Encoding& encoding, Source source) noexcept {
  if (encoding.dtype == DType::kFloat32) {
    return kToFloat32s[static_cast<std::size_t>(source)];
  }
  if (encoding.dtype == DType::kFloat16) {
    return kToFloat16s[static_cast<std::size_t>(source)];
  }
  return kLoops[static_cast<std::size_t>(encoding.kind)][static_cast<std::size_t>(source)];
}

EncodeLoop FindEncodeLoop(const Encoding& encoding, Source source) noexcept {
  return encoding.packed || encoding.block ? FindPackedLoop(encoding, source)
                                           : FindWordLoop(encoding, source);
}

bool KeepsWord(const Encoding& encoding, Source source) noexcept {
  if (encoding.block) {
    return false;
  }
  if (source == Source::kWords) {
    return true;
  }
  if (encoding.packed) {
    return false;
  }
  if (encoding.kind == WordKind::kFloat) {
    return source == Source::kFloat64 && encoding.dtype == DType::kFloat64;
  }
  if (encoding.kind != WordKind::kInteger) {
    return false;
  }
  const bool any_int64 = encoding.lowest == INT64_MIN && encoding.highest == INT64_MAX;
  return source == Source::kInt64 ? any_int64
                                  : source == Source::kUInt64 && encoding.highest == UINT64_MAX;
}

std::uint64_t Encode(const Encoding& encoding, Source source, const void* items,
                     std::uint64_t count, Value* out) noexcept {
  STREAM_STORE_ASSERT(EncodedWords(encoding, source, count) != kBadLength);
  if (count == 0 && !encoding.block) {
    return kEncodedAll;
  }
  const auto* bytes = static_cast<const unsigned char*>(items);
  return FindEncodeLoop(encoding, source)(encoding, bytes, count, out);
}

}  // namespace stream_store::internal
