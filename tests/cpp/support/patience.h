// How long a test waits for what must happen before it says that it never will.
#pragma once

#include <chrono>

namespace stream_store::internal {

/// No matter of speed: longer than the most loaded machine takes.
inline constexpr std::chrono::minutes kPatience{10};

}  // namespace stream_store::internal
