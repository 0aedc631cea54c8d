// Tests of AddFields(): what the schema of each reader is, when a row is complete, what is left
// after a failure or a crash, and that copies, truncations and recoveries keep the schema true.

#include <fstream>
#include <string>
#include <vector>

#include "stream_store/sampler.h"
#include "stream_store/verify.h"

#include "format/schema_codec.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

// The store of the fixture has the fields number, list and flag, of the types 0 to 2.
class AddFieldsTest : public StoreTest {
 protected:
  static std::vector<Field> More() {
    return {Field{.name = "extra"}, Field{.name = "text", .dtype = DType::kString}};
  }

  static void AppendRows(StreamStore& store, Step begin, Step end) {
    for (Step step = begin; step < end; ++step) store.Append(step, {{0, step}, {2, true}});
  }

  // The schema in the file of a store.
  static Schema SchemaOf(const fs::path& path) {
    std::ifstream in(path / "schema", std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto bytes = std::as_bytes(std::span(text));
    StoreId id{};
    std::memcpy(id.data(), bytes.data() + 24, id.size());
    return DecodeSchema(bytes, id, "schema");
  }

  static std::vector<std::uint64_t> SinceOf(const Schema& schema) {
    std::vector<std::uint64_t> since;
    for (std::size_t type = 0; type < schema.size(); ++type) {
      since.push_back(schema.since(static_cast<TypeId>(type)));
    }
    return since;
  }

  static std::string FindingsOf(const VerifyReport& report) {
    std::string text;
    for (const Finding& finding : report.findings) text += FindingText(finding) + "\n";
    return text;
  }

  void ExpectWhole(const fs::path& path) const { EXPECT_EQ(FindingsOf(Verify(path)), ""); }
};

using Since = std::vector<std::uint64_t>;

TEST_F(AddFieldsTest, LaterRowsMayHaveTheFieldsAndEarlierOnesLackThem) {
  for (const bool temporary : {false, true}) {
    StreamStore store = temporary ? StreamStore::Temporary(options_) : Open();
    AppendRows(store, 0, 2);
    store.AddFields(More());
    EXPECT_EQ(store.schema().revision(), 1U);
    EXPECT_EQ(store.type_id("extra"), 3);
    EXPECT_EQ(store.type_id("text"), 4);
    store.Append(2, {{0, 2}, {3, 7}, {4, "x"}});
    store.Append(3, {{4, "y"}});
    AppendRows(store, 4, 5);
    EXPECT_EQ(Show(store.reader()), "0{0:0 2:1} 1{0:1 2:1} 2{0:2 3:7 4:120} 3{4:121} 4{0:4 2:1}");
    EXPECT_EQ(SinceOf(store.schema()), (Since{0, 0, 0, 2, 2}));
    EXPECT_EQ(FindingsOf(Verify(store.reader())), "");
    store.Close();
  }
  EXPECT_EQ(Live().schema_revision, 1U);
  EXPECT_EQ(SinceOf(SchemaOf(path_)), (Since{0, 0, 0, 2, 2}));
  ExpectWhole(path_);
  options_.fields.clear();
  StreamStore store = Open();
  store.Append(9, {{3, 1}});
  store.AddFields({{.name = "third"}});
  store.Append(10, {{5, 1}});
  EXPECT_EQ(SinceOf(SchemaOf(path_)), (Since{0, 0, 0, 2, 2, 6}));
  store.Close();
  ExpectWhole(path_);
  EXPECT_TRUE(Stored().ends_with("4{0:4 2:1} 9{3:1} 10{5:1}")) << Stored();
}

TEST_F(AddFieldsTest, ReadersSeeTheFieldsAtTheirNextRefresh) {
  StreamStore store = Open();
  AppendRows(store, 0, 1);
  for (const bool safe : {false, true}) {
    Reader mine = store.reader();
    Reader other = Reader::Open(path_, {.safe_reads = safe});
    const Reader copy = other;
    const Reader snapshot = mine.Snapshot();
    store.AddFields({{.name = safe ? "b" : "a"}});
    const std::size_t fields = safe ? 5 : 4;
    EXPECT_EQ(mine.schema().size(), fields - 1);
    for (Reader* reader : {&mine, &other}) {
      reader->Refresh();  // without a new row
      EXPECT_EQ(reader->schema().size(), fields);
    }
    // A record of more fields than there were before.
    store.Append(safe ? 20 : 10, {{0, 1}, {1, List{}}, {2, true}, {3, 5}});
    for (Reader* reader : {&mine, &other}) {
      reader->Refresh();
      EXPECT_EQ(Show(*reader), Show(store.reader()));
      EXPECT_EQ(reader->field_writes(), store.reader().field_writes());
    }
    EXPECT_EQ(copy.schema().size(), fields - 1);
    EXPECT_EQ(snapshot.schema().size(), fields - 1);
    EXPECT_EQ(copy.field_writes(), mine.field_writes() - 4);
  }
}

// One reader reads with a View from before and one from after, on one thread, whose caches of layouts
// both use: they must not mix the two schemas.
TEST_F(AddFieldsTest, OldAndNewViewsOnOneThreadReadTheirOwnFields) {
  StreamStore store = Open();
  AppendRows(store, 0, 100);
  const Reader old = store.reader();
  store.AddFields(More());
  for (Step step = 100; step < 200; ++step) store.Append(step, {{0, step}, {3, step}, {4, "z"}});
  const Reader fresh = store.reader();
  for (int i = 0; i < 3; ++i) {
    for (const Reader* reader : {&old, &fresh}) {
      std::vector<Row> rows(reader->num_rows());
      for (std::size_t row = 0; row < rows.size(); ++row) rows[row] = static_cast<Row>(row);
      std::vector<std::int64_t> numbers(rows.size());
      const RowsColumn column{.type = 0, .out = numbers.data()};
      reader->ReadRows(rows, 1, std::span(&column, 1), nullptr);
      for (std::size_t row = 0; row < rows.size(); ++row) {
        ASSERT_EQ(numbers[row], static_cast<std::int64_t>(row));
      }
      EXPECT_EQ(reader->IndexTable(0, static_cast<Row>(rows.size())).size(),
                reader->field_writes());
    }
  }
  EXPECT_EQ(fresh.field_writes(), 500U);
}

// A row is complete when a later row exists, or when it has the field that was the last one declared
// when it was written.
TEST_F(AddFieldsTest, ARowIsCompleteByTheFieldsOfItsTime) {
  StreamStore store = Open();
  const auto complete = [&] { return store.reader().complete_rows(); };
  store.Append(0, {{0, 1}});
  EXPECT_EQ(complete(), 0U);
  store.AddFields({{.name = "a"}});
  EXPECT_EQ(complete(), 0U);  // the flag was the last one, and is still missing
  store.Append(0, {{2, true}});
  EXPECT_EQ(complete(), 0U);  // a record of now should have the new field
  store.Append(0, {{3, 1}});
  EXPECT_EQ(complete(), 1U);
  store.AddFields({{.name = "b"}});
  EXPECT_EQ(complete(), 1U);  // it was complete when it was written
  store.Append(0, {{4, 1}});
  EXPECT_EQ(complete(), 1U);
  store.AddFields({{.name = "c"}, {.name = "d"}});
  store.Append(0, {{5, 1}});
  EXPECT_EQ(complete(), 1U);  // never less than before
  store.Append(1, {{2, true}, {4, 3}});
  EXPECT_EQ(complete(), 1U);
  store.Append(1, {{6, 3}});
  EXPECT_EQ(complete(), 2U);
  store.Append(2, {{5, 3}});
  EXPECT_EQ(complete(), 2U);
  store.Close();
  EXPECT_EQ(Reader::Open(path_).complete_rows(), 3U);
}

TEST_F(AddFieldsTest, HiddenMarkersMayStandBetweenFields) {
  const Field marker{.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true};
  options_.fields = {{.name = "s.x", .path = {"s", "x"}}, marker};
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  store.Append(0, {{1, std::span<const Value>()}});
  EXPECT_EQ(store.reader().complete_rows(), 1U);
  Field other = marker;
  other.name = "t";
  other.path = {"t"};
  store.AddFields({{.name = "y"}, {.name = "t.x", .path = {"t", "x"}}, other});
  store.Append(1, {{0, 1}, {2, 2}, {3, 3}});
  store.Append(2, {{1, std::span<const Value>()}, {2, 2}});
  store.Append(2, {{4, std::span<const Value>()}});
  EXPECT_EQ(Show(store.reader()), "0{0:1 1:} 1{0:1 2:2 3:3} 2{1: 2:2 4:}");
  EXPECT_EQ(store.reader().complete_rows(), 2U);
  store.Append(3, {{3, 3}});
  store.Append(3, {{4, std::span<const Value>()}});  // a marker follows the last declared field
  EXPECT_EQ(store.reader().complete_rows(), 4U);
  EXPECT_CONTAINS(ErrorOf([&] { store.type_id("t"); }).what(), "declared are s.x, y, t.x");
  store.Close();
  // Opening compares declared fields and markers as one declaration has them.
  options_.fields = {{.name = "s.x", .path = {"s", "x"}},
                     {.name = "y"},
                     {.name = "t.x", .path = {"t", "x"}},
                     marker,
                     other};
  EXPECT_NO_THROW(Open());
  ExpectWhole(path_);
}

TEST_F(AddFieldsTest, OpeningAddsFieldsOnlyWhenAsked) {
  {
    StreamStore store = Open();
    AppendRows(store, 0, 3);
  }
  options_.fields = Fields();
  for (const Field& field : More()) options_.fields.push_back(field);
  const Error error = ErrorOf([&] { Open(); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(error.what(), "the store lacks extra, text; open it with add_fields = true");
  EXPECT_EQ(SchemaOf(path_).size(), 3U);
  options_.add_fields = true;
  {
    StreamStore store = Open();
    EXPECT_EQ(store.schema().size(), 5U);
    store.Append(3, {{3, 1}});
  }
  EXPECT_EQ(Open().schema().revision(), 1U);  // nothing is new now
  EXPECT_EQ(SinceOf(SchemaOf(path_)), (Since{0, 0, 0, 3, 3}));
  std::swap(options_.fields[3], options_.fields[0]);
  EXPECT_CONTAINS(ErrorOf([&] { Open(); }).what(), "expected those of the store");
}

TEST_F(AddFieldsTest, DeclaresTheFieldsOfAStoreWithout) {
  options_.fields.clear();
  StreamStore store = Open();
  store.AddFields(Fields());
  EXPECT_EQ(store.schema().revision(), 0U);
  store.AddFields(More());
  EXPECT_EQ(SinceOf(store.schema()), (Since{0, 0, 0, 0, 0}));
  Reader other = Reader::Open(path_);
  store.DefineFields({{.name = "only"}});
  store.Append(0, {{0, 5}});
  other.Refresh();
  EXPECT_EQ(Show(other), "0{0:5}");
  EXPECT_EQ(other.schema().size(), 1U);
  EXPECT_CONTAINS(ErrorOf([&] { store.DefineFields(Fields()); }).what(), "add_fields()");
}

TEST_F(AddFieldsTest, ARefusedCallChangesNothing) {
  StreamStore store = Open();
  AppendRows(store, 0, 2);
  const auto code = [&](std::vector<Field> fields) {
    return ErrorOf([&] { store.AddFields(std::move(fields)); }).code();
  };
  EXPECT_EQ(code({}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{.name = "flag"}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{.name = "a"}, {.name = "a"}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{.name = "a", .dtype = DType::kNested, .nested = "list<"}}),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{.name = "a", .feature_json = std::string(kMaxSchemaBytes, ' ')}}),
            ErrorCode::kInvalidArgument);
  {
    StagedRows staged = store.Stage();
    EXPECT_EQ(code(More()), ErrorCode::kState);
  }
  EXPECT_EQ(InChild([&] { EXPECT_EQ(code(More()), ErrorCode::kReadOnly); }), 0);
  EXPECT_EQ(store.schema().size(), 3U);
  EXPECT_EQ(SchemaOf(path_).size(), 3U);
  AppendRows(store, 2, 3);
  store.Close();
  EXPECT_EQ(code(More()), ErrorCode::kClosed);
  EXPECT_EQ(Stored(), "0{0:0 2:1} 1{0:1 2:1} 2{0:2 2:1}");
  ExpectWhole(path_);
}

