#include "fuzz/patch.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "format/checksum.h"
#include "format/layout.h"

namespace stream_store::fuzz {
namespace {

constexpr std::size_t kPatchBytes = 12;
constexpr std::size_t kMostPatches = 16;
constexpr std::uint64_t kMostBytes = 600'000;  // that appended zeros make

void AddToWord(std::byte* place, std::size_t size, std::uint64_t number) {
  std::uint64_t there = 0;
  std::memcpy(&there, place, size);
  there += number % 2 == 0 ? number % 256 : 0 - number % 256;
  std::memcpy(place, &there, size);
}

}  // namespace

std::vector<Patch> PatchesIn(Bytes bytes) {
  std::vector<Patch> patches(std::min(bytes.size() / kPatchBytes, kMostPatches));
  for (Patch& patch : patches) {
    patch.target = bytes[0];
    patch.kind = bytes[1];
    std::memcpy(&patch.place, bytes.data() + 2, sizeof(patch.place));
    std::memcpy(&patch.word, bytes.data() + 4, sizeof(patch.word));
    bytes = bytes.subspan(kPatchBytes);
  }
  return patches;
}

void ChangeBytes(std::vector<std::byte>& bytes, std::uint64_t kind, std::uint64_t at,
                 std::uint64_t word) {
  if (bytes.empty()) {
    bytes.resize(word % 64);
    return;
  }
  at %= bytes.size();
  const std::size_t most = std::min<std::size_t>(8, bytes.size() - at);
  switch (kind) {
    case 0:
      std::memcpy(bytes.data() + at, &word, most);
      break;
    case 1:
      bytes[at] = std::byte{static_cast<std::uint8_t>(word)};
      break;
    case 2:
      AddToWord(bytes.data() + at, most, word);
      break;
    case 3:
      bytes.resize(at);
      break;
    case 4:
      bytes.resize(std::min<std::size_t>(bytes.size() + word % 4096, kMostBytes));
      break;
    case 5: {
      const std::uint64_t from = word % bytes.size();
      const std::size_t count = std::min<std::size_t>({32, bytes.size() - at, bytes.size() - from});
      std::memmove(bytes.data() + at, bytes.data() + from, count);
      break;
    }
  }
}

void MendBlock(std::vector<std::byte>& bytes, std::uint64_t begin, std::uint64_t size) {
  if (bytes.size() < begin + size || size < sizeof(std::uint32_t)) return;
  const std::uint64_t checked = size - sizeof(std::uint32_t);
  const std::uint32_t sum = internal::Crc32c(bytes.data() + begin, checked);
  std::memcpy(bytes.data() + begin + checked, &sum, sizeof(sum));
}

std::uint32_t ChecksumOf(std::uint32_t seed, const internal::Record& record,
                         std::span<const std::uint64_t> layout,
                         std::span<const std::uint64_t> values) {
  const std::uint32_t state =
      internal::BeginChecksum(seed, record.start, record.step, record.row_session, record.layout,
                              internal::LayoutDigest(layout));
  return internal::FinishChecksum(internal::Crc32cExtendWords(state, values.data(), values.size()));
}

}  // namespace stream_store::fuzz
