// Tests of packs and replicas: a replica has the records of its source under the same numbers, and a
// pack that does not continue it is refused.

#include <algorithm>
#include <string>
#include <vector>

#include "format/schema_codec.h"
#include "storage/replica_fixture.h"

namespace stream_store::internal {
namespace {

TEST_F(ReplicaTest, HasTheRecordsOfItsSourceForPacksOfAnySize) {
  StreamStore store = Open();
  FillAndSync(store, 700);
  for (const std::uint64_t most : {std::uint64_t{1}, std::uint64_t{5000}, kAll}) {
    Replicate(Reader::Open(path_), most).Close();
    ExpectEqual();
    std::filesystem::remove_all(replica_);
  }
}

TEST_F(ReplicaTest, RowsMayBeEmptyOrLieInSeveralRecords) {
  StreamStore store = Open();
  store.Append(-5, {});
  store.Append(-5, {{0, 1}});
  store.Append(-5, {{1, List{}}, {2, true}});
  store.Append(7, {});
  store.Append(9, {{1, List(5000, 3)}});  // longer than a chunk
  store.Append(9, {{2, false}});
  store.Sync();
  Replicate(Reader::Open(path_), 1).Close();
  ExpectEqual();
  EXPECT_EQ(Reader::Open(replica_).recovery().state, Recovery::State::kClean);
}

TEST_F(ReplicaTest, PackedFieldsArriveAsTheyAre) {
  options_.fields = {
      Field{.name = "frame", .dtype = DType::kUInt8, .shape = {kRagged}, .packed = true},
      Field{.name = "text", .dtype = DType::kString, .packed = true}, Field{.name = "number"}};
  StreamStore store = Open();
  const std::vector<std::uint8_t> frame = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  for (Step step = 0; step < 40; ++step) {
    store.Append(step, {{0, std::span(frame).first(static_cast<std::size_t>(step % 10))},
                        {1, std::string_view("nine").substr(static_cast<std::size_t>(step % 4))},
                        {2, step}});
  }
  store.Sync();
  Replicate(Reader::Open(path_), 600).Close();
  ExpectEqual();
  EXPECT_EQ(Reader::Open(replica_).schema(), Reader::Open(path_).schema());
}

TEST_F(ReplicaTest, GrowsWithItsSourceAndKeepsItsOwnSessions) {
  StreamStore store = Open();
  Step rows = 0;
  FillAndSync(store, rows += 50);
  Replicate(store.reader()).Close();
  for (int round = 0; round < 5; ++round) {
    FillAndSync(store, rows += 90);
    const Reader reader = store.reader();
    StreamStore replica = StreamStore::Open(replica_);
    for (const Pack& pack : PacksOf(reader, replica.reader().records(), 3000)) {
      EXPECT_GT(ApplyPack(replica, pack, SchemaOf(reader)), 0U);
    }
    if (round % 2 == 0) replica.Close();  // else it ends as after a crash of the process
    if (round == 3) store = StreamStore::Temporary(options_), store = Open();
  }
  store.Close();
  ExpectEqual();
  const Reader replica = Reader::Open(replica_);
  EXPECT_NE(replica.id(), Reader::Open(path_).id());
  EXPECT_EQ(interop::ParentId(replica), Reader::Open(path_).id());
}

TEST_F(ReplicaTest, APackIsAppliedFromTheEndOfTheReplicaOn) {
  StreamStore store = Open();
  FillAndSync(store, 300);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  StreamStore replica =
      CreateReplica(replica_, ReadPack(reader, 0, 100, kAll), schema, {}, options_);
  EXPECT_EQ(ApplyPack(replica, ReadPack(reader, 40, 100, kAll), schema), 0U);
  EXPECT_EQ(ApplyPack(replica, ReadPack(reader, 40, 160, kAll), schema), 60U);
  EXPECT_EQ(ApplyPack(replica, ReadPack(reader, 0, reader.records(), kAll), schema),
            reader.records() - 160);
  EXPECT_EQ(replica.reader().records(), reader.records());
  replica.Close();
  store.Close();
  ExpectEqual();
}

TEST_F(ReplicaTest, MayBeginWhereTheSourceDoes) {
  StreamStore store = Open();
  FillAndSync(store, 3000);
  store.DropBefore(2600);
  Reader reader = Reader::Open(path_);
  Replicate(reader, 2000).Close();
  ExpectEqual();
  const Reader replica = Reader::Open(replica_);
  EXPECT_EQ(replica.first_row(), 2600U);
  EXPECT_EQ(replica.first_position(), reader.first_position());
  // It goes on like any store: it grows, drops and recovers.
  FillAndSync(store, 3400);
  reader.Refresh();
  {
    StreamStore again = StreamStore::Open(replica_);
    for (const Pack& pack : PacksOf(reader, replica.records())) {
      ApplyPack(again, pack, SchemaOf(reader));
    }
    again.DropBefore(3000);
  }
  store.DropBefore(3000);
  store.Close();
  ExpectEqual();
}

// The begin of a source moves inside a pack. A replica that is made later starts there.
// Each chunk of records has layouts of its own, so that the others can be dropped.
TEST_F(ReplicaTest, DropsTheChunksOfAPack) {
  StreamStore store = Open();
  FillAndSync(store, 4000);
  StreamStore replica = Replicate(store.reader());
  store.DropBefore(3000);
  replica.DropBefore(3000);
  replica.Close();
  store.Close();
  ExpectEqual();
}

TEST_F(ReplicaTest, MayBeginInsideAPack) {
  StreamStore store = Open();
  FillAndSync(store, 400);
  const Reader reader = store.reader();
  const Pack pack = ReadPack(reader, 0, reader.records(), kAll);
  store.DropBefore(333);
  const Reader later = store.reader();
  const RecordPlace begin = Durable(later).begin;
  CreateReplica(replica_, pack, SchemaOf(later), begin, options_).Close();
  store.Close();
  ExpectEqual();
  const RecordPlace wrong[] = {{begin.record, begin.row + 1, begin.position, 0},
                               {begin.record, begin.row, begin.position + 1, 0},
                               {begin.record + 1, begin.row, begin.position, 0},
                               {reader.records(), 400, reader.size(), 0},
                               {begin.record, begin.row, std::uint64_t{1} << 60, 0},
                               {begin.record, std::uint64_t{1} << 60, begin.position, 0},
                               {begin.record, begin.row, begin.position, kAll}};
  for (const RecordPlace& place : wrong) {
    const std::filesystem::path path = Scratch("refused");
    EXPECT_EQ(ErrorOf([&] { CreateReplica(path, pack, SchemaOf(later), place); }).code(),
              ErrorCode::kInvalidArgument);
    EXPECT_FALSE(std::filesystem::exists(path));
  }
}

TEST_F(ReplicaTest, BeginsWithAWholeRow) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  store.Append(0, {{2, true}});
  store.Append(1, {{0, 2}});
  store.Sync();
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  const auto refusal = [&](const Pack& pack, std::uint64_t record) -> std::string {
    const RecordFacts facts = RecordAt(reader, record);
    const RecordPlace begin{record, facts.row, facts.position, record};
    return ErrorOf([&] { CreateReplica(replica_, pack, schema, begin); }).what();
  };
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1}}) {
    EXPECT_EQ(
        refusal(ReadPack(reader, first, 3, kAll), 1),
        StrCat(replica_.string(), ": creating a replica: expected a record that starts a row ",
               "but found record 1, which continues one"));
  }
  EXPECT_EQ(CreateReplica(replica_, ReadPack(reader, 0, 3, kAll), schema, {2, 1, 2, 2})
                .reader()
                .num_rows(),
            2U);
}

