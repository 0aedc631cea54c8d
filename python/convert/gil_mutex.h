// GilMutex: a mutex, itself guarded by the GIL, that serialises calls on one object while they
// release the GIL.
//
// Used by StoreObject (appends), SamplerObject (choosing windows) and Prefetch (waiting for a
// batch).
//
// A std::mutex would not do, because of fork(). A fork copies the mutex but only the calling
// thread, so a mutex that another thread holds stays locked in the child. Here a mutex whose owner
// does not exist in the child is abandoned: it can be taken, but the state that it guards may be
// inconsistent, which lost() reports until it is taken.
//
// Thread rules: the GIL guards every member.
#pragma once

#include <cstdint>

namespace stream_store::python {

/// Registers a function that notes every fork in the child process. Called once, when the module is
/// imported.
void WatchForks();

/// The number of forks between the first process that imported the module and this one.
std::uint64_t ForkCount() noexcept;

class GilMutex {
 public:
  class Hold;

  /// Whether a thread of this process owns it.
  bool taken() const noexcept { return owner_ != 0 && !lost(); }

  /// Whether the calling thread owns it.
  bool mine() const noexcept;

  /// Whether its owner is a thread that a fork did not copy into this process.
  bool lost() const noexcept;

  /// Whether it has an owner, lost or not, or a thread waits for it. If not, Take() may be called
  /// without Wait(), as small appends do.
  bool wanted() const noexcept { return owner_ != 0 || waiting_ > 0; }

  /// Waits until no thread of this process owns it, releasing the GIL meanwhile. Its last owner
  /// lets the waiting threads go first. REQUIRES: !mine()
  void Wait();

  /// Makes the calling thread the owner. REQUIRES: !taken()
  void Take() noexcept;

  /// Gives up the ownership.
  void Free() noexcept { owner_ = 0; }

 private:
  // Threads are numbered here, because the system may give the id of a lost thread to a new one.
  std::uint64_t owner_ = 0;  // 0 if there is none
  std::uint64_t last_owner_ = 0;
  std::uint64_t forks_ = 0;          // ForkCount() when it was taken
  std::uint64_t waiting_ = 0;        // threads in Wait()
  std::uint64_t waiting_forks_ = 0;  // ForkCount() when waiting_ was last valid
};

/// Owns a GilMutex from construction to destruction.
class GilMutex::Hold {
 public:
  /// Waits for the mutex and takes it. Throws RuntimeError(`inside`) if the calling thread owns it
  /// already. This can happen only in foreign code that runs inside a call, such as a signal
  /// handler or a finalizer; waiting would be a deadlock there.
  Hold(GilMutex& mutex, const char* inside);

  ~Hold() { mutex_.Free(); }

  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  /// Whether the mutex was lost in a fork before it was taken here.
  bool was_lost() const noexcept { return was_lost_; }

 private:
  GilMutex& mutex_;
  bool was_lost_ = false;
};

}  // namespace stream_store::python
