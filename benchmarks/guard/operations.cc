#include "operations.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>

#include "stream_store/arrow.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "bind.h"
#include "chunk_operations.h"
#include "data/data.h"
#include "sampler_operations.h"

namespace stream_store::guard {
namespace {

using namespace benchmarks;  // NOLINT(google-build-using-namespace)

constexpr std::uint64_t kSteps = 2000;  // per run that appends
constexpr std::uint64_t kExportedRows = 100'000;

struct Appending {
  StreamStore store = MakeEmptyStore(kRuns * kSteps);
  std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  Step step = 0;
};

Operation AppendOneCall() {
  return {
      "append_one_call", "step", kSteps, Bind(std::make_shared<Appending>(), [](Appending& s) {
        for (std::uint64_t i = 0; i < kSteps; ++i, ++s.step) {
          s.store.Append(
              s.step,
              {{kAction, s.step}, {kObservation, s.observation}, {kReward, 1.0F}, {kDone, false}});
        }
      })};
}

Operation AppendTwoCalls() {
  return {"append_two_calls", "step", kSteps, Bind(std::make_shared<Appending>(), [](Appending& s) {
            for (std::uint64_t i = 0; i < kSteps; ++i, ++s.step) {
              s.store.Append(s.step, {{kAction, s.step}, {kObservation, s.observation}});
              s.store.Append(s.step, {{kReward, 1.0F}, {kDone, false}});
            }
          })};
}

Operation Extend() {
  struct State {
    StreamStore store = MakeEmptyStore(kRuns * kRows);
    ColumnData data{kRows};
    std::vector<Column> columns = data.Columns();
  };

  return {"extend", "row", kRows, Bind(std::make_shared<State>(), [](State& s) {
            s.store.Extend(s.data.steps, s.columns);
            for (Step& step : s.data.steps) {
              step += static_cast<Step>(kRows);
            }
          })};
}

// A reader of a store, batches of places in it, and memory for three columns of one batch.
struct Reading {
  Reading(const StreamStore& store, std::uint64_t per_batch, std::uint64_t width)
      : reader(store.reader()),
        draws(kReads / per_batch, per_batch, reader.size() - width),
        room(3 * per_batch * width),
        out{.values = room.data(),
            .types = room.data() + per_batch * width,
            .step = room.data() + 2 * per_batch * width} {}

  Reader reader;
  Draws draws;
  Pages<Value> room;
  WindowsOut out;
};

Operation ReadWindows(std::string name, const StreamStore& store, std::uint64_t windows) {
  auto state = std::make_shared<Reading>(store, windows, kWidth);
  return {std::move(name), "window of 128 values", kReads,
          Bind(std::move(state), [windows](Reading& s) {
            for (std::uint64_t i = 0; i < kReads; i += windows) {
              s.reader.ReadWindows(s.draws.Next(), kWidth, s.out);
              Keep();
            }
          })};
}

Operation Gather(const StreamStore& store) {
  auto state = std::make_shared<Reading>(store, kWindows, 1);
  return {"gather", "scattered value", kReads, Bind(std::move(state), [](Reading& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.reader.Gather(s.draws.Next(), s.out);
              Keep();
            }
          })};
}

Operation ReadRows(std::string name, const StreamStore& store, bool ragged_too) {
  struct State {
    State(const StreamStore& of, bool with_ragged)
        : reader(of.reader()),
          draws(kBatches, kWindows, reader.num_rows() - kLength),
          room(with_ragged) {}

    Reader reader;
    Draws draws;
    RowsRoom room;
  };

  return {std::move(name), "window of 12 rows", kReads,
          Bind(std::make_shared<State>(store, ragged_too), [](State& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.reader.ReadRows(s.draws.Next(), kLength, s.room.columns, s.room.steps.data());
              Keep();
            }
          })};
}

Operation Sample(const StreamStore& store) {
  struct State {
    explicit State(const StreamStore& of)
        : sampler({of.reader()}, {.length = kLength,
                                  .unit = SampleUnit::kRow,
                                  .batch_size = kWindows,
                                  .segment_by = {kDone}}) {}

    WindowSampler sampler;
    WindowBatch batch;
  };

  return {"sample_segments", "window of 12 rows", kReads,
          Bind(std::make_shared<State>(store), [](State& s) {
            for (std::uint64_t i = 0; i < kBatches; ++i) {
              s.sampler.Sample(s.batch);
              Keep();
            }
          })};
}

Operation Export() {
  auto store = std::make_shared<StreamStore>(MakeRegularStore(kExportedRows));
  return {
      "export_arrow", "row", kExportedRows, Bind(std::move(store), [](StreamStore& s) {
        ArrowArrayStream stream{};
        ExportArrow(s.reader(), {}, &stream);
        if (Drain(stream) != kExportedRows) {
          throw std::runtime_error("the Arrow stream has another number of rows than the store");
        }
      })};
}

}  // namespace

std::vector<Operation> Operations() {
  const StreamStore regular = MakeRegularStore(kRows);
  const StreamStore irregular = MakeIrregularStore(kRows);
  std::vector<Operation> operations = {
      AppendOneCall(),
      AppendTwoCalls(),
      Extend(),
      ReadWindows("read_windows_1", regular, 1),
      ReadWindows("read_windows_256", regular, kWindows),
      ReadWindows("read_windows_256_irregular", irregular, kWindows),
      Gather(regular),
      ReadRows("read_rows", regular, false),
      ReadRows("read_rows_irregular", irregular, true),
      Sample(regular),
      Export()};
  for (const std::vector<Operation>& more :
       std::array{SamplerOperations(), ChunkOperations(), NestedOperations()}) {
    std::ranges::copy(more, std::back_inserter(operations));
  }
  return operations;
}

WindowsAndMemcpy MakeWindowsAndMemcpy() {
  constexpr std::uint64_t kResidentSteps = 4000;  // 480 KB, and a source of 1 MB

  struct State : Reading {
    explicit State(const StreamStore& store)
        : Reading(store, kWindows, kWidth), column(reader.size()), source(3 * column) {}

    std::uint64_t column;
    Pages<Value> source;
    Draws memcpy_draws = draws;
  };

  const auto state = std::make_shared<State>(MakeRegularStore(kResidentSteps));
  return {Bind(state,
               [](State& s) {
                 s.reader.ReadWindows(s.draws.Next(), kWidth, s.out);
                 Keep();
               }),
          Bind(state, [](State& s) {
            CopyWindows(s.source.data(), s.column, s.memcpy_draws.Next(), s.room.data());
            Keep();
          })};
}

}  // namespace stream_store::guard
