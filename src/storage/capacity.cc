#include "storage/capacity.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/freed_space.h"
#include "base/str_cat.h"
#include "storage/store_files.h"
#include "storage/writer_options.h"
#include "storage/writer_status.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// A larger growth step has no effect beyond the reservation, and could overflow when it is
// converted to bytes.
constexpr std::uint64_t kLargestStepValues = std::uint64_t{1} << 37;

// In a round the helper faults in an eighth of the file, or twice as much as was written since the
// last round, since calls of many rows are likely to be repeated; within these bounds.
constexpr std::uint64_t kSmallestStretch = 1 << 20;
constexpr std::uint64_t kLargestStretch = 32 << 20;

std::uint64_t StretchOf(const DataFile& file, std::uint64_t written_bytes) {
  const std::uint64_t retained = file.bytes() - file.files().begin();
  return std::clamp(std::max(retained / 8, 2 * written_bytes), kSmallestStretch, kLargestStretch);
}

void FaultInPart(const DataFile& file, const ChunkRange& range, std::uint64_t begin,
                 std::uint64_t stretch) {
  const std::uint64_t end = std::min({begin + stretch, file.bytes(), range.end_byte()});
  if (begin < end) {
    range.Populate(begin, end);
  }
}

}  // namespace

Capacity::Capacity(StoreFiles& files, WriterStatus& status, const Cursor& start,
                   const WriterOptions& options)
    : files_(files),
      status_(status),
      grow_ahead_(options.grow_ahead),
      growth_(files, std::min(options.capacity_values, kLargestStepValues)),
      last_round_{start.values, start.records, start.layout_words},
      helper_(HelperThread::Kind::kGrow, [this]() -> HelperThread::Pause {
        try {
          GrowAhead();
        } catch (const Error&) {
          // No space ahead: the append that needs it reports that.
        }
        return std::nullopt;
      }) {}

// If the call fits into the allocated space, moves the soft limits up to the end of that space and
// returns true.
bool Capacity::UseHardLimits(const Ends& needed) noexcept {
  const std::uint64_t hard_values = hard_.values.load(std::memory_order_acquire);
  const std::uint64_t hard_records = hard_.records.load(std::memory_order_acquire);
  const std::uint64_t hard_words = hard_.layout_words.load(std::memory_order_acquire);
  std::uint64_t soft_values = soft_.values.load(std::memory_order_relaxed);
  std::uint64_t soft_records = soft_.records.load(std::memory_order_relaxed);
  std::uint64_t soft_words = soft_.layout_words.load(std::memory_order_relaxed);
  if (needed.values > hard_values || needed.records > hard_records ||
      needed.layout_words > hard_words || soft_values == 0 || soft_records == 0) {
    return false;
  }
  return soft_.values.compare_exchange_strong(soft_values, hard_values) &&
         soft_.records.compare_exchange_strong(soft_records, hard_records) &&
         soft_.layout_words.compare_exchange_strong(soft_words, hard_words);
}

bool Capacity::MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words) {
  const Ends needed{values, records, layout_words};
  if (UseHardLimits(needed)) {
    helper_.Wake();
    return false;
  }
  if (OverBound()) {
    if (!WaitPermit::Ask()) {
      throw Error(
          ErrorCode::kNoSpace,
          StrCat(files_.path_text(), ": append: expected to wait for rows to be dropped but ",
                 "this thread may not wait"));
    }
    relieve_();  // without the mutex, which a drop needs
  }
  {
    const MutexLock lock(mutex_);
    status_.RequireWritable("append");  // a sync may have failed since the caller asked
    GrowFiles(needed);
    RaiseLimits({kNoLimit, kNoLimit, kNoLimit});
  }
  // If the process can have no more threads, every growth happens in the append itself; the next
  // one tries to start the helper again.
  if (grow_ahead_ && !helper_.Start()) {
    helper_.Wake();
  }
  return true;
}

