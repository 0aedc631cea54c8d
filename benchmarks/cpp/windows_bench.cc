// Times windows, gathers and decoded rows next to memcpy of the same output bytes.
//
// The competitor is one memcpy per window and column, from random offsets of a warmed source as
// large as the three columns, into the same reused output. The stores have 20 k, 2 M and 20 M steps
// of 4 fields and 11 values. The program builds its View in mapped memory, so that only reading is
// measured.
#include <bit>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "data/data.h"
#include "format/layout.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

// Zeroed memory in pages of the normal size, like the pages of files.
template <class T>
std::shared_ptr<T> MapWords(std::uint64_t count) {
  const std::size_t bytes = count * sizeof(T);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::bad_alloc();
  }
  return {static_cast<T*>(memory), [bytes](T* words) { munmap(words, bytes); }};
}

// A store of regular steps and a source for memcpy of the same size as its three columns.
struct BenchStore {
  explicit BenchStore(std::uint64_t steps)
      : values(MapWords<Value>(steps * kStepValues)),
        records(MapWords<Record>(steps)),
        position_hints(MapWords<std::uint64_t>(steps * kStepValues / kHintStride + 1)),
        row_hints(MapWords<std::uint64_t>(steps / kHintStride + 1)),
        source(MapWords<Value>(steps * kStepValues * 3)) {
    for (std::uint64_t i = 0; i < steps; ++i) {
      Fill(i);
    }
    for (std::uint64_t i = 0; i < steps * kStepValues * 3; i += 8) {
      source.get()[i] = static_cast<Value>(i);
    }
    auto store_schema = std::make_shared<StoreSchema>();
    store_schema->schema = Schema(StepFields());
    store_schema->encodings = MakeEncodings(store_schema->schema);
    view.values = values.get();
    view.records = records.get();
    view.layouts = layouts.data();
    view.position_hints = position_hints.get();
    view.row_hints = row_hints.get();
    view.value_count = steps * kStepValues;
    view.record_count = view.row_count = steps;
    view.layout_words = layouts.size();
    view.position_hint_end = view.value_count / kHintStride + 1;
    view.row_hint_end = view.row_count / kHintStride + 1;
    view.mapping_key = steps;
    view.store_schema = store_schema;
  }

  void Fill(std::uint64_t i) {
    const std::uint64_t start = i * kStepValues;
    records.get()[i] = {start, static_cast<Step>(i), PackRowSession(i, 1), 1, 0};
    for (std::uint64_t j = 0; j < kStepValues; ++j) {
      const bool real = j >= 1 && j < 10;
      values.get()[start + j] =
          real ? std::bit_cast<Value>(static_cast<double>(i)) : static_cast<Value>(i / 1000 % 2);
    }
    for (std::uint64_t p = start; p < start + kStepValues; ++p) {
      if (p % kHintStride == 0) {
        position_hints.get()[p / kHintStride] = i;
      }
    }
    if (i % kHintStride == 0) {
      row_hints.get()[i / kHintStride] = i;
    }
  }

  std::shared_ptr<Value> values;
  std::shared_ptr<Record> records;
  std::shared_ptr<std::uint64_t> position_hints;
  std::shared_ptr<std::uint64_t> row_hints;
  std::shared_ptr<Value> source;
  std::vector<std::uint64_t> layouts = {0,
                                        LayoutHead(4, kStepValues),
                                        LayoutWord(0, 1),
                                        LayoutWord(1, 8),
                                        LayoutWord(2, 1),
                                        LayoutWord(3, 1)};
  View view;
};

BenchStore& StoreOf(std::int64_t steps) {
  static std::unique_ptr<BenchStore> store;
  if (store == nullptr || static_cast<std::int64_t>(store->view.record_count) != steps) {
    store.reset();
    store = std::make_unique<BenchStore>(static_cast<std::uint64_t>(steps));
  }
  return *store;
}

void BM_MemcpyWindows(benchmark::State& state) {
  const BenchStore& store = StoreOf(state.range(0));
  const auto windows = static_cast<std::uint64_t>(state.range(1));
  Draws draws(Batches(windows), windows, store.view.value_count - kWidth);
  std::vector<Value> out(windows * kWidth * 3);
  for (auto _ : state) {
    CopyWindows(store.source.get(), store.view.value_count, draws.Next(), out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}

void BM_ReadWindows(benchmark::State& state) {
  const BenchStore& store = StoreOf(state.range(0));
  const auto windows = static_cast<std::uint64_t>(state.range(1));
  Draws draws(Batches(windows), windows, store.view.value_count - kWidth);
  std::vector<Value> out(windows * kWidth * 3);
  const WindowsOut columns{out.data(), out.data() + windows * kWidth,
                           out.data() + 2 * windows * kWidth};
  for (auto _ : state) {
    ReadWindows(store.view, draws.Next(), kWidth, columns);
    benchmark::ClobberMemory();
  }
}

void BM_ReadWindowsAllColumns(benchmark::State& state) {
  const BenchStore& store = StoreOf(state.range(0));
  Draws draws(Batches(kWindows), kWindows, store.view.value_count - kWidth);
  std::vector<Value> out(kWindows * kWidth * 5);
  std::vector<float> number(kWindows * kWidth);
  const auto column = [&](std::uint64_t i) { return out.data() + i * kWindows * kWidth; };
  const WindowsOut columns{column(0), column(1), column(2), number.data(), column(3), column(4)};
  for (auto _ : state) {
    ReadWindows(store.view, draws.Next(), kWidth, columns);
    benchmark::ClobberMemory();
  }
}

void BM_Gather(benchmark::State& state) {
  const BenchStore& store = StoreOf(state.range(0));
  Draws draws(Batches(kWindows), kWindows, store.view.value_count);
  std::vector<Value> out(kWindows * 3);
  const WindowsOut columns{out.data(), out.data() + kWindows, out.data() + 2 * kWindows};
  for (auto _ : state) {
    Gather(store.view, draws.Next(), columns);
    benchmark::ClobberMemory();
  }
}

void BM_ReadRows(benchmark::State& state) {
  const BenchStore& store = StoreOf(state.range(0));
  Draws draws(Batches(kWindows), kWindows, store.view.row_count - kLength);
  RowsRoom room(/*ragged_too=*/false);
  for (auto _ : state) {
    ReadRows(store.view, draws.Next(), kLength, room.columns, room.steps.data());
    benchmark::ClobberMemory();
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t steps : kSizes) {
    benchmark->Arg(steps);
  }
}

void SizesAndWindows(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t steps : kSizes) {
    for (const std::int64_t windows : {1, 256}) {
      benchmark->Args({steps, windows});
    }
  }
}

BENCHMARK(BM_MemcpyWindows)->Apply(SizesAndWindows)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ReadWindows)->Apply(SizesAndWindows)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ReadWindowsAllColumns)->Apply(Sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_Gather)->Apply(Sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(BM_ReadRows)->Apply(Sizes)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stream_store::internal

BENCHMARK_MAIN();
