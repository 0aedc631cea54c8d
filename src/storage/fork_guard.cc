#include "storage/fork_guard.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "base/threads.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

struct Registry {
  std::mutex mutex;
  std::vector<Writer*> writers;
};

// Never destroyed: writers may outlive static destruction.
Registry& registry() {
  static auto* instance = new Registry;
  return *instance;
}

void Prepare() { registry().mutex.lock(); }

void InParent() { registry().mutex.unlock(); }

// No allocation here: other threads may have held the allocator's lock when the process was copied.
void InChild() {
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
  const std::scoped_lock lock(registry().mutex);
  registry().writers.push_back(writer);
}

void UnguardAgainstFork(Writer* writer) noexcept {
  const std::scoped_lock lock(registry().mutex);
  std::erase(registry().writers, writer);
}

}  // namespace stream_store::internal
