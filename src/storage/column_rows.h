// Rows of an Extend() column as FieldWrites: for storing them, and for the text of a refusal.
#pragma once

#include "stream_store/field_write.h"

#include "format/encoding.h"

namespace stream_store::internal {

/// The items of one row. REQUIRES: offsets, where given, do not decrease at that row.
inline FieldWrite WriteOfRow(const Column& column, std::uint64_t row) noexcept {
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
