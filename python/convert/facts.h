// Properties of a store that are computed from its reader, as Python objects.
//
// Bound by bind_store.cc. Each refreshes the store first, so it describes the rows stored now. All
// throw ValueError if the store is closed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

using RetentionTuple = std::tuple<std::optional<std::uint64_t>, std::optional<std::uint64_t>,
                                  std::optional<std::uint64_t>, std::vector<std::string>>;

inline std::uint64_t FirstRow(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->first_row();
}

inline std::uint64_t FirstPosition(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->first_position();
}

inline std::uint64_t KeptRows(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->kept_rows();
}

inline std::uint64_t CompleteRows(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->complete_rows();
}

inline std::uint64_t NumFieldWrites(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->field_writes();
}

inline std::uint64_t NumBytes(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->bytes();
}

inline std::uint64_t DurableRows(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? 0 : reader->durable_rows();
}

inline bool Live(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader != nullptr && reader->live();
}

/// A key for the content of a snapshot: (store id, record count, checksum of the last record, first
/// row that is retained).
/// Equal keys mean equal content.
nb::object ContentKey(StoreObject& store);

/// StoreObject::retention(), as (rows, bytes, segments, segment_by).
RetentionTuple RetentionOf(StoreObject& store);

/// StoreObject::SetRetention().
void SetRetention(StoreObject& store, const RetentionTuple& limits);

/// The names of the declared fields, as a tuple of str.
nb::object FieldNames(StoreObject& store);

/// The arguments of a FieldSpec for each field; empty before fields are declared.
nb::object FieldSpecs(StoreObject& store);

}  // namespace stream_store::python
