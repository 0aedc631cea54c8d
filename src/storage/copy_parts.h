// Shared by the two ways of copying records, CopyStore() and RecordCopier: the sum of the progress,
// and the hints of the copy. Thread rules: an object belongs to one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/verify.h"

#include "base/assert.h"
#include "format/record.h"
#include "storage/chunk_set.h"
#include "storage/cursor.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {

/// The size of a buffer for the bytes of a copy.
inline constexpr std::uint64_t kCopyBlockBytes = 1 << 20;

/// Adds up the bytes of all passes of one copy and reports them.
class ProgressMeter {
 public:
  ProgressMeter(const Progress& progress, std::uint64_t total)
      : progress_(progress), total_(total) {}

  /// Changes the total. REQUIRES: nothing was added yet.
  void SetTotal(std::uint64_t total) noexcept {
    STREAM_STORE_ASSERT(done_ == 0);
    total_ = total;
  }

  /// Adds bytes, and reports. A pass may do more than was planned; it never reports that.
  void Add(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_) {
      progress_(std::min(done_, total_), total_);
    }
  }

  /// Reports that all is done, also if a pass did less than was planned.
  void Finish() { Add(total_ - std::min(done_, total_)); }

 private:
  const Progress& progress_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
};

/// Buffers hints of one kind.
class HintWords {
 public:
  explicit HintWords(const ChunkFiles& files) : files_(files) {}

  void Set(std::uint64_t slot, std::uint64_t record) {
    if (words_.empty() || slot >= first_ + kMost) {
      Flush();
      first_ = slot;
    }
    words_.resize(slot - first_ + 1);
    words_.back() = record;
  }

  void Flush() {
    files_.WriteAt(std::as_bytes(std::span(words_)), first_ * sizeof(std::uint64_t));
    words_.clear();
  }

 private:
  static constexpr std::uint64_t kMost = 1 << 14;
  const ChunkFiles& files_;
  std::uint64_t first_ = 0;
  std::vector<std::uint64_t> words_;
};

/// Writes the hints of records that are given to it in order.
class HintWriter {
 public:
  explicit HintWriter(const ChunkSet& files)
      : positions_(files[Kind::kPositionHints]), rows_(files[Kind::kRowHints]) {}

  void Pass(std::uint64_t record, const VerifiedRecord& verified, const Cursor& before) {
    const std::uint64_t end = before.values + verified.layout.total;
    ForEachHintSlot(before.values, end, [&](std::uint64_t slot) { positions_.Set(slot, record); });
    const std::uint64_t row = RowOfRecord(verified.record.row_session);
    if (row == before.rows && row % kHintStride == 0) {
      rows_.Set(row / kHintStride, record);
    }
  }

  void Finish() {
    positions_.Flush();
    rows_.Flush();
  }

 private:
  HintWords positions_;
  HintWords rows_;
};

}  // namespace stream_store::internal
