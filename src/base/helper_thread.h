// HelperThread: a thread that runs one function again and again, on request or periodically.
//
// Used by storage/capacity (growing files ahead of the appends) and storage/durability (syncing in
// the background). Thread rules: every function but AbandonInForkedChild() may be called from any
// thread. The function runs on the helper's thread only, without a lock of this class.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

namespace stream_store::internal {

class HelperThread {
 public:
  /// How long to sleep after a round; nothing for a sleep until Wake().
  using Pause = std::optional<std::chrono::nanoseconds>;

  /// `round` must not throw. No thread is started yet.
  explicit HelperThread(std::function<Pause()> round);
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  ~HelperThread();  ///< calls Stop()

  /// Starts the thread, which begins with a round. Returns false if it is running or stopped, or if
  /// the process can have no more threads: then a later call may succeed.
  bool Start();

  /// Ends the pause of a running thread; a round under way is followed by another one.
  void Wake() noexcept;

  /// Waits for a round under way and joins the thread. No thread is started afterwards.
  void Stop() noexcept;

  /// To be called in the child of a fork, where the thread does not exist and its mutex may be
  /// locked for good. Leaks both, so that every other function, the destructor included, does
  /// nothing. Async-signal-safe.
  void AbandonInForkedChild() noexcept { shared_ = nullptr; }

 private:
  struct Shared;
  Shared* shared_;  // owned; null once abandoned
};

}  // namespace stream_store::internal
