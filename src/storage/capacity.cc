#include "storage/capacity.h"

#include <algorithm>

#include "base/assert.h"
#include "base/str_cat.h"
#include "storage/store_files.h"
#include "storage/writer_options.h"
#include "storage/writer_status.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kGrain = 64 << 10;
constexpr std::uint64_t kLargestStep = 1 << 30;
constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

// A larger growth step has no effect beyond the reservation, and could overflow when it is
// converted to bytes.
constexpr std::uint64_t kLargestStepValues = std::uint64_t{1} << 37;

// In a round the helper faults in an eighth of the file, or twice as much as was written since the
// last round, since calls of many rows are likely to be repeated; within these bounds.
constexpr std::uint64_t kSmallestStretch = 1 << 20;
constexpr std::uint64_t kLargestStretch = 32 << 20;

std::uint64_t RoundUp(std::uint64_t bytes, std::uint64_t grain) {
  return (bytes + grain - 1) / grain * grain;
}

std::uint64_t GrowthStep(std::uint64_t bytes, std::uint64_t at_least) {
  return std::max({kGrain, std::min(bytes / 2, kLargestStep), at_least});
}

std::uint64_t NextSize(std::uint64_t bytes, std::uint64_t needed, std::uint64_t at_least) {
  if (needed <= bytes) {
    return bytes;
  }
  return RoundUp(std::max(needed, bytes + GrowthStep(bytes, at_least)), kGrain);
}

void GrowFile(DataFile& file, std::uint64_t needed, std::uint64_t at_least) {
  if (needed > file.reserved()) {
    file.Remap(needed);
  }
  const std::uint64_t size = NextSize(file.bytes(), needed, at_least);
  file.GrowTo(std::min(size, std::max(file.reserved(), needed)), needed);
}

void GrowFileAhead(DataFile& file, std::uint64_t used, std::uint64_t at_least) {
  const std::uint64_t bytes = file.bytes();
  const std::uint64_t step = GrowthStep(bytes, at_least);
  if (used + step / 2 > bytes && bytes + step <= file.reserved()) {
    file.GrowTo(bytes + step, bytes);
  }
}

// The bytes of one hint more than the positions and rows need: RaiseLimits() does not count the
// last one.
std::uint64_t HintBytes(std::uint64_t values, std::uint64_t rows) {
  return (std::max(values, rows) / kHintStride + 2) * sizeof(Hint);
}

std::uint64_t StretchOf(std::uint64_t file_bytes, std::uint64_t written_bytes) {
  return std::clamp(std::max(file_bytes / 8, 2 * written_bytes), kSmallestStretch, kLargestStretch);
}

void FaultInPart(const DataFile& file, const Mapping& map, std::uint64_t begin,
                 std::uint64_t stretch) {
  const std::uint64_t end = std::min({begin + stretch, file.bytes(), map.size()});
  if (begin < end) {
    map.Populate(begin, end);
  }
}

// Whether readers of this process get the mappings as they are now.
bool MapsAreCurrent(const StoreFiles& files) {
  const std::shared_ptr<const Maps> maps = files.maps();
  return maps->values == files.values.mapping() && maps->records == files.records.mapping() &&
         maps->layouts == files.layouts.mapping() && maps->hints == files.hints.mapping();
}

}  // namespace

Capacity::Capacity(StoreFiles& files, WriterStatus& status, const Cursor& start,
                   const WriterOptions& options)
    : files_(files),
      status_(status),
      step_values_(std::min(options.capacity_values, kLargestStepValues)),
      grow_ahead_(options.grow_ahead),
      last_round_{start.values, start.records},
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
bool Capacity::UseHardLimits(std::uint64_t values, std::uint64_t records) noexcept {
  const std::uint64_t hard_values = hard_.values.load(std::memory_order_relaxed);
  const std::uint64_t hard_records = hard_.records.load(std::memory_order_relaxed);
  std::uint64_t soft_values = soft_.values.load(std::memory_order_relaxed);
  std::uint64_t soft_records = soft_.records.load(std::memory_order_relaxed);
  if (values > hard_values || records > hard_records || soft_values == 0 || soft_records == 0) {
    return false;
  }
  return soft_.values.compare_exchange_strong(soft_values, hard_values) &&
         soft_.records.compare_exchange_strong(soft_records, hard_records);
}

