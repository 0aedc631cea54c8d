#include "base/helper_executor.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <utility>

#include "base/assert.h"
#include "base/threads.h"

namespace stream_store::internal {

// Constant-initialised, so that stores may be opened before main() and closed after it.
struct HelperExecutor::AllExecutors {
  static constinit inline std::atomic<HelperExecutor*> by_kind[2] = {nullptr, nullptr};
  static constinit inline std::atomic<bool> exiting{false};

  // Leaks the executors of the parent.
  static void ForgetInForkedChild() {
    for (std::atomic<HelperExecutor*>& executor : by_kind) {
      executor.store(nullptr);
    }
  }

  // At exit() only stores that nothing closes still have tasks. They stay open; without threads
  // their appends grow the files themselves.
  static void HaltAtExit() {
    exiting.store(true);
    for (const std::atomic<HelperExecutor*>& executor : by_kind) {
      if (HelperExecutor* const existing = executor.load()) {
        existing->Halt();
      }
    }
  }

  // Installed when the library is loaded, before there are threads, so that no child can inherit a
  // half-finished installation. Handlers of exit() run in reverse order: stores in static variables
  // of the program are closed before.
  static bool Install() {
    InstallForkHandlers(nullptr, nullptr, ForgetInForkedChild);
    std::atexit(HaltAtExit);
    return true;
  }

