#include "store/tree_levels.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace stream_store::internal {
namespace {

constexpr unsigned kBits = PagedSlots::kNodeBits;
constexpr std::uint64_t kSlots = PagedSlots::kNodeSlots;

// The slots of a level that belong to leaves [first, size).
SlotRange SlotsAt(unsigned level, std::uint64_t first, std::uint64_t size) noexcept {
  STREAM_STORE_ASSERT(first < size);
  return {first >> (kBits * level), ((size - 1) >> (kBits * level)) + 1};
}

// The number of levels below the root.
unsigned HeightFor(std::uint64_t first, std::uint64_t size) noexcept {
  if (first == size) {
    return 0;
  }
  unsigned height = 1;
  for (;; ++height) {
    const SlotRange slots = SlotsAt(height, first, size);
    if (slots.end - slots.begin <= kSlots) {
      return height;
    }
  }
}

// The sum of a node. PickSlot() compares targets with the sums of its first 1, 2, … 7 slots:
//
//     s1 = n0              s2 = n0 + n1         s3 = s2 + n2         s4 = s2 + (n2 + n3)
//     s5 = s4 + n4         s6 = s4 + (n4 + n5)  s7 = s6 + n6         s8 = s6 + (n6 + n7)
//
// s8 is the sum. In this order, and with any rounding, the sums never decrease, and s(i + 1) equals
// s(i) exactly if slot i is 0.
double SumOf(const double* node) noexcept {
  const double half = (node[0] + node[1]) + (node[2] + node[3]);
  return (half + (node[4] + node[5])) + (node[6] + node[7]);
}

constexpr double kNone = std::numeric_limits<double>::infinity();

// The smallest number above 0 of a node; 0 if there is none.
double MinPositiveOf(const double* node) noexcept {
  double least = kNone;
  for (std::uint64_t i = 0; i < kSlots; ++i) {
    least = std::min(least, node[i] > 0 ? node[i] : kNone);
  }
  return least == kNone ? 0 : least;
}

double MaxOf(const double* node) noexcept {
  double largest = node[0];
  for (std::uint64_t i = 1; i < kSlots; ++i) {
    largest = std::max(largest, node[i]);
  }
  return largest;
}

std::uint64_t LastPositive(const double* node) noexcept {
  std::uint64_t last = kSlots - 1;
  while (last > 0 && node[last] <= 0) {
    --last;
  }
  return last;
}

// One step of a binary search: goes on by `step` slots if their sum, with all slots before them, is
// not above the target. `before` is a load from an array rather than a choice of two values, since
// compilers make a branch of the latter. A branch is mispredicted half of the time, and then a batch
// takes four times as long.
void SkipIfBelow(double sum, double target, std::uint64_t step, double& before,
                 std::uint64_t& slot) noexcept {
  const std::array<double, 2> choices{before, sum};
  const auto skips = static_cast<std::uint64_t>(sum <= target);
  before = choices[skips];
  slot += skips * step;
}

// Finds the slot of a node in which the running sum passes `target`, and subtracts the slots before
// it. The slot is above 0, since the sum increases there, unless the target is at or beyond the end
// of the node. The sum of a node is stored in its parent exactly, so this happens only if a
// subtraction was rounded, or if the target was too large from the beginning. Then the last slot
// above 0 is taken, here and in all nodes below.
std::uint64_t PickSlot(const double* node, double& target) noexcept {
  std::uint64_t slot = 0;
  double before = 0;
  SkipIfBelow((node[0] + node[1]) + (node[2] + node[3]), target, 4, before, slot);
  SkipIfBelow(before + (node[slot] + node[slot + 1]), target, 2, before, slot);
  SkipIfBelow(before + node[slot], target, 1, before, slot);
  if (node[slot] <= 0) [[unlikely]] {
    return LastPositive(node);  // the target stays beyond the end of that slot
  }
  target -= before;
  return slot;
}

// Tells whether a node was seen before in a batch. Of two nodes with the same place in the table,
// only the last is known, so some nodes are computed twice. That does no harm, since they are
// computed from their slots. For levels of up to kPlaces nodes, every repetition is found.
class SeenNodes {
 public:
  bool IsNew(unsigned level, std::uint64_t node) noexcept {
    const std::uint64_t key = (node << kLevelBits) + level + 1;  // never 0
    std::uint64_t& known = places_[node % kPlaces];
    const bool is_new = known != key;
    known = key;
    return is_new;
  }