bool Capacity::MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words) {
  if (FitsLayouts(layout_words) && UseHardLimits(values, records)) {
    helper_.Wake();
    return false;
  }
  {
    const MutexLock lock(mutex_);
    status_.RequireWritable("append");  // a sync may have failed since the caller asked
    GrowFiles({values, records}, layout_words);
    RaiseLimits({kNoLimit, kNoLimit});
  }
  // If the process can have no more threads, every growth happens in the append itself; the next
  // one tries to start the helper again.
  if (grow_ahead_ && !helper_.Start()) {
    helper_.Wake();
  }
  return true;
}

// Grows the files in the order layouts, hints, values, records: readers follow records to the other
// three. Needs the append flag, since it may map files again.
void Capacity::GrowFiles(const Ends& needed, std::uint64_t layout_words) {
  if (layout_words > kMaxLayoutWords) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_.path_text(), "/layouts: growing to ", layout_words,
                       " words: a store holds at most ", kMaxLayoutWords));
  }
  GrowFile(files_.layouts, layout_words * sizeof(std::uint64_t), 0);
  const bool grow_values = needed.values > hard_.values.load(std::memory_order_relaxed);
  const bool grow_records = needed.records > hard_.records.load(std::memory_order_relaxed);
  const std::uint64_t hint_bytes = HintBytes(needed.values, needed.records);
  GrowFile(files_.hints, hint_bytes, 0);
  if (grow_values) {
    GrowFile(files_.values, needed.values * sizeof(Value), step_values_ * sizeof(Value));
  }
  if (grow_records) {
    GrowFile(files_.records, needed.records * sizeof(Record), 0);
  }
  // Makes room for the hints of both files in full, so that the limits can reach the ends of these
  // files; on a full disk, only for the hints that the call needs.
  const std::uint64_t wanted =
      HintBytes(files_.values.bytes() / sizeof(Value), files_.records.bytes() / sizeof(Record));
  GrowFile(files_.hints, std::max(wanted, hint_bytes), 0);
  // This call need not have mapped a file again: an earlier one may have done so and then failed.
  if (!MapsAreCurrent(files_)) {
    files_.RefreshMaps();
  }
}

// Sets the hard limits to the space that is allocated in all files, and the soft limits to the same
// or to `most`, if that is less. While rows are staged, the soft limits stay 0.
void Capacity::RaiseLimits(const Ends& most) noexcept {
  if (status_.failed() || status_.closed()) {
    return;
  }
  const std::uint64_t slots = files_.hints.bytes() / sizeof(Hint);
  const std::uint64_t covered = slots == 0 ? 0 : (slots - 1) * kHintStride;
  const std::uint64_t values = std::min(files_.values.bytes() / sizeof(Value), covered);
  const std::uint64_t records = std::min(files_.records.bytes() / sizeof(Record), covered);
  hard_.values.store(values, std::memory_order_relaxed);
  hard_.records.store(records, std::memory_order_relaxed);
  layout_limit_.store(files_.layouts.bytes() / sizeof(std::uint64_t), std::memory_order_relaxed);
  const bool none = staging();
  soft_.values.store(none ? 0 : std::min(values, most.values), std::memory_order_relaxed);
  soft_.records.store(none ? 0 : std::min(records, most.records), std::memory_order_relaxed);
}

void Capacity::DropLimits() noexcept {
  hard_.values.store(0, std::memory_order_relaxed);
  hard_.records.store(0, std::memory_order_relaxed);
  soft_.values.store(0);
  soft_.records.store(0);
  layout_limit_.store(0, std::memory_order_relaxed);
}

