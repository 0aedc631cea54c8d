// Prefetch: an iterator over the batches of a sampler, which are read ahead in a C++ thread.
//
// It is the class _core.Prefetch. The caller's thread chooses the windows and allocates the
// outputs; the C++ thread only fills them, so it needs no GIL. Batches that were drawn but not
// returned do not count in the state of the sampler.
//
// With replacement, an iterator only reads ahead: the sampler has one sequence of batches, and
// each call takes the next one, whichever iterator it is of. If several are open, the newest reads
// ahead and the others take from it; when it is closed, the next one that is used begins to.
// Without replacement, an iterator is of one epoch, and raises once the sampler has left that.
//
// Thread rules: Python threads may share an iterator, because mutex_ serialises their calls.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>

#include "convert/gil_mutex.h"
#include "convert/sampler.h"

namespace stream_store::python {

class Prefetch {
 public:
  /// Begins an iteration of the sampler, which it keeps alive. Up to `ahead` batches are read
  /// before the caller asks for them.
  Prefetch(nb::handle_t<SamplerObject> sampler, std::uint64_t ahead);
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// Returns the next batch; null at the end of the epoch and after Close(). Throws RuntimeError in
  /// a forked child, because a fork does not copy the thread, and after the sampler has left the
  /// epoch. Rethrows the error of a read, whose batch the next call draws again.
  nb::object Next();

  /// As Next(), if this is the prefetch that draws ahead, or none is; else returns null.
  nb::object NextReadAhead();

  /// Ends the iteration. The batches that were read ahead will be drawn again.
  void Close();

  /// Whether this process was forked from the one that has the thread.
  bool forked() const noexcept { return thread_ != nullptr && ForkCount() != forks_; }

 private:
  struct Thread;  // the C++ thread and the memory that it shares with the caller's
  bool Begin();
  nb::object TakeFirst();
  bool WaitForFirst();
  nb::object HandOut();
  bool Fill();
  void FillAfterwards();
  void Detach() noexcept;
  void Stop() noexcept;
  void RequireThread() const;

  bool current() const noexcept { return sampler_.prefetch() == this; }

  nb::object owner_;  // keeps sampler_ alive
  SamplerObject& sampler_;
  std::uint64_t ahead_;             // batches that are drawn before the caller asks for them
  std::uint64_t iteration_;         // SamplerObject::BeginIteration() of this iterator
  bool drained_ = false;            // the sampler has no more batches
  bool closed_ = false;             // Close() was called, or the end of the epoch handed out
  std::exception_ptr error_;        // met while reading ahead, for the next call
  std::uint64_t forks_ = 0;         // ForkCount() when the thread was started
  std::unique_ptr<Thread> thread_;  // null if this does not read ahead now
  GilMutex mutex_;                  // held by the Python thread that is inside a call
};

}  // namespace stream_store::python
