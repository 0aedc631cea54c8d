// WindowSampler: fills a batch with the windows whose numbers were drawn.
#include <algorithm>
#include <numeric>

#include "stream_store/sampler.h"

#include "base/assert.h"
#include "store/indexed_starts.h"
#include "store/sampler_priorities.h"
#include "store/search_many.h"
#include "store/window_index.h"
#include "store/window_starts.h"

namespace stream_store {

using internal::IndexedStarts;
using internal::WindowIndex;
using internal::WindowStarts;

// Writes the windows indices_ into the batch, store by store, in their order.
void WindowSampler::Fill(WindowBatch& batch, Drawn drawn) {
  const std::size_t size = indices_.size();
  const bool of_rows = options_.unit == SampleUnit::kRow;
  const bool counted = options_.pad != SamplePad::kNone && !internal::NeedsIndex(options_);
  batch.length_ = options_.offsets.empty() ? options_.length : 1;
  batch.lanes_ = options_.lanes;
  batch.rows_ = of_rows;
  batch.by_offsets_ = !options_.offsets.empty();
  batch.starts_.resize(size);
  batch.stores_.assign(size, 0);
  batch.lead_.assign(counted ? size : 0, 0);
  batch.count_.assign(counted || options_.whole_segments ? size : 0, 0);
  batch.anchors_.resize(of_rows ? size : 0);
  batch.segments_.resize(of_rows ? size : 0);
  batch.places_.clear();
  const WindowStarts windows{.starts = batch.starts_,
                             .lead = batch.lead_,
                             .count = batch.count_,
                             .anchors = batch.anchors_,
                             .segments = batch.segments_};
  ChooseStores(batch, drawn);
  ListParts(batch);
  FillParts(batch, drawn, windows);
  if (internal::NeedsIndex(options_)) {
    FillPlaces(batch);
  }
  batch.weights_.clear();
  batch.probabilities_.clear();
  batch.MakeRuns();
}

// REQUIRES: the sampler has priorities.
void WindowSampler::Weigh(WindowBatch& batch) const {
  STREAM_STORE_ASSERT(priorities_ != nullptr);
  batch.weights_.resize(batch.size());
  batch.probabilities_.resize(batch.size());
  priorities_->Weigh(stores_, {.stores = batch.stores_,
                               .anchors = batch.anchors_,
                               .probabilities = batch.probabilities_,
                               .weights = batch.weights_});
}

// Finds the store of each window, and the number of its start or its anchor there. Of one store, these
// are the numbers that were drawn.
void WindowSampler::ChooseStores(WindowBatch& batch, Drawn drawn) {
  if (drawn == Drawn::kNumbers && stores_.size() == 1) {
    return;
  }
  numbers_.resize(indices_.size());
  if (drawn == Drawn::kWindows) {
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      const WindowIndex index(static_cast<std::int64_t>(indices_[i]));
      batch.stores_[i] = static_cast<std::int64_t>(index.store());
      numbers_[i] = index.row();
    }
    return;
  }
  begins_.resize(stores_.size());
  std::uint64_t begin = 0;
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    begins_[store] = begin;
    begin += stores_[store]->count();
  }
  // Of several stores that begin at one number, the last one is found: the others have no starts.
  found_.resize(indices_.size());
  internal::SearchMany(begins_.data(), begins_.size(), indices_, found_);
  for (std::size_t i = 0; i < indices_.size(); ++i) {
    batch.stores_[i] = static_cast<std::int64_t>(found_[i]);
    numbers_[i] = indices_[i] - begins_[found_[i]];
  }
}

