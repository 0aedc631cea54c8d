// WindowSampler: the calls that concern priorities.
#include <algorithm>

#include "stream_store/error.h"
#include "stream_store/sampler.h"

#include "base/str_cat.h"
#include "store/sampler_priorities.h"
#include "store/window_index.h"

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
