// Patches: small changes of bytes, which the fuzz targets apply to files and packs; and the checksums
// that the changed bytes should have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "format/record.h"
#include "fuzz/targets.h"

namespace stream_store::fuzz {

/// A change of some bytes, as 12 bytes of an input describe it.
struct Patch {
  static constexpr std::uint64_t kKinds = 6;  ///< kinds that ChangeBytes() knows

  std::uint8_t target = 0;  ///< what is changed
  std::uint8_t kind = 0;
  std::uint16_t place = 0;
  std::uint64_t word = 0;
};

/// Returns the patches of an input, one after the other, but at most 16. Each has the bytes target,
/// kind, place and word, little-endian.
std::vector<Patch> PatchesIn(Bytes bytes);

/// Changes `bytes` at byte `at`, or their number. `kind` is below Patch::kKinds: replace a word, or a
/// byte; add a small number to a word; cut the rest off; append zeros; copy a piece from elsewhere.
void ChangeBytes(std::vector<std::byte>& bytes, std::uint64_t kind, std::uint64_t at,
                 std::uint64_t word);

/// Writes the CRC32C of the block [begin, begin + size) into its last four bytes, if it is there.
void MendBlock(std::vector<std::byte>& bytes, std::uint64_t begin, std::uint64_t size);

/// Returns the checksum of a record with the words of its layout, the head included, and its values.
std::uint32_t ChecksumOf(std::uint32_t seed, const internal::Record& record,
                         std::span<const std::uint64_t> layout,
                         std::span<const std::uint64_t> values);

}  // namespace stream_store::fuzz
