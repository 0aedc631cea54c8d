// Prefetch: an iterator over the batches of a sampler, which are read ahead in a C++ thread.
//
// It is the class _core.Prefetch. The caller's thread chooses the windows and allocates the
// outputs; the C++ thread only fills them, so it needs no GIL. Batches that were drawn but not
// returned do not count in the state of the sampler. Thread rules: Python threads may share an
// iterator, because mutex_ serialises their calls.
#pragma once

#include <cstdint>
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

  /// Returns the next batch; null at the end of the epoch, after Close(), and after the sampler has
  /// begun another iteration. Throws RuntimeError in a forked child, because a fork does not copy
  /// the thread, and rethrows the error of a read.
  nb::object Next();

  /// Ends the iteration. The batches that were read ahead will be drawn again.
  void Close();

 private:
  struct Thread;  // the C++ thread and the memory that it shares with the caller's
  nb::object NextLocked();
  void CloseLocked();
  void Fill();
  void Stop() noexcept;
  void RequireThread() const;

  bool forked() const noexcept { return ForkCount() != forks_; }

  nb::object owner_;  // keeps sampler_ alive
  SamplerObject& sampler_;
  std::uint64_t ahead_;             // batches that are drawn before the caller asks for them
  std::uint64_t iteration_;         // SamplerObject::iteration() of this iterator
  bool drained_ = false;            // the sampler has no more batches
  std::uint64_t forks_;             // ForkCount() when the thread was started
  std::unique_ptr<Thread> thread_;  // null when closed
  GilMutex mutex_;                  // held by the Python thread that is inside a call
};

}  // namespace stream_store::python
