// AutoDrop: drops rows in the background, so that a store stays inside the limits that its user has
// set (retain_rows, retain_bytes, retain_segments).
//
// Used by StreamStore. Appends never wait for it: it looks at the store now and then on a helper
// thread of the Writer, and drops the excess at the start of a row or, with segment_by, of a
// segment. The last row is always retained, and so is all of the last segment, which may still grow.
//
// Thread rules: every function may be called from any thread; the mutex is acquired inside.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/helper_thread.h"
#include "base/mutex.h"
#include "format/control.h"
#include "storage/read_source.h"
#include "storage/writer.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

class AutoDrop {
 public:
  /// `writer` must outlive it. `dropped` is called after each drop: see interop::OnDrop(). Throws
  /// Error(kInvalidArgument) unless the segment_by fields of the limits can cut segments: see
  /// CheckCutFields().
  AutoDrop(Writer& writer, const Retention& limits, std::function<bool()> dropped);

  /// What the files of a store may take on disk before appends wait for a drop: the limit, and three
  /// chunks for what is left of chunks at both ends.
  static std::uint64_t MostDiskBytes(std::uint64_t limit_bytes,
                                     std::uint64_t chunk_bytes) noexcept {
    return limit_bytes + 3 * chunk_bytes;
  }

  /// Drops all rows that are too many. Throws as Writer::DropBefore(), and Error(kCorrupt).
  void DropExcess() EXCLUDES(mutex_);

  /// A round in the background: as DropExcess(), but leaves little excess to a later round while
  /// rows are being appended. Returns how long to sleep. Never throws: a failure is final for the
  /// writer, whose next call reports it.
  HelperThread::Pause Round() noexcept EXCLUDES(mutex_);

 private:
  /// The space that the records from one on take.
  using BytesOf = std::uint64_t (AutoDrop::*)(std::uint64_t record) const;

  void Follow() REQUIRES_LOCK(mutex_);
  void Drop(std::uint64_t first) REQUIRES_LOCK(mutex_);
  void Tell() noexcept REQUIRES_LOCK(mutex_);
  void FindSegments() REQUIRES_LOCK(mutex_);
  std::uint64_t FirstRowToRetain() REQUIRES_LOCK(mutex_);
  std::uint64_t FirstRowWithinBytes() const REQUIRES_LOCK(mutex_);
  std::uint64_t FirstRowWithin(std::uint64_t bytes, BytesOf bytes_from) const REQUIRES_LOCK(mutex_);
  std::uint64_t StartOf(std::uint64_t record) const REQUIRES_LOCK(mutex_);
  std::uint64_t BytesFrom(std::uint64_t record) const REQUIRES_LOCK(mutex_);
  std::uint64_t DiskBytesFrom(std::uint64_t record) const REQUIRES_LOCK(mutex_);

  Writer& writer_;
  const Retention limits_;
  const std::function<bool()> dropped_;
  const std::vector<TypeId> types_;  // that cut segments; empty: rows are dropped one by one
  CutBy by_ = CutBy::kChange;
  Mutex mutex_;
  std::shared_ptr<ReadSource> source_ GUARDED_BY(mutex_);  // null after a truncation
  View view_ GUARDED_BY(mutex_);
  CutReader reader_ GUARDED_BY(mutex_);
  Cutter cutter_ GUARDED_BY(mutex_);
  std::deque<std::uint64_t> segments_ GUARDED_BY(mutex_);  // first rows of those that are retained
  std::uint64_t seen_rows_ GUARDED_BY(mutex_) = 0;         // in the last round
  bool tell_ GUARDED_BY(mutex_) = false;                   // dropped_ is to be called
};

}  // namespace stream_store::internal
