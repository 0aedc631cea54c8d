#include "store/rows_of_stores.h"

#include <algorithm>

#include "base/assert.h"
#include "storage/read_ahead.h"
#include "store/prefetch.h"
#include "store/read_functions.h"
#include "store/row_reader.h"

namespace stream_store::internal {
namespace {

// Whether a guess of the first record of the run can be made: it has rows, and the View has them.
bool IsInside(const View& view, const RowRun& run) {
  const auto row = static_cast<std::uint64_t>(run.row);
  return run.count > 0 && view.first_row <= row && row < view.row_count;
}

}  // namespace

RowsOfStores::RowsOfStores(std::span<const StoreRuns> stores, std::span<const RowsColumn> columns,
                           Step* steps)
    : types_(TypesOf(columns)),
      columns_((STREAM_STORE_ASSERT(!stores.empty()), MakeRowColumns(*stores[0].view, columns))),
      steps_(steps) {
  for (const StoreRuns& store : stores) {
    stores_.emplace_back(store);
  }
  if (!ReadAhead::Waits()) {
    for (std::uint32_t store = 0; store < stores.size(); ++store) {
      ListPlaces(store);
    }
    Touch();
  }
  marked_ = MarkAll();
}

// Marks the places of all runs as present in one pass, if they follow each other without a gap, as
// those of a batch without padding. Returns whether they do.
bool RowsOfStores::MarkAll() {
  std::uint64_t begin = ~std::uint64_t{0};
  std::uint64_t end = 0;
  std::uint64_t count = 0;
  for (const Store& store : stores_) {
    for (const RowRun& run : store.row.runs) {
      begin = std::min(begin, run.place);
      end = std::max(end, run.place + run.count);
      count += run.count;
    }
  }
  if (count == 0 || end - begin != count) {
    return false;
  }
  for (const ColumnSink& column : columns_) {
    MarkPresent(column, count, begin);
  }
  return true;
}

void RowsOfStores::ListPlaces(std::uint32_t store) {
  Store& of = stores_[store];
  of.begin = places_.size();
  for (std::uint32_t run = 0; run < of.row.runs.size() && HasRecords(of.view); ++run) {
    if (IsInside(of.view, of.row.runs[run])) {
      places_.push_back({store, run, 0});
    }
  }
  of.end = places_.size();
}

// Walking the page tables is the longest wait, and these loops overlap the walks; see prefetch.h.
void RowsOfStores::Touch() {
  for (const Place& place : places_) {
    stores_[place.store].touched.PrefetchHint(place.run);
  }
  for (Place& place : places_) {
    place.record = stores_[place.store].touched.TouchRecords(place.run);
  }
  for (const Place& place : places_) {
    stores_[place.store].touched.TouchValues(place.run, place.record);
  }
}

void RowsOfStores::Read(std::size_t which) {
  const Store& store = stores_[which];
  const View& view = store.view;
  const std::span<const RowRun> runs = store.row.runs;
  CheckRowRuns(view, runs);
  RowReader reader(view, columns_, RowPlans::ForThread(view, types_), steps_);
  const auto read = [&](const RowRun& run, std::uint64_t record) {
    if (!marked_) {
      reader.MarkPresent(run.place, run.count);
    }
    reader.ReadWindow(record, static_cast<std::uint64_t>(run.row), run.count, run.place);
  };
  if (store.begin == store.end) {
    ForEachRowRun(view, runs, read);
    return;
  }
  ReadAhead read_ahead(view);
  for (std::size_t i = store.begin; i < store.end; ++i) {
    if (i + kLinesAhead < places_.size()) {
      const Place& ahead = places_[i + kLinesAhead];
      stores_[ahead.store].touched.PrefetchLines(ahead.run, ahead.record);
    }
    const RowRun& run = runs[places_[i].run];
    read(run, RowRecordFromHint(view, static_cast<std::uint64_t>(run.row), places_[i].record));
  }
  read_ahead.After(store.end - store.begin);
}

}  // namespace stream_store::internal
