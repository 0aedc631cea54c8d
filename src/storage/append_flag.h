// AppendFlag: serialises appends; free for the one thread that usually appends.
//
// Used by Writer around every append, growth included. Not a mutex, so that the child of a fork can
// free it with plain stores, and biased to the first thread that takes it: that thread pays two
// plain stores and two loads instead of a locked instruction, which would wait for every store of
// the append before. The first time another thread comes, the bias ends for good: membarrier(2)
// makes the owner's store and the other's look at it meet, as a full fence in the owner would.
#pragma once

#include <atomic>
#include <cstdint>

namespace stream_store::internal {

class AppendFlag {
 public:
  /// Holds the flag for a scope.
  class Hold {
   public:
    explicit Hold(AppendFlag& flag) noexcept : flag_(flag), biased_(flag.Take()) {}

    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    ~Hold() { flag_.Release(biased_); }

   private:
    AppendFlag& flag_;
    const bool biased_;
  };

  /// In the child of a fork, where whoever held it does not exist. Async-signal-safe.
  void Free() noexcept {
    owner_.store(kEverybody, std::memory_order_relaxed);
    owner_busy_.store(false, std::memory_order_relaxed);
    taken_.store(false, std::memory_order_relaxed);
  }

 private:
  static constexpr std::uintptr_t kNobody = 0;
  static constexpr std::uintptr_t kEverybody = 1;
  static constexpr std::uintptr_t kEnding = 2;  ///< the bias: until the barrier has been everywhere

  /// A number no other living thread has.
  static std::uintptr_t ThisThread() noexcept {
    __attribute__((tls_model("initial-exec"))) static thread_local char place = 0;
    return reinterpret_cast<std::uintptr_t>(&place);
  }

  bool Take() noexcept {
    const std::uintptr_t self = ThisThread();
    if (owner_.load(std::memory_order_relaxed) == self) {
      owner_busy_.store(true, std::memory_order_relaxed);
      std::atomic_signal_fence(
          std::memory_order_seq_cst);  // membarrier in EndBias() is the other half
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

  std::atomic<std::uintptr_t> owner_{kNobody};
  std::atomic<bool> owner_busy_{false};  ///< the owner is inside
  std::atomic<bool> taken_{false};       ///< somebody is inside, once the bias has ended
};

}  // namespace stream_store::internal
