// RecordCopier: writes chosen records of one store, one after another, into the files of a new one.
//
// A record keeps its step, session and values. Its start and its row follow from the records before
// it in the copy. Layouts are written anew for each chunk of records, as a writer does it, because a
// record may move to another chunk. So nearly every record gets a new checksum. Used by
// CopyChosen().
// Thread rules: an object belongs to one thread.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "stream_store/schema.h"

#include "format/record.h"
#include "storage/chunk_set.h"
#include "storage/copy_parts.h"
#include "storage/cursor.h"
#include "storage/damaged_files.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

class RecordCopier {
 public:
  /// All of them must outlive the copier. `files` are those of an empty store.
  /// REQUIRES: source.verifiable().
  RecordCopier(const DamagedFiles& source, const ChunkSet& files, ProgressMeter& meter);

  /// Appends a record of the source to the copy, as a part of row `row` of the copy.
  ///
  /// verified  as VerifyRecord() of the source returned it.
  /// Cost      reads its values once; buffers at most 2 MiB.
  /// Throws    Error(kCorrupt) if the values no longer match the checksum, because the file changed
  ///           since it was verified; Error(kNoSpace, kIo), and exceptions of the progress.
  /// REQUIRES: verified.fault == nullptr; row is that of the last record of the copy, or the next.
  void Append(const VerifiedRecord& verified, std::uint64_t row);

  /// Writes what is still buffered, and the sentinel. Returns the end of the copy. Call it once,
  /// after all records.
  Cursor Finish();

  /// The schema of the copy: that of the source, but a field that was added later has its first
  /// record by the numbers of the copy. Call it after Finish().
  Schema schema() const;

  /// The rows of the copy so far.
  std::uint64_t rows() const noexcept { return cursor_.rows; }

 private:
  std::uint32_t CopyValues(const VerifiedRecord& verified, const Record& copy);
  std::uint64_t CopyLayout(const LayoutFacts& layout);
  void NoteSince(std::uint64_t number);
  void FlushValues();
  void FlushRecords();
  void FlushLayouts();

  const DamagedFiles& source_;
  const ChunkSet& files_;
  ProgressMeter& meter_;
  RecordVerifier verifier_;  // of the source
  HintWriter hints_;
  Cursor cursor_;                // the end of the copy, buffers included
  std::vector<Record> records_;  // the last records of the copy, not written yet
  std::vector<Value> values_;    // the last values of the copy, not written yet
  std::uint64_t written_values_ = 0;
  const std::uint64_t chunk_records_;  // records in a chunk
  std::uint64_t layouts_chunk_ = 0;    // the chunk of records that copied_ belongs to
  std::unordered_map<std::uint64_t, std::uint64_t> copied_;  // first words: source -> copy
  std::vector<std::uint64_t> layouts_ = {0};  // the last words of the copy, not written yet
  std::uint64_t written_layouts_ = 0;
  std::vector<std::uint64_t> since_;  // of the copy, for the first types; the others: not yet known
};

}  // namespace stream_store::internal
