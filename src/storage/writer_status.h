// WriterStatus: whether a Writer may still write, and the reason if it may not.
//
// Shared by the parts of one Writer. Thread rules: every function may be called from any thread;
// SetForked() is async-signal-safe. Each of the three flags is set once and never cleared.
#pragma once

#include <atomic>
#include <string>

#include "stream_store/error.h"

#include "base/mutex.h"
#include "storage/refusal.h"

namespace stream_store::internal {

class StoreFiles;

class WriterStatus {
 public:
  /// `files` is used for messages only, and must outlive the status.
  explicit WriterStatus(const StoreFiles& files) noexcept : files_(files) {}

  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }

  bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }

  bool forked() const noexcept { return forked_.load(std::memory_order_relaxed); }

  /// Throws Error(kReadOnly) in a forked child, Error(kClosed), or Error(kIo) with the reason of
  /// the failed sync. `operation` begins the message: "append", "sync".
  void RequireWritable(const char* operation) const EXCLUDES(mutex_);

  /// The reason for which RequireWritable() would throw, without a text. Does not allocate.
  Refusal RefuseWrite() const noexcept;

  /// Returns false if the writer was closed already.
  bool SetClosed() noexcept { return !closed_.exchange(true); }

  /// Keeps the first failure; see Capacity::Fail(), its only caller.
  void SetFailed(const Error& error) EXCLUDES(mutex_);

  void SetForked() noexcept { forked_.store(true, std::memory_order_relaxed); }

 private:
  const StoreFiles& files_;
  std::atomic<bool> closed_{false};
  std::atomic<bool> failed_{false};
  std::atomic<bool> forked_{false};
  mutable Mutex mutex_;  // innermost: held while nothing else is acquired
  std::string failure_ GUARDED_BY(mutex_);
  int failure_errno_ GUARDED_BY(mutex_) = 0;
};

}  // namespace stream_store::internal
