// Tests of sync, close and the open record: which bytes are written, in which order, and the effect
// of a failure.

#include <algorithm>
#include <array>
#include <optional>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

using Log = std::vector<std::string>;

class DurabilityTest : public StoreTest {
 protected:
  // The calls that matter, since the last call of this function.
  static Log Calls() {
    Log calls = std::move(Faults::log());
    Faults::log().clear();
    std::erase_if(calls, [](const std::string& call) {
      return !call.starts_with("fdatasync") && !call.starts_with("msync") &&
             !call.starts_with("pwrite") && !call.starts_with("ftruncate");
    });
    return calls;
  }

  /// The n-th sync from now fails: of the five kinds of data, then of the slots.
  static void FailSync(int n) {
    Faults::Fail(n <= 5 ? "msync" : "fdatasync", EIO, n <= 5 ? n : n - 5);
  }

  static const Log& DataThenSlot() {
    static const Log log = {"msync values.000000000000",
                            "msync layouts.000000000000",
                            "msync position_hints.000000000000",
                            "msync row_hints.000000000000",
                            "msync records.000000000000",
                            "pwrite control",
                            "fdatasync control"};
    return log;
  }

  // A writer dies that has synced after every fifth step.
  void SyncAndDie(Step steps) const {
    WriteAndDie([steps](StreamStore& store) {
      for (Step step = 0; step < steps; ++step) {
        store.Append(step, {{0, 1}});
        if (step % 5 == 4) store.Sync();
      }
    });
  }

  // As if the writer had died in a sync, with `confirmed` records synced before.
  void SetSyncing(std::uint64_t confirmed) const {
    LiveWords live = Live();
    live.state = kLiveSyncing;
    live.durable = confirmed;
    SetLive(live);
  }

  Faults faults_;
};

TEST_F(DurabilityTest, DataIsOnDiskBeforeTheSlotThatSaysSo) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  Calls();
  EXPECT_EQ(store.Sync(), 1U);
  EXPECT_EQ(Calls(), DataThenSlot());
}

TEST_F(DurabilityTest, SlotsAlternateAndCount) {
  StreamStore store = Open();
  for (Step step = 0; step < 4; ++step) {
    store.Append(step, {{0, 1}, {1, List{1, 2}}});
    store.Sync();
    const auto slots = Slots();
    const auto newest = ChooseSlot(slots[0], slots[1]);
    EXPECT_EQ(newest->sequence % 2,
              static_cast<std::uint64_t>(slots[1]->sequence > slots[0]->sequence));
    EXPECT_EQ(newest->records, static_cast<std::uint64_t>(step) + 1);
    EXPECT_EQ(newest->values, 3 * newest->records);
    EXPECT_EQ(newest->rows, newest->records);
    EXPECT_EQ(newest->field_writes, 2 * newest->records);
    EXPECT_FALSE(newest->clean);
    EXPECT_EQ(Live().durable, newest->records);
  }
}

TEST_F(DurabilityTest, NothingNewIsNotSyncedAgain) {
  StreamStore store = Open();
  EXPECT_EQ(store.Sync(), 0U);
  store.Append(0, {{0, 1}});
  store.Sync();
  Calls();
  EXPECT_EQ(store.Sync(), 1U);
  EXPECT_EQ(Calls(), Log{});
}

TEST_F(DurabilityTest, TheFirstAppendOfASessionWritesTheOpenRecordTwice) {
  StreamStore store = Open();
  EXPECT_EQ(Slots()[0]->session, 0U);
  Calls();
  store.Append(0, {{0, 1}});
  // There are no values and hints yet.
  const Log expected = {"msync layouts.000000000000",
                        "msync records.000000000000",
                        "pwrite control",
                        "fdatasync control",
                        "pwrite control",
                        "fdatasync control"};
  EXPECT_EQ(Calls(), expected);
  EXPECT_EQ(Slots()[0]->session, 1U);
  EXPECT_EQ(Slots()[1]->session, 1U);
  EXPECT_EQ(Slots()[0]->records, 0U);
  store.Append(1, {{0, 1}});
  EXPECT_EQ(Calls(), Log{});
}

