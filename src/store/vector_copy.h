// Copies and fills of words with 32-byte vectors, for loops where a call of memcpy would cost more
// than the copy.
//
// Everything here is inlined into its caller and uses its instruction set: AVX2 in functions marked
// for it, pairs of 16-byte registers elsewhere. Only StoreWide() and FillPadded() store past the
// words asked for; their callers own that memory.
//
// Used by windows.cc, number.cc, row_kernels.cc and prefetch.h. Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/assert.h"

#define STREAM_STORE_INLINE [[gnu::always_inline]] inline

// For a lambda, after its parameters. A lambda that is not inlined into a function marked
// STREAM_STORE_AVX2 is compiled for the baseline instruction set.
#define STREAM_STORE_INLINE_LAMBDA __attribute__((always_inline))

// STREAM_STORE_AVX2: marks the second copy of a hot function, chosen at run time by Avx2InUse().
#if defined(__x86_64__) && defined(__GNUC__)
#define STREAM_STORE_AVX2 __attribute__((target("avx2")))
#define STREAM_STORE_HAS_AVX2_COPY 1
#else
#define STREAM_STORE_AVX2
#define STREAM_STORE_HAS_AVX2_COPY 0
#endif

namespace stream_store::internal {

/// Whether hot functions run their AVX2 copy. Tests turn it off to reach the other one.
inline bool& Avx2InUse() noexcept {
#if STREAM_STORE_HAS_AVX2_COPY
  static bool in_use = __builtin_cpu_supports("avx2") != 0;
#else
  static bool in_use = false;
#endif
  return in_use;
}

using WideWords = std::int64_t __attribute__((vector_size(32)));
inline constexpr std::uint64_t kWide = 4;  ///< words in WideWords

STREAM_STORE_INLINE void CopyOneWide(std::int64_t* out, const std::int64_t* in) noexcept {
  WideWords words;
  std::memcpy(&words, in, sizeof(words));
  std::memcpy(out, &words, sizeof(words));
}

/// Copies exactly `count` words; ranges must not overlap. The last vector may overlap the one
/// before it, which costs less than copying the rest word by word.
STREAM_STORE_INLINE void CopyWords(std::int64_t* __restrict out, const std::int64_t* __restrict in,
                                   std::uint64_t count) noexcept {
  if (count < kWide) {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = in[i];
    }
    return;
  }
  std::uint64_t i = 0;
  for (; i + 4 * kWide <= count; i += 4 * kWide) {
    CopyOneWide(out + i, in + i);
    CopyOneWide(out + i + kWide, in + i + kWide);
    CopyOneWide(out + i + 2 * kWide, in + i + 2 * kWide);
    CopyOneWide(out + i + 3 * kWide, in + i + 3 * kWide);
  }
  for (; i + kWide <= count; i += kWide) {
    CopyOneWide(out + i, in + i);
  }
  if (i < count) {
    CopyOneWide(out + count - kWide, in + count - kWide);
  }
}

STREAM_STORE_INLINE void StoreWide(std::int64_t* out, std::int64_t value) noexcept {
  const WideWords words = {value, value, value, value};
  std::memcpy(out, &words, sizeof(words));
}

/// Fills exactly `count` words.
STREAM_STORE_INLINE void FillWords(std::int64_t* out, std::int64_t value,
                                   std::uint64_t count) noexcept {
  if (count < kWide) {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = value;
    }
    return;
  }
  for (std::uint64_t i = 0; i + kWide <= count; i += kWide) {
    StoreWide(out + i, value);
  }
  StoreWide(out + count - kWide, value);
}

/// Words that FillPadded() stores for `count`.
constexpr std::uint64_t PaddedWords(std::uint64_t count) noexcept {
  return (count + kWide - 1) & ~(kWide - 1);
}

/// Fills PaddedWords(count) words: faster than FillWords() if the words after `count` are written
/// later. REQUIRES: count > 0.
STREAM_STORE_INLINE void FillPadded(std::int64_t* out, std::int64_t value,
                                    std::uint64_t count) noexcept {
  STREAM_STORE_ASSERT(count > 0);
  StoreWide(out, value);
  for (std::uint64_t i = kWide; i < count; i += kWide) {
    StoreWide(out + i, value);
  }
}

}  // namespace stream_store::internal
