// Priorities: the options of a WindowSampler that draws some windows more often than others.
#pragma once

#include <cstdint>
#include <optional>

namespace stream_store {

/// The number that the correction weights of a batch are divided by.
enum class WeightNormalization : std::uint8_t {
  kNone,   ///< nothing
  kBatch,  ///< the largest of the batch
  kStore,  ///< the largest that any window of the stores with a priority above 0 has
};

/// How a WindowSampler draws by priority: proportional prioritised experience replay (Schaul, Quan,
/// Antonoglou and Silver, "Prioritized Experience Replay", 2015, arXiv 1511.05952).
///
/// Each valid start has a priority p >= 0. It is drawn with probability P proportional to
/// (p + eps)^alpha; if p is 0, never. Only if all priorities are 0, all starts are equally likely. To
/// correct the bias, the loss of a window is multiplied by its weight (N P)^-beta, where N is the
/// number of valid starts. With several ranks, P and N are those of the rank's share.
struct Priorities {
  /// 0 draws uniformly, 1 in proportion to the priorities. At least 0.
  double alpha = 0.6;

  /// 0 corrects nothing, 1 all of the bias. At least 0.
  double beta = 0.4;

  /// Added to each priority above 0, so that small ones are drawn at times. At least 0.
  double eps = 1e-6;

  /// The priority of new starts. None gives them the largest priority that any start has ever had, or
  /// 1 before the first update.
  std::optional<double> initial = {};

  WeightNormalization normalize = WeightNormalization::kBatch;

  /// Whether a batch has one window from each of batch_size equal parts of the total, which lowers
  /// the variance, or windows that are drawn independently.
  bool stratified = true;

  /// The share of windows that are drawn uniformly instead, in [0, 1]. P is then that of the mixture.
  double mix = 0;

  friend bool operator==(const Priorities&, const Priorities&) = default;
};

}  // namespace stream_store
