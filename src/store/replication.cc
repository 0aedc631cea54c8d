// The functions of replication.h: packs of a Reader, and replicas that are made of them.
#include "stream_store/replication.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/directory.h"
#include "base/str_cat.h"
#include "format/encoding.h"
#include "format/layout.h"
#include "format/schema_codec.h"
#include "storage/damaged_files.h"
#include "storage/open.h"
#include "storage/pack_records.h"
#include "storage/read_source.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/store_impl.h"

namespace stream_store {

using internal::Begin;
using internal::DamagedFiles;
using internal::Encoding;
using internal::PackRecords;
using internal::ReaderAccess;
using internal::ReadSource;
using internal::Slot;
using internal::StoreAccess;
using internal::StoreId;
using internal::StrCat;
using internal::View;

namespace {

constexpr std::size_t kSchemaIdAt = 24;  // of the id in the bytes of a schema

RecordPlace BeginOf(const Slot& slot) {
  const Begin& begin = slot.begin;
  return {begin.records, begin.rows, begin.values, begin.field_writes};
}

Slot DurableSlot(const Reader& reader) {
  const ReadSource& source = *ReaderAccess::SourceOf(reader);
  if (!source.files().persistent()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        "temporary store: replicating it: expected a store with a path, because nothing of a "
        "temporary store is durable");
  }
  return source.DurableSlot();
}

void CheckRecord(const View& view, std::uint64_t record, std::uint64_t end) {
  if (record < view.begin_record) {
    throw Error(ErrorCode::kDropped,
                StrCat(view.store_schema->path, ": reading record ", record,
                       ": the records before record ", view.begin_record, " were dropped"));
  }
  if (record >= end) {
    throw Error(ErrorCode::kOutOfRange, StrCat(view.store_schema->path, ": reading record ", record,
                                               ": expected a record below ", end));
  }
}

// A schema of a source, in the forms that its packs need.
struct SourceSchema {
  explicit SourceSchema(std::span<const std::byte> bytes) {
    if (bytes.size() >= kSchemaIdAt + id.size()) {
      std::memcpy(id.data(), bytes.data() + kSchemaIdAt, id.size());
    }
    schema = internal::DecodeSchema(bytes, id, "the schema of the source");
    encodings = internal::MakeEncodings(schema);
  }

  StoreId id{};
  Schema schema;
  std::vector<Encoding> encodings;
};

// The fields from type id `first` on that the first `records` records may have.
std::vector<Field> FieldsUpTo(const Schema& schema, std::size_t first, std::uint64_t records) {
  std::vector<Field> fields;
  for (std::size_t type = first;
       type < schema.size() && schema.since(static_cast<TypeId>(type)) <= records; ++type) {
    fields.push_back(schema.fields()[type]);
  }
  return fields;
}

// The schema that a source had when it had `records` records.
Schema SchemaAt(const Schema& schema, std::uint64_t records) {
  std::vector<Field> fields = FieldsUpTo(schema, 0, records);
  std::vector<std::uint64_t> since(fields.size());
  for (std::size_t type = 0; type < since.size(); ++type) {
    since[type] = schema.since(static_cast<TypeId>(type));
  }
  return {std::move(fields), std::move(since), schema.revision()};
}

void RequireSource(const StoreId& expected, const StoreId& found, const std::string& name) {
  if (expected != found) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(name, ": expected the store ", internal::IdText(expected), " but found ",
                       internal::IdText(found)));
  }
}

internal::Writer& ReplicaOf(StreamStore& replica, const SourceSchema& source,
                            const std::string& name) {
  internal::Writer& writer = StoreAccess::Of(replica).Declared("apply_pack");
  RequireSource(writer.files()->identity().parent, source.id, name);
  if (!source.schema.Extends(writer.schema())) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(name, ": the fields of the source are not those of the replica ",
                       writer.files()->path_text(), ", followed by others"));
  }
  return writer;
}

// Adds the fields that the next record may have.
void AddFieldsNow(internal::Writer& writer, const Schema& source) {
  std::vector<Field> added = FieldsUpTo(source, writer.schema().size(), writer.cursor().records);
  if (!added.empty()) {
    writer.AddFields(std::move(added));
  }
}

