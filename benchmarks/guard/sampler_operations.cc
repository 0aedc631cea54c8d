#include "sampler_operations.h"

#include <memory>
#include <utility>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "bind.h"
#include "data/data.h"

namespace stream_store::guard {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr TypeId kAgent = 4, kImage = 5;
constexpr std::uint32_t kImageSide = 16;
constexpr std::uint64_t kImageBytes = kImageSide * kImageSide;
constexpr std::uint64_t kStacked = 4;  // images of a window
constexpr std::int64_t kAgents = 16;   // which act in turn

// A store whose rows name their agent and have an image.
StreamStore MakeAgentStore() {
  std::vector<Field> fields = StepFields();
  fields.push_back({.name = "agent"});
  fields.push_back(
      {.name = "image", .dtype = DType::kUInt8, .shape = {kImageSide, kImageSide}, .packed = true});
  StreamStore store = StreamStore::Temporary({.fields = std::move(fields), .grow_ahead = false});
  const ColumnData data(kRows);
  std::vector<std::int64_t> agents(kRows);
  std::vector<std::uint8_t> images(kRows * kImageBytes);
  for (std::uint64_t row = 0; row < kRows; ++row) {
    agents[row] = static_cast<std::int64_t>(row) % kAgents;
    images[row * kImageBytes] = static_cast<std::uint8_t>(row);
  }
  std::vector<Column> columns = data.Columns();
  columns.push_back(
      {.type = kAgent, .source = Source::kInt64, .data = agents.data(), .row_items = 1});
  columns.push_back(
      {.type = kImage, .source = Source::kUInt8, .data = images.data(), .row_items = kImageBytes});
  store.Extend(data.steps, columns);
  return store;
}

SamplerOptions RowWindows() {
  return {
      .length = kLength, .unit = SampleUnit::kRow, .batch_size = kWindows, .segment_by = {kDone}};
}

SamplerOptions ByAgent() {
  SamplerOptions options = RowWindows();
  options.lane_by = {kAgent};
  return options;
}

// Stacked images up to the anchor, and the actions from it on.
SamplerOptions WithOffsets() {
  SamplerOptions options = ByAgent();
  options.outside = SampleOutside::kEdge;
  options.offsets = {{kImage, {-3, -2, -1, 0}}, {kAction, {}}};
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(kLength); ++i) {
    options.offsets[1].offsets.push_back(i);
  }
  return options;
}

// A sampler and a batch of it.
struct Sampling {
  Sampling(const StreamStore& store, SamplerOptions options)
      : sampler({store.reader()}, std::move(options)) {
    sampler.NumStarts();
    sampler.Sample(batch);
  }

  WindowSampler sampler;
  WindowBatch batch;
};

Operation Choose(std::string name, const StreamStore& store, SamplerOptions options) {
  return {std::move(name), "window", kReads,
          Bind(std::make_shared<Sampling>(store, std::move(options)), [](Sampling& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.sampler.Sample(s.batch);
              Keep();
            }
          })};
}

// Reads one batch again and again: it was chosen before.
Operation ReadByAgent(const StreamStore& store) {
  struct State : Sampling {
    explicit State(const StreamStore& of) : Sampling(of, ByAgent()) {}

    RowsRoom room{/*ragged_too=*/false};
  };

  return {"read_lane_by", "window of 12 rows", kReads,
          Bind(std::make_shared<State>(store), [](State& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.batch.ReadRows(s.room.columns, s.room.steps.data());
              Keep();
            }
          })};
}

Operation ReadOffsets(const StreamStore& store) {
  struct State : Sampling {
    explicit State(const StreamStore& of) : Sampling(of, WithOffsets()) {}

    Pages<std::uint8_t> images{kWindows * kStacked * kImageBytes};
    Pages<std::int64_t> actions{kBatchRows};
    std::vector<RowsColumn> columns{{.type = kImage, .out = images.data()},
                                    {.type = kAction, .out = actions.data()}};
  };

  return {"read_offsets", "window of 4 images and 12 actions", kReads,
          Bind(std::make_shared<State>(store), [](State& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.batch.ReadRows(s.columns);
              Keep();
            }
          })};
}

// A sampler by priority, of which every start has one, and numbers of windows that it drew.
struct Prioritised : Sampling {
  explicit Prioritised(const StreamStore& store)
      : Sampling(store, Options()), indices(kReads), priorities(kReads) {
    std::vector<double> all(kRows);
    for (std::uint64_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<double>(i % 97) + 1;
    }
    sampler.LoadPriorities(0, 0, all);
    for (std::uint64_t i = 0; i < kReads; i += kWindows) {
      sampler.Sample(batch);
      batch.ReadIndices(std::span(indices).subspan(i, kWindows));
    }
    for (std::uint64_t i = 0; i < kReads; ++i) {
      priorities[i] = static_cast<double>(i % 89) + 1;
    }
  }

  static SamplerOptions Options() {
    SamplerOptions options = RowWindows();
    options.priorities = Priorities{};
    return options;
  }

  std::vector<std::int64_t> indices;
  std::vector<double> priorities;
};

Operation DrawByPriority(const StreamStore& store) {
  return {"priority_draw", "window", kReads,
          Bind(std::make_shared<Prioritised>(store), [](Prioritised& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.sampler.Sample(s.batch);
              Keep();
            }
          })};
}

Operation UpdatePriorities(const StreamStore& store) {
  return {"priority_update", "window", kReads,
          Bind(std::make_shared<Prioritised>(store), [](Prioritised& s) {
            for (std::uint64_t i = 0; i < kReads; i += kWindows) {
              s.sampler.UpdatePriorities(std::span(s.indices).subspan(i, kWindows),
                                         std::span(s.priorities).subspan(i, kWindows));
            }
          })};
}

}  // namespace

std::vector<Operation> SamplerOperations() {
  const StreamStore store = MakeAgentStore();
  return {DrawByPriority(store),
          UpdatePriorities(store),
          Choose("sample_lane_by", store, ByAgent()),
          ReadByAgent(store),
          Choose("sample_offsets", store, WithOffsets()),
          ReadOffsets(store)};
}

}  // namespace stream_store::guard
