// One row of an Extend() column as a FieldWrite.
//
// Used by extend.cc, which stores rows one by one, and by store/refusal_text for messages.
#pragma once

#include "stream_store/field_write.h"

#include "base/assert.h"
#include "format/encoding.h"

namespace stream_store::internal {

/// Returns the items of one row. REQUIRES: offsets, if there are any, do not decrease at that row.
inline FieldWrite WriteOfRow(const Column& column, std::uint64_t row) noexcept {
  STREAM_STORE_ASSERT(column.offsets == nullptr || column.offsets[row] <= column.offsets[row + 1]);
  const std::uint64_t first = column.offsets == nullptr
                                  ? row * column.row_items
                                  : static_cast<std::uint64_t>(column.offsets[row]);
  const std::uint64_t count =
      column.offsets == nullptr
          ? column.row_items
          : static_cast<std::uint64_t>(column.offsets[row + 1] - column.offsets[row]);
  const auto* data =
      static_cast<const std::byte*>(column.data) + first * SourceBytes(column.source);
  return {column.type, column.source, data, count};
}

}  // namespace stream_store::internal
