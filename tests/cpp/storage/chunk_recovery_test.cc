// Tests of stores with many chunks whose writer was killed, or whose files are missing, too long, or
// left over; and of growth and syncs over borders that fail.

#include "storage/chunks_fixture.h"

namespace stream_store::internal {
namespace {

using Log = std::vector<std::string>;

class ChunkRecoveryTest : public ChunksTest {
 protected:
  // A closed store of 600 rows: its files are full except the last of each kind.
  void MakeClosed() const {
    Open().Close();
    StreamStore store = Open();
    Fill(store, 600);
  }

  // Readers and writers that open the store report the damage, and name the file.
  void ExpectCorrupt(const std::string& file) const {
    for (const auto& open : std::vector<std::function<void()>>{
             [&] { Stored(); }, [&] { Open(); },
             [&] { Show(Reader::Open(path_, {.safe_reads = true})); }}) {
      const Error error = ErrorOf(open);
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
      EXPECT_CONTAINS(error.what(), file);
    }
    EXPECT_FALSE(Verify(path_).ok());
  }

  static std::ptrdiff_t Find(const Log& log, const std::string& call) {
    return std::find(log.begin(), log.end(), call) - log.begin();
  }
};

TEST_F(ChunkRecoveryTest, RecoversWhatAKilledWriterAppended) {
  for (Step end = 40; end <= 900; end += 43) {
    SCOPED_TRACE(end);
    WriteAndDie([end](StreamStore& store) {
      Fill(store, end - 20);
      if (end % 2 == 0) store.Sync();
      Fill(store, end);
    });
    ExpectStored(Filled(end));
  }
  StreamStore store = Open();
  EXPECT_EQ(store.recovery().state, Recovery::State::kProcessCrash);
  Fill(store, 1000);
  store.Close();
  ExpectStored(Filled(1000));
}

// A writer that dies leaves chunks that it had made ahead. The next one gives them back, and makes
// them again when it needs them.
TEST_F(ChunkRecoveryTest, ChunksMadeAheadAreGivenBack) {
  WriteAndDie([](StreamStore& store) {
    store.Reserve(100'000, 10'000);
    Fill(store, 100);
  });
  EXPECT_GT(Chunks("values").size(), 190U);
  EXPECT_GT(Chunks("records").size(), 75U);
  ExpectStored(Filled(100));
  {
    StreamStore store = Open();
    EXPECT_LE(Chunks("values").size(), 18U);
    EXPECT_LE(Chunks("records").size(), 18U);
    Fill(store, 4000);
    EXPECT_EQ(Show(store.reader()), Filled(4000));
  }
  ExpectStored(Filled(4000));
}

TEST_F(ChunkRecoveryTest, CloseGivesChunksBack) {
  StreamStore store = Open();
  store.Reserve(100'000, 10'000);
  Fill(store, 100);
  store.Close();
  EXPECT_LE(Chunks("values").size(), 3U);
  EXPECT_EQ(Chunks("records").size(), 2U);
  ExpectStored(Filled(100));
}

// A file after a short one does not count. Readers ignore it, and the next writer deletes it.
TEST_F(ChunkRecoveryTest, FilesAfterAShortOneAreIgnoredAndDeleted) {
  MakeClosed();
  std::vector<std::pair<const char*, std::uint64_t>> leftovers;
  for (const char* kind : kKindNames) {
    const std::uint64_t end = Chunks(kind).size();
    ASSERT_LT(ChunkSize(kind, end - 1), kSmallChunk);
    for (const std::uint64_t chunk : {end, end + 1, end + 7}) {
      MakeFile(kind, chunk, chunk == end + 1 ? 100 : kSmallChunk);
      leftovers.emplace_back(kind, chunk);
    }
  }
  EXPECT_EQ(Stored(), Filled(600));
  StreamStore store = Open();
  for (const auto& [kind, chunk] : leftovers) {
    EXPECT_FALSE(std::filesystem::exists(path_ / FileOf(kind, chunk))) << kind << chunk;
  }
  Fill(store, 1500);
  store.Close();
  ExpectStored(Filled(1500));
}

// After a full chunk, the next file looks like space that was allocated ahead, whatever it holds.
TEST_F(ChunkRecoveryTest, GarbageAfterAFullChunkIsOverwritten) {
  for (const bool killed : {false, true}) {
    std::filesystem::remove_all(path_);
    {
      StreamStore store = Open();
      ExtendRegular(store, 127);  // with the sentinel a full chunk of records
    }
    ASSERT_EQ(ChunkSize("records", 0), kSmallChunk);
    MakeFile("records", 1, kSmallChunk, '\xff');
    EXPECT_EQ(Stored(), Numbers(127));
    const auto more = [](StreamStore& store) { ExtendRegular(store, 200); };
    if (killed) {
      WriteAndDie(more);
    } else {
      StreamStore store = Open();
      more(store);
    }
    ExpectStored(Numbers(327));
  }
}

TEST_F(ChunkRecoveryTest, AMissingChunkInTheMiddleIsDamage) {
  MakeClosed();
  for (const char* kind : {"values", "records", "layouts"}) {
    SCOPED_TRACE(kind);
    const std::uint64_t middle = kind == std::string("layouts") ? 0 : 3;
    std::filesystem::rename(path_ / FileOf(kind, middle), Scratch("aside"));
    ExpectCorrupt(FileOf(kind, middle));
    std::filesystem::rename(Scratch("aside"), path_ / FileOf(kind, middle));
  }
  ExpectStored(Filled(600));
}

TEST_F(ChunkRecoveryTest, AShortChunkInTheMiddleIsDamage) {
  MakeClosed();
  for (const char* kind : {"values", "records"}) {
    std::filesystem::copy_file(path_ / FileOf(kind, 3), Scratch(kind));
    std::filesystem::resize_file(path_ / FileOf(kind, 3), 100);
    ExpectCorrupt(FileOf(kind, 3));
    std::filesystem::rename(Scratch(kind), path_ / FileOf(kind, 3));
  }
  ExpectStored(Filled(600));
}

TEST_F(ChunkRecoveryTest, ATooLongChunkIsDamage) {
  MakeClosed();
  for (const char* kind : {"values", "records"}) {
    std::filesystem::resize_file(path_ / FileOf(kind, 1), kSmallChunk + 1);
    ExpectCorrupt(FileOf(kind, 1));
    EXPECT_EQ(Verify(path_).findings.front().file, FileOf(kind, 1));
    std::filesystem::resize_file(path_ / FileOf(kind, 1), kSmallChunk);
  }
  ExpectStored(Filled(600));
}

// Hints only make searches fast, so the loss of some costs nothing else.
TEST_F(ChunkRecoveryTest, MissingHintsAreMadeGoodOnlyByTime) {
  {
    StreamStore store = Open();
    ExtendRegular(store, 300'000);  // three chunks of hints of both kinds
  }
  ASSERT_EQ(Chunks("row_hints"), UpTo(3));
  for (const char* kind : {"position_hints", "row_hints"}) {
    std::filesystem::remove(path_ / FileOf(kind, 1));
  }
  const Reader reader = Reader::Open(path_);
  const std::vector<Row> rows = {5, 140'000, 299'999};
  std::vector<Position> places(rows.size());
  reader.PositionOf(rows, places);
  EXPECT_EQ(places, (std::vector<Position>{5, 140'000, 299'999}));
  StreamStore store = Open();
  store.Append(300'000, {{0, 7}});
  EXPECT_EQ(store.reader().num_rows(), 300'001U);
}

// A writer opens the files before it has the lock. Meanwhile others delete some of them, and make
// them again.
TEST_F(ChunkRecoveryTest, OpensFilesThatOtherWritersHaveReplacedMeanwhile) {
  WriteAndDie([](StreamStore& store) {
    store.Reserve(5000, 1000);
    Fill(store, 50);
  });
  static std::function<void()> before_lock;
  before_lock = [this] {
    const auto others = [this] {
      for (const Step end : {60, 400}) {
        StreamStore store = Open();
        Fill(store, end);
      }
    };
    ASSERT_EQ(InChild(others), 0);
  };
  const SyscallFaults faults;
  sys().lock = [](int fd, int command, struct flock* lock) {
    if (before_lock) std::exchange(before_lock, nullptr)();
    return RealSyscalls().lock(fd, command, lock);
  };
  StreamStore store = Open();
  EXPECT_EQ(Show(store.reader()), Filled(400));
  Fill(store, 700);
  store.Close();
  ExpectStored(Filled(700));
}

// A disk that is full whenever a chunk is to be made or to grow.
TEST_F(ChunkRecoveryTest, GoesOnAfterAnyAllocationFailed) {
  const Faults faults;
  for (const int times : {1, 2, 5}) {
    for (int n = 1;; n += 1 + n / 20) {
      SCOPED_TRACE(StrCat("allocation ", n, ", ", times, " failures"));
      std::filesystem::remove_all(path_);
      StreamStore store = Open();
      Faults::Fail("fallocate", ENOSPC, n, times);
      for (int attempt = 0; store.reader().num_rows() < 300; ++attempt) {
        ASSERT_LT(attempt, 10);
        try {
          Fill(store, 300);
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), ErrorCode::kNoSpace) << error.what();
          if (store.reader().num_rows() > 0) {
            // A third row may lack its flag: the call that failed was to add it.
            const Row last = static_cast<Row>(store.reader().num_rows()) - 1;
            if (last % 3 == 0 && store.reader().row(last).size() == 2) {
              Faults::Stop();
              store.Append(last, {{2, last % 2 == 0}});
            }
          }
        }
      }
      const bool reached = Faults::failed() > 0;
      Faults::Stop();
      store.Close();
      ASSERT_EQ(Stored(), Filled(300));
      if (!reached) break;
    }
  }
}

// No file of a chunk can be made, or not even deleted afterwards.
TEST_F(ChunkRecoveryTest, GoesOnAfterAChunkCouldNotBeMade) {
  for (const bool undo : {true, false}) {
    const Faults faults;
    std::filesystem::remove_all(path_);
    StreamStore store = Open();
    ExtendRegular(store, 100);
    static bool broken = false;
    broken = true;
    sys().fallocate = [](int fd, int mode, off_t offset, off_t length) {
      errno = ENOSPC;
      return broken ? -1 : RealSyscalls().fallocate(fd, mode, offset, length);
    };
    if (!undo) {
      sys().unlink_at = [](int directory, const char* name, int flags) {
        errno = EIO;
        return broken ? -1 : RealSyscalls().unlink_at(directory, name, flags);
      };
    }
    EXPECT_EQ(ErrorOf([&] { ExtendRegular(store, 5000); }).code(), ErrorCode::kNoSpace);
    EXPECT_EQ(Show(store.reader()), Numbers(100));
    broken = false;
    ExtendRegular(store, 5000);
    EXPECT_EQ(Show(store.reader()), Numbers(5100));
    store.Close();
    ExpectStored(Numbers(5100));
  }
}

// Limits each mapping to half a MiB.
void ReserveLittle() {
  sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
    if (size > 600 << 10) {
      errno = ENOMEM;
      return MAP_FAILED;
    }
    return RealSyscalls().mmap(at, size, protection, flags, fd, offset);
  };
}

TEST_F(ChunkRecoveryTest, ARangeThatIsUsedUpIsReplaced) {
  const SyscallFaults faults;
  WriteAndDie([](StreamStore& store) {
    store.Reserve(20'000, 2'000);
    ExtendRegular(store, 50);
  });
  ReserveLittle();
  StreamStore store = Open();
  Reader here = store.reader();
  Reader attached = Reader::Open(path_);
  sys().mmap = RealSyscalls().mmap;
  Reader later = Reader::Open(path_);
  ExtendRegular(store, 40'000);
  for (Reader* reader : {&here, &attached, &later}) {
    EXPECT_EQ(Show(*reader), Numbers(50)) << "the old range lives as long as a reader uses it";
    reader->Refresh();
    ASSERT_EQ(reader->num_rows(), 40'050U);
    std::vector<Position> starts = {0, 511, 512, 39'999, 40'049};
    std::vector<Value> values(starts.size());
    reader->ReadWindows(starts, 1, {.values = values.data()});
    EXPECT_EQ(values, (List{0, 511, 512, 39'999, 40'049}));
  }
  EXPECT_EQ(store.Sync(), 40'050U);
  store.Close();
  EXPECT_TRUE(Verify(path_).ok());
}

TEST_F(ChunkRecoveryTest, NoAddressSpaceIsATypedErrorAndNothingIsLost) {
  const SyscallFaults faults;
  ReserveLittle();
  StreamStore store = Open();
  EXPECT_EQ(ErrorOf([&] { ExtendRegular(store, 200'000); }).code(), ErrorCode::kNoSpace);
  ExtendRegular(store, 100);
  EXPECT_EQ(Show(store.reader()), Numbers(100));
  sys().mmap = RealSyscalls().mmap;
  ExtendRegular(store, 20'000);
  store.Close();
  EXPECT_EQ(Reader::Open(path_).num_rows(), 20'100U);
  EXPECT_TRUE(Verify(path_).ok());
}

// The name of a new file must be on disk before a slot counts on its content.
TEST_F(ChunkRecoveryTest, NewChunksHaveTheirNamesOnDiskBeforeTheSlot) {
  const Faults faults;
  StreamStore store = Open();
  Fill(store, 10);
  store.Sync();
  Fill(store, 300);
  Log& log = Faults::log();
  log.clear();
  store.Sync();
  EXPECT_LT(Find(log, "msync values.000000000003"), Find(log, "fsync store"));
  EXPECT_LT(Find(log, "msync records.000000000003"), Find(log, "fsync store"));
  EXPECT_LT(Find(log, "fsync store"), Find(log, "pwrite control"));
  EXPECT_LT(Find(log, "pwrite control"), std::ssize(log));
  store.Append(300, {{0, 1}});
  log.clear();
  store.Sync();
  EXPECT_EQ(std::ranges::count(log, "fsync store"), 0) << "there is no new file";
}

// A writer that was killed may have left files whose names are not on disk.
TEST_F(ChunkRecoveryTest, TheNamesOfRecoveredChunksAreSyncedToo) {
  WriteAndDie([](StreamStore& store) { Fill(store, 300); });
  const Faults faults;
  StreamStore store = Open();
  Log& log = Faults::log();
  log.clear();
  store.Sync();
  EXPECT_LT(Find(log, "fsync store"), Find(log, "pwrite control"));
  EXPECT_LT(Find(log, "pwrite control"), std::ssize(log));
}

TEST_F(ChunkRecoveryTest, SyncsOnlyTheChunksThatAreNew) {
  const Faults faults;
  StreamStore store = Open();
  Fill(store, 600);
  store.Sync();
  store.Append(600, {{0, 1}});
  Faults::log().clear();
  store.Sync();
  EXPECT_EQ(std::ranges::count_if(
                Faults::log(), [](const std::string& call) { return call.starts_with("msync"); }),
            5);
}

TEST_F(ChunkRecoveryTest, AnySyncThatFailsIsFinal) {
  const Faults faults;
  for (const char* call : {"msync", "fsync", "pwrite", "fdatasync"}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(StrCat(call, " ", n));
      std::filesystem::remove_all(path_);
      StreamStore store = Open();
      Fill(store, 10);
      store.Sync();
      Fill(store, 300);
      Faults::Fail(call, EIO, n);
      try {
        store.Sync();
        ASSERT_GT(n, 1);
        break;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
      }
      EXPECT_EQ(Faults::failed(), 1);
      EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
      EXPECT_EQ(ErrorOf([&] { Fill(store, 301); }).code(), ErrorCode::kIo);
      EXPECT_EQ(store.durable_rows(), 10U);
      EXPECT_EQ(Show(store.reader()), Filled(300));
      store.Close();
      ExpectStored(Filled(300));
    }
    Faults::Stop();
  }
}

}  // namespace
}  // namespace stream_store::internal
