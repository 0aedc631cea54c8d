// Tests of Truncate(): what is left, what readers see, and what each step leaves if it fails.

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

class TruncateTest : public StoreTest {
 protected:
  // Appends rows whose number is their step, in two calls each.
  static void AppendRows(StreamStore& store, Step begin, Step end) {
    for (Step step = begin; step < end; ++step) {
      store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step % 3), step)}});
      store.Append(step, {{2, true}});
    }
  }

  std::string Without(Step begin) const {
    StreamStore store = StreamStore::Temporary(options_);
    AppendRows(store, 0, begin);
    return Show(store.reader());
  }

  std::vector<Record> Records(std::uint64_t count) const {
    std::vector<Record> records(count);
    Directory::Open(path_)
        .OpenFile(FileOf("records").c_str(), false)
        .ReadAt(std::as_writable_bytes(std::span(records)), 0);
    return records;
  }
};

TEST_F(TruncateTest, LeavesTheFirstRowsAndTakesAnyLaterStep) {
  for (const bool temporary : {false, true}) {
    StreamStore store = temporary ? StreamStore::Temporary(options_) : Open();
    AppendRows(store, 0, 9);
    EXPECT_EQ(store.Truncate(5), 4U);
    Reader reader = store.reader();
    EXPECT_EQ(Show(reader), Without(5));
    EXPECT_EQ(reader.field_writes(), 15U);
    EXPECT_EQ(ErrorOf([&] { store.Append(3, {{0, 1}}); }).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(store.AppendStep({}), 5);
    EXPECT_EQ(store.Truncate(5), 1U);
    AppendRows(store, 5, 7);
    reader = store.reader();
    EXPECT_EQ(Show(reader), Without(7));
    EXPECT_EQ(reader.field_writes(), 21U);
    EXPECT_EQ(store.Truncate(0), 7U);
    EXPECT_EQ(store.reader().size(), 0U);
    AppendRows(store, 0, 2);
    EXPECT_EQ(Show(store.reader()), Without(2));
    store.Close();
  }
  EXPECT_EQ(Stored(), Without(2));
  EXPECT_EQ(Reader::Open(path_).recovery().state, Recovery::State::kClean);
}

// The last row kept may grow as before, and only with fields after those that it has.
TEST_F(TruncateTest, TheLastRowKeptCanBeContinued) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  store.Append(0, {{1, List{2}}});
  store.Append(1, {{2, true}});
  store.Append(2, {});
  EXPECT_EQ(store.Truncate(1), 2U);
  EXPECT_EQ(ErrorOf([&] { store.Append(0, {{1, List{3}}}); }).code(), ErrorCode::kInvalidArgument);
  store.Append(0, {{2, false}});
  EXPECT_EQ(Show(store.reader()), "0{0:1 1:2 2:0}");
  store.Append(7, {});
  store.Append(8, {{0, 1}});
  EXPECT_EQ(store.Truncate(2), 1U);
  store.Append(7, {{0, 3}});
  EXPECT_EQ(Show(store.reader()), "0{0:1 1:2 2:0} 7{0:3}");
}

TEST_F(TruncateTest, ARefusedCallChangesNothing) {
  StreamStore store = Open();
  AppendRows(store, 0, 3);
  Reader before = store.reader();
  const Error error = ErrorOf([&] { store.Truncate(4); });
  EXPECT_EQ(error.code(), ErrorCode::kOutOfRange);
  EXPECT_NE(std::string(error.what()).find("truncate to 4 rows: expected at most the 3 rows"),
            std::string::npos)
      << error.what();
  EXPECT_EQ(store.Truncate(3), 0U);
  {
    const StagedRows staged = store.Stage();
    EXPECT_EQ(ErrorOf([&] { store.Truncate(1); }).code(), ErrorCode::kState);
  }
  before.Refresh();
  EXPECT_EQ(Show(before), Without(3));
  store.Close();
  EXPECT_EQ(ErrorOf([&] { store.Truncate(1); }).code(), ErrorCode::kClosed);
}

