// RowSet: a set of rows that counts and finds its members by their rank.
//
// One bit for each row, and one running count for each block of 512 rows: 1.125 bits a row. Samplers
// keep their valid anchors in it: the n-th valid anchor is Select(n).
//
// Used by indexed_starts.cc. Thread rules: an object belongs to its owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/assert.h"

namespace stream_store::internal {

class RowSet {
 public:
  RowSet() = default;

  /// An empty set, for rows from `first` on.
  explicit RowSet(std::uint64_t first) : base_(first / kBlockRows * kBlockRows) {}

  /// Adds a row. Adding a row again changes nothing. REQUIRES: row >= that of the
  /// constructor and of each RemoveBefore().
  void Add(std::uint64_t row) {
    STREAM_STORE_ASSERT(row >= base_);
    const std::uint64_t block = (row - base_) / kBlockRows;
    if ((block + 1) * kBlockWords > bits_.size()) [[unlikely]] {
      bits_.resize((block + 1) * kBlockWords, 0);
    }
    bits_[(row - base_) / kWordBits] |= std::uint64_t{1} << row % kWordBits;
    first_changed_ = std::min(first_changed_, block);
  }

  /// Removes a row, if it is in the set.
  void Remove(std::uint64_t row) noexcept;

  /// Removes all rows before this one, and frees their memory.
  void RemoveBefore(std::uint64_t row);

  bool Contains(std::uint64_t row) const noexcept;

  /// Fetches the memory that Contains() will read, without waiting for it.
  void Prefetch(std::uint64_t row) const noexcept {
    const std::uint64_t word = (row - base_) / kWordBits;  // a row before base_ wraps around
    if (word < bits_.size()) {
      __builtin_prefetch(&bits_[word]);
    }
  }

  /// Makes the counts agree with the rows. To be called after changes, before Rank() and Select().
  /// Cost: one pass over the bits from the first block that changed.
  void Count();

  /// The number of rows in the set.
  std::uint64_t size() const noexcept { return size_; }

  /// The number of rows in the set that are less than `row`.
  std::uint64_t Rank(std::uint64_t row) const noexcept;

  /// rows[i] = the row with rank ranks[i]. REQUIRES: ranks[i] < size(), rows.size() ==
  /// ranks.size().
  void Select(std::span<const std::uint64_t> ranks, std::span<std::uint64_t> rows) const;

 private:
  static constexpr std::uint64_t kWordBits = 64;
  static constexpr std::uint64_t kBlockWords = 8;  // one cache line
  static constexpr std::uint64_t kBlockRows = kWordBits * kBlockWords;

  std::uint64_t base_ = 0;             // row of the first bit, a multiple of kBlockRows
  std::vector<std::uint64_t> bits_;    // whole blocks
  std::vector<std::uint64_t> counts_;  // of each block, the number of rows in those before it
  std::uint64_t first_changed_ = 0;    // counts_ is right up to this block
  std::uint64_t size_ = 0;
};

}  // namespace stream_store::internal