TEST_F(DurabilityTest, CloseLeavesACleanSlotAndTrimsWhatIsNotUsed) {
  StreamStore store = Open();
  for (Step step = 0; step < 300; ++step) store.Append(step, {{0, 1}});
  EXPECT_GE(SizeOf("values"), 65'536U);
  store.Close();
  const auto newest = ChooseSlot(Slots()[0], Slots()[1]);
  EXPECT_TRUE(newest->clean);
  EXPECT_EQ(SizeOf("values"), 300U * 8);
  EXPECT_EQ(SizeOf("records"), 301U * 32);
  EXPECT_EQ(SizeOf("layouts"), 3U * 8);
  EXPECT_EQ(SizeOf("position_hints"), 2U * 8);
  EXPECT_EQ(SizeOf("row_hints"), 2U * 8);
  EXPECT_EQ(Live().state, kLiveClosed);
  EXPECT_EQ(Open().recovery().state, Recovery::State::kClean);
}

TEST_F(DurabilityTest, ACleanSlotIsThereBeforeAnythingIsTrimmed) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  Calls();
  store.Close();
  const Log calls = Calls();
  const auto slot = std::ranges::find(calls, "fdatasync control");
  const auto trim = std::ranges::find(calls, "ftruncate values.000000000000");
  EXPECT_LT(slot - calls.begin(), trim - calls.begin());
}

TEST_F(DurabilityTest, AFailedSyncIsFinal) {
  for (int n = 1; n <= 6; ++n) {
    SCOPED_TRACE(n);
    std::filesystem::remove_all(path_);
    StreamStore store = Open();
    store.Append(0, {{0, 1}});
    FailSync(n);
    const Error error = ErrorOf([&] { store.Sync(); });
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_EQ(error.system_errno(), EIO);
    EXPECT_EQ(Faults::failed(), 1);
    EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
    EXPECT_EQ(ErrorOf([&] { store.Append(1, {{0, 1}}); }).code(), ErrorCode::kIo);
    EXPECT_EQ(ErrorOf([&] { store.Reserve(1, 1); }).code(), ErrorCode::kIo);
    EXPECT_EQ(Show(store.reader()), "0{0:1}");
    EXPECT_EQ(Live().state, kLiveSyncing);
    Calls();
    store.Close();
    EXPECT_EQ(Calls(), Log{}) << "a failed writer only unmaps";
    EXPECT_EQ(Live().state, kLiveSyncing);
    EXPECT_EQ(Show(Open().reader()), "0{0:1}");
  }
}

TEST_F(DurabilityTest, OutOfSpaceInASyncIsFinalToo) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  Faults::Fail("msync", ENOSPC);
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
}

TEST_F(DurabilityTest, AFailedOpenRecordLeavesTheStoreReadOnly) {
  Open().Append(0, {{0, 1}});
  for (int n = 1; n <= 7; ++n) {
    SCOPED_TRACE(n);
    StreamStore store = Open();
    FailSync(n);
    EXPECT_EQ(ErrorOf([&] { store.Append(1, {{0, 1}}); }).code(), ErrorCode::kIo);
    EXPECT_EQ(ErrorOf([&] { store.Append(1, {{0, 1}}); }).code(), ErrorCode::kIo);
    EXPECT_EQ(Show(store.reader()), "0{0:1}");
  }
}

// The newest slot may be in memory only: on disk the place may hold a torn one. If the other place
// were overwritten first, a power cut could leave no valid slot at all.
TEST_F(DurabilityTest, AfterASyncThatDidNotEndTheNewestSlotIsMadeWholeFirst) {
  {
    StreamStore store = Open();
    store.Append(0, {{0, 1}});
    FailSync(6);  // of the control file
    EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  }
  StreamStore store = Open();
  EXPECT_EQ(store.durable_rows(), 0U);
  Calls();
  EXPECT_EQ(store.Sync(), 1U);  // although the slot that was found counts it already
  Log expected = DataThenSlot();
  for (int i = 0; i < 2; ++i)
    expected.insert(expected.end(), {"pwrite control", "fdatasync control"});
  EXPECT_EQ(Calls(), expected);
}

// A sync before the first append returned the rows of the old slot and left the rest unsynced.
TEST_F(DurabilityTest, SyncCoversWhatRecoveryFound) {
  WriteAndDie([](StreamStore& store) { store.Append(0, {{0, 1}}); });
  StreamStore store = Open();
  EXPECT_EQ(store.recovery().state, Recovery::State::kProcessCrash);
  EXPECT_EQ(store.durable_rows(), 0U);
  EXPECT_EQ(store.Sync(), 1U);
  EXPECT_EQ(ChooseSlot(Slots()[0], Slots()[1])->records, 1U);
}

// The live word `durable` names the slot that the dead writer knew to be on disk. The newer slot may
// have been in memory only.
TEST_F(DurabilityTest, AReaderUsesTheSlotThatADeadWriterConfirmed) {
  SyncAndDie(10);
  EXPECT_EQ(Reader::Open(path_).durable_rows(), 10U);
  for (const std::uint64_t confirmed : {5U, 10U}) {
    SetSyncing(confirmed);
    EXPECT_EQ(Reader::Open(path_).durable_rows(), confirmed);
  }
}

