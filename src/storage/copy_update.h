// UpdateCopy() brings an earlier copy of a store up to date: "Checkpoint" in docs/format.md.
//
// Used by Reader::UpdateCheckpoint() (src/store). Thread rules: any thread; a writer may append to
// the source and drop its rows meanwhile. The copy is locked as by a writer.
// Invariant: at every moment the newest slot of the copy counts either the old records or the new
// ones, and all that it counts is on disk. So a crash leaves one of the two.
#pragma once

#include <cstdint>
#include <filesystem>

#include "stream_store/verify.h"

#include "storage/damaged_files.h"

namespace stream_store::internal {

/// Makes the copy at `path` equal to the first `records` records of `source`, and drops the rows that
/// the source has dropped. If there is nothing, or an empty directory, makes a copy as CopyStore()
/// does. Returns the number of bytes of records, values and layouts that were copied.
///
/// path      a copy that CopyStore() made of this source. Its records must still be a prefix of the
///           source, and no writer may have it open.
/// progress  as for CopyStore().
/// Cost      reads and writes what is new, reads it once more to verify it, compares the last record
///           and up to 64 KiB of values before, and syncs the files that changed. If rows are
///           dropped, looks at each of their records.
/// Throws    Error(kAlreadyExists) if there is anything else than a copy of this source;
///           Error(kInvalidArgument) if the copy has records that the source does not have;
///           Error(kLocked); Error(kCorrupt) naming the first invalid record; Error(kNoSpace, kIo);
///           and exceptions of `progress`. The content of the copy is as it was.
/// REQUIRES: source.verifiable().
std::uint64_t UpdateCopy(const DamagedFiles& source, std::uint64_t records,
                         const std::filesystem::path& path, const Progress& progress);

}  // namespace stream_store::internal
