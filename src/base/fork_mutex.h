// ForkMutex: a mutex that the child of a fork may use.
//
// fork() copies a mutex in whatever state another thread left it. A ForkMutex is taken by the
// forking thread before and given back on both sides after, so that the child finds it free and
// what it guards whole. For locks held a moment by readers, which work in forked children; writers'
// own locks are ordinary, because a child never writes.
#pragma once

#include <mutex>

#include "base/thread_annotations.h"

namespace stream_store::internal {

class CAPABILITY("mutex") ForkMutex {
 public:
  /// Locks are nested from lower to higher ranks only, and forking takes them in that order.
  enum class Rank { kOuter = 0, kInner = 1 };

  /// REQUIRES, also of the destructor: the thread holds no ForkMutex.
  explicit ForkMutex(Rank rank);
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;
  ~ForkMutex();

  void lock() ACQUIRE() { mutex_.lock(); }

  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend struct ForkMutexList;
  std::mutex mutex_;
  const Rank rank_;
  ForkMutex* previous_ = nullptr;
  ForkMutex* next_ = nullptr;
};

/// Holds a ForkMutex from construction to destruction.
class SCOPED_CAPABILITY ForkMutexLock {
 public:
  explicit ForkMutexLock(ForkMutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }

  ForkMutexLock(const ForkMutexLock&) = delete;
  ForkMutexLock& operator=(const ForkMutexLock&) = delete;

  ~ForkMutexLock() RELEASE() { mutex_.unlock(); }

 private:
  ForkMutex& mutex_;
};

}  // namespace stream_store::internal
