#include "base/fork_mutex.h"

#include "base/assert.h"
#include "base/mutex.h"
#include "base/threads.h"

namespace stream_store::internal {

// All existing ForkMutexes, by rank. The list is never destroyed, because some of them outlive
// static destruction.
struct ForkMutexList {
  Mutex mutex;
  ForkMutex* first[2] GUARDED_BY(mutex) = {nullptr, nullptr};

  static ForkMutexList& Get() {
    static auto* list = new ForkMutexList;
    return *list;
  }

  void Add(ForkMutex* item) EXCLUDES(mutex) {
    const MutexLock hold(mutex);
    ForkMutex*& head = first[static_cast<int>(item->rank_)];
    item->next_ = head;
    if (head != nullptr) {
      head->previous_ = item;
    }
    head = item;
  }

  void Remove(ForkMutex* item) EXCLUDES(mutex) {
    const MutexLock hold(mutex);
    ForkMutex*& head = first[static_cast<int>(item->rank_)];
    (item->previous_ == nullptr ? head : item->previous_->next_) = item->next_;
    if (item->next_ != nullptr) {
      item->next_->previous_ = item->previous_;
    }
  }

  // Held from before the fork until after it, on both sides: the analysis cannot follow that.
  static void Prepare() NO_THREAD_SAFETY_ANALYSIS {
    ForkMutexList& list = Get();
    list.mutex.lock();
    for (ForkMutex* head : list.first) {
      for (ForkMutex* item = head; item != nullptr; item = item->next_) {
        item->mutex_.lock();
      }
    }
  }

  static void Resume() NO_THREAD_SAFETY_ANALYSIS {
    ForkMutexList& list = Get();
    for (ForkMutex* head : list.first) {
      for (ForkMutex* item = head; item != nullptr; item = item->next_) {
        item->mutex_.unlock();
      }
    }
    list.mutex.unlock();
  }
};

namespace {

// Installed when the library is loaded, before there are threads, so that no child can inherit a
// half-finished installation.
[[maybe_unused]] const bool kInstalled = [] {
  ForkMutexList::Get();
  InstallForkHandlers(ForkMutexList::Prepare, ForkMutexList::Resume, ForkMutexList::Resume);
  return true;
}();

}  // namespace

ForkMutex::ForkMutex(Rank rank) : rank_(rank) {
  STREAM_STORE_ASSERT(HeldByThread() == 0);
  ForkMutexList::Get().Add(this);
}

ForkMutex::~ForkMutex() {
  STREAM_STORE_ASSERT(HeldByThread() == 0);
  ForkMutexList::Get().Remove(this);
}

}  // namespace stream_store::internal
