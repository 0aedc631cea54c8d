// Salvage: chooses the records of a damaged store that Repair() copies, and counts what is lost.
//
// It walks over the records once, in order, and keeps each row of which every record is valid:
//   1. A record counts if VerifyRecord() accepts it, if it follows the last one that counted, and
//      if opening the store could accept its session.
//   2. Records that do not count are damaged. The rows between the neighbours of a run of damaged
//      records are lost; FindIncomplete() decides about the neighbours.
//   3. A row with an invalid block field is lost as well.
//   4. The kept rows are numbered without gaps.
// Rows are held back until the next row begins, since a later gap may drop them.
//
// Used by verify.cc. Thread rules: an object belongs to one thread, for one Run().
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/verify.h"

#include "format/control.h"
#include "storage/damaged_files.h"
#include "storage/record_copier.h"
#include "storage/record_verifier.h"
#include "store/salvage_gap.h"
#include "store/verify_blocks.h"

namespace stream_store::internal {

/// The records that a store should have.
struct SalvageExtent {
  std::uint64_t records = 0;  ///< the walk ends here
  std::optional<Slot>
      slot;  ///< the newest valid slot; nothing if none is valid or a writer is live
};

/// The gaps of a repair. Lists the first ones and counts all.
class GapList {
 public:
  explicit GapList(std::uint64_t most) : most_(most) {}

  /// Adds lost rows, in order. Rows next to the last gap extend it, and keep its reason.
  void Add(const Gap& gap);

  std::vector<Gap>& gaps() noexcept { return gaps_; }

  std::uint64_t count() const noexcept { return count_; }

  std::uint64_t rows() const noexcept { return rows_; }

 private:
  std::uint64_t most_;
  std::vector<Gap> gaps_;
  std::uint64_t count_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t end_ = 0;  // the row after the last gap
};

class Salvage {
 public:
  /// All of them must outlive the object. REQUIRES: files.verifiable().
  Salvage(const DamagedFiles& files, const SalvageExtent& extent, GapList& gaps);

  /// Copies the intact rows. Throws what the copier throws.
  void Run(RecordCopier& copier);

 private:
  // The row that is being read, with its valid records so far.
  struct OpenRow {
    std::uint64_t row = 0;
    std::vector<VerifiedRecord> records;
    std::string lost;  // the reason why it is lost, or empty
  };

  std::string Fault(std::uint64_t i, VerifiedRecord& verified);
  const char* WhyNot(std::uint64_t i, const VerifiedRecord& verified) const;
  const char* WhyNotAfterGap(std::uint64_t i, const VerifiedRecord& verified) const;
  bool OtherSession(std::uint64_t i, const Record& record) const;
  void Take(std::uint64_t i, const VerifiedRecord& verified, RecordCopier& copier);
  void EndGap(std::uint64_t i, const VerifiedRecord& verified, RecordCopier& copier);
  void CheckBlocks(const Record& record);
  void CloseRow(RecordCopier& copier);
  void EndWithGap(RecordCopier& copier);
  void Lose(std::uint64_t first_row, std::uint64_t rows, const std::string& reason,
            const RecordCopier& copier);

  const DamagedFiles& files_;
  const SalvageExtent& extent_;
  GapList& gaps_;
  RecordVerifier verifier_;
  BlockChecker blocks_;
  Cursor cursor_;              // the place after the last record that counted, in the damaged store
  std::uint16_t session_ = 0;  // of that record
  std::optional<OpenRow> row_;
  std::string gap_reason_;  // of the first damaged record since; empty if there is none
  bool only_older_ = true;  // all damaged records since are valid ones of an earlier session
};

}  // namespace stream_store::internal
