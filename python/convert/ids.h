// Ids of stores as text.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace stream_store::python {

/// An id as 32 hex digits.
inline std::string HexOf(const std::array<std::uint8_t, 16>& id) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace stream_store::python
