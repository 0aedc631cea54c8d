#include "store/auto_drop.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "format/record.h"
#include "storage/kinds.h"
#include "storage/store_files.h"

namespace stream_store::internal {

AutoDrop::AutoDrop(Writer& writer, const Retention& limits, std::function<bool()> dropped)
    : writer_(writer),
      limits_(limits),
      dropped_(std::move(dropped)),
      types_(limits.segment_by.begin(), limits.segment_by.begin() + limits.segment_count),
      reader_(types_) {
  if (!types_.empty()) {
    by_ = CheckCutFields(writer.files()->store_schema()->schema, types_);
  }
}

// Moves the View to the end of the store. After a truncation, everything is looked at again.
void AutoDrop::Follow() {
  for (;;) {
    const bool fresh = source_ == nullptr;
    if (fresh) {
      source_ = std::make_shared<ReadSource>(writer_.files(), Recovery{}, Cursor{});
      view_ = View{};
    }
    try {
      source_->Advance(view_);
    } catch (const Error& error) {
      source_.reset();
      if (error.code() == ErrorCode::kCutBack) {
        continue;
      }
      throw;
    }
    if (fresh || reader_.next_row() < view_.first_row) {
      reader_.GoToBegin(view_);
      cutter_ = Cutter{};
      segments_.assign(1, view_.first_row);
    }
    return;
  }
}

// Reads the rows that are new. The last one may still grow, so it is left for the next call.
void AutoDrop::FindSegments() {
  const std::uint64_t end = std::max(view_.first_row + 1, view_.row_count) - 1;
  if (reader_.next_row() < end) {
    reader_.ReadTo(
        view_, end,
        [by = by_, cutter = &cutter_, segments = &segments_](std::uint64_t row, const RowCut& cut) {
          if (cutter->Enter(by, cut)) {
            segments->push_back(row);
          }
        });
  }
  while (segments_.size() > 1 && segments_[1] <= view_.first_row) {
    segments_.pop_front();
  }
}

// The position of the first value of a record, which may be the one after the last.
std::uint64_t AutoDrop::StartOf(std::uint64_t record) const {
  return record == view_.record_count
             ? view_.value_count
             : std::min(LoadOnce(view_.records[record].start), view_.value_count);
}

// The bytes that the records from `record` on need, with their values, hints and all layouts.
std::uint64_t AutoDrop::BytesFrom(std::uint64_t record) const {
  const std::uint64_t values = view_.value_count - StartOf(record);
  const std::uint64_t records = view_.record_count - record;
  const std::uint64_t hints = (values + records) / kHintStride + 2;
  return values * sizeof(Value) + (records + 1) * sizeof(Record) +
         (hints + view_.layout_words - view_.layout_begin) * sizeof(std::uint64_t);
}

// The disk space of the chunks if the records before `record` are dropped. Of each kind, a chunk is
// deleted only as a whole, and space is allocated ahead: with few chunks, that is much more than
// BytesFrom().
std::uint64_t AutoDrop::DiskBytesFrom(std::uint64_t record) const {
  const StoreFiles& files = *writer_.files();
  const std::uint64_t chunk = files.identity().chunk_bytes;
  const std::uint64_t row = record == view_.record_count
                                ? view_.row_count
                                : RowOfRecord(LoadOnce(view_.records[record].row_session));
  const KindBytes first = FirstBytes({.records = record,
                                      .values = StartOf(record),
                                      .rows = row,
                                      .layout_words = view_.layout_begin});
  std::uint64_t bytes = 0;
  for (const Kind kind : kAllKinds) {
    const std::uint64_t begin = FirstChunk(first[Index(kind)], chunk) * chunk;
    const std::uint64_t end = files.data(kind).bytes();
    bytes += end - std::min(begin, end);
  }
  return bytes;
}

// The first row from which on the store takes at most that much, as `bytes_from` measures it.
std::uint64_t AutoDrop::FirstRowWithin(std::uint64_t bytes, BytesOf bytes_from) const {
  std::uint64_t low = view_.begin_record;
  std::uint64_t high = view_.record_count;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if ((this->*bytes_from)(middle) <= bytes) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (low == view_.begin_record) {
    return view_.first_row;
  }
  // The record before is of the last row that must go, as a whole.
  return RowOfRecord(LoadOnce(view_.records[low - 1].row_session)) + 1;
}

// The first row from which on the data takes at most the limit, and the files so much less than what
// makes appends wait that there is space for what is appended until the next round. A limit of a few
// chunks may be too small for that, so half of it is always retained.
std::uint64_t AutoDrop::FirstRowWithinBytes() const {
  const std::uint64_t limit = limits_.bytes;
  const std::uint64_t chunk = writer_.files()->identity().chunk_bytes;
  const std::uint64_t data = FirstRowWithin(limit, &AutoDrop::BytesFrom);
  const std::uint64_t half = FirstRowWithin(limit / 2, &AutoDrop::BytesFrom);
  const std::uint64_t disk =
      FirstRowWithin(MostDiskBytes(limit, chunk) - chunk / 4 * 3, &AutoDrop::DiskBytesFrom);
  return std::max(data, std::min(disk, half));
}

// The first row that the limits let stay; the first of all if they are not exceeded.
std::uint64_t AutoDrop::FirstRowToRetain() {
  if (view_.row_count <= view_.first_row + 1) {
    return view_.first_row;
  }
  std::uint64_t first = view_.first_row;
  if (limits_.rows > 0 && view_.row_count - first > limits_.rows) {
    first = view_.row_count - limits_.rows;
  }
  if (limits_.bytes > 0) {
    first = std::max(first, FirstRowWithinBytes());
  }
  first = std::min(first, view_.row_count - 1);
  if (types_.empty()) {
    return first;
  }
  FindSegments();
  if (limits_.segments > 0 && segments_.size() > limits_.segments) {
    first = std::max(first, segments_[segments_.size() - limits_.segments]);
  }
  const auto segment = std::ranges::lower_bound(segments_, first);
  return segment == segments_.end() ? segments_.back() : std::max(*segment, view_.first_row);
}

void AutoDrop::DropExcess() {
  const MutexLock lock(mutex_);
  Follow();
  if (const std::uint64_t first = FirstRowToRetain(); first > view_.first_row) {
    Drop(first);
  }
}

// Follows the drop at once, because the View keeps dropped chunks mapped.
void AutoDrop::Drop(std::uint64_t first) {
  writer_.DropBefore(first);
  Follow();
  tell_ = dropped_ != nullptr;
  Tell();
}

void AutoDrop::Tell() noexcept {
  if (tell_) {
    tell_ = !dropped_();
  }
}

// While rows are being appended, a drop waits for a 64th of the rows, so that few slots are written.
HelperThread::Pause AutoDrop::Round() noexcept {
  constexpr std::chrono::milliseconds kBusy{20};
  constexpr std::chrono::milliseconds kIdle{200};
  constexpr std::uint64_t kShare = 64;
  try {
    const MutexLock lock(mutex_);
    Tell();
    Follow();
    const bool grown = view_.row_count != seen_rows_;
    seen_rows_ = view_.row_count;
    const std::uint64_t first = FirstRowToRetain();
    const std::uint64_t excess = first - view_.first_row;
    if (excess > 0 && (!grown || excess >= (view_.row_count - view_.first_row) / kShare)) {
      Drop(first);
    }
    return grown ? kBusy : kIdle;
  } catch (...) {  // an Error, or no memory
    return kIdle;
  }
}

}  // namespace stream_store::internal
