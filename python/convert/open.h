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

class GroupObject;

/// Store.__init__(path, mode, sizes, wait, safety): opens a store in the memory that nanobind
/// allocated for it.
///
/// path    str or os.PathLike; None for a temporary store.
/// mode    "a", "x" or "r".
/// sizes   (capacity, chunk_bytes); see StoreObject::Arguments.
/// safety  (sync_seconds, sync_bytes, safe_reads); see StoreObject::Arguments.
void OpenStore(StoreObject* where, nb::object path, const std::string& mode,
               const std::tuple<std::uint64_t, std::uint64_t>& sizes, double wait,
               const std::tuple<double, std::uint64_t, bool>& safety);

/// Store.__init__(source, num_rows): a snapshot of another store.
void OpenSnapshot(StoreObject* where, StoreObject& source, std::optional<std::uint64_t> num_rows);

/// Store.__init__(directory): a temporary store of another process, from the result of HandOver()
/// there.
void OpenHandover(StoreObject* where, nb::handle directory);

/// Store.__init__(group, name): a store of a group. Shares the mappings of the group, so it can be read
/// also if the store has left the group. Throws KeyError if the group has no such store.
void OpenMember(StoreObject* where, const GroupObject& group, nb::handle name);

/// The hidden directory of a temporary store, as a str.
nb::object HandOver(StoreObject& store);

/// Declares fields given as FieldSpecs.
void DefineFields(StoreObject& store, nb::handle specs);

/// Adds fields given as FieldSpecs.
void AddFields(StoreObject& store, nb::handle specs);

}  // namespace stream_store::python
