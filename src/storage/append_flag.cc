#include "storage/append_flag.h"

#include <thread>

#include "base/threads.h"

namespace stream_store::internal {

bool AppendFlag::TakeSlowly(std::uintptr_t self) noexcept {
  std::uintptr_t no_owner = kNoOwner;
  if (owner_.compare_exchange_strong(no_owner, ThreadBarriersWork() ? self : kUnbiased)) {
    return Take();
  }
  EndBias();
  // The old owner may still be inside: it leaves before any other thread enters.
  while (owner_busy_.load(std::memory_order_acquire) ||
         taken_.exchange(true, std::memory_order_acquire)) {
    std::this_thread::yield();
  }
  return false;
}

// After the barrier either the owner sees that the bias has ended, or we see that it is inside.
void AppendFlag::EndBias() noexcept {
  std::uintptr_t owner = owner_.load(std::memory_order_acquire);
  while (owner != kUnbiased) {
    if (owner != kEnding && owner_.compare_exchange_weak(owner, kEnding)) {
      ThreadBarrier();
      owner_.store(kUnbiased, std::memory_order_release);
      return;
    }
    std::this_thread::yield();
    owner = owner_.load(std::memory_order_acquire);
  }
}

}  // namespace stream_store::internal