// Where the appends end, staged rows included. `record_map` holds all that is published.
Capacity::Ends Capacity::AppendedEnds(const Mapping& record_map) const noexcept {
  Ends ends;
  ends.records = files_.control.published().load(std::memory_order_acquire);
  ends.values = reinterpret_cast<const Record*>(record_map.data())[ends.records].start;
  if (staging()) {
    ends.records = std::max(ends.records, staged_.records.load(std::memory_order_relaxed));
    ends.values = std::max(ends.values, staged_.values.load(std::memory_order_relaxed));
  }
  return ends;
}

// One round of the helper thread: allocates when less than half of a growth step is left, and
// faults in the next stretch. The soft limits end in the middle of that stretch, so that the helper
// is woken before the appends leave it.
void Capacity::GrowAhead() {
  Ends ends;
  Ends written;
  std::shared_ptr<const Mapping> value_map;
  std::shared_ptr<const Mapping> record_map;
  {
    const MutexLock lock(mutex_);
    if (status_.failed() || status_.closed()) {
      return;
    }
    value_map = files_.values.mapping();
    record_map = files_.records.mapping();
    ends = AppendedEnds(*record_map);
    GrowFilesAhead(ends);
    // Ends may move back: staged rows that are dropped were counted in an earlier round.
    written.values = ends.values - std::min(ends.values, last_round_.values);
    written.records = ends.records - std::min(ends.records, last_round_.records);
    last_round_ = ends;
  }
  // Faulting in takes long, so it happens without the mutex.
  const std::uint64_t value_stretch =
      StretchOf(files_.values.bytes(), written.values * sizeof(Value));
  const std::uint64_t record_stretch =
      StretchOf(files_.records.bytes(), written.records * sizeof(Record));
  FaultInPart(files_.values, *value_map, ends.values * sizeof(Value), value_stretch);
  FaultInPart(files_.records, *record_map, ends.records * sizeof(Record), record_stretch);
  const MutexLock lock(mutex_);
  RaiseLimits({ends.values + value_stretch / sizeof(Value) / 2,
               ends.records + record_stretch / sizeof(Record) / 2});
}

// Grows the files inside their reservations only: mapping a file again needs the append flag.
void Capacity::GrowFilesAhead(const Ends& used) {
  GrowFileAhead(files_.values, used.values * sizeof(Value), step_values_ * sizeof(Value));
  GrowFileAhead(files_.records, used.records * sizeof(Record), 0);
  const std::uint64_t hint_bytes =
      HintBytes(files_.values.bytes() / sizeof(Value), files_.records.bytes() / sizeof(Record));
  if (hint_bytes > files_.hints.bytes() && hint_bytes <= files_.hints.reserved()) {
    files_.hints.GrowTo(RoundUp(hint_bytes, kGrain), files_.hints.bytes());
  }
}

void Capacity::FaultIn(const Cursor& begin, std::uint64_t values, std::uint64_t records) {
  {
    const MutexLock lock(mutex_);
    RaiseLimits({kNoLimit, kNoLimit});
  }
  files_.values.mapping()->Populate(begin.values * sizeof(Value), values * sizeof(Value));
  files_.records.mapping()->Populate(begin.records * sizeof(Record), records * sizeof(Record));
  files_.hints.mapping()->Populate(0, HintBytes(values, records));
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
    RaiseLimits({kNoLimit, kNoLimit});
  }
}

// Under the mutex the mappings hold all that is published: a file is mapped again before it grows
// beyond them.
Capacity::Published Capacity::published() const {
  const MutexLock lock(mutex_);
  return {.count = files_.control.published().load(std::memory_order_acquire),
          .record_map = files_.records.mapping(),
          .layout_map = files_.layouts.mapping()};
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
  files_.values.Truncate(at.values * sizeof(Value));
  files_.records.Truncate((at.records + 1) * sizeof(Record));
  files_.layouts.Truncate(at.layout_words * sizeof(std::uint64_t));
  files_.hints.Truncate(HintSlots(std::max(at.values, at.rows)) * sizeof(Hint));
}

void Capacity::BecomeForkedChild() noexcept {
  DropLimits();
  helper_.AbandonInForkedChild();
}

}  // namespace stream_store::internal
