// Times the samplers of streams that agents write row by row in turn: windows of lanes by key, next
// to regular lanes and to windows of neighbouring rows on the same data; with rows left out; with
// offsets; and of whole segments.
//
// The agents act in turn, so that `lane_by` and `lanes` name the same lanes. Both have the same
// windows then, and differ in how they find them.
#include <algorithm>
#include <optional>
#include <vector>

#include <benchmark/benchmark.h>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "data/data.h"

namespace stream_store {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr TypeId kAgent = 4, kKeep = 5;

// The kinds of samplers. Their numbers are in the names of the benchmarks, and run.py reads them.
enum How : std::int64_t {
  kNeighbours,          // windows of neighbouring rows, within segments
  kRegular,             // lanes=
  kByKey,               // lane_by=
  kByKeyLeftOut,        // lane_by=, where=, exclude= and require=
  kOffsets,             // lane_by= and offsets=: 2 observations and 12 actions
  kWhole,               // lane_by= and whole_segments=, of as many rows as the other batches
  kRegularAfterAppend,  // kRegular, and a row is appended before each batch
  kByKeyAfterAppend,    // kByKey, and a row is appended before each batch
};

struct Data {
  std::int64_t rows = 0;
  std::int64_t agents = 0;

  friend bool operator==(const Data&, const Data&) = default;
};

StreamStore MakeAgentStore(const Data& data) {
  std::vector<Field> fields = StepFields();
  fields.push_back({.name = "agent"});
  fields.push_back({.name = "keep", .dtype = DType::kBool});
  StreamStore store = StreamStore::Temporary({.fields = std::move(fields), .grow_ahead = false});
  const auto rows = static_cast<std::uint64_t>(data.rows);
  const auto agents = static_cast<std::uint64_t>(data.agents);
  constexpr std::uint64_t kChunk = 100'000;
  for (std::uint64_t first = 0; first < rows; first += kChunk) {
    ColumnData columns(std::min(kChunk, rows - first), static_cast<Step>(first));
    std::vector<std::int64_t> agent;
    std::vector<std::uint8_t> keep;
    columns.done.clear();
    for (std::uint64_t row = first; row < first + columns.steps.size(); ++row) {
      const std::uint64_t tick = row / agents;
      agent.push_back(static_cast<std::int64_t>(row % agents));
      keep.push_back(tick % 1000 != 500 ? 1 : 0);
      columns.done.push_back(tick % kEpisodeRows == kEpisodeRows - 1 ? 1 : 0);
    }
    std::vector<Column> all = columns.Columns();
    all.push_back({.type = kAgent, .source = Source::kInt64, .data = agent.data(), .row_items = 1});
    all.push_back({.type = kKeep, .source = Source::kBool, .data = keep.data(), .row_items = 1});
    store.Extend(columns.steps, all);
  }
  return store;
}

StreamStore& StoreOf(const Data& data) {
  static std::optional<StreamStore> store;
  static Data held;
  if (!store || held != data) {
    store.reset();
    store.emplace(MakeAgentStore(data));
    held = data;
  }
  return *store;
}

bool AfterAppend(How how) { return how == kRegularAfterAppend || how == kByKeyAfterAppend; }

// Appends the row of the agent whose turn it is.
class AgentsInTurn {
 public:
  AgentsInTurn(StreamStore& store, const Data& data)
      : store_(store),
        agents_(data.agents),
        row_(static_cast<std::int64_t>(store.reader().num_rows())) {}

  void Append() {
    store_.Append(row_, {{kReward, 1.0F}, {kDone, false}, {kAgent, row_ % agents_}});
    ++row_;
  }

 private:
  StreamStore& store_;
  std::int64_t agents_;
  std::int64_t row_;
};

SamplerOptions OptionsOf(const Data& data, How how) {
  SamplerOptions options{.length = kLength, .unit = SampleUnit::kRow, .batch_size = kWindows};
  options.segment_by = {kDone};
  if (how == kRegular || how == kRegularAfterAppend) {
    options.lanes = static_cast<std::uint64_t>(data.agents);
  } else if (how != kNeighbours) {
    options.lane_by = {kAgent};
  }
  if (how == kByKeyLeftOut) {
    options.where = kKeep;
    options.exclude = {{1000, 1500}, {5000, 5001}};
    options.require = {kAction};
  } else if (how == kOffsets) {
    options.offsets = {{kObservation, {-1, 0}}, {kAction, {}}};
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(kLength); ++i) {
      options.offsets[1].offsets.push_back(i);
    }
  } else if (how == kWhole) {
    options.length = 0;
    options.whole_segments = true;
    options.batch_size = kBatchRows / kEpisodeRows;
  }
  return options;
}

// Chooses windows without reading them.
void Choose(benchmark::State& state) {
  const Data data{state.range(0), state.range(1)};
  const auto how = static_cast<How>(state.range(2));
  StreamStore& store = StoreOf(data);
  WindowSampler sampler({store.reader()}, OptionsOf(data, how));
  WindowBatch batch;
  sampler.NumStarts();
  AgentsInTurn agents(store, data);
  for (auto _ : state) {
    if (AfterAppend(how)) agents.Append();
    sampler.Sample(batch);
    benchmark::DoNotOptimize(batch.starts().data());
  }
}

// Chooses and reads windows: all fields of the data, or those that have offsets.
void SampleRows(benchmark::State& state) {
  const Data data{state.range(0), state.range(1)};
  const auto how = static_cast<How>(state.range(2));
  StreamStore& store = StoreOf(data);
  WindowSampler sampler({store.reader()}, OptionsOf(data, how));
  WindowBatch batch;
  RowsRoom room(/*ragged_too=*/false);
  std::vector<std::uint8_t> valid(kBatchRows);
  std::vector<RowsColumn> columns = room.columns;
  if (how == kOffsets) {
    std::erase_if(columns, [](const RowsColumn& column) {
      return column.type != kObservation && column.type != kAction;
    });
  }
  sampler.NumStarts();
  AgentsInTurn agents(store, data);
  for (auto _ : state) {
    if (AfterAppend(how)) agents.Append();
    sampler.Sample(batch);
    batch.ReadRows(columns, room.steps.data(), valid.data());
    benchmark::ClobberMemory();
  }
}

// Counts the windows of the first sampler of a store, which reads every row once.
void FirstCount(benchmark::State& state) {
  const Data data{state.range(0), state.range(1)};
  const auto how = static_cast<How>(state.range(2));
  const StreamStore& store = StoreOf(data);
  for (auto _ : state) {
    WindowSampler sampler({store.reader()}, OptionsOf(data, how));
    benchmark::DoNotOptimize(sampler.NumStarts());
  }
}

constexpr std::int64_t kAgents[] = {16, 10'000};

void AllKinds(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t rows : {kSizes[1], kSizes[2]}) {
    for (const std::int64_t agents : kAgents) {
      for (std::int64_t how = kNeighbours; how <= kByKeyAfterAppend; ++how) {
        benchmark->Args({rows, agents, how});
      }
    }
  }
}

void FirstCounts(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t agents : {64, 10'000}) {
    for (const How how : {kNeighbours, kByKey}) {
      benchmark->Args({kSizes[2], agents, how});
    }
  }
}

BENCHMARK(Choose)->Apply(AllKinds)->Unit(benchmark::kMicrosecond);
BENCHMARK(SampleRows)->Apply(AllKinds)->Unit(benchmark::kMicrosecond);
BENCHMARK(FirstCount)->Apply(FirstCounts)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace stream_store

BENCHMARK_MAIN();
