// Verify, repair, checkpoint and wait, for Python: reports as tuples, progress as a callable.
#pragma once

#include <cstdint>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// What stream_store.reports.VerifyReport takes. `progress`: None, or called with (done, total)
/// bytes; Ctrl-C and what it raises end the work.
nb::object VerifyPath(nb::handle path, nb::handle progress);
nb::object VerifyStore(Store& store, nb::handle progress);

/// What stream_store.reports.RepairReport takes.
nb::object RepairPath(nb::handle path, nb::handle into, nb::handle progress);

/// Copies what is stored now; returns the rows of the copy.
std::uint64_t CheckpointStore(Store& store, nb::handle path, nb::handle progress);

/// Whether `num_rows` rows are there before `timeout` seconds (None: for ever) are over.
bool Wait(Store& store, nb::handle num_rows, nb::handle timeout);

}  // namespace stream_store::python
