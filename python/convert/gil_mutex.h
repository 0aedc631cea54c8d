// Turn: calls on one object that run one after the other, though they release the GIL in between.
//
// Used by Store (appends), Sampler (choosing windows) and Prefetch (waiting for a batch). A fork
// copies a turn that another thread has, and not that thread: in the child such a turn is lost, and
// free to take. What it guarded may then be half changed; `lost()` says so until it is taken.
// Thread rule: the GIL guards it.
#pragma once

#include <cstdint>

namespace stream_store::python {

/// Has the interpreter tell of every fork in its child. Called once, when the module is made.
void WatchForks();

/// How many forks lie between the first process and this one.
std::uint64_t ForkCount() noexcept;

class GilMutex {
 public:
  class Hold;

  /// Whether a thread of this process has it.
  bool taken() const noexcept { return owner_ != 0 && !lost(); }

  /// Whether the calling thread has it.
  bool mine() const noexcept;

  /// Whether a thread has it that is not in this process, since another one forked.
  bool lost() const noexcept;

  /// False: it is free, and nobody waits for it.
  bool wanted() const noexcept { return owner_ != 0 || waiting_ > 0; }

  /// Waits until it is free, without the GIL; who had it last lets others go first. REQUIRES:
  /// !mine().
  void Wait();

  /// REQUIRES: !taken().
  void Take() noexcept;

  void Free() noexcept { owner_ = 0; }

 private:
  // Threads by numbers of their own: the system gives those of lost threads to new ones.
  std::uint64_t owner_ = 0;  // 0: free
  std::uint64_t last_owner_ = 0;
  std::uint64_t forks_ = 0;    // ForkCount() when it was taken
  std::uint64_t waiting_ = 0;  // threads in Wait()
  std::uint64_t waiting_forks_ = 0;
};

/// Has the turn for as long as it lives.
class GilMutex::Hold {
 public:
  /// Waits for it. Only foreign code that runs inside a call, a signal handler or a finalizer, can
  /// find that its own thread has it: then throws RuntimeError(`inside`).
  Hold(GilMutex& turn, const char* inside);

  ~Hold() { turn_.Free(); }

  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  /// Whether the turn was lost in a fork before it was taken here.
  bool was_lost() const noexcept { return was_lost_; }

 private:
  GilMutex& turn_;
  bool was_lost_ = false;
};

}  // namespace stream_store::python
