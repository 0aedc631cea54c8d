#include "store/start_priorities.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/assert.h"

namespace stream_store::internal {

double PriorityRule::Weight(double priority) const noexcept {
  if (priority <= 0) {
    return 0;
  }
  const double sum = priority + eps_;
  const double weight = alpha_ == 1 ? sum : std::pow(sum, alpha_);
  return std::max(weight, std::numeric_limits<double>::min());
}

StorePriorities::StorePriorities(bool extremes) : extremes_(extremes) { Renew(0); }

void StorePriorities::Renew(std::uint64_t first_row) {
  tree_ = PriorityTree({.keep_extremes = extremes_, .first_leaf = first_row});
  priorities_ = PagedSlots();
  limits_ = {first_row, first_row};
}

// Makes the leaves the rows [first_row, rows). New ones have no priority and weight 0.
void StorePriorities::CoverRows(std::uint64_t first_row, std::uint64_t rows) {
  if (first_row < tree_.first_leaf() || first_row >= tree_.size() || rows <= first_row) {
    Renew(first_row);
  }
  const std::uint64_t old_first = tree_.first_leaf();
  const std::uint64_t old_end = tree_.size();
  const std::uint64_t kept_end = std::min(old_end, rows);
  if (old_first < old_end && (first_row > old_first || kept_end < old_end)) {
    tree_.DropBefore(first_row);
    tree_.Resize(kept_end);
    priorities_.Restrict({old_first, old_end}, {first_row, kept_end});
  }
  if (kept_end < rows) {
    priorities_.Cover({kept_end, rows});
    priorities_.Fill({kept_end, rows}, kNone);
    tree_.Resize(rows);
  }
}

void StorePriorities::Follow(IndexedStarts& starts, const PriorityRule& rule, double initial) {
  IndexedStarts::Changes changes = starts.TakeChanges();
  if (!incomplete_ && !changes.all && changes.added.empty() && changes.removed.empty() &&
      limits_ == starts.limits() && tree_.first_leaf() == starts.first_row() &&
      tree_.size() == starts.rows()) {
    return;
  }
  const bool all = incomplete_ || changes.all;
  incomplete_ = true;
  CoverRows(starts.first_row(), starts.rows());
  const std::pair<std::uint64_t, std::uint64_t> old = std::exchange(limits_, starts.limits());
  if (all) {
    WeighRange(starts, {starts.first_row(), starts.rows()}, rule, initial);
  } else {
    std::vector<std::uint64_t>& rows = changes.added;
    rows.insert(rows.end(), changes.removed.begin(), changes.removed.end());
    std::erase_if(rows, [&](std::uint64_t row) { return row < starts.first_row(); });
    for (const std::uint64_t row : rows) {
      double& priority = priorities_.Slot(row);
      priority = priority < 0 && starts.IsAnchor(row) ? initial : priority;
    }
    WeighRows(starts, rows, rule);
    // Anchors that the limits have reached or left; the rows between are unchanged.
    WeighRange(starts, {std::min(old.first, limits_.first), std::max(old.first, limits_.first)},
               rule, initial);
    WeighRange(starts, {std::min(old.second, limits_.second), std::max(old.second, limits_.second)},
               rule, initial);
  }
  incomplete_ = false;
}

// Sets the weights that these rows should have. A priority that was set with a smaller alpha than that
// of a restored state may have too large a weight.
void StorePriorities::WeighRows(const IndexedStarts& starts, std::span<const std::uint64_t> rows,
                                const PriorityRule& rule) {
  std::vector<double> weights(rows.size());
  std::ranges::transform(rows, weights.begin(), [&](std::uint64_t row) {
    const bool sampled = limits_.first <= row && row < limits_.second && starts.IsAnchor(row);
    return sampled ? std::min(rule.Weight(priorities_.Slot(row)), PriorityTree::kMaxWeight) : 0;
  });
  tree_.Set(rows, weights);
}

// The same for all rows of a range that the starts have. Anchors without a priority get `initial`.
void StorePriorities::WeighRange(const IndexedStarts& starts, SlotRange rows,
                                 const PriorityRule& rule, std::optional<double> initial) {
  constexpr std::uint64_t kBlockRows = 4096;
  const std::uint64_t end = std::min(rows.end, starts.rows());
  std::vector<std::uint64_t> block;
  for (std::uint64_t row = std::max(rows.begin, starts.first_row()); row < end;) {
    const std::uint64_t block_end = std::min(end, row + kBlockRows);
    block.clear();
    for (; row < block_end; ++row) {
      double& priority = priorities_.Slot(row);
      if (priority < 0 && initial && starts.IsAnchor(row)) {
        priority = *initial;
      }
      block.push_back(row);
    }
    WeighRows(starts, block, rule);
  }
}

void StorePriorities::Set(const IndexedStarts& starts, std::span<const std::uint64_t> rows,
                          std::span<const double> priorities, const PriorityRule& rule) {
  STREAM_STORE_ASSERT(rows.size() == priorities.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    STREAM_STORE_ASSERT(tree_.first_leaf() <= rows[i] && rows[i] < tree_.size());
    priorities_.Slot(rows[i]) = priorities[i];
  }
  WeighRows(starts, rows, rule);
}

void StorePriorities::Reweigh(const IndexedStarts& starts, const PriorityRule& rule) {
  WeighRange(starts, {tree_.first_leaf(), tree_.size()}, rule, std::nullopt);
}

void StorePriorities::Prefetch(const IndexedStarts& starts, std::uint64_t row) const noexcept {
  if (tree_.first_leaf() <= row && row < tree_.size()) {
    __builtin_prefetch(priorities_.Node(row >> PagedSlots::kNodeBits), 1);
    starts.PrefetchAnchor(row);
  }
}

double StorePriorities::PriorityOf(std::uint64_t row) const noexcept {
  STREAM_STORE_ASSERT(row < tree_.size());
  return row < tree_.first_leaf() ? kNone : priorities_.Slot(row);
}

}  // namespace stream_store::internal
