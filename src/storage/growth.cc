// Growth: the slow path of append, and the part a helper thread does ahead of it.
//
// The writer runs against soft limits. Crossing one costs a few nanoseconds and a wake-up: the soft
// limit moves to the hard one (what is allocated) and the helper allocates and faults in the next
// stretch. Only a writer that outruns the helper, or has none, allocates inline.

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/str_cat.h"
#include "storage/append_flag.h"
#include "storage/growth_helper.h"
#include "storage/sync_helper.h"
#include "storage/writer.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kGrain = 64 << 10;
constexpr std::uint64_t kLargestStep = 1 << 30;

// Faulted in ahead of the writer at a time: an eighth of the file, or twice what it wrote since the
// last time (calls of many rows come again), within these bounds.
constexpr std::uint64_t kSmallestStretch = 1 << 20;
constexpr std::uint64_t kLargestStretch = 32 << 20;

std::uint64_t RoundUp(std::uint64_t bytes, std::uint64_t grain) {
  return (bytes + grain - 1) / grain * grain;
}

// By max(64 KiB, half the file up to 1 GiB, at_least); never less than what is needed.
std::uint64_t NextSize(std::uint64_t bytes, std::uint64_t needed, std::uint64_t at_least) {
  if (needed <= bytes) {
    return bytes;
  }
  const std::uint64_t step = std::max({kGrain, std::min(bytes / 2, kLargestStep), at_least});
  return RoundUp(std::max(needed, bytes + step), kGrain);
}

void GrowFile(DataFile& file, std::uint64_t needed, std::uint64_t at_least) {
  if (needed > file.reserved()) {
    file.Remap(needed);
  }
  const std::uint64_t size = NextSize(file.bytes(), needed, at_least);
  file.GrowTo(std::min(size, std::max(file.reserved(), needed)), needed);
}

std::uint64_t HintBytes(std::uint64_t values, std::uint64_t rows) {
  return (std::max(values, rows) / kHintStride + 2) * sizeof(Hint);
}

std::uint64_t StretchOf(std::uint64_t file_bytes, std::uint64_t written_bytes) {
  return std::clamp(std::max(file_bytes / 8, 2 * written_bytes), kSmallestStretch, kLargestStretch);
}

}  // namespace

void Writer::CheckWritable() {
  const std::string& path = files_->path_text();
  if (forked_.load(std::memory_order_relaxed)) {
    throw Error(
        ErrorCode::kReadOnly,
        StrCat(path,
               ": append in a forked child: only the process that opened the store may write"));
  }
  if (closed_.load(std::memory_order_relaxed)) {
    throw Error(ErrorCode::kClosed, StrCat(path, ": append to a store that is closed"));
  }
  if (failed_.load(std::memory_order_relaxed)) {
    const std::scoped_lock lock(state_mutex_);
    throw Error(ErrorCode::kIo, StrCat(path, ": append after a failed sync: ", failure_),
                failure_errno_);
  }
}

// True if the call fits what is allocated: then the soft limits move up. By compare-and-swap, so
// that limits which a failed sync just set to 0 stay 0.
bool Writer::UseHardLimits(std::uint64_t values, std::uint64_t records) noexcept {
  const std::uint64_t hard_values = hard_values_.load(std::memory_order_relaxed);
  const std::uint64_t hard_records = hard_records_.load(std::memory_order_relaxed);
  std::uint64_t soft_values = values_limit_.load(std::memory_order_relaxed);
  std::uint64_t soft_records = records_limit_.load(std::memory_order_relaxed);
  if (values > hard_values || records > hard_records || soft_values == 0 || soft_records == 0) {
    return false;
  }
  return values_limit_.compare_exchange_strong(soft_values, hard_values) &&
         records_limit_.compare_exchange_strong(soft_records, hard_records);
}

void Writer::MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words) {
  CheckWritable();
  if (!session_open_) {
    OpenRecord();
    StartSyncer();
  }
  const bool layouts_fit = layout_words <= layout_limit_.load(std::memory_order_relaxed);
  if (layouts_fit && UseHardLimits(values, records)) {
    if (helper_ != nullptr) {
      helper_->Wake();
    }
    return;
  }
  {
    const std::scoped_lock lock(state_mutex_);
    if (failed_.load(std::memory_order_relaxed)) {
      throw Error(ErrorCode::kIo,
                  StrCat(files_->path_text(), ": append after a failed sync: ", failure_),
                  failure_errno_);
    }
    GrowFiles(values, records, layout_words);
    RaiseLimits(~std::uint64_t{0}, ~std::uint64_t{0});
  }
  RefreshPointers();
  StartSyncer();
  if (options_.grow_ahead) {
    StartHelper();
  }
}

