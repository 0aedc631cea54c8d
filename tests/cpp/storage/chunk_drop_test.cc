// Tests of dropping rows at the begin of stores with many chunks: which files are deleted, which
// rows readers keep, and how a store goes on after a drop.

#include <string_view>
#include <thread>

#include "base/helper_thread.h"
#include "storage/chunks_fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class ChunkDropTest : public ChunksTest {
 protected:
  // Show() from the first row that is retained.
  static std::string Kept(const Reader& reader) {
    std::string text;
    for (auto row = static_cast<Row>(reader.first_row()); row < static_cast<Row>(reader.num_rows());
         ++row) {
      const RowView view = reader.row(row);
      text += StrCat(text.empty() ? "" : " ", view.step(), "{");
      const char* between = "";
      for (const auto& [type, values] : view) {
        text += StrCat(between, type, ":");
        between = " ";
        for (std::size_t i = 0; i < values.size(); ++i) {
          text += StrCat(i == 0 ? "" : ",", values[i]);
        }
      }
      text += "}";
    }
    return text;
  }

  static std::string Rows(Step begin, Step end) {
    std::string text;
    for (Step row = begin; row < end; ++row) text += (row == begin ? "" : " ") + RowText(row);
    return text;
  }

  void ExpectKept(Step begin, Step end) const {
    for (const bool safe : {false, true}) {
      const Reader reader = Reader::Open(path_, {.safe_reads = safe});
      EXPECT_EQ(reader.first_row(), begin);
      EXPECT_EQ(Kept(reader), Rows(begin, end));
    }
    const VerifyReport report = Verify(path_);
    EXPECT_TRUE(report.ok());
    for (const Finding& finding : report.findings) ADD_FAILURE() << FindingText(finding);
  }
};

// While this object exists, the next opening of a file of a kind by this thread first drops rows: one drop
// for each entry, in their order. The files that the drop opens itself do not count.
class DropsOnOpen {
 public:
  struct Drop {
    std::string kind;
    Row row;
  };

  DropsOnOpen(StreamStore& store, std::vector<Drop> drops) {
    state() = {.store = &store, .thread = std::this_thread::get_id(), .drops = std::move(drops)};
    sys().open_at = [](int directory, const char* name, int flags, mode_t mode) {
      State& now = state();
      if (std::this_thread::get_id() == now.thread && !now.dropping && !now.drops.empty() &&
          std::string_view(name).starts_with(now.drops.front().kind)) {
        now.dropping = true;
        now.store->DropBefore(now.drops.front().row);
        now.drops.erase(now.drops.begin());
        now.dropping = false;
      }
      return RealSyscalls().open_at(directory, name, flags, mode);
    };
  }

  /// The drops that have not happened yet.
  static std::size_t left() { return state().drops.size(); }

 private:
  struct State {
    StreamStore* store = nullptr;
    std::thread::id thread = {};
    std::vector<Drop> drops = {};
    bool dropping = false;
  };

  static State& state() {
    static State instance;
    return instance;
  }

  const SyscallFaults faults_;
};

TEST_F(ChunkDropTest, DeletesTheChunksBeforeTheBegin) {
  StreamStore store = Open();
  Fill(store, 3000);
  Reader here = store.reader();
  Reader attached = Reader::Open(path_);
  const std::size_t before = Chunks("values").size();
  EXPECT_EQ(store.DropBefore(2600), 2600U);
  EXPECT_GE(Chunks("values").front(), 35U);
  EXPECT_GE(Chunks("records").front(), 26U);
  EXPECT_GE(Chunks("layouts").front(), 1U);
  EXPECT_LT(Chunks("values").size(), before);
  EXPECT_EQ(Kept(store.reader()), Rows(2600, 3000));
  for (Reader* reader : {&here, &attached}) {
    EXPECT_EQ(Kept(*reader), Rows(0, 3000)) << "what a reader has seen stays";
    reader->Refresh();
    EXPECT_EQ(Kept(*reader), Rows(2600, 3000));
  }
  Fill(store, 3200);
  store.Close();
  ExpectKept(2600, 3200);
}

TEST_F(ChunkDropTest, AStoreGoesOnAfterDropsAndSessions) {
  Step begin = 0;
  for (Step end = 200; end <= 2000; end += 150) {
    StreamStore store = Open();
    Fill(store, end);
    begin = end - 130;
    store.DropBefore(begin);
    EXPECT_EQ(Kept(store.reader()), Rows(begin, end));
    Fill(store, end + 40);
    if (end % 100 == 0) store.Close();
  }
  ExpectKept(begin, 2040);
}

TEST_F(ChunkDropTest, AWriterThatWasKilledAfterADropIsRecovered) {
  for (const bool sync : {false, true}) {
    fs::remove_all(path_);
    WriteAndDie([sync](StreamStore& store) {
      Fill(store, 900);
      if (sync) store.Sync();
      store.DropBefore(500);
      Fill(store, 1100);
    });
    ExpectKept(500, 1100);
    StreamStore store = Open();
    Fill(store, 1500);
    store.DropBefore(1000);
    store.Close();
    ExpectKept(1000, 1500);
  }
}

