// Lives: the operations between crashes, that is appends, refused calls and syncs.
#include "crash/lives.h"

#include <algorithm>
#include <array>
#include <memory>
#include <ostream>
#include <span>
#include <stdexcept>
#include <utility>

#include "base/str_cat.h"
#include "format/control.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

constexpr std::uint64_t kSectors[] = {512, 32, 8};

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

std::size_t FullRecords(const std::vector<ModelRecord>& records) {
  return static_cast<std::size_t>(
      std::ranges::count_if(records, [](const ModelRecord& r) { return r.last_field() >= 0; }));
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << c.crashes() << " crashes (" << c.power_cuts << " power cuts, " << c.process_deaths
             << " process deaths; " << c.inside_calls << " inside a system call), "
             << c.clean_closes << " clean closes, " << c.stores << " stores, " << c.records
             << " records, " << c.refused << " refused calls, " << c.syncs << " syncs, "
             << c.failed_syncs << " failed syncs, " << c.truncations << " truncations, " << c.drops
             << " drops, " << c.given_up << " imports given up, " << c.dropped_pages
             << " times pages dropped, " << c.session_jumps << " session jumps; " << c.cuts
             << " recoveries cut " << c.records_cut << " records, " << c.unsynced_kept
             << " unsynced records survived";
}

Lives::Lives(std::uint64_t seed, std::filesystem::path directory, Counts& counts,
             std::ostream* trace)
    : random_(seed),
      path_(std::move(directory) / "store"),
      counts_(counts),
      trace_(trace),
      wide_(random_.Below(500) == 0),
      plain_(!wide_ && random_.Chance(40)),
      disk_(random_, kSectors[random_.Below(3)], wide_) {
  internal::SmallestChunkBytes() = SimulatedFile::kPage;
}

void Lives::Tell(const std::string& what) {
  if (trace_ != nullptr) *trace_ << what << std::endl;
}

Options Lives::StoreOptions() const {
  // Small chunks, so that a store of a few hundred records has many.
  return Options{.capacity_values = 1,
                 .chunk_bytes = wide_ ? std::uint64_t{64 << 10} : SimulatedFile::kPage,
                 .fields = ModelFields(),
                 .grow_ahead = false,
                 .sync_interval = {},
                 .sync_bytes = 0};
}

void Lives::Run() {
  counts_.stores += 1;
  store_.emplace(StreamStore::Open(path_, StoreOptions()));
  if (!wide_ && random_.Chance(30)) NearlyFillChunk();
  for (std::uint64_t lives = random_.Between(3, 8); lives > 0; --lives) {
    Live();
    End();
    Recover();
    Reopen();
  }
  if (random_.Below(64) == 0) disk_.CheckExtents();
  disk_.Die();
  store_.reset();
  disk_.Revive();
}

bool Lives::Full() const {
  return model_.records.size() > (wide_ ? 900 : 280) ||
         store_->reader().size() > (wide_ ? 100'000U : 1'200U);
}

// Appends until the first chunk of the records or values is almost full, so that the lives that follow
// enter the next one. A chunk has 128 records or 512 values.
void Lives::NearlyFillChunk() {
  const std::uint64_t records = random_.Between(100, 127);
  while (model_.records.size() < records && store_->reader().size() < 500) {
    Append(random_.Between(1, 5));
  }
  Sync();  // a life begins with nothing that is not synced
}

void Lives::Live() {
  if (random_.Chance(40)) disk_.DieAtCall(random_.Between(1, 40));
  appended_ = false;
  poisoned_ = false;
  for (std::uint64_t acts = random_.Below(wide_ ? 30 : 13); acts > 0; --acts) {
    if (disk_.dead() || poisoned_ || Full()) return;
    Act();
  }
}

void Lives::Act() {
  const std::uint64_t dice = random_.Below(100);
  if (dice < 55) {
    Append(1);
  } else if (dice < 70) {
    Append(random_.Between(2, 5));
  } else if (dice < 78) {
    Refuse();
  } else if (dice < 80) {
    Truncate();
  } else if (dice < 83) {
    Drop();
  } else if (dice < 86) {
    Sync();
  } else if (dice < 88) {
    FailSync();
  } else if (dice < 94) {
    GiveUp();
  } else {
    Tell("write-back");
    disk_.WriteBack();
  }
}

