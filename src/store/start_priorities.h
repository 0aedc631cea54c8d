// StartPriorities: the priorities of the valid starts of a sampler's stores, and draws by them.
//
// A leaf of a PriorityTree is the anchor row of a start, so it keeps its number for life: growth adds
// leaves at the end, and dropped rows leave at the front. Other rows than anchors have weight 0.
// The priorities themselves are kept beside the trees, because their weights depend on alpha, which
// may change. A priority stays when its row stops being an anchor, since it may become one again.
//
// The priorities belong to the sampler that draws by them, and are never written into a store. What
// other processes append is entered when the sampler follows its stores.
//
// Used by sampler_priorities.cc. Thread rules: an object belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "stream_store/priorities.h"
#include "stream_store/priority_tree.h"

#include "store/indexed_starts.h"
#include "store/paged_slots.h"

namespace stream_store::internal {

/// The weight of a priority: (p + eps)^alpha, or 0 if p is 0. A power that is too small for a double
/// becomes the smallest normal one, since only windows with priority 0 are never drawn.
class PriorityRule {
 public:
  explicit PriorityRule(const Priorities& options) noexcept
      : alpha_(options.alpha), eps_(options.eps) {}

  double Weight(double priority) const noexcept;

 private:
  double alpha_;
  double eps_;
};

/// Of one store.
class StorePriorities {
 public:
  /// `extremes`: whether the smallest weight is kept up to date.
  explicit StorePriorities(bool extremes);

  /// Enters the anchors that came, with priority `initial` unless they had one before, and those that
  /// went. Cost: of the changes; of all rows if the starts had to look at all of them again. If it
  /// throws std::bad_alloc, the next call looks at all rows.
  void Follow(IndexedStarts& starts, const PriorityRule& rule, double initial);

  /// Sets the priorities of rows from the last Follow() that were not dropped since. If a row is
  /// repeated, the last priority counts. A row that is not an anchor any more keeps its priority, in
  /// case it becomes one again. REQUIRES: rows.size() == priorities.size().
  void Set(const IndexedStarts& starts, std::span<const std::uint64_t> rows,
           std::span<const double> priorities, const PriorityRule& rule);

  /// Computes all weights again, for another rule.
  void Reweigh(const IndexedStarts& starts, const PriorityRule& rule);

  /// Makes the next Follow() compute all weights.
  void ReweighLater() noexcept { incomplete_ = true; }

  /// The priority of a row; negative if the row has never been an anchor or was dropped.
  /// REQUIRES: row < tree().size().
  double PriorityOf(std::uint64_t row) const noexcept;

  /// Fetches the memory that PriorityOf() and Set() will read for any row, without waiting for it.
  void Prefetch(const IndexedStarts& starts, std::uint64_t row) const noexcept;

  /// The leaves are the rows of the last Follow().
  const PriorityTree& tree() const noexcept { return tree_; }

 private:
  void Renew(std::uint64_t first_row);
  void CoverRows(std::uint64_t first_row, std::uint64_t rows);
  void WeighRows(const IndexedStarts& starts, std::span<const std::uint64_t> rows,
                 const PriorityRule& rule);
  void WeighRange(const IndexedStarts& starts, SlotRange rows, const PriorityRule& rule,
                  std::optional<double> initial);

  static constexpr double kNone = -1;

  bool extremes_;
  PriorityTree tree_;
  PagedSlots priorities_;  // one slot per leaf; kNone if the row has never been an anchor
  std::pair<std::uint64_t, std::uint64_t> limits_ = {0, 0};  // those of the weights
  bool incomplete_ = true;                                   // a Follow() did not end
};

}  // namespace stream_store::internal