 private:
  static constexpr unsigned kLevelBits = 5;  // a node of the lowest level has less than 48 bits
  static constexpr std::uint64_t kPlaces = 512;
  std::array<std::uint64_t, kPlaces> places_{};
};

}  // namespace

double TreeLevels::total() const noexcept { return SumOf(root_.sums.data()); }

double TreeLevels::Read(std::uint64_t leaf) const noexcept {
  STREAM_STORE_ASSERT(first_ <= leaf && leaf < size_);
  return levels_[0].sums.Slot(leaf);
}

// The node after the last one of level 0. An empty tree has no node, not even an empty one.
std::uint64_t TreeLevels::EndNode() const noexcept {
  return height() == 0 ? 0 : SlotsAt(1, first_, size_).end;
}

double TreeLevels::MinPositive() const noexcept {
  if (keep_extremes_) {
    return MinPositiveOf(root_.minima.data());
  }
  double least = kNone;
  for (std::uint64_t node = first_ >> kBits; node < EndNode(); ++node) {
    const double found = MinPositiveOf(levels_[0].sums.Node(node));
    least = std::min(least, found > 0 ? found : kNone);
  }
  return least == kNone ? 0 : least;
}

double TreeLevels::Max() const noexcept {
  if (keep_extremes_) {
    return MaxOf(root_.maxima.data());
  }
  double largest = 0;
  for (std::uint64_t node = first_ >> kBits; node < EndNode(); ++node) {
    largest = std::max(largest, MaxOf(levels_[0].sums.Node(node)));
  }
  return largest;
}

std::uint64_t TreeLevels::memory_bytes() const noexcept {
  std::uint64_t bytes = sizeof(*this) + levels_.capacity() * sizeof(Level);
  for (const Level& level : levels_) {
    bytes += level.sums.memory_bytes() + level.minima.memory_bytes() + level.maxima.memory_bytes();
  }
  return bytes;
}

void TreeLevels::Cover(Level& level, unsigned number, std::uint64_t size) const {
  const SlotRange slots = SlotsAt(number, first_, size);
  level.sums.Cover(slots);
  if (HasExtremes(number)) {
    level.minima.Cover(slots);
    level.maxima.Cover(slots);
  }
}

void TreeLevels::Grow(std::uint64_t size, double weight) {
  STREAM_STORE_ASSERT(size >= size_);
  if (size == size_) {
    return;
  }
  const unsigned old_height = height();
  std::vector<Level> added(HeightFor(first_, size) - old_height);
  for (unsigned number = 0; number < old_height + added.size(); ++number) {
    Cover(number < old_height ? levels_[number] : added[number - old_height], number, size);
  }
  levels_.reserve(old_height + added.size());
  // Nothing below can fail.
  std::move(added.begin(), added.end(), std::back_inserter(levels_));
  const std::uint64_t old_size = std::exchange(size_, size);
  if (weight > 0) {
    levels_[0].sums.Fill({old_size, size_}, weight);
  }
  for (unsigned level = 1; level < height(); ++level) {
    const SlotRange slots = SlotsAt(level, first_, size_);
    const bool is_old = level < old_height;
    RefreshAll(level, {is_old ? old_size >> (kBits * level) : slots.begin, slots.end});
  }
  RefreshRoot();
}

void TreeLevels::Shrink(std::uint64_t first, std::uint64_t size) noexcept {
  STREAM_STORE_ASSERT(first_ <= first && first <= size && size <= size_);
  const std::uint64_t old_first = std::exchange(first_, first);
  const std::uint64_t old_size = std::exchange(size_, size);
  const unsigned new_height = HeightFor(first_, size_);
  levels_.erase(levels_.begin() + new_height, levels_.end());
  for (unsigned number = 0; number < height(); ++number) {
    const SlotRange old = SlotsAt(number, old_first, old_size);
    const SlotRange kept = SlotsAt(number, first_, size_);
    Level& level = levels_[number];
    level.sums.Restrict(old, kept);
    if (HasExtremes(number)) {
      level.minima.Restrict(old, kept);
      level.maxima.Restrict(old, kept);
    }
    if (number > 0) {
      Refresh(number, kept.begin);
      Refresh(number, kept.end - 1);
    }
  }
  RefreshRoot();
}

