// Waiting for disk space that a writer has given back but that is not free yet.
//
// The space of a deleted file is free when no process has it mapped any more; Btrfs frees space only
// with its next transaction. A disk that is full in the meantime is worth a few tries. So is one that
// is full while rows are being dropped, which takes as long as a sync. A disk that is full for another
// reason is not: a program would wait at each append.
//
// Used by storage: what deletes chunks calls FreedSpace::Note() and has a FreedSpace::Coming, what
// allocates them uses FreedSpaceWait. Thread rules: any thread; nothing here locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "stream_store/error.h"

namespace stream_store::internal {

/// When a store last gave disk space back.
class FreedSpace {
 public:
  /// To be called after files were deleted or shortened.
  void Note() noexcept { at_.store(Now(), std::memory_order_relaxed); }

  /// Exists while files are about to be deleted.
  class Coming {
   public:
    explicit Coming(FreedSpace& freed) noexcept : freed_(freed) { ++freed_.coming_; }

    Coming(const Coming&) = delete;
    Coming& operator=(const Coming&) = delete;

    ~Coming() { --freed_.coming_; }

   private:
    FreedSpace& freed_;
  };

  /// Whether there is a Coming.
  bool coming() const noexcept { return coming_.load(std::memory_order_relaxed) > 0; }

  /// Whether that was in the last `time`.
  bool Within(std::chrono::nanoseconds time) const noexcept {
    const std::int64_t at = at_.load(std::memory_order_relaxed);
    return at != kNever && Now() - at < time.count();
  }

 private:
  static constexpr std::int64_t kNever = 0;

  static std::int64_t Now() noexcept {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  std::atomic<int> coming_{0};
  std::atomic<std::int64_t> at_{kNever};  // nanoseconds of the steady clock
};

/// Whether the calling thread may wait for disk space, or for rows to be dropped. Where it may not, the
/// call that would have to wait fails.
class WaitPermit {
 public:
  /// Returns whether it may. If not, notes that it was asked for.
  static bool Ask() noexcept {
    asked_ = true;
    return allowed_;
  }

  static void Set(bool allowed) noexcept {
    allowed_ = allowed;
    asked_ = false;
  }

  /// Whether Ask() was called since the last Set().
  static bool asked() noexcept { return asked_; }

 private:
  static constinit inline thread_local bool allowed_ = true;
  static constinit inline thread_local bool asked_ = false;
};

/// The pauses between the tries of one call.
class FreedSpaceWait {
 public:
  /// How long after space was freed a full disk is worth another try.
  static constexpr std::chrono::seconds kLongest{5};

  /// How long files may take to be deleted: a sync of gigabytes to a slow disk.
  static constexpr std::chrono::seconds kLongestDrop{60};

  /// `freed` must outlive it.
  explicit FreedSpaceWait(const FreedSpace& freed) noexcept : freed_(freed) {}

  /// To be called after an allocation failed with `full`, without a lock that others may need. Returns
  /// true after a pause if another try is worth while; false at once if it is another error than a
  /// full disk, if nothing was freed in the last kLongest and nothing is about to be, or without
  /// WaitPermit.
  bool Pause(const Error& full) noexcept;

 private:
  const FreedSpace& freed_;
  std::chrono::nanoseconds pause_ = std::chrono::milliseconds(1);
  std::chrono::nanoseconds waited_{0};           // for space that was freed
  std::chrono::nanoseconds waited_for_drop_{0};  // for space that was about to be
};

}  // namespace stream_store::internal
