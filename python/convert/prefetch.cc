#include "convert/prefetch.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "convert/errors.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

constexpr const char* kInside = "prefetch: called while the same thread waits for its next batch";

}  // namespace

// The caller adds and removes slots. The C++ thread only fills those in `to_read`, and does not
// touch a slot after it has set `done`. Thus only the caller's thread creates and destroys Python
// objects.
struct Prefetch::Thread {
  struct Slot {
    std::unique_ptr<PendingBatch> batch;
    std::exception_ptr error = nullptr;
    bool done = false;
  };

  Thread() : thread([this] { Run(); }) {}

  void Add(std::unique_ptr<PendingBatch> batch) {
    slots.push_back(std::make_unique<Slot>());
    slots.back()->batch = std::move(batch);
    const std::scoped_lock lock(mutex);
    to_read.push_back(slots.back().get());
    wake_reader.notify_one();
  }

  // Waits until the first slot is done, at most 50 ms. Returns whether it is.
  bool WaitForFirst() {
    constexpr auto kMoment = std::chrono::milliseconds(50);  // so that the caller can check signals
    std::unique_lock lock(mutex);
    return wake_caller.wait_for(lock, kMoment, [this] { return slots.front()->done; });
  }

  void Join() {
    {
      const std::scoped_lock lock(mutex);
      stop = true;
      wake_reader.notify_one();
    }
    thread.join();
  }

  // The C++ thread. Reads the batches in the order in which they were added, without the lock.
  void Run() {
    std::unique_lock lock(mutex);
    while (true) {
      wake_reader.wait(lock, [this] { return stop || !to_read.empty(); });
      if (stop) {
        return;
      }
      Slot* slot = to_read.front();
      to_read.pop_front();
      lock.unlock();
      try {
        slot->batch->Read();
      } catch (...) {
        slot->error = std::current_exception();
      }
      lock.lock();
      slot->done = true;
      wake_caller.notify_one();
    }
  }

  std::mutex mutex;
  std::condition_variable wake_reader;
  std::condition_variable wake_caller;
  std::deque<std::unique_ptr<Slot>> slots;  // drawn and not returned, in order; for the caller only
  std::deque<Slot*> to_read;                // those not read yet, in order
  bool stop = false;
  std::thread thread;
};

Prefetch::Prefetch(nb::handle_t<SamplerObject> sampler, std::uint64_t ahead)
    : owner_(Borrow(sampler.ptr())),
      sampler_(*nb::inst_ptr<SamplerObject>(owner_)),
      ahead_(ahead),
      iteration_(sampler_.BeginIteration()) {
  sampler_.SetPrefetch(this);
}

// Detached first: the next line may release the GIL, and no other thread may find this object then.
Prefetch::~Prefetch() {
  Detach();
  Stop();
}

void Prefetch::Close() {
  if (!mutex_.mine()) {
    closed_ = true;
    Detach();  // ends a wait for a batch in another thread
  }
  const GilMutex::Hold lock(mutex_, kInside);  // throws if it is mine
  Stop();
}

// Returns the batches that were drawn ahead to the sampler, which draws them again.
void Prefetch::Detach() noexcept {
  if (current()) {
    sampler_.SetPrefetch(nullptr);
  }
}

// Drops the batches that were drawn, and joins the thread without the GIL: it does not need the GIL
// itself, but a long read would otherwise stop all of Python.
void Prefetch::Stop() noexcept {
  drained_ = false;
  if (thread_ == nullptr) {
    return;
  }
  if (forked()) {
    // The object is leaked, because a forked child has no such thread to join.
    (void)thread_.release();  // NOLINT(bugprone-unused-return-value)
    return;
  }
  {
    const MaybeWithoutGil released(true);
    thread_->Join();
  }
  thread_.reset();
}

void Prefetch::RequireThread() const {
  if (forked()) {
    Throw(PyExc_RuntimeError,
          "prefetch: a fork does not copy its thread to the new process; call prefetch() again in "
          "this process");
  }
}

// Makes this the prefetch that draws ahead. Returns false if another one does.
bool Prefetch::Begin() {
  RequireThread();
  if (!current()) {
    Stop();  // its batches were returned to the sampler, or are of another state
    sampler_.RequireIteration(iteration_);
    if (sampler_.prefetch() != nullptr) {
      return false;
    }
    sampler_.SetPrefetch(this);
  }
  if (thread_ == nullptr) {
    forks_ = ForkCount();
    thread_ = std::make_unique<Thread>();
  }
  return true;
}

// Draws until `ahead_` batches are there. Returns false if the sampler has turned to another
// prefetch or another state meanwhile. After an error all batches are drawn again.
bool Prefetch::Fill() try {
  while (current() && !drained_ && thread_->slots.size() < ahead_) {
    std::unique_ptr<PendingBatch> batch = sampler_.Draw(this);
    if (!current()) {
      return false;
    }
    if (batch == nullptr) {
      drained_ = true;
    } else {
      thread_->Add(std::move(batch));
    }
  }
  return current();
} catch (...) {
  Detach();
  Stop();
  throw;
}

// Draws the next batches while the caller uses one. An error is kept until its batch is due.
void Prefetch::FillAfterwards() try { Fill(); } catch (...) {
  error_ = std::current_exception();
}

nb::object Prefetch::Next() {
  {
    const GilMutex::Hold lock(mutex_, kInside);
    if (closed_) {
      return {};
    }
    nb::object batch = TakeFirst();
    if (batch.is_valid() || closed_) {
      return batch;
    }
  }
  return sampler_.NextBatch(iteration_);  // another prefetch draws ahead, and has the next batch
}

nb::object Prefetch::NextReadAhead() {
  const GilMutex::Hold lock(mutex_, kInside);
  return closed_ ? nb::object() : TakeFirst();
}

// Returns the first batch, of which the caller holds the lock; null if another prefetch draws ahead,
// and at the end of the epoch, with which it is closed. It begins again if the sampler was given
// another state while it waited.
nb::object Prefetch::TakeFirst() {
  if (error_ != nullptr) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  while (!closed_ && Begin()) {
    if (!Fill()) {
      continue;
    }
    if (thread_->slots.empty()) {
      closed_ = sampler_.HandOut(this, 0, false);  // only now does the caller see the end
      Detach();
      Stop();
      return {};
    }
    if (WaitForFirst()) {
      nb::object batch = HandOut();
      if (batch.is_valid()) {
        return batch;
      }
    }
  }
  return {};
}

// Waits in slices, so that Ctrl-C can end the wait. Returns false if the sampler has turned away.
bool Prefetch::WaitForFirst() {
  while (current()) {
    bool done = false;
    {
      const MaybeWithoutGil released(true);
      done = thread_->WaitForFirst();
    }
    if (done) {
      return current();
    }
    Check(PyErr_CheckSignals());
    RequireThread();  // a signal handler may have forked
  }
  return false;
}

// Returns the first batch, which was read; null if the sampler has turned away from it meanwhile. If
// reading it failed, all batches are drawn again.
nb::object Prefetch::HandOut() {
  if (const std::exception_ptr error = thread_->slots.front()->error; error != nullptr) {
    Detach();
    Stop();
    std::rethrow_exception(error);
  }
  if (!sampler_.HandOut(this, thread_->slots.size() - 1, drained_)) {
    return {};
  }
  const std::unique_ptr<Thread::Slot> slot = std::move(thread_->slots.front());
  thread_->slots.pop_front();
  FillAfterwards();
  return slot->batch->Finish();
}

}  // namespace stream_store::python
