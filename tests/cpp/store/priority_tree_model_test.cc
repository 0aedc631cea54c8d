// PriorityTree against a plain array, with random operations; the precision of its sums; and the
// frequencies of its draws.
//
//     PRIORITY_UPDATES=100000000 store_priority_test --gtest_filter=*Precise*
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/priority_tree.h"

namespace stream_store {
namespace {

using Leaves = std::vector<std::uint64_t>;
using Weights = std::vector<double>;

// A tree, and the weights that it should have. With whole weights, all sums are exact.
class Pair {
 public:
  Pair(std::uint64_t seed, bool whole)
      : whole_(whole), random_(seed), kept_({.keep_extremes = true}) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  double NewWeight() {
    if (Below(3) == 0) {
      return 0;
    }
    const double weight = static_cast<double>(Below(1000));
    return whole_ ? weight : std::pow(10.0, weight / 100 - 5);
  }

  void Change() {
    const std::uint64_t size = weights_.size();
    switch (Below(8)) {
      case 0:
        return Resize(size + Below(3) * Below(40), NewWeight());
      case 1:
        return Resize(size + Below(6000), NewWeight());
      case 2:
        return Resize(std::max(first_, size - std::min(size, Below(2) * Below(3000))), 1);
      case 3:
        return Drop(first_ + Below(3) * Below((size - first_) / 4 + 2));
      default:
        return Set(Below(3) == 0 ? Below(2000) : Below(20));
    }
  }

  void Compare() {
    const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    for (const PriorityTree* tree : {&tree_, &kept_}) {
      ASSERT_EQ(tree->size(), weights_.size());
      ASSERT_EQ(tree->first_leaf(), first_);
      ASSERT_NEAR(tree->total(), sum, whole_ ? 0 : 1e-12 * sum);
      ASSERT_EQ(tree->MinWeight(), Min());
      ASSERT_EQ(tree->MaxWeight(), Max());
    }
    Leaves leaves(weights_.size());
    std::iota(leaves.begin(), leaves.end(), 0U);
    Weights found(leaves.size());
    tree_.Get(leaves, found);
    ASSERT_EQ(found, weights_);
    if (sum > 0) {
      CompareFound();
    }
  }

 private:
  void Resize(std::uint64_t size, double weight) {
    weights_.resize(size, weight);
    tree_.Resize(size, weight);
    kept_.Resize(size, weight);
  }

  void Drop(std::uint64_t leaf) {
    first_ = std::min<std::uint64_t>(leaf, weights_.size());
    std::fill_n(weights_.begin(), first_, 0);
    tree_.DropBefore(first_);
    kept_.DropBefore(first_);
  }

  void Set(std::uint64_t count) {
    if (first_ == weights_.size()) {
      return;
    }
    Leaves leaves(count);
    Weights weights(count);
    const std::uint64_t span = Below(2) == 0 ? weights_.size() - first_ : 1 + Below(9);
    for (std::size_t i = 0; i < count; ++i) {
      leaves[i] = first_ + Below(std::min<std::uint64_t>(span, weights_.size() - first_));
      weights[i] = NewWeight();
      weights_[leaves[i]] = weights[i];
    }
    tree_.Set(leaves, weights);
    kept_.Set(leaves, weights);
  }

  double Min() const {
    double least = 0;
    for (const double weight : weights_) {
      least = weight > 0 && (least == 0 || weight < least) ? weight : least;
    }
    return least;
  }

  double Max() const {
    return weights_.empty() ? 0 : *std::max_element(weights_.begin(), weights_.end());
  }

  // Each leaf covers [begins[leaf], begins[leaf + 1]) up to `error`.
  void CompareFound() {
    Weights begins(weights_.size() + 1);
    std::partial_sum(weights_.begin(), weights_.end(), begins.begin() + 1);
    Weights targets(300);
    for (double& target : targets) {
      const double last = std::nextafter(tree_.total(), 0.0);
      target = std::min(last, begins[Below(begins.size())]);
      if (Below(2) == 0) {
        target = std::min(last, static_cast<double>(Below(1U << 30)) * 0x1p-30 * tree_.total());
      }
    }
    Leaves found(targets.size());
    tree_.Find(targets, found);
    const double error = whole_ ? 0 : 1e-12 * tree_.total();
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_GT(weights_[found[i]], 0);
      ASSERT_LE(begins[found[i]], targets[i] + error);
      ASSERT_TRUE(begins[found[i] + 1] > targets[i] - error);
    }
  }

