// Sources and replicas; see replication.h.

#include "convert/replication.h"

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stream_store/interop.h"

#include "convert/ids.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// The bytes of an object with a buffer, which is held meanwhile.
class Buffer {
 public:
  explicit Buffer(nb::handle object) {
    Check(PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE));
  }

  ~Buffer() { PyBuffer_Release(&view_); }

  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

PlaceTuple TupleOf(const RecordPlace& place) {
  return {place.record, place.row, place.position, place.field_writes};
}

RecordTuple TupleOf(const RecordFacts& facts) {
  return {facts.step, facts.row, facts.position, facts.session, facts.checksum};
}

RecordPlace PlaceOf(const PlaceTuple& place) {
  return {std::get<0>(place), std::get<1>(place), std::get<2>(place), std::get<3>(place)};
}

// A mirror syncs its replica itself, after each round. Large packs are written with system calls, for
// which touching pages ahead would be a waste.
Options ReplicaOptions() {
  Options options;
  options.grow_ahead = false;
  options.sync_interval = {};
  options.sync_bytes = 0;
  return options;
}

// An array of the bytes, which it owns.
nb::object ArrayOf(std::vector<std::byte> bytes) {
  auto owner = std::make_unique<std::vector<std::byte>>(std::move(bytes));
  const auto size = static_cast<npy_intp>(owner->size());
  nb::object array =
      Own(PyArray_SimpleNewFromData(1, const_cast<npy_intp*>(&size), NPY_UINT8, owner->data()));
  nb::object capsule = Own(PyCapsule_New(owner.get(), nullptr, [](PyObject* held) {
    delete static_cast<std::vector<std::byte>*>(PyCapsule_GetPointer(held, nullptr));
  }));
  // NOLINTNEXTLINE(bugprone-unused-return-value): the capsule owns it now
  static_cast<void>(owner.release());
  Check(PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array.ptr()),
                              capsule.release().ptr()));
  return array;
}

template <class Call>
auto WithoutGil(const Call& call) {
  const MaybeWithoutGil released(true);
  return call();
}

StreamStore OpenReplica(nb::handle path) {
  const std::filesystem::path native = NativePath(path);
  return WithoutGil([&] { return StreamStore::Open(native, ReplicaOptions()); });
}

StreamStore MakeReplica(nb::handle path, nb::handle pack, nb::handle schema,
                        const PlaceTuple& begin) {
  const std::filesystem::path native = NativePath(path);
  const Buffer pack_buffer(pack);
  const Buffer schema_buffer(schema);
  return WithoutGil([&] {
    return CreateReplica(native, pack_buffer.bytes(), schema_buffer.bytes(), PlaceOf(begin),
                         ReplicaOptions());
  });
}

}  // namespace

SourceObject::SourceObject(nb::handle path)
    : path_(NativePath(path)), reader_(Reader::Open(path_)) {}

// The slot first: the snapshot is then never older.
std::tuple<PlaceTuple, PlaceTuple> SourceObject::Durable() {
  return WithoutGil([&] {
    for (;;) {
      const DurablePart part = stream_store::Durable(reader_);
      try {
        reader_.Refresh();
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kCutBack) {
          throw;
        }
        reader_ = Reader::Open(path_);
        continue;
      }
      if (part.end.record <= reader_.records()) {
        return std::tuple(TupleOf(part.begin), TupleOf(part.end));
      }
      reader_ = Reader::Open(path_);  // it was cut back between the two
    }
  });
}

RecordTuple SourceObject::Record(std::uint64_t number) const {
  return TupleOf(RecordAt(reader_, number));
}

nb::object SourceObject::Pack(std::uint64_t first, std::uint64_t end,
                              std::uint64_t most_bytes) const {
  return ArrayOf(WithoutGil([&] { return ReadPack(reader_, first, end, most_bytes); }));
}

nb::object SourceObject::Schema(std::uint64_t records) const {
  const std::vector<std::byte> bytes = ReadSchema(reader_, records);
  return Own(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                       static_cast<Py_ssize_t>(bytes.size())));
}

std::string SourceObject::id() const { return HexOf(reader_.id()); }

ReplicaObject::ReplicaObject(nb::handle path) : store_(OpenReplica(path)) {}

ReplicaObject::ReplicaObject(nb::handle path, nb::handle pack, nb::handle schema,
                             const PlaceTuple& begin)
    : store_(MakeReplica(path, pack, schema, begin)) {}

std::uint64_t ReplicaObject::Apply(nb::handle pack, nb::handle schema, const std::string& name) {
  const Buffer pack_buffer(pack);
  const Buffer schema_buffer(schema);
  return WithoutGil(
      [&] { return ApplyPack(store_, pack_buffer.bytes(), schema_buffer.bytes(), name); });
}

void ReplicaObject::AddFields(nb::handle schema) {
  const Buffer buffer(schema);
  WithoutGil([&] { AddSourceFields(store_, buffer.bytes()); });
}

std::uint64_t ReplicaObject::Truncate(std::uint64_t num_rows) {
  return WithoutGil([&] { return store_.Truncate(num_rows); });
}

std::uint64_t ReplicaObject::DropBefore(std::uint64_t row) {
  return WithoutGil([&] { return store_.DropBefore(static_cast<Row>(row)); });
}

std::uint64_t ReplicaObject::Sync() {
  return WithoutGil([&] { return store_.Sync(); });
}

void ReplicaObject::Close() {
  WithoutGil([&] { store_.Close(); });
}

RecordTuple ReplicaObject::Record(std::uint64_t number) const {
  return TupleOf(RecordAt(store_.reader(), number));
}

std::tuple<PlaceTuple, PlaceTuple> ReplicaObject::Range() const {
  const Reader reader = store_.reader();
  const auto tuple = [](std::uint64_t record, std::uint64_t row, std::uint64_t position) {
    return PlaceTuple(record, row, position, 0);
  };
  const std::uint64_t first = interop::FirstRecord(reader);
  return {tuple(first, reader.first_row(), reader.first_position()),
          tuple(reader.records(), reader.num_rows(), reader.size())};
}

std::string ReplicaObject::id() const { return HexOf(store_.id()); }

std::string ReplicaObject::parent() const { return HexOf(interop::ParentId(store_.reader())); }

std::tuple<std::string, PlaceTuple, PlaceTuple, std::uint64_t, std::uint64_t> VerifyPackOf(
    nb::handle pack, nb::handle schema, const std::string& name) {
  const Buffer pack_buffer(pack);
  const Buffer schema_buffer(schema);
  const PackFacts facts =
      WithoutGil([&] { return VerifyPack(pack_buffer.bytes(), schema_buffer.bytes(), name); });
  return {HexOf(facts.id), TupleOf(facts.begin), TupleOf(facts.end), facts.last_checksum,
          facts.last_session};
}

std::uint64_t ChecksumOf(nb::handle bytes) {
  const Buffer buffer(bytes);
  return WithoutGil([&] { return interop::Checksum(buffer.bytes()); });
}

}  // namespace stream_store::python
