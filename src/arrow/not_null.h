// Finds the columns of an export that are declared not null although a row lacks them.
//
// Used by export.cc when a stream is created. Rows of a store may lack any field, and may be
// completed later, so nothing refuses such a row when it is appended. If the schema of the export
// insisted on `not null`, a single row would keep every consumer from reading the whole store.
#pragma once

#include "stream_store/reader.h"

#include "arrow/export_plan.h"

namespace stream_store::arrow {

/// Makes those columns of the plan nullable that are declared not null and that one of rows
/// [begin, end) lacks. A member of a struct is lacking only where the struct is present.
///
/// Cost    nothing, if no column is declared not null; else one pass over the layouts of the
///         records, which ends early once no such column is left.
/// Throws  Error: kOutOfRange, kCorrupt, kCutBack.
void AllowMissingValues(const Reader& reader, Row begin, Row end, ExportPlan& plan);

}  // namespace stream_store::arrow
