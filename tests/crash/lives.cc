// Lives: the order of events between crashes, and syncs.
#include "crash/lives.h"

#include <ostream>
#include <stdexcept>
#include <utility>

#include "base/helper_thread.h"
#include "base/str_cat.h"
#include "format/control.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

constexpr std::uint64_t kSectors[] = {512, 32, 8};

std::vector<Field> NoFields() { return {}; }

[[noreturn]] void Fail(const std::string& what) { throw std::runtime_error(what); }

}  // namespace

std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << c.crashes() << " crashes (" << c.power_cuts << " power cuts, " << c.process_deaths
             << " process deaths; " << c.inside_calls << " inside a system call), "
             << c.clean_closes << " clean closes, " << c.stores << " stores, " << c.records
             << " records, " << c.refused << " refused calls, " << c.syncs << " syncs, "
             << c.failed_syncs << " failed syncs, " << c.truncations << " truncations, " << c.drops
             << " drops, " << c.added << " additions of fields, " << c.limits << " limits set, "
             << c.retained << " closes that dropped rows, " << c.copies << " checkpoints, "
             << c.copies_failed << " interrupted, " << c.copies_refused << " refused, "
             << c.copies_checked << " checked after a death, " << c.given_up
             << " imports given up, " << c.dropped_pages << " times pages dropped, "
             << c.session_jumps << " session jumps; " << c.cuts << " recoveries cut "
             << c.records_cut << " records, " << c.unsynced_kept << " unsynced records survived";
}

Lives::Lives(std::uint64_t seed, std::filesystem::path directory, Counts& counts,
             std::ostream* trace)
    : random_(seed),
      path_(directory / "store"),
      copy_path_(std::move(directory) / "copy"),
      counts_(counts),
      trace_(trace),
      wide_(random_.Below(500) == 0),
      plain_(!wide_ && random_.Chance(40)),
      disk_(random_, kSectors[random_.Below(3)], wide_) {
  internal::SmallestChunkBytes() = SimulatedFile::kPage;
  internal::HelperThread::Allowed() = false;  // limits are enforced when the store is closed
}

void Lives::Tell(const std::string& what) {
  if (trace_ != nullptr) *trace_ << what << std::endl;
}

Options Lives::StoreOptions() const {
  // Small chunks, so that a store of a few hundred records has many.
  return Options{.capacity_values = 1,
                 .chunk_bytes = wide_ ? std::uint64_t{64 << 10} : SimulatedFile::kPage,
                 .fields = pending_added_.empty() ? ModelFields(model_.fields()) : NoFields(),
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
  if (dice < 50) {
    Append(1);
  } else if (dice < 62) {
    Append(random_.Between(2, 5));
  } else if (dice < 69) {
    Refuse();
  } else if (dice < 71) {
    Truncate();
  } else if (dice < 74) {
    Drop();
  } else if (dice < 77) {
    AddFields();
  } else if (dice < 79) {
    SetLimits();
  } else if (dice < 83) {
    UpdateCopy();
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
  CheckFields(reader);
  model_.Check(reader, random_);
  if (random_.Chance(30)) UpdateCopy();  // its rows can still be copied
}

}  // namespace stream_store::crash
