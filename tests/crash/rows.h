// Rows whose content follows from their number, for tests of kills, faults and damage.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stream_store/store.h"

#include "base/str_cat.h"

namespace stream_store::crash {

inline const std::vector<Field>& RowFields() {
  static const std::vector<Field> fields = {Field{.name = "count"},
                                            Field{.name = "list", .shape = {kRagged}},
                                            Field{.name = "flag", .dtype = DType::kBool}};
  return fields;
}

/// Options without helper threads and automatic syncs, so that the test determines every event.
inline Options RowOptions() {
  return Options{.capacity_values = 1,
                 .fields = RowFields(),
                 .grow_ahead = false,
                 .sync_interval = {},
                 .sync_bytes = 0};
}

/// The number of items of row r's list. A few lists are long, so that files grow.
inline std::size_t ListLength(Row row) {
  return static_cast<std::size_t>(row % 17 == 16 ? 5000 : row % 7);
}

/// Appends row r: its number, a list of copies of it, and whether it is odd.
inline void AppendWholeRow(StreamStore& store, Row row) {
  const std::vector<Value> list(ListLength(row), row);
  store.Append(row, {{0, row}, {1, list}, {2, row % 2 == 1}});
}

/// Appends three rows in one call, which readers see all at once.
inline void AppendThreeRows(StreamStore& store, Row row) {
  std::array<std::vector<Value>, 3> lists;
  std::vector<Step> steps;
  std::vector<FieldWrite> writes;
  for (std::size_t i = 0; i < lists.size(); ++i) {
    const Row at = row + static_cast<Row>(i);
    lists[i].assign(ListLength(at), at);
    steps.insert(steps.end(), 3, at);
    writes.insert(writes.end(), {{0, at}, {1, lists[i]}, {2, at % 2 == 1}});
  }
  store.Append(steps, writes);
}

/// Rows [first, first + count) as columns, for Extend() and StagedRows.
class RowColumns {
 public:
  RowColumns(Row first, Row count) {
    offsets_.push_back(0);
    for (Row row = first; row < first + count; ++row) {
      steps_.push_back(row);
      lists_.insert(lists_.end(), ListLength(row), row);
      offsets_.push_back(static_cast<std::int64_t>(lists_.size()));
      flags_.push_back(row % 2 == 1);
    }
    columns_[0] = {.type = 0, .source = Source::kInt64, .data = steps_.data()};
    columns_[1] = {
        .type = 1, .source = Source::kInt64, .data = lists_.data(), .offsets = offsets_.data()};
    columns_[2] = {.type = 2, .source = Source::kBool, .data = flags_.data()};
  }

  RowColumns(const RowColumns&) = delete;
  RowColumns& operator=(const RowColumns&) = delete;

  std::span<const Step> steps() const noexcept { return steps_; }

  std::span<const Column> columns() const noexcept { return columns_; }

 private:
  std::vector<Step> steps_;
  std::vector<Value> lists_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::uint8_t> flags_;
  std::array<Column, 3> columns_;
};

/// Returns an empty text, or the first difference from the rows of AppendWholeRow().
inline std::string WrongRow(const Reader& reader) {
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    const RowView view = reader.row(row);
    const auto values = [&](std::size_t i) {
      return (*(view.begin() + static_cast<std::ptrdiff_t>(i))).values;
    };
    const bool right =
        view.step() == row && view.size() == 3 && values(0).size() == 1 && values(0)[0] == row &&
        values(1).size() == ListLength(row) &&
        std::ranges::all_of(values(1), [row](Value value) { return value == row; }) &&
        values(2).size() == 1 && values(2)[0] == row % 2;
    if (!right)
      return internal::StrCat("row ", row, " of ", reader.num_rows(), " is not what was appended");
  }
  return {};
}

}  // namespace stream_store::crash
