// A sum tree: numbered leaves with weights, from which leaves are drawn in proportion to them.
//
//     PriorityTree tree;
//     tree.Resize(1'000'000, 1.0);               // leaves 0 to 999,999, each of weight 1
//     std::vector<std::uint64_t> leaves(256);
//     std::vector<double> weights(256);
//     for (std::uint64_t batch = 0; training; ++batch) {
//       tree.Draw({.seed = 7, .batch = batch, .spread = DrawSpread::kStratified}, leaves);
//       …                                        // learn, and compute new weights
//       tree.Set(leaves, weights);
//     }
//
// This is the data structure of prioritised experience replay (Schaul, Quan, Antonoglou and Silver,
// "Prioritized Experience Replay", 2015, arXiv 1511.05952, proportional variant: appendix B.2.1).
// The paper raises priorities to the power alpha and corrects the bias of the draws with weights.
// The tree does neither: its weights are p^alpha already, and P(leaf) is weight(leaf) / total(). They
// are not the weights that correct the bias.
//
// A PriorityTree needs no store. Leaves have numbers for life: Resize() adds leaves at the end, and
// DropBefore() gives back the memory of leaves at the front.
//
// Invariants
//  1. A node holds 8 numbers of 8 bytes and is one cache line. The sum of a node is computed from
//     its numbers, never by adding differences. Rounding errors therefore do not add up, however
//     many updates there are.
//  2. The sums and the draws are a function of first_leaf(), size() and the weights. They do not
//     depend on the order in which the weights were set, so a tree that was saved and filled again
//     draws the same leaves.
//  3. A leaf of weight 0 is never found or drawn.
//
// Thread rules: const functions may run at the same time; all others need exclusive access.
// Errors: a function that throws has changed nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "stream_store/export.h"

namespace stream_store {

namespace internal {
class TreeLevels;
}  // namespace internal

/// The options of a PriorityTree.
struct PriorityTreeOptions {
  /// Whether the smallest and the largest weight are kept up to date. Then MinWeight() and
  /// MaxWeight() take constant time, a leaf needs 2.3 more bytes, and Set() takes about twice as
  /// long.
  bool keep_extremes = false;

  /// The number of the first leaf, if the leaves before it were dropped before the tree was made; at
  /// most PriorityTree::kMaxSize.
  std::uint64_t first_leaf = 0;
};

/// How the leaves of a batch are spread.
enum class DrawSpread : std::uint8_t {
  kIndependent,  ///< each leaf is drawn on its own
  kStratified,  ///< [0, total()) is cut into equal parts, and one leaf is drawn from each, in order
};

/// Identifies a batch of draws. The same numbers give the same draws in every process.
struct DrawOptions {
  std::uint64_t seed = 0;
  std::uint64_t batch = 0;  ///< the number of the batch
  DrawSpread spread = DrawSpread::kIndependent;

  /// This process among `world_size` that train together, in [0, world_size). With equal trees, seeds
  /// and numbers of leaves, the ranks share one batch: rank r draws its places r, r + world_size,
  /// r + 2 world_size and so on. With kStratified, no two ranks draw from the same part.
  std::uint64_t rank = 0;
  std::uint64_t world_size = 1;
};

/// See the top of this file. A tree that was moved from may only be destroyed or assigned to.
class STREAM_STORE_API PriorityTree {
 public:
  /// The largest weight, 2^900 or about 8e270. The sum of kMaxSize such weights is finite.
  static constexpr double kMaxWeight = 0x1p900;

  /// The largest number of leaves, including those that were dropped.
  static constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 48;

  /// Makes a tree without leaves, whose size() is options.first_leaf.
  /// Throws Error(kInvalidArgument) if that is above kMaxSize.
  explicit PriorityTree(PriorityTreeOptions options = {});
  PriorityTree(PriorityTree&&) noexcept;
  PriorityTree& operator=(PriorityTree&&) noexcept;
  ~PriorityTree();

  /// The number of leaves, including those that were dropped; the leaves are [0, size()).
  std::uint64_t size() const noexcept;

  /// The first leaf that was not dropped; size() if all were.
  std::uint64_t first_leaf() const noexcept;

  /// The sum of all weights; exactly 0 if all weights are 0. The relative error is below 1e-14.
  double total() const noexcept;

  /// The weight of a leaf, 0 if it was dropped. Throws Error(kOutOfRange) if leaf >= size().
  double weight(std::uint64_t leaf) const;

