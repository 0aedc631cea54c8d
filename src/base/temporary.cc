#include "base/temporary.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <unistd.h>

#include "base/assert.h"
#include "base/directory.h"
#include "base/fork_mutex.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> CandidatePlaces(const fs::path& preferred) {
  if (!preferred.empty()) {
    return {preferred};
  }
  std::vector<fs::path> places;
  if (const char* named = std::getenv("TMPDIR"); named != nullptr && *named != '\0') {
    places.emplace_back(named);
  }
  places.emplace_back("/var/tmp");
  places.emplace_back("/tmp");
  return places;
}

}  // namespace

void InTemporaryPlace(const fs::path& preferred,
                      const std::function<void(const fs::path&)>& create) {
  std::string refused;
  ErrorCode code = ErrorCode::kIo;
  const auto refuse = [&](const Error& error) {
    const bool no_descriptor = error.system_errno() == EMFILE || error.system_errno() == ENFILE;
    if (!preferred.empty() || no_descriptor) {  // the latter is no better in another directory
      throw error;
    }
    refused += StrCat(refused.empty() ? "" : "; ", error.what());
    code = error.code() == ErrorCode::kNoSpace ? ErrorCode::kNoSpace : code;
  };
  std::vector<fs::path> disks;
  std::vector<fs::path> memory;
  for (const fs::path& place : CandidatePlaces(preferred)) {
    try {
      (Directory::Open(place).InMemory() ? memory : disks).push_back(place);
    } catch (const Error& error) {
      refuse(error);
    }
  }
  // Disks first: pages of a memory-backed file system count against the memory limit, and exceeding
  // that kills the process where a full disk returns an error.
  disks.insert(disks.end(), memory.begin(), memory.end());
  for (const fs::path& place : disks) {
    try {
      create(place);
      return;
    } catch (const Error& error) {
      refuse(error);
    }
  }
  throw Error(code,
              StrCat("temporary store: creating: expected one of these directories to accept it: ",
                     refused));
}

// The trees of this process. Those of a parent are among them in a forked child.
struct TemporaryTrees {
  ForkMutex mutex{ForkMutex::Rank::kInner};
  std::unordered_map<std::string, const TemporaryTree*> trees GUARDED_BY(mutex);  // by path

  // Never destroyed, because trees may outlive static destruction.
  static TemporaryTrees& All() {
    static auto* instance = new TemporaryTrees;
    // exit() does not destroy the objects on the stacks of threads, nor what Python still refers to.
    // Their directories would remain until the next temporary store is created.
    [[maybe_unused]] static const int registered = std::atexit([] { instance->RemoveAll(); });
    return *instance;
  }

  void RemoveAll() EXCLUDES(mutex) {
    const ForkMutexLock lock(mutex);
    for (const auto& [path, tree] : trees) {
      tree->Remove();
    }
  }
};

TemporaryTree::TemporaryTree(fs::path path) : path_(std::move(path)), process_(::getpid()) {
  STREAM_STORE_ASSERT(path_.is_absolute());
  TemporaryTrees& all = TemporaryTrees::All();
  const ForkMutexLock lock(all.mutex);
  all.trees.insert_or_assign(path_.native(), this);
}

TemporaryTree::~TemporaryTree() {
  {
    TemporaryTrees& all = TemporaryTrees::All();
    const ForkMutexLock lock(all.mutex);
    all.trees.erase(path_.native());
  }
  Remove();
}

bool TemporaryTree::Exists(const fs::path& path) {
  TemporaryTrees& all = TemporaryTrees::All();
  const ForkMutexLock lock(all.mutex);
  const auto found = all.trees.find(path.native());
  return found != all.trees.end() && found->second->process_ == ::getpid();
}

// The process is compared by its number, because a process may be copied without the handlers of
// fork(), by clone() for example.
void TemporaryTree::Remove() const noexcept {
  if (process_ == ::getpid()) {
    RemoveTree(path_);
  }
}

}  // namespace stream_store::internal