// Every system call of AddFields() fails once. Either nothing has changed and the store goes on, or
// appending has ended and the next open finds one of the two schemas.
TEST_F(AddFieldsTest, AFailureAtAnyStepLeavesOneOfTheTwoSchemas) {
  int failures = 0;
  for (const char* call : {"open", "pwrite", "fsync", "fdatasync", "rename"}) {
    for (int n = 1; n <= 3; ++n) {
      path_ = Scratch(StrCat("store-", call, n));
      StreamStore store = Open();
      AppendRows(store, 0, 2);
      bool failed = false;
      {
        const Faults faults;
        Faults::Fail(call, EIO, n);
        try {
          store.AddFields(More());
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kIo) << call << n;
          failed = true;
        }
        EXPECT_EQ(failed, Faults::failed() > 0) << call << n;
      }
      failures += failed ? 1 : 0;
      const bool renamed = SchemaOf(path_).size() == 5;
      EXPECT_EQ(Live().schema_revision, failed ? 0U : 1U);
      if (failed && renamed) {
        EXPECT_EQ(store.TryAppend(2, {{0, 2}}), ErrorCode::kIo) << call << n;
      } else {
        EXPECT_EQ(store.schema().size(), renamed ? 5U : 3U);
        store.Append(2, {{0, 2}});
      }
      try {
        store.Close();
      } catch (const Error&) {
        EXPECT_TRUE(failed && renamed) << call << n;
      }
      options_.fields.clear();
      StreamStore again = Open();
      EXPECT_EQ(again.schema().size(), renamed ? 5U : 3U) << call << n;
      EXPECT_EQ(Live().schema_revision, !renamed ? 0U : failed ? 2U : 1U);
      EXPECT_FALSE(fs::exists(path_ / "schema.tmp")) << call << n;
      AppendRows(again, 10, 11);
      again.Close();
      ExpectWhole(path_);
      options_.fields = Fields();
    }
  }
  EXPECT_GE(failures, 4);
}

