// CopyStore() copies a prefix of a store into a new one, and CopyChosen() copies chosen records.
// Used by checkpoint and repair (src/store). Thread rules: any thread; a writer may append to the
// source meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "stream_store/verify.h"

#include "storage/cursor.h"
#include "storage/damaged_files.h"
#include "storage/record_copier.h"

namespace stream_store::internal {

/// Copies the first `records` records of `source`, with their values, layouts and new hints, into a
/// closed store at `path`. The copy has a new id and the source's id as its parent. Returns its
/// end.
///
/// source    a store as far as it can be opened.
/// path      must be nothing or an empty directory, outside the source.
/// progress  is called with the bytes copied and verified so far, and their total. May be empty.
/// Cost      reads the source once and the copy once, because every record of the copy is verified
///           from the written bytes before the copy appears under its path.
/// Throws    Error(kAlreadyExists), Error(kInvalidArgument) if `path` is inside the source,
///           Error(kCorrupt) naming the invalid record, Error(kNoSpace, kIo), and exceptions of
///           `progress`. Nothing is left at `path` then.
/// REQUIRES: source.verifiable().
Cursor CopyStore(const DamagedFiles& source, std::uint64_t records,
                 const std::filesystem::path& path, const Progress& progress);

/// Which records CopyChosen() copies.
struct CopyPlan {
  /// Calls Append() for each record to copy, in order. It is called once or more, each time with a
  /// new RecordCopier. Its exceptions are passed on.
  std::function<void(RecordCopier&)> choose;

  /// An upper bound of the bytes of these records and their values, for the progress.
  std::uint64_t most_bytes = 0;
};

/// As CopyStore(), for the records that `plan` chooses. Records that move get new checksums.
/// Cost      reads the chosen records once, and the copy once to verify it.
/// Throws    as CopyStore().
/// REQUIRES: source.verifiable().
Cursor CopyChosen(const DamagedFiles& source, const CopyPlan& plan,
                  const std::filesystem::path& path, const Progress& progress);

}  // namespace stream_store::internal
