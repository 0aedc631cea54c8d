// Lives: the operations that change a store, apart from appends: truncations, drops, limits and added
// fields.
#include <algorithm>
#include <functional>
#include <string>

#include "base/str_cat.h"
#include "crash/lives.h"

namespace stream_store::crash {

using internal::StrCat;

// Removes the last rows. A sync in it may fail, or the process die; either all rows are left then, or
// those that were to be kept.
void Lives::Truncate() {
  std::vector<std::size_t> ends;  // where each row begins
  for (std::size_t i = 0; i < model_.records.size(); ++i) {
    if (model_.records[i].begins_row) ends.push_back(i);
  }
  const auto first = static_cast<Row>(store_->reader().first_row());
  if (ends.size() < static_cast<std::size_t>(first) + 2) return;
  const std::size_t least = first == 0 ? 0 : static_cast<std::size_t>(first) + 1;
  const std::size_t chosen =
      random_.Chance(70) ? ends.size() - 1 - random_.Below(std::min<std::size_t>(ends.size(), 4))
                         : random_.Below(ends.size());
  const std::size_t row = std::max(chosen, least);
  pending_ = Pending{.kept = ends[row],
                     .old = model_.records,
                     .synced = model_.synced,
                     .closed_at = closed_at_,
                     .closing = closing_};
  pending_added_.push_back(Lowered(model_.added, ends[row]));
  ArmFault(12, 0);
  const bool failed =
      Fails(StrCat("truncation from ", model_.records.size(), " to ", ends[row], " records"),
            [&] { store_->Truncate(row); });
  if (failed && !disk_.dead() && !WriterEnded() && !disk_.dead()) {  // nothing has changed
    pending_.reset();
    pending_added_.clear();
    return;
  }
  if (disk_.dead()) return;
  counts_.truncations += 1;
  if (!poisoned_ || store_->reader().records() == pending_->kept) {
    before_cut_ = std::max(before_cut_, model_.records.size());
    model_.records.resize(pending_->kept);
    model_.synced = pending_->kept;
    replay_.clear();
    cut_off_.clear();
  }
  if (poisoned_) {
    RequirePoisoned();
    return;
  }
  pending_.reset();
  model_.added = pending_added_.back();
  pending_added_.clear();
  appended_ = true;  // its open record was written
  closing_ = false;
}

// Drops the first rows. A sync in it may fail, or the process die; recovery then finds the old first
// row or the new one.
void Lives::Drop() {
  const auto rows = static_cast<Row>(model_.rows(model_.records.size()));
  const auto first = static_cast<Row>(store_->reader().first_row());
  if (rows < first + 2) return;
  // Often nearly everything, so that whole chunks leave.
  const Row least = random_.Chance(60) ? std::max(first + 1, rows - 4) : first + 1;
  const Row row = least + static_cast<Row>(random_.Below(static_cast<std::uint64_t>(rows - least)));
  pending_first_.push_back(row);
  ArmFault(9, 12);
  poisoned_ =
      Fails(StrCat("drop of the rows from ", first, " to ", row), [&] { store_->DropBefore(row); });
  if (disk_.dead()) return;
  counts_.drops += 1;
  if (poisoned_) {
    RequirePoisoned();
    return;
  }
  pending_first_.clear();
  model_.first_row = row;
  model_.synced = std::max(model_.synced, model_.RecordOfRow(row));
}

// Adds one or more fields. If it does not end, recovery finds all of them or none.
void Lives::AddFields() {
  const std::size_t old = model_.fields();
  if (old == kMostFields) return;
  const std::vector<Field> all = ModelFields(random_.Between(old + 1, kMostFields));
  Added wanted = model_.added;
  wanted.resize(all.size() - kFirstFields, model_.records.size());
  pending_added_.push_back(wanted);
  ArmFault(2, 9);
  const bool failed = Fails(
      StrCat("addition of ", all.size() - old, " fields at record ", model_.records.size()),
      [&] { store_->AddFields({all.begin() + static_cast<std::ptrdiff_t>(old), all.end()}); });
  if (failed && !disk_.dead() && WriterEnded()) {  // it is unknown whether the fields are there
    RequirePoisoned();
    return;
  }
  if (disk_.dead()) return;
  if (!failed) {
    model_.added = wanted;
    counts_.added += 1;
  }
  pending_added_.clear();
  CheckFields(store_->reader());
}

Retention Lives::RandomLimits() {
  Retention limits;
  if (random_.Chance(25)) return limits;
  if (random_.Chance(70)) limits.rows = random_.Between(1, 60);
  if (random_.Chance(50)) limits.segment_by = {"flag"};
  if (!limits.segment_by.empty() && (!limits.rows || random_.Chance(50))) {
    limits.segments = random_.Between(1, 6);
  }
  return limits;
}

// Sets limits, which the close of the store enforces. If it does not end, recovery finds the old
// ones or the new ones.
void Lives::SetLimits() {
  const Retention limits = RandomLimits();
  pending_limits_.push_back(limits);
  ArmFault(2, 4);
  poisoned_ = Fails(StrCat("limits of ", limits.rows.value_or(0), " rows and ",
                           limits.segments.value_or(0), " segments"),
                    [&] { store_->SetRetention(limits); });
  if (disk_.dead()) return;
  if (poisoned_) {
    RequirePoisoned();
    return;
  }
  counts_.limits += 1;
  limits_ = limits;
  pending_limits_.clear();
}

// The first row that the limits let stay, if `first` is the first one now. The last row may still
// grow, so it is not looked at for segments.
Row Lives::FirstRowToRetain(Row first) const {
  const auto rows = static_cast<Row>(model_.rows(model_.records.size()));
  if (rows < first + 2) return first;
  Row keep = first;
  if (limits_.rows) keep = std::max(keep, rows - static_cast<Row>(*limits_.rows));
  if (limits_.segment_by.empty()) return keep;
  std::vector<Row> starts{first};
  for (Row row = first + 1; row < rows - 1; ++row) {
    if (model_.FlagOfRow(row - 1)) starts.push_back(row);
  }
  if (limits_.segments && starts.size() > *limits_.segments) {
    keep = std::max(keep, starts[starts.size() - *limits_.segments]);
  }
  const auto start = std::ranges::lower_bound(starts, keep);
  return start == starts.end() ? starts.back() : *start;
}

// The next change may meet a failing sync, or a death inside a call.
void Lives::ArmFault(std::uint64_t most_syncs, std::uint64_t most_calls) {
  failing_ = random_.Chance(15);
  if (failing_) disk_.FailSync(random_.Between(1, most_syncs));
  if (!failing_ && most_calls > 0 && random_.Chance(25)) {
    disk_.DieAtCall(random_.Between(1, most_calls));
  }
}

// Makes a change with the fault that ArmFault() chose. Returns whether it failed, which only a failing
// sync or a death may cause.
bool Lives::Fails(const std::string& what, const std::function<void()>& change) {
  Tell(what);
  bool failed = false;
  try {
    change();
  } catch (const Error& error) {
    Tell(StrCat("  ", error.what()));
    if (!disk_.dead() && !(failing_ && error.code() == ErrorCode::kIo)) throw;
    failed = true;
  }
  DisarmFault();
  return failed;
}

void Lives::DisarmFault() {
  failing_ = false;
  disk_.FailSync(0);
}

// Whether the writer has ended, after a call that failed.
bool Lives::WriterEnded() {
  try {
    store_->Sync();
    if (!disk_.dead()) model_.synced = model_.records.size();
  } catch (const Error& error) {
    if (!disk_.dead() && error.code() != ErrorCode::kIo) throw;
    poisoned_ = !disk_.dead();
  }
  return poisoned_;
}

}  // namespace stream_store::crash