// A field that was added in the source is added here after as many records.
std::uint64_t Apply(internal::Writer& writer, const PackRecords& pack, const Schema& source) {
  writer.ApplyPack(pack, 0);  // checks that the pack continues the store
  std::uint64_t applied = 0;
  for (;;) {
    AddFieldsNow(writer, source);
    const std::size_t known = writer.schema().size();
    const std::uint64_t next =
        known < source.size() ? source.since(static_cast<TypeId>(known)) : pack.end_record();
    if (writer.cursor().records >= pack.end_record()) {
      return applied;
    }
    applied += writer.ApplyPack(pack, std::min(next, pack.end_record()));
  }
}

// Throws unless a replica may begin there. The place comes from another host. All of it but the number
// of field-writes is in the pack, too, and is compared with it.
void CheckBegin(const PackRecords& pack, const RecordPlace& begin, const std::string& path) {
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(path, ": creating a replica: expected ", expected, " but found ", found));
  };
  if (begin.record < pack.first_record() || begin.record >= pack.end_record()) {
    refuse(StrCat("a begin in [", pack.first_record(), ", ", pack.end_record(), ")"),
           StrCat(begin.record));
  }
  const internal::Record& record = pack.record(begin.record);
  const std::uint64_t row = internal::RowOfRecord(record.row_session);
  if (row != begin.row || record.start != begin.position) {
    refuse(StrCat("record ", begin.record, " at row ", row, " and position ", record.start,
                  ", as in ", pack.name(), ","),
           StrCat("row ", begin.row, " and position ", begin.position));
  }
  const std::uint64_t rows_before =
      begin.record == pack.first_record()
          ? pack.header().rows_before
          : internal::RowOfRecord(pack.record(begin.record - 1).row_session) + 1;
  if (row != rows_before) {
    refuse("a record that starts a row", StrCat("record ", begin.record, ", which continues one"));
  }
  const std::uint64_t most = begin.record * internal::kLayoutMaxFields;
  if (begin.field_writes > most) {
    refuse(StrCat("at most ", most, " field-writes in ", begin.record, " records"),
           StrCat(begin.field_writes));
  }
}

RecordPlace PlaceOf(std::uint64_t record, std::uint64_t row, std::uint64_t position) {
  return {.record = record, .row = row, .position = position, .field_writes = 0};
}

}  // namespace

StreamStore StoreAccess::CreateFilled(const std::filesystem::path& path, const Options& options,
                                      const internal::NewStore& store,
                                      const std::function<void(internal::Writer&)>& fill) {
  using internal::PathState;
  const PathState there = internal::InspectPath(path);
  if (there == PathState::kStore || there == PathState::kSomethingElse) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(internal::PathText(path),
                       ": creating a replica: expected nothing or an empty directory but found ",
                       there == PathState::kStore ? "a store" : "something else"));
  }
  auto impl = std::make_unique<StreamStore::Impl>();
  impl->path = path;
  impl->options = options;
  const internal::OpenedStore built = internal::BuildStore(path, store);
  const std::filesystem::path sibling = built.files->path();
  try {
    impl->Start(built);
    fill(*impl->writer);
    internal::PublishStore(*built.files, path);
    impl->writer->FollowMove();
  } catch (...) {
    impl->writer.reset();
    internal::RemoveTree(sibling);
    throw;
  }
  return StreamStore(std::move(impl));
}

DurablePart Durable(const Reader& reader) {
  const Slot slot = DurableSlot(reader);
  return {BeginOf(slot), {slot.records, slot.rows, slot.values, slot.field_writes}};
}