TEST_F(ReplicaTest, IsWholeAfterItWasClosedThoughFieldsFollow) {
  StreamStore store = Open();
  Fill(store, 30);
  store.AddFields({Field{.name = "extra"}});
  store.Append(30, {{3, 1}});
  store.Sync();
  const Reader reader = store.reader();
  CreateReplica(replica_, ReadPack(reader, 0, 10, kAll), SchemaOf(reader), {}).Close();
  const VerifyReport report = Verify(replica_);
  for (const Finding& finding : report.findings) ADD_FAILURE() << FindingText(finding);
  EXPECT_EQ(report.records, 10U);
}

TEST_F(ReplicaTest, FieldsAreAddedAfterTheSameRecord) {
  StreamStore store = Open();
  FillAndSync(store, 30);
  store.AddFields({Field{.name = "extra"}});
  for (Step step = 30; step < 50; ++step) store.Append(step, {{0, step}, {3, -step}});
  store.AddFields({Field{.name = "text", .dtype = DType::kString}, Field{.name = "last"}});
  store.Append(50, {{5, 1}});
  store.Sync();
  store.AddFields({Field{.name = "unused"}});  // after the last record
  for (const std::uint64_t most : {std::uint64_t{700}, kAll}) {
    const Reader reader = Reader::Open(path_);
    Replicate(reader, most).Close();
    ExpectEqual();
    const Schema expected = reader.schema();
    const Schema found = Reader::Open(replica_).schema();
    ASSERT_EQ(found, expected);
    for (std::size_t type = 0; type < found.size(); ++type) {
      EXPECT_EQ(found.since(static_cast<TypeId>(type)), expected.since(static_cast<TypeId>(type)));
    }
    std::filesystem::remove_all(replica_);
  }
}