// The writer that opens the store next leaves it so until it has synced: what was durable stays so.
TEST_F(DurabilityTest, ReadersSeeNoFewerDurableRowsAfterASyncThatDidNotEnd) {
  for (const std::uint64_t confirmed : {5U, 10U}) {
    SCOPED_TRACE(confirmed);
    std::filesystem::remove_all(path_);
    SyncAndDie(12);
    SetSyncing(confirmed);
    const Reader reader = Reader::Open(path_);
    EXPECT_EQ(reader.durable_rows(), confirmed);
    StreamStore store = Open();
    EXPECT_EQ(reader.durable_rows(), confirmed);
    store.Append(12, {{0, 1}});
    EXPECT_EQ(reader.durable_rows(), 12U);
    EXPECT_EQ(store.Sync(), 13U);
    EXPECT_EQ(reader.durable_rows(), 13U);
  }
}

// The power failed while the other slot was written, which was after the newest had been synced.
TEST_F(DurabilityTest, ATornSlotBesideTheNewestOneMeansThatItIsOnDisk) {
  SyncAndDie(10);
  SetSyncing(5);
  const std::array<std::optional<Slot>, 2> slots = Slots();
  const int older = slots[0]->sequence < slots[1]->sequence ? 0 : 1;
  Flip("control", kSlotOffset[older] + 16);
  EXPECT_EQ(Reader::Open(path_).durable_rows(), 10U);
}

TEST_F(DurabilityTest, AFailedCloseLeavesWhatTheLastSyncLeft) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  FailSync(1);
  EXPECT_EQ(ErrorOf([&] { store.Close(); }).code(), ErrorCode::kIo);
  EXPECT_TRUE(store.closed());
  EXPECT_EQ(Show(Open().reader()), "0{0:1}");  // the lock is free, the pages were not dropped
}

TEST_F(DurabilityTest, TemporaryStoresDoNotSync) {
  StreamStore store = StreamStore::Temporary(options_);
  store.Append(0, {{0, 1}});
  EXPECT_EQ(store.Sync(), 1U);
  store.Close();
  const Log calls = Calls();
  EXPECT_EQ(
      std::ranges::count_if(calls, [](const auto& call) { return call.find("sync") != call.npos; }),
      0);
}

// Records store 16 bits of the session number. When those wrap, a record that an old session left
// beyond the end must not look like one of the new session, not even at the sentinel's place.
TEST_F(DurabilityTest, OldRecordsAreZeroedWhenSessionNumbersComeAround) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 0; step < 9; ++step) store.Append(step, {{0, 5}});
  });
  LiveWords live = Live();
  live.published = 4;  // as a power cut may leave it
  live.session = 65'535;
  SetLive(live);
  StreamStore store = Open();
  EXPECT_EQ(Live().session, 65'537U) << "0 in the low bits is nobody";
  // Recovery finds 4; after them lie 5 more of session 1.
  EXPECT_EQ(store.reader().records(), 4U);
  store.Append(4, {{0, 6}});
  std::vector<std::byte> bytes(32 * 9);
  const File records = Directory::Open(path_).OpenFile(FileOf("records").c_str(), false);
  records.ReadAt(bytes, 0);
  const auto used = bytes.begin() + 32 * 5 + 8;  // after the new sentinel's start
  EXPECT_TRUE(std::all_of(used, bytes.end(), [](std::byte byte) { return byte == std::byte{0}; }));
}

// Found by the crash model: the record at the sentinel's place survives a trim.
TEST_F(DurabilityTest, TheSentinelIsClearedTooWhenSessionNumbersComeAround) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 0; step < 9; ++step) store.Append(step, {{0, 5}});
  });
  LiveWords live = Live();
  live.published = 4;
  SetLive(live);
  Open().Close();  // trims to four records and a sentinel with the words of record 4
  const auto words_of_sentinel = [this] {
    std::array<std::byte, 24> words{};
    Directory::Open(path_).OpenFile(FileOf("records").c_str(), false).ReadAt(words, 32 * 4 + 8);
    return words;
  };
  const std::array<std::byte, 24> zeros{};
  EXPECT_NE(words_of_sentinel(), zeros);
  live = Live();
  live.session = 65'536;  // the next ends in 1, as that of the nine records
  SetLive(live);
  StreamStore store = Open();
  EXPECT_EQ(Live().session, 65'537U);
  EXPECT_EQ(ErrorOf([&] { store.Append(4, {{0, 1.5}}); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(words_of_sentinel(), zeros) << "the open record was written, and nothing else";
}

}  // namespace
}  // namespace stream_store::internal
