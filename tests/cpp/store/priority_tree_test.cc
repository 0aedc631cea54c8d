// PriorityTree: named bugs of other sum trees, draws that are the same everywhere, dropped leaves
// and their memory, and errors. priority_tree_model_test.cc compares it with a plain array.
#include "stream_store/priority_tree.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"

namespace stream_store {
namespace {

using Leaves = std::vector<std::uint64_t>;
using Weights = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

PriorityTree TreeOf(const Weights& weights, PriorityTreeOptions options = {}) {
  PriorityTree tree(options);
  tree.Resize(options.first_leaf + weights.size());
  Leaves leaves(weights.size());
  std::iota(leaves.begin(), leaves.end(), options.first_leaf);
  tree.Set(leaves, weights);
  return tree;
}

void SetOne(PriorityTree& tree, std::uint64_t leaf, double weight) {
  tree.Set({&leaf, 1}, {&weight, 1});
}

std::uint64_t FindOne(const PriorityTree& tree, double target) {
  std::uint64_t leaf = 0;
  tree.Find({&target, 1}, {&leaf, 1});
  return leaf;
}

Leaves Draw(const PriorityTree& tree, std::size_t count, const DrawOptions& options = {}) {
  Leaves leaves(count);
  tree.Draw(options, leaves);
  return leaves;
}

// The largest target that Find() takes.
double LastTarget(const PriorityTree& tree) { return std::nextafter(tree.total(), 0.0); }

template <class Call>
std::string MessageOf(ErrorCode code, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "nothing was thrown";
}

TEST(PriorityTreeTest, FindsTheLeafThatCoversATarget) {
  const PriorityTree tree = TreeOf({1, 0, 2, 0.5, 0, 4});
  EXPECT_EQ(tree.total(), 7.5);
  const Weights targets{0, 0.99, 1, 2.99, 3, 3.49, 3.5, 7.49};
  Leaves found(targets.size());
  tree.Find(targets, found);
  EXPECT_EQ(found, (Leaves{0, 0, 2, 2, 3, 3, 5, 5}));
}

TEST(PriorityTreeTest, TheLastWeightOfARepeatedLeafCounts) {
  PriorityTree tree = TreeOf({1, 1, 1});
  tree.Set(Leaves{1, 2, 1, 1}, Weights{5, 6, 7, 8});
  EXPECT_EQ(tree.weight(1), 8);
  EXPECT_EQ(tree.weight(2), 6);
  EXPECT_EQ(tree.total(), 15);
}

TEST(PriorityTreeTest, LeavesAreAddedWithAWeight) {
  PriorityTree tree;
  tree.Resize(3);
  tree.Resize(10, 2);
  tree.Resize(11);
  Weights weights(11);
  Leaves leaves(11);
  std::iota(leaves.begin(), leaves.end(), 0U);
  tree.Get(leaves, weights);
  EXPECT_EQ(weights, (Weights{0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 0}));
  EXPECT_EQ(tree.total(), 14);
}

TEST(PriorityTreeTest, LeavesThatWereRemovedComeBackEmpty) {
  PriorityTree tree;
  tree.Resize(9000, 1);
  tree.Resize(10);
  EXPECT_EQ(tree.total(), 10);
  tree.Resize(9000);
  EXPECT_EQ(tree.total(), 10);
  EXPECT_EQ(tree.weight(10), 0);
}

// --- bugs of other libraries ---

// flashbax#52: float32 sums that are updated by differences drift, until rows of priority 0 are
// drawn. Large weights come and go here, and the small ones must still be exact.
TEST(PriorityTreeTest, SumsDoNotDriftThroughLargeWeights) {
  PriorityTree tree;
  tree.Resize(1000, 1e-3);
  const double before = tree.total();
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    SetOne(tree, i * 37 % 1000, 1e12 + 0.1 * static_cast<double>(i));
    SetOne(tree, i * 37 % 1000, i % 2 == 0 ? 0 : 1e-3);
    SetOne(tree, i * 37 % 1000, 1e-3);
  }
  EXPECT_EQ(tree.total(), before);
  for (std::uint64_t leaf = 0; leaf < 1000; ++leaf) {
    SetOne(tree, leaf, 0);
  }
  EXPECT_EQ(tree.total(), 0);
}

// ReinforcementLearningCore.jl#83: a draw hits a leaf of priority 0.
TEST(PriorityTreeTest, LeavesOfWeightZeroAreNeverDrawn) {
  for (std::uint64_t stride = 1; stride < 40; ++stride) {
    PriorityTree tree;
    tree.Resize(700);
    for (std::uint64_t leaf = stride / 2; leaf < 700; leaf += stride) {
      SetOne(tree, leaf, 0.1 * static_cast<double>(leaf + 1));
    }
    for (const DrawSpread spread : {DrawSpread::kIndependent, DrawSpread::kStratified}) {
      for (const std::uint64_t leaf : Draw(tree, 2000, {.seed = stride, .spread = spread})) {
        ASSERT_EQ(leaf % stride, stride / 2);
      }
    }
  }
}

// stable-baselines#941: the end of the range is off by one, so that the last leaf is never drawn,
// or one after it is.
TEST(PriorityTreeTest, TheLastLeafIsFoundAndNoneAfterIt) {
  PriorityTree tree;
  for (std::uint64_t size = 1; size < 700; ++size) {
    tree.Resize(size, 1);
    ASSERT_EQ(FindOne(tree, LastTarget(tree)), size - 1);
    ASSERT_EQ(FindOne(tree, tree.total() - 1), size - 1);
    ASSERT_EQ(FindOne(tree, 0), 0U);
  }
}

// Reverb's ScanLowerBound: value 0 gives leaf 0, even if its priority is 0.
TEST(PriorityTreeTest, TargetZeroSkipsLeavesOfWeightZero) {
  for (std::uint64_t first = 0; first < 700; ++first) {
    PriorityTree tree;
    tree.Resize(700);
    SetOne(tree, first, 0.25);
    ASSERT_EQ(FindOne(tree, 0), first);
    ASSERT_EQ(FindOne(tree, LastTarget(tree)), first);
  }
}

// Reverb's ScanLowerBound: a value above the total gives the number of leaves.
TEST(PriorityTreeTest, TargetsBeyondTheTotalAreRefused) {
  const PriorityTree tree = TreeOf({1, 2});
  for (const double target : {3.0, 4.0, -0.5, kInfinity, kNaN}) {
    Leaves found{7, 7};
    MessageOf(ErrorCode::kOutOfRange, [&] { tree.Find(Weights{1, target}, found); });
    EXPECT_EQ(found, (Leaves{7, 7})) << target;
  }
  EXPECT_EQ(MessageOf(ErrorCode::kOutOfRange, [&] { FindOne(tree, 3); }),
            "priority tree: Find: targets[0]: expected a number in [0, 3) but found 3");
}

// Rounding puts a target at or beyond the end of a node whose last leaves have weight 0.
TEST(PriorityTreeTest, RoundingFindsTheLastLeafAboveZero) {
  for (std::uint64_t seed = 1; seed < 3000; ++seed) {
    Weights weights(seed % 97 + 2);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = std::fmod(std::sin(static_cast<double>(seed * 100 + i)) * 1e4, 1.0);
      weights[i] = weights[i] < 0 || i % 8 > seed % 7 ? 0 : weights[i];
    }
    weights[0] = 0.1;
    const PriorityTree tree = TreeOf(weights);
    double running = 0;
    for (const double weight : weights) {
      running += weight;
      for (const double target : {std::nextafter(running, 0.0), running, LastTarget(tree)}) {
        if (target < tree.total()) {
          ASSERT_GT(tree.weight(FindOne(tree, target)), 0) << seed;
        }
      }
    }
  }
}

