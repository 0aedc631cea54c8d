// Lives: how the lives of a store end, and which records must exist afterwards.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "base/assert.h"
#include "base/str_cat.h"
#include "crash/lives.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

const char* StateName(Recovery::State state) {
  switch (state) {
    case Recovery::State::kClean:
      return "clean";
    case Recovery::State::kProcessCrash:
      return "process crash";
    case Recovery::State::kTruncated:
      return "truncated";
  }
  return "?";
}

}  // namespace

void Lives::End() {
  if (disk_.dead()) {
    counts_.inside_calls += 1;
    Crash(random_.Chance(65));
  } else if (random_.Chance(poisoned_ ? 40 : limits_ == Retention{} ? 15 : 50)) {
    Close();
  } else {
    disk_.Die();
    Crash(random_.Chance(65));
  }
}

// Closes the store properly, or with a failing sync, or the process dies in it, or power fails
// after it.
void Lives::Close() {
  const auto first = static_cast<Row>(store_->reader().first_row());
  const Row keep = poisoned_ ? first : FirstRowToRetain(first);
  if (keep > first) pending_first_.push_back(keep);
  if (!poisoned_) {
    closed_at_ = model_.records.size();
    closing_ = true;
    if (random_.Chance(10)) disk_.FailSync(random_.Between(1, 5));
  }
  Tell(StrCat("close", keep > first ? StrCat(", with a drop of the rows to ", keep) : ""));
  try {
    store_->Close();
    if (!disk_.dead() && !poisoned_) {
      model_.synced = model_.records.size();
      model_.first_row = keep;
      pending_.reset();
      pending_first_.clear();
      counts_.clean_closes += 1;
      counts_.retained += keep > first ? 1U : 0U;
    }
  } catch (const Error& error) {
    Tell(StrCat("  ", error.what()));
    if (!disk_.dead() && error.code() != ErrorCode::kIo) throw;
    counts_.failed_syncs += 1;
  }
  const bool inside = disk_.dead();
  if (inside || random_.Chance(50)) {
    counts_.inside_calls += inside ? 1 : 0;
    disk_.Die();
    Crash(random_.Chance(65));
  } else {
    store_.reset();
    NextProcess();
  }
}

// Ends the process, or with `power` the machine, and leaves the files as that would.
// REQUIRES: disk_.dead().
void Lives::Crash(bool power) {
  STREAM_STORE_ASSERT(disk_.dead());
  store_.reset();
  if (power) {
    Tell("power cut");
    counts_.power_cuts += 1;
    disk_.CutPower();
    may_lose_ = true;
    power_was_cut_ = true;
  } else {
    Tell("process death");
    counts_.process_deaths += 1;
    NextProcess();
  }
  if (random_.Chance(20)) {
    counts_.session_jumps += 1;
    disk_.ExhaustSessions();
    jumped_ = true;
    if (random_.Chance(50)) replay_.clear();
  }
}

// Only the process is lost. The kernel may drop pages of a failed sync and read them from the disk
// again.
void Lives::NextProcess() {
  disk_.Revive();
  if (disk_.forgets() && random_.Chance(50)) {
    Tell("pages of a failed sync are dropped");
    counts_.dropped_pages += 1;
    disk_.DropForgotten();
    may_lose_ = true;
  }
}

// A reader recovers the store without writing, and its result is compared with the model.
void Lives::Recover() {
  const Reader reader = Reader::Open(path_);
  const std::size_t found = reader.records();
  SettleTruncation(found);
  Resurrect(found);
  const std::size_t before = model_.records.size();
  report_ = reader.recovery();
  Tell(StrCat("found ", found, " of ", before, " records, ", model_.synced,
              " synced: ", StateName(report_.state), " ", report_.reason));
  CheckFirstRow(reader);
  CheckFields(reader);
  CheckLimits(reader);
  model_.Check(reader, random_);
  if (power_was_cut_ || random_.Chance(50)) {
    counts_.copies_checked += CheckCopy() == nullptr ? 0U : 1U;
  }
  if (found < model_.synced) {
    Fail(StrCat(model_.synced, " records were synced but ", found, " were recovered"));
  }
  if (!may_lose_ && found != before) {
    Fail(StrCat(before, " records were appended, only the process died, but ", found,
                " were recovered"));
  }
  before_cut_ = std::max(before_cut_, before);
  CheckReport(report_, found);
  if (power_was_cut_) {
    pending_.reset();
    counts_.unsynced_kept += found - model_.synced;
    model_.synced = found;  // it was read from the disk
  }
  if (found < before) {
    counts_.cuts += 1;
    counts_.records_cut += before - found;
    replay_.assign(model_.records.begin() + static_cast<std::ptrdiff_t>(found),
                   model_.records.end());
    cut_off_ = replay_;
    model_.records.resize(found);
  }
  if (pending_ && found != pending_->kept) {  // the records that this recovery removed stay removed
    pending_->old = model_.records;
    pending_->synced = model_.synced;
  }
  power_was_cut_ = false;
}

// Decides which side of an unfinished truncation recovery found. That is final once the disk was
// read after a power cut; until then the newest slot may be in memory only.
void Lives::SettleTruncation(std::size_t found) {
  if (!pending_) return;
  if (found == pending_->kept) {
    before_cut_ = std::max(before_cut_, pending_->old.size());
    model_.records.assign(pending_->old.begin(),
                          pending_->old.begin() + static_cast<std::ptrdiff_t>(found));
    model_.synced = found;
    closed_at_ = found;  // its clean slot may be the newest until something is appended
    closing_ = true;
    pending_->seen = true;
    replay_.clear();
    // The slot of the truncation may be lost, and the next record be torn, so that it looks like it.
    cut_off_.assign(pending_->old.begin() + static_cast<std::ptrdiff_t>(found),
                    pending_->old.end());
  } else {
    model_.records = pending_->old;
    model_.synced = pending_->synced;
    if (std::exchange(pending_->seen, false)) {
      closed_at_ = pending_->closed_at;
      closing_ = pending_->closing;
    }
  }
}

