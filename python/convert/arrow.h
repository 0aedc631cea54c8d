// Arrow capsules <-> the C++ side: exports of a snapshot, imports into a store.
#pragma once

#include <string>

#include "stream_store/arrow.h"

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// What Python knows of a store's fields in Arrow: a sequence of (levels, classes) by type id.
std::vector<ArrowField> ArrowFieldsOf(nb::handle fields);

/// A capsule "arrow_array_stream" of some rows of a snapshot.
///
/// requested  a capsule "arrow_schema" or None.
/// rows       (start, stop, bytes of a batch).
/// metadata   of the key "huggingface", "" for none.
nb::object ExportStream(Store& store, nb::handle requested, nb::handle rows, nb::handle fields,
                        const std::string& metadata, const std::string& step_column);

/// A capsule "arrow_schema" of what such a stream has.
nb::object ExportSchema(Store& store, nb::handle fields, const std::string& metadata);

/// The schema of a capsule "arrow_array_stream", which stays whole: nested tuples (format, name,
/// metadata or None, children, dictionary or None).
nb::object DescribeStream(nb::handle capsule);

/// Imports rows; returns how many.
///
/// streams  (stream, picks): a capsule "arrow_array_stream" and None, or a second capsule of one
///          uint64 column: then only the rows of those numbers, in that order.
/// specs    FieldSpecs that are declared with the rows, in place of everything there was; None: the
///          rows are appended.
std::uint64_t ImportStreams(Store& store, nb::handle streams, nb::handle specs, nb::handle fields,
                            const std::string& step_column, nb::handle progress);

}  // namespace stream_store::python
