#include "storage/fork_guard.h"

#include <algorithm>
#include <vector>

#include "base/mutex.h"
#include "base/threads.h"
#include "storage/store_files.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

constinit std::atomic<int> forks{0};

struct GuardedWriters {
  Mutex mutex;
  std::vector<Writer*> writers GUARDED_BY(mutex);
};

// Never destroyed, because writers may outlive static destruction.
GuardedWriters& guarded_writers() {
  static auto* instance = new GuardedWriters;
  return *instance;
}

// The mutex is held from before the fork until after it, on both sides, which the analysis cannot
// follow.
void Prepare() NO_THREAD_SAFETY_ANALYSIS { guarded_writers().mutex.lock(); }

void InParent() NO_THREAD_SAFETY_ANALYSIS { guarded_writers().mutex.unlock(); }

// Must not allocate: another thread may have held the allocator's lock during the fork.
void InChild() NO_THREAD_SAFETY_ANALYSIS {
  forks.fetch_add(1, std::memory_order_relaxed);
  for (Writer* writer : guarded_writers().writers) {
    writer->BecomeForkedChild();
  }
  guarded_writers().mutex.unlock();
}

// Installed when the library is loaded, before there are threads, so that no child can inherit a
// half-finished installation.
[[maybe_unused]] const bool kInstalled = [] {
  guarded_writers();
  InstallForkHandlers(Prepare, InParent, InChild);
  return true;
}();

}  // namespace

const std::atomic<int>& Forks() noexcept { return forks; }

LockHolder FindLockHolder(const FileId& control) {
  GuardedWriters& all = guarded_writers();
  const MutexLock lock(all.mutex);
  LockHolder holder = LockHolder::kUnknown;
  for (const Writer* writer : all.writers) {
    if (writer->files()->control_id() == control) {
      if (!writer->forked()) {
        return LockHolder::kThisProcess;
      }
      holder = LockHolder::kParent;
    }
  }
  return holder;
}

std::size_t CountWriters() {
  GuardedWriters& all = guarded_writers();
  const MutexLock lock(all.mutex);
  return all.writers.size();
}

void GuardAgainstFork(Writer* writer) {
  GuardedWriters& all = guarded_writers();
  const MutexLock lock(all.mutex);
  all.writers.push_back(writer);
}

void UnguardAgainstFork(Writer* writer) noexcept {
  GuardedWriters& all = guarded_writers();
  const MutexLock lock(all.mutex);
  std::erase(all.writers, writer);
}

}  // namespace stream_store::internal
