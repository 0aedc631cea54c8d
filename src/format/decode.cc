// The loops of every decoded read: stored words become items of the field's own type, or float32
// numbers.

#include <algorithm>
#include <cstring>

#include "format/encoding.h"

namespace stream_store {
namespace {

// `out` belongs to the caller and may be unaligned.
template <class T>
void Store(void* out, std::uint64_t index, T item) noexcept {
  std::memcpy(static_cast<unsigned char*>(out) + index * sizeof(T), &item, sizeof(T));
}

template <class T>
void Truncate(const Value* words, std::uint64_t count, void* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) Store(out, i, static_cast<T>(words[i]));
}

// Converts as the hardware does and looks for NaNs on the way; only with one among them, again by
// their bits.
void NarrowAll(const Value* words, std::uint64_t count, void* out) noexcept {
  constexpr std::uint64_t kBlock = 512;  // one NaN makes only its own block be converted twice
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    const std::uint64_t end = std::min(count, begin + kBlock);
    std::uint32_t largest = 0;
    for (std::uint64_t i = begin; i < end; ++i) {
      const auto bits =
          std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(words[i])));
      largest = std::max(largest, bits & 0x7fffffffU);
      Store(out, i, bits);
    }
    if (!IsNanFloat32(largest)) [[likely]]
      continue;
    for (std::uint64_t i = begin; i < end; ++i) {
      Store(out, i, NarrowToFloat32(static_cast<std::uint64_t>(words[i])));
    }
  }
}

void DecodeFloats(const Encoding& encoding, const Value* words, std::uint64_t count,
                  void* out) noexcept {
  if (encoding.item_bytes == 8) {
    std::memcpy(out, words, count * 8);
  } else if (encoding.item_bytes == 4) {
    NarrowAll(words, count, out);
  } else {
    for (std::uint64_t i = 0; i < count; ++i) {
      Store(out, i, NarrowToFloat16(static_cast<std::uint64_t>(words[i])));
    }
  }
}

void DecodeIntegers(const Encoding& encoding, const Value* words, std::uint64_t count,
                    void* out) noexcept {
  if (encoding.dtype == DType::kBool) {
    for (std::uint64_t i = 0; i < count; ++i)
      Store(out, i, static_cast<std::uint8_t>(words[i] != 0));
  } else if (encoding.item_bytes == 1) {
    Truncate<std::uint8_t>(words, count, out);
  } else if (encoding.item_bytes == 2) {
    Truncate<std::uint16_t>(words, count, out);
  } else if (encoding.item_bytes == 4) {
    Truncate<std::uint32_t>(words, count, out);
  } else {
    std::memcpy(out, words, count * 8);
  }
}

}  // namespace

void DecodeWords(const Encoding& encoding, const Value* words, std::uint64_t count,
                 void* out) noexcept {
  if (count == 0) return;
  if (encoding.packed) {
    std::memcpy(out, words, std::min(count * 8, encoding.items * encoding.item_bytes));
    return;
  }
  switch (encoding.kind) {
    case WordKind::kInteger:
      return DecodeIntegers(encoding, words, count, out);
    case WordKind::kFloat:
      return DecodeFloats(encoding, words, count, out);
    case WordKind::kByte:
      return Truncate<std::uint8_t>(words, count, out);
    case WordKind::kVerbatim:
      std::memcpy(out, words, count * 8);
      return;
    case WordKind::kNothing:
      return;
  }
}

float NumberOf(const Encoding& encoding, Value word) noexcept {
  float number = 0;
  NumbersOf(encoding, &word, 1, &number);
  return number;
}

void NumbersOf(const Encoding& encoding, const Value* words, std::uint64_t count,
               float* out) noexcept {
  if (!encoding.packed && encoding.kind == WordKind::kFloat) {
    NarrowAll(words, count, out);
  } else if (!encoding.packed && encoding.dtype == DType::kUInt64) {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(static_cast<std::uint64_t>(words[i]));
    }
  } else {
    for (std::uint64_t i = 0; i < count; ++i) out[i] = static_cast<float>(words[i]);
  }
}

}  // namespace stream_store