// MorvanZhou#183: the minimum over slots that are not used yet is 0, and all weights vanish.
TEST(PriorityTreeTest, TheMinimumIgnoresLeavesOfWeightZero) {
  for (const bool keep_extremes : {false, true}) {
    PriorityTree tree({.keep_extremes = keep_extremes});
    EXPECT_EQ(tree.MinWeight(), 0);
    tree.Resize(5000);
    EXPECT_EQ(tree.MinWeight(), 0);
    SetOne(tree, 4000, 3);
    EXPECT_EQ(tree.MinWeight(), 3);
    SetOne(tree, 1, 0.5);
    EXPECT_EQ(tree.MinWeight(), 0.5);
    SetOne(tree, 1, 0);
    EXPECT_EQ(tree.MinWeight(), 3);
  }
}

// flashbax#58: the largest priority is rounded to an integer.
TEST(PriorityTreeTest, TheLargestWeightIsNotRounded) {
  for (const bool keep_extremes : {false, true}) {
    PriorityTree tree({.keep_extremes = keep_extremes});
    EXPECT_EQ(tree.MaxWeight(), 0);
    tree.Resize(5000, 0.125);
    SetOne(tree, 4999, 0.3);
    EXPECT_EQ(tree.MaxWeight(), 0.3);
    SetOne(tree, 4999, 0);
    EXPECT_EQ(tree.MaxWeight(), 0.125);
  }
}

