#include "arrow/nested_copy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "arrow/bits.h"
#include "base/assert.h"

namespace stream_store::arrow {
namespace {

template <class Length, class Offset>
std::uint64_t Sum(const std::byte* lengths, std::uint64_t count, std::uint64_t from,
                  std::byte* out) noexcept {
  auto offset = static_cast<Offset>(from);
  for (std::uint64_t i = 0; i < count; ++i) {
    Length length = 0;
    std::memcpy(&length, lengths + i * sizeof(Length), sizeof(Length));
    offset = static_cast<Offset>(offset + static_cast<Offset>(length));
    std::memcpy(out + i * sizeof(Offset), &offset, sizeof(Offset));
  }
  return static_cast<std::uint64_t>(offset);
}

template <class Offset>
std::uint64_t SumOf(int length_bytes, const std::byte* lengths, std::uint64_t count,
                    std::uint64_t from, std::byte* out) noexcept {
  switch (length_bytes) {
    case 1:
      return Sum<std::uint8_t, Offset>(lengths, count, from, out);
    case 2:
      return Sum<std::uint16_t, Offset>(lengths, count, from, out);
    case 4:
      return Sum<std::uint32_t, Offset>(lengths, count, from, out);
    default:
      return Sum<std::uint64_t, Offset>(lengths, count, from, out);
  }
}

// The size is a constant for the common items, so that a copy is one instruction instead of a call.
template <class Bytes>
const std::byte* Spread(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t count,
                        Bytes item_bytes, const std::byte* items, std::byte* out) noexcept {
  for (std::uint64_t i = 0; i < count; ++i, out += item_bytes) {
    if (GetBit(bits, begin + i)) {
      std::memcpy(out, items, item_bytes);
      items += item_bytes;
    } else {
      std::memset(out, 0, item_bytes);
    }
  }
  return items;
}

template <std::uint64_t kBytes>
using Constant = std::integral_constant<std::uint64_t, kBytes>;

}  // namespace

std::uint64_t EndOfRun(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t end) noexcept {
  STREAM_STORE_ASSERT(begin < end);
  const bool value = GetBit(bits, begin);
  const std::uint8_t whole = value ? 0xff : 0;
  std::uint64_t at = begin + 1;
  while (at < end) {
    if (at % 8 == 0 && end - at >= 8 && bits[at / 8] == whole) {
      at += 8;
    } else if (GetBit(bits, at) == value) {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

std::uint64_t CopyBits(const std::uint8_t* from, std::uint64_t begin, std::uint64_t count,
                       std::uint8_t* to, std::uint64_t at) noexcept {
  std::uint64_t set = 0;
  while (count > 0) {
    // As many bits as lie in one byte of either side.
    const auto shift = static_cast<unsigned>(begin % 8);
    const auto place = static_cast<unsigned>(at % 8);
    const std::uint64_t now = std::min<std::uint64_t>(count, 8 - std::max(shift, place));
    const unsigned taken = static_cast<unsigned>(from[begin / 8]) >> shift & ((1U << now) - 1);
    to[at / 8] = static_cast<std::uint8_t>(to[at / 8] | taken << place);
    set += static_cast<std::uint64_t>(std::popcount(taken));
    begin += now;
    at += now;
    count -= now;
  }
  return set;
}

std::uint64_t LengthsToOffsets(bool wide, int length_bytes, const std::byte* lengths,
                               std::uint64_t count, std::uint64_t from, std::byte* out) noexcept {
  return wide ? SumOf<std::int64_t>(length_bytes, lengths, count, from, out)
              : SumOf<std::int32_t>(length_bytes, lengths, count, from, out);
}

const std::byte* SpreadItems(const std::uint8_t* bits, std::uint64_t begin, std::uint64_t count,
                             std::uint64_t item_bytes, const std::byte* items,
                             std::byte* out) noexcept {
  switch (item_bytes) {
    case 1:
      return Spread(bits, begin, count, Constant<1>(), items, out);
    case 2:
      return Spread(bits, begin, count, Constant<2>(), items, out);
    case 4:
      return Spread(bits, begin, count, Constant<4>(), items, out);
    case 8:
      return Spread(bits, begin, count, Constant<8>(), items, out);
    case 16:
      return Spread(bits, begin, count, Constant<16>(), items, out);
    default:
      return Spread(bits, begin, count, item_bytes, items, out);
  }
}

}  // namespace stream_store::arrow
