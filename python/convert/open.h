// The constructors of _core.Store, and the declaration of fields.
//
// Bound by bind_store.cc; the Python class StreamStore checks the arguments before it calls these.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// Store.__init__(path, mode, capacity, wait, safety): opens a store in the memory that nanobind
/// allocated for it.
///
/// path    str or os.PathLike; None for a temporary store.
/// mode    "a", "x" or "r".
/// safety  (sync_seconds, sync_bytes, safe_reads); see StoreObject::Arguments.
void OpenStore(StoreObject* where, nb::object path, const std::string& mode, std::uint64_t capacity,
               double wait, const std::tuple<double, std::uint64_t, bool>& safety);

/// Store.__init__(source, num_rows): a snapshot of another store.
void OpenSnapshot(StoreObject* where, StoreObject& source, std::optional<std::uint64_t> num_rows);

/// Store.__init__(descriptors, schema): a temporary store of another process, from the result of
/// HandOver() there. Takes ownership of the descriptors, which must belong to this process.
void OpenHandover(StoreObject* where, nb::handle descriptors, const nb::bytes& schema);

/// (descriptors, schema) of a temporary store. The descriptors still belong to the store.
nb::object HandOver(StoreObject& store);

/// Declares fields given as FieldSpecs.
void DefineFields(StoreObject& store, nb::handle specs);

/// Adds fields given as FieldSpecs.
void AddFields(StoreObject& store, nb::handle specs);

}  // namespace stream_store::python
