// Row windows of 12 steps, read and sampled, through the public API: plain streams, streams with
// missing and ragged fields, with and without segments.
//
// Beside them one memcpy of the stored bytes of each window (records and values), from random
// places of a source of the same size: what reading them costs at least.
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

namespace stream_store {
namespace {

constexpr std::uint64_t kBatch = 256;
constexpr std::uint64_t kLength = 12;
constexpr std::uint64_t kPlaces = kBatch * kLength;
constexpr std::uint64_t kItems = 8;
constexpr std::uint64_t kMostRagged = 10;
constexpr std::uint64_t kStoredRowBytes = 11 * 8 + 32;
constexpr TypeId kObservation = 0, kAction = 1, kReward = 2, kDone = 3, kRagged1 = 4;

enum Kind : std::int64_t { kPlain, kMissing };

// 200 rows an episode. kMissing: every field but `done` is left out of 30 % of the rows, and there
// is a list of up to 10 floats.
StreamStore MakeStore(std::uint64_t rows, Kind kind) {
  std::vector<Field> fields = {{.name = "observation", .dtype = DType::kFloat32, .shape = {8}},
                               {.name = "action", .dtype = DType::kInt64},
                               {.name = "reward", .dtype = DType::kFloat32},
                               {.name = "done", .dtype = DType::kBool}};
  if (kind == kMissing) {
    fields.push_back({.name = "ragged", .dtype = DType::kFloat32, .shape = {kRagged}});
  }
  StreamStore store = StreamStore::Temporary({.fields = fields});
  std::mt19937_64 random(3);
  std::vector<float> observation(kItems, 0.5F);
  const std::vector<float> ragged(kMostRagged, 1.5F);
  for (std::uint64_t i = 0; i < rows; ++i) {
    observation[0] = static_cast<float>(i);
    std::vector<FieldWrite> writes;
    const auto here = [&] { return kind == kPlain || random() % 10 >= 3; };
    if (here()) {
      writes.emplace_back(kObservation, observation);
    }
    if (here()) {
      writes.emplace_back(kAction, static_cast<std::int64_t>(i));
    }
    if (here()) {
      writes.emplace_back(kReward, 1.0F);
    }
    writes.emplace_back(kDone, i % 200 == 199);
    if (kind == kMissing && here()) {
      writes.emplace_back(kRagged1, std::span(ragged).first(random() % (kMostRagged + 1)));
    }
    store.Append(static_cast<Step>(i), writes);
  }
  return store;
}

StreamStore& StoreOf(std::int64_t rows, Kind kind) {
  static std::optional<StreamStore> store;
  static std::pair<std::int64_t, Kind> held{};
  if (!store || held != std::pair{rows, kind}) {
    store.reset();
    store.emplace(MakeStore(static_cast<std::uint64_t>(rows), kind));
    held = {rows, kind};
  }
  return *store;
}

// Room for one batch.
struct Output {
  std::vector<float> observation = std::vector<float>(kPlaces * kItems);
  std::vector<std::int64_t> action = std::vector<std::int64_t>(kPlaces);
  std::vector<float> reward = std::vector<float>(kPlaces);
  std::vector<std::uint8_t> done = std::vector<std::uint8_t>(kPlaces);
  std::vector<float> ragged = std::vector<float>(kPlaces * kMostRagged);
  std::vector<std::int64_t> lengths = std::vector<std::int64_t>(kPlaces);
  std::vector<std::uint8_t> present = std::vector<std::uint8_t>(kPlaces * 5);
  std::vector<Step> steps = std::vector<Step>(kPlaces);

