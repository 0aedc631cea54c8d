// kPatience: how long a test waits for an event before it fails.
#pragma once

#include <chrono>

namespace stream_store::internal {

/// Longer than the event takes on a heavily loaded machine. Not a measure of speed.
inline constexpr std::chrono::minutes kPatience{10};

}  // namespace stream_store::internal
