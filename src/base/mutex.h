// Mutex and MutexLock: std::mutex with the annotations that clang's thread safety analysis needs.
//
// libstdc++ does not annotate std::mutex, so the analysis would see no lock at all.
#pragma once

#include <mutex>

#include "base/thread_annotations.h"

namespace stream_store::internal {

/// A std::mutex that GUARDED_BY() can name.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }

  bool try_lock() TRY_ACQUIRE(true) { return mutex_.try_lock(); }

  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

/// Holds a Mutex from construction to destruction.
class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }

  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  ~MutexLock() RELEASE() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

}  // namespace stream_store::internal