TEST_F(TruncateTest, ReadersFromBeforeAreCutBackAndNewOnesAreNot) {
  StreamStore store = Open();
  AppendRows(store, 0, 5);
  Reader inside = store.reader();
  Reader attached = Reader::Open(path_);
  const Reader snapshot = inside.Snapshot(2);
  store.Truncate(4);
  AppendRows(store, 4, 9);
  for (Reader* reader : {&inside, &attached}) {
    const Error error = ErrorOf([&] { reader->Refresh(); });
    EXPECT_EQ(error.code(), ErrorCode::kCutBack);
    EXPECT_NE(std::string(error.what()).find("by truncate() or by recovery"), std::string::npos);
    EXPECT_EQ(ErrorOf([&] { reader->row(0); }).code(), ErrorCode::kCutBack);
  }
  EXPECT_EQ(ErrorOf([&] { snapshot.row(0); }).code(), ErrorCode::kCutBack);
  EXPECT_EQ(Show(store.reader()), Without(9));
  Reader fresh = Reader::Open(path_);
  AppendRows(store, 9, 10);
  fresh.Refresh();
  EXPECT_EQ(Show(fresh), Without(10));
}

// Appends of another shape make the removed records look damaged to a reader that still knows them.
TEST_F(TruncateTest, RowsThatWereOverwrittenAreNotReportedAsDamage) {
  StreamStore store = Open();
  AppendRows(store, 0, 100);
  const Reader inside = store.reader();
  const Reader attached = Reader::Open(path_);
  const Reader safe = Reader::Open(path_, {.safe_reads = true});
  store.Truncate(1);
  for (Step step = 1; step < 20; ++step) store.Append(step, {{0, step}});
  for (const Reader* reader : {&inside, &attached, &safe}) {
    EXPECT_EQ(ErrorOf([&] { reader->IndexTable(0, 100); }).code(), ErrorCode::kCutBack);
    EXPECT_EQ(ErrorOf([&] { reader->row(10); }).code(), ErrorCode::kCutBack);
  }
}

