#include "storage/fork_guard.h"

#include <algorithm>
#include <vector>

#include "base/mutex.h"
#include "base/threads.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

struct Registry {
  Mutex mutex;
  std::vector<Writer*> writers GUARDED_BY(mutex);
};

// Never destroyed: writers may outlive static destruction.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

// Held from before the fork until after it, on both sides: the analysis cannot follow that.
void Prepare() NO_THREAD_SAFETY_ANALYSIS { registry().mutex.lock(); }

void InParent() NO_THREAD_SAFETY_ANALYSIS { registry().mutex.unlock(); }

// No allocation here: other threads may have held the allocator's lock when the process was copied.
void InChild() NO_THREAD_SAFETY_ANALYSIS {
  for (Writer* writer : registry().writers) {
    writer->BecomeForkedChild();
  }
  registry().mutex.unlock();
}

// When the library is loaded, before there are threads: a child must not find this half done.
[[maybe_unused]] const bool kInstalled = [] {
  registry();
  InstallForkHandlers(Prepare, InParent, InChild);
  return true;
}();

}  // namespace

void GuardAgainstFork(Writer* writer) {
  Registry& all = registry();
  const MutexLock lock(all.mutex);
  all.writers.push_back(writer);
}

void UnguardAgainstFork(Writer* writer) noexcept {
  Registry& all = registry();
  const MutexLock lock(all.mutex);
  std::erase(all.writers, writer);
}

}  // namespace stream_store::internal