TEST_F(ReplicaTest, AFieldThatComesAfterTheShippedRecordsIsLeftOut) {
  StreamStore store = Open();
  FillAndSync(store, 30);
  const std::uint64_t durable = Durable(store.reader()).end.record;
  Fill(store, 40);
  store.AddFields({Field{.name = "extra"}});
  const Reader reader = store.reader();
  const Pack schema = ReadSchema(reader, durable);
  StreamStore replica = CreateReplica(replica_, ReadPack(reader, 0, durable, kAll), schema, {});
  EXPECT_EQ(replica.schema().size(), 3U);
  store.Append(40, {{3, 1}});
  store.Sync();
  const Reader later = store.reader();
  ApplyPack(replica, ReadPack(later, durable, later.records(), kAll), SchemaOf(later));
  EXPECT_EQ(Records(replica.reader()), Records(later));
}

TEST_F(ReplicaTest, OnlyDurableRecordsAreRead) {
  StreamStore store = Open();
  FillAndSync(store, 30);
  const std::uint64_t durable = store.reader().records();
  Fill(store, 60);
  const Reader reader = store.reader();
  EXPECT_EQ(Durable(reader).end.record, durable);
  EXPECT_EQ(ErrorOf([&] { ReadPack(reader, 0, durable + 1, kAll); }).code(),
            ErrorCode::kOutOfRange);
  EXPECT_EQ(ErrorOf([&] { ReadPack(reader, durable, durable, kAll); }).code(),
            ErrorCode::kOutOfRange);
  store.DropBefore(10);
  EXPECT_EQ(ErrorOf([&] { ReadPack(store.reader(), 0, durable, kAll); }).code(),
            ErrorCode::kDropped);
  store.Truncate(20);
  EXPECT_EQ(ErrorOf([&] { ReadPack(reader, 20, 22, kAll); }).code(), ErrorCode::kCutBack);
  const StreamStore temporary = StreamStore::Temporary(options_);
  EXPECT_EQ(ErrorOf([&] { Durable(temporary.reader()); }).code(), ErrorCode::kInvalidArgument);
}

TEST_F(ReplicaTest, RefusesPacksThatDoNotContinueIt) {
  StreamStore store = Open();
  FillAndSync(store, 100);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  StreamStore replica = CreateReplica(replica_, ReadPack(reader, 0, 50, kAll), schema, {});
  const std::string before = Records(replica.reader());
  const auto refused = [&](const Pack& pack, const Pack& fields, ErrorCode code, const char* part) {
    const Error error = ErrorOf([&] { ApplyPack(replica, pack, fields, "a pack"); });
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_CONTAINS(error.what(), part);
    EXPECT_EQ(Records(replica.reader()), before);
  };
  refused(ReadPack(reader, 51, 60, kAll), schema, ErrorCode::kOutOfRange,
          "expected record 50 but the pack begins at record 51");
  // The source removes rows and appends others.
  store.Truncate(30);
  for (Step step = 200; step < 300; ++step) store.Append(step, {{0, step}});
  store.Sync();
  const Reader other = store.reader();
  for (const std::uint64_t first : {0U, 49U, 50U}) {
    refused(ReadPack(other, first, 60, kAll), schema, ErrorCode::kInvalidArgument,
            "record 49 is another one in the source");
  }
  // Another store has another id.
  const std::filesystem::path path = Scratch("another");
  StreamStore another = StreamStore::Open(path, options_);
  FillAndSync(another, 100);
  const Reader foreign = another.reader();
  refused(ReadPack(foreign, 50, 60, kAll), SchemaOf(foreign), ErrorCode::kInvalidArgument,
          "expected the store");
  refused(ReadPack(foreign, 50, 60, kAll), schema, ErrorCode::kInvalidArgument,
          "expected the store");
  EXPECT_EQ(ErrorOf([&] { ApplyPack(another, ReadPack(other, 0, 9, kAll), schema); }).code(),
            ErrorCode::kInvalidArgument);
}

