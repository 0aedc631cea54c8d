// Exports of a snapshot to Arrow capsules, and imports from them. Bound by bind_arrow.cc; the
// Python side is stream_store/_exchange.
#pragma once

#include <string>

#include "stream_store/arrow.h"
#include "stream_store/store.h"

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// Converts the Arrow types of the fields, a sequence of (type, classes) by type id; see
/// ArrowField.
std::vector<ArrowField> ArrowFieldsOf(nb::handle fields);

/// Returns a capsule "arrow_array_stream" of a range of rows of a snapshot.
///
/// requested  a capsule "arrow_schema", or None.
/// rows       (start, stop, bytes of a batch).
/// metadata   value of the schema's key "huggingface"; "" for no such key.
/// names      (name of the column of steps, names of the columns to export); "" for no such column,
///            and None for all columns.
nb::object ExportStream(StoreObject& store, nb::handle requested, nb::handle rows,
                        nb::handle fields, const std::string& metadata, nb::handle names);

/// Returns a capsule "arrow_schema" with the schema of such a stream.
nb::object ExportSchema(StoreObject& store, nb::handle fields, const std::string& metadata,
                        nb::handle columns);

/// The schema of a capsule "arrow_array_stream" as nested tuples (format, name, metadata or None,
/// children, dictionary or None). The stream can still be imported afterwards.
nb::object DescribeStream(nb::handle capsule);

/// Imports rows and returns their number.
///
/// streams   (stream, picks): a capsule "arrow_array_stream", and None or a second such capsule
///           with one uint64 column. With the latter, only the rows with those numbers are
///           imported, in that order.
/// specs     FieldSpecs to declare; the rows then replace all rows and fields of the store. With
///           None the rows are appended.
/// progress  called with the number of rows imported so far, or None. An exception that it raises
///           ends the import and leaves the store as it was.
std::uint64_t ImportStreams(StoreObject& store, nb::handle streams, nb::handle specs,
                            nb::handle fields, const std::string& step_column, nb::handle progress);

}  // namespace stream_store::python
