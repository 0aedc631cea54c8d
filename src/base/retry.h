// RetryInterrupted(call): repeats a system call that a signal interrupted. Used inside base.
//
// Programs that embed this library, Python among them, install signal handlers without SA_RESTART,
// so any slow system call may fail with EINTR.
#pragma once

#include <cerrno>

namespace stream_store::internal {

/// Calls `call()` until its result is not -1 with errno EINTR; returns the last result.
template <class Call>
auto RetryInterrupted(Call&& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

}  // namespace stream_store::internal
