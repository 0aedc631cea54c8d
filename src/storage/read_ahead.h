// ReadAhead: requests the pages of a batch from the kernel before they are read, as soon as reads
// of this thread wait for a disk.
//
// Without it, a page that is not in memory is read when it is touched, so the pages of a batch are
// read one after the other, each with neighbours, because the kernel assumes that files are read
// from front to back. A batch knows all its places in advance. If they are requested together, the
// disk reads them in parallel and reads nothing else.
//
// A store that is in memory should not pay for this. The kernel counts the page faults of a thread
// that had to read from disk (major faults); that count is sampled once per 256 places, by a system
// call of about 0.2 µs. If it has risen, the thread is "waiting":
//   1. While a thread is waiting, every batch is requested before it is read.
//   2. The kernel is advised not to read neighbours of touched pages (kScattered). If the store is
//      larger than memory, the neighbours would evict the requested pages.
//   3. kCalmBatches batches in a row that did not have to wait end both. One such batch is no sign
//      that the store is in memory now: in a store four times as large as memory, about one batch
//      in twenty finds all pages that it requested, and the next one, unrequested, took 1.2 s
//      instead of 8 ms (256 windows of 12 rows, 2 M steps).
//
// Used by the loops over many places in src/store; loops from front to back call Sequential().
// Thread rules: an object lives within one call; the state of a thread is thread-local.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "base/paging.h"
#include "storage/view.h"

namespace stream_store::internal {

/// One batch of reads.
class ReadAhead {
 public:
  /// Begins a batch of reads through `view`, which must outlive this object.
  explicit ReadAhead(const View& view) noexcept : view_(view), thread_(ThisThread()) {
    if (thread_.waits) [[unlikely]] {
      Begin();
    }
  }

  ~ReadAhead() {
    if (whole_batch_) [[unlikely]] {
      End();
    }
  }

  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// To be called before place `begin` of `count` is read. If pages should be requested now, calls
  /// ask(begin, end) for the next places; ask() calls Ask() for all memory of those places.
  template <class AskPlaces>
  void Before(std::uint64_t begin, std::uint64_t count, const AskPlaces& ask) {
    if (thread_.waits && begin >= asked_) [[unlikely]] {
      asked_ = std::min(count, begin + kTogether);
      ask(begin, asked_);
    }
  }

  /// To be called after `places` more places were read.
  void After(std::uint64_t places) noexcept {
    if (thread_.until_sample > places) [[likely]] {
      thread_.until_sample -= places;
    } else {
      SampleFaults();
    }
  }

  /// Requests the pages that hold [begin, end).
  /// REQUIRES: begin <= end, and they are mapped.
  static void Ask(const void* begin, const void* end) noexcept {
    STREAM_STORE_ASSERT(begin <= end);
    AdvisePages(begin, end, PageUse::kSoon);
  }

  /// Whether reads of this thread wait for a disk, as far as is known.
  static bool Waits() noexcept { return ThisThread().waits; }

  /// To be called before `view` is read from front to back: withdraws the advice that an earlier
  /// batch of this process may have given, so that the kernel reads ahead again.
  static void Sequential(const View& view) noexcept;

 private:
  static constexpr std::uint64_t kTogether = 1024;  // places requested at a time
  static constexpr std::uint64_t kCalmBatches = 32;

  struct Thread {
    bool waits = false;
    std::uint64_t until_sample = 32;  // places; few at first, because a new thread may begin cold
    std::uint64_t major_faults = 0;   // at the last sample
    std::uint64_t calm_batches = 0;   // in a row, since `waits` was set
  };

  static Thread& ThisThread() noexcept;
  static void Advise(const View& view, PageUse use) noexcept;
  void Begin() noexcept;
  void End() noexcept;
  void SampleFaults() noexcept;

  const View& view_;
  Thread& thread_;
  std::uint64_t asked_ = 0;
  bool whole_batch_ = false;  // the thread was waiting when this batch began
  PageWaits before_;          // when this batch began
};

}  // namespace stream_store::internal