  static inline const bool kInstalled = Install();
};

HelperExecutor::Task::Task(HelperExecutor& executor, std::function<Pause()> round)
    : executor_(executor), round_(std::move(round)) {
  Queue queue;
  node_ = queue.extract(queue.insert(Due{.at = {}, .task = this}));
}

HelperExecutor& HelperExecutor::Get(HelperThread::Kind kind) {
  std::atomic<HelperExecutor*>& place = AllExecutors::by_kind[static_cast<int>(kind)];
  HelperExecutor* existing = place.load();
  if (existing != nullptr) {
    return *existing;
  }
  auto* const created = new HelperExecutor(kind);
  if (place.compare_exchange_strong(existing, created)) {
    return *created;
  }
  delete created;  // another thread was faster
  return *existing;
}

bool HelperExecutor::Add(Task& task) {
  const MutexLock lock(mutex_);
  if (task.state_ != Task::State::kNew || AllExecutors::exiting.load()) {
    return false;
  }
  num_tasks_ += 1;
  StartThreads();
  if (num_threads_ == 0) {
    num_tasks_ -= 1;
    return false;
  }
  task.woken_.exchange(true);
  Insert(task, Clock::now());
  if (!led_) {
    followers_.notify_one();
  }
  return true;
}

void HelperExecutor::Wake(Task& task) noexcept {
  // Of many wake-ups before the next round, only the first needs the mutex.
  if (task.woken_.exchange(true)) {
    return;
  }
  {
    const MutexLock lock(mutex_);
    // Without `woken_`, a round began since, and sees all that the caller did before. A task in a
    // round is inserted by EndRound(), and one that is not added never.
    const bool queued = task.state_ == Task::State::kQueued;
    if (!task.woken_.load() || (!queued && task.state_ != Task::State::kAsleep)) {
      return;
    }
    const Clock::time_point now = Clock::now();
    if (queued) {
      if (task.place_->at <= now) {
        return;
      }
      task.node_ = queue_.extract(task.place_);
    }
    Insert(task, now);
    if (led_) {
      return;
    }
  }
  followers_.notify_one();
}

void HelperExecutor::Remove(Task& task) noexcept {
  Threads dismissed;
  {
    const MutexLock lock(mutex_);
    task.removing_ = true;
    while (task.state_ == Task::State::kInRound) {
      ended_.wait(mutex_);
    }
    const Task::State before = std::exchange(task.state_, Task::State::kRemoved);
    if (before == Task::State::kNew || before == Task::State::kRemoved) {
      return;
    }
    if (before == Task::State::kQueued) {
      task.node_ = queue_.extract(task.place_);
    }
    num_tasks_ -= 1;
    if (num_tasks_ == 0) {
      dismissed = Dismiss();
    }
  }
  for (std::thread& thread : dismissed) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

// A failure leaves fewer threads; the next Add() tries again.
void HelperExecutor::StartThreads() {
  const auto most = static_cast<std::size_t>(kMostThreads[static_cast<int>(kind_)]);
  while (static_cast<std::size_t>(num_threads_) < std::min(num_tasks_, most)) {
    try {
      threads_[static_cast<std::size_t>(num_threads_)] =
          StartThreadWithoutSignals([this, crew = crew_] { Run(crew); });
    } catch (const std::exception&) {
      return;  // the process or its control group has no more threads, or there is no memory
    }
    num_threads_ += 1;
  }
}

// Tells all threads to end and returns them to be joined without the mutex. Threads that are
// started meanwhile belong to the next crew.
HelperExecutor::Threads HelperExecutor::Dismiss() noexcept {
  crew_ += 1;
  led_ = false;
  num_threads_ = 0;
  leader_.notify_all();
  followers_.notify_all();
  return std::exchange(threads_, Threads());
}

void HelperExecutor::Halt() noexcept {
  Threads dismissed;
  {
    const MutexLock lock(mutex_);
    dismissed = Dismiss();
  }
  for (std::thread& thread : dismissed) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

// What each thread runs. The mutex is released during a round, which a scoped lock cannot express.
void HelperExecutor::Run(std::uint64_t crew) noexcept {
  NameThisThread(kind_ == HelperThread::Kind::kGrow ? "ss-grow" : "ss-sync");
  mutex_.lock();
  while (Task* const task = AwaitTask(crew)) {
    mutex_.unlock();
    const Pause pause = task->round_();
    mutex_.lock();
    EndRound(*task, pause);
  }
  mutex_.unlock();
}

// Waits for a round to be due. Returns nullptr if the crew was dismissed.
HelperExecutor::Task* HelperExecutor::AwaitTask(std::uint64_t crew) {
  while (crew == crew_) {
    if (led_) {
      followers_.wait(mutex_);
      continue;
    }
    if (!queue_.empty() && queue_.begin()->at <= Clock::now()) {
      return TakeFirst();
    }
    led_ = true;
    if (queue_.empty()) {
      leader_.wait(mutex_);
    } else {
      const Clock::time_point at = queue_.begin()->at;  // the node may move while this waits
      leader_.wait_until(mutex_, at);
    }
    if (crew == crew_) {
      led_ = false;
    }
  }
  return nullptr;
}

HelperExecutor::Task* HelperExecutor::TakeFirst() noexcept {
  Task* const task = queue_.begin()->task;
  task->node_ = queue_.extract(queue_.begin());
  task->state_ = Task::State::kInRound;
  task->woken_.exchange(false);  // acquires what was done before the wake-up
  if (!queue_.empty()) {
    followers_.notify_one();  // one of them leads while this thread is busy
  }
  return task;
}

// Without a leader, the calling thread looks at the queue next, so it need not wake a follower.
void HelperExecutor::EndRound(Task& task, const Pause& pause) noexcept {
  task.state_ = Task::State::kAsleep;
  if (task.removing_) {
    ended_.notify_all();
  } else if (task.woken_.load()) {
    Insert(task, Clock::now());
  } else if (pause) {
    Insert(task, Clock::now() + std::chrono::duration_cast<Clock::duration>(*pause));
  }
}

// Wakes the leader if it must wake earlier than it knows of. Without a leader, the caller has to see
// to it that a thread looks at the queue.
void HelperExecutor::Insert(Task& task, Clock::time_point at) noexcept {
  STREAM_STORE_ASSERT(!task.node_.empty());
  task.node_.value().at = at;
  task.place_ = queue_.insert(std::move(task.node_));
  task.state_ = Task::State::kQueued;
  if (led_ && task.place_ == queue_.begin()) {
    leader_.notify_one();
  }
}

}  // namespace stream_store::internal
