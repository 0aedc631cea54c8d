// Stored words of one field-write -> the Python value that row() shows.
#pragma once

#include <cstdint>
#include <span>

#include "stream_store/reader.h"

#include "convert/field_table.h"
#include "convert/python.h"

namespace stream_store::python {

/// A NumPy scalar, 1-D array, array in its shape, str, bytes or Decimal; None for a field that
/// never has a value. Arrays own their memory. `self` is the StreamStore, for hooks.
nb::object DecodeValue(PyObject* self, const Reader& reader, const FieldInfo& field, TypeId type,
                       std::span<const Value> words);

/// The str of UTF-8 words or the bytes of binary ones.
nb::object DecodeText(const FieldInfo& field, std::span<const Value> words);

}  // namespace stream_store::python
