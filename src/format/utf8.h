// Whether bytes are UTF-8, as the Unicode standard defines it (no surrogates, no overlong forms).
#pragma once

#include <cstddef>
#include <cstdint>

namespace stream_store::internal {

inline constexpr std::uint64_t kAllUtf8 = ~std::uint64_t{0};

/// Index of the first byte of the first ill-formed sequence, or kAllUtf8.
std::uint64_t FirstInvalidUtf8(const void* bytes, std::uint64_t count) noexcept;

}  // namespace stream_store::internal
