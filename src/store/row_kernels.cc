// Kernel arguments are passed by value: std::byte* may alias anything, so members read through a
// reference would be loaded again on every row.
#include "store/row_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <span>
#include <type_traits>

#include "store/vector_copy.h"

#if STREAM_STORE_HAS_AVX2_COPY
#include <immintrin.h>
#endif

namespace stream_store::internal {
namespace {

constexpr Value kZeros[kZeroWords] = {};

// --- one field-write: Many() converts `count` words to items ---

template <class Item>
struct Truncate {
  static Item One(Value word) noexcept {
    return static_cast<Item>(static_cast<std::make_unsigned_t<Value>>(word));
  }
};

struct ToBool {
  static std::uint8_t One(Value word) noexcept { return word != 0 ? 1 : 0; }
};

struct Words {
  static Value One(Value word) noexcept { return word; }
};

// The hardware would change the payload of a NaN, so NaNs are narrowed by their bits.
struct ToFloat {
  static std::uint32_t One(Value word) noexcept {
    const auto real = std::bit_cast<double>(word);
    if (std::isnan(real)) [[unlikely]] {
      return NarrowToFloat32(static_cast<std::uint64_t>(word));
    }
    return std::bit_cast<std::uint32_t>(static_cast<float>(real));
  }
};

template <class Convert>
STREAM_STORE_INLINE void ConvertMany(const Value* words, std::uint64_t count, std::byte* out) {
  using Item = decltype(Convert::One(Value{}));
  for (std::uint64_t i = 0; i < count; ++i) {
    const Item item = Convert::One(words[i]);
    std::memcpy(out + i * sizeof(Item), &item, sizeof(Item));
  }
}

using WideReals = double __attribute__((vector_size(32)));
using FourFloats = float __attribute__((vector_size(16)));

STREAM_STORE_INLINE void NarrowMany(const Value* words, std::uint64_t count, std::byte* out) {
  WideWords nan = {0, 0, 0, 0};
  std::uint64_t i = 0;
  for (; i + kWide <= count; i += kWide) {
    WideReals reals;
    std::memcpy(&reals, words + i, sizeof(reals));
    const auto floats = __builtin_convertvector(reals, FourFloats);
    std::memcpy(out + i * sizeof(float), &floats, sizeof(floats));
    nan |= reals != reals;  // NOLINT(misc-redundant-expression): a NaN is not equal to itself
  }
  if ((nan[0] | nan[1] | nan[2] | nan[3]) != 0) [[unlikely]] {
    i = 0;  // convert all words again, one by one
  }
  ConvertMany<ToFloat>(words + i, count - i, out + i * sizeof(float));
}

template <class Convert>
STREAM_STORE_INLINE void Many(const Value* words, std::uint64_t count, std::byte* out) {
  if constexpr (std::is_same_v<Convert, ToFloat>) {
    NarrowMany(words, count, out);
  } else if constexpr (std::is_same_v<Convert, Words>) {
    CopyWords(reinterpret_cast<std::int64_t*>(out), words, count);
  } else {
    ConvertMany<Convert>(words, count, out);
  }
}

// --- where the words of each row are: at equal distances, or anywhere ---

struct Strided {
  const Value* first;
  std::uint64_t stride;

  const Value* operator[](std::uint64_t i) const { return first + i * stride; }
};

struct Scattered {
  const FieldSource* sources;

  const Value* operator[](std::uint64_t i) const { return sources[i].words; }
};

// One word per row.
template <class Convert, class Rows>
STREAM_STORE_INLINE void Scalars(Rows source, std::byte* out, std::uint64_t rows) {
  using Item = decltype(Convert::One(Value{}));
  for (std::uint64_t i = 0; i < rows; ++i) {
    const Item item = Convert::One(*source[i]);
    std::memcpy(out + i * sizeof(Item), &item, sizeof(Item));
  }
}

// kWords words per row, or `words` if kWords is 0. A constant lets the compiler unroll the common
// sizes. Rows without words become zeros.
template <class Convert, std::uint64_t kWords, class Rows>
STREAM_STORE_INLINE void Vectors(Rows source, std::byte* out, std::uint64_t rows,
                                 std::uint64_t words, std::uint64_t place_bytes) {
  const std::uint64_t count = kWords > 0 ? kWords : words;
  for (std::uint64_t i = 0; i < rows; ++i, out += place_bytes) {
    const Value* from = source[i];
    if (from == nullptr) [[unlikely]] {
      std::memset(out, 0, place_bytes);
    } else {
      Many<Convert>(from, count, out);
    }
  }
}

template <class Convert, std::uint64_t kWords, class Rows>
STREAM_STORE_INLINE void Fixed(const KernelRoom& room, Rows source, std::uint64_t rows) {
  if constexpr (kWords == 1) {
    Scalars<Convert>(source, room.out, rows);
  } else {
    Vectors<Convert, kWords>(source, room.out, rows, room.unit_words, room.place_bytes);
  }
}

template <class Convert, std::uint64_t kWords>
struct FixedKernels {
  static void Run(const Encoding& /*encoding*/, const KernelRoom& room, const Value* first,
                  std::uint64_t stride, std::uint64_t /*units*/, std::uint64_t rows) {
    Fixed<Convert, kWords>(room, Strided{first, stride}, rows);
  }