void Writer::StartSyncer() {
  const bool wanted = options_.sync_interval.count() > 0 || options_.sync_bytes > 0;
  if (!wanted || syncer_ != nullptr || !files_->persistent()) {
    return;
  }
  try {
    syncer_ = new SyncHelper(*this);
  } catch (const std::system_error&) {
    return;  // no more threads; the next growth asks again
  }
}

// Without a thread (the process or its control group has no more) every growth is inline.
void Writer::StartHelper() {
  try {
    if (helper_ == nullptr) {
      seen_values_ = cursor_.values;
      seen_records_ = cursor_.records;
      helper_ = new GrowthHelper(*this);
    }
    helper_->Wake();
  } catch (const std::system_error&) {
    return;  // the next growth asks again
  }
}

// REQUIRES: state mutex and append flag. Layouts, hints, values, records, in this order.
void Writer::GrowFiles(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words) {
  if (layout_words > kMaxLayoutWords) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_->path_text(), "/layouts: growing to ", layout_words,
                       " words: a store holds at most ", kMaxLayoutWords));
  }
  const std::uint64_t key = files_->values.reserved() + files_->records.reserved() +
                            files_->layouts.reserved() + files_->hints.reserved();
  GrowFile(files_->layouts, layout_words * sizeof(std::uint64_t), 0);
  const bool grow_values = values > hard_values_.load(std::memory_order_relaxed);
  const bool grow_records = records > hard_records_.load(std::memory_order_relaxed);
  const std::uint64_t value_bytes = values * sizeof(Value);
  const std::uint64_t record_bytes = records * sizeof(Record);
  GrowFile(files_->hints, HintBytes(values, records), 0);
  if (grow_values) {
    GrowFile(files_->values, value_bytes, options_.capacity_values * sizeof(Value));
  }
  if (grow_records) {
    GrowFile(files_->records, record_bytes, 0);
  }
  // Hints for all of that, so that the limits can reach the end of both files; a full disk leaves
  // them shorter.
  const std::uint64_t wanted =
      HintBytes(files_->values.bytes() / sizeof(Value), files_->records.bytes() / sizeof(Record));
  GrowFile(files_->hints, std::max(wanted, HintBytes(values, records)), 0);
  if (key != files_->values.reserved() + files_->records.reserved() + files_->layouts.reserved() +
                 files_->hints.reserved()) {
    files_->RefreshMaps();
  }
}

// REQUIRES: state mutex.
void Writer::RaiseLimits(std::uint64_t soft_values, std::uint64_t soft_records) noexcept {
  if (failed_.load(std::memory_order_relaxed) || closed_.load(std::memory_order_relaxed)) {
    return;
  }
  const std::uint64_t slots = files_->hints.bytes() / sizeof(Hint);
  const std::uint64_t covered = slots == 0 ? 0 : (slots - 1) * kHintStride;
  const std::uint64_t values = std::min(files_->values.bytes() / sizeof(Value), covered);
  const std::uint64_t records = std::min(files_->records.bytes() / sizeof(Record), covered);
  hard_values_.store(values, std::memory_order_relaxed);
  hard_records_.store(records, std::memory_order_relaxed);
  layout_limit_.store(files_->layouts.bytes() / sizeof(std::uint64_t), std::memory_order_relaxed);
  const std::uint64_t most = staging_.load(std::memory_order_relaxed) ? 0 : ~std::uint64_t{0};
  values_limit_.store(std::min({values, soft_values, most}), std::memory_order_relaxed);
  records_limit_.store(std::min({records, soft_records, most}), std::memory_order_relaxed);
}

// REQUIRES: append flag.
void Writer::RefreshPointers() noexcept {
  values_ = reinterpret_cast<Value*>(files_->values.data());
  records_ = reinterpret_cast<Record*>(files_->records.data());
  layouts_ = reinterpret_cast<std::uint64_t*>(files_->layouts.data());
  hints_ = reinterpret_cast<Hint*>(files_->hints.data());
  for (ShapeCache& memo : memos_) {
    memo.words = layouts_ + memo.offset + 1;
  }
}

