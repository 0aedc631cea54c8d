// Lives: runs one store from its creation through several lives and crashes, and compares it with
// the Model.
//
// A life consists of opening the store, appending (rows, continuations, several steps at once,
// calls that are refused, the same records as before a crash and then others), syncing, truncating,
// dropping rows, adding fields, setting limits, updating a checkpoint, and a death: the machine, the
// process or a sync fails. After each death the real Reader and the real writer recover the store,
// and both must agree with the Model; so must a Reader of the checkpoint.
//
// Where a change did not end, the store may have it or not. The alternatives are kept until the disk
// was read after a power cut, or until a writer has opened the store: both are final.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/store.h"

#include "crash/disk.h"
#include "crash/model.h"
#include "crash/random.h"

namespace stream_store::crash {

/// Counts of events, over many stores.
struct Counts {
  std::uint64_t stores = 0;
  std::uint64_t records = 0;  ///< appended
  std::uint64_t refused = 0;  ///< calls with an invalid value
  std::uint64_t syncs = 0;
  std::uint64_t failed_syncs = 0;
  std::uint64_t truncations = 0;
  std::uint64_t drops = 0;
  std::uint64_t added = 0;           ///< calls that added fields
  std::uint64_t limits = 0;          ///< calls that set limits
  std::uint64_t retained = 0;        ///< closes that dropped rows because of limits
  std::uint64_t copies = 0;          ///< checkpoints that were made or updated
  std::uint64_t copies_failed = 0;   ///< updates in which a sync failed or the process died
  std::uint64_t copies_refused = 0;  ///< updates of checkpoints that have other rows
  std::uint64_t copies_checked = 0;  ///< after a death
  std::uint64_t given_up = 0;        ///< imports that staged rows and did not commit them
  std::uint64_t power_cuts = 0;
  std::uint64_t process_deaths = 0;
  std::uint64_t inside_calls = 0;  ///< deaths at a system call, of both kinds
  std::uint64_t clean_closes = 0;
  std::uint64_t dropped_pages = 0;  ///< times pages of a failed sync were read back from the disk
  std::uint64_t cuts = 0;           ///< recoveries that removed records
  std::uint64_t records_cut = 0;
  std::uint64_t unsynced_kept = 0;  ///< records that survived a power cut without a sync
  std::uint64_t session_jumps = 0;

  std::uint64_t crashes() const noexcept { return power_cuts + process_deaths; }
};

std::ostream& operator<<(std::ostream& out, const Counts& counts);

class Lives {
 public:
  /// directory  is where the store is made.
  /// seed       determines everything that happens.
  /// trace      receives a line per event, unless it is null.
  Lives(std::uint64_t seed, std::filesystem::path directory, Counts& counts, std::ostream* trace);

  /// Throws std::runtime_error or Error if the store differs from the Model.
  void Run();

 private:
  class Rows;

  // Between deaths.
  void NearlyFillChunk();
  void Live();
  void Act();
  void Append(std::uint64_t most);
  void Refuse();
  void Truncate();
  void Drop();
  void AddFields();
  void SetLimits();
  Retention RandomLimits();
  Row FirstRowToRetain(Row first) const;
  void ArmFault(std::uint64_t most_syncs, std::uint64_t most_calls);
  bool Fails(const std::string& what, const std::function<void()>& change);
  void DisarmFault();
  bool WriterEnded();
  void Sync();
  void FailSync();
  void RequirePoisoned();
  static std::size_t FitOneCall(const std::vector<ModelRecord>& records);
  bool Attempt(const std::vector<ModelRecord>& records, bool broken);
  void CallGroups(const std::vector<ModelRecord>& records, bool broken);
  void CallExtend(const std::vector<ModelRecord>& records, bool broken);
  void CallStaged(const std::vector<ModelRecord>& records, bool broken, bool commit);
  void GiveUp();
  std::vector<ModelRecord> NextRecords(std::uint64_t count);
  ModelRecord NextRecord(const ModelRecord* last);
  bool Full() const;

  // The checkpoint.
  void UpdateCopy();
  void ExpectOfCopy(const Model& now, const Model& wanted);
  enum class Answer { kTaken, kRefused, kEither };
  static Answer AnswerTo(const Model& copy, const Model& wanted);
  const Model* CheckCopy();
  void RemoveCopy();

  // Deaths and recoveries.
  void End();
  void Close();
  void Crash(bool power);
  void NextProcess();
  void Recover();
  void SettleTruncation(std::size_t found);
  void CheckFirstRow(const Reader& reader);
  void CheckFields(const Reader& reader);
  void CheckLimits(const Reader& reader);
  void ExpectLoweredFields();
  void SettleChanges();
  void Resurrect(std::size_t found);
  void CheckReport(const Recovery& report, std::size_t found) const;
  void Reopen();
  Options StoreOptions() const;
  void Tell(const std::string& what);

  // A truncation that did not end: recovery finds all old records, or exactly those kept.
  struct Pending {
    std::size_t kept = 0;
    std::vector<ModelRecord> old;
    std::size_t synced = 0;     // of the old ones
    std::size_t closed_at = 0;  // and of the close before
    bool closing = false;
    bool seen = false;  // a recovery has found the records that are kept
  };

  Random random_;
  std::filesystem::path path_;
  std::filesystem::path copy_path_;
  Counts& counts_;
  std::ostream* trace_;
  const bool wide_;  // long lists, large files
  const bool
      plain_;  // one shape, consecutive steps: abandoned records are most likely to look valid
  SimulatedDisk disk_;
  Model model_;
  std::optional<StreamStore> store_;
  std::vector<ModelRecord> replay_;   // records that a crash removed, to be appended again
  std::vector<ModelRecord> cut_off_;  // the same, until something is appended
  std::optional<Pending> pending_;
  std::vector<Row> pending_first_;    // of drops that did not end, or may be in memory only
  std::vector<Added> pending_added_;  // of fields, likewise
  Retention limits_;
  std::vector<Retention> pending_limits_;  // likewise
  std::vector<Model> copies_;              // the states that the checkpoint may have
  bool no_copy_ = true;                    // it may not exist
  bool jumped_ = false;                    // session numbers come again
  std::uint64_t serials_ = 0;
  Recovery report_;
  std::size_t closed_at_ = 0;   // records when a clean slot was last attempted
  bool closing_ = true;         // a clean slot may be the newest
  bool appended_ = false;       // in this life
  bool failing_ = false;        // a sync is about to fail
  bool poisoned_ = false;       // a sync of this life failed
  bool may_lose_ = false;       // the next recovery may remove unsynced records
  std::size_t before_cut_ = 0;  // the most records since the last append or close
  bool power_was_cut_ = false;  // since the last recovery: page cache and disk are the same
};

}  // namespace stream_store::crash
