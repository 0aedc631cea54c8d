// Capacity: how far a Writer may append before its files must grow, and how they grow. It follows
// "Growth" in docs/format.md.
//
// An append compares its end with the soft limits. If it exceeds one, that costs a few nanoseconds
// and a wake-up: the soft limits move up to the hard limits, which are the end of the allocated
// space, and the helper thread allocates and faults in the next stretch. Only a writer that outruns
// the helper, or has none, allocates in the append itself. Limits of 0 send every append to the
// slow path, which writes the open record, or throws the reason why it may not append.
//
// Used by the Appender, which asks Fits() before it stores anything, and by Durability, which drops
// the limits when a sync failed. Thread rules: every function may be called from any thread; those
// marked [append flag] only while the caller holds the flag of the Appender. The state mutex is
// acquired inside. Invariants:
//   1. Limits rise under the state mutex, with release order, after the space and the hints for it
//      are there and mapped, and never again once the writer failed or was closed. Only UseHardLimits() raises without the mutex,
//      by compare-and-swap, so that limits of 0 stay 0.
//   2. Only under the append flag, files are mapped again and limits are lowered to give space back.
//      The helper stays inside the reservations.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "stream_store/error.h"

#include "base/helper_thread.h"
#include "base/mutex.h"
#include "storage/growth.h"

namespace stream_store::internal {

class ChunkRange;
class StoreFiles;
class WriterStatus;
struct Begin;
struct Cursor;
struct WriterOptions;

class Capacity {
 public:
  /// `files` and `status` must outlive it. The limits are 0 until the first MakeRoom().
  Capacity(StoreFiles& files, WriterStatus& status, const Cursor& start,
           const WriterOptions& options);

  /// Whether the soft limits leave room for an append that ends at these numbers.
  bool Fits(std::uint64_t values, std::uint64_t records) const noexcept {
    return values <= soft_.values.load(std::memory_order_acquire) &&
           records <= soft_.records.load(std::memory_order_acquire);
  }

  /// Whether the soft limit leaves room for this many words of layouts.
  bool FitsLayouts(std::uint64_t layout_words) const noexcept {
    return layout_words <= soft_.layout_words.load(std::memory_order_acquire);
  }

  /// [append flag] The slow path: raises the soft limits to these ends or beyond, growing the files
  /// if necessary. Returns whether the files may have been mapped again. Throws Error(kNoSpace,
  /// kIo). Then no file has grown; files that had space to spare may be shorter, and their limits
  /// lower.
  bool MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words)
      EXCLUDES(mutex_);

  /// [append flag] Raises the soft limits to the hard ones, and faults in the pages from `begin` to
  /// the given ends, for which MakeRoom() was called.
  void FaultIn(const Cursor& begin, std::uint64_t values, std::uint64_t records) EXCLUDES(mutex_);

  /// [append flag] While rows are staged, the soft limits are 0: other appends take the slow path
  /// and are refused there. REQUIRES: !staging().
  void BeginStaging(const Cursor& at) EXCLUDES(mutex_);

  /// [append flag] Moves the end of the staged rows, ahead of which the helper grows the files.
  /// REQUIRES: staging().
  void NoteStaged(const Cursor& at) noexcept;

  /// [append flag] `session_open` allows the limits to rise: they stay 0 until the open record is
  /// written.
  void EndStaging(bool session_open) noexcept EXCLUDES(mutex_);

  bool staging() const noexcept { return staged_.active.load(std::memory_order_relaxed); }

  /// The records that are published, with mappings that hold all of them and their layouts.
  struct Published {
    std::uint64_t count = 0;
    std::shared_ptr<const ChunkRange> records;
    std::shared_ptr<const ChunkRange> layouts;
  };

  Published published() const EXCLUDES(mutex_);

  /// Sets how much space the data files should take at most, and by how much one grows at a time; 0
  /// bytes are no bound. Growth ahead stops at the bound, and an append that has to grow the files
  /// beyond it calls the function of SetRelief() first, and then grows them in any case.
  void SetBound(std::uint64_t bytes, std::uint64_t step) EXCLUDES(mutex_);

