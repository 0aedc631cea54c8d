// What a Store tells about itself, as Python objects.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

inline std::uint64_t CompleteRows(Store& store) {
  const Reader* reader = store.Refresh();
  return reader == nullptr ? 0 : reader->complete_rows();
}

inline std::uint64_t NumFieldWrites(Store& store) {
  const Reader* reader = store.Refresh();
  return reader == nullptr ? 0 : reader->field_writes();
}

inline std::uint64_t NumBytes(Store& store) {
  const Reader* reader = store.Refresh();
  return reader == nullptr ? 0 : reader->bytes();
}

/// What differs between two snapshots unless they hold the same: id, number of records, check of
/// the last.
nb::object ContentKey(Store& store);

inline std::uint64_t DurableRows(Store& store) {
  const Reader* reader = store.Refresh();
  return reader == nullptr ? 0 : reader->durable_rows();
}

inline bool Live(Store& store) {
  const Reader* reader = store.Refresh();
  return reader != nullptr && reader->live();
}

nb::object FieldNames(Store& store);

/// Opens a store in the memory that nanobind made for it; arguments are those of Store's
/// constructors, `safety` (sync_seconds, sync_bytes, safe_reads).
void OpenStore(Store* where, nb::object path, const std::string& mode, std::uint64_t capacity,
               double wait, const std::tuple<double, std::uint64_t, bool>& safety);
void OpenSnapshot(Store* where, Store& source, std::optional<std::uint64_t> num_rows);

/// Declares fields given as FieldSpecs.
/// Store.__init__(descriptors, schema): a temporary store of another process.
void OpenHandover(Store* where, nb::handle descriptors, const nb::bytes& schema);

/// (descriptors, schema) of a temporary store; the descriptors stay its own.
nb::object HandOver(Store& store);

void DefineFields(Store& store, nb::handle specs);

/// What FieldSpec takes, of every field; empty before fields are declared.
nb::object FieldSpecs(Store& store);

}  // namespace stream_store::python
