// The `control` file: identity, live words and two sync slots, each at a 64 KiB border so that no
// two share a page or a sector anywhere.
//
// Used by storage (create, open, sync, recovery) and by verify. Pure functions; every number
// little-endian.
//
//   identity  0 "SSCONTRL" | 8 u32 format version | 12 u32 endian mark 0x01020304 | 16 store id |
//             32 parent id | 48 u32 check seed | zeros | 508 u32 CRC32C of the 508 bytes before
//   slot      0 "SSSYSLOT" | 8 store id | 24 u64 sequence | 32 session | 40 records | 48 values |
//             56 layout words | 64 rows | 72 field-writes | 80 flags (1 clean) | 88 time | zeros |
//             508 u32 CRC32C of the 508 bytes before
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "format/schema_codec.h"

namespace stream_store::internal {

inline constexpr std::uint64_t kControlRegion = 64ULL << 10;
inline constexpr std::uint64_t kControlBytes = 4 * kControlRegion;
inline constexpr std::uint64_t kIdentityOffset = 0;
inline constexpr std::uint64_t kLiveOffset = kControlRegion;
inline constexpr std::uint64_t kSlotOffset[2] = {2 * kControlRegion, 3 * kControlRegion};
inline constexpr std::uint64_t kSlotBytes = 512;
inline constexpr std::uint64_t kIdentityBytes = 512;

/// Region 0, written once.
struct Identity {
  StoreId id{};
  StoreId parent{};                 ///< id of the store a checkpoint was taken from, else zeros
  std::uint32_t checksum_seed = 0;  ///< initial register of every record's check
};

std::array<std::byte, kIdentityBytes> EncodeIdentity(const Identity& identity);

/// Throws Error(kVersion) if it is of another format version, else Error(kCorrupt) if any byte is
/// not as written; `path` names the file in messages.
Identity DecodeIdentity(std::span<const std::byte> bytes, const std::string& path);

/// The live words, mapped; accessed through std::atomic_ref. `published` has its 64-byte line
/// alone.
struct LiveWords {
  alignas(64) std::uint64_t published;  ///< records that readers may use
  alignas(64) std::uint64_t session;    ///< of the writer that has, or last had, the store
  std::uint64_t truncations;            ///< how often a recovery cut records off
  std::uint64_t state;                  ///< a LiveState
  std::uint64_t durable;                ///< records of the last good sync
};

static_assert(sizeof(LiveWords) == 128 && offsetof(LiveWords, session) == 64 &&
              offsetof(LiveWords, durable) == 88);

/// Persistent numbers.
enum LiveState : std::uint64_t { kLiveClosed = 0, kLiveOpen = 1, kLiveSyncing = 2 };

/// A sync slot: what is durable.
struct Slot {
  StoreId id{};
  std::uint64_t sequence = 0;
  std::uint64_t session = 0;
  std::uint64_t records = 0;       ///< N
  std::uint64_t values = 0;        ///< D
  std::uint64_t layout_words = 1;  ///< L
  std::uint64_t rows = 0;          ///< R
  std::uint64_t field_writes = 0;  ///< F
  bool clean = false;
  std::uint64_t unix_nanoseconds = 0;  ///< information only

  friend bool operator==(const Slot&, const Slot&) = default;
};

std::array<std::byte, kSlotBytes> EncodeSlot(const Slot& slot);

/// Nothing if magic, id, CRC or any byte that must be zero is wrong.
std::optional<Slot> DecodeSlot(std::span<const std::byte> bytes, const StoreId& id) noexcept;

/// Why DecodeSlot() gives nothing, for messages and verify; empty if it gives a slot.
std::string SlotProblem(std::span<const std::byte> bytes, const StoreId& id);

/// The valid slot with the higher sequence; the first if they are equal, nothing if neither is
/// valid.
std::optional<Slot> ChooseSlot(const std::optional<Slot>& first,
                               const std::optional<Slot>& second) noexcept;

/// "3f9c…", 32 hex digits.
std::string IdText(const StoreId& id);

}  // namespace stream_store::internal
