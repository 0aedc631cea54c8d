// HelperThread: a function that runs again and again in the background, on request or periodically.
//
// Used by storage/capacity (growing files ahead of the appends) and storage/durability (syncing in
// the background). All instances of one kind share a few threads of the process (HelperExecutor):
// each instance is a task that these threads run in the order in which rounds become due.
//
// Thread rules: every function but AbandonInForkedChild() may be called from any thread, except
// Stop() from a round. The function runs on a thread of its kind, without a lock of this class; its
// rounds never overlap.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

namespace stream_store::internal {

class HelperThread {
 public:
  /// What the function does. A sync may block for seconds, which must not delay growth, so the
  /// kinds have threads of their own.
  enum class Kind { kGrow = 0, kSync = 1 };

  /// How long to sleep after a round; nothing for a sleep until Wake().
  using Pause = std::optional<std::chrono::nanoseconds>;

  /// Whether Start() may succeed. Tests in which nothing may happen by itself set it to false.
  static std::atomic<bool>& Allowed() noexcept;

  /// `round` must not throw. No thread is started yet.
  HelperThread(Kind kind, std::function<Pause()> round);
  HelperThread(const HelperThread&) = delete;
  HelperThread& operator=(const HelperThread&) = delete;
  ~HelperThread();  ///< calls Stop()

  /// Begins with a round; starts a thread for it if too few are running. Returns false if it was
  /// started or stopped before, or if the process can have no thread or is exiting: then a later
  /// call may succeed.
  bool Start();

  /// Ends the pause, if it was started; a round under way is followed by another one. Costs one
  /// system call if a thread is to be woken, about 10 µs, and a few nanoseconds if a round is due.
  void Wake() noexcept;

  /// Waits for a round under way, but not for those of other instances. No round runs afterwards.
  /// The last instance of a kind ends the threads of that kind.
  void Stop() noexcept;

  /// To be called in the child of a fork for every instance of the parent: its threads do not exist
  /// there, and their mutex may be locked for good. Leaks all of it, so that every other function,
  /// the destructor included, does nothing. New instances work in the child. Async-signal-safe.
  void AbandonInForkedChild() noexcept { shared_ = nullptr; }

 private:
  struct Shared;
  Shared* shared_;  // owned; null once abandoned
};

}  // namespace stream_store::internal
