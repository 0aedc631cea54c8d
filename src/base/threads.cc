#include "base/threads.h"

#include <atomic>
#include <utility>

#include <linux/membarrier.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigfillset() is POSIX
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

namespace stream_store::internal {
namespace {

bool Membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

// Blocks all signals of this thread for a scope. A thread started in it inherits the blocked mask.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }

  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace

// A plain atomic instead of a function-local static: if another thread were initialising the static
// during a fork(), the child would wait forever for a thread that it does not have. Registering
// twice is harmless.
bool ThreadBarriersWork() noexcept {
  enum : int { kUnknown, kWork, kDoNot };

  static constinit std::atomic<int> known{kUnknown};
  if (known.load(std::memory_order_relaxed) == kUnknown) {
    const bool work = Membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    known.store(work ? kWork : kDoNot, std::memory_order_relaxed);
  }
  return known.load(std::memory_order_relaxed) == kWork;
}

void ThreadBarrier() noexcept {
  STREAM_STORE_ASSERT(ThreadBarriersWork());
  Membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

std::thread StartThreadWithoutSignals(std::function<void()> run) {
  const SignalsBlocked blocked;
  return std::thread(std::move(run));
}

void NameThisThread(const char* name) noexcept { pthread_setname_np(pthread_self(), name); }

void InstallForkHandlers(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  pthread_atfork(before, in_parent, in_child);
}

}  // namespace stream_store::internal