// A replica may be cut back, also to nothing, and takes other records then.
TEST_F(ReplicaTest, IsTruncatedLikeItsSource) {
  StreamStore store = Open();
  FillAndSync(store, 100);
  StreamStore replica = Replicate(store.reader());
  for (const std::uint64_t rows : {70U, 3U, 0U}) {
    store.Truncate(rows);
    replica.Truncate(rows);
    const Step first_step = static_cast<Step>(rows) - (rows == 0 ? 50 : 0);
    for (Step step = first_step; step < first_step + 40; ++step) {
      store.Append(step, {{0, step * 2}});
      store.Append(step, {{2, true}});
    }
    store.Sync();
    const Reader reader = store.reader();
    const std::uint64_t first = replica.reader().records();
    ApplyPack(replica, ReadPack(reader, first, first + 1, kAll), SchemaOf(reader));
    ApplyPack(replica, ReadPack(reader, first + 1, reader.records(), kAll), SchemaOf(reader));
    EXPECT_EQ(Records(replica.reader()), Records(reader));
  }
}

TEST_F(ReplicaTest, ADamagedPackIsRefusedAndChangesNothing) {
  StreamStore store = Open();
  FillAndSync(store, 12);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  const Pack good = ReadPack(reader, 4, reader.records(), kAll);
  StreamStore replica = CreateReplica(replica_, ReadPack(reader, 0, 4, kAll), schema, {});
  const std::string before = Records(replica.reader());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const unsigned bit : {0x01U, 0x80U}) {
      Pack bad = good;
      bad[i] ^= static_cast<std::byte>(bit);
      EXPECT_THROW(ApplyPack(replica, bad, schema), Error) << "byte " << i;
    }
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    Pack cut = good;
    cut.resize(size);
    EXPECT_THROW(ApplyPack(replica, cut, schema), Error) << size << " bytes";
  }
  EXPECT_EQ(Records(replica.reader()), before);
  EXPECT_GT(ApplyPack(replica, good, schema), 0U);
  EXPECT_EQ(Records(replica.reader()), Records(reader));
}

// A checksum can be forged. Then the checks of the header, the layouts and the records decide.
TEST_F(ReplicaTest, AForgedPackIsRefusedByItsContent) {
  StreamStore store = Open();
  FillAndSync(store, 12);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  const Pack good = ReadPack(reader, 4, reader.records(), kAll);
  StreamStore replica = CreateReplica(replica_, ReadPack(reader, 0, 4, kAll), schema, {});
  const std::string before = Records(replica.reader());
  for (std::size_t i = 12; i < good.size(); ++i) {
    const bool checksum = i >= kPackHeaderBytes - 4 && i < kPackHeaderBytes;
    const bool chunk_bytes = i >= 32 && i < 40;  // of no use for a replica that exists
    if (checksum || chunk_bytes || NumberOfLayout(good, i)) continue;
    Pack bad = good;
    bad[i] ^= std::byte{0x10};
    Forge(bad);
    EXPECT_THROW(ApplyPack(replica, bad, schema), Error) << "byte " << i;
  }
  EXPECT_EQ(Records(replica.reader()), before);
}