void TreeLevels::Write(std::span<const std::uint64_t> leaves,
                       std::span<const double> weights) noexcept {
  STREAM_STORE_ASSERT(leaves.size() == weights.size());
  for (std::size_t begin = 0; begin < leaves.size(); begin += kBlock) {
    const std::size_t count = std::min(kBlock, leaves.size() - begin);
    WriteBlock(leaves.subspan(begin, count), weights.subspan(begin, count));
  }
}

void TreeLevels::Prefetch(unsigned level, std::uint64_t slot) const noexcept {
  if (level >= height()) {
    return;
  }
  const std::uint64_t node = slot >> kBits;
  __builtin_prefetch(levels_[level].sums.Node(node), 1);
  if (HasExtremes(level)) {
    __builtin_prefetch(levels_[level].minima.Node(node), 1);
    __builtin_prefetch(levels_[level].maxima.Node(node), 1);
  }
}

// Each loop fetches the cache lines that the next one needs, so that the processor waits for many at
// the same time.
void TreeLevels::WriteBlock(std::span<const std::uint64_t> leaves,
                            std::span<const double> weights) noexcept {
  std::array<std::uint64_t, kBlock> nodes;  // of one level, each once
  std::size_t count = 0;
  SeenNodes seen;
  const auto add = [&](unsigned level, std::uint64_t node) {
    if (seen.IsNew(level, node)) {
      nodes[count++] = node;
      Prefetch(level + 1, node);
    }
  };
  for (const std::uint64_t leaf : leaves) {
    Prefetch(0, leaf);
  }
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    levels_[0].sums.Slot(leaves[i]) = weights[i];
    add(0, leaves[i] >> kBits);
  }
  for (unsigned level = 1; level <= height(); ++level) {
    const std::size_t below = std::exchange(count, 0);
    for (std::size_t i = 0; i < below; ++i) {
      const std::uint64_t slot = nodes[i];
      Refresh(level, slot);
      add(level, slot >> kBits);
    }
  }
}

void TreeLevels::Descend(std::span<double> targets,
                         std::span<std::uint64_t> leaves) const noexcept {
  STREAM_STORE_ASSERT(leaves.size() == targets.size() && targets.size() <= kBlock && total() > 0);
  std::array<const double*, kBlock> nodes;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    leaves[i] = root_first_ + PickSlot(root_.sums.data(), targets[i]);
  }
  for (unsigned level = height(); level-- > 0;) {
    const PagedSlots& sums = levels_[level].sums;
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      nodes[i] = sums.Node(leaves[i]);
      __builtin_prefetch(nodes[i]);
    }
    for (std::size_t i = 0; i < leaves.size(); ++i) {
      leaves[i] = (leaves[i] << kBits) + PickSlot(nodes[i], targets[i]);
    }
  }
}

// Computes a slot from the node below it.
void TreeLevels::Refresh(unsigned level, std::uint64_t slot) noexcept {
  const Level& below = levels_[level - 1];
  const bool is_root = level == height();
  double& sum = is_root ? root_.sums[slot - root_first_] : levels_[level].sums.Slot(slot);
  sum = SumOf(below.sums.Node(slot));
  if (!keep_extremes_) {
    return;
  }
  const bool of_leaves = level == 1;
  double& least = is_root ? root_.minima[slot - root_first_] : levels_[level].minima.Slot(slot);
  double& largest = is_root ? root_.maxima[slot - root_first_] : levels_[level].maxima.Slot(slot);
  least = MinPositiveOf((of_leaves ? below.sums : below.minima).Node(slot));
  largest = MaxOf((of_leaves ? below.sums : below.maxima).Node(slot));
}

void TreeLevels::RefreshAll(unsigned level, SlotRange slots) noexcept {
  for (std::uint64_t slot = slots.begin; slot < slots.end; ++slot) {
    Refresh(level, slot);
  }
}

void TreeLevels::RefreshRoot() noexcept {
  root_ = {};
  if (height() == 0) {
    return;
  }
  const SlotRange slots = SlotsAt(height(), first_, size_);
  root_first_ = slots.begin;
  RefreshAll(height(), slots);
}

}  // namespace stream_store::internal
