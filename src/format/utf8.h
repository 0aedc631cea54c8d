// FirstInvalidUtf8(): validates UTF-8 as the Unicode standard defines it, so surrogates and
// overlong forms are invalid. Used by the encoding of string fields and by Schema. Thread rules:
// pure function.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stream_store::internal {

inline constexpr std::uint64_t kAllUtf8 = ~std::uint64_t{0};

/// Returns the index of the first byte of the first ill-formed sequence, or kAllUtf8.
std::uint64_t FirstInvalidUtf8(const void* bytes, std::uint64_t count) noexcept;

}  // namespace stream_store::internal
