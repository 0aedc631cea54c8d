// Prefetch: an iterator over a sampler's batches that are read ahead in a thread of C++.
//
// Windows are chosen, and room for them is made, on the caller's thread; the other one only copies.
// What was chosen but not handed out does not count in the sampler's state. Python threads may
// share one: they get their batches one after the other.
#pragma once

#include <cstdint>
#include <memory>

#include "convert/gil_mutex.h"
#include "convert/sampler.h"

namespace stream_store::python {

class Prefetch {
 public:
  /// Begins an epoch, or goes on drawing; up to `ahead` batches are read before they are asked for.
  /// `sampler` is kept alive.
  Prefetch(nb::handle_t<SamplerObject> sampler, std::uint64_t ahead);
  ~Prefetch();
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;

  /// The next batch; null at the end of the epoch, after Close(), and once the sampler has begun
  /// another iteration. Throws RuntimeError in a forked child, which has no such thread.
  nb::object Next();

  /// Ends the iteration; what was read ahead will be drawn again.
  void Close();

 private:
  struct Thread;  // what both threads see
  nb::object NextInTurn();
  void CloseInTurn();
  void Fill();
  void Stop() noexcept;
  void RequireThread() const;

  bool forked() const noexcept { return ForkCount() != forks_; }

  nb::object owner_;
  SamplerObject& sampler_;
  std::uint64_t ahead_;
  std::uint64_t iteration_;
  bool drained_ = false;            // nothing more to draw
  std::uint64_t forks_;             // before its thread was started
  std::unique_ptr<Thread> thread_;  // null when closed
  GilMutex turn_;                   // of the Python thread that waits for a batch without the GIL
};

}  // namespace stream_store::python
