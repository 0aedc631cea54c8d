// Replication: the records of a store as packs of bytes, and stores that are made of them.
//
//     Reader source = Reader::Open("runs/a");
//     const DurablePart part = Durable(source);
//     const auto schema = ReadSchema(source, part.end.record);
//     const auto pack = ReadPack(source, part.begin.record, part.end.record, 64 << 20);
//     // … on another host:
//     StreamStore replica = CreateReplica("replica", pack, schema, part.begin);
//     ApplyPack(replica, next_pack, schema);
//
// A replica is an ordinary store, written by the process that applies packs. Its records, rows and
// positions have the numbers that they have in the source, and each row the same step and the same
// values. It has an id of its own, and the id of the source as its parent. docs/format.md specifies
// the bytes of packs. Used by stream_store.Shipper and stream_store.Mirror of Python, which move
// packs through an object store.
//
// Thread rules: as those of the Reader or StreamStore that a function is given.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "stream_store/export.h"
#include "stream_store/reader.h"
#include "stream_store/store.h"
#include "stream_store/types.h"

namespace stream_store {

/// A place between two records of a store.
struct RecordPlace {
  std::uint64_t record = 0;        ///< the number of the next record
  std::uint64_t row = 0;           ///< rows before it
  std::uint64_t position = 0;      ///< values before it
  std::uint64_t field_writes = 0;  ///< field-writes before it

  friend bool operator==(const RecordPlace&, const RecordPlace&) = default;
};

/// The part of a store that survives a power cut: the records [begin.record, end.record).
struct DurablePart {
  RecordPlace begin;
  RecordPlace end;
};

/// Returns the durable part of a store, as its newest slot has it. A Reader that is refreshed after
/// this call sees all of these records, unless they are truncated meanwhile.
///
/// Throws Error(kInvalidArgument) for a temporary store, Error(kCorrupt, kIo).
STREAM_STORE_API DurablePart Durable(const Reader& reader);

/// The place, step and checksum of a record.
struct RecordFacts {
  Step step = 0;
  std::uint64_t row = 0;
  std::uint64_t position = 0;  ///< where its values start
  std::uint16_t session = 0;   ///< the lowest bits of the number of the session that wrote it
  std::uint32_t checksum = 0;  ///< over all of it; no other record of the store has its content
};

/// Returns the facts of a record, unverified.
///
/// record  in [first retained record, reader.records()).
/// Throws  Error: kOutOfRange, kDropped, kCutBack, kCorrupt, kIo.
STREAM_STORE_API RecordFacts RecordAt(const Reader& reader, std::uint64_t record);

/// Returns a pack of the records from `first` on: up to `end`, and as many as fit into `most_bytes`,
/// but at least one.
///
/// first, end  durable records that the snapshot has; first < end.
/// most_bytes  of the pack.
/// Cost        one read of the bytes with pread(); each record is verified in the bytes of the pack.
/// Throws      Error: kOutOfRange if the records are not there or not durable, kDropped,
///             kInvalidArgument for a temporary store, kCutBack, kIo, and kCorrupt naming the
///             invalid record.
STREAM_STORE_API std::vector<std::byte> ReadPack(const Reader& reader, std::uint64_t first,
                                                 std::uint64_t end, std::uint64_t most_bytes);

/// Returns the fields that the first `records` records may have, as bytes in the format of the file
/// `schema`. A snapshot that has these records has the fields, too.
STREAM_STORE_API std::vector<std::byte> ReadSchema(const Reader& reader, std::uint64_t records);

/// The content of a pack.
struct PackFacts {
  std::array<std::uint8_t, 16> id{};  ///< of the source
  RecordPlace begin;                  ///< without field_writes
  RecordPlace end;                    ///< without field_writes
  std::uint32_t last_checksum = 0;    ///< RecordFacts::checksum of the last record
  std::uint16_t last_session = 0;     ///< RecordFacts::session of the last record
};

/// Verifies every byte of a pack, and returns its content in numbers.
///
/// pack    what ReadPack() returned, at any address.
/// schema  what ReadSchema() returned for the end of the pack or a later record.
/// name    that of the pack in messages.
/// Throws  Error: kCorrupt naming the invalid part, kVersion; kInvalidArgument if the pack is of
///         another store than the schema.
STREAM_STORE_API PackFacts VerifyPack(std::span<const std::byte> pack,
                                      std::span<const std::byte> schema, const std::string& name);

/// Creates a store of records of the source, which begins at `begin`, and returns its writer. It
/// appears at its path with the records of the pack from `begin` on, and these are durable.
///
/// path     must be nothing or an empty directory.
/// begin    the first retained record of the source: the first or a later record of the pack, which
///          starts a row.
/// options  as for StreamStore::Open(); limits and fields are ignored. The size of the chunks is that of
///          the source.
/// Throws   Error: kAlreadyExists, kInvalidArgument if `begin` is not the place of a record of the pack
///          that starts a row, as VerifyPack(), kNoSpace, kIo. Nothing is left at `path` then.
STREAM_STORE_API StreamStore CreateReplica(const std::filesystem::path& path,
                                           std::span<const std::byte> pack,
                                           std::span<const std::byte> schema,
                                           const RecordPlace& begin, const Options& options = {});

/// Appends those records of a pack that the replica does not have, and returns how many. They become
/// visible together; where fields were added in the source, also here, and the records before them
/// become visible first.
///
/// replica  what CreateReplica() made, also when it was opened again.
/// Cost     one pass over the pack to verify it, one to copy and check the new values.
/// Throws   Error: kOutOfRange if the pack begins after the last record of the replica;
///          kInvalidArgument if the pack is of another store than the replica, if the last record of
///          the replica is another one in the source, or if the fields differ; as VerifyPack(), and
///          as StreamStore::Append(). Nothing has changed then, but where fields were added, the
///          records before them may have been applied.
STREAM_STORE_API std::uint64_t ApplyPack(StreamStore& replica, std::span<const std::byte> pack,
                                         std::span<const std::byte> schema,
                                         const std::string& name = "pack");

/// Adds the fields of the source that all records of the replica may have. ApplyPack() does so, too.
/// Throws Error(kInvalidArgument) as ApplyPack(), and as StreamStore::AddFields().
STREAM_STORE_API void AddSourceFields(StreamStore& replica, std::span<const std::byte> schema);

}  // namespace stream_store
