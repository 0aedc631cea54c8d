// Tests of staged rows: they appear together with one publish, or not at all.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

const std::vector<Field> kFields = {{.name = "number", .dtype = DType::kInt64},
                                    {.name = "text", .dtype = DType::kString}};

Options OptionsOf(std::vector<Field> fields = kFields) {
  Options options;
  options.fields = std::move(fields);
  options.capacity_values = 1000;
  return options;
}

// Rows [first, first + count): step and number are the row.
void StageRows(StagedRows& staged, Step first, std::size_t count) {
  std::vector<Step> steps(count);
  std::iota(steps.begin(), steps.end(), first);
  std::string text(2 * count, 'x');
  std::vector<std::int64_t> offsets(count + 1);
  for (std::size_t i = 0; i <= count; ++i) {
    offsets[i] = static_cast<std::int64_t>(2 * i);
  }
  const std::vector<Column> columns = {
      {.type = 0, .source = Source::kInt64, .data = steps.data()},
      {.type = 1, .source = Source::kBytes, .data = text.data(), .offsets = offsets.data()}};
  staged.Extend(steps, columns);
}

void ExpectRows(const Reader& reader, Row rows) {
  ASSERT_EQ(reader.num_rows(), static_cast<std::uint64_t>(rows));
  for (Row row = 0; row < rows; row += 1 + rows / 100) {
    const RowView view = reader.row(row);
    EXPECT_EQ(view.step(), row);
    ASSERT_EQ(view.size(), 2U);
    EXPECT_EQ(view.begin()->values[0], row);
  }
}

TEST(StagedRows, AreInvisibleUntilTheyAreCommitted) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf());
  Reader here = store.reader();
  Reader other = Reader::Open(scratch / "a");
  StagedRows staged = store.Stage();
  for (Step first = 0; first < 5000; first += 500) {
    StageRows(staged, first, 500);
    here.Refresh();
    other.Refresh();
    EXPECT_EQ(here.num_rows() + other.num_rows(), 0U);
  }
  EXPECT_EQ(staged.rows(), 5000U);
  EXPECT_EQ(staged.last_step(), 4999);
  EXPECT_EQ(staged.Commit(), 0);
  here.Refresh();
  other.Refresh();
  ExpectRows(here, 5000);
  ExpectRows(other, 5000);
  store.Append(5000, {{0, 5000}, {1, std::string_view("on")}});
  store.Close();
  store = StreamStore::Open(scratch / "a");
  EXPECT_EQ(store.recovery().state, Recovery::State::kClean);
  ExpectRows(store.reader(), 5001);
}

TEST(StagedRows, ThatAreDroppedLeaveTheStoreAsItWas) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf());
  for (Step step = 0; step < 10; ++step) {
    store.Append(step, {{0, step}, {1, std::string_view("a text")}});
  }
  {
    StagedRows staged = store.Stage();
    StageRows(staged, 10, 3000);
  }
  ExpectRows(store.reader(), 10);
  for (Step step = 10; step < 20; ++step) {
    store.Append(step, {{0, step}, {1, std::string_view("on")}});
  }
  ExpectRows(store.reader(), 20);
  {
    StagedRows staged = store.Stage();
    StageRows(staged, 20, 30);
    EXPECT_EQ(staged.Commit(), 20);
  }
  ExpectRows(store.reader(), 50);
  store.Close();
  ExpectRows(StreamStore::Open(scratch / "a").reader(), 50);
}

