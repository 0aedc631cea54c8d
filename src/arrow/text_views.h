// Arrays of string and binary views, made of texts that were collected with offsets.
//
// Used by leaf_builder.cc and nested_builder.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "arrow/buffers.h"
#include "arrow/out_array.h"

namespace stream_store::arrow {

/// Makes the views of `count` texts, of which text i is [offsets[i], offsets[i + 1]) of `data`. The
/// array has no validity buffer yet, and its length is not set. `data` becomes its only buffer of
/// texts, so it must belong to `memory`.
///
/// REQUIRES: offsets[0] == 0, and offsets[count] <= INT32_MAX.
OutArray MakeViews(BatchMemory& memory, std::uint64_t count, const std::int64_t* offsets,
                   const std::byte* data);

}  // namespace stream_store::arrow