// A drop that did not end was made or not. That is final once the disk was read after a power cut.
void Lives::CheckFirstRow(const Reader& reader) {
  const auto found = static_cast<Row>(reader.first_row());
  if (found != model_.first_row &&
      std::ranges::find(pending_first_, found) == pending_first_.end()) {
    Fail(StrCat("row ", found, " is the first, but the last drop was before row ",
                model_.first_row));
  }
  if (power_was_cut_) {
    model_.first_row = found;
    pending_first_.clear();
  }
}

// The same for the fields that were added.
void Lives::CheckFields(const Reader& reader) {
  const Added found = AddedFields(reader.schema());
  if (found != model_.added && std::ranges::find(pending_added_, found) == pending_added_.end()) {
    Fail(StrCat("there are ", found.size(), " added fields, the last since record ",
                found.empty() ? 0 : found.back(), ", instead of ", model_.added.size(), " since ",
                model_.added.empty() ? 0 : model_.added.back()));
  }
  if (power_was_cut_) {
    model_.added = found;
    pending_added_.clear();
  }
}

// The same for the limits.
void Lives::CheckLimits(const Reader& reader) {
  const Retention found = reader.retention();
  if (found != limits_ && std::ranges::find(pending_limits_, found) == pending_limits_.end()) {
    Fail(StrCat("the limits are ", found.rows.value_or(0), " rows and ", found.segments.value_or(0),
                " segments, which were never set"));
  }
  if (power_was_cut_) {
    limits_ = found;
    pending_limits_.clear();
  }
}

// A writer that opens the store lowers the numbers of fields that were added after records that are
// lost.
void Lives::ExpectLoweredFields() {
  std::vector<Added> all = pending_added_;
  all.push_back(model_.added);
  for (const Added& added : all) {
    const Added lowered = Lowered(added, model_.records.size());
    if (std::ranges::find(all, lowered) == all.end()) pending_added_.push_back(lowered);
  }
}

// The state that a writer finds when it opens the store does not change any more.
void Lives::SettleChanges() {
  const Reader reader = store_->reader();
  CheckFirstRow(reader);
  CheckFields(reader);
  CheckLimits(reader);
  model_.first_row = static_cast<Row>(reader.first_row());
  model_.added = AddedFields(reader.schema());
  limits_ = store_->retention();
  pending_first_.clear();
  pending_added_.clear();
  pending_limits_.clear();
  if (model_.added != Lowered(model_.added, model_.records.size())) {
    Fail("a field was added after the last record");
  }
}

// A disk with sectors smaller than a record may write half of it. The sentinel that a recovery
// stores can then complete the record that it has just removed. That is correct as long as nothing
// has been appended since, because the record was really appended.
void Lives::Resurrect(std::size_t found) {
  while (disk_.sector_bytes() < 32 && found > model_.records.size() && !cut_off_.empty()) {
    model_.records.push_back(cut_off_.front());
    cut_off_.erase(cut_off_.begin());
    replay_.clear();
    may_lose_ = true;
  }
}

void Lives::CheckReport(const Recovery& report, std::size_t found) const {
  switch (report.state) {
    case Recovery::State::kClean:
      if (pending_ && found == pending_->kept) break;  // the clean slot of a truncation
      if (!closing_ || found != closed_at_) {
        Fail(StrCat("recovery says clean with ", found, " records; the last close was at ",
                    closed_at_));
      }
      break;
    case Recovery::State::kProcessCrash:
      break;
    case Recovery::State::kTruncated:
      if (!may_lose_) Fail("recovery says truncated though only the process died");
      if (report.reason.empty()) Fail("recovery says truncated but not why");
      if (report.rows_cut > before_cut_ - found) {
        Fail(StrCat("recovery says that ", report.rows_cut, " rows were cut; it was ",
                    before_cut_ - found, " records"));
      }
      break;
  }
}

// The writer must find the same records as the reader, even if it dies during its recovery.
void Lives::Reopen() {
  while (true) {
    if (random_.Chance(25)) disk_.DieAtCall(random_.Between(1, 60));
    ExpectLoweredFields();
    try {
      store_.emplace(StreamStore::Open(path_, StoreOptions()));
    } catch (const Error&) {
      if (!disk_.dead()) throw;
    }
    if (!disk_.dead()) break;
    counts_.inside_calls += 1;
    Crash(random_.Chance(65));
    Recover();
  }
  SettleChanges();
  const Reader reader = store_->reader();
  if (reader.records() != model_.records.size()) {
    Fail(StrCat("a reader recovered ", model_.records.size(), " records, the writer ",
                reader.records()));
  }
  model_.Check(reader, random_);
  const Recovery& report = store_->recovery();
  if (report.state != report_.state || report.rows_cut != report_.rows_cut ||
      report.reason != report_.reason) {
    Fail(StrCat("a reader reports ", StateName(report_.state), " ", report_.reason, ", the writer ",
                StateName(report.state), " ", report.reason));
  }
  may_lose_ = false;
}

}  // namespace stream_store::crash
