// The kinds of data of a store, each of which is kept in a sequence of chunk files, and where the
// content of each kind begins and ends.
//
// Used by all of storage. Thread rules: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "format/control.h"
#include "format/record.h"
#include "storage/cursor.h"

namespace stream_store::internal {

/// In the order in which files grow: readers follow records to all others.
enum class Kind : std::size_t { kLayouts, kPositionHints, kRowHints, kValues, kRecords };

inline constexpr std::size_t kKinds = 5;

/// All kinds, for loops.
inline constexpr std::array<Kind, kKinds> kAllKinds = {
    Kind::kLayouts, Kind::kPositionHints, Kind::kRowHints, Kind::kValues, Kind::kRecords};

/// The names of the kinds, which begin the names of their files. Persistent.
inline constexpr std::array<const char*, kKinds> kKindNames = {"layouts", "position_hints",
                                                               "row_hints", "values", "records"};

constexpr std::size_t Index(Kind kind) noexcept { return static_cast<std::size_t>(kind); }

constexpr const char* KindName(Kind kind) noexcept { return kKindNames[Index(kind)]; }

/// A number of bytes for each kind, by Index().
using KindBytes = std::array<std::uint64_t, kKinds>;

/// Counts the content of a store up to some place.
struct Ends {
  std::uint64_t values = 0;
  std::uint64_t records = 0;
  std::uint64_t rows = 0;
  std::uint64_t layout_words = 0;
};

inline Ends EndsOf(const Cursor& cursor) noexcept {
  return {cursor.values, cursor.records, cursor.rows, cursor.layout_words};
}

inline Ends EndsOf(const Slot& slot) noexcept {
  return {slot.values, slot.records, slot.rows, slot.layout_words};
}

/// The cursor of a walk over the records that are retained, before the first of them.
inline Cursor CursorAt(const Begin& begin) noexcept {
  return {.records = begin.records,
          .values = begin.values,
          .layout_words = begin.layout_words == 0 ? 1 : begin.layout_words,
          .rows = begin.rows,
          .field_writes = begin.field_writes,
          .step = 0,
          .last_type = -1,
          .follows_record = false};
}

/// The first byte of each kind that a store needs whose retained part begins at `begin`.
constexpr KindBytes FirstBytes(const Begin& begin) noexcept {
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  return {begin.layout_words * kWord, begin.values / kHintStride * kWord,
          begin.rows / kHintStride * kWord, begin.values * sizeof(Value),
          begin.records * sizeof(Record)};
}

/// The first chunk that a store needs whose content of some kind begins at that byte. It is the
/// chunk of the byte before, because the byte itself may be the first of a chunk that does not exist
/// yet.
constexpr std::uint64_t FirstChunk(std::uint64_t first_byte, std::uint64_t chunk_bytes) noexcept {
  return first_byte == 0 ? 0 : (first_byte - 1) / chunk_bytes;
}

/// The byte after the content of each kind. There is one hint for each multiple of 256 below the
/// end, and one more record, the sentinel.
constexpr KindBytes ContentBytes(const Ends& ends) noexcept {
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  return {ends.layout_words * kWord, HintSlots(ends.values) * kWord, HintSlots(ends.rows) * kWord,
          ends.values * sizeof(Value), (ends.records + 1) * sizeof(Record)};
}

}  // namespace stream_store::internal
