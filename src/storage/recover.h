// Recover(): finds the prefix of a store's files that is valid after a crash.
//
// Used by OpenForWriting(), which then repairs the files, and by ReadSource, which reads a store
// that no writer has open. Recovery only reads; its callers act on the result. Thread rules: no
// other thread or process may write the files meanwhile; ReadSource detects that afterwards and
// repeats.
//
// How it decides, step by step:
//   1. The newest valid sync slot is the base. Everything it counts was on disk when it was
//      written.
//   2. If the slot is clean (the store was closed), it is the result.
//   3. The last 64 KiB of records and of values below the slot are verified, because a disk may
//      have lost bytes that it had reported as written.
//   4. From the slot on, records are accepted one by one, as long as each is verified by its own
//      checksum, carries the slot's session and follows the record before it. Several threads share
//      this work if it is long (tail_walk.h).
// `published` bounds step 4 but proves nothing: the kernel writes pages to disk in any order, so
// after a power failure the word may be newer or older than the records.
#pragma once

#include <string>

#include "stream_store/recovery.h"

#include "format/control.h"
#include "storage/cursor.h"
#include "storage/store_files.h"

namespace stream_store::internal {

/// The result of recovery.
struct Recovered {
  Slot slot;                    ///< the base
  Cursor cursor;                ///< the end of the valid prefix
  std::uint64_t published = 0;  ///< records according to the live words
  Recovery report;              ///< for the user
};

/// Finds the valid prefix, by the steps above (docs/format.md gives them in detail).
///
/// Cost: for a cleanly closed store, two slots and one record. Else also the last 64 KiB of records
/// and of values below the slot, and all records after it with their values.
/// Throws Error(kCorrupt) naming the file and record if the store is damaged at or below the slot,
/// where a crash alone cannot explain it, or Error(kIo).
Recovered Recover(const StoreFiles& files);

}  // namespace stream_store::internal
