// Sampling by priority, through the C++ API. The Python tests compare random options with a model.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store {
namespace {

constexpr TypeId kNumber = 0;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void ExpectRefused(const std::function<void()>& call, const std::string& reason) {
  const Error error = internal::ErrorOf(call);
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
}

void Grow(StreamStore& store, std::int64_t rows) {
  const auto first = static_cast<std::int64_t>(store.reader().num_rows());
  for (std::int64_t row = first; row < first + rows; ++row) {
    store.Append(row, {{kNumber, row}});
  }
}

StreamStore Filled(std::int64_t rows) {
  StreamStore store = StreamStore::Temporary({.fields = {{.name = "number"}}});
  Grow(store, rows);
  return store;
}

SamplerOptions By(const Priorities& priorities) {
  SamplerOptions options;
  options.unit = SampleUnit::kRow;
  options.batch_size = 64;
  options.priorities = priorities;
  return options;
}

Priorities Linear() {
  Priorities priorities;
  priorities.alpha = 1;
  priorities.eps = 0;
  return priorities;
}

std::vector<std::int64_t> IndicesOf(const WindowBatch& batch) {
  std::vector<std::int64_t> indices(batch.size());
  batch.ReadIndices(indices);
  return indices;
}

std::vector<std::int64_t> DrawnBy(WindowSampler& sampler) {
  WindowBatch batch;
  sampler.Sample(batch);
  return IndicesOf(batch);
}

std::vector<std::int64_t> Numbers(std::int64_t count) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

void UpdateAll(WindowSampler& sampler, std::int64_t count, double priority) {
  sampler.UpdatePriorities(Numbers(count),
                           std::vector<double>(static_cast<std::size_t>(count), priority));
}

TEST(SamplerPrioritiesTest, DrawsInProportionToThePriorities) {
  const StreamStore store = Filled(3);
  Priorities priorities = Linear();
  priorities.beta = 1;
  priorities.normalize = WeightNormalization::kNone;
  WindowSampler sampler({store.reader()}, By(priorities));
  sampler.UpdatePriorities(Numbers(3), std::vector<double>{1, 0, 3});
  WindowBatch batch;
  sampler.Sample(batch);
  const std::vector<std::int64_t> indices = IndicesOf(batch);
  EXPECT_EQ(std::ranges::count(indices, 0), 16);  // stratified: a quarter of the parts
  EXPECT_EQ(std::ranges::count(indices, 2), 48);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const double probability = indices[i] == 0 ? 0.25 : 0.75;
    EXPECT_DOUBLE_EQ(batch.probabilities()[i], probability);
    EXPECT_FLOAT_EQ(batch.weights()[i], static_cast<float>(1 / (3 * probability)));
  }
}

TEST(SamplerPrioritiesTest, NormalizesByTheLargestWeightOfTheStores) {
  const StreamStore store = Filled(3);
  Priorities priorities = Linear();
  priorities.beta = 1;
  priorities.normalize = WeightNormalization::kStore;
  SamplerOptions options = By(priorities);
  options.batch_size = 1;
  WindowSampler sampler({store.reader()}, options);
  sampler.UpdatePriorities(Numbers(3), std::vector<double>{1, 0, 3});
  WindowBatch batch;
  for (int i = 0; i < 20; ++i) {
    sampler.Sample(batch);
    EXPECT_FLOAT_EQ(batch.weights()[0], IndicesOf(batch)[0] == 0 ? 1.0F : 1.0F / 3);
  }
}

TEST(SamplerPrioritiesTest, NeverDrawsPriority0) {
  const StreamStore store = Filled(10);
  Priorities priorities;
  priorities.eps = 1;
  WindowSampler sampler({store.reader()}, By(priorities));
  UpdateAll(sampler, 10, 0);
  sampler.UpdatePriorities(std::vector<std::int64_t>{3}, std::vector<double>{1e-3});
  EXPECT_EQ(DrawnBy(sampler), std::vector<std::int64_t>(64, 3));
}

TEST(SamplerPrioritiesTest, KeepsPrioritiesWhenItLooksAtAllRowsAgain) {
  const StreamStore store = Filled(3);
  WindowSampler sampler({store.reader()}, By(Linear()));
  const std::vector<double> expected = {5, 0, 2};
  sampler.UpdatePriorities(Numbers(3), expected);
  sampler.Restore(sampler.state());
  std::vector<double> priorities(3);
  sampler.ReadPriorities(0, 0, priorities);
  EXPECT_EQ(priorities, expected);
}