// Needs the append flag, since it may map files again, and may take back space that no call was
// promised. Staged rows are in use as well.
void Capacity::GrowFiles(const Ends& needed) {
  if (needed.values > kMaxValues || needed.records > kMaxRows) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_.path_text(), ": growing to ", needed.values, " values and ",
                       needed.records, " records: a store numbers at most ", kMaxValues, " and ",
                       kMaxRows, ", dropped ones included"));
  }
  if (needed.layout_words - files_.begin().layout_words > kMaxLayoutWords) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_.path_text(), "/layouts: growing to ", needed.layout_words,
                       " words: a store retains at most ", kMaxLayoutWords));
  }
  UpdateRowLag();
  Ends in_use = AppendedEnds();
  in_use.records += 1;  // the sentinel
  try {
    growth_.Grow(needed, in_use);
  } catch (const Error&) {
    LowerLimits();
    throw;
  }
  // This call need not have mapped a file again: an earlier one may have done so and then failed.
  if (!files_.MapsAreCurrent()) {
    files_.RefreshMaps();
  }
}

void Capacity::SetRowLag(std::uint64_t records, std::uint64_t rows) noexcept {
  row_lag_ = records - std::min(records, rows);
  growth_.SetRowLag(row_lag_);
}

// The lag of the published records holds for all later ones, since each begins at most one row.
void Capacity::UpdateRowLag() noexcept {
  const Begin begin = files_.begin();
  const std::uint64_t records = files_.control.published().load(std::memory_order_acquire);
  if (records <= begin.records) {
    SetRowLag(begin.records, begin.rows);
    return;
  }
  const auto* all = reinterpret_cast<const Record*>(files_.records.data());
  SetRowLag(records, RowOfRecord(all[records - 1].row_session) + 1);
}

// The ends of the space that is allocated in all files.
Capacity::Ends Capacity::AllocatedEnds() const noexcept {
  const auto covered = [](const DataFile& hints) {
    const std::uint64_t slots = hints.bytes() / sizeof(std::uint64_t);
    return slots == 0 ? 0 : (slots - 1) * kHintStride;
  };
  return {.values = std::min(
              {files_.values.bytes() / sizeof(Value), covered(files_.position_hints), kMaxValues}),
          .records = std::min({files_.records.bytes() / sizeof(Record),
                               covered(files_.row_hints) + row_lag_, kMaxRows}),
          .layout_words = files_.layouts.bytes() / sizeof(std::uint64_t)};
}

// Sets the hard limits to the space that is allocated in all files, and the soft limits to the same
// or to `most`, if that is less. While rows are staged, the soft limits stay 0.
void Capacity::RaiseLimits(const Ends& most) noexcept {
  if (status_.failed() || status_.closed()) {
    return;
  }
  Ends hard = AllocatedEnds();
  hard.records = std::min(hard.records, record_border_);
  hard_.values.store(hard.values, std::memory_order_release);
  hard_.records.store(hard.records, std::memory_order_release);
  hard_.layout_words.store(hard.layout_words, std::memory_order_release);
  const bool none = staging();
  soft_.values.store(none ? 0 : std::min(hard.values, most.values), std::memory_order_release);
  soft_.records.store(none ? 0 : std::min(hard.records, most.records), std::memory_order_release);
  soft_.layout_words.store(std::min(hard.layout_words, most.layout_words),
                           std::memory_order_release);
}

// After space was given back. Raises none: a file that was mapped again before the growth failed
// may be larger than the mapping that the appends use.
void Capacity::LowerLimits() noexcept {
  const Ends ends = AllocatedEnds();
  const auto lower = [](std::atomic<std::uint64_t>& limit, std::uint64_t most) {
    limit.store(std::min(limit.load(std::memory_order_relaxed), most), std::memory_order_relaxed);
  };
  for (Limits* limits : {&soft_, &hard_}) {
    lower(limits->values, ends.values);
    lower(limits->records, ends.records);
    lower(limits->layout_words, ends.layout_words);
  }
}

void Capacity::DropLimits() noexcept {
  hard_.values.store(0, std::memory_order_relaxed);
  hard_.records.store(0, std::memory_order_relaxed);
  soft_.values.store(0);
  soft_.records.store(0);
  hard_.layout_words.store(0, std::memory_order_relaxed);
  soft_.layout_words.store(0, std::memory_order_relaxed);
}