TEST_F(ReplicaTest, APackHasNoValuesButThoseOfItsRecords) {
  StreamStore store = Open();
  FillAndSync(store, 12);
  const Reader reader = store.reader();
  Pack bad = ReadPack(reader, 0, reader.records(), kAll);
  bad.resize(bad.size() + sizeof(Value));
  const std::uint64_t values = NumberAt<std::uint64_t>(bad, 64) + 1;
  std::memcpy(bad.data() + 64, &values, sizeof(values));
  Forge(bad);
  const Error error = ErrorOf([&] { VerifyPack(bad, SchemaOf(reader), "a test"); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "it has values of no record");
}

TEST_F(ReplicaTest, ARecordHasNoFieldThatWasAddedAfterIt) {
  StreamStore store = Open();
  FillAndSync(store, 12);
  const Reader reader = store.reader();
  const Schema& schema = reader.schema();
  std::vector<std::uint64_t> since(schema.size(), 0);
  since.back() = reader.records();
  const Pack later = EncodeSchema(Schema(schema.fields(), since, 1), reader.id());
  const Pack pack = ReadPack(reader, 0, reader.records(), kAll);
  const Error error = ErrorOf([&] { VerifyPack(pack, later, "a test"); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "it has a field that was added later");
}

TEST_F(ReplicaTest, PacksNeedNoAlignment) {
  StreamStore store = Open();
  FillAndSync(store, 20);
  const Reader reader = store.reader();
  const Pack pack = ReadPack(reader, 0, reader.records(), kAll);
  Pack shifted(pack.size() + 3);
  std::ranges::copy(pack, shifted.begin() + 3);
  CreateReplica(replica_, std::span(shifted).subspan(3), SchemaOf(reader), {}).Close();
  store.Close();
  ExpectEqual();
}

TEST_F(ReplicaTest, NeedsAFreePath) {
  StreamStore store = Open();
  FillAndSync(store, 20);
  const Reader reader = store.reader();
  const Pack pack = ReadPack(reader, 0, reader.records(), kAll);
  EXPECT_EQ(ErrorOf([&] { CreateReplica(path_, pack, SchemaOf(reader), {}); }).code(),
            ErrorCode::kAlreadyExists);
  const std::filesystem::path file = Scratch("file");
  std::ofstream(file) << "text";
  EXPECT_EQ(ErrorOf([&] { CreateReplica(file, pack, SchemaOf(reader), {}); }).code(),
            ErrorCode::kAlreadyExists);
}

// The mirror is killed between two packs, and in the middle of a session with unsynced packs.
TEST_F(ReplicaTest, AKilledWriterLosesNoPack) {
  StreamStore store = Open();
  FillAndSync(store, 500);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  CreateReplica(replica_, ReadPack(reader, 0, 10, kAll), schema, {}).Close();
  std::uint64_t records = 10;
  for (const std::uint64_t count : {1U, 7U, 130U, 300U}) {
    const int code = InChild([&] {
      auto* replica = new StreamStore(StreamStore::Open(replica_));
      for (std::uint64_t i = records; i < records + count; ++i) {
        ApplyPack(*replica, ReadPack(reader, i, i + 1, kAll), schema);
      }
    });
    ASSERT_EQ(code, 0);
    records += count;
    const Reader after = Reader::Open(replica_);
    EXPECT_EQ(after.records(), records);
    EXPECT_EQ(after.recovery().state, Recovery::State::kProcessCrash);
  }
  {
    StreamStore replica = StreamStore::Open(replica_);
    ApplyPack(replica, ReadPack(reader, records, reader.records(), kAll), schema);
  }
  store.Close();
  ExpectEqual();
}

// The values of a large pack are written with system calls, across chunks.
TEST_F(ReplicaTest, ALargePackIsWholeOrNothing) {
  StreamStore store = Open();
  Fill(store, 10);
  for (Step step = 10; step < 300; ++step) store.Append(step, {{1, List(600, step)}});
  store.Sync();
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  const Pack pack = ReadPack(reader, 10, reader.records(), kAll);
  ASSERT_GT(pack.size(), std::size_t{1} << 20);
  StreamStore replica =
      CreateReplica(replica_, ReadPack(reader, 0, 10, kAll), schema, {}, options_);
  const std::string before = Records(replica.reader());
  for (const int n : {1, 2, 50}) {
    const Faults faults;
    Faults::Fail("pwrite", EIO, n, 1000);
    EXPECT_EQ(ErrorOf([&] { ApplyPack(replica, pack, schema); }).code(), ErrorCode::kIo);
    EXPECT_EQ(Records(replica.reader()), before);
  }
  EXPECT_EQ(ApplyPack(replica, pack, schema), reader.records() - 10);
  Reader early = replica.reader();
  EXPECT_EQ(Records(early), Records(reader));
  replica.Close();
  store.Close();
  ExpectEqual();
}

// Out of space before the records are stored: nothing has changed, and the next try succeeds.
TEST_F(ReplicaTest, AFullDiskChangesNothing) {
  StreamStore store = Open();
  FillAndSync(store, 2000);
  const Reader reader = store.reader();
  const Pack schema = SchemaOf(reader);
  StreamStore replica =
      CreateReplica(replica_, ReadPack(reader, 0, 10, kAll), schema, {}, options_);
  const Pack pack = ReadPack(reader, 10, reader.records(), kAll);
  {
    const Faults faults;
    Faults::Fail("fallocate", ENOSPC, 1, 1000);
    EXPECT_EQ(ErrorOf([&] { ApplyPack(replica, pack, schema); }).code(), ErrorCode::kNoSpace);
  }
  EXPECT_EQ(replica.reader().records(), 10U);
  EXPECT_EQ(ApplyPack(replica, pack, schema), reader.records() - 10);
  replica.Close();
  store.Close();
  ExpectEqual();
}

}  // namespace
}  // namespace stream_store::internal