  static void Scatter(const Encoding& /*encoding*/, const KernelRoom& room,
                      const FieldSource* sources, std::uint64_t rows) {
    Fixed<Convert, kWords>(room, Scattered{sources}, rows);
  }

  STREAM_STORE_AVX2 static void RunAvx2(const Encoding& /*encoding*/, const KernelRoom& room,
                                        const Value* first, std::uint64_t stride,
                                        std::uint64_t /*units*/, std::uint64_t rows) {
    Fixed<Convert, kWords>(room, Strided{first, stride}, rows);
  }

  STREAM_STORE_AVX2 static void ScatterAvx2(const Encoding& /*encoding*/, const KernelRoom& room,
                                            const FieldSource* sources, std::uint64_t rows) {
    Fixed<Convert, kWords>(room, Scattered{sources}, rows);
  }

  static Kernels Choose() {
    return Avx2InUse() ? Kernels{&RunAvx2, &ScatterAvx2} : Kernels{&Run, &Scatter};
  }
};

// --- ragged rows ---
//
// All places are zeroed first in one call, which costs less than clearing the end of each row.

template <class Convert>
STREAM_STORE_INLINE void RaggedRow(const Encoding& encoding, const KernelRoom& room,
                                   const Value* words, std::uint64_t units, std::byte* out) {
  const std::uint64_t count = std::min(units, room.most_units) * room.unit_words;
  if constexpr (std::is_void_v<Convert>) {
    DecodeWords(encoding, words, count, out);
  } else {
    Many<Convert>(words, count, out);
  }
}

template <class Convert>
struct RaggedKernels {
  static void Run(const Encoding& encoding, const KernelRoom& given, const Value* first,
                  std::uint64_t stride, std::uint64_t units, std::uint64_t rows) {
    const KernelRoom room = given;
    if (units < room.most_units) {
      std::memset(room.out, 0, rows * room.place_bytes);
    }
    for (std::uint64_t i = 0; i < rows; ++i) {
      RaggedRow<Convert>(encoding, room, first + i * stride, units,
                         room.out + i * room.place_bytes);
    }
  }

  static void Scatter(const Encoding& encoding, const KernelRoom& given, const FieldSource* sources,
                      std::uint64_t rows) {
    const KernelRoom room = given;
    std::memset(room.out, 0, rows * room.place_bytes);
    for (std::uint64_t i = 0; i < rows; ++i) {
      const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(sources[i].units, 0));
      RaggedRow<Convert>(encoding, room, sources[i].words, units, room.out + i * room.place_bytes);
    }
  }

  static Kernels Choose() { return {&Run, &Scatter}; }
};

#if STREAM_STORE_HAS_AVX2_COPY
// Short lists of floats, as in ragged features: each row takes the same number of vector steps
// whatever its length, because a loop over unpredictable lengths costs a wrong branch per row.
// Masked loads touch only the words of the row.
constexpr std::uint64_t kShortList = 16;

STREAM_STORE_AVX2 void ShortFloatRow(const Value* words, std::uint64_t count, std::byte* out,
                                     std::uint64_t steps) {
  const __m256i lanes = _mm256_set_epi64x(3, 2, 1, 0);
  __m256d nan = _mm256_setzero_pd();
  for (std::uint64_t i = 0; i < steps; ++i) {
    const auto left = static_cast<std::int64_t>(count) - static_cast<std::int64_t>(i * kWide);
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(left), lanes);
    const __m256d reals =
        _mm256_maskload_pd(reinterpret_cast<const double*>(words) + i * kWide, mask);
    nan = _mm256_or_pd(nan, _mm256_cmp_pd(reals, reals, _CMP_UNORD_Q));
    _mm_storeu_ps(reinterpret_cast<float*>(out) + i * kWide, _mm256_cvtpd_ps(reals));
  }
  if (_mm256_movemask_pd(nan) != 0) [[unlikely]] {
    ConvertMany<ToFloat>(words, count, out);
  }
}

// A row's stores may overshoot its place into places that are written later. Rows whose stores
// would overshoot the last place go through a buffer.
STREAM_STORE_AVX2 void ScatterShortFloats(const Encoding& encoding, const KernelRoom& given,
                                          const FieldSource* sources, std::uint64_t rows) {
  const KernelRoom room = given;
  if (room.most_units > kShortList || room.unit_words != 1) {
    RaggedKernels<ToFloat>::Scatter(encoding, given, sources, rows);
    return;
  }
  const std::uint64_t steps = (room.most_units + kWide - 1) / kWide;
  const auto count = [&](std::uint64_t i) {
    return std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(sources[i].units, 0)),
                    room.most_units);
  };
  const std::uint64_t room_bytes = rows * room.place_bytes;
  const std::uint64_t stored_bytes = steps * kWide * sizeof(float);
  std::uint64_t i = 0;
  for (; i < rows && i * room.place_bytes + stored_bytes <= room_bytes; ++i) {
    ShortFloatRow(sources[i].words, count(i), room.out + i * room.place_bytes, steps);
  }
  alignas(16) std::byte last[kShortList * sizeof(float)];
  for (; i < rows; ++i) {
    ShortFloatRow(sources[i].words, count(i), last, steps);
    std::memcpy(room.out + i * room.place_bytes, last, room.place_bytes);
  }
}
#endif

