// WindowBatch: windows that are not runs of consecutive rows, but have a row for each place.
#include "store/window_places.h"

#include <algorithm>
#include <cstring>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "store/read_functions.h"

namespace stream_store {

using internal::StrCat;

const WindowBatch::Places& WindowBatch::PlacesOf(TypeId type) const {
  STREAM_STORE_ASSERT(!places_.empty());
  if (!by_offsets_) {
    return places_[0];
  }
  const auto has = [type](const Places& places) {
    return std::ranges::find(places.types, type) != places.types.end();
  };
  const auto found = std::ranges::find_if(places_, has);
  if (found == places_.end()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("reading a batch: expected a field with offsets but field ", type, " has none"));
  }
  return *found;
}

std::uint64_t WindowBatch::length(TypeId type) const {
  return by_offsets_ ? PlacesOf(type).offsets.size() : length_;
}

std::span<const std::uint8_t> WindowBatch::valid(TypeId type) const {
  if (!by_offsets_) {
    throw Error(ErrorCode::kInvalidArgument,
                "reading a batch: expected a sampler with offsets but it has none");
  }
  return PlacesOf(type).valid;
}

void WindowBatch::ReadRowNumbers(std::span<Row> rows) const {
  RequireUnit(/*rows=*/true);
  if (rows.size() != size() * length_) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("reading a batch: expected room for ", size() * length_,
                       " rows but found room for ", rows.size()));
  }
  if (!places_.empty()) {
    std::ranges::copy(places_[0].rows, rows.begin());
    return;
  }
  std::ranges::fill(rows, Row{-1});
  for (std::size_t i = 0; i < size(); ++i) {
    const std::uint64_t count = count_.empty() ? length_ : count_[i];
    const std::uint64_t place = i * length_ + (lead_.empty() ? 0 : lead_[i]);
    for (std::uint64_t k = 0; k < count; ++k) {
      rows[place + k] = starts_[i] + static_cast<Row>(k * lanes_);
    }
  }
}

// Adds a row to the runs of a store, which are those from `first_run` on. It may continue the last run.
void WindowBatch::AddPlace(Places& places, std::size_t first_run, std::uint64_t place) {
  const Row row = places.rows[place];
  if (row < 0) {
    return;
  }
  if (places.runs.size() > first_run) {
    RowRun& last = places.runs.back();
    if (row == last.row + static_cast<Row>(last.count) && place == last.place + last.count) {
      last.count += 1;
      return;
    }
  }
  places.runs.push_back({.row = row, .count = 1, .place = place});
}

// Joins consecutive rows to runs, store by store.
void WindowBatch::MakePlacedRuns(Places& places) const {
  const std::uint64_t length = places.offsets.size();
  for (const Part& part : parts_) {
    const std::size_t first_run = places.runs.size();
    places.run_begins.push_back(first_run);
    for (const std::uint64_t i : WindowsOf(part)) {
      for (std::uint64_t place = i * length; place < (i + 1) * length; ++place) {
        AddPlace(places, first_run, place);
      }
    }
  }
  places.run_begins.push_back(places.runs.size());
}

void WindowBatch::ReadPlaces(const Places& places, std::span<const RowsColumn> columns, Step* steps,
                             std::vector<std::shared_ptr<const void>>& copies) const {
  for (std::size_t begin = 0; begin < places.rows.size();) {
    std::size_t end = begin;
    while (end < places.rows.size() && places.rows[end] < 0) {
      ++end;
    }
    if (end > begin) {
      internal::ZeroRows(internal::ReaderAccess::ViewOf(*parts_[0].reader), begin, end - begin,
                         columns, steps);
    }
    begin = end + 1;
  }
  ReadParts(places.runs, places.run_begins, columns, steps, copies);
}

void WindowBatch::ReadPlaced(std::span<const RowsColumn> columns, Step* steps, std::uint8_t* valid,
                             std::vector<std::shared_ptr<const void>>& copies) const {
  if (valid != nullptr) {
    std::ranges::copy(places_[0].valid, valid);
  }
  if (!by_offsets_) {
    ReadPlaces(places_[0], columns, steps, copies);
    return;
  }
  for (const RowsColumn& column : columns) {
    PlacesOf(column.type);  // throws before anything is written
  }
  if (steps != nullptr) {
    ReadPlaces(places_[0], {}, steps, copies);
  }
  for (std::size_t which = 1; which < places_.size(); ++which) {
    std::vector<RowsColumn> some;
    for (const RowsColumn& column : columns) {
      if (&PlacesOf(column.type) == &places_[which]) {
        some.push_back(column);
      }
    }
    if (!some.empty()) {
      ReadPlaces(places_[which], some, nullptr, copies);
    }
  }
}

}  // namespace stream_store
