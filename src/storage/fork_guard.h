// The list of all Writers of this process, which a fork() handler makes unusable in the child.
//
// A child inherits the writer's descriptors and its mappings, and with them the writer's lock. Two
// processes that append to the same mapping would destroy the store, so in the child every Writer
// refuses to write. Used by Writer. Thread rules: any thread.
#pragma once

#include <atomic>
#include <cstddef>

#include "base/file.h"

namespace stream_store::internal {

class Writer;

/// Which of the Writers known to this process holds the lock of a store.
enum class LockHolder {
  kUnknown,      ///< none of them: another process
  kThisProcess,  ///< one that this process opened
  kParent,       ///< one that the parent opened before it forked this process
};

/// Returns who has the store with that `control` file open, as far as this process knows.
LockHolder FindLockHolder(const FileId& control);

/// How many forks lie between the process that loaded the library and this one.
const std::atomic<int>& Forks() noexcept;

/// How many Writers there are.
std::size_t CountWriters();

/// Adds a Writer: its BecomeForkedChild() is called in each child of a fork(). The caller removes
/// it with UnguardAgainstFork() before it is destroyed.
void GuardAgainstFork(Writer* writer);

/// Removes a Writer.
void UnguardAgainstFork(Writer* writer) noexcept;

}  // namespace stream_store::internal
