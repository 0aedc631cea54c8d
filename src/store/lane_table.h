// LaneTable: numbers the lanes of a store by the values of their key fields.
//
// A hash table with linear probing, of lane numbers only; the keys are in a list of their own. Agents
// mostly act in turn, or one of them several times, so the table first looks whether the lane is the
// one that followed the last lane before.
//
// Used by lane_index.cc. Thread rules: an object belongs to its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

namespace stream_store::internal {

class LaneTable {
 public:
  /// Keys have `width` words.
  explicit LaneTable(std::size_t width) : width_(width) {}

  /// The number of the lane with this key; a key that is new gets the next number.
  /// REQUIRES: key.size() == width.
  std::uint32_t Number(std::span<const Value> key);

  /// The number of lanes.
  std::size_t size() const noexcept { return count_; }

 private:
  static constexpr std::uint32_t kFree = 0xffffffff;

  bool Is(std::uint32_t lane, std::span<const Value> key) const noexcept;
  std::uint32_t Find(std::span<const Value> key);
  void Grow();

  std::size_t width_;
  std::size_t count_ = 0;
  std::vector<Value> keys_;           // `width_` words for each lane
  std::vector<std::uint32_t> slots_;  // lane numbers, or kFree; at most half of them are used
  std::vector<std::uint32_t> next_;   // of each lane: the lane that followed it the last time
  std::uint32_t last_ = 0;            // the lane that was numbered last
};

}  // namespace stream_store::internal
