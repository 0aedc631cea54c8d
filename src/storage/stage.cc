// Staging: rows of many calls that become visible with one publish. Numbers in comments are the
// steps of "Stage" in docs/format.md.
//
// A staged record is whole but for its check, which is inverted: whatever a crash leaves of it, no
// walk believes it. So dropping staged rows needs nothing, and what is written over them later can
// not be mistaken for them.
#include <algorithm>

#include "base/str_cat.h"
#include "storage/hot.h"

namespace stream_store::internal {
namespace {

// Faulted in at a time: fewer, larger calls cost less than a fault per page.
constexpr std::uint64_t kStretchBytes = 4 << 20;

}  // namespace

void Writer::CheckNotStaging() const {
  if (staging_.load(std::memory_order_relaxed)) {
    throw Error(
        ErrorCode::kState,
        StrCat(files_->path_text(),
               ": append while an import is under way: its rows come first, or not at all"));
  }
}

void Writer::BeginStaging() {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  CheckNotStaging();
  stage_ = cursor_;
  staged_values_ = 0;
  staged_records_ = 0;
  const std::scoped_lock lock(state_mutex_);
  staging_.store(true);
  values_limit_.store(0);
  records_limit_.store(0);
}

// 1. Everything that can fail; 2. records with inverted checks; nothing is published.
Verdict Writer::StageRows(std::span<const Step> steps, std::span<const Column> columns) {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  if (steps.empty()) {
    return CheckColumns(columns);
  }
  Cursor at = stage_;
  if (const Verdict verdict = PrepareRows(steps, columns, at); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  std::uint64_t record = stage_.records;
  for (Staged& staged : staged_) {
    staged.check = ~staged.check;
    StoreRecord(staged, record++);
  }
  stage_ = at;
  return {};
}

// The pages that the next rows will be written to. A failure is none: they are faulted in one by
// one then.
void Writer::FaultInStaged(const Cursor& at) {
  const auto fault_in = [](const DataFile& file, std::uint64_t from, std::uint64_t to,
                           std::uint64_t& done) {
    if (to <= done) {
      return;
    }
    const std::uint64_t begin = std::max(from, done);
    done = std::min(to + kStretchBytes, file.bytes());
    if (begin < done) {
      file.mapping()->Populate(begin, done);
    }
  };
  fault_in(files_->values, stage_.values * sizeof(Value), at.values * sizeof(Value),
           staged_values_);
  fault_in(files_->records, stage_.records * sizeof(Record), (at.records + 1) * sizeof(Record),
           staged_records_);
}

// 3. The checks become right; 4. one publish.
void Writer::PublishStaged() {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {
    records_[record].check = ~records_[record].check;
  }
  const std::uint64_t layout_words = cursor_.layout_words;
  cursor_ = stage_;
  cursor_.layout_words = layout_words;
  published_.store(cursor_.records, std::memory_order_release);
  EndStaging();
}

void Writer::DropStaged() noexcept {
  const AppendFlag::Hold hold(flag_);
  EndStaging();
}

// REQUIRES: append flag.
void Writer::EndStaging() noexcept {
  staging_.store(false);
  if (forked_.load(std::memory_order_relaxed)) {
    return;  // whoever held the mutex does not exist
  }
  const std::scoped_lock lock(state_mutex_);
  if (session_open_.load(std::memory_order_relaxed)) {
    RaiseLimits(~std::uint64_t{0}, ~std::uint64_t{0});
  }
}

}  // namespace stream_store::internal