// Where the appends end, staged rows included.
Capacity::Ends Capacity::AppendedEnds() const noexcept {
  Ends ends;
  ends.records = files_.control.published().load(std::memory_order_acquire);
  ends.values = reinterpret_cast<const Record*>(files_.records.data())[ends.records].start;
  ends.layout_words = files_.layout_words.load(std::memory_order_relaxed);
  if (staging()) {
    ends.records = std::max(ends.records, staged_.records.load(std::memory_order_relaxed));
    ends.values = std::max(ends.values, staged_.values.load(std::memory_order_relaxed));
  }
  return ends;
}

// How far appends at `used` may go until the helper is woken: to the middle of the stretch that is
// faulted in, or to the low-water mark of the space, where the helper allocates more. If less than
// that is left, because there is no space or the store is at its bound, then to the middle of the
// rest, so that the helper tries again.
std::uint64_t Capacity::NextWake(Kind kind, std::uint64_t used, std::uint64_t stretch) const {
  const std::uint64_t end = files_.data(kind).bytes();
  const std::uint64_t low_water = growth_.LowWater(kind);
  const std::uint64_t left = end - std::min(used, end);
  return used + std::min(stretch / 2, left > low_water ? left - low_water : left / 2);
}

// One round of the helper thread: allocates when less than half of a growth step is left, and
// faults in the next stretch.
void Capacity::GrowAhead() {
  Ends ends;
  Ends written;
  std::uint64_t rows = 0;
  std::array<std::shared_ptr<const ChunkRange>, kKinds> ranges;
  {
    const MutexLock lock(mutex_);
    if (status_.failed() || status_.closed()) {
      return;
    }
    UpdateRowLag();
    ends = AppendedEnds();
    if (!OverBound()) {
      growth_.GrowAhead(ends);
    }
    for (const Kind kind : kAllKinds) {
      ranges[Index(kind)] = files_.data(kind).range();
    }
    // Ends may move back: staged rows that are dropped were counted in an earlier round.
    written.values = ends.values - std::min(ends.values, last_round_.values);
    written.records = ends.records - std::min(ends.records, last_round_.records);
    last_round_ = ends;
    rows = ends.records - std::min(ends.records, row_lag_);
  }
  // Faulting in takes long, so it happens without the mutex.
  const std::uint64_t value_stretch = StretchOf(files_.values, written.values * sizeof(Value));
  const std::uint64_t record_stretch = StretchOf(files_.records, written.records * sizeof(Record));
  const auto fault_in = [&](Kind kind, std::uint64_t begin, std::uint64_t stretch) {
    FaultInPart(files_.data(kind), *ranges[Index(kind)], begin, stretch);
  };
  fault_in(Kind::kValues, ends.values * sizeof(Value), value_stretch);
  fault_in(Kind::kRecords, ends.records * sizeof(Record), record_stretch);
  fault_in(Kind::kPositionHints, ends.values / kHintStride * sizeof(std::uint64_t),
           HintBytes(value_stretch / sizeof(Value)));
  fault_in(Kind::kRowHints, rows / kHintStride * sizeof(std::uint64_t),
           HintBytes(record_stretch / sizeof(Record)));
  const MutexLock lock(mutex_);
  const std::uint64_t words = files_.layouts.bytes() / sizeof(std::uint64_t);
  RaiseLimits({.values = NextWake(Kind::kValues, ends.values * sizeof(Value), value_stretch) /
                         sizeof(Value),
               .records = NextWake(Kind::kRecords, ends.records * sizeof(Record), record_stretch) /
                          sizeof(Record),
               .layout_words = words - (words - std::min(words, ends.layout_words)) / 2});
}

void Capacity::FaultIn(const Cursor& begin, std::uint64_t values, std::uint64_t records) {
  {
    const MutexLock lock(mutex_);
    RaiseLimits({kNoLimit, kNoLimit, kNoLimit});
  }
  files_.values.range()->Populate(begin.values * sizeof(Value), values * sizeof(Value));
  files_.records.range()->Populate(begin.records * sizeof(Record), records * sizeof(Record));
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  files_.position_hints.range()->Populate(begin.values / kHintStride * kWord, HintBytes(values));
  files_.row_hints.range()->Populate(begin.rows / kHintStride * kWord,
                                     HintBytes(records - (begin.records - begin.rows)));
}

