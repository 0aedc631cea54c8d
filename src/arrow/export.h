// ExportArrow() with a lower limit for 32-bit offsets.
//
// Used by tests, which would otherwise need more than 2 GiB of data to reach the limit.
#pragma once

#include <cstdint>

#include "stream_store/arrow.h"

namespace stream_store::arrow {

/// As ExportArrow(), which passes INT32_MAX: no 32-bit offset is larger than `offset_limit`.
void ExportWithOffsetLimit(const Reader& reader, const ArrowExportOptions& options,
                           std::uint64_t offset_limit, ArrowArrayStream* out);

}  // namespace stream_store::arrow