// --- draws ---

TEST(PriorityTreeTest, DrawsAreAFunctionOfSeedAndBatch) {
  PriorityTree tree;
  tree.Resize(100'000, 1);
  const Leaves one = Draw(tree, 300, {.seed = 1, .batch = 2});
  EXPECT_EQ(one, Draw(tree, 300, {.seed = 1, .batch = 2}));
  EXPECT_NE(one, Draw(tree, 300, {.seed = 1, .batch = 3}));
  EXPECT_NE(one, Draw(tree, 300, {.seed = 2, .batch = 2}));
  EXPECT_NE(one, Draw(tree, 300, {.seed = 2, .batch = 1}));
  EXPECT_EQ(Draw(tree, 0, {.spread = DrawSpread::kStratified}), Leaves{});
  const Leaves less = Draw(tree, 3, {.seed = 1, .batch = 2});
  EXPECT_EQ(less, Leaves(one.begin(), one.begin() + 3));
  for (std::size_t i = 1; i < 300; ++i) {  // a batch does not repeat itself
    EXPECT_NE(one[0] == one[i] && one[1] == one[(i + 1) % 300], true) << i;
  }
}

// These numbers are the same with every compiler. A change of them changes resumed trainings.
TEST(PriorityTreeTest, DrawsAreTheSameWithEveryCompiler) {
  Weights weights(5000);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = i % 3 == 0 ? 0 : 1 / (1 + static_cast<double>(i) * 0.001);
  }
  const PriorityTree tree = TreeOf(weights);
  EXPECT_EQ(Draw(tree, 6, {.seed = 5, .batch = 9}), (Leaves{194, 2029, 85, 322, 2369, 125}));
  EXPECT_EQ(Draw(tree, 6, {.seed = 5, .batch = 9, .spread = DrawSpread::kStratified}),
            (Leaves{31, 622, 842, 1565, 3043, 3539}));
  EXPECT_EQ(tree.total(), 0x1.2a9cd6668598ap+10);
}

TEST(PriorityTreeTest, StratifiedDrawsTakeOneLeafFromEachPart) {
  PriorityTree tree;
  tree.Resize(1000, 1);
  Leaves all(1000);
  std::iota(all.begin(), all.end(), 0U);
  EXPECT_EQ(Draw(tree, 1000, {.spread = DrawSpread::kStratified}), all);
  EXPECT_NE(Draw(tree, 1000), all);
}

// Ranks that train together share the parts of one batch, and each of them sees the whole range.
TEST(PriorityTreeTest, RanksShareTheDrawsOfABatch) {
  constexpr std::uint64_t kRanks = 3;
  Weights weights(2000);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<double>(i * i % 101);
  }
  const PriorityTree tree = TreeOf(weights);
  for (const DrawSpread spread : {DrawSpread::kIndependent, DrawSpread::kStratified}) {
    const Leaves whole = Draw(tree, 300 * kRanks, {.seed = 4, .batch = 6, .spread = spread});
    for (std::uint64_t rank = 0; rank < kRanks; ++rank) {
      const DrawOptions options{
          .seed = 4, .batch = 6, .spread = spread, .rank = rank, .world_size = kRanks};
      const Leaves share = Draw(tree, 300, options);
      for (std::uint64_t i = 0; i < share.size(); ++i) {
        ASSERT_EQ(share[i], whole[i * kRanks + rank]) << rank;
      }
    }
  }
}