  std::vector<RowsColumn> Columns(Kind kind) {
    const auto mask = [&](std::uint64_t i) { return present.data() + i * kPlaces; };
    std::vector<RowsColumn> columns = {{kObservation, observation.data(), mask(0)},
                                       {kAction, action.data(), mask(1)},
                                       {kReward, reward.data(), mask(2)},
                                       {kDone, done.data(), mask(3)}};
    if (kind == kMissing) {
      columns.push_back({kRagged1, ragged.data(), mask(4), lengths.data(), kMostRagged});
    }
    return columns;
  }
};

std::vector<std::vector<Row>> Draws(std::uint64_t bound) {
  std::mt19937_64 random(7);
  std::vector<std::vector<Row>> draws(1024, std::vector<Row>(kBatch));
  for (std::vector<Row>& rows : draws) {
    for (Row& row : rows) {
      row = static_cast<Row>(random() % bound);
    }
  }
  return draws;
}

void Memcpy(benchmark::State& state) {
  const auto rows = static_cast<std::uint64_t>(state.range(0));
  std::vector<char> source(rows * kStoredRowBytes, 1);
  std::vector<char> out(kPlaces * kStoredRowBytes);
  const auto draws = Draws(rows - kLength);
  std::size_t next = 0;
  for (auto _ : state) {
    const std::vector<Row>& starts = draws[++next % draws.size()];
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      std::memcpy(out.data() + i * kLength * kStoredRowBytes,
                  source.data() + static_cast<std::uint64_t>(starts[i]) * kStoredRowBytes,
                  kLength * kStoredRowBytes);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
}

void ReadRows(benchmark::State& state) {
  const auto kind = static_cast<Kind>(state.range(1));
  const Reader reader = StoreOf(state.range(0), kind).reader();
  const auto draws = Draws(reader.rows() - kLength);
  Output output;
  const std::vector<RowsColumn> columns = output.Columns(kind);
  std::size_t next = 0;
  for (auto _ : state) {
    reader.ReadRows(draws[++next % draws.size()], kLength, columns, output.steps.data());
    benchmark::ClobberMemory();
  }
}

enum How : std::int64_t { kReplacing, kEpochs, kSegments, kSegmentEpochs, kAfterAppend };

WindowSampler MakeSampler(const StreamStore& store, How how) {
  SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow, .batch_size = kBatch};
  options.replacement = how != kEpochs && how != kSegmentEpochs;
  if (how >= kSegments) {
    options.segment_by = {kDone};
  }
  return {{store.reader()}, options};
}

// Choosing windows, without reading them; kAfterAppend: of a store that grew by a row meanwhile.
void Choose(benchmark::State& state) {
  StreamStore& store = StoreOf(state.range(0), kPlain);
  const auto how = static_cast<How>(state.range(1));
  WindowSampler sampler = MakeSampler(store, how);
  WindowBatch batch;
  sampler.NumStarts();
  if (!sampler.options().replacement) {
    sampler.BeginEpoch();
  }
  auto step = static_cast<Step>(store.reader().rows());
  for (auto _ : state) {
    if (how == kAfterAppend) {
      store.Append(step++, {{kReward, 1.0F}, {kDone, step % 200 == 0}});
    }
    if (sampler.options().replacement) {
      sampler.Sample(batch);
    } else if (!sampler.Next(batch)) {
      sampler.BeginEpoch();
    }
    benchmark::DoNotOptimize(batch.starts().data());
  }
}

// Choosing and reading.
void SampleRows(benchmark::State& state) {
  StreamStore& store = StoreOf(state.range(0), kPlain);
  WindowSampler sampler = MakeSampler(store, static_cast<How>(state.range(1)));
  WindowBatch batch;
  Output output;
  std::vector<std::uint8_t> valid(kPlaces);
  const std::vector<RowsColumn> columns = output.Columns(kPlain);
  sampler.NumStarts();
  for (auto _ : state) {
    sampler.Sample(batch);
    batch.ReadRows(columns, output.steps.data(), valid.data());
    benchmark::ClobberMemory();
  }
}

void SizesAndHows(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {20'000, 2'000'000, 20'000'000}) {
    for (const How how : {kReplacing, kEpochs, kSegments, kSegmentEpochs, kAfterAppend}) {
      benchmark->Args({rows, how});
    }
  }
}

void SizesAndTwoHows(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {20'000, 2'000'000, 20'000'000}) {
    for (const How how : {kReplacing, kSegments}) {
      benchmark->Args({rows, how});
    }
  }
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {20'000, 2'000'000, 20'000'000}) {
    benchmark->Arg(rows);
  }
}

void SizesAndKinds(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {20'000, 2'000'000}) {
    benchmark->Args({rows, kMissing});
  }
  for (const std::int64_t rows : {20'000, 2'000'000, 20'000'000}) {
    benchmark->Args({rows, kPlain});
  }
}

BENCHMARK(Memcpy)->Apply(Sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK(ReadRows)->Apply(SizesAndKinds)->Unit(benchmark::kMicrosecond);
BENCHMARK(Choose)->Apply(SizesAndHows)->Unit(benchmark::kMicrosecond);
BENCHMARK(SampleRows)->Apply(SizesAndTwoHows)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace stream_store

BENCHMARK_MAIN();
