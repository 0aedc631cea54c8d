// CRC32C: three interleaved streams on machines with the instruction, slicing tables elsewhere.
//
// The instruction takes three cycles but can start every cycle, so a single stream would use a
// third of its speed. The register is linear in its input: register(A, B) = shift(register(A), bits
// of B) xor register0(B). A long input is therefore split into three parts ("lanes") that are
// computed side by side and joined at the end: shift(s0, 2 lanes) ^ shift(s1, 1 lane) ^ s2. A shift
// by n bits is a carry-less multiplication by x^(n - 33) mod P, followed by one more CRC step over
// the 64-bit product; that step contributes the missing 33 bits in this bit order.

#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__) && defined(__SSE4_2__)
#include <wmmintrin.h>
#define STREAM_STORE_CRC_LANES 1
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#define STREAM_STORE_CRC_LANES 1
#endif

namespace stream_store::internal {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78U;  // reflected

using SlicingTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr SlicingTables MakeSlicingTables() {  // slicing-by-8: one table per byte of a word
  SlicingTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t state = byte;
    for (int bit = 0; bit < 8; ++bit) {
      state = (state >> 1) ^ ((state & 1U) * kPolynomial);
    }
    tables[0][byte] = state;
  }
  for (std::size_t slice = 1; slice < 8; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xffU];
    }
  }
  return tables;
}

constexpr SlicingTables kSlicing = MakeSlicingTables();

std::uint64_t LoadWord(const unsigned char* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

std::uint32_t PortableWord(std::uint32_t state, std::uint64_t word) noexcept {
  word ^= state;
  std::uint32_t result = 0;
  for (std::size_t byte = 0; byte < 8; ++byte) {
    result ^= kSlicing[7 - byte][(word >> (8 * byte)) & 0xffU];
  }
  return result;
}

}  // namespace

std::uint32_t Crc32cExtendPortable(std::uint32_t state, const void* data,
                                   std::size_t size) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (; size >= 8; size -= 8, bytes += 8) {
    state = PortableWord(state, LoadWord(bytes));
  }
  for (; size > 0; --size, ++bytes) {
    state = (state >> 8) ^ kSlicing[0][(state ^ *bytes) & 0xffU];
  }
  return state;
}

#if !defined(STREAM_STORE_CRC_LANES)

std::uint32_t Crc32cExtend(std::uint32_t state, const void* data, std::size_t size) noexcept {
  return Crc32cExtendPortable(state, data, size);
}

std::uint32_t Crc32cExtendWords(std::uint32_t state, const void* words,
                                std::size_t count) noexcept {
  return Crc32cExtendPortable(state, words, count * 8);
}

#else

namespace {

constexpr std::size_t kMaxLaneWords = 256;

// kShift[n] = x^(64 n - 33) mod P, reflected: multiplying by it shifts a register by n words.
constexpr std::array<std::uint32_t, 2 * kMaxLaneWords + 1> MakeShifts() {
  std::array<std::uint32_t, 2 * kMaxLaneWords + 1> shifts{};
  std::uint32_t power = 1;  // x^31: bit 31 - k of a register is the coefficient of x^k
  for (std::size_t words = 1; words < shifts.size(); ++words) {
    shifts[words] = power;
    for (int bit = 0; bit < 64; ++bit) {
      power = (power >> 1) ^ ((power & 1U) * kPolynomial);
    }
  }
  return shifts;
}

constexpr auto kShift = MakeShifts();

#if defined(__x86_64__)

inline std::uint32_t HardwareWord(std::uint32_t state, std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(_mm_crc32_u64(state, word));
}

inline std::uint32_t HardwareByte(std::uint32_t state, unsigned char byte) noexcept {
  return _mm_crc32_u8(state, byte);
}

constexpr bool HasInstruction() noexcept { return true; }

#else

// Written as assembly so that one build serves machines with and without the extension.
inline std::uint32_t HardwareWord(std::uint32_t state, std::uint64_t word) noexcept {
  __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(state) : "r"(word));
  return state;
}

inline std::uint32_t HardwareByte(std::uint32_t state, unsigned char byte) noexcept {
  __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(state) : "r"(std::uint32_t{byte}));
  return state;
}