TEST(StagedRows, KeepWhatWasStagedBeforeARefusedCall) {
  StreamStore store = StreamStore::Temporary(OptionsOf());
  StagedRows staged = store.Stage();
  StageRows(staged, 0, 10);
  const Error again = ErrorOf([&] { StageRows(staged, 9, 10); });
  EXPECT_EQ(again.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(std::string(again.what()).find("row 10 of the call"), std::string::npos)
      << again.what();
  const std::int64_t steps[] = {10, 11};
  const char bad_text[] = "ok\xff";
  const std::int64_t offsets[] = {0, 2, 3};
  const Column text{.type = 1, .source = Source::kBytes, .data = bad_text, .offsets = offsets};
  const Error wrong = ErrorOf([&] { staged.Extend(steps, {&text, 1}); });
  EXPECT_NE(std::string(wrong.what()).find("row 11 of the call"), std::string::npos)
      << wrong.what();
  staged.Commit();
  ExpectRows(store.reader(), 10);
}

TEST(StagedRows, KeepOtherWritersOut) {
  StreamStore store = StreamStore::Temporary(OptionsOf());
  store.Append(0, {{0, 0}, {1, std::string_view("a")}});
  StagedRows staged = store.Stage();
  const auto code = [](const std::function<void()>& call) { return ErrorOf(call).code(); };
  const Step step = 1;
  const Column column{.type = 0, .source = Source::kInt64, .data = &step};
  EXPECT_EQ(code([&] { store.Append(1, {{0, 1}}); }), ErrorCode::kState);
  EXPECT_EQ(code([&] { store.AppendStep({}); }), ErrorCode::kState);
  EXPECT_EQ(code([&] { store.Extend({&step, 1}, {&column, 1}); }), ErrorCode::kState);
  EXPECT_EQ(code([&] { store.Reserve(1, 1); }), ErrorCode::kState);
  EXPECT_EQ(code([&] { store.Clear(); }), ErrorCode::kState);
  EXPECT_EQ(code([&] { store.Stage(); }), ErrorCode::kState);
  EXPECT_EQ(store.TryAppend(1, {{0, 1}}), ErrorCode::kState);
  StageRows(staged, 1, 2);
  staged.Commit();
  EXPECT_EQ(store.TryAppend(3, {{0, 3}}), ErrorCode::kOk);
  EXPECT_EQ(code([&] { staged.Commit(); }), ErrorCode::kState);
}

TEST(StagedRows, OfAClosedStoreAreLost) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf());
  StagedRows staged = store.Stage();
  StageRows(staged, 0, 2000);
  store.Sync();
  store.Close();
  EXPECT_EQ(ErrorOf([&] { StageRows(staged, 2000, 10); }).code(), ErrorCode::kClosed);
  EXPECT_EQ(ErrorOf([&] { staged.Commit(); }).code(), ErrorCode::kClosed);
  EXPECT_EQ(Reader::Open(scratch / "a").num_rows(), 0U);
}

TEST(StagedRows, OfAKilledProcessNeverWere) {
  const ScratchDirectory scratch;
  for (const bool commit : {false, true}) {
    const std::filesystem::path path = scratch / (commit ? "committed" : "staged");
    const pid_t child = fork();
    if (child == 0) {
      StreamStore store = StreamStore::Open(path, OptionsOf());
      store.Append(0, {{0, 0}, {1, std::string_view("a")}});
      StagedRows staged = store.Stage();
      StageRows(staged, 1, 4000);
      if (commit) {
        staged.Commit();
      }
      ::_exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    StreamStore store = StreamStore::Open(path);
    EXPECT_EQ(store.recovery().state, Recovery::State::kProcessCrash);
    EXPECT_EQ(store.recovery().rows_cut, 0U);
    ExpectRows(store.reader(), commit ? 4001 : 1);
    store.AppendStep({{0, commit ? 4001 : 1}, {1, std::string_view("b")}});
    ExpectRows(store.reader(), commit ? 4002 : 2);
  }
}

TEST(StagedRows, ReplaceATemporaryStoreAsAWhole) {
  StreamStore store = StreamStore::Temporary(OptionsOf({{.name = "old", .dtype = DType::kInt8}}));
  store.Append(0, {{0, 1}});
  const Reader before = store.reader();
  const auto id = store.id();
  {
    StagedRows staged = store.StageReplacement(kFields);
    StageRows(staged, 0, 10);
  }
  EXPECT_EQ(store.id(), id);
  EXPECT_EQ(store.schema()[0].name, "old");
  StagedRows staged = store.StageReplacement(kFields);
  StageRows(staged, 0, 10);
  EXPECT_EQ(store.reader().num_rows(), 1U);
  EXPECT_EQ(staged.Commit(), 0);
  EXPECT_NE(store.id(), id);
  ExpectRows(store.reader(), 10);
  EXPECT_EQ(before.num_rows(), 1U);
  EXPECT_EQ(before.row(0).begin()->values[0], 1);
  store.Append(10, {{0, 10}, {1, std::string_view("on")}});
  ExpectRows(store.reader(), 11);
}

TEST(StagedRows, RefuseAppendsToTheContentThatTheyReplace) {
  StreamStore store = StreamStore::Temporary(OptionsOf());
  store.Append(0, {{0, 0}, {1, std::string_view("old")}});
  {
    StagedRows staged = store.StageReplacement(kFields);
    StageRows(staged, 0, 10);
    EXPECT_EQ(ErrorOf([&] { store.Append(1, {{0, 1}}); }).code(), ErrorCode::kState);
    EXPECT_EQ(ErrorOf([&] { store.Append(0, std::initializer_list<FieldWrite>{}); }).code(),
              ErrorCode::kState);
    EXPECT_EQ(ErrorOf([&] { store.Clear(); }).code(), ErrorCode::kState);
    EXPECT_EQ(ErrorOf([&] { store.Stage(); }).code(), ErrorCode::kState);
    EXPECT_EQ(ErrorOf([&] { store.StageReplacement(kFields); }).code(), ErrorCode::kState);
  }
  store.Append(1, {{0, 1}, {1, std::string_view("new")}});
  EXPECT_EQ(store.reader().num_rows(), 2U);
}

TEST(StagedRows, DoNotReopenAStoreThatWasClosed) {
  StreamStore store = StreamStore::Temporary(OptionsOf());
  StagedRows staged = store.StageReplacement(kFields);
  StageRows(staged, 0, 10);
  store.Close();
  EXPECT_EQ(ErrorOf([&] { staged.Commit(); }).code(), ErrorCode::kClosed);
  EXPECT_TRUE(store.closed());
}

std::size_t Entries(const std::filesystem::path& path) {
  const std::filesystem::directory_iterator entries(path);
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST(StagedRows, LetAStoreAppearWithItsRows) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf({}));
  {
    StagedRows staged = store.StageReplacement(kFields);
    StageRows(staged, 0, 3000);
    EXPECT_FALSE(std::filesystem::exists(scratch / "a"));
  }
  EXPECT_FALSE(store.declared());
  EXPECT_EQ(Entries(scratch.path()), 0U);
  StagedRows staged = store.StageReplacement(kFields);
  StageRows(staged, 0, 3000);
  staged.Commit();
  EXPECT_EQ(Entries(scratch.path()), 1U);
  ExpectRows(Reader::Open(scratch / "a"), 3000);
  store.Append(3000, {{0, 3000}, {1, std::string_view("on")}});
  store.Sync();
  store.Close();
  ExpectRows(StreamStore::Open(scratch / "a").reader(), 3001);
}

