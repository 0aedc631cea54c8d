// Verify, repair, checkpoint and wait for Python, with reports as tuples and progress as a
// callable.
//
// All may take long, so they release the GIL and check for signals several times a second.
#pragma once

#include <cstdint>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// Verifies the store at a path, or an open one. Returns the arguments of
/// stream_store.reports.VerifyReport. `progress` is None, or is called with (done, total) bytes;
/// Ctrl-C and any exception that it raises end the work.
nb::object VerifyPath(nb::handle path, nb::handle progress);
nb::object VerifyStore(StoreObject& store, nb::handle progress);

/// Repairs the store at `path` into a new one at `into`. Returns the arguments of
/// stream_store.reports.RepairReport, with gaps and findings as tuples.
nb::object RepairPath(nb::handle path, nb::handle into, bool truncate_at_damage,
                      nb::handle progress);

/// Copies the rows stored now to a new store at `path` and returns their number. With `update`,
/// brings an earlier copy up to date instead, and returns the number of bytes copied.
std::uint64_t CheckpointStore(StoreObject& store, nb::handle path, bool update,
                              nb::handle progress);

/// Waits until the store has `num_rows` rows, or `timeout` seconds have passed (None: without
/// limit). Returns whether it has them.
bool Wait(StoreObject& store, nb::handle num_rows, nb::handle timeout);

}  // namespace stream_store::python
