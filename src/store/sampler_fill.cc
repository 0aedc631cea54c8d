// WindowSampler: fills a batch with the windows whose numbers were drawn.
#include <algorithm>
#include <numeric>

#include "stream_store/sampler.h"

#include "base/assert.h"
#include "store/indexed_starts.h"
#include "store/sampler_priorities.h"
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
  batch.readers_.clear();
  for (const auto& store : stores_) {
    batch.readers_.push_back(store->reader());
  }
  const WindowStarts windows{.starts = batch.starts_,
                             .lead = batch.lead_,
                             .count = batch.count_,
                             .anchors = batch.anchors_,
                             .segments = batch.segments_};
  if (drawn == Drawn::kWindows) {
    FillAnchors(batch, windows);
  } else {
    FillStores(batch, windows);
  }
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

// One call per store, since each call may lock an index and searches for many numbers at once.
void WindowSampler::FillStores(WindowBatch& batch, const WindowStarts& windows) {
  const std::size_t size = indices_.size();
  places_.resize(stores_.size());
  if (stores_.size() == 1) {
    places_[0].resize(size);
    std::iota(places_[0].begin(), places_[0].end(), std::uint64_t{0});
    stores_[0]->Resolve(indices_, places_[0], windows);
    return;
  }
  std::vector<std::uint64_t> numbers;
  std::uint64_t begin = 0;  // the number of the store's first start
  for (std::size_t which = 0; which < stores_.size(); ++which) {
    const std::uint64_t count = stores_[which]->count();
    std::vector<std::uint64_t>& places = places_[which];
    numbers.clear();
    places.clear();
    for (std::size_t i = 0; i < size; ++i) {
      if (indices_[i] - begin < count) {
        numbers.push_back(indices_[i] - begin);
        places.push_back(i);
        batch.stores_[i] = static_cast<std::int64_t>(which);
      }
    }
    stores_[which]->Resolve(numbers, places, windows);
    begin += count;
  }
}

// As FillStores(), for windows that were drawn by their anchors.
void WindowSampler::FillAnchors(WindowBatch& batch, const WindowStarts& windows) {
  places_.resize(stores_.size());
  std::vector<std::uint64_t> anchors;
  for (std::size_t which = 0; which < stores_.size(); ++which) {
    std::vector<std::uint64_t>& places = places_[which];
    anchors.clear();
    places.clear();
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      const WindowIndex index(static_cast<std::int64_t>(indices_[i]));
      if (index.store() == which) {
        anchors.push_back(index.row());
        places.push_back(i);
        batch.stores_[i] = static_cast<std::int64_t>(which);
      }
    }
    static_cast<IndexedStarts&>(*stores_[which]).ResolveAnchors(anchors, places, windows);
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
      for (std::size_t which = 0; which < stores_.size(); ++which) {
        stores_[which]->ReadRows(
            places_[which],
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