// A load beyond the end of a file raises SIGBUS. A reader notices a truncation only after its loads,
// so no file may become shorter than the records that the reader knows: not by close(), and not when
// the store is opened again.
TEST_F(TruncateTest, ReadersFromBeforeMayLoadRemovedRows) {
  {
    StreamStore store = Open();
    AppendRows(store, 0, 50'000);
  }
  Reader reader = Reader::Open(path_);
  StreamStore store = Open();
  store.Truncate(1);
  store.Close();
  const auto load_the_last_row = [&] { reader.row(49'999); };
  EXPECT_EQ(ErrorOf(load_the_last_row).code(), ErrorCode::kCutBack);
  WriteAndDie([&](StreamStore& next) { AppendRows(next, 1, 3); });
  EXPECT_EQ(ErrorOf(load_the_last_row).code(), ErrorCode::kCutBack);
  Open().Close();
  EXPECT_EQ(ErrorOf(load_the_last_row).code(), ErrorCode::kCutBack);
  EXPECT_EQ(Stored(), Without(3));
}

TEST_F(TruncateTest, RowsStayRemovedWhenTheWriterDies) {
  for (const bool synced : {false, true}) {
    WriteAndDie([&](StreamStore& store) {
      store.reader().num_rows() == 0 ? AppendRows(store, 0, 9) : AppendRows(store, 6, 9);
      if (synced) store.Sync();
      store.Truncate(5);
    });
    EXPECT_EQ(Stored(), Without(5));
    EXPECT_EQ(Reader::Open(path_).durable_rows(), 5U);
    // Truncation comes before the first append of a session, and recovery finds later appends.
    WriteAndDie([](StreamStore& store) {
      store.Truncate(4);
      AppendRows(store, 4, 6);
    });
    EXPECT_EQ(Stored(), Without(6));
    EXPECT_EQ(Reader::Open(path_).recovery().state, Recovery::State::kProcessCrash);
  }
}

// Both slots count the rows that are left before any of their records is overwritten.
TEST_F(TruncateTest, BothSlotsAndTheLiveWordsCountTheRowsLeft) {
  StreamStore store = Open();
  AppendRows(store, 0, 9);
  store.Sync();
  const std::uint64_t session = Live().session;
  store.Truncate(5);
  for (const std::optional<Slot>& slot : Slots()) {
    ASSERT_TRUE(slot);
    EXPECT_EQ(slot->records, 10U);
    EXPECT_EQ(slot->rows, 5U);
    EXPECT_EQ(slot->field_writes, 15U);
    EXPECT_EQ(slot->session, session + 1);
    EXPECT_FALSE(slot->clean);
  }
  EXPECT_EQ(Live().published, 10U);
  EXPECT_EQ(Live().durable, 10U);
  EXPECT_EQ(Live().session, session + 1);
  EXPECT_EQ(Live().truncations, 2U);
  EXPECT_EQ(store.durable_rows(), 5U);
}

TEST_F(TruncateTest, LayoutsOfTheOldSessionAreNotUsedAgain) {
  StreamStore store = Open();
  AppendRows(store, 0, 9);
  store.Sync();
  store.Truncate(5);
  const std::uint64_t words = Slots()[0]->layout_words;
  AppendRows(store, 5, 6);
  store.Close();
  const std::vector<Record> records = Records(12);
  EXPECT_GE(records[10].layout, words);
  EXPECT_GE(records[11].layout, words);
}

// Records of all sessions stay in the file after the end, so the new session must differ from each.
TEST_F(TruncateTest, TheNewSessionHasTheNumberOfNoRemovedRecord) {
  WriteAndDie([](StreamStore& store) { AppendRows(store, 0, 4); });  // session 1
  LiveWords live = Live();
  live.session = 65'534;
  SetLive(live);
  StreamStore store = Open();
  EXPECT_EQ(Live().session, 65'535U);
  store.Truncate(2);
  EXPECT_EQ(Live().session, 65'538U) << "65536 and 65537 have the low bits of no session and of 1";
  const std::vector<Record> records = Records(7);
  for (std::size_t i = 4; i < records.size(); ++i) {
    EXPECT_EQ(records[i].row_session, 0U) << "old records are zeroed";
  }
}

// A failure at any call leaves all rows or exactly those wanted, for readers and for the next open.
// Being out of space is final, too; only for a write is it another error code.
TEST_F(TruncateTest, AFailureAtAnyCallLeavesAllRowsOrTheRowsWanted) {
  int failures = 0;
  const auto fail = [&](const char* call, int error, int n) {
    const std::string what = StrCat(call, " ", n, " with errno ", error);
    std::filesystem::remove_all(path_);
    std::optional<StreamStore> store(Open());
    AppendRows(*store, 0, 9);
    const Faults faults;
    Faults::Fail(call, error, n);
    try {
      store->Truncate(5);
    } catch (const Error& thrown) {
      const bool no_space = error == ENOSPC && std::string_view(call) == "pwrite";
      EXPECT_EQ(thrown.code(), no_space ? ErrorCode::kNoSpace : ErrorCode::kIo) << what;
    }
    if (Faults::failed() == 0) return false;
    ++failures;
    Faults::Stop();
    const std::string shown = Show(store->reader());
    EXPECT_TRUE(shown == Without(5) || shown == Without(9)) << what << ": " << shown;
    EXPECT_EQ(ErrorOf([&] { store->Append(99, {{0, 1}}); }).code(), ErrorCode::kIo) << what;
    store->Close();
    store.emplace(Open());
    const std::string found = Show(store->reader());
    EXPECT_TRUE(found == Without(5) || found == shown) << what << ": " << found;
    const auto rows = static_cast<Step>(store->reader().num_rows());
    AppendRows(*store, rows, 12);
    store->Close();
    EXPECT_EQ(Stored(), Without(12)) << what;
    return true;
  };
  for (const char* call : {"msync", "fdatasync", "pwrite"}) {
    for (const int error : {EIO, ENOSPC}) {
      for (int n = 1; fail(call, error, n); ++n) {
      }
    }
  }
  EXPECT_GE(failures, 20);
}

}  // namespace
}  // namespace stream_store::internal
