// Copies a range of a store's records, with their values, to the same numbers of another store, and
// verifies what was written. Shared by CopyStore() and UpdateCopy().
//
// Thread rules: any thread; a writer may append to the source meanwhile.
#pragma once

#include <cstdint>
#include <functional>

#include "storage/chunk_set.h"
#include "storage/copy_parts.h"
#include "storage/cursor.h"
#include "storage/damaged_files.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

/// Called with the first invalid record and the reason; it throws.
using CopyFault = std::function<void(std::uint64_t record, const char* fault)>;

/// Where copied bytes go, and what counts them.
struct CopyOutput {
  const ChunkSet& files;
  ProgressMeter& meter;
};

/// Throws Error(kCorrupt) that names a record of the source and says that nothing was copied.
[[noreturn]] void ThrowDamagedRecord(const DamagedFiles& source, std::uint64_t record,
                                     std::uint64_t records, const char* fault);

/// Makes sure that the files of every kind begin where a store needs them whose retained part begins
/// at `begin`: creates the first chunks that are missing, and extends those with a hole that end
/// before the first byte, because a chunk after a short one would not count. Throws Error(kNoSpace,
/// kIo).
void PrepareFirstChunks(const ChunkSet& files, const Begin& begin);

/// Copies the bytes [at, end) to the same place. Throws Error(kCorrupt) if the source does not have
/// them, Error(kNoSpace, kIo), and exceptions of the progress.
void CopyBytes(const KindReader& from, const ChunkFiles& to, std::uint64_t at, std::uint64_t end,
               ProgressMeter& meter);

/// Copies the records from that at `cursor` to number `records`, and writes their hints and a
/// sentinel. Checks that each record follows the one before; its values are only counted here and
/// verified by VerifyCopy(). Returns the end. Throws Error(kCorrupt) naming the record,
/// Error(kNoSpace, kIo), and exceptions of the progress.
/// REQUIRES: records <= verifier.record_capacity(); `verifier` reads `source`.
Cursor CopyRecords(const DamagedFiles& source, RecordVerifier& verifier, Cursor cursor,
                   std::uint64_t records, const CopyOutput& out);

/// The highest session number of the source, so that the next session of a copy is newer than all
/// records. Throws Error(kIo).
std::uint64_t SessionOf(const DamagedFiles& source);

/// Verifies the records of a copy from that at `cursor` to number `records`, from the bytes that were
/// written. Calls `fail` with the first invalid one. Throws Error(kIo), and exceptions of the
/// progress.
void VerifyCopy(const DamagedFiles& source, Cursor cursor, std::uint64_t records, ChunkSet& files,
                ProgressMeter& meter, const CopyFault& fail);

}  // namespace stream_store::internal
