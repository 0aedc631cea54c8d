// Lives: appends, refused calls and imports.
#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <stdexcept>

#include "base/str_cat.h"
#include "crash/lives.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

std::size_t FullRecords(const std::vector<ModelRecord>& records) {
  return static_cast<std::size_t>(
      std::ranges::count_if(records, [](const ModelRecord& r) { return r.last_field() >= 0; }));
}

}  // namespace

ModelRecord Lives::NextRecord(const ModelRecord* last) {
  const std::size_t fields = model_.fields();
  ModelRecord record;
  record.seed = random_.Below(4);
  const Step step = last == nullptr ? -1 : last->step;
  if (plain_) {
    record.step = step + 1;
    record.lengths[0] = 1;
    record.lengths[2] = 2;
    if (fields > kFirstFields) record.lengths[kFirstFields] = 1;
    return record;
  }
  const int last_field = last == nullptr ? static_cast<int>(fields) : last->last_field();
  record.begins_row = last_field >= static_cast<int>(fields) - 1 || !random_.Chance(25);
  record.step = step + (record.begins_row ? static_cast<Step>(random_.Between(1, 2)) : 0);
  const std::uint64_t most = wide_ && random_.Chance(30) ? 3000 : random_.Chance(5) ? 50 : 4;
  const int lengths[kMostFields] = {1, static_cast<int>(random_.Below(most)), 2, 1,
                                    1, static_cast<int>(random_.Below(4)),    1};
  for (std::size_t field = 0; field < fields; ++field) {
    const bool allowed = record.begins_row || static_cast<int>(field) > last_field;
    if (allowed && random_.Chance(60)) record.lengths[field] = lengths[field];
  }
  if (!record.begins_row && record.last_field() < 0) record.lengths[fields - 1] = 1;
  return record;
}

// Returns records to append: those that a crash removed, or new ones.
std::vector<ModelRecord> Lives::NextRecords(std::uint64_t count) {
  std::vector<ModelRecord> records;
  if (random_.Chance(10)) replay_.clear();
  while (records.size() < count) {
    if (!replay_.empty()) {
      records.push_back(replay_.front());
      replay_.erase(replay_.begin());
      continue;
    }
    const ModelRecord* last = !records.empty()         ? &records.back()
                              : model_.records.empty() ? nullptr
                                                       : &model_.records.back();
    records.push_back(NextRecord(last));
  }
  return records;
}

// Returns how many of the records one call can append. A call makes one record of each step.
// Extend() accepts complete rows only, and the call with a step per field-write no empty records.
std::size_t Lives::FitOneCall(const std::vector<ModelRecord>& records) {
  std::size_t fit = 1;
  while (fit < records.size() && records[fit].begins_row &&
         (records[0].begins_row || records[fit].last_field() >= 0)) {
    ++fit;
  }
  return fit;
}

// Returns true if the records were appended, and false if they were refused, the process died, or a
// sync failed.
bool Lives::Attempt(const std::vector<ModelRecord>& records, bool broken) {
  Tell(StrCat(broken ? "refused call" : "append", " of ", records.size(), " records from record ",
              model_.records.size(), " on"));
  const bool rows_only = std::ranges::all_of(records, &ModelRecord::begins_row);
  try {
    if (rows_only && random_.Chance(15)) {
      CallStaged(records, broken, /*commit=*/true);
    } else if (records.size() == 1 && (!rows_only || random_.Chance(80))) {
      const ModelRecord& record = records[0];
      store_->Append(record.step, Call(record, broken).writes());
    } else if (rows_only && (FullRecords(records) < records.size() || random_.Chance(50))) {
      CallExtend(records, broken);
    } else {
      CallGroups(records, broken);
    }
  } catch (const Error& error) {
    const bool expected = broken && error.code() == ErrorCode::kInvalidArgument;
    if (!expected && !disk_.dead() && !(failing_ && error.code() == ErrorCode::kIo)) throw;
    Tell(StrCat("  ", error.what()));
    poisoned_ = failing_ && !expected;
    return false;
  }
  return !disk_.dead();
}

void Lives::CallGroups(const std::vector<ModelRecord>& records, bool broken) {
  std::vector<std::unique_ptr<Call>> calls;
  std::vector<Step> steps;
  std::vector<FieldWrite> writes;
  for (std::size_t i = 0; i < records.size(); ++i) {
    calls.push_back(std::make_unique<Call>(records[i], broken && i + 1 == records.size()));
    for (const FieldWrite& write : calls.back()->writes()) {
      steps.push_back(records[i].step);
      writes.push_back(write);
    }
  }
  store_->Append(steps, writes);
}

