// What reads of windows and rows take and fill.
#pragma once

#include <cstdint>

#include "stream_store/types.h"

namespace stream_store {

/// The columns of windows and of scattered positions. Each pointer is null (not wanted) or has room
/// for one element per position asked; they must not overlap each other or the store.
struct WindowsOut {
  Value* values = nullptr;        ///< raw words
  std::int64_t* types = nullptr;  ///< type id of each value
  Step* step = nullptr;           ///< step each value was written at
  float* number = nullptr;  ///< value decoded by its own field, as float32 (packed words and text
                            ///< bytes as the number of the word)
  std::int64_t* offset = nullptr;  ///< place of the value within its field-write, from 0
  Row* row = nullptr;              ///< row of each value

  /// The same columns from element `index` on; columns that are null stay null.
  WindowsOut From(std::uint64_t index) const noexcept {
    const auto from = [index](auto* column) {
      return column == nullptr ? nullptr : column + index;
    };
    return {from(values), from(types), from(step), from(number), from(offset), from(row)};
  }
};

/// Rows [row, row + count) and where they go: the first one to place `place` of every column, the
/// others behind it.
struct RowRun {
  Row row = 0;
  std::uint64_t count = 0;
  std::uint64_t place = 0;
};

}  // namespace stream_store