TEST(StagedRows, MayBeNoneInAStoreThatAppears) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf({}));
  StagedRows staged = store.StageReplacement({{.name = "other", .dtype = DType::kInt8}});
  staged.Commit();
  EXPECT_EQ(Reader::Open(scratch / "a").schema()[0].name, "other");
  store.DefineFields(kFields);  // nothing was appended
  store.Append(0, {{0, 0}, {1, std::string_view("on")}});
  ExpectRows(Reader::Open(scratch / "a"), 1);
}

TEST(StagedRows, DoNotTakeThePlaceOfAnotherStore) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf({}));
  {
    StagedRows staged = store.StageReplacement(kFields);
    StageRows(staged, 0, 10);
    StreamStore other = StreamStore::Open(scratch / "a", OptionsOf());
    other.Append(0, {{0, 0}, {1, std::string_view("theirs")}});
    EXPECT_EQ(ErrorOf([&] { staged.Commit(); }).code(), ErrorCode::kAlreadyExists);
  }
  EXPECT_FALSE(store.declared());
  ExpectRows(Reader::Open(scratch / "a"), 1);
  EXPECT_EQ(Entries(scratch.path()), 1U);
  StreamStore persistent = StreamStore::Open(scratch / "a");
  EXPECT_EQ(ErrorOf([&] { persistent.StageReplacement(kFields); }).code(), ErrorCode::kReadOnly);
}

TEST(StagedRows, OfAKilledCreatorLeaveNothingAtThePath) {
  const ScratchDirectory scratch;
  const pid_t child = fork();
  if (child == 0) {
    StreamStore store = StreamStore::Open(scratch / "a", OptionsOf({}));
    StagedRows staged = store.StageReplacement(kFields);
    StageRows(staged, 0, 4000);
    ::_exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_FALSE(std::filesystem::exists(scratch / "a"));
  StreamStore store = StreamStore::Open(scratch / "a", OptionsOf());
  EXPECT_EQ(Entries(scratch.path()), 1U) << "what it left is swept up";
  EXPECT_EQ(store.reader().num_rows(), 0U);
}

}  // namespace
}  // namespace stream_store::internal