TEST(PriorityTreeTest, RanksThatDoNotExistAreRefused) {
  const PriorityTree tree = TreeOf({1, 2});
  EXPECT_EQ(
      MessageOf(ErrorCode::kInvalidArgument, [&] { Draw(tree, 1, {.rank = 2, .world_size = 2}); }),
      "priority tree: Draw: expected a rank in [0, 2) but found 2");
  MessageOf(ErrorCode::kInvalidArgument, [&] { Draw(tree, 1, {.world_size = 0}); });
}

// A tree that is filled again, in another order, draws the same leaves.
TEST(PriorityTreeTest, TheHistoryOfATreeHasNoInfluence) {
  Weights weights(3000);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = 0.1 * static_cast<double>(i * i % 1009);
  }
  const PriorityTree filled = TreeOf(weights, {.first_leaf = 5000});
  PriorityTree grown;
  grown.Resize(6000, 3);
  grown.DropBefore(5000);
  for (std::size_t i = weights.size(); i-- > 0;) {
    grown.Resize(std::max(grown.size(), 5000 + i + 1), 7);
    SetOne(grown, 5000 + i, weights[i]);
  }
  grown.Resize(9000, 1);
  grown.Resize(8000);
  EXPECT_EQ(grown.total(), filled.total());
  EXPECT_EQ(Draw(grown, 1000), Draw(filled, 1000));
}

TEST(PriorityTreeTest, DrawsFromNothingAreRefused) {
  PriorityTree tree;
  MessageOf(ErrorCode::kInvalidArgument, [&] { Draw(tree, 1); });
  tree.Resize(5);
  EXPECT_EQ(MessageOf(ErrorCode::kInvalidArgument, [&] { Draw(tree, 1); }),
            "priority tree: Draw: expected a leaf whose weight is not 0 but found none among 5");
}

// --- dropped leaves ---