void Writer::DropLimits() noexcept {
  hard_values_.store(0, std::memory_order_relaxed);
  hard_records_.store(0, std::memory_order_relaxed);
  values_limit_.store(0);
  records_limit_.store(0);
  layout_limit_.store(0, std::memory_order_relaxed);
}

// One round of the helper thread: allocate when less than half of a growth step is left, fault in
// the next stretch.
void Writer::GrowAhead() {
  std::uint64_t values = 0;
  std::uint64_t records = 0;
  std::shared_ptr<const Mapping> value_map;
  std::shared_ptr<const Mapping> record_map;
  {
    const std::scoped_lock lock(state_mutex_);
    if (failed_.load(std::memory_order_relaxed) || closed_.load(std::memory_order_relaxed)) {
      return;
    }
    value_map = files_->values.mapping();
    record_map = files_->records.mapping();
    records = published_.load(std::memory_order_acquire);
    values = reinterpret_cast<const Record*>(record_map->data())[records].start;
    if (staging_.load(std::memory_order_relaxed)) {
      records = std::max(records, staged_records_.load(std::memory_order_relaxed));
      values = std::max(values, staged_values_.load(std::memory_order_relaxed));
    }
    GrowFilesAhead(values, records);
  }
  const auto written = [](std::uint64_t now, std::uint64_t& before) {
    return now - std::min(now, std::exchange(before, now));
  };
  const std::uint64_t value_stretch =
      StretchOf(files_->values.bytes(), written(values, seen_values_) * sizeof(Value));
  const std::uint64_t record_stretch =
      StretchOf(files_->records.bytes(), written(records, seen_records_) * sizeof(Record));
  const auto fault_in = [](const DataFile& file, const Mapping& map, std::uint64_t begin,
                           std::uint64_t stretch) {
    const std::uint64_t end = std::min({begin + stretch, file.bytes(), map.size()});
    if (begin < end) {
      map.Populate(begin, end);
    }
  };
  fault_in(files_->values, *value_map, values * sizeof(Value), value_stretch);
  fault_in(files_->records, *record_map, records * sizeof(Record), record_stretch);
  const std::scoped_lock lock(state_mutex_);
  RaiseLimits(values + value_stretch / sizeof(Value) / 2,
              records + record_stretch / sizeof(Record) / 2);
}

// REQUIRES: state mutex. Inside the reservations only: mapping anew needs the append flag.
void Writer::GrowFilesAhead(std::uint64_t values, std::uint64_t records) {
  const auto ahead = [](DataFile& file, std::uint64_t used, std::uint64_t at_least) {
    const std::uint64_t bytes = file.bytes();
    const std::uint64_t step = std::max({kGrain, std::min(bytes / 2, kLargestStep), at_least});
    if (used + step / 2 > bytes && bytes + step <= file.reserved()) {
      file.GrowTo(bytes + step, bytes);
    }
  };
  ahead(files_->values, values * sizeof(Value), options_.capacity_values * sizeof(Value));
  ahead(files_->records, records * sizeof(Record), 0);
  const std::uint64_t hint_bytes =
      HintBytes(files_->values.bytes() / sizeof(Value), files_->records.bytes() / sizeof(Record));
  if (hint_bytes > files_->hints.bytes() && hint_bytes <= files_->hints.reserved()) {
    files_->hints.GrowTo(RoundUp(hint_bytes, kGrain), files_->hints.bytes());
  }
}

void Writer::Reserve(std::uint64_t values, std::uint64_t records) {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  CheckNotStaging();
  if (values > kLengthMask || records > kMaxRows) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(files_->path_text(), ": reserving ", values, " values and ", records,
                       " records: more than a store can hold"));
  }
  const std::uint64_t value_end = cursor_.values + values;
  const std::uint64_t record_end = cursor_.records + records + 1;
  MakeRoom(value_end, record_end, cursor_.layout_words + kGrain / sizeof(std::uint64_t));
  {
    const std::scoped_lock lock(state_mutex_);
    RaiseLimits(~std::uint64_t{0}, ~std::uint64_t{0});
  }
  files_->values.mapping()->Populate(cursor_.values * sizeof(Value), value_end * sizeof(Value));
  files_->records.mapping()->Populate(cursor_.records * sizeof(Record),
                                      record_end * sizeof(Record));
  files_->hints.mapping()->Populate(0, HintBytes(value_end, record_end));
}

}  // namespace stream_store::internal
