// ExitForkedChild(): ends a forked child like a normal process, with its exit handlers.
#pragma once

#include <cstdlib>

#include "support/sanitizers.h"

namespace stream_store::internal {

inline bool leaks_are_ignored = false;

/// Calls exit() in a forked child. AddressSanitizer does not look for leaks then: the child leaves
/// the objects that belong to its parent as they are, and some of them are not reachable there.
[[noreturn]] inline void ExitForkedChild(int status) {
  leaks_are_ignored = true;
  std::exit(status);
}

}  // namespace stream_store::internal

#if STREAM_STORE_ASAN
// LeakSanitizer calls this function, if there is one, before it looks for leaks:
// sanitizer/lsan_interface.h.
extern "C" __attribute__((used)) inline int __lsan_is_turned_off() {
  return stream_store::internal::leaks_are_ignored ? 1 : 0;
}
#endif
