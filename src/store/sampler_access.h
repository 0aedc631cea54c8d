// SamplerAccess: the private parts of WindowSampler that interop.h offers to bindings.
#pragma once

#include <cstdint>
#include <span>

#include "stream_store/sampler.h"

namespace stream_store::internal {

struct SamplerAccess {
  static std::uint64_t UnscannedRows(WindowSampler& sampler) { return sampler.UnscannedRows(); }

  static void SetPrefetched(WindowSampler& sampler, std::uint64_t batches, bool end) noexcept {
    sampler.prefetched_ = batches;
    sampler.end_prefetched_ = end;
  }

  static std::uint64_t Prefetched(const WindowSampler& sampler) noexcept {
    return sampler.prefetched_;
  }

  static void ReturnPrefetched(WindowSampler& sampler) noexcept { sampler.ReturnPrefetched(); }

  static void LookForStores(WindowSampler& sampler) { sampler.LookForStores(); }

  static void ReadStarts(WindowSampler& sampler, std::span<const std::uint64_t> indices,
                         WindowBatch& batch) {
    sampler.ReadStarts(indices, batch);
  }
};

}  // namespace stream_store::internal
