// kPatience: how long a test waits for an event before it fails. Eventually() waits so long.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace stream_store::internal {

/// Longer than the event takes on a heavily loaded machine. Not a measure of speed.
inline constexpr std::chrono::minutes kPatience{10};

/// Whether the condition holds before kPatience is over. Looks every 10 ms.
inline bool Eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace stream_store::internal