  /// Sets the function that lets rows be dropped. It may take a while, and returns also if nothing can
  /// be dropped. To be called before the first append.
  void SetRelief(std::function<void()> relieve) { relieve_ = std::move(relieve); }

  /// Whether the files take more than the bound. Thread rules: any thread.
  bool OverBound() const noexcept;

  /// [append flag] No limit reaches beyond this many records until the next call: the append that
  /// stores the first record of a chunk must take the slow path. Limits beyond it are lowered.
  void SetRecordBorder(std::uint64_t records) noexcept EXCLUDES(mutex_);

  /// [append flag] Publishes a lower end, and the session that begins there: step 4 of "Truncate" in
  /// docs/format.md. The helper thread, which reads the record at the end, does not see it change.
  void CutBack(const Cursor& end, std::uint64_t session) noexcept EXCLUDES(mutex_);

  /// Moves the begin of the store: see StoreFiles::MoveBegin(). The files do not grow meanwhile.
  void MoveBegin(const Begin& begin) EXCLUDES(mutex_);

  /// Sets the status to failed and drops the limits. RaiseLimits() sees either both or neither.
  void Fail(const Error& error) EXCLUDES(mutex_);

  /// [append flag] Drops the limits for good. REQUIRES: the status is closed.
  void Close() noexcept EXCLUDES(mutex_);

  /// Waits for a round of the helper under way; there is none afterwards.
  void StopHelper() noexcept { helper_.Stop(); }

  /// Shortens the files to the content that the cursor counts, if readers allow it (see
  /// StoreFiles::MayShorten()). REQUIRES: the status is closed, and StopHelper() was called.
  void Trim(const Cursor& at) EXCLUDES(mutex_);

  /// Async-signal-safe.
  void BecomeForkedChild() noexcept;

 private:
  struct Limits {
    std::atomic<std::uint64_t> values{0};
    std::atomic<std::uint64_t> records{0};
    std::atomic<std::uint64_t> layout_words{0};
  };

  struct Staged {
    std::atomic<bool> active{false};
    std::atomic<std::uint64_t> values{0};
    std::atomic<std::uint64_t> records{0};
  };

  using Ends = Growth::Ends;

  bool UseHardLimits(const Ends& needed) noexcept;
  void GrowFiles(const Ends& needed) REQUIRES_LOCK(mutex_);
  Ends AllocatedEnds() const noexcept REQUIRES_LOCK(mutex_);
  void SetRowLag(std::uint64_t records, std::uint64_t rows) noexcept REQUIRES_LOCK(mutex_);
  void UpdateRowLag() noexcept REQUIRES_LOCK(mutex_);
  void RaiseLimits(const Ends& most) noexcept REQUIRES_LOCK(mutex_);
  void LowerLimits() noexcept REQUIRES_LOCK(mutex_);
  void DropLimits() noexcept;
  Ends AppendedEnds() const noexcept REQUIRES_LOCK(mutex_);
  std::uint64_t NextWake(Kind kind, std::uint64_t used, std::uint64_t stretch) const
      REQUIRES_LOCK(mutex_);
  void GrowAhead() EXCLUDES(mutex_);

  StoreFiles& files_;
  WriterStatus& status_;
  std::function<void()> relieve_;
  std::atomic<std::uint64_t> bound_{0};  // bytes of all data files; 0: no bound
  const bool grow_ahead_;
  Limits soft_;  // beyond these, the slow path is taken
  Limits hard_;  // the end of the allocated space
  Staged staged_;
  mutable Mutex mutex_;  // the state mutex: sizes of the files, and raising of the limits
  Growth growth_ GUARDED_BY(mutex_);
  std::uint64_t record_border_ GUARDED_BY(mutex_) = 0;
  std::uint64_t row_lag_ GUARDED_BY(mutex_) = 0;  // see Growth::SetRowLag()
  Ends last_round_ GUARDED_BY(mutex_);  // where the appends ended in the helper's last round
  HelperThread helper_;
};

}  // namespace stream_store::internal
