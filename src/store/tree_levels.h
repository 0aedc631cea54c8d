// The nodes of a PriorityTree: one array of slots for each level, and a root.
//
// Level 0 holds the weights of the leaves. Slot s of level l + 1 belongs to node s of level l, which
// is slots [8 s, 8 s + 8): it holds the sum of that node. So slot s of level l belongs to the leaves
// [8^l s, 8^l (s + 1)). Slots are counted from leaf 0, so dropping leaves moves nothing.
//
// The root stands above the levels. It holds the up to 8 slots of level `height` that there are,
// and may begin at any slot. Without this, a tree that was dropped up to leaf 8^15 - 1 would need
// 15 levels for two leaves. `height` is the least for which they are at most 8.
//
// Slots outside the leaves [first, size) are 0 in all pages that exist.
//
// If extremes are kept, levels 1 and above and the root have two more arrays of the same shape: the
// smallest number above 0 of each node, or 0, and the largest.
//
// Used by priority_tree.cc, which checks the arguments. Thread rules: those of PriorityTree.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "store/paged_slots.h"

namespace stream_store::internal {

class TreeLevels {
 public:
  /// The largest number of leaves that Write() and targets that Descend() work on at a time.
  static constexpr std::size_t kBlock = 256;

  TreeLevels(bool keep_extremes, std::uint64_t first) noexcept
      : keep_extremes_(keep_extremes), first_(first), size_(first) {}

  std::uint64_t first() const noexcept { return first_; }

  std::uint64_t size() const noexcept { return size_; }

  double total() const noexcept;

  /// The weight of a leaf. REQUIRES: first() <= leaf && leaf < size().
  double Read(std::uint64_t leaf) const noexcept;

  /// The smallest weight above 0, or 0; and the largest weight.
  double MinPositive() const noexcept;
  double Max() const noexcept;

  std::uint64_t memory_bytes() const noexcept;

  /// Appends leaves. If it throws std::bad_alloc, nothing has changed. REQUIRES: size >= size().
  void Grow(std::uint64_t size, double weight);

  /// Removes the leaves outside [first, size), and their memory.
  /// REQUIRES: this->first() <= first && first <= size && size <= this->size().
  void Shrink(std::uint64_t first, std::uint64_t size) noexcept;

  /// Sets the weights of leaves; the last one counts if a leaf is repeated.
  /// REQUIRES: as many weights as leaves, each leaf in [first(), size()).
  void Write(std::span<const std::uint64_t> leaves, std::span<const double> weights) noexcept;

  /// Finds a leaf for each target. A target at or beyond the end finds the last leaf above 0.
  /// REQUIRES: as many leaves as targets, at most kBlock; targets >= 0; total() > 0.
  void Descend(std::span<double> targets, std::span<std::uint64_t> leaves) const noexcept;

 private:
  struct Level {
    PagedSlots sums;    // of level 0: the weights
    PagedSlots minima;  // empty for level 0, or if extremes are not kept
    PagedSlots maxima;
  };

  struct alignas(64) Root {
    std::array<double, PagedSlots::kNodeSlots> sums{};
    std::array<double, PagedSlots::kNodeSlots> minima{};
    std::array<double, PagedSlots::kNodeSlots> maxima{};
  };

  unsigned height() const noexcept { return static_cast<unsigned>(levels_.size()); }

  std::uint64_t EndNode() const noexcept;

  bool HasExtremes(unsigned level) const noexcept { return keep_extremes_ && level > 0; }

  void Cover(Level& level, unsigned number, std::uint64_t size) const;
  void Prefetch(unsigned level, std::uint64_t slot) const noexcept;
  void Refresh(unsigned level, std::uint64_t slot) noexcept;
  void RefreshAll(unsigned level, SlotRange slots) noexcept;
  void RefreshRoot() noexcept;
  void WriteBlock(std::span<const std::uint64_t> leaves, std::span<const double> weights) noexcept;

  bool keep_extremes_;
  std::uint64_t first_;
  std::uint64_t size_;
  std::vector<Level> levels_;  // from the leaves up; none if there is no leaf
  std::uint64_t root_first_ = 0;
  Root root_;
};

}  // namespace stream_store::internal
