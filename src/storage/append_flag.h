// AppendFlag: holds the append flag of a Writer for a scope.
//
// A flag of our own instead of a mutex, so that the child of a fork can free it with one store. Held for the length
// of one append; growth is the only long one.
#pragma once

#include <atomic>
#include <thread>

namespace stream_store::internal {

class AppendFlag {
 public:
  explicit AppendFlag(std::atomic<bool>& flag) noexcept : flag_(flag) {
    if (flag_.exchange(true, std::memory_order_acquire)) [[unlikely]] {
      Wait();
    }
  }
  AppendFlag(const AppendFlag&) = delete;
  AppendFlag& operator=(const AppendFlag&) = delete;
  ~AppendFlag() { flag_.store(false, std::memory_order_release); }

 private:
  void Wait() noexcept {
    while (flag_.load(std::memory_order_relaxed) || flag_.exchange(true, std::memory_order_acquire)) {
      std::this_thread::yield();
    }
  }
  std::atomic<bool>& flag_;
};

}  // namespace stream_store::internal
