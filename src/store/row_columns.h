// Columns of decoded rows: where the words of one field go.
//
// Who uses it: rows.cc. Working column by column over a run of equal records keeps the choice of
// conversion out of the inner loops (row_kernels.h); where a field lies in a record says its plan
// (row_plans.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/reader.h"

#include "storage/view.h"
#include "store/row_kernels.h"

namespace stream_store::internal {

/// One RowsColumn, ready to be filled. A unit is one item of a ragged field or a whole fixed write.
struct RowColumn {
  bool ragged = false;
  const Encoding* encoding = nullptr;
  Kernel kernel = nullptr;  ///< null if nobody wants items
  std::uint64_t unit_words = 1;
  std::uint64_t unit_bytes = 0;   ///< decoded
  std::uint64_t most_units = 1;   ///< more are cut off
  std::uint64_t place_bytes = 0;  ///< room in `out` per place
  std::byte* out = nullptr;
  std::uint8_t* present = nullptr;
  std::int64_t* lengths = nullptr;
  std::span<const Value>* spans = nullptr;
};

/// Throws Error(kInvalidArgument) for a type that does not exist.
std::vector<RowColumn> MakeRowColumns(const View& view, std::span<const RowsColumn> columns);

/// Writes places [place, place + rows) but for the present flags: row i from the `units` units at
/// `first + i * stride`.
inline void DecodeRun(const RowColumn& column, const Value* first, std::uint64_t stride,
                      std::uint64_t units, std::uint64_t rows, std::uint64_t place) {
  if (column.kernel != nullptr) {
    const std::uint64_t used = std::min(units, column.most_units);
    column.kernel(*column.encoding,
                  {first, stride, used * column.unit_words, rows,
                   column.out + place * column.place_bytes, column.place_bytes,
                   used * column.unit_bytes});
  }
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, static_cast<std::int64_t>(units));
  }
  if (column.spans != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      column.spans[place + i] = {first + i * stride, units * column.unit_words};
    }
  }
}

/// Marks places as present; ZeroRun() takes that back where the field is missing.
void MarkPresent(const RowColumn& column, std::uint64_t rows, std::uint64_t place);

/// Writes places [place, place + rows) as missing.
void ZeroRun(const RowColumn& column, std::uint64_t rows, std::uint64_t place);

}  // namespace stream_store::internal