Kernels RaggedFloats() {
  Kernels kernels = RaggedKernels<ToFloat>::Choose();
#if STREAM_STORE_HAS_AVX2_COPY
  if (Avx2InUse()) {
    kernels.scatter = &ScatterShortFloats;
  }
#endif
  return kernels;
}

// --- other fixed rows: packed bytes, and items that DecodeWords() converts ---

template <bool kBytes, class Rows>
STREAM_STORE_INLINE void Other(const Encoding& encoding, const KernelRoom& room, Rows source,
                               std::uint64_t rows) {
  for (std::uint64_t i = 0; i < rows; ++i) {
    std::byte* out = room.out + i * room.place_bytes;
    const Value* words = source[i];
    if (words == nullptr) {
      std::memset(out, 0, room.place_bytes);
    } else if constexpr (kBytes) {
      std::memcpy(out, words, room.unit_bytes);
    } else {
      DecodeWords(encoding, words, room.unit_words, out);
    }
  }
}

template <bool kBytes>
struct OtherKernels {
  static void Run(const Encoding& encoding, const KernelRoom& room, const Value* first,
                  std::uint64_t stride, std::uint64_t /*units*/, std::uint64_t rows) {
    Other<kBytes>(encoding, room, Strided{first, stride}, rows);
  }

  static void Scatter(const Encoding& encoding, const KernelRoom& room, const FieldSource* sources,
                      std::uint64_t rows) {
    Other<kBytes>(encoding, room, Scattered{sources}, rows);
  }

  static Kernels Choose() { return {&Run, &Scatter}; }
};

// --- block rows: the bytes of the items, after a word with their number ---

// Blocks are long more often than not, so only the rest of a place is zeroed, not all of it first.
STREAM_STORE_INLINE void BlockRow(const Encoding& encoding, const KernelRoom& room,
                                  std::span<const Value> words, std::byte* out) {
  const BlockItems block = ItemsOfBlock(encoding, words);
  const std::uint64_t bytes = std::min(block.count * encoding.item_bytes, room.place_bytes);
  if (bytes > 0) {
    std::memcpy(out, block.items, bytes);
  }
  std::memset(out + bytes, 0, room.place_bytes - bytes);
}

struct BlockKernels {
  static void Run(const Encoding& encoding, const KernelRoom& given, const Value* first,
                  std::uint64_t stride, std::uint64_t units, std::uint64_t rows) {
    const KernelRoom room = given;
    for (std::uint64_t i = 0; i < rows; ++i) {
      BlockRow(encoding, room, {first + i * stride, units}, room.out + i * room.place_bytes);
    }
  }

  static void Scatter(const Encoding& encoding, const KernelRoom& given, const FieldSource* sources,
                      std::uint64_t rows) {
    const KernelRoom room = given;
    for (std::uint64_t i = 0; i < rows; ++i) {
      const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(sources[i].units, 0));
      BlockRow(encoding, room, {sources[i].words, units}, room.out + i * room.place_bytes);
    }
  }
};

template <class Convert>
Kernels Choose(const Encoding& encoding) {
  if (encoding.ragged) {
    return std::is_same_v<Convert, ToFloat> ? RaggedFloats() : RaggedKernels<Convert>::Choose();
  }
  switch (encoding.unit_words) {
    case 1:
      return FixedKernels<Convert, 1>::Choose();
    case 4:
      return FixedKernels<Convert, 4>::Choose();
    case 8:
      return FixedKernels<Convert, 8>::Choose();
    default:
      return FixedKernels<Convert, 0>::Choose();
  }
}

}  // namespace

const Value* ZeroSource(std::uint64_t words) noexcept {
  return words <= kZeroWords ? kZeros : nullptr;
}

Kernels KernelsOf(const Encoding& encoding) {
  if (encoding.block) {
    return {&BlockKernels::Run, &BlockKernels::Scatter};
  }
  if (encoding.packed) {
    return OtherKernels<true>::Choose();
  }
  if (encoding.dtype == DType::kBool) {
    return Choose<ToBool>(encoding);
  }
  if (encoding.dtype == DType::kFloat32) {
    return Choose<ToFloat>(encoding);
  }
  if (encoding.item_bytes == 8 * encoding.item_words) {
    return Choose<Words>(encoding);
  }
  const bool plain = encoding.item_words == 1 && encoding.dtype != DType::kFloat16;
  switch (plain ? encoding.item_bytes : 0) {
    case 1:
      return Choose<Truncate<std::uint8_t>>(encoding);
    case 2:
      return Choose<Truncate<std::uint16_t>>(encoding);
    case 4:
      return Choose<Truncate<std::uint32_t>>(encoding);
    default:
      return encoding.ragged ? RaggedKernels<void>::Choose() : OtherKernels<false>::Choose();
  }
}

}  // namespace stream_store::internal
