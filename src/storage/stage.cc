// Staging: rows of many calls that become visible with one publish. Numbers in comments are the
// steps of "Stage" in docs/format.md.
//
// A staged record is whole but for its check, which is inverted: whatever a crash leaves of it, no
// walk believes it. So dropping staged rows needs nothing, and what is written over them later can
// not be mistaken for them.
#include "base/str_cat.h"
#include "storage/growth_helper.h"
#include "storage/hot.h"

namespace stream_store::internal {

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
  const std::scoped_lock lock(state_mutex_);
  staging_.store(true);
  values_limit_.store(0);
  records_limit_.store(0);
  staged_values_.store(stage_.values, std::memory_order_relaxed);
  staged_records_.store(stage_.records, std::memory_order_relaxed);
}

// 1. Everything that can fail; 2. records with inverted checks; nothing is published.
Refusal Writer::StageRows(std::span<const Step> steps, std::span<const Column> columns) {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  if (steps.empty()) {
    return CheckColumns(columns);
  }
  Cursor at = stage_;
  if (const Refusal verdict = PrepareRows(steps, columns, at); verdict.code != ErrorCode::kOk) {
    return verdict;
  }
  StorePrepared(steps, stage_, /*flipped=*/~std::uint32_t{0});
  stage_ = at;
  staged_values_.store(at.values, std::memory_order_relaxed);
  staged_records_.store(at.records, std::memory_order_relaxed);
  if (helper_ != nullptr) {
    helper_->Wake();
  }
  return {};
}

// 3. The checks become right; 4. one publish.
void Writer::PublishStaged() {
  const AppendFlag::Hold hold(flag_);
  CheckWritable();
  for (std::uint64_t record = cursor_.records; record < stage_.records; ++record) {
    records_[record].checksum = ~records_[record].checksum;
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
