// The clock on the wall: for information only, nothing is decided by it.
#pragma once

#include <chrono>
#include <cstdint>

namespace stream_store::internal {

inline std::uint64_t UnixNanoseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace stream_store::internal
