// Columns of decoded rows: where the words of one field go.
//
// Rows are decoded column by column, which keeps the choice of conversion out of the inner loops
// (row_kernels.h). Where a field lies in a record is in the record's plan (row_plans.h).
//
// Used by rows.cc. Thread rules: the caller's output belongs to one call.
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

/// A RowsColumn with everything that is decided once per call. KernelRoom (row_kernels.h) explains
/// units.
struct ColumnSink {
  bool ragged = false;
  const Encoding* encoding = nullptr;
  Kernels kernels = {};      ///< null if items are not wanted
  KernelRoom room = {};      ///< at place 0
  FieldSource missing = {};  ///< the source of rows without the field
  std::uint8_t* present = nullptr;
  std::int64_t* lengths = nullptr;        ///< null for a block field
  std::int64_t* block_lengths = nullptr;  ///< of a block field: its rows store their own lengths
  std::span<const Value>* spans = nullptr;

  KernelRoom RoomAt(std::uint64_t place) const {
    KernelRoom at = room;
    at.out += place * room.place_bytes;
    return at;
  }
};

/// Throws Error(kInvalidArgument) for a type that does not exist.
std::vector<ColumnSink> MakeRowColumns(const View& view, std::span<const RowsColumn> columns);

/// The types of columns.
std::vector<TypeId> TypesOf(std::span<const RowsColumn> columns);

/// Writes the lengths of places [place, place + rows) of a block field: row i from the `words` words
/// at `first + i * stride`. REQUIRES: column.block_lengths != nullptr.
void WriteBlockLengths(const ColumnSink& column, const Value* first, std::uint64_t stride,
                       std::uint64_t words, std::uint64_t rows, std::uint64_t place);

/// Writes places [place, place + rows), except the present flags: row i from the `units` units at
/// `first + i * stride`.
inline void DecodeRun(const ColumnSink& column, const Value* first, std::uint64_t stride,
                      std::uint64_t units, std::uint64_t rows, std::uint64_t place) {
  if (column.kernels.run != nullptr) {
    column.kernels.run(*column.encoding, column.RoomAt(place), first, stride, units, rows);
  }
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, static_cast<std::int64_t>(units));
  }
  if (column.block_lengths != nullptr) {
    WriteBlockLengths(column, first, stride, units, rows, place);
  }
  if (column.spans != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      column.spans[place + i] = {first + i * stride, units * column.room.unit_words};
    }
  }
}

/// Writes places [place, place + rows), present flags included: row i from sources[i].
void DecodeScattered(const ColumnSink& column, const FieldSource* sources, std::uint64_t rows,
                     std::uint64_t place);

/// Sets the present flags of places [place, place + rows).
void MarkPresent(const ColumnSink& column, std::uint64_t rows, std::uint64_t place);

/// Writes places [place, place + rows) as missing: zeros, no length, not present.
void ZeroRun(const ColumnSink& column, std::uint64_t rows, std::uint64_t place);

}  // namespace stream_store::internal
