// Times a PriorityTree: batches of 256 leaves drawn, and set to new weights, at random.
//
// BENCH_SIZES of the tree are small (0.1 M leaves fit into the second-level cache), medium and
// large (20 M leaves, 183 MB, fit into no cache).
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "stream_store/priority_tree.h"

namespace stream_store {
namespace {

constexpr std::uint64_t kDrawn = 256;
constexpr std::uint64_t kBatches = 4096;  // of leaves to set, made beforehand

using Leaves = std::vector<std::uint64_t>;

// A tree of random weights, made once for all runs of one size.
PriorityTree& TreeOf(std::int64_t size, bool keep_extremes) {
  static std::unique_ptr<PriorityTree> tree;
  static std::pair<std::int64_t, bool> held{};
  if (!tree || held != std::pair{size, keep_extremes}) {
    tree.reset();
    tree = std::make_unique<PriorityTree>(PriorityTreeOptions{.keep_extremes = keep_extremes});
    tree->Resize(static_cast<std::uint64_t>(size));
    Leaves leaves(1000);
    std::vector<double> weights(leaves.size());
    for (std::uint64_t begin = 0; begin < tree->size(); begin += leaves.size()) {
      for (std::size_t i = 0; i < leaves.size(); ++i) {
        leaves[i] = begin + i;
        weights[i] = static_cast<double>((begin + i) * 0x9e3779b97f4a7c15U >> 32) + 1;
      }
      tree->Set(leaves, weights);
    }
    held = {size, keep_extremes};
  }
  return *tree;
}

void Draw(benchmark::State& state) {
  const PriorityTree& tree = TreeOf(state.range(0), /*keep_extremes=*/false);
  const auto spread = static_cast<DrawSpread>(state.range(1));
  Leaves leaves(kDrawn);
  std::uint64_t batch = 0;
  for (auto _ : state) {
    tree.Draw({.seed = 1, .batch = batch++, .spread = spread}, leaves);
    benchmark::DoNotOptimize(leaves.data());
    benchmark::ClobberMemory();
  }
}

// Leaves are drawn beforehand, so that they are not in the cache when they are set.
void Set(benchmark::State& state) {
  PriorityTree& tree = TreeOf(state.range(0), state.range(1) != 0);
  Leaves leaves(kBatches * kDrawn);
  tree.Draw({.seed = 2}, leaves);
  std::vector<double> weights(kDrawn, 1e9);
  std::uint64_t batch = 0;
  for (auto _ : state) {
    weights[batch % kDrawn] += 1;
    tree.Set({&leaves[batch++ % kBatches * kDrawn], kDrawn}, weights);
  }
}

// One pass: draw, look at the weights, set them.
void DrawAndSet(benchmark::State& state) {
  PriorityTree& tree = TreeOf(state.range(0), /*keep_extremes=*/false);
  Leaves leaves(kDrawn);
  std::vector<double> weights(kDrawn);
  std::uint64_t batch = 0;
  for (auto _ : state) {
    tree.Draw({.seed = 3, .batch = batch++, .spread = DrawSpread::kStratified}, leaves);
    tree.Get(leaves, weights);
    benchmark::DoNotOptimize(weights.data());
    tree.Set(leaves, weights);
  }
}

// A bounded buffer: a leaf is added and one is dropped.
void AppendAndDrop(benchmark::State& state) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  PriorityTree tree;
  tree.Resize(size, 1);
  for (auto _ : state) {
    tree.Resize(tree.size() + 1, 1);
    tree.DropBefore(tree.size() - size);
  }
}

constexpr std::int64_t kSizes[] = {100'000, 1'000'000, 2'000'000, 20'000'000};

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t size : kSizes) {
    benchmark->Arg(size);
  }
}

void SizesAndTwo(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t size : kSizes) {
    benchmark->Args({size, 0})->Args({size, 1});
  }
}

BENCHMARK(Draw)->Apply(SizesAndTwo)->Unit(benchmark::kMicrosecond);
BENCHMARK(Set)->Apply(SizesAndTwo)->Unit(benchmark::kMicrosecond);
BENCHMARK(DrawAndSet)->Apply(Sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(AppendAndDrop)->Apply(Sizes)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stream_store

BENCHMARK_MAIN();
