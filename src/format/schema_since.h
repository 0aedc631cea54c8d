// SinceAtMost(): the schema of a store that lost records.
//
// Used by storage (truncation, recovery, copies). Thread rules: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "stream_store/schema.h"

namespace stream_store::internal {

/// Whether fields were added after more than `records` records.
inline bool AddsAfter(const Schema& schema, std::uint64_t records) noexcept {
  return schema.since(static_cast<TypeId>(schema.size() - 1)) > records;
}

/// Returns the schema with another revision, and with `records` in the place of every since() that
/// is greater: a record from that number on may have all fields.
inline Schema SinceAtMost(const Schema& schema, std::uint64_t records, std::uint64_t revision) {
  std::vector<std::uint64_t> since(schema.size());
  for (std::size_t type = 0; type < since.size(); ++type) {
    since[type] = std::min(schema.since(static_cast<TypeId>(type)), records);
  }
  return {schema.fields(), std::move(since), revision};
}

}  // namespace stream_store::internal
