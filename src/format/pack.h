// Packs: contiguous records of a store as one block of bytes, as docs/format.md, "Packs", specifies
// them. Packs carry records from one host to another.
//
// Used by storage (export and apply). Thread rules: pure functions.
//
//   0 "SSRECPAK" | 8 u32 format version | 12 u32 checksum seed | 16 store id | 32 u64 chunk bytes |
//   40 u64 first record | 48 records | 56 first position | 64 values | 72 rows before |
//   80 layout words | 88 u32 content checksum of the record before | 92 u32 flags (1 there is one) |
//   zeros | 124 u32 CRC32C of all other bytes
//   then the layouts: for each, u64 number of its first word, and its words
//   then the records, then the values
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "stream_store/types.h"

#include "format/control.h"
#include "format/record.h"

namespace stream_store::internal {

inline constexpr std::size_t kPackHeaderBytes = 128;

/// The header of a pack. Counts and numbers are those of the source store.
struct PackHeader {
  std::uint32_t checksum_seed = 0;   ///< of the source
  StoreId id{};                      ///< of the source
  std::uint64_t chunk_bytes = 0;     ///< of the source
  std::uint64_t first_record = 0;    ///< number of the first record
  std::uint64_t records = 0;         ///< number of records, at least 1
  std::uint64_t first_position = 0;  ///< where the first record starts
  std::uint64_t values = 0;          ///< number of values
  std::uint64_t rows_before = 0;   ///< number of the row that a record which starts one would have
  std::uint64_t layout_words = 0;  ///< words of all layouts, their numbers included
  std::uint32_t previous = 0;      ///< ContentChecksum of the record before the first one
  bool has_previous = false;       ///< whether the source had a record before the first one

  friend bool operator==(const PackHeader&, const PackHeader&) = default;
};

/// The parts of a pack, in its bytes.
struct PackParts {
  PackHeader header;
  std::span<const std::uint64_t> layouts;
  std::span<const Record> records;
  std::span<const Value> values;
};

/// Returns the number of bytes of a pack with this header.
/// REQUIRES: the counts are those of a store, so that they do not overflow.
std::uint64_t PackBytes(const PackHeader& header) noexcept;

/// Writes the header to the front of a pack, of which everything else is there.
/// REQUIRES: pack.size() == PackBytes(header).
void WritePackHeader(const PackHeader& header, std::span<std::byte> pack) noexcept;

/// Decodes a pack and verifies its CRC32C and its sizes, but neither layouts nor records. `name` is
/// that of the pack in messages. Throws Error(kVersion) for another format version, Error(kCorrupt)
/// for any other difference.
/// REQUIRES: pack.data() is aligned to 8 bytes.
PackParts DecodePack(std::span<const std::byte> pack, const std::string& name);

/// The register of a content checksum, before the values: CRC32C over start, step, row, the digest of
/// the layout, and the values. Unlike the checksum of a record, it is the same in a replica.
std::uint32_t BeginContentChecksum(const Record& record, std::uint32_t digest) noexcept;

}  // namespace stream_store::internal
