// ForkMutex: a mutex that the child of a fork may use.
//
// fork() copies a mutex in the state another thread left it in, so an ordinary mutex may stay
// locked in the child forever. The forking thread therefore locks every ForkMutex before the fork
// and unlocks it on both sides afterwards: the child finds it free, and the data it guards
// consistent. Readers use it for locks that are held briefly, because they keep working in a forked
// child. Writers use ordinary mutexes, because a child never writes.
#pragma once

#include <mutex>

#include "base/thread_annotations.h"

namespace stream_store::internal {

class CAPABILITY("mutex") ForkMutex {
 public:
  /// Lock order: a thread that holds a mutex locks only mutexes of a higher rank. Forking locks all
  /// of them in that order.
  enum class Rank { kOuter = 0, kInner = 1 };

  /// Adds the mutex to the list that forking locks, and the destructor removes it. Forking locks
  /// that list before it locks the mutexes, so the opposite order could deadlock.
  /// REQUIRES: HeldByThread() == 0, for the destructor as well.
  explicit ForkMutex(Rank rank);
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;
  ~ForkMutex();

  void lock() ACQUIRE() {
    mutex_.lock();
    CountHeld(1);
  }

  void unlock() RELEASE() {
    CountHeld(-1);
    mutex_.unlock();
  }

  /// How many ForkMutexes the calling thread holds. Counted in builds with assertions only, else 0.
  static int HeldByThread() noexcept { return held_; }

 private:
  static void CountHeld([[maybe_unused]] int change) noexcept {
#ifdef STREAM_STORE_ASSERTIONS
    held_ += change;
#endif
  }

  static constinit inline thread_local int held_ = 0;
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
