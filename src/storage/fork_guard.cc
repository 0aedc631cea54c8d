#include "storage/fork_guard.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/threads.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

struct GuardedWriters {
  std::mutex mutex;
  std::vector<Writer*> writers;
};

// Never destroyed, because writers may outlive static destruction.
GuardedWriters& guarded_writers() {
  static auto* instance = new GuardedWriters;
  return *instance;
}

void Prepare() { guarded_writers().mutex.lock(); }

void InParent() { guarded_writers().mutex.unlock(); }

// Must not allocate: another thread may have held the allocator's lock during the fork.
void InChild() {
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

void GuardAgainstFork(Writer* writer) {
  const std::scoped_lock lock(guarded_writers().mutex);
  guarded_writers().writers.push_back(writer);
}

void UnguardAgainstFork(Writer* writer) noexcept {
  const std::scoped_lock lock(guarded_writers().mutex);
  std::erase(guarded_writers().writers, writer);
}

}  // namespace stream_store::internal
