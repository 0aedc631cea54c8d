// FieldSpecs of Python <-> Fields of C++.
#pragma once

#include <vector>

#include "stream_store/schema.h"

#include "convert/python.h"

namespace stream_store::python {

/// Fields of a sequence of `features.FieldSpec`. Throws ValueError for a dtype that does not exist.
std::vector<Field> FieldsFromSpecs(nb::handle specs);

/// A list of (name, path, dtype, shape, packed, feature_json, hidden), as FieldSpec takes them; -1
/// where ragged.
nb::object SpecArguments(const Schema* schema);

}  // namespace stream_store::python
