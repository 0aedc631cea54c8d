#include "store/row_set.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "store/search_many.h"

namespace stream_store::internal {
namespace {

// The place of the set bit of a word that has `before` set bits before it.
std::uint64_t SelectBit(std::uint64_t word, std::uint64_t before) noexcept {
  std::uint64_t place = 0;
  for (std::uint64_t width = 32; width > 0; width /= 2) {
    const std::uint64_t low = word & ((std::uint64_t{1} << width) - 1);
    const auto count = static_cast<std::uint64_t>(std::popcount(low));
    const bool above = before >= count;
    before -= above ? count : 0;
    place += above ? width : 0;
    word = above ? word >> width : low;
  }
  return place;
}

}  // namespace

void RowSet::Remove(std::uint64_t row) noexcept {
  if (!Contains(row)) {
    return;
  }
  bits_[(row - base_) / kWordBits] &= ~(std::uint64_t{1} << row % kWordBits);
  first_changed_ = std::min(first_changed_, (row - base_) / kBlockRows);
}

bool RowSet::Contains(std::uint64_t row) const noexcept {
  if (row < base_ || (row - base_) / kWordBits >= bits_.size()) {
    return false;
  }
  return (bits_[(row - base_) / kWordBits] >> row % kWordBits & 1) != 0;
}

void RowSet::RemoveBefore(std::uint64_t row) {
  if (row <= base_) {
    return;
  }
  const std::uint64_t blocks = std::min((row - base_) / kBlockRows, bits_.size() / kBlockWords);
  bits_.erase(bits_.begin(), bits_.begin() + static_cast<std::ptrdiff_t>(blocks * kBlockWords));
  base_ = bits_.empty() ? row / kBlockRows * kBlockRows : base_ + blocks * kBlockRows;
  first_changed_ = 0;
  for (std::size_t word = 0; word < bits_.size() && base_ + word * kWordBits < row; ++word) {
    const std::uint64_t past = row - (base_ + word * kWordBits);  // bits of the word before `row`
    bits_[word] &= past >= kWordBits ? 0 : ~std::uint64_t{0} << past;
  }
}

void RowSet::Count() {
  const std::size_t blocks = bits_.size() / kBlockWords;
  if (first_changed_ >= blocks && counts_.size() == blocks) {
    return;
  }
  std::uint64_t count = first_changed_ == counts_.size() ? size_ : counts_[first_changed_];
  counts_.resize(blocks);
  for (std::size_t block = first_changed_; block < blocks; ++block) {
    counts_[block] = count;
    for (std::size_t word = block * kBlockWords; word < (block + 1) * kBlockWords; ++word) {
      count += static_cast<std::uint64_t>(std::popcount(bits_[word]));
    }
  }
  size_ = count;
  first_changed_ = blocks;
}

std::uint64_t RowSet::Rank(std::uint64_t row) const noexcept {
  if (row <= base_ || bits_.empty()) {
    return 0;
  }
  const std::uint64_t bit = row - base_;
  if (bit / kWordBits >= bits_.size()) {
    return size_;
  }
  std::uint64_t rank = counts_[bit / kBlockRows];
  for (std::uint64_t word = bit / kBlockRows * kBlockWords; word < bit / kWordBits; ++word) {
    rank += static_cast<std::uint64_t>(std::popcount(bits_[word]));
  }
  const std::uint64_t below = (std::uint64_t{1} << bit % kWordBits) - 1;
  return rank + static_cast<std::uint64_t>(std::popcount(bits_[bit / kWordBits] & below));
}

void RowSet::Select(std::span<const std::uint64_t> ranks, std::span<std::uint64_t> rows) const {
  STREAM_STORE_ASSERT(std::ranges::all_of(ranks, [&](auto rank) { return rank < size(); }) &&
                      rows.size() == ranks.size());
  if (ranks.empty()) {
    return;
  }
  SearchMany(counts_.data(), counts_.size(), ranks, rows);
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    std::uint64_t before = ranks[i] - counts_[rows[i]];
    std::uint64_t word = rows[i] * kBlockWords;
    for (std::uint64_t count = 0;
         before >= (count = static_cast<std::uint64_t>(std::popcount(bits_[word]))); ++word) {
      before -= count;
    }
    rows[i] = base_ + word * kWordBits + SelectBit(bits_[word], before);
  }
}

}  // namespace stream_store::internal
