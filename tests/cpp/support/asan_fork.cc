// Lets a forked child allocate memory under AddressSanitizer.
//
// Before LLVM 18, AddressSanitizer does not lock its allocator around fork(): if another thread is
// allocating at that moment, the child inherits a locked allocator and waits forever. LLVM 18 locks
// it itself (https://github.com/llvm/llvm-project/pull/75281); this file does the same for older
// versions, and is linked into every test program.
#include "support/sanitizers.h"

#if STREAM_STORE_ASAN && defined(__clang__) && __clang_major__ < 18
#include <pthread.h>

// Functions of the runtime, which the program links statically.
namespace __lsan {
void LockThreadRegistry();
void UnlockThreadRegistry();
void LockAllocator();
void UnlockAllocator();
}  // namespace __lsan

namespace __sanitizer {
void StackDepotLockAll();
void StackDepotUnlockAll();
}  // namespace __sanitizer

namespace stream_store::internal {
namespace {

void Lock() {
  __lsan::LockThreadRegistry();
  __lsan::LockAllocator();
  __sanitizer::StackDepotLockAll();
}

void Unlock() {
  __sanitizer::StackDepotUnlockAll();
  __lsan::UnlockAllocator();
  __lsan::UnlockThreadRegistry();
}

// Registered before all other handlers, so that the others may still allocate before the fork and
// may allocate again after it.
__attribute__((constructor(101))) void RegisterHandlers() { pthread_atfork(Lock, Unlock, Unlock); }

}  // namespace
}  // namespace stream_store::internal
#endif
