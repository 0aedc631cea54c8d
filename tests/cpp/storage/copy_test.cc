// Tests of checkpoint and repair: the content of the copies, the stores that they refuse, and that
// a failed copy leaves nothing.

#include <algorithm>
#include <atomic>
#include <thread>

#include "stream_store/verify.h"

#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class CopyTest : public StoreTest {
 protected:
  static void Fill(StreamStore& store, Step first, Step last) {
    for (Step step = first; step < last; ++step) {
      store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step % 50), step)}});
      if (step % 3 == 0) store.Append(step, {{2, true}});
    }
  }

  std::uint64_t StartOf(std::uint64_t record) const {
    std::uint64_t start = 0;
    Directory::Open(path_)
        .OpenFile(FileOf("records").c_str(), false)
        .ReadAt(std::as_writable_bytes(std::span(&start, 1)), record * sizeof(Record));
    return start;
  }

  // No findings, and closed cleanly.
  static void ExpectWhole(const fs::path& path) {
    const VerifyReport report = Verify(path);
    std::string text;
    for (const Finding& finding : report.findings) text += FindingText(finding) + "\n";
    EXPECT_EQ(text, "");
    EXPECT_EQ(Reader::Open(path).recovery().state, Recovery::State::kClean);
  }

  // No sibling remains next to the stores.
  void ExpectNoLeftovers() const {
    for (const auto& entry : fs::directory_iterator(Scratch("")))
      EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
};

TEST_F(CopyTest, ACheckpointHasTheContentOfTheStore) {
  StreamStore store = Open();
  Fill(store, 0, 1000);
  const Reader before = store.reader();
  EXPECT_EQ(before.Checkpoint(Scratch("copy")), 1000U);
  Fill(store, 1000, 1100);
  ExpectWhole(Scratch("copy"));
  const Reader copy = Reader::Open(Scratch("copy"));
  EXPECT_EQ(Show(copy), Show(before));
  EXPECT_NE(copy.id(), before.id());
  EXPECT_EQ(copy.field_writes(), before.field_writes());
  EXPECT_EQ(copy.schema(), before.schema());
}

TEST_F(CopyTest, ACheckpointIsAStoreLikeAnyOther) {
  StreamStore store = Open();
  Fill(store, 0, 500);
  store.reader().Checkpoint(Scratch("copy"));
  {
    StreamStore copy = StreamStore::Open(Scratch("copy"), options_);
    EXPECT_EQ(copy.recovery().state, Recovery::State::kClean);
    EXPECT_EQ(copy.durable_rows(), 500U);
    Fill(copy, 500, 700);
    copy.reader().Checkpoint(Scratch("copy of copy"));
  }
  Fill(store, 500, 700);
  EXPECT_EQ(Show(Reader::Open(Scratch("copy of copy"))), Show(store.reader()));
  ExpectWhole(Scratch("copy"));
  ExpectWhole(Scratch("copy of copy"));
}

TEST_F(CopyTest, EmptyStoresSnapshotsAndTemporaryOnesCopyToo) {
  Open().reader().Checkpoint(Scratch("empty"));
  ExpectWhole(Scratch("empty"));
  EXPECT_EQ(Reader::Open(Scratch("empty")).num_rows(), 0U);
  StreamStore store = StreamStore::Temporary(options_);
  Fill(store, 0, 300);
  fs::create_directory(Scratch("part"));  // an empty directory is accepted
  EXPECT_EQ(store.reader().Snapshot(100).Checkpoint(Scratch("part")), 100U);
  ExpectWhole(Scratch("part"));
  EXPECT_EQ(Show(Reader::Open(Scratch("part"))), Show(store.reader().Snapshot(100)));
}

TEST_F(CopyTest, AppendsContinueDuringACheckpoint) {
  options_.capacity_values = 1000;
  options_.grow_ahead = true;
  StreamStore store = Open();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (Step step = 0; !stop && step < 2'000'000; ++step)
      store.Append(step, {{0, step}, {1, List(20, step)}});
  });
  for (int i = 0; i < 10; ++i) {
    const fs::path copy = Scratch(StrCat("copy", i));
    const std::uint64_t rows = Reader::Open(path_).Checkpoint(copy);
    EXPECT_EQ(Reader::Open(copy).num_rows(), rows);
    ExpectWhole(copy);
    fs::remove_all(copy);
  }
  stop = true;
  writer.join();
}