// A writer that dies after the rename has not announced the fields, and their file may not have its
// name on disk. The next open writes it again, since rows that need the fields may be synced after it.
TEST_F(AddFieldsTest, TheNextOpenAnnouncesASchemaThatAWriterLeft) {
  WriteAndDie([](StreamStore& store) {
    AppendRows(store, 0, 2);
    store.AddFields(More());
    store.Append(2, {{3, 1}});
  });
  LiveWords live = Live();
  live.schema_revision = 0;
  SetLive(live);
  std::ofstream(path_ / "schema.tmp") << "left over";
  Reader reader = Reader::Open(path_);
  EXPECT_EQ(Show(reader), "0{0:0 2:1} 1{0:1 2:1} 2{3:1}");
  EXPECT_EQ(reader.schema().size(), 5U);
  options_.fields.clear();
  std::optional<Faults> faults(std::in_place);
  StreamStore store = Open();
  EXPECT_NE(std::ranges::find(Faults::log(), "fsync store"), Faults::log().end());
  faults.reset();
  EXPECT_EQ(Live().schema_revision, 2U);
  EXPECT_EQ(SchemaOf(path_).revision(), 2U);
  EXPECT_FALSE(fs::exists(path_ / "schema.tmp"));
  store.Append(3, {{4, "x"}});
  reader.Refresh();
  EXPECT_EQ(reader.num_rows(), 4U);
}

