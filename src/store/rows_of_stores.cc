#include "store/rows_of_stores.h"

#include <algorithm>
#include <tuple>

#include "base/assert.h"
#include "storage/read_ahead.h"
#include "store/prefetch.h"
#include "store/read_functions.h"
#include "store/row_reader.h"

namespace stream_store::internal {
namespace {

constexpr std::size_t kTouchedTogether = 128;  // places

// Whether a guess of the first record of the run can be made: it has rows, and the View has them.
bool IsInside(const View& view, const RowRun& run) {
  const auto row = static_cast<std::uint64_t>(run.row);
  return run.count > 0 && view.first_row <= row && row < view.row_count;
}

void TouchAll(std::span<const void* const> words) {
  for (const void* word : words) {
    Touch(*static_cast<const std::byte*>(word));
  }
}

}  // namespace

RowsOfStores::RowsOfStores(std::span<const StoreRuns> stores, std::span<const RowsColumn> columns,
                           Step* steps)
    : types_(TypesOf(columns)),
      columns_((STREAM_STORE_ASSERT(!stores.empty()), MakeRowColumns(*stores[0].view, columns))),
      steps_(steps) {
  stores_.reserve(stores.size());
  for (const StoreRuns& store : stores) {
    stores_.emplace_back(store);
  }
  RowPlans::MakeRoom(stores.size());
  for (Store& store : stores_) {
    store.plans = &RowPlans::ForThread(*store.view, types_);
  }
  if (!ReadAhead::Waits()) {
    for (std::uint32_t store = 0; store < stores.size(); ++store) {
      ListPlaces(store);
    }
    for (const Place& place : places_) {
      stores_[place.store].touched.PrefetchHint(place.run);
    }
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
    for (const RowRun& run : store.runs) {
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
  for (std::uint32_t run = 0; run < of.runs.size() && HasRecords(*of.view); ++run) {
    if (IsInside(*of.view, of.runs[run])) {
      places_.push_back({store, run, 0});
    }
  }
  of.end = places_.size();
}

// Walking the page tables is the longest wait, and these loops overlap the walks; see prefetch.h. Finding
// the words of a place takes more instructions here than with one store, so they are found before the first
// one is touched: the fewer instructions there are between two touches, the more walks overlap. For the
// same reason a block is longer than kBlock. With both, a batch of 64 stores was read 1.3 times as fast.
void RowsOfStores::TouchBlock() {
  const std::size_t count = std::min(places_.size() - touched_, kTouchedTogether);
  const std::span<Place> block = std::span(places_).subspan(touched_, count);
  const void* words[2 * kTouchedTogether];
  for (std::size_t i = 0; i < count; ++i) {
    Place& place = block[i];
    const auto& of = stores_[place.store].touched;
    place.record = of.GuessRecord(place.run);
    std::tie(words[2 * i], words[2 * i + 1]) = of.Records(place.run, place.record);
  }
  TouchAll(std::span(words).first(2 * count));
  for (std::size_t i = 0; i < count; ++i) {
    const Place& place = block[i];
    const auto [begin, end] = stores_[place.store].touched.Values(place.run, place.record);
    if (begin < end) {  // else the records are touched again
      words[2 * i] = begin;
      words[2 * i + 1] = end - 1;
    }
  }
  TouchAll(std::span(words).first(2 * count));
  touched_ += count;
}

void RowsOfStores::Read(std::size_t which) {
  const Store& store = stores_[which];
  const View& view = *store.view;
  const std::span<const RowRun> runs = store.runs;
  CheckRowRuns(view, runs);
  RowReader reader(view, columns_, *store.plans, steps_);
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
    if (i == touched_) {
      TouchBlock();
    }
    if (i + kLinesAhead < touched_) {
      const Place& ahead = places_[i + kLinesAhead];
      stores_[ahead.store].touched.PrefetchLines(ahead.run, ahead.record);
    }
    const RowRun& run = runs[places_[i].run];
    read(run, RowRecordFromHint(view, static_cast<std::uint64_t>(run.row), places_[i].record));
  }
  read_ahead.After(store.end - store.begin);
}

}  // namespace stream_store::internal
