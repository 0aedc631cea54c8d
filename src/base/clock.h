// UnixNanoseconds(): the time of day, stored in sync slots for people who inspect a store.
//
// No decision depends on it: the clock of a machine may jump, so slots are ordered by their
// sequence number.
#pragma once

#include <chrono>
#include <cstdint>

namespace stream_store::internal {

/// Returns nanoseconds since 1970-01-01 UTC by the system clock.
inline std::uint64_t UnixNanoseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

}  // namespace stream_store::internal
