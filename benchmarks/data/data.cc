#include "data/data.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>

namespace stream_store::benchmarks {
namespace {

StreamStore MakeStore(std::vector<Field> fields, std::uint64_t values, std::uint64_t records) {
  StreamStore store = StreamStore::Temporary({.fields = std::move(fields), .grow_ahead = false});
  store.Reserve(values, records);
  return store;
}

}  // namespace

std::vector<Field> StepFields(std::uint32_t items) {
  return {{.name = "action", .dtype = DType::kInt64},
          {.name = "observation", .dtype = DType::kFloat32, .shape = {items}},
          {.name = "reward", .dtype = DType::kFloat32},
          {.name = "done", .dtype = DType::kBool}};
}

StreamStore MakeEmptyStore(std::uint64_t steps) {
  return MakeStore(StepFields(), kStepValues * steps, 2 * steps);  // a step may take two appends
}

StreamStore MakeRegularStore(std::uint64_t steps) {
  constexpr std::uint64_t kChunk = 100'000;  // whole episodes
  StreamStore store = MakeStore(StepFields(), kStepValues * steps, steps);
  for (std::uint64_t first = 0; first < steps; first += kChunk) {
    const ColumnData data(std::min(kChunk, steps - first), static_cast<Step>(first));
    store.Extend(data.steps, data.Columns());
  }
  return store;
}

StreamStore MakeIrregularStore(std::uint64_t steps) {
  std::vector<Field> fields = StepFields();
  fields.push_back({.name = "ragged", .dtype = DType::kFloat32, .shape = {kRagged}});
  StreamStore store = MakeStore(fields, (kStepValues + kMostRagged) * steps, steps);
  std::mt19937_64 random(3);
  const auto here = [&random] { return random() % 10 >= 3; };
  const std::array<float, 8> observation{1, 2, 3, 4, 5, 6, 7, 8};
  const std::array<float, kMostRagged> ragged{};
  std::vector<FieldWrite> writes;
  for (std::uint64_t i = 0; i < steps; ++i) {
    writes.clear();
    if (here()) {
      writes.emplace_back(kAction, static_cast<std::int64_t>(i));
    }
    if (here()) {
      writes.emplace_back(kObservation, observation);
    }
    if (here()) {
      writes.emplace_back(kReward, 1.0F);
    }
    writes.emplace_back(kDone, i % kEpisodeRows == kEpisodeRows - 1);
    if (here()) {
      writes.emplace_back(kRaggedField, std::span(ragged).first(random() % (kMostRagged + 1)));
    }
    store.Append(static_cast<Step>(i), writes);
  }
  return store;
}

ColumnData::ColumnData(std::uint64_t rows, Step first)
    : steps(rows), actions(rows), observations(8 * rows), rewards(rows, 1.0F), done(rows) {
  std::iota(steps.begin(), steps.end(), first);
  std::iota(actions.begin(), actions.end(), first);
  std::iota(observations.begin(), observations.end(), 0.0F);
  for (std::uint64_t i = kEpisodeRows - 1; i < rows; i += kEpisodeRows) {
    done[i] = 1;
  }
}

std::vector<Column> ColumnData::Columns() const {
  return {{.type = kAction, .source = Source::kInt64, .data = actions.data(), .row_items = 1},
          {.type = kObservation,
           .source = Source::kFloat32,
           .data = observations.data(),
           .row_items = 8},
          {.type = kReward, .source = Source::kFloat32, .data = rewards.data(), .row_items = 1},
          {.type = kDone, .source = Source::kBool, .data = done.data(), .row_items = 1}};
}

Draws::Draws(std::uint64_t batches, std::uint64_t size, std::uint64_t bound)
    : size_(size), draws_(batches * size) {
  std::mt19937_64 random(7);
  for (std::int64_t& draw : draws_) {
    draw = static_cast<std::int64_t>(random() % bound);
  }
}

std::span<const std::int64_t> Draws::Next() noexcept {
  const auto batch = std::span<const std::int64_t>(draws_).subspan(next_, size_);
  next_ = (next_ + size_) % draws_.size();
  return batch;
}

RowsRoom::RowsRoom(bool ragged_too) {
  const auto mask = [this](TypeId field) { return present.data() + field * kBatchRows; };
  columns = {{kAction, action.data(), mask(kAction)},
             {kObservation, observation.data(), mask(kObservation)},
             {kReward, reward.data(), mask(kReward)},
             {kDone, done.data(), mask(kDone)}};
  if (ragged_too) {
    columns.push_back(
        {kRaggedField, ragged.data(), mask(kRaggedField), lengths.data(), kMostRagged});
  }
}

void CopyWindows(const Value* source, std::uint64_t size, std::span<const Position> starts,
                 Value* out) noexcept {
  for (std::uint64_t column = 0; column < 3; ++column) {
    for (const Position start : starts) {
      std::memcpy(out, source + column * size + static_cast<std::uint64_t>(start),
                  kWidth * sizeof(Value));
      out += kWidth;
    }
  }
}

}  // namespace stream_store::benchmarks