TEST(SamplerPrioritiesTest, FollowsGrowthAndDrops) {
  StreamStore store = Filled(10);
  WindowSampler sampler({store.reader()}, By(Linear()));
  UpdateAll(sampler, 10, 0);
  Grow(store, 1);
  for (const std::int64_t index : DrawnBy(sampler)) {
    EXPECT_EQ(index, 10);  // it has priority 1
  }
  store.DropBefore(10);
  Grow(store, 5000);  // more than a page of slots
  const std::vector<std::int64_t> drawn = DrawnBy(sampler);
  EXPECT_GE(*std::ranges::min_element(drawn), 10);
  EXPECT_GT(*std::ranges::max_element(drawn), 4900);
  EXPECT_EQ(sampler.UpdatePriorities(Numbers(12), std::vector<double>(12, 2)), 10U);
  const RowRange rows = sampler.PriorityRows(0);
  EXPECT_EQ(rows.begin, 10);
  EXPECT_EQ(rows.end, 5011);
}

TEST(SamplerPrioritiesTest, NewStartsGetTheLargestPriorityEver) {
  StreamStore store = Filled(2);
  WindowSampler sampler({store.reader()}, By(Linear()));
  sampler.UpdatePriorities(Numbers(2), std::vector<double>{8, 1});
  UpdateAll(sampler, 2, 1);
  Grow(store, 1);
  std::vector<double> priorities(4);
  sampler.ReadPriorities(0, 0, priorities);
  EXPECT_EQ(std::vector<double>(priorities.begin(), priorities.begin() + 3),
            (std::vector<double>{1, 1, 8}));
  EXPECT_TRUE(std::isnan(priorities[3]));
}

TEST(SamplerPrioritiesTest, AnErrorOfAnUpdateChangesNothing) {
  const StreamStore store = Filled(10);
  WindowSampler sampler({store.reader()}, By(Linear()));
  const auto refused = [&](std::vector<std::int64_t> indices, const std::vector<double>& to,
                           const std::string& reason) {
    ExpectRefused([&] { sampler.UpdatePriorities(indices, to); }, reason);
  };
  refused({1, 2}, {5}, "expected one priority for each index, 2, but found 1");
  refused({1, 2}, {5, -1}, "number 1 is -1");
  refused({1, 2}, {5, kNaN}, "number 1 is nan");
  refused({1, 2}, {5, kInfinity}, "number 1 is inf");
  refused({1, 10}, {5, 5}, "row 10 of store 0, which is not the anchor of a window");
  refused({1, std::int64_t{1} << 48}, {5, 5}, "is of store 1");
  refused({1, -1}, {5, 5}, "number 1, -1");
  std::vector<double> priorities(10);
  sampler.ReadPriorities(0, 0, priorities);
  EXPECT_EQ(priorities, std::vector<double>(10, 1));
  EXPECT_EQ(sampler.state().priorities->largest, 1);
}

TEST(SamplerPrioritiesTest, RefusesCallsWithoutPriorities) {
  const StreamStore store = Filled(10);
  SamplerOptions options = By({});
  options.priorities.reset();
  WindowSampler sampler({store.reader()}, options);
  const std::string reason = "expected a sampler with priorities";
  ExpectRefused([&] { sampler.UpdatePriorities({}, {}); }, reason);
  ExpectRefused([&] { sampler.SetAlpha(1); }, reason);
  ExpectRefused([&] { sampler.SetBeta(1); }, reason);
  ExpectRefused([&] { sampler.PriorityRows(0); }, reason);
  ExpectRefused([&] { sampler.ReadPriorities(0, 0, {}); }, reason);
  ExpectRefused([&] { sampler.LoadPriorities(0, 0, {}); }, reason);
  WindowBatch batch;
  sampler.Sample(batch);
  EXPECT_TRUE(batch.weights().empty());
  EXPECT_TRUE(batch.probabilities().empty());
}