// Lists the windows store by store, in their order.
void WindowSampler::ListParts(WindowBatch& batch) {
  const std::size_t size = batch.size();
  batch.windows_.resize(size);
  batch.parts_.clear();
  if (stores_.size() == 1) {
    std::iota(batch.windows_.begin(), batch.windows_.end(), std::uint64_t{0});
    batch.parts_.push_back(
        {.store = 0, .begin = 0, .end = size, .reader = stores_[0]->SharedReader()});
    return;
  }
  begins_.assign(stores_.size() + 1, 0);
  for (const std::int64_t store : batch.stores_) {
    ++begins_[static_cast<std::size_t>(store) + 1];
  }
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    const std::size_t begin = begins_[store];
    begins_[store + 1] += begin;
    if (begins_[store + 1] > begin) {
      batch.parts_.push_back({.store = store,
                              .begin = begin,
                              .end = begins_[store + 1],
                              .reader = stores_[store]->SharedReader()});
    }
  }
  for (std::size_t i = 0; i < size; ++i) {
    batch.windows_[begins_[static_cast<std::size_t>(batch.stores_[i])]++] = i;
  }
}

// One call per store, since each call may lock an index and searches for many numbers at once.
void WindowSampler::FillParts(WindowBatch& batch, Drawn drawn, const WindowStarts& windows) {
  if (drawn == Drawn::kNumbers && stores_.size() == 1) {
    stores_[0]->Resolve(indices_, batch.windows_, windows);
    return;
  }
  for (const WindowBatch::Part& part : batch.parts_) {
    const std::span<const std::uint64_t> places = batch.WindowsOf(part);
    part_.clear();
    for (const std::uint64_t place : places) {
      part_.push_back(numbers_[place]);
    }
    internal::Starts& starts = *stores_[part.store];
    if (drawn == Drawn::kWindows) {
      static_cast<IndexedStarts&>(starts).ResolveAnchors(part_, places, windows);
    } else {
      starts.Resolve(part_, places, windows);
    }
  }
}

// Lists the places of windows that are not runs of consecutive rows: one list for each set of offsets,
// after that of the anchors.
void WindowSampler::ListPlaces(WindowBatch& batch) const {
  const auto add = [&batch](std::vector<std::int64_t> offsets) -> WindowBatch::Places& {
    batch.places_.emplace_back();
    batch.places_.back().offsets = std::move(offsets);
    return batch.places_.back();
  };
  if (options_.offsets.empty()) {
    if (options_.whole_segments && options_.length == 0) {
      batch.length_ = batch.count_.empty() ? 0 : *std::ranges::max_element(batch.count_);
    }
    batch.count_.clear();
    std::vector<std::int64_t> offsets(batch.length_);
    const bool ends = options_.pad == SamplePad::kLeft;  // the anchor is the last row
    std::iota(offsets.begin(), offsets.end(),
              ends ? 1 - static_cast<std::int64_t>(batch.length_) : 0);
    add(std::move(offsets));
  } else {
    add({0});
    for (const FieldOffsets& field : options_.offsets) {
      const auto same = [&](const WindowBatch::Places& places) {
        return !places.types.empty() && places.offsets == field.offsets;
      };
      const auto found = std::ranges::find_if(batch.places_, same);
      WindowBatch::Places& places = found == batch.places_.end() ? add(field.offsets) : *found;
      places.types.push_back(field.type);
    }
  }
}

void WindowSampler::FillPlaces(WindowBatch& batch) {
  ListPlaces(batch);
  for (WindowBatch::Places& places : batch.places_) {
    const bool of_anchors = batch.by_offsets_ && places.types.empty();
    if (of_anchors) {
      places.rows = batch.anchors_;
      places.valid.assign(batch.size(), 1);
    } else {
      places.rows.resize(batch.size() * places.offsets.size());
      places.valid.resize(places.rows.size());
      for (const WindowBatch::Part& part : batch.parts_) {
        stores_[part.store]->ReadRows(
            batch.WindowsOf(part),
            {.offsets = places.offsets, .rows = places.rows, .valid = places.valid});
      }
    }
    batch.MakePlacedRuns(places);
  }
  if (!batch.by_offsets_) {
    const WindowBatch::Places& places = batch.places_[0];
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto rows = std::span(places.rows).subspan(i * batch.length_, batch.length_);
      batch.starts_[i] = *std::ranges::find_if(rows, [](Row row) { return row >= 0; });
    }
  }
}

}  // namespace stream_store
