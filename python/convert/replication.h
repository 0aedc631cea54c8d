// Sources and replicas for Python: what stream_store.Shipper and stream_store.Mirror need of a store,
// with places and facts as tuples.
//
// Bound by bind_replication.cc. Calls that read or write packs release the GIL; an object must not be
// used by two threads at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>

#include "stream_store/replication.h"

#include "convert/python.h"

namespace stream_store::python {

/// (record, row, position, field-writes)
using PlaceTuple = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>;

/// (step, row, position, session, checksum)
using RecordTuple = std::tuple<Step, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t>;

/// The durable part of a store that may have a writer elsewhere.
class SourceObject {
 public:
  explicit SourceObject(nb::handle path);

  /// The begin and the end of the durable part. All other functions see it as it is now. Opens the
  /// store again if it was cut back.
  std::tuple<PlaceTuple, PlaceTuple> Durable();

  RecordTuple Record(std::uint64_t number) const;

  /// A pack as a uint8 array.
  nb::object Pack(std::uint64_t first, std::uint64_t end, std::uint64_t most_bytes) const;

  nb::object Schema(std::uint64_t records) const;

  /// Records of the store, those included that are not known to be durable.
  std::uint64_t num_records() const noexcept { return reader_.records(); }

  std::string id() const;

 private:
  std::filesystem::path path_;
  Reader reader_;
};

/// The writer of a replica.
class ReplicaObject {
 public:
  explicit ReplicaObject(nb::handle path);

  /// See CreateReplica(). The pack and the schema are any objects with a buffer.
  ReplicaObject(nb::handle path, nb::handle pack, nb::handle schema, const PlaceTuple& begin);

  std::uint64_t Apply(nb::handle pack, nb::handle schema, const std::string& name);
  void AddFields(nb::handle schema);
  std::uint64_t Truncate(std::uint64_t num_rows);
  std::uint64_t DropBefore(std::uint64_t row);
  std::uint64_t Sync();
  void Close();
  RecordTuple Record(std::uint64_t number) const;

  /// The begin and the end; their field-writes are 0.
  std::tuple<PlaceTuple, PlaceTuple> Range() const;

  std::string id() const;

  /// The id of the source; zeros if the store was not made from another one.
  std::string parent() const;

 private:
  StreamStore store_;
};

/// VerifyPack(): (id, begin, end, checksum of the last record, its session).
std::tuple<std::string, PlaceTuple, PlaceTuple, std::uint64_t, std::uint64_t> VerifyPackOf(
    nb::handle pack, nb::handle schema, const std::string& name);

/// The CRC32C of the bytes of an object with a buffer.
std::uint64_t ChecksumOf(nb::handle bytes);

}  // namespace stream_store::python