TEST(SamplerPrioritiesTest, RefusesOptionsThatAreOutOfRange) {
  const StreamStore store = Filled(1);
  const auto refused = [&](double Priorities::* member, double value, const std::string& reason) {
    Priorities priorities;
    priorities.*member = value;
    ExpectRefused([&] { const WindowSampler sampler({store.reader()}, By(priorities)); }, reason);
  };
  for (const double value : {-1.0, 101.0, kNaN, kInfinity}) {
    refused(&Priorities::alpha, value, "alpha: expected a number in [0, 100]");
    refused(&Priorities::beta, value, "beta: expected a number in [0, 100]");
    refused(&Priorities::mix, value, "mix: expected a number in [0, 1]");
  }
  refused(&Priorities::eps, -1, "eps: expected a number in");
  for (const double value : {-1.0, kNaN, kInfinity}) {
    Priorities priorities;
    priorities.initial = value;
    ExpectRefused([&] { const WindowSampler sampler({store.reader()}, By(priorities)); },
                  "the priority of new starts");
  }
  SamplerOptions options = By({});
  options.replacement = false;
  EXPECT_THROW(WindowSampler({store.reader()}, options), Error);
  options = By({});
  options.unit = SampleUnit::kValue;
  EXPECT_THROW(WindowSampler({store.reader()}, options), Error);
}

TEST(SamplerPrioritiesTest, AlphaIsExactAfterAnyNumberOfChanges) {
  const StreamStore store = Filled(2);
  WindowSampler sampler({store.reader()}, By(Linear()));
  sampler.UpdatePriorities(Numbers(2), std::vector<double>{1, 1e100});
  ExpectRefused([&] { sampler.SetAlpha(10); }, "the largest priority, 1e+100, has a weight");
  EXPECT_EQ(sampler.options().priorities->alpha, 1);
  sampler.SetAlpha(0);
  WindowBatch batch;
  sampler.Sample(batch);
  EXPECT_EQ(std::ranges::count(IndicesOf(batch), 0), 32);
  sampler.UpdatePriorities(Numbers(2), std::vector<double>{1, 4});
  sampler.SetAlpha(0.5);
  sampler.Sample(batch);
  EXPECT_DOUBLE_EQ(batch.probabilities()[0], 1.0 / 3);
  EXPECT_EQ(sampler.options().priorities->alpha, 0.5);
}

TEST(SamplerPrioritiesTest, AStateAndPrioritiesResumeExactly) {
  StreamStore store = Filled(5000);
  WindowSampler sampler({store.reader()}, By({}));
  for (int i = 0; i < 20; ++i) {
    const std::vector<std::int64_t> drawn = DrawnBy(sampler);
    std::vector<double> priorities(drawn.begin(), drawn.end());
    sampler.UpdatePriorities(drawn, priorities);
  }
  sampler.SetAlpha(0.9);
  WindowSampler other({store.reader()}, By({}));
  other.Restore(sampler.state());
  const RowRange rows = sampler.PriorityRows(0);
  std::vector<double> priorities(static_cast<std::size_t>(rows.end - rows.begin));
  sampler.ReadPriorities(0, rows.begin, priorities);
  other.LoadPriorities(0, rows.begin, priorities);
  EXPECT_EQ(other.options().priorities->alpha, 0.9);
  Grow(store, 100);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(DrawnBy(other), DrawnBy(sampler));
  }
}

TEST(SamplerPrioritiesTest, LoadingRaisesTheLargestPriorityAndChecksFirst) {
  StreamStore store = Filled(4);
  WindowSampler sampler({store.reader()}, By(Linear()));
  ExpectRefused([&] { sampler.LoadPriorities(0, 0, std::vector<double>{7, -1}); }, "row 1 has -1");
  ExpectRefused([&] { sampler.LoadPriorities(0, 3, std::vector<double>{7, 7}); },
                "expected priorities of rows that the sampler sees, before row 4 of store 0");
  EXPECT_EQ(internal::ErrorOf([&] { sampler.LoadPriorities(1, 0, {}); }).code(),
            ErrorCode::kOutOfRange);
  std::vector<double> priorities(4);
  sampler.ReadPriorities(0, 0, priorities);
  EXPECT_EQ(priorities, std::vector<double>(4, 1));
  sampler.LoadPriorities(0, 0, std::vector<double>{7, kNaN, 2});
  Grow(store, 1);
  priorities.resize(5);
  sampler.ReadPriorities(0, 0, priorities);
  EXPECT_EQ(priorities, (std::vector<double>{7, 1, 2, 1, 7}));
}

