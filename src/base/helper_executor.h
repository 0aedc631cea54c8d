// HelperExecutor: the threads that run the rounds of all HelperThreads of one kind.
//
// Used by HelperThread only. Without it every open store would have two threads of its own, and
// 1,000 stores 2,000. There is one executor for each kind, because a sync may block for seconds on
// a disk and must not delay the growth that appends wait for.
//
// How many threads: as many as there are tasks, at most kMostThreads of the kind. One store alone
// has one thread of each kind. A second thread for growth keeps other stores growing while
// fallocate() waits for a busy file system. With four threads for syncing, up to three syncs that
// block on a slow disk hold up no other store; more threads would mostly wait for the same disks.
//
// Order: one queue sorted by the time at which a round is due. A wake-up makes it due now, behind
// all tasks that are due already, so that a busy store cannot starve the others. Each event costs
// O(log n) for n tasks. Only one idle thread, the leader, waits until the first round is due; the
// other idle threads wait until a leader is needed.
//
// Lifetime: an executor is created when it is first asked for and never destroyed. Its threads
// start with the first task and are joined by the call that removes the last one, and at exit().
// In the child of a fork there are no such threads, and the mutex may be locked for good: there the
// executors are forgotten, and Get() creates new ones.
//
// Thread rules: any thread, but Remove() not from a round of the same kind. Invariants:
//   1. A task is in the queue, or in a round, or sleeps until it is woken.
//   2. If the queue is not empty, then a thread leads, is about to look at the queue, or all
//      threads are in rounds.
//   3. The threads that were started since the last dismissal are the crew, numbered `crew_`. Other
//      threads take no more tasks, and do not lead.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "base/helper_thread.h"
#include "base/mutex.h"

namespace stream_store::internal {

class HelperExecutor {
 public:
  class Task;

  /// Returns the executor of this kind.
  static HelperExecutor& Get(HelperThread::Kind kind);

  /// Adds a task and makes its first round due. Returns false if it was added or removed before, or
  /// if the process can have no thread; then a later call may succeed.
  bool Add(Task& task) EXCLUDES(mutex_);

  /// Makes a round due that begins after this call. Does nothing for a task that was not added or
  /// that was removed.
  void Wake(Task& task) noexcept EXCLUDES(mutex_);

  /// Waits for a round of the task under way. There is none afterwards, and it cannot be added
  /// again. Removing the last task joins the threads.
  void Remove(Task& task) noexcept EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;
  using Pause = HelperThread::Pause;

  static constexpr int kMostThreads[] = {2, 4};  // by HelperThread::Kind
  static constexpr int kMostOfAnyKind = 4;
  using Threads = std::array<std::thread, kMostOfAnyKind>;

  // Sorted by time; of equal ones, the one inserted first comes first.
  struct Due {
    Clock::time_point at;
    Task* task = nullptr;

    bool operator<(const Due& other) const noexcept { return at < other.at; }
  };

  using Queue = std::multiset<Due>;

  struct AllExecutors;  // the executors of this process, and what happens at fork() and exit()

  explicit HelperExecutor(HelperThread::Kind kind) : kind_(kind) {}

  void StartThreads() REQUIRES_LOCK(mutex_);
  Threads Dismiss() noexcept REQUIRES_LOCK(mutex_);
  void Halt() noexcept EXCLUDES(mutex_);
  void Run(std::uint64_t crew) noexcept EXCLUDES(mutex_);
  Task* AwaitTask(std::uint64_t crew) REQUIRES_LOCK(mutex_);
  Task* TakeFirst() noexcept REQUIRES_LOCK(mutex_);
  void EndRound(Task& task, const Pause& pause) noexcept REQUIRES_LOCK(mutex_);
  void Insert(Task& task, Clock::time_point at) noexcept REQUIRES_LOCK(mutex_);

  const HelperThread::Kind kind_;
  Mutex mutex_;
  std::condition_variable_any leader_;     // wakes the thread that waits for the first round
  std::condition_variable_any followers_;  // wakes one of the other idle threads
  std::condition_variable_any ended_;      // wakes Remove() when a round of its task has ended
  Queue queue_ GUARDED_BY(mutex_);
  Threads threads_ GUARDED_BY(mutex_);
  int num_threads_ GUARDED_BY(mutex_) = 0;
  std::uint64_t crew_ GUARDED_BY(mutex_) = 0;  // the number of the present threads
  bool led_ GUARDED_BY(mutex_) = false;        // a thread of the crew leads
  std::size_t num_tasks_ GUARDED_BY(mutex_) = 0;
};

/// A function to run again and again. Private to HelperExecutor and HelperThread.
class HelperExecutor::Task {
 public:
  /// Allocates all that the executor needs for the task, so that waking it cannot fail.
  Task(HelperExecutor& executor, std::function<Pause()> round);

  HelperExecutor& executor() const noexcept { return executor_; }

 private:
  friend class HelperExecutor;

  enum class State { kNew, kAsleep, kQueued, kInRound, kRemoved };

  HelperExecutor& executor_;
  const std::function<Pause()> round_;
  std::atomic<bool> woken_{false};  // since the last round began

  // Guarded by the mutex of the executor, which the analysis cannot name here; only functions that
  // require it use them.
  State state_ = State::kNew;
  bool removing_ = false;
  Queue::iterator place_;  // if kQueued
  Queue::node_type node_;  // the node for the queue while the task is not in it
};

}  // namespace stream_store::internal
