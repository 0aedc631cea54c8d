// FieldSpecs of Python <-> Fields of C++.
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

/// A list of (name, path, dtype, shape, packed, feature_json, hidden), as FieldSpec takes them; -1
/// where ragged.
nb::object SpecArguments(const Schema* schema);

}  // namespace stream_store::python
