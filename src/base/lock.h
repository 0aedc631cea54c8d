// Locks of single bytes of a store's `lock` file, by which processes exclude each other.
//
// They are open-file-description (OFD) locks: they belong to the open file, not to the process. So
// a second open in the same process is refused too, closing another descriptor of the file does not
// drop them (as it does with POSIX locks), and the kernel releases them when the process ends.
// Used by storage (create, open, writer, read_source). Thread rules: any thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/file.h"

namespace stream_store::internal {

/// Locked by the process that has the store open for writing, from before recovery until close.
inline constexpr std::int64_t kWriterLockByte = 0;

/// Locked by that process once the live words are valid. While another process holds it, readers
/// may believe `published`; otherwise they run a recovery of their own.
inline constexpr std::int64_t kLiveLockByte = 1;

/// Tries to lock one byte exclusively, without waiting. Returns false if another open file holds
/// it. Throws Error(kIo) if the file system does not support locks, or if the file is not open for
/// writing.
bool TryLockByte(const File& file, std::int64_t byte);

/// Whether another open file holds a lock on that byte; locks nothing. A lock held through `file`
/// itself does not count. Throws Error(kIo).
bool ByteLockedElsewhere(const File& file, std::int64_t byte);

/// Returns a text such as "pid 4711 on host". The holder of the writer lock writes it to the lock
/// file, for the message that another process gets.
std::string LockHolderText();

}  // namespace stream_store::internal