#if defined(__ARM_FEATURE_CRC32)
constexpr bool HasInstruction() noexcept { return true; }
#else
const bool has_instruction = (::getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;

bool HasInstruction() noexcept { return has_instruction; }
#endif

#endif

struct Lanes {
  std::uint32_t state[3];
};

// The registers of three consecutive parts of `lane` words each; the first continues `state`.
[[gnu::always_inline]] inline Lanes RunLanes(std::uint32_t state, const unsigned char* bytes,
                                             std::size_t lane) noexcept {
  Lanes lanes{{state, 0, 0}};
  const unsigned char* end = bytes + 8 * lane;
  for (; bytes != end; bytes += 8) {
    lanes.state[0] = HardwareWord(lanes.state[0], LoadWord(bytes));
    lanes.state[1] = HardwareWord(lanes.state[1], LoadWord(bytes + 8 * lane));
    lanes.state[2] = HardwareWord(lanes.state[2], LoadWord(bytes + 16 * lane));
  }
  return lanes;
}

std::uint64_t MultiplyCarryless(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint64_t product = 0;
  for (unsigned bit = 0; bit < 32; ++bit) {
    product ^= (std::uint64_t{a} << bit) & (0 - std::uint64_t{(b >> bit) & 1U});
  }
  return product;
}

std::uint32_t JoinBySoftware(const Lanes& lanes, std::size_t lane) noexcept {
  const std::uint64_t product = MultiplyCarryless(lanes.state[0], kShift[2 * lane]) ^
                                MultiplyCarryless(lanes.state[1], kShift[lane]);
  return lanes.state[2] ^ HardwareWord(0, product);
}

// Below this length, joining three lanes in software costs more than they save.
constexpr std::size_t kSoftwareJoinWords = 192;

std::uint32_t ExtendJoinedBySoftware(std::uint32_t state, const unsigned char* bytes,
                                     std::size_t count) noexcept {
  while (count >= kSoftwareJoinWords) {
    const std::size_t lane = count / 3 < kMaxLaneWords ? count / 3 : kMaxLaneWords;
    state = JoinBySoftware(RunLanes(state, bytes, lane), lane);
    bytes += 24 * lane;
    count -= 3 * lane;
  }
  for (; count > 0; --count, bytes += 8) {
    state = HardwareWord(state, LoadWord(bytes));
  }
  return state;
}

#if defined(__x86_64__)

// As kSoftwareJoinWords, but joining with PCLMULQDQ is cheaper.
constexpr std::size_t kLaneThresholdWords = 24;

const bool kHasPclmul = __builtin_cpu_supports("pclmul") != 0;

[[gnu::target("pclmul")]] inline std::uint64_t MultiplyByInstruction(std::uint32_t a,
                                                                     std::uint32_t b) noexcept {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(a)),
                                               _mm_cvtsi32_si128(static_cast<int>(b)), 0);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
}

[[gnu::target("pclmul")]] std::uint32_t ExtendJoinedByInstruction(std::uint32_t state,
                                                                  const unsigned char* bytes,
                                                                  std::size_t count) noexcept {
  while (count >= kLaneThresholdWords) {
    const std::size_t lane = count / 3 < kMaxLaneWords ? count / 3 : kMaxLaneWords;
    const Lanes lanes = RunLanes(state, bytes, lane);
    const std::uint64_t product = MultiplyByInstruction(lanes.state[0], kShift[2 * lane]) ^
                                  MultiplyByInstruction(lanes.state[1], kShift[lane]);
    state = lanes.state[2] ^ HardwareWord(0, product);
    bytes += 24 * lane;
    count -= 3 * lane;
  }
  for (; count > 0; --count, bytes += 8) {
    state = HardwareWord(state, LoadWord(bytes));
  }
  return state;
}

#endif

}  // namespace

std::uint32_t Crc32cExtendWords(std::uint32_t state, const void* words,
                                std::size_t count) noexcept {
  const auto* bytes = static_cast<const unsigned char*>(words);
  if (!HasInstruction()) {
    return Crc32cExtendPortable(state, words, count * 8);
  }
#if defined(__x86_64__)
  if (kHasPclmul) {
    return ExtendJoinedByInstruction(state, bytes, count);
  }
#endif
  return ExtendJoinedBySoftware(state, bytes, count);
}

std::uint32_t Crc32cExtend(std::uint32_t state, const void* data, std::size_t size) noexcept {
  if (!HasInstruction()) {
    return Crc32cExtendPortable(state, data, size);
  }
  const auto* bytes = static_cast<const unsigned char*>(data);
  state = Crc32cExtendWords(state, bytes, size / 8);
  for (std::size_t at = size & ~std::size_t{7}; at < size; ++at) {
    state = HardwareByte(state, bytes[at]);
  }
  return state;
}

#endif

}  // namespace stream_store::internal