// The records after the fields were added are gone: later records with the same numbers may have the
// fields, so the schema must not say otherwise.
TEST_F(AddFieldsTest, TruncationAndRecoveryLowerTheFirstRecord) {
  StreamStore store = Open();
  AppendRows(store, 0, 10);
  store.AddFields(More());
  AppendRows(store, 10, 12);
  store.Truncate(11);
  EXPECT_EQ(SinceOf(store.schema()), (Since{0, 0, 0, 10, 10}));
  Reader reader = Reader::Open(path_);
  store.Truncate(4);
  EXPECT_EQ(SinceOf(store.schema()), (Since{0, 0, 0, 4, 4}));
  EXPECT_EQ(SinceOf(SchemaOf(path_)), (Since{0, 0, 0, 4, 4}));
  store.Append(20, {{3, 1}});
  EXPECT_EQ(ErrorOf([&] { reader.Refresh(); }).code(), ErrorCode::kCutBack);
  EXPECT_EQ(store.reader().complete_rows(), 4U);
  store.Append(20, {{4, "x"}});
  EXPECT_EQ(store.reader().complete_rows(), 5U);
  store.Close();
  ExpectWhole(path_);

  options_.fields.clear();
  WriteAndDie([](StreamStore& writer) {
    writer.Sync();
    AppendRows(writer, 30, 34);
    writer.AddFields({{.name = "third"}});
  });
  EXPECT_EQ(SinceOf(SchemaOf(path_)).back(), 10U);
  LiveWords live = Live();  // as if the machine had lost the last three records
  live.published = 7;
  SetLive(live);
  EXPECT_EQ(Reader::Open(path_).schema().size(), 6U);
  StreamStore again = Open();
  EXPECT_EQ(SinceOf(again.schema()).back(), 7U);
  EXPECT_EQ(Live().schema_revision, again.schema().revision());
  again.Append(40, {{5, 1}});
  again.Close();
  ExpectWhole(path_);
}

