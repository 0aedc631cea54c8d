// ReadAhead: asks the kernel for what a batch will read, once reads of this thread wait for a disk.
//
// A page that is not in memory is read when it is touched, one after the other, with as much around
// it as the kernel thinks right for files that are read from front to back. A batch knows all its
// places: asked for together, the disk reads them side by side, and nothing else.
//
// What is in memory costs a look now and then: the kernel counts the faults of a thread that had to
// read (major faults), and a look at the count is a system call of some 0.2 µs for 256 places.
// While the thread is found waiting, every batch is asked for before it is read, and the kernel is
// told to read nothing around the pages that are touched: with less memory than the store takes, it
// would drop those asked for to make room. A batch that waited for nothing ends both.
//
// Who uses it: the loops over many places in the store room; those from front to back end it.
// Thread rules: an object lives within one call; what is known of a thread is that thread's own.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/paging.h"
#include "storage/view.h"

namespace stream_store::internal {

class ReadAhead {
 public:
  /// Begins a batch of reads through `view`, which outlives it.
  explicit ReadAhead(const View& view) noexcept : view_(view), thread_(ThisThread()) {
    if (thread_.waits) [[unlikely]] {
      Begin();
    }
  }

  ~ReadAhead() {
    if (from_the_beginning_) [[unlikely]] {
      End();
    }
  }

  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// Calls ask(begin, end) for the places of [begin, count) that should be asked for now, if any:
  /// `begin` is the next one that is read. ask() calls Ask() for all memory of its places.
  template <class AskPlaces>
  void Before(std::uint64_t begin, std::uint64_t count, const AskPlaces& ask) {
    if (thread_.waits && begin >= asked_) [[unlikely]] {
      asked_ = std::min(count, begin + kTogether);
      ask(begin, asked_);
    }
  }

  /// After reading `places` more.
  void After(std::uint64_t places) noexcept {
    if (thread_.until_look > places) [[likely]] {
      thread_.until_look -= places;
    } else {
      SampleFaults();
    }
  }

  /// Asks for the pages of [begin, end), which must be mapped.
  static void Ask(const void* begin, const void* end) noexcept {
    AdvisePages(begin, end, PageUse::kSoon);
  }

  /// Has the kernel read ahead as it does, for reads from front to back.
  static void Sequential(const View& view) noexcept;

 private:
  static constexpr std::uint64_t kTogether = 1024;  // places: what a disk has to do at a time

  struct Thread {
    bool waits = false;
    std::uint64_t until_look = 32;   // places; so few where a thread begins on a cold store
    std::uint64_t major_faults = 0;  // at the last look
  };

  static Thread& ThisThread() noexcept;
  static void Advise(const View& view, PageUse use) noexcept;
  void Begin() noexcept;
  void End() noexcept;
  void SampleFaults() noexcept;

  const View& view_;
  Thread& thread_;
  std::uint64_t asked_ = 0;
  bool from_the_beginning_ = false;  // the thread waited before this batch
  PageWaits before_;
};

}  // namespace stream_store::internal
