// Decodes the stored words of one field-write to the Python value that row() returns.
//
// Used by lookup.cc for rows, and by rows_output.cc for texts.
#pragma once

#include <cstdint>
#include <span>

#include "stream_store/reader.h"

#include "convert/field_table.h"
#include "convert/python.h"

namespace stream_store::python {

/// Returns a NumPy scalar, a 1-D array, an array in the field's shape, a str, bytes, Decimal or the
/// objects of a nested cell; None for a null field. Arrays own their memory. `self` is the StreamStore, for hooks. Throws
/// Error(kCorrupt) if the number of words is impossible for the field.
nb::object DecodeValue(PyObject* self, const Reader& reader, const FieldInfo& field, TypeId type,
                       std::span<const Value> words);

/// Returns the str or bytes of a text field. No words are an empty text.
nb::object DecodeText(const FieldInfo& field, std::span<const Value> words);

/// Returns the objects of the cell of a nested field.
nb::object DecodeCell(const FieldInfo& field, std::span<const Value> words);

}  // namespace stream_store::python
