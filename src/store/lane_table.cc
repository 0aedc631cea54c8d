#include "store/lane_table.h"

#include <algorithm>

#include "stream_store/error.h"

#include "base/assert.h"
#include "store/permutation.h"

namespace stream_store::internal {
namespace {

std::uint64_t HashOf(std::span<const Value> key) noexcept {
  std::uint64_t hash = 0;
  for (const Value word : key) {
    hash = MixBits(hash ^ (static_cast<std::uint64_t>(word) + kGolden));
  }
  return hash;
}

}  // namespace

// A loop, because std::ranges::equal() would call memcmp() for a word or two.
bool LaneTable::Is(std::uint32_t lane, std::span<const Value> key) const noexcept {
  const Value* words = keys_.data() + lane * width_;
  for (std::size_t i = 0; i < width_; ++i) {
    if (words[i] != key[i]) {
      return false;
    }
  }
  return true;
}

std::uint32_t LaneTable::Number(std::span<const Value> key) {
  STREAM_STORE_ASSERT(key.size() == width_);
  if (count_ > 0) {
    if (const std::uint32_t guess = next_[last_]; Is(guess, key)) [[likely]] {
      last_ = guess;
      return guess;
    }
  }
  const std::uint32_t lane = Find(key);
  if (lane == next_.size()) {
    next_.push_back(lane);
  }
  next_[last_] = lane;
  last_ = lane;
  return lane;
}

std::uint32_t LaneTable::Find(std::span<const Value> key) {
  if (slots_.size() < 2 * (count_ + 1)) {
    Grow();
  }
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = HashOf(key) & mask;
  while (slots_[slot] != kFree) {
    if (Is(slots_[slot], key)) {
      return slots_[slot];
    }
    slot = (slot + 1) & mask;
  }
  if (count_ == kFree) {
    throw Error(ErrorCode::kState, "lane_by: a store can have at most 2^32 - 1 lanes");
  }
  keys_.insert(keys_.end(), key.begin(), key.end());
  slots_[slot] = static_cast<std::uint32_t>(count_);
  return static_cast<std::uint32_t>(count_++);
}

void LaneTable::Grow() {
  std::vector<std::uint32_t> slots(std::max<std::size_t>(2 * slots_.size(), 16), kFree);
  for (std::uint32_t lane = 0; lane < count_; ++lane) {
    std::size_t slot = HashOf(std::span(keys_).subspan(lane * width_, width_)) & (slots.size() - 1);
    while (slots[slot] != kFree) {
      slot = (slot + 1) & (slots.size() - 1);
    }
    slots[slot] = lane;
  }
  slots_ = std::move(slots);
}

}  // namespace stream_store::internal