ModelRecord Lives::NextRecord(const ModelRecord* last) {
  ModelRecord record;
  record.seed = random_.Below(4);
  const Step step = last == nullptr ? -1 : last->step;
  if (plain_) {
    record.step = step + 1;
    record.lengths = {1, kMissing, 2, kMissing};
    return record;
  }
  const int last_field = last == nullptr ? static_cast<int>(kFields) : last->last_field();
  record.begins_row = last_field >= static_cast<int>(kFields) - 1 || !random_.Chance(25);
  record.step = step + (record.begins_row ? static_cast<Step>(random_.Between(1, 2)) : 0);
  const std::uint64_t most = wide_ && random_.Chance(30) ? 3000 : random_.Chance(5) ? 50 : 4;
  const int lengths[kFields] = {1, static_cast<int>(random_.Below(most)), 2, 1};
  for (std::size_t field = 0; field < kFields; ++field) {
    const bool allowed = record.begins_row || static_cast<int>(field) > last_field;
    if (allowed && random_.Chance(60)) record.lengths[field] = lengths[field];
  }
  if (!record.begins_row && record.last_field() < 0) record.lengths[kFields - 1] = 1;
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
  Rows(std::span<const ModelRecord> records, bool broken) {
    for (const ModelRecord& record : records) steps_.push_back(record.step);
    for (std::size_t field = 0; field < kFields; ++field) {
      offsets_[field].push_back(0);
      for (const ModelRecord& record : records) {
        present_[field].push_back(record.lengths[field] != kMissing);
        for (int i = 0; i < record.lengths[field]; ++i)
          values_[field].push_back(record.value(field, i));
        offsets_[field].push_back(static_cast<std::int64_t>(values_[field].size()));
      }
      if (broken && field + 1 == kFields) values_[field].back() = 2;  // not a valid bool
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
  std::array<std::vector<Value>, kFields> values_;
  std::array<std::vector<std::int64_t>, kFields> offsets_;
  std::array<std::vector<std::uint8_t>, kFields> present_;
  std::vector<Column> columns_;
};

void Lives::CallExtend(const std::vector<ModelRecord>& records, bool broken) {
  const Rows rows(records, broken);
  store_->Extend(rows.steps(), rows.columns());
}

// Imports records with several calls. The kernel may write pages back, or a sync run, between them.
void Lives::CallStaged(const std::vector<ModelRecord>& records, bool broken, bool commit) {
  StagedRows staged = store_->Stage();
  for (std::span<const ModelRecord> left(records); !left.empty();) {
    const std::span<const ModelRecord> now = left.first(random_.Between(1, left.size()));
    left = left.subspan(now.size());
    const Rows rows(now, broken && left.empty());
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
    }
    appended_ = true;
    closing_ = false;
    pending_.reset();
    cut_off_.clear();
    before_cut_ = 0;  // later reports do not repeat the rows that earlier recoveries removed
    model_.records.insert(model_.records.end(), call.begin(), call.end());
    counts_.records += call.size();
  }
}

// Makes a call that is refused for its last value. The values written before it lie beyond the end.
void Lives::Refuse() {
  std::vector<ModelRecord> records = NextRecords(random_.Between(1, 3));
  replay_.clear();
  records.resize(FitOneCall(records));
  records.back().lengths[kFields - 1] = 1;
  const std::uint64_t before = store_->reader().records();
  if (Attempt(records, /*broken=*/true)) Fail("a call with a value that does not belong was taken");
  if (!disk_.dead() && store_->reader().records() != before)
    Fail("a refused call stored something");
  counts_.refused += 1;
}

void Lives::Sync() {
  Tell("sync");
  try {
    const std::uint64_t rows = store_->Sync();
    if (disk_.dead()) return;
    if (rows != model_.rows(model_.records.size())) {
      Fail(StrCat("sync says that ", rows, " rows are durable of ",
                  model_.rows(model_.records.size())));
    }
  } catch (const Error&) {
    if (!disk_.dead()) throw;
    return;
  }
  model_.synced = model_.records.size();
  counts_.syncs += 1;
}

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
  pending_ = Pending{.kept = ends[row], .old = model_.records, .synced = model_.synced};
  failing_ = random_.Chance(15);
  if (failing_) disk_.FailSync(random_.Between(1, 9));
  Tell(StrCat("truncation from ", model_.records.size(), " to ", ends[row], " records"));
  try {
    store_->Truncate(row);
  } catch (const Error& error) {
    Tell(StrCat("  ", error.what()));
    if (!disk_.dead() && !(failing_ && error.code() == ErrorCode::kIo)) throw;
    poisoned_ = failing_;
  }
  failing_ = false;
  disk_.FailSync(0);
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
  failing_ = random_.Chance(15);
  if (failing_) disk_.FailSync(random_.Between(1, 9));
  if (!failing_ && random_.Chance(20)) disk_.DieAtCall(random_.Between(1, 12));
  Tell(StrCat("drop of the rows from ", first, " to ", row));
  try {
    store_->DropBefore(row);
  } catch (const Error& error) {
    Tell(StrCat("  ", error.what()));
    if (!disk_.dead() && !(failing_ && error.code() == ErrorCode::kIo)) throw;
    poisoned_ = failing_;
  }
  failing_ = false;
  disk_.FailSync(0);
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

// Makes the next fdatasync fail, in a sync or in any other call that syncs.
void Lives::FailSync() {
  failing_ = true;
  disk_.FailSync(random_.Between(1, 6));
  Append(1);
  if (!poisoned_ && !disk_.dead()) {
    Tell("sync that may fail");
    try {
      store_->Sync();
      if (!disk_.dead()) model_.synced = model_.records.size();
    } catch (const Error& error) {
      Tell(StrCat("  ", error.what()));
      if (!disk_.dead() && error.code() != ErrorCode::kIo) throw;
      poisoned_ = true;
    }
  }
  failing_ = false;
  disk_.FailSync(0);
  if (!disk_.dead() && poisoned_) RequirePoisoned();
}

void Lives::RequirePoisoned() {
  counts_.failed_syncs += 1;
  const auto refused = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code() == ErrorCode::kIo;
    }
    return false;
  };
  if (!refused([&] { store_->Sync(); })) Fail("a sync after a failed sync succeeded");
  if (!refused([&] { store_->Append(1'000'000'000, {}); })) {
    Fail("an append after a failed sync succeeded");
  }
  Reader reader = store_->reader();
  if (reader.records() != model_.records.size()) Fail("a failed sync hides records from a reader");
  model_.Check(reader, random_);
}

}  // namespace stream_store::crash
