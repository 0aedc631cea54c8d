// WindowBatch: reading the windows that a sampler chose.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "stream_store/sampler.h"

#include "base/assert.h"
#include "storage/read_source.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/rows_of_stores.h"
#include "store/window_places.h"

namespace stream_store {
std::span<const std::uint64_t> WindowBatch::WindowsOf(const Part& part) const {
  return std::span(windows_).subspan(part.begin, part.end - part.begin);
}

// Splits the windows into runs of consecutive rows, store by store. A batch of one store without
// lanes and padding needs no runs: its windows are read as they are.
void WindowBatch::MakeRuns() {
  runs_.clear();
  run_begins_.clear();
  const bool plain = parts_.size() == 1 && lanes_ == 1 && count_.empty();
  if (!rows_ || plain || !places_.empty()) {
    return;
  }
  for (const Part& part : parts_) {
    run_begins_.push_back(runs_.size());
    for (const std::uint64_t window : WindowsOf(part)) {
      AddRuns(window);
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
  for (const Part& part : parts_) {
    const std::span<const std::uint64_t> windows = WindowsOf(part);
    for (std::size_t i = 0; i < windows.size();) {
      const std::size_t first = windows[i];
      std::size_t count = 1;  // windows that follow each other in the batch are read together
      while (i + count < windows.size() && windows[i + count] == first + count) {
        ++count;
      }
      part.reader->ReadWindows(std::span(starts_).subspan(first, count), length_,
                               out.From(first * length_));
      i += count;
    }
  }
}

void WindowBatch::ReadParts(std::span<const RowRun> runs, std::span<const std::size_t> run_begins,
                            std::span<const RowsColumn> columns, Step* steps,
                            std::vector<std::shared_ptr<const void>>& copies) const {
  const auto copies_of = [](const Part& part) {
    return internal::ReaderAccess::SourceOf(*part.reader)->copies();
  };
  if (parts_.size() == 1 || std::ranges::any_of(parts_, copies_of)) {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      internal::Keep(parts_[part].reader->ReadRows(internal::RunsOfPart(runs, run_begins, part),
                                                   columns, steps),
                     copies);
    }
    return;
  }
  std::vector<internal::StoreRuns> stores;
  stores.reserve(parts_.size());
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    stores.push_back({&internal::ReaderAccess::ViewOf(*parts_[part].reader),
                      internal::RunsOfPart(runs, run_begins, part)});
  }
  internal::RowsOfStores rows(stores, columns, steps);
  const auto source_of = [this](std::size_t part) -> const internal::ReadSource& {
    return *internal::ReaderAccess::SourceOf(*parts_[part].reader);
  };
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    internal::ReadOrCutBack(source_of(part), *stores[part].view,
                            [&](const internal::View&) { rows.Read(part); });
  }
  // In a loop of its own, whose cache misses overlap.
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    source_of(part).CheckNotTruncated();
  }
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
    return parts_[0].reader->ReadRows(starts_, length_, columns, steps);
  }
  for (std::size_t i = 0; i < count_.size(); ++i) {
    const auto clear = [&](std::uint64_t place, std::uint64_t count) {
      if (count > 0) {
        internal::ZeroRows(internal::ReaderAccess::ViewOf(*parts_[0].reader), place, count, columns,
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
  ReadParts(runs_, run_begins_, columns, steps, copies);
  return internal::OwnerOf(std::move(copies));
}

std::uint64_t WindowBatch::LongestInRows(TypeId type) const {
  RequireUnit(/*rows=*/true);
  if (starts_.empty()) {
    return 0;
  }
  const Places* const places = places_.empty() ? nullptr : &PlacesOf(type);
  if (places == nullptr && run_begins_.empty()) {
    return parts_[0].reader->LongestInRows(starts_, length_, type);
  }
  const std::span<const RowRun> runs = places == nullptr ? runs_ : places->runs;
  const std::span<const std::size_t> begins = places == nullptr ? run_begins_ : places->run_begins;
  std::uint64_t longest = 0;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const std::uint64_t of_part =
        parts_[part].reader->LongestInRows(internal::RunsOfPart(runs, begins, part), type);
    longest = std::max(longest, of_part);
  }
  return longest;
}

}  // namespace stream_store