TEST_F(CopyTest, ExistingContentIsNeverReplaced) {
  StreamStore store = Open();
  Fill(store, 0, 10);
  const std::string before = Stored();
  EXPECT_EQ(ErrorOf([&] { store.reader().Checkpoint(path_); }).code(), ErrorCode::kAlreadyExists);
  fs::create_directories(Scratch("full") / "x");
  const Error error = ErrorOf([&] { store.reader().Checkpoint(Scratch("full")); });
  EXPECT_EQ(error.code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ErrorOf([&] { Repair(path_, Scratch("full")); }).code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(Stored(), before);
  ExpectNoLeftovers();
}

// A store whose sync failed takes no more appends, but its content can be saved by copying it.
TEST_F(CopyTest, AStoreWhoseSyncFailedCanBeCopied) {
  StreamStore store = Open();
  Fill(store, 0, 100);
  {
    const Faults faults;
    Faults::Fail("fdatasync", EIO);
    EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  }
  EXPECT_EQ(store.reader().Checkpoint(Scratch("copy")), 100U);
  ExpectWhole(Scratch("copy"));
}

TEST_F(CopyTest, DamageIsNotCopied) {
  {
    StreamStore store = Open();
    Fill(store, 0, 100);
  }
  Flip("values", StartOf(50) * 8);
  const Error error = ErrorOf([&] { Reader::Open(path_).Checkpoint(Scratch("copy")); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "record 50 of");
  EXPECT_FALSE(fs::exists(Scratch("copy")));
  ExpectNoLeftovers();
}

TEST_F(CopyTest, ACopyThatFailsLeavesNothing) {
  StreamStore store = Open();
  Fill(store, 0, 2000);
  for (const char* call : {"pwrite", "fsync", "mkdir", "rename", "open"}) {
    for (int n = 1; n <= 3; ++n) {
      SCOPED_TRACE(StrCat(call, " ", n));
      const Faults faults;
      Faults::Fail(call, ENOSPC, n, 100);
      try {
        store.reader().Checkpoint(Scratch("copy"));
        EXPECT_EQ(Faults::failed(), 0) << "a failure was swallowed";
        fs::remove_all(Scratch("copy"));
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::kNoSpace || error.code() == ErrorCode::kIo)
            << error.what();
      }
      Faults::Stop();
      EXPECT_FALSE(fs::exists(Scratch("copy")));
      store.reader().Checkpoint(Scratch("later"));
      ExpectWhole(Scratch("later"));
      fs::remove_all(Scratch("later"));
    }
  }
  const auto stop = [](std::uint64_t done, std::uint64_t) {
    if (done > 100'000) throw Error(ErrorCode::kState, "enough");
  };
  EXPECT_EQ(ErrorOf([&] { store.reader().Checkpoint(Scratch("copy"), stop); }).code(),
            ErrorCode::kState);
  ExpectNoLeftovers();
}

// --- repair ---

TEST_F(CopyTest, TruncatingRepairKeepsThePrefixBeforeTheDamage) {
  {
    StreamStore store = Open();
    Fill(store, 0, 1000);
  }
  const Reader whole = Reader::Open(path_);
  Flip("values", StartOf(700) * 8);
  const RepairReport report = Repair(path_, Scratch("new"), {.truncate_at_damage = true});
  EXPECT_EQ(report.records, 700U);
  EXPECT_EQ(report.rows_lost, 1000 - report.rows);
  EXPECT_GE(report.findings.size(), 1U);
  ExpectWhole(Scratch("new"));
  const std::string shown = Show(Reader::Open(Scratch("new")));
  EXPECT_TRUE(Show(whole).starts_with(shown.substr(0, shown.size() - 1)));
  EXPECT_EQ(Verify(path_).damages, 1U) << "the damaged store is as it was";
}

TEST_F(CopyTest, RepairOfAnIntactStoreCopiesEverything) {
  WriteAndDie([](StreamStore& store) {
    Fill(store, 0, 100);
    store.Sync();
    Fill(store, 100, 200);
  });
  const RepairReport report = Repair(path_, Scratch("new"));
  EXPECT_EQ(report.rows, 200U);
  EXPECT_EQ(report.rows_lost, 0U);
  EXPECT_EQ(report.findings.size(), 0U);
  EXPECT_EQ(Show(Reader::Open(Scratch("new"))), Stored());
}

TEST_F(CopyTest, RepairNeedsNeitherSlotsNorHintsNorTheLock) {
  {
    StreamStore store = Open();
    Fill(store, 0, 300);
  }
  const std::string before = Stored();
  Flip("control", kSlotOffset[0] + 9);
  Flip("control", kSlotOffset[1] + 9);
  fs::remove(path_ / FileOf("position_hints"));
  fs::remove(path_ / FileOf("row_hints"));
  fs::remove(path_ / "lock");
  EXPECT_EQ(ErrorOf([&] { Stored(); }).code(), ErrorCode::kCorrupt);
  const RepairReport report = Repair(path_, Scratch("new"));
  EXPECT_EQ(report.rows, 300U);
  ExpectWhole(Scratch("new"));
  EXPECT_EQ(Show(Reader::Open(Scratch("new"))), before);
}

// Records of an abandoned session may lie after the end of the store. Without valid slots, only the
// session number of a record distinguishes them.
TEST_F(CopyTest, RepairWithoutSlotsIgnoresAnAbandonedSession) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 0; step < 10; ++step) store.Append(step, {{0, step}});
  });
  LiveWords live = Live();
  live.published = 4;  // a power failure lost the later value of `published` …
  SetLive(live);
  WriteAndDie([](StreamStore& store) { store.Append(4, {{0, 100}}); });
  EXPECT_EQ(Stored(), "0{0:0} 1{0:1} 2{0:2} 3{0:3} 4{0:100}");
  Flip("control", kSlotOffset[0] + 9);
  Flip("control", kSlotOffset[1] + 9);
  live = Live();
  live.published = 10;  // … and here an old page of it reappears
  SetLive(live);
  EXPECT_EQ(Repair(path_, Scratch("new")).records, 5U);
  EXPECT_EQ(Show(Reader::Open(Scratch("new"))), "0{0:0} 1{0:1} 2{0:2} 3{0:3} 4{0:100}");
}

TEST_F(CopyTest, RepairRefusesAStoreItCannotVerify) {
  Open().Append(0, {{0, 1}});
  for (const char* name : {"schema", "control", "values", "records", "layouts"}) {
    SCOPED_TRACE(name);
    fs::rename(path_ / FileOf(name), path_ / "aside");
    const Error error = ErrorOf([&] { Repair(path_, Scratch("new")); });
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_CONTAINS(error.what(), name);
    fs::rename(path_ / "aside", path_ / FileOf(name));
  }
  EXPECT_EQ(ErrorOf([&] { Repair(Scratch("none"), Scratch("new")); }).code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(Scratch("new")));
}

}  // namespace
}  // namespace stream_store::internal