  /// The smallest weight above 0, or 0 if no leaf has one.
  /// Cost: constant with PriorityTreeOptions::keep_extremes; else one pass over all leaves, about
  /// 1 ns for each.
  double MinWeight() const noexcept;

  /// The largest weight, or 0 if there is no leaf. Cost: as for MinWeight().
  double MaxWeight() const noexcept;

  /// Memory in use, in bytes. Blocks of 4,096 leaves are allocated and given back as a whole: for
  /// 100,000 leaves or more, about 9.2 bytes a leaf between first_leaf() and size().
  std::uint64_t memory_bytes() const noexcept;

  /// Adds leaves of weight `weight` at the end, or removes leaves there, so that there are `size`.
  ///
  /// Cost    a few ns for each leaf that is added or removed, and O(log size) for the call. Growth
  ///         copies no leaf.
  /// Throws  Error(kInvalidArgument) if `size` is above kMaxSize or `weight` is not in
  ///         [0, kMaxWeight]; Error(kOutOfRange) if `size` is below first_leaf(); std::bad_alloc.
  void Resize(std::uint64_t size, double weight = 0);

  /// Drops all leaves before `leaf`, and gives back the memory of whole blocks of them. The other
  /// leaves keep their numbers and weights. Does nothing if they were dropped before.
  ///
  /// Cost    a few ns for each leaf that is dropped, and O(log size) for the call. When a block is
  ///         given back, the list of blocks moves by one: 8 bytes for each 4,096 leaves.
  /// Throws  Error(kOutOfRange) if leaf > size().
  void DropBefore(std::uint64_t leaf);

  /// Sets the weights of leaves.
  ///
  /// leaves   any order; each in [first_leaf(), size()). If a leaf is repeated, its last weight
  ///          counts.
  /// weights  leaves.size() numbers in [0, kMaxWeight].
  /// Cost     one pass of checks and one of writes; then each node above the leaves is computed once
  ///          for up to 256 leaves. Allocates nothing. One call with many leaves is much faster
  ///          than a call for each.
  /// Throws   Error(kInvalidArgument): a weight that is negative, NaN, infinite or too large, or
  ///          spans of different sizes; Error(kOutOfRange): leaf >= size(); Error(kDropped): the
  ///          leaf was dropped. The message names the first such place.
  void Set(std::span<const std::uint64_t> leaves, std::span<const double> weights);

  /// Copies the weights of leaves into `weights`; 0 for leaves that were dropped.
  ///
  /// leaves   any order, repeats allowed; each in [0, size()).
  /// weights  caller's memory, leaves.size() numbers; untouched if this throws.
  /// Throws   Error(kOutOfRange): leaf >= size(); Error(kInvalidArgument): spans of different sizes.
  void Get(std::span<const std::uint64_t> leaves, std::span<double> weights) const;

  /// For each target t, finds the leaf at which the running sum of the weights passes t.
  ///
  /// Leaf k covers [sum of the weights before it, that sum + its weight), up to rounding. Leaves of
  /// weight 0 cover nothing. If rounding puts a target at or beyond the end of a node, the last leaf
  /// of that node whose weight is not 0 is found.
  ///
  /// targets  any order; each in [0, total()).
  /// leaves   caller's memory, targets.size() numbers; untouched if this throws.
  /// Cost     O(log size) for each target. The targets descend level by level with prefetching, so
  ///          one call with 256 targets is several times faster than 256 calls.
  /// Throws   Error(kOutOfRange): a target outside [0, total()), or NaN; Error(kInvalidArgument):
  ///          spans of different sizes.
  void Find(std::span<const double> targets, std::span<std::uint64_t> leaves) const;

  /// Draws leaves with replacement, each with probability weight / total().
  ///
  /// A batch has leaves.size() * world_size places, of which leaves[i] is place
  /// i * world_size + rank. With DrawSpread::kStratified, [0, total()) is cut into as many equal
  /// parts, and each place is drawn from the part of its number, as in appendix B.2.1 of the paper.
  /// The leaves are then in ascending order, and the expected number of times that a leaf is in the
  /// batch is the same as with kIndependent.
  ///
  /// The random numbers are computed from seed, batch and place, so the draws depend on nothing but
  /// `options`, leaves.size() and the weights. They have 53 bits: a leaf whose share of total() is
  /// below 2^-53 may never be drawn.
  ///
  /// Cost    as for Find().
  /// Throws  Error(kInvalidArgument) if total() is 0 or rank >= world_size.
  void Draw(const DrawOptions& options, std::span<std::uint64_t> leaves) const;

 private:
  std::unique_ptr<internal::TreeLevels> levels_;
};

}  // namespace stream_store
