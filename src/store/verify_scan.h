// StoreScan: one walk over everything in a store, for Verify() and Repair().
//
// It checks, in this order: the control file, the sizes of the data files, each record together
// with its layout, values, block fields and hints, and the sentinel. Everything wrong becomes a Finding, also a
// read that fails; only errors of the caller's progress function are thrown.
//
// Used by verify.cc. Thread rules: an object is used by one thread, for one Run().
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "stream_store/verify.h"

#include "storage/damaged_files.h"
#include "storage/record_verifier.h"
#include "store/salvage.h"
#include "store/verify_blocks.h"

namespace stream_store::internal {

class StoreScan {
 public:
  /// live  a writer has the store open, so all published records must be valid. Without a writer,
  ///       records after the last sync may be invalid, as after a power failure.
  StoreScan(DamagedFiles& files, bool live, VerifyOptions options)
      : files_(files), options_(std::move(options)), blocks_(files.encodings) {
    report_.live = live;
  }

  void Add(Finding finding);

  /// Walks over the whole store, or up to its first damaged record.
  void Run(bool to_first_damage);

  /// The end of the longest valid prefix that Run() found.
  const Cursor& good() const noexcept { return good_; }

  /// The records that the store should have, according to its slots and live words.
  SalvageExtent extent() const {
    return {.records = counted_, .slot = report_.live ? std::nullopt : slot_};
  }

  VerifyReport& report() noexcept { return report_; }

 private:
  // A record, and the finding about it if it is not valid.
  struct CheckedRecord {
    VerifiedRecord record;
    std::optional<Finding> finding;
  };

  void Damage(const char* file, std::uint64_t offset, std::string subject, std::string expected,
              std::string found);
  void Notice(const char* file, std::uint64_t offset, std::string subject, std::string expected,
              std::string found);
  void ReadSlots();
  void ExpectZeros(std::uint64_t begin, std::uint64_t end, const char* subject);
  void CheckControl();
  void CheckLiveWords();
  void CheckSizes(RecordVerifier& verifier);
  void ExpectEnd(Kind kind, std::uint64_t wanted, std::uint64_t there, std::uint64_t entry_bytes);
  void LimitEnd(RecordVerifier& verifier);
  void CheckRecords(RecordVerifier& verifier, bool to_first_damage);
  void WriteTotals();
  CheckedRecord CheckRecord(RecordVerifier& verifier, std::uint64_t i, const Cursor* cursor);

  // Whether record i has a field that did not exist yet when it was written. The fields that were
  // added last have the highest types.
  bool HasLaterField(RecordVerifier& verifier, std::uint64_t i, std::uint32_t layout) const {
    if (files_.schema->revision() == 0) {
      return false;
    }
    const std::int32_t last_type = verifier.Layout(layout).last_type;
    return last_type >= 0 && files_.schema->since(static_cast<TypeId>(last_type)) > i;
  }

  std::optional<Finding> CheckBlocks(RecordVerifier& verifier, std::uint64_t i,
                                     const Record& record);
  void AddUnsyncedEnd(std::uint64_t i, const CheckedRecord& checked);
  bool OpeningEndsBefore(std::uint64_t row_session, std::uint64_t i) const;

  // Where a run that begins at record i ends: at the first and the last record of the slot, between
  // which its field-writes are counted, at the end of the walk, or where progress may be due.
  std::uint64_t EndOfRun(std::uint64_t i) const {
    constexpr std::uint64_t kRecordsPerRun = 1 << 16;  // between chances to report progress
    std::uint64_t end = std::min(end_, i + kRecordsPerRun);
    if (slot_) {
      for (const std::uint64_t place : {slot_->begin.records, slot_->records}) {
        end = i < place ? std::min(end, place) : end;
      }
    }
    return end;
  }

  std::uint64_t CheckRun(RecordVerifier& verifier, std::uint64_t i, std::uint64_t stop);
  std::uint64_t CheckOne(RecordVerifier& verifier, std::uint64_t i, std::uint64_t synced);
  std::optional<std::uint64_t> SkipDropped(RecordVerifier& verifier, std::uint64_t i);
  void LookAtSlot(std::uint64_t i);
  void CompareWithSlot();
  void CheckHints(std::uint64_t record, const Record& words, std::uint64_t total, bool begins_row);
  void OpenHints();
  void ExpectHint(std::uint64_t slot, Kind kind, std::uint64_t record);
  void CheckBeyondPublished(RecordVerifier& verifier);
  void CheckSentinel(RecordVerifier& verifier);
  void ReportProgress(std::uint64_t records, std::uint64_t values);

  DamagedFiles& files_;
  const VerifyOptions options_;
  BlockChecker blocks_;
  VerifyReport report_;
  std::array<std::optional<Slot>, 2> slots_;
  std::optional<Slot> slot_;  // the newest valid one
  std::uint64_t published_ = 0;
  std::uint64_t counted_ = 0;  // records that the slot or `published` counts, inside the file
  std::uint64_t end_ = 0;      // records that the store says it holds; the walk ends here
  Cursor cursor_;              // the place after the last valid record
  Cursor good_;
  bool intact_ = true;          // no damaged record so far
  bool cursor_is_next_ = true;  // the next record should begin at cursor_: false after damage
  bool slot_compared_ = false;  // CompareWithSlot() was done
  std::optional<std::uint64_t>
      writes_before_slot_;         // field-writes of the cursor where slot_ begins
  bool hint_reported_ = false;     // a wrong hint was reported
  bool calling_progress_ = false;  // in the caller's progress function
  std::optional<WordFile<std::uint64_t>> position_hints_;
  std::optional<WordFile<std::uint64_t>> row_hints_;
  std::uint16_t last_session_ = 0;    // of the last valid record
  std::uint64_t reported_bytes_ = 0;  // at the last progress report
};

}  // namespace stream_store::internal
