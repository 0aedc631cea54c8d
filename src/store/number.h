// The "number" column: words as float32, by the template that says which of them are integers.
#pragma once

#include <cstdint>

#include "store/template_cache.h"

namespace stream_store::internal {

/// Decodes `count` values of records of one layout, the first at phase `skip`, as NumberOf() would.
void FillNumbers(const View& view, LayoutTemplate& layout, std::uint64_t skip, const Value* values,
                 std::uint64_t count, float* out);

}  // namespace stream_store::internal
