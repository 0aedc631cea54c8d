// Recovery: which prefix of a store's files is true.
//
// The stored `published` is an upper bound, never evidence: after a power cut pages are on disk in
// any order. The newest valid sync slot is the base; from there records are believed one by one,
// each by its own check, while they carry the slot's session and continue exactly where the one
// before ended. Reads only; the caller acts on it.
#pragma once

#include <string>

#include "stream_store/recovery.h"

#include "format/control.h"
#include "storage/cursor.h"
#include "storage/store_files.h"

namespace stream_store::internal {

struct Recovered {
  Slot slot;                    ///< the base
  Cursor cursor;                ///< end of the true prefix
  std::uint64_t published = 0;  ///< what the live words claimed
  Recovery report;
};

/// Chooses the slot, verifies the tail below it and walks on from it, as docs/format.md numbers the
/// steps.
///
/// Cost: a cleanly closed store reads two slots and one record; another at most the last 64 KiB
/// below the slot and everything after it. Throws Error(kCorrupt) naming the file and record.
Recovered Recover(const StoreFiles& files);

}  // namespace stream_store::internal
