#include "base/freed_space.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

using std::chrono::nanoseconds;

void Sleep(nanoseconds time) noexcept {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  const timespec pause{.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
  sys().nanosleep(&pause, nullptr);  // a signal ends the pause early, which does no harm
}

}  // namespace

bool FreedSpaceWait::Pause(const Error& full) noexcept {
  constexpr nanoseconds kLongestPause = std::chrono::milliseconds(100);
  const bool disk_full = full.code() == ErrorCode::kNoSpace &&
                         (full.system_errno() == ENOSPC || full.system_errno() == EDQUOT);
  const bool coming = freed_.coming();
  nanoseconds& waited = coming ? waited_for_drop_ : waited_;
  const nanoseconds longest = coming ? kLongestDrop : kLongest;
  if (!disk_full || !(coming || freed_.Within(kLongest)) || waited >= longest ||
      !WaitPermit::Ask()) {
    return false;
  }
  Sleep(pause_);
  waited += pause_;
  pause_ = std::min(2 * pause_, kLongestPause);
  return true;
}

}  // namespace stream_store::internal
