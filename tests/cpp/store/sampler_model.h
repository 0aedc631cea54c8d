// A simple model of the windows that a sampler may draw, and stores with the same rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "stream_store/sampler.h"
#include "stream_store/store.h"

namespace stream_store::internal {

enum SamplerType : TypeId { kEpisodeType, kItemsType, kDoneType, kCutType };

inline std::vector<Field> SamplerFields() {
  return {{.name = "episode", .dtype = DType::kInt32},
          {.name = "items", .dtype = DType::kInt64, .shape = {kRagged}},
          {.name = "done", .dtype = DType::kBool},
          {.name = "cut", .dtype = DType::kBool}};
}

/// One row of SamplerFields(); fields without a value are missing.
struct ModelRow {
  std::optional<std::int64_t> episode;
  std::optional<std::uint64_t> items;  // the number of items
  std::optional<bool> done;
  std::optional<bool> cut;

  std::uint64_t values() const {
    return (episode ? 1U : 0U) + items.value_or(0) + (done ? 1U : 0U) + (cut ? 1U : 0U);
  }
};

/// A window: store, start, empty places before it, stored rows.
using ModelWindow = std::tuple<std::int64_t, std::int64_t, std::uint64_t, std::uint64_t>;

class ModelStream {
 public:
  explicit ModelStream(std::uint64_t seed) : random_(seed) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }

  /// A row of an episode that goes on for about `mean_rows` more.
  ModelRow MakeRow(std::uint64_t mean_rows) {
    ModelRow row;
    episode_ += Below(mean_rows) == 0 ? 1 : 0;
    if (Below(4) != 0) row.episode = episode_ % 7 == 6 ? 0 : episode_;  // 0 comes again
    if (Below(3) != 0) row.items = Below(4);
    if (Below(3) != 0) row.done = Below(mean_rows) == 0;
    row.cut = Below(3 * mean_rows) == 0;  // the last declared field: the row is whole
    if (Below(5) == 0) {
      row = {};  // an empty row, or nearly
      row.cut = Below(2) == 0 ? std::optional(false) : std::nullopt;
    }
    return row;
  }

  void Append(StreamStore& store, const ModelRow& row) {
    const std::vector<std::int64_t> items(row.items.value_or(0), 7);
    std::vector<FieldWrite> writes;
    if (row.episode) writes.emplace_back(kEpisodeType, *row.episode);
    if (row.items) writes.emplace_back(kItemsType, items);
    const bool split = Below(4) == 0 && !writes.empty();
    const auto step = static_cast<Step>(rows.size());
    if (split) {
      store.Append(step, writes);
      writes.clear();
    }
    if (row.done) writes.emplace_back(kDoneType, *row.done);
    if (row.cut) writes.emplace_back(kCutType, *row.cut);
    if (!split || !writes.empty()) store.Append(step, writes);
    rows.push_back(row);
  }

  /// Rows that a sampler of rows may take while the writer lives.
  std::uint64_t whole_rows() const {
    return rows.size() - (rows.empty() || rows.back().cut ? 0 : 1);
  }

