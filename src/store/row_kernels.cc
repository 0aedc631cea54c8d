// Each kernel works on a copy of its KernelRun: stores through std::byte* might change the original,
// and a loop would load it anew for every row.
#include "store/row_kernels.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "store/wide.h"

namespace stream_store::internal {
namespace {

STREAM_STORE_INLINE void ZeroRest(const KernelRun& run, std::byte* out) {
  if (run.used_bytes < run.place_bytes) {
    std::memset(out + run.used_bytes, 0, run.place_bytes - run.used_bytes);
  }
}

template <class Item>
struct Truncate {
  static Item One(Value word) noexcept {
    return static_cast<Item>(static_cast<std::make_unsigned_t<Value>>(word));
  }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Item item = One(words[i]);
      std::memcpy(out + i * sizeof(Item), &item, sizeof(Item));
    }
  }
};

struct ToBool {
  static std::uint8_t One(Value word) noexcept { return word != 0 ? 1 : 0; }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    for (std::uint64_t i = 0; i < count; ++i) {
      out[i] = static_cast<std::byte>(One(words[i]));
    }
  }
};

struct Words {
  static Value One(Value word) noexcept { return word; }

  static void Many(const Value* words, std::uint64_t count, std::byte* out) noexcept {
    if (count > 0) {
      std::memcpy(out, words, count * sizeof(Value));
    }
  }
};

// One item a row, no more room than that.
template <class Convert>
void ScalarKernel(const Encoding& /*encoding*/, const KernelRun& given) {
  using Item = decltype(Convert::One(Value{}));
  const KernelRun run = given;
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    const Item item = Convert::One(run.first[i * run.stride]);
    std::memcpy(run.out + i * sizeof(Item), &item, sizeof(Item));
  }
}

template <class Convert>
void VectorKernel(const Encoding& /*encoding*/, const KernelRun& given) {
  const KernelRun run = given;
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    std::byte* out = run.out + i * run.place_bytes;
    Convert::Many(run.first + i * run.stride, run.words, out);
    ZeroRest(run, out);
  }
}

template <class Convert>
Kernel ChooseShape(const Encoding& encoding) {
  const bool scalar = !encoding.ragged && encoding.unit_words == 1;
  return scalar ? &ScalarKernel<Convert> : &VectorKernel<Convert>;
}

// Bytes of packed blocks.
void BytesKernel(const Encoding& /*encoding*/, const KernelRun& run) {
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    std::memcpy(run.out + i * run.place_bytes, run.first + i * run.stride, run.used_bytes);
  }
}

// What is rare, as the format room decodes it.
void OtherKernel(const Encoding& encoding, const KernelRun& run) {
  for (std::uint64_t i = 0; i < run.rows; ++i) {
    std::byte* out = run.out + i * run.place_bytes;
    DecodeWords(encoding, run.first + i * run.stride, run.words, out);
    ZeroRest(run, out);
  }
}

// --- float32, as the hardware narrows; with a NaN among them again by their bits ---

using WideReals = double __attribute__((vector_size(32)));
using FourFloats = float __attribute__((vector_size(16)));

[[gnu::noinline]] void NarrowByBits(const KernelRun& run) {
  for (std::uint64_t row = 0; row < run.rows; ++row) {
    for (std::uint64_t i = 0; i < run.words; ++i) {
      const auto word = static_cast<std::uint64_t>(run.first[row * run.stride + i]);
      const std::uint32_t bits = NarrowToFloat32(word);
      std::memcpy(run.out + row * run.place_bytes + i * sizeof(bits), &bits, sizeof(bits));
    }
  }
}

// The payload of a NaN would be changed by the hardware.
STREAM_STORE_INLINE bool NarrowScalars(const KernelRun run) {
  bool nan = false;
  for (std::uint64_t row = 0; row < run.rows; ++row) {
    const auto real = std::bit_cast<double>(run.first[row * run.stride]);
    const auto item = static_cast<float>(real);
    nan |= std::isnan(real);
    std::memcpy(run.out + row * sizeof(item), &item, sizeof(item));
  }
  return nan;
}

// kWords: known when compiled, or 0.
template <std::uint64_t kWords>
STREAM_STORE_INLINE bool NarrowVectors(const KernelRun run) {
  const std::uint64_t count = kWords > 0 ? kWords : run.words;
  WideWords nan = {0, 0, 0, 0};
  bool odd = false;
  for (std::uint64_t row = 0; row < run.rows; ++row) {
    const Value* words = run.first + row * run.stride;
    std::byte* out = run.out + row * run.place_bytes;
    std::uint64_t i = 0;
    for (; i + kWide <= count; i += kWide) {
      WideReals reals;
      std::memcpy(&reals, words + i, sizeof(reals));
      const auto floats = __builtin_convertvector(reals, FourFloats);
      std::memcpy(out + i * sizeof(float), &floats, sizeof(floats));
      nan |= reals != reals;  // NOLINT(misc-redundant-expression): a NaN is not equal to itself
    }
    for (; i < count; ++i) {
      const auto real = std::bit_cast<double>(words[i]);
      const auto item = static_cast<float>(real);
      odd |= std::isnan(real);
      std::memcpy(out + i * sizeof(float), &item, sizeof(item));
    }
    ZeroRest(run, out);
  }
  return odd || (nan[0] | nan[1] | nan[2] | nan[3]) != 0;
}

void FloatScalars(const Encoding& /*encoding*/, const KernelRun& run) {
  if (NarrowScalars(run)) [[unlikely]] {
    NarrowByBits(run);
  }
}

template <std::uint64_t kWords>
void FloatVectors(const Encoding& /*encoding*/, const KernelRun& run) {
  if (NarrowVectors<kWords>(run)) [[unlikely]] {
    NarrowByBits(run);
  }
}

template <std::uint64_t kWords>
STREAM_STORE_AVX2 void FloatVectorsAvx2(const Encoding& /*encoding*/, const KernelRun& run) {
  if (NarrowVectors<kWords>(run)) [[unlikely]] {
    NarrowByBits(run);
  }
}

template <std::uint64_t kWords>
Kernel ChooseSet() {
  return Avx2InUse() ? &FloatVectorsAvx2<kWords> : &FloatVectors<kWords>;
}

Kernel ChooseFloat(const Encoding& encoding) {
  switch (encoding.ragged ? 0 : encoding.unit_words) {
    case 1:
      return &FloatScalars;
    case 4:
      return ChooseSet<4>();
    case 8:
      return ChooseSet<8>();
    case 16:
      return ChooseSet<16>();
    default:
      return ChooseSet<0>();
  }
}

}  // namespace

Kernel KernelOf(const Encoding& encoding) {
  if (encoding.packed) {
    return &BytesKernel;
  }
  switch (encoding.dtype) {
    case DType::kNull:
      return nullptr;
    case DType::kBool:
      return ChooseShape<ToBool>(encoding);
    case DType::kFloat32:
      return ChooseFloat(encoding);
    case DType::kFloat16:
      return &OtherKernel;
    default:
      break;
  }
  if (encoding.item_bytes == 8 * encoding.item_words) {
    return encoding.item_words == 1 ? ChooseShape<Words>(encoding) : &VectorKernel<Words>;
  }
  switch (encoding.item_words == 1 ? encoding.item_bytes : 0) {
    case 1:
      return ChooseShape<Truncate<std::uint8_t>>(encoding);
    case 2:
      return ChooseShape<Truncate<std::uint16_t>>(encoding);
    case 4:
      return ChooseShape<Truncate<std::uint32_t>>(encoding);
    default:
      return &OtherKernel;
  }
}

}  // namespace stream_store::internal
