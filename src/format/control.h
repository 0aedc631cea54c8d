// The `control` file: the store's identity, its live words and two sync slots.
//
// Each part begins at a multiple of 64 KiB, so that no two of them share a page or a disk sector on
// any machine: a torn write of one cannot damage another. Used by storage (create, open, sync,
// recovery) and by verify. Thread rules: pure functions. All numbers are little-endian.
//
//   identity  0 "SSCONTRL" | 8 u32 format version | 12 u32 endian mark 0x01020304 | 16 store id |
//             32 parent id | 48 u32 checksum seed | 56 u64 chunk bytes | zeros |
//             508 u32 CRC32C of the 508 bytes before
//   slot      0 "SSSYSLOT" | 8 store id | 24 u64 sequence | 32 session | 40 records | 48 values |
//             56 layout words | 64 rows | 72 field-writes | 80 flags (1 clean) | 88 time |
//             96 begin: records, values, rows, layout words, field-writes |
//             136 retain: rows, bytes, segments | 160 u16 count, 16 u16 type ids of segment_by |
//             zeros | 508 u32 CRC32C of the 508 bytes before
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

/// Bounds of the size of a chunk, which is a power of two.
inline constexpr std::uint64_t kMinChunkBytes = 1ULL << 20;
inline constexpr std::uint64_t kMaxChunkBytes = 1ULL << 30;
inline constexpr std::uint64_t kDefaultChunkBytes = kMaxChunkBytes;

/// Whether a store may have chunks of this size.
bool IsChunkSize(std::uint64_t bytes) noexcept;

/// The smallest size that IsChunkSize() accepts. It starts as kMinChunkBytes; tests lower it to a
/// page, so that small stores have many chunks. It may be changed only while no other thread uses a
/// store.
std::uint64_t& SmallestChunkBytes() noexcept;

/// The identity of a store: region 0, written once at creation.
struct Identity {
  StoreId id{};
  StoreId parent{};                 ///< id of the store this one was copied from, else zeros
  std::uint32_t checksum_seed = 0;  ///< initial register of every record's checksum
  std::uint64_t chunk_bytes = kDefaultChunkBytes;  ///< size of a full chunk of every kind
};

/// Returns the bytes of an identity block.
std::array<std::byte, kIdentityBytes> EncodeIdentity(const Identity& identity);

/// Decodes an identity block. `path` names the file in messages.
///
/// Throws Error(kVersion) if the block has another format version, else Error(kCorrupt) if its
/// length, magic, checksum or any byte that must be zero is wrong.
Identity DecodeIdentity(std::span<const std::byte> bytes, const std::string& path);

/// The live words. All processes map them and access them through std::atomic_ref. `published` and
/// `begin` are alone in their cache lines: the writer stores the first on every append, and readers
/// load the second on every refresh. Persistent layout.
struct LiveWords {
  alignas(64) std::uint64_t published;  ///< records that readers may use
  alignas(64) std::uint64_t begin;      ///< the first record that is retained
  std::uint64_t layout_begin;           ///< offset of the first layout that is retained
  alignas(64) std::uint64_t session;    ///< number of the last writer's session
  std::uint64_t truncations;            ///< how often records were removed at the end
  std::uint64_t state;                  ///< a LiveState
  std::uint64_t durable;                ///< records of the last good sync
  std::uint64_t schema_revision;        ///< revision of the newest schema
};

static_assert(sizeof(LiveWords) == 192 && offsetof(LiveWords, begin) == 64 &&
              offsetof(LiveWords, session) == 128 && offsetof(LiveWords, schema_revision) == 160);

/// The values of LiveWords::state. Persistent: never change an existing number. kLiveSyncing means
/// that a sync began and has not finished: if the writer died, the newest slot may not be on disk.
enum LiveState : std::uint64_t { kLiveClosed = 0, kLiveOpen = 1, kLiveSyncing = 2 };

/// Where the retained part of a store begins: everything before was dropped. The counts are those of
/// the dropped part, so each is also the number of the first item that is retained.
struct Begin {
  std::uint64_t records = 0;
  std::uint64_t values = 0;
  std::uint64_t rows = 0;
  std::uint64_t layout_words = 0;
  std::uint64_t field_writes = 0;

  friend bool operator==(const Begin&, const Begin&) = default;
};

/// How much of a store is retained; 0 means without a limit. If segment_count is not 0, rows are
/// dropped in whole segments: runs of rows in which the first segment_count fields of `segment_by`
/// do not change.
struct Retention {
  static constexpr std::size_t kMaxSegmentFields = 16;

  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;
  std::uint64_t segments = 0;
  std::uint16_t segment_count = 0;
  std::array<std::uint16_t, kMaxSegmentFields> segment_by{};  ///< type ids; zeros after the last

  friend bool operator==(const Retention&, const Retention&) = default;

  /// Whether there is any limit.
  bool limited() const noexcept { return rows != 0 || bytes != 0 || segments != 0; }
};

/// A sync slot: the counts of the prefix that was durable when the slot was written. The two slots
/// are written in turn, so a torn write leaves the other one.
struct Slot {
  StoreId id{};
  std::uint64_t sequence = 0;          ///< rises by 1 with each slot; the higher one is newer
  std::uint64_t session = 0;           ///< of the writer; later records of the walk must carry it
  std::uint64_t records = 0;           ///< N
  std::uint64_t values = 0;            ///< D
  std::uint64_t layout_words = 1;      ///< L
  std::uint64_t rows = 0;              ///< R
  std::uint64_t field_writes = 0;      ///< F
  bool clean = false;                  ///< the store was closed; nothing follows the slot
  std::uint64_t unix_nanoseconds = 0;  ///< information only
  Begin begin;
  Retention retention;

  friend bool operator==(const Slot&, const Slot&) = default;
};

/// Returns the bytes of a slot.
std::array<std::byte, kSlotBytes> EncodeSlot(const Slot& slot);

/// Where a slot belongs in the file: the two regions are used in turn.
inline std::uint64_t SlotOffsetOf(const Slot& slot) noexcept {
  return kSlotOffset[slot.sequence & 1];
}

/// Decodes a slot of the store `id`. Returns nothing if its length, magic, id, checksum, flags or
/// any byte that must be zero is wrong.
std::optional<Slot> DecodeSlot(std::span<const std::byte> bytes, const StoreId& id) noexcept;

/// Returns the reason why DecodeSlot() returns nothing, for messages and verify; empty if it
/// returns a slot.
std::string SlotProblem(std::span<const std::byte> bytes, const StoreId& id);

/// Returns the newer slot: the one with the higher sequence, the first if they are equal. A missing
/// slot counts as the oldest; returns nothing if both are missing.
std::optional<Slot> ChooseSlot(const std::optional<Slot>& first,
                               const std::optional<Slot>& second) noexcept;

/// Returns an id as 32 hex digits.
std::string IdText(const StoreId& id);

}  // namespace stream_store::internal
