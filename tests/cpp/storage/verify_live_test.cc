// Tests of Verify() and Repair() while a writer changes the store: it drops rows, syncs, grows its
// files, and truncates. None of this is damage, and damage is found nevertheless.

#include <functional>
#include <thread>

#include "storage/chunks_fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

// Runs a function before the n-th read of a file, as a writer in another process would.
class BeforeRead {
 public:
  BeforeRead(int reads, std::function<void()> work) {
    before_ = reads;
    work_ = std::move(work);
    sys().pread = Read;
  }

  BeforeRead(const BeforeRead&) = delete;
  BeforeRead& operator=(const BeforeRead&) = delete;

  ~BeforeRead() { sys() = RealSyscalls(); }

  // Whether the function was run: there were enough reads.
  static bool done() { return before_ < 0; }

 private:
  static ssize_t Read(int fd, void* buffer, std::size_t count, off_t offset) {
    if (before_ >= 0 && before_-- == 0) work_();
    return RealSyscalls().pread(fd, buffer, count, offset);
  }

  static inline int before_ = -1;
  static inline std::function<void()> work_;
};

class VerifyLiveTest : public ChunksTest {
 protected:
  static std::string Texts(const std::vector<Finding>& findings) {
    std::string text;
    for (const Finding& finding : findings) text += FindingText(finding) + "\n";
    return text;
  }

  static std::string Texts(const VerifyReport& report) { return Texts(report.findings); }

  // A store of 900 rows in many chunks, of which some are synced.
  StreamStore Filled() const {
    fs::remove_all(path_);
    StreamStore store = Open();
    Fill(store, 800);
    store.Sync();
    Fill(store, 900);
    return store;
  }

  // Verifies the store while `change` happens before the n-th read, for every n. `verify` is called
  // with a reader that was opened before.
  template <class Change, class Work>
  void ExpectNoFindings(const Change& change, const Work& verify, bool safe = false) {
    int reads = 0;
    for (bool all = false; !all; ++reads) {
      SCOPED_TRACE(reads);
      StreamStore store = Filled();
      const Reader reader = Reader::Open(path_, {.safe_reads = safe});
      const BeforeRead race(reads, [&] { change(store); });
      const VerifyReport report = verify(reader);
      ASSERT_EQ(Texts(report), "");
      ASSERT_EQ(report.good_records, report.records);
      all = !BeforeRead::done();
    }
    EXPECT_GT(reads, 5);
  }

  static VerifyReport Whole(const Reader& reader) { return Verify(reader); }
};

// A reader that follows a drop learns where the rows begin from the live words, which do not count
// field-writes.
TEST_F(VerifyLiveTest, AReaderThatFollowedADropHasNoFindings) {
  StreamStore store = Filled();
  for (const bool safe : {false, true}) {
    Reader reader = Reader::Open(path_, {.safe_reads = safe});
    store.DropBefore(static_cast<Row>(store.reader().first_row()) + 150);
    reader.Refresh();
    store.Sync();
    EXPECT_EQ(Texts(Verify(reader)), "");
    Fill(store, 1200);
    store.Sync();
    EXPECT_EQ(Texts(Verify(reader)), "") << "the slot is newer than the reader";
    reader.Refresh();
    EXPECT_EQ(Texts(Verify(reader)), "");
  }
}

TEST_F(VerifyLiveTest, DropsBesideTheWalkAreNoFindings) {
  const auto drop = [](StreamStore& store) { store.DropBefore(700); };
  ExpectNoFindings(drop, [this](const Reader&) { return Verify(path_); });
  ExpectNoFindings(drop, Whole);
  ExpectNoFindings(drop, Whole, /*safe=*/true);
}

TEST_F(VerifyLiveTest, DropsOfAllThatWasPublishedAreNoFindings) {
  const auto drop = [](StreamStore& store) {
    Fill(store, 1800);
    store.DropBefore(1700);
  };
  ExpectNoFindings(drop, [this](const Reader&) { return Verify(path_); });
  ExpectNoFindings(drop, Whole);
  ExpectNoFindings(drop, Whole, /*safe=*/true);
}

TEST_F(VerifyLiveTest, GrowthAndSyncsBesideTheWalkAreNoFindings) {
  const auto grow = [](StreamStore& store) {
    Fill(store, 1800);
    store.Sync();
  };
  ExpectNoFindings(grow, [this](const Reader&) { return Verify(path_); });
  ExpectNoFindings(grow, Whole);
  ExpectNoFindings(grow, Whole, /*safe=*/true);
}

