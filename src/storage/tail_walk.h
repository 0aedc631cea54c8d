// WalkTail(): finds the first record after the last durable one that a crash has damaged.
//
// Used by Recover() only. Whether a record is valid depends on the records before it through the
// cursor alone, and almost all of the cursor follows from the record before. So a long tail is split
// into ranges of records, and each range is verified as if the range before it were valid:
//   1. The calling thread verifies the first few MiB alone. A short tail ends there.
//   2. The rest is split into ranges of equally many records. The calling thread and up to three
//      others each take the first range that no thread has taken, until all are taken or one has ended
//      early. Every range before that one has then been taken, too.
//   3. The ranges are joined in order up to the first that ended early. Its end is the end of the
//      valid prefix, because the assumption of its first record was true: the range before it was
//      verified to its end. Whatever was found after it does not matter.
// The result is that of a walk from record to record, also if there are several damaged ones.
//
// Thread rules: the threads end before the function returns. They only read.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/cursor.h"
#include "storage/record_verifier.h"
#include "storage/store_files.h"

namespace stream_store::internal {

/// How WalkTail() splits its work. Tests set all of them.
struct TailWalkOptions {
  /// Threads, that of the caller included. Empty: one for each processor, at most four, because more
  /// would wait for memory.
  std::optional<unsigned> threads = {};
  /// The caller verifies this much alone. It takes less than a millisecond, so that more threads
  /// would save little, and would disturb a process that opens many stores.
  std::uint64_t serial_bytes = 4 << 20;
  std::uint64_t range_bytes = 1 << 20;  ///< of one range, as far as records are equally long
};

/// Where the records lie that may be part of the tail.
struct UnsyncedTail {
  const StoreFiles& files;
  const StoreSchema& store_schema;
  std::uint16_t session;  ///< of the slot
  std::uint64_t limit;    ///< the record after the last one
};

/// Verifies the records [cursor.records, tail.limit) and advances `cursor` past those that are valid,
/// have the session and follow the record before. `verifier` is that of the caller, of the same files.
///
/// The cursor may be beyond the limit already, because `published` may be older than the last sync after
/// a power cut. It stays there then.
///
/// Returns why the record where the cursor stopped is not valid, or null if the cursor reached
/// the limit. Cost: reads all of these records and their values once. If a thread cannot be started,
/// the walk goes on with fewer. Throws Error(kIo) if the first record that is not valid could not be
/// read.
/// REQUIRES: tail.limit <= verifier.record_capacity().
const char* WalkTail(const UnsyncedTail& tail, RecordVerifier& verifier, Cursor& cursor,
                     const TailWalkOptions& options = {});

}  // namespace stream_store::internal
