// Converts FieldSpecs of Python to Fields of C++ and back, and hands out the table of item types.
#pragma once

#include <vector>

#include "stream_store/schema.h"

#include "convert/python.h"

namespace stream_store::python {

/// The table of item types (stream_store/dtype.h), a list of (name, kind, bits, item_bytes,
/// item_words, numpy, arrow_format, unit) in the order of DType.
nb::object DTypeTable();

/// Fields of a sequence of `features.FieldSpec`. Throws ValueError for a dtype that does not exist.
std::vector<Field> FieldsFromSpecs(nb::handle specs);

/// The arguments of a FieldSpec for each field: a list of (name, path, dtype, shape, packed,
/// feature_json, hidden, nested), with -1 for a ragged dimension. Empty if the schema is.
nb::object SpecArguments(const Schema& schema);

}  // namespace stream_store::python
