// WindowSampler: the calls that take numbers of windows: to read them, and to set their priorities.
#include <algorithm>
#include <string>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "store/sampler_priorities.h"
#include "store/window_index.h"
#include "store/window_starts.h"

namespace stream_store {

using internal::SamplerPriorities;
using internal::StrCat;
using internal::WindowIndex;

void WindowBatch::ReadIndices(std::span<std::int64_t> indices) const {
  RequireUnit(/*rows=*/true);
  if (indices.size() != size()) {
    throw Error(ErrorCode::kInvalidArgument, StrCat("indices of a batch: expected ", size(),
                                                    " places but found ", indices.size()));
  }
  for (std::size_t i = 0; i < size(); ++i) {
    indices[i] = WindowIndex(static_cast<std::size_t>(stores_[i]), anchors_[i]).number();
  }
}

void WindowSampler::ThrowNoSuchWindow(std::size_t place, std::int64_t index) const {
  const WindowIndex window(index);
  const std::string which = StrCat("sampler: read: index number ", place, ", ", index, ", is ");
  if (window.store() >= stores_.size()) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat(which, "of store ", window.store(), ", but the sampler has ", stores_.size(),
                       stores_.size() == 1 ? " store" : " stores"));
  }
  const std::string row = StrCat(which, "row ", window.row(), " of store ", window.store());
  if (gone_[window.store()]) {
    throw Error(ErrorCode::kDropped, StrCat(row, ", which has left the group"));
  }
  const std::uint64_t first = stores_[window.store()]->extent().first_row;
  if (window.row() < first) {
    throw Error(ErrorCode::kDropped,
                StrCat(row, ", but the rows before row ", first, " were dropped"));
  }
  throw Error(ErrorCode::kOutOfRange,
              StrCat(row, ", which is not the anchor of a window of this sampler",
                     options_.replacement ? " now" : " in this epoch"));
}

// Sets indices_ to the numbers of the starts, store by store.
void WindowSampler::FindIndices(std::span<const std::int64_t> indices) {
  indices_.assign(indices.size(), internal::kNoStart);
  std::vector<std::uint64_t> rows;
  std::vector<std::uint64_t> numbers;
  std::vector<std::size_t> places;
  std::uint64_t begin = 0;  // the number of the store's first start
  for (std::size_t store = 0; store < stores_.size(); ++store) {
    rows.clear();
    places.clear();
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (const WindowIndex window(indices[i]); window.store() == store) {
        rows.push_back(window.row());
        places.push_back(i);
      }
    }
    numbers.resize(rows.size());
    stores_[store]->FindNumbers(rows, numbers);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (numbers[k] != internal::kNoStart) {
        indices_[places[k]] = begin + numbers[k];
      }
    }
    begin += stores_[store]->count();
  }
}

void WindowSampler::Read(std::span<const std::int64_t> indices, WindowBatch& batch) {
  if (options_.unit != SampleUnit::kRow) {
    throw Error(ErrorCode::kInvalidArgument,
                "sampler: read: expected a sampler of windows of rows, but its windows are of "
                "values");
  }
  if (!in_epoch_ && !restored_) {
    Refresh();
  }
  FindIndices(indices);
  const auto wrong = std::ranges::find(indices_, internal::kNoStart);
  if (wrong != indices_.end()) {
    const auto place = static_cast<std::size_t>(wrong - indices_.begin());
    ThrowNoSuchWindow(place, indices[place]);
  }
  Fill(batch, Drawn::kNumbers);
}

SamplerPriorities& WindowSampler::RequirePriorities(const char* call) {
  if (priorities_ == nullptr) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("sampler: ", call, ": expected a sampler with priorities"));
  }
  Refresh();
  return *priorities_;
}

void WindowSampler::CheckStoreNumber(std::size_t store) const {
  if (store >= stores_.size()) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("sampler: store ", store, " is outside [0, ", stores_.size(), ")"));
  }
}

std::uint64_t WindowSampler::UpdatePriorities(std::span<const std::int64_t> indices,
                                              std::span<const double> priorities) {
  return RequirePriorities("update").Update(stores_, indices, priorities);
}

void WindowSampler::SetAlpha(double alpha) {
  RequirePriorities("alpha").SetAlpha(stores_, alpha);
  options_.priorities = priorities_->options();
}

void WindowSampler::SetBeta(double beta) {
  RequirePriorities("beta").SetBeta(beta);
  options_.priorities = priorities_->options();
}

RowRange WindowSampler::PriorityRows(std::size_t store) {
  const SamplerPriorities& priorities = RequirePriorities("rows with priorities");
  CheckStoreNumber(store);
  return priorities.Rows(store);
}

void WindowSampler::ReadPriorities(std::size_t store, Row first_row, std::span<double> priorities) {
  const SamplerPriorities& from = RequirePriorities("reading priorities");
  CheckStoreNumber(store);
  from.Read(store, first_row, priorities);
}

void WindowSampler::LoadPriorities(std::size_t store, Row first_row,
                                   std::span<const double> priorities) {
  SamplerPriorities& to = RequirePriorities("loading priorities");
  CheckStoreNumber(store);
  to.Load(stores_, store, first_row, priorities);
}

}  // namespace stream_store
