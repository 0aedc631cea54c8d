// Look-ups between positions, rows and steps; one decoded row; segments; the index table.
#pragma once

#include <cstdint>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// row_of(positions), position_of(rows), row_at(steps, side): any shape in, the same shape out.
nb::object RowOf(Store& store, nb::handle positions);
nb::object PositionOf(Store& store, nb::handle rows);
nb::object RowAt(Store& store, nb::handle steps, nb::handle side);

/// Raw values -> the field's own dtype, same shape.
nb::object Decode(Store& store, nb::handle values, nb::handle field);

/// Row `row` >= 0 as a dict: name -> value or None; a struct's marker, where it is present, under
/// its type id.
nb::object DecodeRow(nb::handle self, std::int64_t row);

/// (n, 2) int64 half-open row ranges.
nb::object Segments(Store& store, nb::handle names);

/// Structured array (start, type, step) of the field-writes of rows [start, stop).
nb::object IndexTable(Store& store, std::int64_t start, std::int64_t stop);

}  // namespace stream_store::python
