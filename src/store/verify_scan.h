// Scan: one walk over everything in a store, behind Verify() and Repair().
//
// Thread rules: one thread, once. Reads with pread(); what cannot be read is a finding too.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "stream_store/verify.h"

#include "storage/damaged_files.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

class Scan {
 public:
  /// `live`: a writer has the store open; then all that is published must be right.
  Scan(const DamagedFiles& files, bool live, VerifyOptions options)
      : files_(files), options_(std::move(options)) {
    report_.live = live;
  }

  void Add(Finding finding);

  /// Walks over all of it, or until the first damaged record.
  void Run(bool to_first_damage);

  /// The longest valid prefix that Run() found.
  const Cursor& good() const noexcept { return good_; }

  VerifyReport& report() noexcept { return report_; }

 private:
  void Damage(const char* file, std::uint64_t offset, std::string subject, std::string expected,
              std::string found);
  void Notice(const char* file, std::uint64_t offset, std::string subject, std::string expected,
              std::string found);
  void ReadSlots();
  void ExpectZeros(std::uint64_t begin, std::uint64_t end, const char* subject);
  void CheckControl();
  void CheckLiveWords();
  void CheckSizes(RecordVerifier& image);
  void Walk(RecordVerifier& image, bool to_first_damage);
  bool Prove(RecordVerifier& image, std::uint64_t i, const Cursor* cursor, VerifiedRecord& seen,
             Finding& finding);
  void EndWalk(std::uint64_t i, bool right, const VerifiedRecord& seen, Finding finding);
  bool WalkEndsBefore(std::uint64_t row_session, std::uint64_t i) const;
  std::uint64_t NextStop(std::uint64_t i) const;
  std::uint64_t RunAhead(RecordVerifier& image, std::uint64_t i, std::uint64_t stop);
  void TakeRecord(RecordVerifier& image, std::uint64_t i, std::uint64_t synced);
  void AtBase();
  void Hints(std::uint64_t record, const Record& seen, std::uint64_t total, bool begins);
  void ExpectHint(std::uint64_t slot, bool of_row, std::uint64_t record);
  void CheckBeyondPublished(RecordVerifier& image);
  void CheckSentinel(RecordVerifier& image);
  void Tell(std::uint64_t records, std::uint64_t values);

  const DamagedFiles& files_;
  const VerifyOptions options_;
  VerifyReport report_;
  std::array<std::optional<Slot>, 2> slots_;
  std::optional<Slot> slot_;  // the newest valid one
  std::uint64_t published_ = 0;
  std::uint64_t end_ = 0;   // of the walk: records that the store says it holds
  Cursor cursor_;           // behind the last record that was right
  bool whole_ = true;       // no damage so far
  bool aligned_ = true;     // the cursor is where the next record should begin
  bool base_seen_ = false;  // AtBase() has looked
  Cursor good_;
  std::optional<WordFile<Hint>> position_hints_;  // one buffer each: they move at different speeds
  std::optional<WordFile<Hint>> row_hints_;
  bool hint_told_ = false;
  std::uint16_t last_session_ = 0;
  std::uint64_t told_bytes_ = 0;
  bool telling_ = false;  // in the caller's progress function
};

}  // namespace stream_store::internal