  /// The end of each row's segment among the first `count` rows, and its begin, in rows of the
  /// lane. Rows before `dropped` are not looked at.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> SegmentsOf(const SamplerOptions& options,
                                                                  std::uint64_t count,
                                                                  std::uint64_t dropped = 0) const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> bounds(count);
    for (std::uint64_t lane = 0; lane < options.lanes; ++lane) {
      std::vector<std::uint64_t> mine;
      for (std::uint64_t row = lane; row < count; row += options.lanes) mine.push_back(row);
      std::uint64_t first = 0;
      while (first < mine.size() && mine[first] < dropped) ++first;
      std::uint64_t begin = first;
      std::optional<std::int64_t> known;
      for (std::uint64_t at = first; at < mine.size(); ++at) {
        if (at > first && Begins(options, mine[at - 1], mine[at], known)) {
          for (std::uint64_t i = begin; i < at; ++i) bounds[mine[i]] = {begin, at};
          begin = at;
        }
        if (rows[mine[at]].episode) known = rows[mine[at]].episode;
      }
      for (std::uint64_t i = begin; i < mine.size(); ++i) bounds[mine[i]] = {begin, mine.size()};
    }
    return bounds;
  }

  /// All windows that `options` allow among the first `whole` rows (values without segments: all)
  /// of a store whose rows before `dropped` were dropped.
  std::vector<ModelWindow> Windows(const SamplerOptions& options, std::uint64_t whole,
                                   std::int64_t which = 0, std::uint64_t dropped = 0) const {
    const bool of_rows = options.unit == SampleUnit::kRow;
    const std::uint64_t count = of_rows || !options.segment_by.empty() ? whole : rows.size();
    const auto bound = [&](Row row) {
      const auto most = static_cast<Row>(count);
      return static_cast<std::uint64_t>(
          std::clamp<Row>(row < 0 ? row + most : row, static_cast<Row>(dropped), most));
    };
    const std::uint64_t first = bound(options.first_row);
    const std::uint64_t last = options.last_row ? bound(*options.last_row) : count;
    const auto segments = SegmentsOf(options, count, dropped);
    std::vector<ModelWindow> windows;
    for (std::uint64_t row = first; row < last; ++row) {
      of_rows ? AddRowWindow(options, segments[row], row, which, windows)
              : AddValueWindows(options, segments[row], row, which, windows);
    }
    std::sort(windows.begin(), windows.end());
    return windows;
  }

  std::vector<ModelRow> rows;

 private:
  bool Begins(const SamplerOptions& options, std::uint64_t before, std::uint64_t row,
              const std::optional<std::int64_t>& known) const {
    for (const TypeId type : options.segment_by) {
      if (type == kEpisodeType && rows[row].episode && known && *known != *rows[row].episode) {
        return true;
      }
      if (type == kDoneType && rows[before].done.value_or(false)) return true;
      if (type == kCutType && rows[before].cut.value_or(false)) return true;
    }
    return false;
  }

  static void AddRowWindow(const SamplerOptions& options,
                           const std::pair<std::uint64_t, std::uint64_t>& segment,
                           std::uint64_t row, std::int64_t which,
                           std::vector<ModelWindow>& windows) {
    const std::uint64_t at = row / options.lanes;
    const std::uint64_t length = options.length;
    std::uint64_t count = std::min(length, segment.second - at);
    std::uint64_t start = row;
    std::uint64_t lead = 0;
    if (options.pad == SamplePad::kNone && count < length) return;
    if (options.pad == SamplePad::kLeft) {
      count = std::min(length, at - segment.first + 1);
      start = row - (count - 1) * options.lanes;
      lead = length - count;
    }
    windows.emplace_back(which, static_cast<std::int64_t>(start), lead, count);
  }

  void AddValueWindows(const SamplerOptions& options,
                       const std::pair<std::uint64_t, std::uint64_t>& segment, std::uint64_t row,
                       std::int64_t which, std::vector<ModelWindow>& windows) const {
    const auto position = [&](std::uint64_t end) {
      std::uint64_t sum = 0;
      for (std::uint64_t i = 0; i < end; ++i) sum += rows[i].values();
      return sum;
    };
    const std::uint64_t begin = position(row);
    const std::uint64_t end = position(segment.second);
    const bool aligned = options.align == SampleAlign::kRow;
    const std::uint64_t starts = aligned ? 1 : rows[row].values();
    for (std::uint64_t i = 0; i < starts; ++i) {
      if (begin + i + options.length <= end) {
        windows.emplace_back(which, static_cast<std::int64_t>(begin + i), 0, options.length);
      }
    }
  }

  std::mt19937_64 random_;
  std::int64_t episode_ = 0;
};

/// The windows of a batch, as those of the model.
inline void AddWindows(const WindowBatch& batch, std::vector<ModelWindow>& windows) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const bool padded = !batch.count().empty();
    windows.emplace_back(batch.stores()[i], batch.starts()[i], padded ? batch.lead()[i] : 0,
                         padded ? batch.count()[i] : batch.length());
  }
}

inline std::vector<ModelWindow> EpochOf(WindowSampler& sampler) {
  std::vector<ModelWindow> windows;
  WindowBatch batch;
  sampler.BeginEpoch();
  while (sampler.Next(batch)) {
    AddWindows(batch, windows);
  }
  return windows;
}

inline std::vector<ModelWindow> Sorted(std::vector<ModelWindow> windows) {
  std::sort(windows.begin(), windows.end());
  return windows;
}

/// A store of 100 rows with an episode and a cut each: ten segments of ten rows.
struct Plain {
  Plain() {
    for (int i = 0; i < 100; ++i) {
      ModelRow row;
      row.episode = i / 10;
      row.cut = i % 10 == 9;
      model.Append(store, row);
    }
  }

  ModelStream model{1};
  StreamStore store = StreamStore::Temporary({.fields = SamplerFields()});
};

}  // namespace stream_store::internal