RecordFacts RecordAt(const Reader& reader, std::uint64_t record) {
  const ReadSource& source = *ReaderAccess::SourceOf(reader);
  const View& view = ReaderAccess::ViewOf(reader);
  CheckRecord(view, record, view.record_count);
  internal::Record found{};
  internal::ReadOrCutBack(source, view, [&](const View& all) {
    const DamagedFiles files = DamagedFiles::FromOpenStore(source.files(), all);
    const auto bytes = std::as_writable_bytes(std::span(&found, 1));
    if (files.records->ReadAt(bytes, record * sizeof(found)) != sizeof(found)) {
      internal::ThrowCorruptRecord(all, record, "expected a record but the file ends");
    }
  });
  source.CheckNotTruncated();
  return {.step = found.step,
          .row = internal::RowOfRecord(found.row_session),
          .position = found.start,
          .session = internal::SessionOfRecord(found.row_session),
          .checksum = found.checksum};
}

std::vector<std::byte> ReadPack(const Reader& reader, std::uint64_t first, std::uint64_t end,
                                std::uint64_t most_bytes) {
  const ReadSource& source = *ReaderAccess::SourceOf(reader);
  const View& view = ReaderAccess::ViewOf(reader);
  const std::uint64_t durable = std::min(DurableSlot(reader).records, view.record_count);
  if (durable < end) {
    source.CheckNotTruncated();  // the caller may have looked before a truncation
  }
  CheckRecord(view, first, std::min(durable, end));
  CheckRecord(view, end - 1, durable);
  std::vector<std::byte> pack = internal::ReadOrCutBack(source, view, [&](const View& all) {
    return internal::CollectPack(DamagedFiles::FromOpenStore(source.files(), all), first, end,
                                 most_bytes);
  });
  source.CheckNotTruncated();
  return pack;
}

std::vector<std::byte> ReadSchema(const Reader& reader, std::uint64_t records) {
  return internal::EncodeSchema(SchemaAt(reader.schema(), records), reader.id());
}

PackFacts VerifyPack(std::span<const std::byte> pack, std::span<const std::byte> schema,
                     const std::string& name) {
  const SourceSchema source(schema);
  const PackRecords records(pack, source.schema, source.encodings, name);
  const internal::PackHeader& header = records.header();
  RequireSource(source.id, header.id, name);
  const internal::Record& front = records.record(records.first_record());
  const internal::Record& last = records.record(records.end_record() - 1);
  return {.id = header.id,
          .begin = PlaceOf(records.first_record(), internal::RowOfRecord(front.row_session),
                           header.first_position),
          .end = PlaceOf(records.end_record(), records.end_row(), records.end_position()),
          .last_checksum = last.checksum,
          .last_session = internal::SessionOfRecord(last.row_session)};
}

StreamStore CreateReplica(const std::filesystem::path& path, std::span<const std::byte> pack,
                          std::span<const std::byte> schema, const RecordPlace& begin,
                          const Options& options) {
  internal::RefuseTemporaryName(path);
  const SourceSchema source(schema);
  const PackRecords records(pack, source.schema, source.encodings, "the first pack of a replica");
  RequireSource(source.id, records.header().id, records.name());
  CheckBegin(records, begin, internal::PathText(path));
  internal::NewStore store{.schema = SchemaAt(source.schema, begin.record),
                           .identity = internal::NewIdentity(records.header().chunk_bytes),
                           .begin = {.records = begin.record,
                                     .values = begin.position,
                                     .rows = begin.row,
                                     .layout_words = 0,
                                     .field_writes = begin.field_writes}};
  store.identity.parent = source.id;
  return StoreAccess::CreateFilled(path, options, store, [&](internal::Writer& writer) {
    Apply(writer, records, source.schema);
    writer.Sync();
  });
}

std::uint64_t ApplyPack(StreamStore& replica, std::span<const std::byte> pack,
                        std::span<const std::byte> schema, const std::string& name) {
  const SourceSchema source(schema);
  internal::Writer& writer = ReplicaOf(replica, source, name);
  const PackRecords records(pack, source.schema, source.encodings, name);
  RequireSource(source.id, records.header().id, name);
  return Apply(writer, records, source.schema);
}

void AddSourceFields(StreamStore& replica, std::span<const std::byte> schema) {
  const SourceSchema source(schema);
  AddFieldsNow(ReplicaOf(replica, source, "the schema of the source"), source.schema);
}

}  // namespace stream_store
