// Decoding: converts stored words to items of the field's own type, or to float32 numbers.
//
// Words may be corrupt or hostile, so every loop is defined for every word: integers are truncated,
// any word but 0 is true.

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "format/encoding.h"

namespace stream_store::internal {
namespace {

// `out` is the caller's memory and may be unaligned.
template <class T>
void Store(void* out, std::uint64_t index, T item) noexcept {
  std::memcpy(static_cast<unsigned char*>(out) + index * sizeof(T), &item, sizeof(T));
}

template <class T>
void Truncate(const Value* words, std::uint64_t count, void* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    Store(out, i, static_cast<T>(words[i]));
  }
}

// Converts with the hardware instruction, which the compiler can vectorise, and notes whether a NaN
// occurred. NaNs are rare: only a block that contains one is converted again, by its bits.
void NarrowAll(const Value* words, std::uint64_t count, void* out) noexcept {
  if (count < 8) {
    for (std::uint64_t i = 0; i < count; ++i) {
      Store(out, i, NarrowToFloat32(static_cast<std::uint64_t>(words[i])));
    }
    return;
  }
  constexpr std::uint64_t kBlock = 512;
  for (std::uint64_t begin = 0; begin < count; begin += kBlock) {
    const std::uint64_t end = std::min(count, begin + kBlock);
    std::uint32_t largest = 0;
    for (std::uint64_t i = begin; i < end; ++i) {
      const auto bits =
          std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(words[i])));
      largest = std::max(largest, bits & 0x7fffffffU);
      Store(out, i, bits);
    }
    if (!IsNanFloat32(largest)) {
      [[likely]] continue;
    }
    for (std::uint64_t i = begin; i < end; ++i) {
      Store(out, i, NarrowToFloat32(static_cast<std::uint64_t>(words[i])));
    }
  }
}

void NarrowToHalves(const Value* words, std::uint64_t count, void* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    Store(out, i, NarrowToFloat16(static_cast<std::uint64_t>(words[i])));
  }
}

void ToBools(const Value* words, std::uint64_t count, void* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    Store(out, i, static_cast<std::uint8_t>(words[i] != 0));
  }
}

}  // namespace

void DecodeWords(const Encoding& encoding, const Value* words, std::uint64_t count,
                 void* out) noexcept {
  STREAM_STORE_ASSERT(!encoding.block);
  if (count == 0) {
    return;
  }
  if (encoding.packed) {
    std::memcpy(out, words, std::min(count * 8, encoding.items * encoding.item_bytes));
    return;
  }
  switch (encoding.dtype) {
    case DType::kNull:
      return;
    case DType::kBool:
      return ToBools(words, count, out);
    case DType::kInt8:
    case DType::kUInt8:
    case DType::kString:
    case DType::kBinary:
    case DType::kFixedBinary:
      return Truncate<std::uint8_t>(words, count, out);
    case DType::kInt16:
    case DType::kUInt16:
      return Truncate<std::uint16_t>(words, count, out);
    case DType::kInt32:
    case DType::kUInt32:
      return Truncate<std::uint32_t>(words, count, out);
    case DType::kFloat16:
      return NarrowToHalves(words, count, out);
    case DType::kFloat32:
      return NarrowAll(words, count, out);
    default:  // items of 64 bits and decimals are stored as they are
      std::memcpy(out, words, count * 8);
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
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<float>(words[i]);
    }
  }
}

}  // namespace stream_store::internal