TEST_F(VerifyLiveTest, ATruncationBesideTheWalkIsNoFinding) {
  const auto truncate = [](StreamStore& store) {
    store.Truncate(300);
    ExtendRegular(store, 700);
  };
  ExpectNoFindings(truncate, [this](const Reader&) { return Verify(path_); });
}

TEST_F(VerifyLiveTest, RepairCopiesWhatADropLeft) {
  for (const Row begin : {1, 100, 700, 899}) {
    StreamStore store = Filled();
    store.DropBefore(begin);
    fs::remove_all(Scratch("new"));
    const RepairReport report = Repair(path_, Scratch("new"));
    EXPECT_EQ(report.rows, 900U - static_cast<std::uint64_t>(begin));
    EXPECT_EQ(report.rows_lost, 0U);
    EXPECT_EQ(Texts(Verify(Scratch("new"))), "");
  }
}

TEST_F(VerifyLiveTest, RepairIsNotMisledByADropBesideIt) {
  int reads = 0;
  for (bool all = false; !all; ++reads) {
    SCOPED_TRACE(reads);
    StreamStore store = Filled();
    fs::remove_all(Scratch("new"));
    const BeforeRead race(reads, [&] { store.DropBefore(700); });
    const RepairReport report = Repair(path_, Scratch("new"));
    ASSERT_EQ(Texts(report.findings), "");
    ASSERT_EQ(report.gap_count, 0U);
    all = !BeforeRead::done();
  }
}

// Damage in the rows that are left is found, although rows were dropped during the walk.
TEST_F(VerifyLiveTest, DamageIsFoundBesideADrop) {
  for (int reads = 0; reads < 60; reads += 7) {
    SCOPED_TRACE(reads);
    StreamStore store = Filled();
    const std::vector<Record> records = Records();
    const std::uint64_t chunk = records[1000].start / (kSmallChunk / 8);
    Directory::Open(path_)
        .OpenFile(FileOf("values", chunk).c_str(), true)
        .WriteAt(std::as_bytes(std::span("\x55\x55", 2)), records[1000].start * 8 % kSmallChunk);
    const BeforeRead race(reads, [&] { store.DropBefore(700); });
    const VerifyReport report = Verify(path_);
    EXPECT_EQ(report.damages, 1U) << Texts(report);
    EXPECT_CONTAINS(Texts(report), "record 1000");
  }
}

// The counts of a slot are compared with the records, also after a drop.
TEST_F(VerifyLiveTest, AWrongCountInASlotIsFound) {
  StreamStore store = Filled();
  store.DropBefore(500);
  Reader reader = Reader::Open(path_);
  store.DropBefore(600);
  reader.Refresh();
  Slot slot = *ChooseSlot(Slots()[0], Slots()[1]);
  for (const auto& [count, name] : {std::pair{&Slot::values, "values"},
                                    {&Slot::rows, "rows"},
                                    {&Slot::field_writes, "field-writes"}}) {
    slot.sequence += 2;
    Slot wrong = slot;
    wrong.*count += 1;
    Directory::Open(path_)
        .OpenFile("control", true)
        .WriteAt(EncodeSlot(wrong), SlotOffsetOf(wrong));
    for (const VerifyReport& report : {Verify(path_), Verify(reader)}) {
      EXPECT_EQ(report.damages, 1U) << Texts(report);
      EXPECT_CONTAINS(Texts(report), StrCat(", ", name, ": expected"));
    }
  }
}

TEST_F(VerifyLiveTest, AWriterThatKeepsDroppingRowsCausesNoFindings) {
  options_.grow_ahead = true;
  options_.sync_interval = std::chrono::milliseconds(1);
  StreamStore store = Open();
  Fill(store, 600);
  std::jthread writer([&](const std::stop_token& stop) {
    for (Step end = 600; !stop.stop_requested(); end += 40) {
      Fill(store, end + 40);
      store.DropBefore(end - 500);
    }
  });
  Reader reader = Reader::Open(path_);
  std::string found;
  for (int i = 0; i < 150 && found.empty(); ++i) {
    reader.Refresh();
    found += Texts(Verify(reader));
    found += Texts(Verify(Reader::Open(path_, {.safe_reads = true})));
    found += Texts(Verify(path_));
  }
  EXPECT_EQ(found, "");
}

}  // namespace
}  // namespace stream_store::internal