  bool whole_;
  std::mt19937_64 random_;
  std::uint64_t first_ = 0;
  Weights weights_;  // of all leaves, 0 if dropped
  PriorityTree tree_;
  PriorityTree kept_;
};

class PriorityTreeModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(PriorityTreeModelTest, EqualsAnArray) {
  Pair pair(GetParam(), GetParam() % 2 == 0);
  for (int i = 0; i < 150; ++i) {
    pair.Change();
    pair.Compare();
    if (HasFatalFailure()) {
      FAIL() << "after change " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, PriorityTreeModelTest, testing::Range<std::uint64_t>(0, 16));

std::uint64_t Updates() {
  const char* text = std::getenv("PRIORITY_UPDATES");
  return text == nullptr ? 1'000'000 : std::stoull(text);
}

double RelativeError(const PriorityTree& tree, const Weights& weights) {
  long double sum = 0;
  for (const double weight : weights) {
    sum += weight;
  }
  return static_cast<double>(std::abs(static_cast<long double>(tree.total()) - sum) / sum);
}

// Weights of 16 decades, so that a difference would lose the small ones. With each batch, some
// leaves are added and as many are dropped, as in a bounded store. `all` holds the weight of leaf n
// at n % kSize.
TEST(PriorityTreePrecisionTest, SumsArePreciseAfterManyUpdates) {
  constexpr std::uint64_t kSize = 50'000;
  constexpr std::uint64_t kBatch = 250;
  constexpr std::uint64_t kAdded = 7;
  std::mt19937_64 random(7);
  PriorityTree tree;
  tree.Resize(kSize, 1);
  Weights all(kSize, 1);
  Leaves leaves(kBatch);
  Weights weights(kBatch);
  double worst = 0;
  const std::uint64_t batches = Updates() / kBatch;
  for (std::uint64_t batch = 1; batch <= batches; ++batch) {
    for (std::uint64_t i = 0; i < kAdded; ++i) {
      all[(tree.size() + i) % kSize] = 0.3;
    }
    tree.Resize(tree.size() + kAdded, 0.3);
    tree.DropBefore(tree.size() - kSize);
    for (std::size_t i = 0; i < kBatch; ++i) {
      leaves[i] = tree.first_leaf() + random() % kSize;
      const std::uint64_t decade = random() % 17;
      weights[i] = std::ldexp(static_cast<double>(random() >> 11), -53);
      weights[i] *= batch > batches - batches / 8 ? 1e-8 : std::pow(10.0, decade) * 1e-8;
      all[leaves[i] % kSize] = weights[i];
    }
    tree.Set(leaves, weights);
    if (batch % std::max<std::uint64_t>(1, batches / 16) == 0) {
      worst = std::max(worst, RelativeError(tree, all));
    }
  }
  EXPECT_LT(worst, 1e-12);
  RecordProperty("worst_relative_error", std::to_string(worst * 1e18) + "e-18");
}

// Pearson's statistic of draws, as standard deviations from its mean. Leaves of weight 0 must not
// have been drawn.
double Deviation(const PriorityTree& tree, const std::vector<std::uint64_t>& counts) {
  const double draws = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0ULL));
  double statistic = 0;
  double freedom = -1;
  for (std::uint64_t leaf = 0; leaf < counts.size(); ++leaf) {
    const double expected = draws * tree.weight(leaf) / tree.total();
    const double count = static_cast<double>(counts[leaf]);
    if (expected > 0) {
      statistic += (count - expected) * (count - expected) / expected;
      freedom += 1;
    } else {
      EXPECT_EQ(count, 0);
    }
  }
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

void ExpectRightFrequencies(const PriorityTree& tree) {
  for (const DrawSpread spread : {DrawSpread::kIndependent, DrawSpread::kStratified}) {
    std::vector<std::uint64_t> counts(tree.size());
    Leaves leaves(300);  // more than a block
    for (std::uint64_t batch = 0; batch < 500; ++batch) {
      tree.Draw({.seed = 11, .batch = batch, .spread = spread}, leaves);
      for (const std::uint64_t leaf : leaves) {
        ++counts[leaf];
      }
    }
    const double deviation = Deviation(tree, counts);
    EXPECT_LT(deviation, 5);
    if (spread == DrawSpread::kIndependent) {
      EXPECT_GT(deviation, -5);
    }
  }
}

void SetRandomly(PriorityTree& tree, std::mt19937_64& random) {
  Leaves leaves(200);
  Weights weights(200);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    leaves[i] = tree.first_leaf() + random() % (tree.size() - tree.first_leaf());
    weights[i] = random() % 4 == 0 ? 0 : 0.1 + static_cast<double>(random() % 50);
  }
  tree.Set(leaves, weights);
}

TEST(PriorityTreeDrawTest, FrequenciesFollowTheWeights) {
  std::mt19937_64 random(3);
  PriorityTree tree;
  tree.Resize(300, 1);
  ExpectRightFrequencies(tree);
  SetRandomly(tree, random);
  ExpectRightFrequencies(tree);
  tree.Resize(700, 2.5);
  ExpectRightFrequencies(tree);
  tree.DropBefore(150);
  ExpectRightFrequencies(tree);
  for (int i = 0; i < 5000; ++i) {  // 10^6 updates
    SetRandomly(tree, random);
  }
  tree.Resize(600);
  ExpectRightFrequencies(tree);
}

}  // namespace
}  // namespace stream_store
