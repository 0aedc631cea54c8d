// RetryInterrupted(call): repeats a system call while a signal interrupts it. Used inside room
// base.
#pragma once

#include <cerrno>

namespace stream_store::internal {

/// The result of `call()`, called again as long as it returns -1 with EINTR.
template <class Call>
auto RetryInterrupted(Call&& call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

}  // namespace stream_store::internal
