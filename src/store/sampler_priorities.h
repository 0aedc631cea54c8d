// SamplerPriorities: draws the windows of a sampler by priority, and weighs them.
//
// The starts of all stores are drawn from the sum of their trees (start_priorities.h). The draws are
// computed from a key, so batch n of a seed and a rank is the same in every process that has the
// same rows and priorities.
//
// Used by sampler.cc. Thread rules: an object belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/priorities.h"
#include "stream_store/sampler.h"
#include "stream_store/types.h"

#include "store/start_priorities.h"
#include "store/window_starts.h"

namespace stream_store::internal {

/// The starts of each store of a sampler. All are IndexedStarts.
using StartsOfStores = std::span<const std::unique_ptr<Starts>>;

/// The windows of a batch, and the place of their probabilities and weights.
struct DrawnWindows {
  std::span<const std::int64_t> stores;
  std::span<const Row> anchors;
  std::span<double> probabilities;
  std::span<float> weights;
};

class SamplerPriorities {
 public:
  SamplerPriorities(const Priorities& options, std::size_t stores);

  /// Adds a store, with the next number.
  void AddStore();

  /// Forgets the priorities of a store that has gone. Updates of its windows are ignored.
  void Leave(std::size_t store);

  /// Makes the next Follow() of a store look at all of its rows: they come from another Starts object.
  void Reopen(std::size_t store);

  /// Gives the stores other numbers. from[i] is the number until now of the store that gets number i;
  /// nothing for one that is new.
  void Rearrange(std::span<const std::optional<std::size_t>> from);

  /// Enters the anchors that a store has now.
  void Follow(std::size_t store, IndexedStarts& starts);

  /// Draws windows, as numbers of WindowIndex: their rows are found in the trees, so the numbers of
  /// the starts need not be. REQUIRES: there is a start, and Follow() was called for each store.
  void Draw(StartsOfStores stores, std::uint64_t key, std::span<std::uint64_t> windows);

  /// Computes the probabilities and weights of the windows that were drawn last.
  void Weigh(StartsOfStores stores, const DrawnWindows& windows) const;

  /// Sets priorities; returns how many were of dropped rows. See WindowSampler::UpdatePriorities().
  std::uint64_t Update(StartsOfStores stores, std::span<const std::int64_t> indices,
                       std::span<const double> priorities);

  const Priorities& options() const noexcept { return options_; }

  /// Changes alpha, and with it all weights.
  void SetAlpha(StartsOfStores stores, double alpha);

  void SetBeta(double beta);

  /// The largest priority that any start has had.
  double largest() const noexcept { return largest_; }

  /// Continues from a state, with the priorities that there are. Weights are computed again by the
  /// next Follow(). Throws Error(kInvalidArgument) for numbers that are out of range; nothing has
  /// changed then.
  void Restore(const PriorityState& state);

  /// See WindowSampler::PriorityRows(), ReadPriorities() and LoadPriorities().
  RowRange Rows(std::size_t store) const noexcept;
  void Read(std::size_t store, Row first_row, std::span<double> priorities) const;
  void Load(StartsOfStores stores, std::size_t store, Row first_row,
            std::span<const double> priorities);

 private:
  double Total() const noexcept;
  void DrawFromTrees(std::span<const double> targets, std::span<const std::uint64_t> places,
                     std::span<std::uint64_t> windows) const;
  double SmallestProbability(double total, double uniform) const noexcept;

  StorePriorities NewStore() const;
  bool IsKept(std::int64_t number, std::size_t i) const;

  Priorities options_;
  double largest_ = 1;
  std::vector<StorePriorities> stores_;
  std::vector<bool> gone_;  // of each store
};

/// Throws Error(kInvalidArgument), naming the first option that is out of range.
void CheckPriorities(const Priorities& options);

}  // namespace stream_store::internal
