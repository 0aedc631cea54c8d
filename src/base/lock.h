// OFD byte locks of the `lock` file. They belong to the open file: a second open in the same
// process is refused too, and the kernel drops them with the process.
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"

namespace stream_store::internal {

inline constexpr std::int64_t kWriterLockByte = 0;  ///< "I am the writer"
inline constexpr std::int64_t kLiveLockByte = 1;    ///< "the live words are true"

/// Takes the exclusive lock of one byte; false if somebody else holds it. Throws Error(kIo) where
/// locks do not work. Needs a descriptor open for writing.
bool TryLockByte(const File& file, std::int64_t byte);

/// Whether another open file holds a lock on that byte; takes nothing. False too when this file
/// itself holds it.
bool ByteLockedElsewhere(const File& file, std::int64_t byte);

/// Text for the lock file: "pid 4711 on host". For messages only.
std::string LockHolderText();

}  // namespace stream_store::internal
