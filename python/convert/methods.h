// The methods and properties of _core.Store that read and write rows, and those of _core.Recovery.
//
// Each is implemented in the source named above it; bindings/ adds them to the Python types. The
// functions with (self, args, count, names) use CPython's fast calling convention and are bound by
// bind_fast.cc. They return a new reference, or null with a Python exception set.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "stream_store/recovery.h"

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

// --- append.cc ---

/// append(steps, names, values).
PyObject* Append(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) noexcept;

/// append_step(values, step=None) -> int.
PyObject* AppendStep(PyObject* self, PyObject* const* args, Py_ssize_t count,
                     PyObject* names) noexcept;

// --- extend.cc ---

/// extend(columns, steps=None) -> number of rows.
PyObject* Extend(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) noexcept;

// --- read.cc: raw values, with the type and step of each ---

/// The mp_subscript slot: int, slice, list or int array of any shape -> {"step", "types",
/// "values"}.
PyObject* GetItem(PyObject* self, PyObject* index) noexcept;

/// The mp_length slot: number of values; -1 with an exception set.
Py_ssize_t Length(PyObject* self) noexcept;

/// windows(starts, width, *, columns=…, out=None).
PyObject* Windows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                  PyObject* names) noexcept;

// --- read_rows.cc: decoded rows and row windows ---

/// read_rows(rows, length=None, *, fields=None, out=None, max_length=None) -> dict.
PyObject* ReadRows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                   PyObject* names) noexcept;

// --- lookup.cc: positions, rows and steps; one row; segments; the index table ---

/// row_of(positions), position_of(rows), row_at(steps, side): the result has the shape of the
/// argument.
nb::object RowOf(StoreObject& store, nb::handle positions);
nb::object PositionOf(StoreObject& store, nb::handle rows);
nb::object RowAt(StoreObject& store, nb::handle steps, nb::handle side);

/// Rows by the times of a field.
///
/// times  an int64, uint64 or float64 array that is the caller's own.
/// rests  None, or a uint8 array as interop::FindTimes() takes it.
nb::object RowAtTimes(StoreObject& store, nb::handle times, nb::handle rests, nb::handle field,
                      nb::handle side);

/// The NumPy dtype of the items of a field.
nb::object ItemDtype(StoreObject& store, nb::handle field);

/// Raw values -> the field's own dtype, same shape.
nb::object Decode(StoreObject& store, nb::handle values, nb::handle field);

/// Row `row` >= 0 as a dict, name -> value or None. A struct that is present without any of its
/// members has an entry under the type id of its marker.
nb::object DecodeRow(nb::handle self, std::int64_t row);

/// (n, 2) int64 array of half-open row ranges.
nb::object Segments(StoreObject& store, nb::handle names);

/// Structured array (start, type, step) of the field-writes of rows [start, stop).
nb::object IndexTable(StoreObject& store, std::optional<std::int64_t> first, std::int64_t stop);

// --- recovery.cc ---

const char* StateText(const Recovery& recovery);
bool Equal(const Recovery& a, const Recovery& b);
std::size_t Hash(const Recovery& recovery);
std::string Represent(const Recovery& recovery);

}  // namespace stream_store::python
