// Times the append of a step with 4 field-writes and 11 values to a store with reserved space: in
// one call, and in two.
//
// The competitor in the same run stores the same bytes without validation or checksum: a record and
// eleven words into a mapped file, then a release store. Every figure is the least of many short
// runs, because the machine may be shared.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include "stream_store/store.h"

#include "data/data.h"

namespace stream_store {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr std::int64_t kStepsPerRun = 2000;
constexpr int kRuns = 200;

double Least(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

void OneCall(benchmark::State& state) {
  StreamStore store = StreamStore::Temporary({.fields = StepFields()});
  store.Reserve(kStepValues * kStepsPerRun * (kRuns + 1), kStepsPerRun * (kRuns + 1));
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  Step step = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kStepsPerRun; ++i, ++step) {
      store.Append(step,
                   {{kAction, step}, {kObservation, observation}, {kReward, 1.0F}, {kDone, false}});
    }
  }
  state.SetItemsProcessed(state.iterations() * kStepsPerRun);
}

void TwoCalls(benchmark::State& state) {
  StreamStore store = StreamStore::Temporary({.fields = StepFields()});
  store.Reserve(kStepValues * kStepsPerRun * (kRuns + 1), 2 * kStepsPerRun * (kRuns + 1));
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  Step step = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kStepsPerRun; ++i, ++step) {
      store.Append(step, {{kAction, step}, {kObservation, observation}});
      store.Append(step, {{kReward, 1.0F}, {kDone, false}});
    }
  }
  state.SetItemsProcessed(state.iterations() * kStepsPerRun);
}

// The floor: stores of the same bytes to mapped memory, without validation or checksum.
void BareStores(benchmark::State& state) {
  const std::size_t bytes = kStepsPerRun * (kRuns + 1) * 120;
  auto* memory = static_cast<std::byte*>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  std::atomic<std::uint64_t> published{0};
  std::byte* at = memory;
  std::int64_t step = 0;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kStepsPerRun; ++i, ++step) {
      std::array<std::int64_t, 15> words{step, step, step, 0, step};
      for (std::size_t k = 0; k < 8; ++k) {
        const auto number = static_cast<double>(observation[k]);
        std::memcpy(&words[5 + k], &number, sizeof(number));
      }
      std::memcpy(at, words.data(), sizeof(words));
      at += sizeof(words);
      published.store(static_cast<std::uint64_t>(step), std::memory_order_release);
    }
  }
  state.SetItemsProcessed(state.iterations() * kStepsPerRun);
  munmap(memory, bytes);
}

void Extend(benchmark::State& state) {
  StreamStore store = StreamStore::Temporary({.fields = StepFields()});
  store.Reserve(kStepValues * kStepsPerRun * (kRuns + 1), kStepsPerRun * (kRuns + 1));
  ColumnData data(kStepsPerRun);
  const std::vector<Column> columns = data.Columns();
  for (auto _ : state) {
    store.Extend(data.steps, columns);
    for (Step& step : data.steps) {
      step += kStepsPerRun;
    }
  }
  state.SetItemsProcessed(state.iterations() * kStepsPerRun);
}

// Short runs; the least counts.
void Configure(benchmark::internal::Benchmark* bench) {
  bench->Iterations(kRuns / 20)
      ->Repetitions(20)
      ->ComputeStatistics("min", Least)
      ->ReportAggregatesOnly();
}

BENCHMARK(OneCall)->Apply(Configure);
BENCHMARK(TwoCalls)->Apply(Configure);
BENCHMARK(BareStores)->Apply(Configure);
BENCHMARK(Extend)->Apply(Configure);

}  // namespace
}  // namespace stream_store

BENCHMARK_MAIN();