TEST(SamplerPrioritiesTest, AStateThatIsOutOfRangeChangesNothing) {
  const StreamStore store = Filled(4);
  WindowSampler sampler({store.reader()}, By(Linear()));
  SamplerState state = sampler.state();
  state.seed = 5;
  state.priorities->alpha = -1;
  ExpectRefused([&] { sampler.Restore(state); }, "alpha");
  state.priorities = {.alpha = 1, .beta = 1, .largest = kInfinity};
  ExpectRefused([&] { sampler.Restore(state); }, "largest priority");
  state.priorities.reset();
  ExpectRefused([&] { sampler.Restore(state); }, "expected one of a sampler with priorities");
  EXPECT_EQ(sampler.options().seed, 0U);
  EXPECT_EQ(sampler.options().priorities, Linear());
}

TEST(SamplerPrioritiesTest, SeveralStoresShareTheTotal) {
  const StreamStore first = Filled(10);
  const StreamStore second = Filled(20);
  WindowSampler sampler({first.reader(), second.reader()}, By(Linear()));
  UpdateAll(sampler, 10, 0);
  WindowBatch batch;
  sampler.Sample(batch);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(batch.stores()[i], 1);
    EXPECT_EQ(IndicesOf(batch)[i], (std::int64_t{1} << 48) + batch.anchors()[i]);
  }
  std::vector<std::int64_t> all;
  for (std::int64_t row = 0; row < 20; ++row) {
    all.push_back((std::int64_t{1} << 48) + row);
  }
  sampler.UpdatePriorities(all, std::vector<double>(20, 0));
  sampler.UpdatePriorities(std::vector<std::int64_t>{9}, std::vector<double>{1e-300});
  for (const std::int64_t index : DrawnBy(sampler)) {
    EXPECT_EQ(index, 9);
  }
}

TEST(SamplerPrioritiesTest, StoresAreDrawnByTheirTotals) {
  const StreamStore first = Filled(1);
  const StreamStore second = Filled(1);
  const StreamStore third = Filled(1);
  Priorities priorities = Linear();
  priorities.beta = 1;
  priorities.normalize = WeightNormalization::kStore;
  WindowSampler sampler({first.reader(), second.reader(), third.reader()}, By(priorities));
  constexpr std::int64_t kStore = std::int64_t{1} << 48;
  sampler.UpdatePriorities(std::vector<std::int64_t>{0, kStore, 2 * kStore},
                           std::vector<double>{2, 1, 5});
  WindowBatch batch;
  sampler.Sample(batch);
  EXPECT_EQ(std::ranges::count(batch.stores(), 0), 16);
  EXPECT_EQ(std::ranges::count(batch.stores(), 1), 8);
  EXPECT_EQ(std::ranges::count(batch.stores(), 2), 40);
  const std::vector<float> weights = {0.5F, 1.0F, 0.2F};
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_FLOAT_EQ(batch.weights()[i], weights[static_cast<std::size_t>(batch.stores()[i])]);
  }
}

TEST(SamplerPrioritiesTest, RanksShareTheStarts) {
  const StreamStore store = Filled(1000);
  std::set<std::int64_t> all;
  std::uint64_t starts = 0;
  for (std::uint64_t rank = 0; rank < 3; ++rank) {
    SamplerOptions options = By(Linear());
    options.rank = rank;
    options.world_size = 3;
    options.batch_size = 1 << 14;
    WindowSampler sampler({store.reader()}, options);
    const std::vector<std::int64_t> drawn = DrawnBy(sampler);
    const std::set<std::int64_t> share(drawn.begin(), drawn.end());
    EXPECT_EQ(share.size(), sampler.NumStarts());  // each of the parts of the total has a draw
    EXPECT_NEAR(static_cast<double>(share.size()), 333, 60);
    starts += share.size();
    all.insert(share.begin(), share.end());
  }
  EXPECT_EQ(starts, 1000U);
  EXPECT_EQ(all.size(), 1000U);
}

TEST(SamplerPrioritiesTest, LimitsOfTheRowsFollowTheEnd) {
  StreamStore store = Filled(100);
  SamplerOptions options = By(Linear());
  options.first_row = -10;
  WindowSampler sampler({store.reader()}, options);
  for (int i = 0; i < 30; ++i) {
    const std::vector<std::int64_t> drawn = DrawnBy(sampler);
    const auto end = static_cast<std::int64_t>(store.reader().num_rows());
    EXPECT_EQ(*std::ranges::min_element(drawn), end - 10);
    EXPECT_EQ(*std::ranges::max_element(drawn), end - 1);
    Grow(store, i % 3);
  }
}

}  // namespace
}  // namespace stream_store