// The drop's sync fails, so that its slot may be in memory only. The next writer finds the slot, and
// deleted the chunks before its begin. After a power cut, the slot on disk counted on them.
TEST_F(ChunkDropTest, AnInterruptedDropIsOnDiskBeforeItsChunksAreDeleted) {
  const Faults faults;
  {
    StreamStore store = Open();
    Fill(store, 1100);
    store.Sync();
    Faults::Fail("fdatasync", EIO, 1);
    EXPECT_EQ(ErrorOf([&] { store.DropBefore(1000); }).code(), ErrorCode::kIo);
  }
  EXPECT_EQ(Chunks("records").front(), 0U);
  Faults::log().clear();
  sys().unlink_at = [](int directory, const char* name, int flags) {
    Faults::log().push_back(StrCat("unlink ", name));
    return RealSyscalls().unlink_at(directory, name, flags);
  };
  StreamStore store = Open();
  const std::vector<std::string>& log = Faults::log();
  const auto at = [&](const char* call) { return std::ranges::find(log, call) - log.begin(); };
  EXPECT_LT(at("pwrite control"), at("fdatasync control"));
  EXPECT_LT(at("fdatasync control"), at("unlink records.000000000000"));
  EXPECT_LT(at("unlink records.000000000000"), std::ssize(log));
  store.Close();
  ExpectKept(1000, 1100);
}

// A power cut removed the only row that a drop had left, which no sync had covered. The store had no
// row then, and the next one could have a lower step than those that were dropped.
TEST_F(ChunkDropTest, ADropLeavesARowThatIsDurable) {
  StreamStore store = Open();
  Fill(store, 100);
  store.Sync();
  Fill(store, 102);
  store.DropBefore(99);
  EXPECT_EQ(store.durable_rows(), 100U) << "row 99 is durable";
  store.DropBefore(100);
  EXPECT_EQ(store.durable_rows(), 102U);
}

// Closing drops the rows that are too many. The sync of that failed, so the close did not sync either,
// and reported success although nothing was durable.
TEST_F(ChunkDropTest, CloseReportsThatTheSyncOfItsDropFailed) {
  HelperThread::Allowed() = false;  // so that the close is the one that drops
  options_.retain_rows = 20;
  {
    StreamStore store = Open();
    Fill(store, 100);
    const Faults faults;
    Faults::Fail("msync", EIO, 1);
    EXPECT_EQ(ErrorOf([&] { store.Close(); }).code(), ErrorCode::kIo);
    EXPECT_EQ(Faults::failed(), 1);
    EXPECT_TRUE(store.closed());
    store.Close();
  }
  StreamStore store = Open();
  EXPECT_EQ(store.reader().num_rows(), 100U);
  store.Close();
  HelperThread::Allowed() = true;
  ExpectKept(80, 100);
}

// A reader may know only chunks that were all deleted since.
TEST_F(ChunkDropTest, AReaderThatIsFarBehindFollows) {
  StreamStore store = Open();
  Fill(store, 100);
  Reader here = store.reader();
  Reader attached = Reader::Open(path_);
  Reader safe = Reader::Open(path_, {.safe_reads = true});
  Fill(store, 3000);
  store.DropBefore(2900);
  EXPECT_EQ(Kept(attached), Rows(0, 100));
  for (Reader* reader : {&here, &attached, &safe}) {
    reader->Refresh();
    EXPECT_EQ(Kept(*reader), Rows(2900, 3000));
  }
  Fill(store, 3500);
  attached.Refresh();
  EXPECT_EQ(Kept(attached), Rows(2900, 3500));
}

// The files are opened before the lock is there. Meanwhile another writer drops rows.
TEST_F(ChunkDropTest, OpensAStoreOfWhichAnotherWriterDropsRowsMeanwhile) {
  {
    StreamStore store = Open();
    Fill(store, 1000);
  }
  static std::function<void()> before_lock;
  before_lock = [this] {
    const auto drop = [this] {
      StreamStore store = Open();
      Fill(store, 2000);
      store.DropBefore(1900);
    };
    ASSERT_EQ(InChild(drop), 0);
  };
  const SyscallFaults faults;
  sys().lock = [](int fd, int command, struct flock* lock) {
    if (before_lock) std::exchange(before_lock, nullptr)();
    return RealSyscalls().lock(fd, command, lock);
  };
  StreamStore store = Open();
  EXPECT_EQ(Kept(store.reader()), Rows(1900, 2000));
  Fill(store, 2300);
  store.Close();
  ExpectKept(1900, 2300);
}

// The words of a reader with safe reads are a copy from before the files were opened, which did not show
// that a file was missing because of a drop. The reader reported a healthy store as damaged.
TEST_F(ChunkDropTest, AttachesWhileTheWriterDropsTheFilesThatItOpens) {
  for (const bool safe : {false, true}) {
    SCOPED_TRACE(safe ? "safe reads" : "mapped reads");
    fs::remove_all(path_);
    StreamStore store = Open();
    Fill(store, 3000);
    const DropsOnOpen drops(store, {{"schema", 1000}, {"records", 2900}});
    const Reader reader = Reader::Open(path_, {.safe_reads = safe});
    EXPECT_EQ(DropsOnOpen::left(), 0U);
    EXPECT_EQ(Kept(reader), Rows(2900, 3000));
  }
}

