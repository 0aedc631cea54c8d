// BlockPipe: two loops at the same time. One fills blocks in a thread of its own, the other takes them
// in the thread of the caller, in the order in which they were filled.
//
//     BlockPipe<std::vector<int>> pipe(
//         [&](std::vector<int>& block) { return ReadSome(block); },  // in the other thread
//         [&](const std::vector<int>& block) { Enter(block); });     // in this one
//     pipe.Run();
//
// Used by store/lane_index, whose first pass over a store reads records and enters rows; each takes
// about half of the time.
//
// Thread rules: an object belongs to one thread. Invariants:
//   1. Blocks [taken_, filled_) are full; there are at most kBlocks of them. Block n is in place
//      n % kBlocks.
//   2. Only the filling thread writes blocks that are not full, and only the taking one reads full ones.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "base/threads.h"

namespace stream_store::internal {

template <class Block>
class BlockPipe {
 public:
  using Fill = std::function<bool(Block&)>;
  using Take = std::function<void(const Block&)>;

  /// `fill` gets a block as `take` left it, fills it, and returns whether there is more. If it throws,
  /// what it has put into the block is still taken.
  BlockPipe(Fill fill, Take take) : fill_(std::move(fill)), take_(std::move(take)) {}

  /// Fills and takes all blocks, once. If there cannot be another thread, this one does both in turn. An
  /// error of `fill` is thrown after everything that was filled was taken, and one of `take` at once.
  /// No thread is left afterwards.
  void Run() {
    std::thread thread;
    try {
      thread = StartThreadWithoutSignals([this] { FillAll(); });
    } catch (const std::system_error&) {
      RunAlone();
      return;
    }
    std::exception_ptr failed;
    try {
      TakeAll();
    } catch (...) {
      failed = std::current_exception();
    }
    Stop();
    thread.join();
    if (failed || error_) {
      std::rethrow_exception(failed ? failed : error_);
    }
  }

  /// The same in this thread only.
  void RunAlone() {
    for (bool more = true; more;) {
      more = FillOne(blocks_[0]);
      take_(blocks_[0]);
    }
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  static constexpr std::size_t kBlocks = 4;

  bool FillOne(Block& block) noexcept {
    try {
      return fill_(block);
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }

  void FillAll() noexcept {
    NameThisThread("ss-read");
    for (std::size_t number = 0;; ++number) {
      {
        const MutexLock lock(mutex_);
        while (number - taken_ == kBlocks && !stopped_) {
          changed_.wait(mutex_);
        }
        if (stopped_) {
          return;
        }
      }
      const bool more = FillOne(blocks_[number % kBlocks]);
      const MutexLock lock(mutex_);
      ++filled_;
      ended_ = !more;
      changed_.notify_one();
      if (!more) {
        return;
      }
    }
  }

  void TakeAll() {
    for (std::size_t number = 0;; ++number) {
      {
        const MutexLock lock(mutex_);
        while (number == filled_ && !ended_) {
          changed_.wait(mutex_);
        }
        if (number == filled_) {
          return;
        }
      }
      take_(blocks_[number % kBlocks]);
      const MutexLock lock(mutex_);
      ++taken_;
      changed_.notify_one();
    }
  }

  void Stop() {
    const MutexLock lock(mutex_);
    stopped_ = true;
    changed_.notify_one();
  }

  const Fill fill_;
  const Take take_;
  std::array<Block, kBlocks> blocks_;
  std::exception_ptr error_;  // of `fill`; written before ended_, and read after the last block
  Mutex mutex_;
  std::condition_variable_any changed_;
  std::size_t filled_ GUARDED_BY(mutex_) = 0;
  std::size_t taken_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;    // no block will be filled after these
  bool stopped_ GUARDED_BY(mutex_) = false;  // no block will be taken any more
};

}  // namespace stream_store::internal
