// Checks of the options of a WindowSampler.
//
// Used by sampler.cc. Thread rules: pure functions.
#pragma once

#include <string>
#include <vector>

#include "stream_store/sampler.h"

namespace stream_store::internal {

/// Throws Error(kInvalidArgument) for options that are out of range or exclude each other.
void CheckSamplerOptions(const SamplerOptions& options);

/// Throws Error(kInvalidArgument) for no store, or stores of different fields.
void CheckSameFields(const std::vector<Reader>& stores);

/// Throws Error(kInvalidArgument) for offsets of fields that do not exist.
void CheckOffsets(const Schema& schema, const SamplerOptions& options);

/// What a window needs, for the message that there is no valid start: "3 rows of one segment".
std::string NeedText(const SamplerOptions& options);

}  // namespace stream_store::internal
