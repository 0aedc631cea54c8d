// CRC32C (Castagnoli, polynomial 0x1EDC6F41 reflected 0x82F63B78; RFC 3720 appendix B.4) with the
// hardware's instruction, three interleaved streams for long inputs.
//
// Used by append, recovery and every file that carries a checksum. Thread rules: pure functions.
//
// On x86-64 the instruction is part of our baseline (x86-64-v2), so it is inlined; the streams are
// joined with PCLMULQDQ if the processor has it. On AArch64 the instruction is inlined if the
// compiler may use it, else it is chosen at run time.
//
// All functions work on the bare register, without an initial or final inversion. The standard
// checksum of bytes is ~Crc32cExtend(0xffffffff, bytes), which Crc32c() returns.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace stream_store::internal {

/// Returns the register `state` after `size` more bytes.
std::uint32_t Crc32cExtend(std::uint32_t state, const void* data, std::size_t size) noexcept;

/// Returns the register after `count` more 64-bit words (their little-endian bytes). The fast path
/// for values.
std::uint32_t Crc32cExtendWords(std::uint32_t state, const void* words, std::size_t count) noexcept;

/// Returns the register after one more word. Inline, because every append calls it.
inline std::uint32_t Crc32cExtendWord(std::uint32_t state, std::uint64_t word) noexcept {
#if defined(__SSE4_2__)
  return static_cast<std::uint32_t>(_mm_crc32_u64(state, word));
#elif defined(__ARM_FEATURE_CRC32)
  return __crc32cd(state, word);
#else
  return Crc32cExtend(state, &word, sizeof(word));
#endif
}

/// Returns the standard CRC32C of `size` bytes.
inline std::uint32_t Crc32c(const void* data, std::size_t size) noexcept {
  return ~Crc32cExtend(0xffffffffU, data, size);
}

/// As Crc32cExtend(), with tables: for machines without the instruction, and as the model in tests.
std::uint32_t Crc32cExtendPortable(std::uint32_t state, const void* data,
                                   std::size_t size) noexcept;

}  // namespace stream_store::internal
