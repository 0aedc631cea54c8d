// The `number` column of windows: values as float32, with the help of layout templates.
//
// Used by windows.cc. Thread rules: the template belongs to one thread.
#pragma once

#include <cstdint>

#include "store/template_cache.h"

namespace stream_store::internal {

/// Converts `count` values of consecutive records of one layout, the first at phase `skip`, with
/// the results of NumberOf(). REQUIRES: skip < layout.total.
void FillNumbers(const View& view, LayoutTemplate& layout, std::uint64_t skip, const Value* values,
                 std::uint64_t count, float* out);

}  // namespace stream_store::internal