TEST(PriorityTreeTest, DroppedLeavesKeepTheirNumbersAndWeighNothing) {
  PriorityTree tree;
  tree.Resize(10'000, 1);
  tree.DropBefore(4321);
  tree.DropBefore(99);
  EXPECT_EQ(tree.first_leaf(), 4321U);
  EXPECT_EQ(tree.size(), 10'000U);
  EXPECT_EQ(tree.total(), 10'000 - 4321);
  EXPECT_EQ(tree.weight(4320), 0);
  EXPECT_EQ(tree.weight(4321), 1);
  EXPECT_EQ(FindOne(tree, 0), 4321U);
  EXPECT_EQ(FindOne(tree, 1000), 5321U);
}

TEST(PriorityTreeTest, ATreeCanBeDroppedAsAWholeAndGrowAgain) {
  PriorityTree tree({.keep_extremes = true});
  tree.Resize(10'000, 1);
  tree.DropBefore(10'000);
  EXPECT_EQ(tree.total(), 0);
  EXPECT_EQ(tree.MaxWeight(), 0);
  EXPECT_LT(tree.memory_bytes(), 2000U);
  tree.Resize(10'002, 3);
  EXPECT_EQ(tree.total(), 6);
  EXPECT_EQ(FindOne(tree, 3), 10'001U);
}

TEST(PriorityTreeTest, MemoryIsGivenBackInProportion) {
  constexpr double kSlack = 16 * 32'768;  // a page at each end of each level
  PriorityTree tree;
  tree.Resize(1'000'000, 1);
  EXPECT_LT(static_cast<double>(tree.memory_bytes()), 9.2 * 1e6 + kSlack);
  EXPECT_GT(static_cast<double>(tree.memory_bytes()), 9.1 * 1e6);
  tree.DropBefore(900'000);
  EXPECT_LT(static_cast<double>(tree.memory_bytes()), 9.2 * 1e5 + kSlack);
  tree.Resize(900'010);
  EXPECT_LT(static_cast<double>(tree.memory_bytes()), kSlack);
}

// A bounded store drops rows forever.
TEST(PriorityTreeTest, ABoundedTreeNeedsBoundedMemory) {
  PriorityTree tree;
  tree.Resize(20'000, 1);
  const double bound = 1.1 * static_cast<double>(tree.memory_bytes()) + 8 * 32'768;
  for (std::uint64_t i = 0; i < 400'000; i += 7) {
    tree.Resize(tree.size() + 7, 2);
    tree.DropBefore(tree.size() - 20'000);
    ASSERT_LT(static_cast<double>(tree.memory_bytes()), bound);
  }
  EXPECT_EQ(tree.total(), 40'000);
}

// Leaves on both sides of 8^15 have no common node below level 15. The root joins them anyway.
TEST(PriorityTreeTest, LeavesWithLargeNumbersNeedFewLevels) {
  constexpr std::uint64_t kFirst = (std::uint64_t{1} << 45) - 3;
  PriorityTree tree({.first_leaf = kFirst});
  EXPECT_EQ(tree.size(), kFirst);
  tree.Resize(kFirst + 9, 1);
  EXPECT_LT(tree.memory_bytes(), 5 * 33'000U);
  for (std::uint64_t i = 0; i < 9; ++i) {
    EXPECT_EQ(FindOne(tree, static_cast<double>(i)), kFirst + i);
  }
}

// --- errors ---

TEST(PriorityTreeTest, WeightsThatCannotBeSetChangeNothing) {
  PriorityTree tree = TreeOf({1, 2, 3});
  const double above = std::nextafter(PriorityTree::kMaxWeight, kInfinity);
  for (const double weight : {-1.0, -5e-324, kNaN, kInfinity, -kInfinity, above}) {
    MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Set(Leaves{0, 1}, Weights{9, weight}); });
    MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Resize(4, weight); });
    EXPECT_EQ(tree.total(), 6) << weight;
    EXPECT_EQ(tree.weight(0), 1) << weight;
    EXPECT_EQ(tree.size(), 3U) << weight;
  }
  EXPECT_EQ(MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Set(Leaves{0, 1}, Weights{9, -1}); }),
            "priority tree: Set: weights[1]: expected a weight in [0, 2^900] but found -1");
}

TEST(PriorityTreeTest, LeavesThatDoNotExistChangeNothing) {
  PriorityTree tree;
  tree.Resize(20, 1);
  tree.DropBefore(10);
  EXPECT_EQ(MessageOf(ErrorCode::kOutOfRange, [&] { tree.Set(Leaves{15, 20}, Weights{5, 5}); }),
            "priority tree: Set: leaves[1]: expected a leaf in [10, 20) but found 20");
  MessageOf(ErrorCode::kDropped, [&] { tree.Set(Leaves{15, 9}, Weights{5, 5}); });
  Weights out{7, 7};
  MessageOf(ErrorCode::kOutOfRange, [&] { tree.Get(Leaves{15, 20}, out); });
  EXPECT_EQ(out, (Weights{7, 7}));
  MessageOf(ErrorCode::kOutOfRange, [&] { tree.weight(20); });
  MessageOf(ErrorCode::kOutOfRange, [&] { tree.DropBefore(21); });
  MessageOf(ErrorCode::kOutOfRange, [&] { tree.Resize(9); });
  EXPECT_EQ(tree.total(), 10);
}

TEST(PriorityTreeTest, SpansOfDifferentSizesAreRefused) {
  PriorityTree tree = TreeOf({1, 2, 3});
  Weights two(2);
  Leaves one(1);
  MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Set(Leaves{0}, two); });
  MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Get(Leaves{0}, two); });
  EXPECT_EQ(MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Find(two, one); }),
            "priority tree: Find: expected 2 leaves, as many as the other span has, but found 1");
}

TEST(PriorityTreeTest, SizesAboveTheLimitAreRefused) {
  PriorityTree tree;
  MessageOf(ErrorCode::kInvalidArgument, [&] { tree.Resize(PriorityTree::kMaxSize + 1); });
  MessageOf(ErrorCode::kInvalidArgument,
            [&] { PriorityTree({.first_leaf = PriorityTree::kMaxSize + 1}); });
  EXPECT_EQ(tree.size(), 0U);
}

// The largest weights have a finite sum, and the smallest are drawn.
TEST(PriorityTreeTest, ExtremeWeightsAreDrawn) {
  PriorityTree large;
  large.Resize(10'000, PriorityTree::kMaxWeight);
  EXPECT_TRUE(std::isfinite(large.total()));
  EXPECT_EQ(FindOne(large, LastTarget(large)), 9999U);
  PriorityTree small;
  small.Resize(100);
  SetOne(small, 55, 5e-324);
  EXPECT_EQ(Draw(small, 3), (Leaves{55, 55, 55}));
}

}  // namespace
}  // namespace stream_store