TEST_F(ChunkDropTest, RefreshesWhileTheWriterDropsTheFilesThatItOpens) {
  for (const bool safe : {false, true}) {
    SCOPED_TRACE(safe ? "safe reads" : "mapped reads");
    fs::remove_all(path_);
    StreamStore store = Open();
    Fill(store, 100);
    Reader reader = Reader::Open(path_, {.safe_reads = safe});
    Fill(store, 3000);
    const DropsOnOpen drops(store, {{"records", 2900}});
    reader.Refresh();
    EXPECT_EQ(DropsOnOpen::left(), 0U);
    EXPECT_EQ(Kept(reader), Rows(2900, 3000));
  }
}

TEST_F(ChunkDropTest, TruncatesAfterADrop) {
  StreamStore store = Open();
  Fill(store, 1000);
  store.DropBefore(700);
  EXPECT_EQ(store.Truncate(800), 200U);
  EXPECT_EQ(Kept(store.reader()), Rows(700, 800));
  EXPECT_EQ(ErrorOf([&] { store.Truncate(600); }).code(), ErrorCode::kDropped);
  Fill(store, 1300);
  store.DropBefore(1100);
  store.Close();
  ExpectKept(1100, 1300);
}

// A crash between the slot and the deletion leaves files before the begin.
TEST_F(ChunkDropTest, LeftoversBeforeTheBeginAreIgnoredAndDeleted) {
  {
    StreamStore store = Open();
    Fill(store, 3000);
    fs::create_directory(Scratch("old"));
    for (const char* kind : kKindNames) {
      fs::copy_file(path_ / FileOf(kind, 0), Scratch("old") / FileOf(kind, 0));
    }
    store.DropBefore(2900);
  }
  for (const char* kind : {"values", "records", "layouts"}) {
    ASSERT_FALSE(fs::exists(path_ / FileOf(kind, 0)));
    fs::copy_file(Scratch("old") / FileOf(kind, 0), path_ / FileOf(kind, 0));
    MakeFile(kind, 1, 100);
  }
  EXPECT_EQ(Kept(Reader::Open(path_)), Rows(2900, 3000));
  StreamStore store = Open();
  for (const char* kind : {"values", "records", "layouts"}) {
    EXPECT_GT(Chunks(kind).front(), 1U) << kind;
  }
  Fill(store, 3100);
  store.Close();
  ExpectKept(2900, 3100);
}

TEST_F(ChunkDropTest, AMissingChunkAfterTheBeginIsDamage) {
  {
    StreamStore store = Open();
    Fill(store, 1000);
    store.DropBefore(500);
  }
  for (const char* kind : {"values", "records"}) {
    SCOPED_TRACE(kind);
    const std::uint64_t first = Chunks(kind).front();
    for (const std::uint64_t chunk : {first, first + 1}) {
      fs::rename(path_ / FileOf(kind, chunk), Scratch("aside"));
      for (const auto& open :
           std::vector<std::function<void()>>{[&] { Stored(); }, [&] { Open(); }}) {
        const Error error = ErrorOf(open);
        EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
        EXPECT_CONTAINS(error.what(), FileOf(kind, chunk));
      }
      fs::rename(Scratch("aside"), path_ / FileOf(kind, chunk));
    }
  }
}

TEST_F(ChunkDropTest, CopiesBeginWhereTheStoreBegins) {
  StreamStore store = Open();
  Fill(store, 1000);
  store.DropBefore(650);
  store.reader().Checkpoint(Scratch("copy"));
  path_ = Scratch("copy");
  ExpectKept(650, 1000);
  StreamStore copy = Open();
  Fill(copy, 1200);
  copy.DropBefore(900);
  copy.Close();
  ExpectKept(900, 1200);
}

// A ring of rows: neither files nor mappings become more.
TEST_F(ChunkDropTest, ManyDropsLeaveNothingBehind) {
  for (const bool temporary : {false, true}) {
    options_.temporary_directory = scratch_->path();
    StreamStore store = temporary ? StreamStore::Temporary(options_) : Open();
    const auto mappings = [] {
      std::ifstream maps("/proc/self/maps");
      std::size_t lines = 0;
      for (std::string line; std::getline(maps, line);) ++lines;
      return lines;
    };
    std::size_t few = 0;
    Reader follower = store.reader();
    for (Step end = 200; end <= 12'000; end += 200) {
      ExtendLists(store, end - 200, end);
      if (end > 200) store.DropBefore(end - 200);
      follower.Refresh();
      ASSERT_EQ(follower.first_row(), std::max<Row>(end - 200, end == 200 ? 0 : end - 200));
      if (end == 2000) few = mappings();
    }
    EXPECT_LE(mappings(), few + 20);
    if (!temporary) {
      std::size_t files = 0;
      for (const char* kind : kKindNames) files += Chunks(kind).size();
      EXPECT_LE(files, 40U);
    }
    store.Close();
  }
}

}  // namespace
}  // namespace stream_store::internal
