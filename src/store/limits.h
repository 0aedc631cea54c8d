// The limits of a store: from the options of the caller to the content of a slot, and back.
//
// Used by StreamStore and Reader. Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "stream_store/options.h"
#include "stream_store/schema.h"

#include "format/control.h"

namespace stream_store::internal {

/// Throws Error(kInvalidArgument) if the limits of the options cannot be those of any store.
void CheckLimits(const Options& options);

/// The size of the chunks of a new store.
std::uint64_t ChunkBytesOf(const Options& options) noexcept;

/// The store that limits are for.
struct LimitedStore {
  const Schema& schema;
  std::uint64_t chunk_bytes;
  std::string path;  ///< for messages
};

/// The limits of a store that had `stored`. Throws Error(kInvalidArgument) if a field of segment_by
/// is unknown or cannot cut segments, if retain_segments has no segment_by, or if retain_bytes is
/// less than a chunk.
Retention LimitsOf(const Options& options, const Retention& stored, const LimitedStore& store);

/// The options that set exactly these limits. Throws Error(kInvalidArgument) as CheckLimits() does.
Options ExactLimits(const stream_store::Retention& retention);

/// The limits as the caller sees them.
stream_store::Retention PublicLimits(const Retention& stored, const Schema& schema);

}  // namespace stream_store::internal
