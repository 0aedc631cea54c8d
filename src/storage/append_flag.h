// AppendFlag: the lock around every append; almost free for the one thread that usually appends.
//
// Used by Appender. It is not a mutex, so that the child of a fork can free it with plain stores.
// It is biased to the first thread that acquires it: that thread pays two plain stores and two
// loads instead of a locked instruction, which would wait for all stores of the append before. The
// first time another thread comes, the bias ends for good. membarrier(2) then orders the owner's
// store to `owner_busy_` and the other thread's load of it, as a full fence in the owner would.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/thread_annotations.h"

namespace stream_store::internal {

class CAPABILITY("append flag") AppendFlag {
 public:
  /// Holds the flag for a scope.
  class SCOPED_CAPABILITY Hold {
   public:
    explicit Hold(AppendFlag& flag) noexcept ACQUIRE(flag) : flag_(flag), biased_(flag.Take()) {}

    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    ~Hold() RELEASE() { flag_.Release(biased_); }

   private:
    AppendFlag& flag_;
    const bool biased_;
  };

  /// Whether any thread holds it: for assertions.
  bool held() const noexcept {
    return owner_busy_.load(std::memory_order_relaxed) || taken_.load(std::memory_order_relaxed);
  }

  /// Frees the flag in the child of a fork, where the thread that held it does not exist.
  /// Async-signal-safe.
  void Free() noexcept {
    owner_.store(kUnbiased, std::memory_order_relaxed);
    owner_busy_.store(false, std::memory_order_relaxed);
    taken_.store(false, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uintptr_t kNoOwner = 0;
  static constexpr std::uintptr_t kUnbiased = 1;
  static constexpr std::uintptr_t kEnding = 2;  ///< the bias ends; the barrier is not done yet

  /// A number that no other living thread has.
  static std::uintptr_t ThisThread() noexcept {
    __attribute__((tls_model("initial-exec"))) static thread_local char place = 0;
    return reinterpret_cast<std::uintptr_t>(&place);
  }

  bool Take() noexcept {
    const std::uintptr_t self = ThisThread();
    if (owner_.load(std::memory_order_relaxed) == self) {
      owner_busy_.store(true, std::memory_order_relaxed);
      // The membarrier in EndBias() is the other half of this fence.
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (owner_.load(std::memory_order_relaxed) == self) [[likely]] {
        return true;
      }
      owner_busy_.store(false, std::memory_order_release);
    }
    return TakeSlowly(self);
  }

  void Release(bool biased) noexcept {
    (biased ? owner_busy_ : taken_).store(false, std::memory_order_release);
  }

  bool TakeSlowly(std::uintptr_t self) noexcept;
  void EndBias() noexcept;

  std::atomic<std::uintptr_t> owner_{kNoOwner};
  std::atomic<bool> owner_busy_{false};  ///< the owner is inside
  std::atomic<bool> taken_{false};       ///< another holder is inside, once the bias has ended
};

}  // namespace stream_store::internal
