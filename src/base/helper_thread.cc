#include "base/helper_thread.h"

#include <condition_variable>
#include <system_error>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/threads.h"

namespace stream_store::internal {

// On the heap, so that a forked child can abandon it as a whole: to destroy a std::thread that
// does not exist, or a locked mutex, would end the child.
struct HelperThread::Shared {
  explicit Shared(std::function<Pause()> run_round) : round(std::move(run_round)) {}

  bool BeginRound(const Pause& pause) EXCLUDES(mutex);
  void Run() EXCLUDES(mutex);

  const std::function<Pause()> round;
  Mutex mutex;
  std::condition_variable_any changed;
  bool wanted GUARDED_BY(mutex) = false;
  bool stopping GUARDED_BY(mutex) = false;
  std::thread thread GUARDED_BY(mutex);
};

// Sleeps until the next round is due. Returns false if there is to be none.
bool HelperThread::Shared::BeginRound(const Pause& pause) {
  const auto began = std::chrono::steady_clock::now();
  const MutexLock lock(mutex);
  // Loops instead of predicates: the analysis does not know that a lambda runs under the mutex.
  while (!wanted && !stopping) {
    if (!pause) {
      changed.wait(mutex);
    } else if (changed.wait_until(mutex, began + *pause) == std::cv_status::timeout) {
      break;
    }
  }
  wanted = false;
  return !stopping;
}

void HelperThread::Shared::Run() {
  for (Pause pause = std::chrono::nanoseconds(0); BeginRound(pause);) {
    pause = round();
  }
}

HelperThread::HelperThread(std::function<Pause()> round) : shared_(new Shared(std::move(round))) {}

HelperThread::~HelperThread() {
  Stop();
  delete shared_;
}

bool HelperThread::Start() {
  if (shared_ == nullptr) {
    return false;
  }
  const MutexLock lock(shared_->mutex);
  if (shared_->stopping || shared_->thread.joinable()) {
    return false;
  }
  try {
    shared_->thread = StartThreadWithoutSignals([shared = shared_] { shared->Run(); });
  } catch (const std::system_error&) {
    return false;  // the process or its control group has no more threads
  }
  return true;
}

void HelperThread::Wake() noexcept {
  if (shared_ == nullptr) {
    return;
  }
  {
    const MutexLock lock(shared_->mutex);
    if (!shared_->thread.joinable()) {
      return;
    }
    shared_->wanted = true;
  }
  shared_->changed.notify_one();
}

void HelperThread::Stop() noexcept {
  if (shared_ == nullptr) {
    return;
  }
  std::thread thread;
  {
    const MutexLock lock(shared_->mutex);
    shared_->stopping = true;
    thread = std::move(shared_->thread);
  }
  shared_->changed.notify_one();
  if (thread.joinable()) {
    thread.join();
  }
}

}  // namespace stream_store::internal
