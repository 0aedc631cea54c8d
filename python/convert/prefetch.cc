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
      iteration_(sampler_.BeginIteration()),
      forks_(ForkCount()),
      thread_(std::make_unique<Thread>()) {}

Prefetch::~Prefetch() {
  try {
    Close();
  } catch (...) {
    PyErr_Clear();  // the store was closed, so no batch can be drawn again
  }
}

// Joins the thread without the GIL: it does not need the GIL itself, but a long read would
// otherwise stop all of Python.
void Prefetch::Stop() noexcept {
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

void Prefetch::Close() {
  const GilMutex::Hold lock(mutex_, kInside);
  CloseLocked();
}

void Prefetch::CloseLocked() {
  const bool mine = thread_ != nullptr && sampler_.iteration() == iteration_;
  Stop();
  if (mine) {
    sampler_.ReturnPrefetched();
  }
}

void Prefetch::Fill() {
  while (!drained_ && thread_->slots.size() < ahead_) {
    std::unique_ptr<PendingBatch> batch = sampler_.Draw();
    if (batch == nullptr) {
      drained_ = true;
    } else {
      thread_->Add(std::move(batch));
    }
    sampler_.SetPrefetched(thread_->slots.size(), drained_);
  }
}

nb::object Prefetch::Next() {
  const GilMutex::Hold lock(mutex_, kInside);
  return NextLocked();
}

void Prefetch::RequireThread() const {
  if (thread_ != nullptr && forked()) {
    Throw(PyExc_RuntimeError,
          "prefetch: a fork does not copy its thread to the new process; call prefetch() again in "
          "this process");
  }
}

// Waits for the first batch in slices, so that Ctrl-C can end the wait. If a read failed, the
// iteration is closed first, so that its batches are drawn again.
nb::object Prefetch::NextLocked() {
  RequireThread();
  if (thread_ != nullptr && sampler_.iteration() != iteration_) {
    Stop();
  }
  if (thread_ == nullptr) {
    return {};
  }
  Fill();
  if (thread_->slots.empty()) {
    sampler_.SetPrefetched(0, false);  // only now does the caller see the end
    Stop();
    return {};
  }
  while (true) {
    bool done = false;
    {
      const MaybeWithoutGil released(true);
      done = thread_->WaitForFirst();
    }
    if (done) {
      break;
    }
    Check(PyErr_CheckSignals());
    RequireThread();  // a signal handler may have forked
  }
  const std::unique_ptr<Thread::Slot> slot = std::move(thread_->slots.front());
  thread_->slots.pop_front();
  if (slot->error != nullptr) {
    CloseLocked();
    std::rethrow_exception(slot->error);
  }
  sampler_.SetPrefetched(thread_->slots.size(), drained_);
  Fill();  // so that the next one is read while the caller uses this one
  return slot->batch->Finish();
}

}  // namespace stream_store::python