// Rows as columns, for Extend() and StagedRows.
class Lives::Rows {
 public:
  Rows(std::span<const ModelRecord> records, std::size_t fields, bool broken) {
    for (const ModelRecord& record : records) steps_.push_back(record.step);
    for (std::size_t field = 0; field < fields; ++field) {
      offsets_[field].push_back(0);
      for (const ModelRecord& record : records) {
        present_[field].push_back(record.lengths[field] != kMissing);
        for (int i = 0; i < record.lengths[field]; ++i)
          values_[field].push_back(record.value(field, i));
        offsets_[field].push_back(static_cast<std::int64_t>(values_[field].size()));
      }
      if (broken && field == kFlag) values_[field].back() = 2;  // not a valid bool
      columns_.push_back(Column{.type = static_cast<TypeId>(field),
                                .source = Source::kInt64,
                                .data = values_[field].data(),
                                .offsets = offsets_[field].data(),
                                .present = present_[field].data()});
    }
  }

  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;

  std::span<const Step> steps() const { return steps_; }

  std::span<const Column> columns() const { return columns_; }

 private:
  std::vector<Step> steps_;
  std::array<std::vector<Value>, kMostFields> values_;
  std::array<std::vector<std::int64_t>, kMostFields> offsets_;
  std::array<std::vector<std::uint8_t>, kMostFields> present_;
  std::vector<Column> columns_;
};

void Lives::CallExtend(const std::vector<ModelRecord>& records, bool broken) {
  const Rows rows(records, model_.fields(), broken);
  store_->Extend(rows.steps(), rows.columns());
}

// Imports records with several calls. The kernel may write pages back, or a sync run, between them.
void Lives::CallStaged(const std::vector<ModelRecord>& records, bool broken, bool commit) {
  StagedRows staged = store_->Stage();
  for (std::span<const ModelRecord> left(records); !left.empty();) {
    const std::span<const ModelRecord> now = left.first(random_.Between(1, left.size()));
    left = left.subspan(now.size());
    const Rows rows(now, model_.fields(), broken && left.empty());
    staged.Extend(rows.steps(), rows.columns());
    if (random_.Chance(20)) disk_.WriteBack();
    if (random_.Chance(5) && !disk_.dead()) store_->Sync();
  }
  if (commit) staged.Commit();
}

// Abandons an import. Its records remain in the files beyond the end and carry the current session.
void Lives::GiveUp() {
  std::vector<ModelRecord> cut_off = replay_;
  std::vector<ModelRecord> records = NextRecords(random_.Between(1, 6));
  records.resize(FitOneCall(records));
  if (!std::ranges::all_of(records, &ModelRecord::begins_row)) {
    replay_ = std::move(cut_off);  // an import cannot make these, so they are still the next ones
    return;
  }
  // The records that come next may be the same, or others of their shape.
  replay_ = records;
  if (random_.Chance(50)) {
    for (ModelRecord& record : replay_) record.seed = random_.Below(4);
  }
  Tell(StrCat("import of ", records.size(), " records that is given up"));
  try {
    CallStaged(records, /*broken=*/false, /*commit=*/false);
  } catch (const Error&) {
    if (!disk_.dead()) throw;
  }
  if (!disk_.dead() && store_->reader().records() != model_.records.size())
    Fail("an import that was given up shows");
  counts_.given_up += 1;
}

void Lives::Append(std::uint64_t most) {
  std::vector<ModelRecord> records = NextRecords(most);
  while (!records.empty()) {
    const auto end = records.begin() + static_cast<std::ptrdiff_t>(FitOneCall(records));
    const std::vector<ModelRecord> call(records.begin(), end);
    records.erase(records.begin(), end);
    if (!Attempt(call, /*broken=*/false)) {
      replay_.clear();
      return;
    }
    if (!appended_) {  // the open record made them durable
      model_.synced = model_.records.size();
      model_.first_row = static_cast<Row>(store_->reader().first_row());
      pending_first_.clear();
      limits_ = store_->retention();
      pending_limits_.clear();
    }
    appended_ = true;
    closing_ = false;
    pending_.reset();
    cut_off_.clear();
    before_cut_ = 0;  // later reports do not repeat the rows that earlier recoveries removed
    for (const ModelRecord& record : call) {
      model_.records.push_back(record);
      model_.records.back().serial = ++serials_;
    }
    counts_.records += call.size();
  }
}

// Makes a call that is refused for its last value. The values written before it lie beyond the end.
void Lives::Refuse() {
  std::vector<ModelRecord> records = NextRecords(random_.Between(1, 3));
  replay_.clear();
  records.resize(FitOneCall(records));
  records.back().lengths[kFlag] = 1;
  const std::uint64_t before = store_->reader().records();
  if (Attempt(records, /*broken=*/true)) Fail("a call with a value that does not belong was taken");
  if (!disk_.dead() && store_->reader().records() != before)
    Fail("a refused call stored something");
  counts_.refused += 1;
}

}  // namespace stream_store::crash
