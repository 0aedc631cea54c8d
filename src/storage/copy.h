// Copying a prefix of a store into a new one: what checkpoint and repair do.
#pragma once

#include <cstdint>
#include <filesystem>

#include "stream_store/verify.h"

#include "storage/cursor.h"
#include "storage/damaged_files.h"

namespace stream_store::internal {

/// Writes the first `records` records of `source` into a store at `path`, with an id of its own and
/// the source's id as parent; it appears there complete, cleanly closed. Returns its end.
///
/// Every record of the copy is proved before it appears, from the bytes that were written. The
/// source may grow meanwhile.
/// Throws Error: kAlreadyExists (anything but nothing or an empty directory), kCorrupt naming the
/// record that is not right, kNoSpace, kIo, and what `progress` throws; nothing is left then.
Cursor CopyStore(const DamagedFiles& source, std::uint64_t records,
                 const std::filesystem::path& path, const Progress& progress);

}  // namespace stream_store::internal