TEST_F(AddFieldsTest, CopiesKeepTheSchema) {
  StreamStore store = Open();
  AppendRows(store, 0, 5);
  store.AddFields(More());
  AppendRows(store, 5, 8);
  store.AddFields({{.name = "third"}});
  store.Append(8, {{0, 1}, {5, 2}});
  store.reader().Checkpoint(Scratch("all"));
  store.reader().Snapshot(3).Checkpoint(Scratch("three"));
  store.Close();
  for (const char* name : {"all", "three"}) {
    ExpectWhole(Scratch(name));
    EXPECT_EQ(SchemaOf(Scratch(name)).revision(), 2U);
  }
  EXPECT_EQ(SinceOf(SchemaOf(Scratch("all"))), (Since{0, 0, 0, 5, 5, 8}));
  EXPECT_EQ(SinceOf(SchemaOf(Scratch("three"))), (Since{0, 0, 0, 3, 3, 3}));
  EXPECT_EQ(Show(Reader::Open(Scratch("all"))), Stored());
  const Reader three = Reader::Open(Scratch("three"));
  EXPECT_EQ(Show(three), "0{0:0 2:1} 1{0:1 2:1} 2{0:2 2:1}");
  EXPECT_EQ(three.schema().size(), 6U);

  // Repair leaves out record 2, so the fields were added before record 4 of the copy.
  {
    const File values = Directory::Open(path_).OpenFile(FileOf("values").c_str(), true);
    const std::byte damage{0x55};
    values.WriteAt(std::span(&damage, 1), 2 * 2 * sizeof(Value));
  }
  const RepairReport report = Repair(path_, Scratch("repaired"));
  EXPECT_EQ(report.rows, 8U);
  EXPECT_EQ(SinceOf(SchemaOf(Scratch("repaired"))), (Since{0, 0, 0, 4, 4, 7}));
  ExpectWhole(Scratch("repaired"));
}

TEST_F(AddFieldsTest, VerifyReportsFieldsBeforeTheirTimeAndAWrongRevision) {
  {
    StreamStore store = Open();
    AppendRows(store, 0, 5);
    store.AddFields(More());
    store.Append(5, {{0, 1}, {3, 2}});
    AppendRows(store, 6, 8);
    store.Close();
  }
  LiveWords live = Live();
  live.schema_revision = 3;
  SetLive(live);
  VerifyReport report = Verify(path_);
  EXPECT_TRUE(report.ok());
  EXPECT_CONTAINS(FindingsOf(report),
                  "`schema_revision` of a closed store: expected 1 but found 3");
  live.schema_revision = 1;
  SetLive(live);

  const Schema schema = SchemaOf(path_);
  std::ifstream in(path_ / "schema", std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  StoreId id{};
  std::memcpy(id.data(), text.data() + 24, id.size());
  const auto bytes = EncodeSchema(Schema(schema.fields(), {0, 0, 0, 7, 7}, 1), id);
  Directory::Open(path_).OpenFile("schema", true).WriteAt(bytes, 0);
  report = Verify(path_);
  EXPECT_EQ(report.damages, 1U);
  EXPECT_CONTAINS(FindingsOf(report), "record 5");
  EXPECT_CONTAINS(FindingsOf(report), "it has a field that was added to the store later");
}

// A damaged revision in the live words must not send readers to a schema that does not exist.
TEST_F(AddFieldsTest, ARevisionBeyondTheSchemaIsDamage) {
  StreamStore store = Open();
  AppendRows(store, 0, 2);
  Reader reader = Reader::Open(path_);
  LiveWords live = Live();
  live.schema_revision = 9;
  SetLive(live);
  const Error error = ErrorOf([&] { reader.Refresh(); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "schema: expected at least revision 9 but found 0");
}

TEST_F(AddFieldsTest, SamplersThatExistContinue) {
  StreamStore store = Open();
  AppendRows(store, 0, 6);
  WindowSampler sampler(
      {store.reader()},
      {.length = 1, .unit = SampleUnit::kRow, .batch_size = 4, .replacement = false});
  sampler.BeginEpoch();
  WindowBatch batch;
  EXPECT_TRUE(sampler.Next(batch));
  store.AddFields(More());
  store.Append(6, {{0, 6}, {3, 1}, {4, "x"}});
  EXPECT_TRUE(sampler.Next(batch));
  EXPECT_EQ(batch.size(), 2U);
  EXPECT_FALSE(sampler.Next(batch));
  EXPECT_EQ(sampler.NumStarts(), 7U);
  sampler.BeginEpoch();
  std::vector<std::int64_t> numbers(4);
  std::uint64_t seen = 0;
  while (sampler.Next(batch)) {
    const RowsColumn column{.type = 0, .out = numbers.data()};
    batch.ReadRows(std::span(&column, 1), nullptr, nullptr);
    for (std::size_t i = 0; i < batch.size(); ++i) seen |= 1ULL << numbers[i];
  }
  EXPECT_EQ(seen, 0x7fU);
}

}  // namespace
}  // namespace stream_store::internal
