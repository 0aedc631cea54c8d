// Pieces of WindowBatch that window_batch.cc and window_places.cc share.
//
// Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stream_store/columns.h"

#include "base/assert.h"

namespace stream_store::internal {

/// The runs of one part, whose first one is begins[part]. REQUIRES: part + 1 < begins.size().
inline std::span<const RowRun> RunsOfPart(std::span<const RowRun> runs,
                                          std::span<const std::size_t> begins, std::size_t part) {
  STREAM_STORE_ASSERT(part + 1 < begins.size());
  return runs.subspan(begins[part], begins[part + 1] - begins[part]);
}

/// Adds an owner of memory, as Reader::ReadRows() returns it, unless it is null.
inline void Keep(std::shared_ptr<const void> owner,
                 std::vector<std::shared_ptr<const void>>& owners) {
  if (owner != nullptr) {
    owners.push_back(std::move(owner));
  }
}

/// One owner of the memory of all; null if there is none.
inline std::shared_ptr<const void> OwnerOf(std::vector<std::shared_ptr<const void>> owners) {
  if (owners.empty()) {
    return nullptr;
  }
  return std::make_shared<std::vector<std::shared_ptr<const void>>>(std::move(owners));
}

}  // namespace stream_store::internal
