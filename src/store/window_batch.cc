// WindowBatch: reading the windows that a sampler chose.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "stream_store/sampler.h"

#include "base/assert.h"
#include "store/read_functions.h"
#include "store/window_places.h"

namespace stream_store {
namespace {

// Calls visit(store, begin, count) for each stretch of consecutive windows of one store.
template <class Visit>
void ForEachPiece(std::span<const std::int64_t> stores, const Visit& visit) {
  for (std::size_t begin = 0; begin < stores.size();) {
    std::size_t end = begin + 1;
    while (end < stores.size() && stores[end] == stores[begin]) {
      ++end;
    }
    visit(static_cast<std::size_t>(stores[begin]), begin, end - begin);
    begin = end;
  }
}

}  // namespace

// Splits the windows into runs of consecutive rows, store by store. A batch of one store without
// lanes and padding needs no runs: its windows are read as they are.
void WindowBatch::MakeRuns() {
  runs_.clear();
  run_begins_.clear();
  const bool plain = readers_.size() == 1 && lanes_ == 1 && count_.empty();
  if (!rows_ || plain || !places_.empty()) {
    return;
  }
  for (std::size_t store = 0; store < readers_.size(); ++store) {
    run_begins_.push_back(runs_.size());
    for (std::size_t i = 0; i < size(); ++i) {
      if (stores_[i] == static_cast<std::int64_t>(store)) {
        AddRuns(i);
      }
    }
  }
  run_begins_.push_back(runs_.size());
}

void WindowBatch::AddRuns(std::size_t window) {
  const std::uint64_t count = count_.empty() ? length_ : count_[window];
  const std::uint64_t place = window * length_ + (lead_.empty() ? 0 : lead_[window]);
  // With several lanes, consecutive rows of the window are `lanes_` rows apart in the store.
  if (lanes_ == 1) {
    runs_.push_back({starts_[window], count, place});
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    runs_.push_back({starts_[window] + static_cast<Row>(i * lanes_), 1, place + i});
  }
}

std::span<const RowRun> WindowBatch::RunsOf(std::size_t store) const {
  return internal::RunsOfStore(runs_, run_begins_, store);
}

// A batch of rows has row numbers where a batch of values has positions, so reading it the other way
// would return wrong data without an error.
void WindowBatch::RequireUnit(bool rows) const {
  if (rows_ != rows && !starts_.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                rows
                    ? "reading a batch: expected windows of rows but found windows of values; call "
                      "ReadWindows()"
                    : "reading a batch: expected windows of values but found windows of rows; call "
                      "ReadRows()");
  }
}

void WindowBatch::ReadWindows(const WindowsOut& out) const {
  RequireUnit(/*rows=*/false);
  ForEachPiece(stores_, [&](std::size_t store, std::size_t begin, std::size_t count) {
    readers_[store].ReadWindows(std::span(starts_).subspan(begin, count), length_,
                                out.From(begin * length_));
  });
}

std::shared_ptr<const void> WindowBatch::ReadRows(std::span<const RowsColumn> columns, Step* steps,
                                                  std::uint8_t* valid) const {
  RequireUnit(/*rows=*/true);
  if (starts_.empty()) {
    return nullptr;
  }
  if (valid != nullptr) {
    std::memset(valid, 1, size() * length_);
  }
  if (!places_.empty()) {
    std::vector<std::shared_ptr<const void>> copies;
    ReadPlaced(columns, steps, valid, copies);
    return internal::OwnerOf(std::move(copies));
  }
  if (run_begins_.empty()) {
    return readers_[0].ReadRows(starts_, length_, columns, steps);
  }
  for (std::size_t i = 0; i < count_.size(); ++i) {
    const auto clear = [&](std::uint64_t place, std::uint64_t count) {
      if (count > 0) {
        internal::ZeroRows(internal::ReaderAccess::ViewOf(readers_[0]), place, count, columns,
                           steps);
        if (valid != nullptr) {
          std::memset(valid + place, 0, count);
        }
      }
    };
    const std::uint64_t begin = i * length_;
    clear(begin, lead_[i]);
    clear(begin + lead_[i] + count_[i], length_ - lead_[i] - count_[i]);
  }
  std::vector<std::shared_ptr<const void>> copies;
  for (std::size_t store = 0; store < readers_.size(); ++store) {
    internal::Keep(readers_[store].ReadRows(RunsOf(store), columns, steps), copies);
  }
  return internal::OwnerOf(std::move(copies));
}

std::uint64_t WindowBatch::LongestInRows(TypeId type) const {
  RequireUnit(/*rows=*/true);
  if (starts_.empty()) {
    return 0;
  }
  std::uint64_t longest = 0;
  if (!places_.empty()) {
    const Places& places = PlacesOf(type);
    for (std::size_t store = 0; store < readers_.size(); ++store) {
      longest = std::max(longest,
                         readers_[store].LongestInRows(
                             internal::RunsOfStore(places.runs, places.run_begins, store), type));
    }
    return longest;
  }
  if (run_begins_.empty()) {
    return readers_[0].LongestInRows(starts_, length_, type);
  }
  for (std::size_t store = 0; store < readers_.size(); ++store) {
    longest = std::max(longest, readers_[store].LongestInRows(RunsOf(store), type));
  }
  return longest;
}

}  // namespace stream_store
