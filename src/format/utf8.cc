// Validates UTF-8, eight bytes at a time as long as they are ASCII.

#include "format/utf8.h"

#include <bit>
#include <cstring>

namespace stream_store::internal {
namespace {

// The length of a multi-byte sequence by its first byte, or 0 if no sequence begins with it.
std::uint64_t LengthByLead(unsigned char lead) noexcept {
  if (lead < 0xc2 || lead > 0xf4) {
    return 0;
  }
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// The length of the well-formed multi-byte sequence at `at`, or 0. Follows table 3-7 of the Unicode
// standard, where the first byte narrows the range of the second.
std::uint64_t SequenceBytes(const unsigned char* at, std::uint64_t left) noexcept {
  const unsigned char lead = at[0];
  const std::uint64_t length = LengthByLead(lead);
  if (length == 0 || left < length) {
    return 0;
  }
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < low || at[1] > high) {
    return 0;
  }
  for (std::uint64_t i = 2; i < length; ++i) {
    if (at[i] < 0x80 || at[i] > 0xbf) {
      return 0;
    }
  }
  return length;
}

}  // namespace

std::uint64_t FirstInvalidUtf8(const void* bytes, std::uint64_t count) noexcept {
  const auto* text = static_cast<const unsigned char*>(bytes);
  std::uint64_t at = 0;
  while (at < count) {
    if (count - at >= 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, text + at, sizeof(word));
      const std::uint64_t high = word & 0x8080808080808080U;
      if (high == 0) {
        at += 8;
        continue;
      }
      at += static_cast<std::uint64_t>(std::countr_zero(high)) / 8;  // to the first of these bytes
    } else if (text[at] < 0x80) {
      ++at;
      continue;
    }
    const std::uint64_t length = SequenceBytes(text + at, count - at);
    if (length == 0) {
      return at;
    }
    at += length;
  }
  return kAllUtf8;
}

}  // namespace stream_store::internal