void Capacity::BeginStaging(const Cursor& at) {
  STREAM_STORE_ASSERT(!staging());
  const MutexLock lock(mutex_);
  staged_.active.store(true);
  soft_.values.store(0);
  soft_.records.store(0);
  staged_.values.store(at.values, std::memory_order_relaxed);
  staged_.records.store(at.records, std::memory_order_relaxed);
}

void Capacity::NoteStaged(const Cursor& at) noexcept {
  STREAM_STORE_ASSERT(staging());
  staged_.values.store(at.values, std::memory_order_relaxed);
  staged_.records.store(at.records, std::memory_order_relaxed);
  helper_.Wake();
}

void Capacity::EndStaging(bool session_open) noexcept {
  staged_.active.store(false);
  if (status_.forked()) {
    return;  // the thread that held the mutex at the fork does not exist here
  }
  const MutexLock lock(mutex_);
  if (session_open) {
    RaiseLimits({kNoLimit, kNoLimit, kNoLimit});
  }
}

// Under the mutex the mappings hold all that is published: a file is mapped again before it grows
// beyond them.
Capacity::Published Capacity::published() const {
  const MutexLock lock(mutex_);
  return {.count = files_.control.published().load(std::memory_order_acquire),
          .records = files_.records.range(),
          .layouts = files_.layouts.range()};
}

void Capacity::SetBound(std::uint64_t bytes, std::uint64_t step) {
  const MutexLock lock(mutex_);
  growth_.LimitSteps(step);
  bound_.store(bytes, std::memory_order_relaxed);
}

bool Capacity::OverBound() const noexcept {
  const std::uint64_t bound = bound_.load(std::memory_order_relaxed);
  if (bound == 0) {
    return false;
  }
  std::uint64_t bytes = 0;
  for (const Kind kind : kAllKinds) {
    bytes += files_.data(kind).bytes() - files_.data(kind).files().begin();
  }
  return bytes > bound;
}

void Capacity::SetRecordBorder(std::uint64_t records) noexcept {
  const MutexLock lock(mutex_);
  record_border_ = records;
  for (Limits* limits : {&soft_, &hard_}) {
    if (limits->records.load(std::memory_order_relaxed) > records) {
      limits->records.store(records, std::memory_order_relaxed);
    }
  }
}

// Readers compare `truncations` after a read. The first increase comes before anything that they
// could misread, and the fence orders it before the stores of later appends. The second one is for
// readers that attach between the first and the store of `published`.
void Capacity::CutBack(const Cursor& end, std::uint64_t session) noexcept {
  const MutexLock lock(mutex_);
  Control& control = files_.control;
  control.truncations().fetch_add(1, std::memory_order_release);
  control.published().store(end.records, std::memory_order_release);
  control.truncations().fetch_add(1, std::memory_order_release);
  control.session().store(session, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_release);
  SetRowLag(end.records, end.rows);  // may be less than before
  LowerLimits();
}

void Capacity::MoveBegin(const Begin& begin) {
  {
    const MutexLock lock(mutex_);
    files_.MoveBegin(begin);
  }
  helper_.Wake();  // a store that was at its bound may grow ahead again
}

void Capacity::Fail(const Error& error) {
  const MutexLock lock(mutex_);
  status_.SetFailed(error);
  DropLimits();
}

void Capacity::Close() noexcept {
  STREAM_STORE_ASSERT(status_.closed());
  const MutexLock lock(mutex_);
  DropLimits();
}

void Capacity::Trim(const Cursor& at) {
  STREAM_STORE_ASSERT(status_.closed());
  const MutexLock lock(mutex_);
  if (!files_.MayShorten()) {
    return;
  }
  const KindBytes content = ContentBytes(EndsOf(at));
  for (const Kind kind : kAllKinds) {
    files_.data(kind).Truncate(std::min(content[Index(kind)], files_.data(kind).bytes()));
  }
  files_.NoteShortened();
}

void Capacity::BecomeForkedChild() noexcept {
  DropLimits();
  helper_.AbandonInForkedChild();
}

}  // namespace stream_store::internal
