// Tests of growth: full disks, limits, small address spaces, files that outgrow their
// reserved address space.

#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <sys/resource.h>

#include "storage/fixture.h"
#include "support/patience.h"
#include "support/sanitizers.h"

namespace stream_store::internal {
namespace {

class GrowthTest : public StoreTest {
 protected:
  // Rows of 1,000 values until `rows`; each row holds its own number.
  static void Fill(StreamStore& store, Row rows) {
    for (Row row = static_cast<Row>(store.reader().num_rows()); row < rows; ++row) {
      store.Append(row, {{1, List(1000, row)}});
    }
  }

  static void ExpectFilled(const Reader& reader, Row rows) {
    ASSERT_EQ(reader.num_rows(), static_cast<std::uint64_t>(rows));
    for (Row row = 0; row < rows; ++row) {
      const RowView view = reader.row(row);
      const auto values = (*view.begin()).values;
      ASSERT_EQ(values.size(), 1000U);
      ASSERT_EQ(values.front(), row);
      ASSERT_EQ(values.back(), row);
    }
  }

  Faults faults_;
};

// Every allocation of a run fails, one after the other, once and for a while. Each failure is a
// typed error that loses nothing, and the next append goes on.
TEST_F(GrowthTest, GoesOnAfterAnyAllocationFailed) {
  for (const int times : {1, 2, 3}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(StrCat("allocation ", n, ", ", times, " failures"));
      std::filesystem::remove_all(path_);
      StreamStore store = Open();
      Faults::Fail("fallocate", ENOSPC, n, times);
      for (int attempt = 0; store.reader().num_rows() < 40; ++attempt) {
        ASSERT_LT(attempt, 10);
        try {
          Fill(store, 40);
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), ErrorCode::kNoSpace) << error.what();
        }
      }
      const bool reached = Faults::failed() > 0;
      Faults::Stop();
      ExpectFilled(store.reader(), 40);
      store.Close();
      ExpectFilled(Reader::Open(path_), 40);
      if (!reached) break;
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

TEST_F(GrowthTest, AFullDiskIsAnErrorAndThenRoomIsRoom) {
  StreamStore store = Open();
  Fill(store, 5);
  Faults::Fail("fallocate", ENOSPC, 1, 1'000'000);
  Error full(ErrorCode::kOk, "");
  try {
    Fill(store, 100);
  } catch (const Error& error) {
    full = error;
  }
  EXPECT_EQ(full.code(), ErrorCode::kNoSpace);
  EXPECT_EQ(full.system_errno(), ENOSPC);
  EXPECT_CONTAINS(full.what(), (path_ / "values").string());
  const Row kept = static_cast<Row>(store.reader().num_rows());
  EXPECT_EQ(kept, 8) << "what was allocated is used to its end";
  EXPECT_EQ(store.Sync(), 8U) << "a full disk does not stop a sync";
  Faults::Stop();
  Fill(store, 100);
  ExpectFilled(store.reader(), 100);
}

// Half a MiB is asked for but less is free: the call still gets the space that it needs.
TEST_F(GrowthTest, AsksForLessWhenTheDiskIsNearlyFull) {
  options_.capacity_values = 1 << 20;
  sys().fallocate = [](int fd, int mode, off_t offset, off_t length) {
    if (length > 256 << 10) {
      errno = ENOSPC;
      return -1;
    }
    return RealSyscalls().fallocate(fd, mode, offset, length);
  };
  StreamStore store = Open();
  Fill(store, 100);
  ExpectFilled(store.reader(), 100);
}

TEST_F(GrowthTest, AnIoErrorIsNotAFullDisk) {
  StreamStore store = Open();
  Fill(store, 5);
  Faults::Fail("fallocate", EIO);
  const Error error = ErrorOf([&] { Fill(store, 100); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
}

TEST_F(GrowthTest, WritesZerosWhereFilesCannotBeAllocated) {
  sys().fallocate = [](int, int, off_t, off_t) {
    errno = EOPNOTSUPP;
    return -1;
  };
  StreamStore store = Open();
  Fill(store, 200);
  store.Close();
  ExpectFilled(Reader::Open(path_), 200);
}

// SIGXFSZ would kill a process that does not ignore it.
TEST_F(GrowthTest, FileSizeLimitIsAnErrorAndNoSignal) {
  const int code = InChild([this] {
    ::signal(SIGXFSZ, SIG_DFL);
    StreamStore store = Open();
    Fill(store, 5);
    const struct rlimit limit{200 << 10, 200 << 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const Error error = ErrorOf([&] { Fill(store, 100); });
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_EQ(error.system_errno(), EFBIG);
    ExpectFilled(store.reader(), 25);
    EXPECT_EQ(store.Sync(), 25U);
    store.Close();
  });
  EXPECT_EQ(code, 0);
  ExpectFilled(Reader::Open(path_), 25);
}

#if !STREAM_STORE_ASAN && !STREAM_STORE_TSAN
TEST_F(GrowthTest, WorksInASmallAddressSpace) {
  const int code = InChild([this] {
    const struct rlimit limit{512 << 20, 512 << 20};
    ::setrlimit(RLIMIT_AS, &limit);
    StreamStore store = Open();
    Fill(store, 2000);
    ExpectFilled(store.reader(), 2000);
    ExpectFilled(Reader::Open(path_), 2000);
    store.Close();
  });
  EXPECT_EQ(code, 0);
  ExpectFilled(Open().reader(), 2000);
}
#endif

// Limits the address space that can be reserved to a page more than the file.
void ReserveLittle() {
  sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
    if (size > 600 << 10) {
      errno = ENOMEM;
      return MAP_FAILED;
    }
    return RealSyscalls().mmap(at, size, protection, flags, fd, offset);
  };
}

void ReserveMuch() { sys().mmap = RealSyscalls().mmap; }

TEST_F(GrowthTest, AFileThatOutgrowsItsReservationIsMappedAnew) {
  ReserveLittle();
  StreamStore store = Open();
  Fill(store, 10);
  Reader writers = store.reader();
  Reader attached = Reader::Open(path_);
  ReserveMuch();
  Fill(store, 2000);          // 16 MB of values
  ExpectFilled(writers, 10);  // the old mapping lives as long as a reader uses it
  ExpectFilled(attached, 10);
  writers.Refresh();
  attached.Refresh();
  ExpectFilled(writers, 2000);
  ExpectFilled(attached, 2000);
}

TEST_F(GrowthTest, NoAddressSpaceIsATypedErrorAndNothingIsLost) {
  ReserveLittle();
  StreamStore store = Open();
  const Error error = ErrorOf([&] { Fill(store, 1000); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  const Row kept = static_cast<Row>(store.reader().num_rows());
  EXPECT_GE(kept, 70);
  ExpectFilled(store.reader(), kept);
  ReserveMuch();
  Fill(store, 1000);
  store.Close();
  ExpectFilled(Reader::Open(path_), 1000);
}

// One call that is larger than any growth step, and a reserved store that need not grow.
TEST_F(GrowthTest, OneCallMayNeedMoreThanAStep) {
  StreamStore store = Open();
  const List large(3'000'000, 4);
  store.Append(0, {{1, large}});
  EXPECT_EQ(store.reader().row(0).begin()->values.size(), large.size());
}

TEST_F(GrowthTest, AReservedStoreDoesNotGrowInTheLoop) {
  StreamStore store = Open();
  store.Reserve(1000 * 1000, 1000);
  Faults::log().clear();
  Fill(store, 1000);
  EXPECT_EQ(Faults::log(), std::vector<std::string>{});
  EXPECT_EQ(ErrorOf([&] { store.Reserve(std::uint64_t{1} << 60, 1); }).code(), ErrorCode::kNoSpace);
}

TEST_F(GrowthTest, TheHelperGrowsAheadAndStopsAtClose) {
  options_.grow_ahead = true;
  for (int round = 0; round < 5; ++round) {
    StreamStore store = Open();
    Fill(store, 1000 * (round + 1));
    if (round % 2 == 0) store.Close();
  }
  ExpectFilled(Reader::Open(path_), 5000);
}

TEST_F(GrowthTest, HolesBelowTheAllocatedEndAreFilledBeforeTheFirstAppend) {
  WriteAndDie([](StreamStore& store) { Fill(store, 5); });
  const std::uint64_t size = SizeOf("values");
  ASSERT_EQ(::truncate((path_ / FileOf("values")).c_str(), 5000 * 8),
            0);  // as a copy may lose the tail
  ASSERT_EQ(::truncate((path_ / FileOf("values")).c_str(), static_cast<off_t>(size)), 0);
  StreamStore store = Open();
  Faults::log().clear();
  Fill(store, 6);
  const auto& log = Faults::log();
  EXPECT_NE(std::find(log.begin(), log.end(), "fallocate values.000000000000"), log.end());
  ExpectFilled(store.reader(), 6);
}

// Where the space for values ends: the files may be deleted meanwhile.
std::uint64_t AllocatedValues(const std::filesystem::path& store, std::uint64_t chunk_bytes) {
  std::uint64_t end = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store)) {
    if (entry.path().stem() == "values") {
      std::error_code deleted;
      const std::uint64_t size = entry.file_size(deleted);
      const std::uint64_t chunk = std::stoull(entry.path().extension().string().substr(1));
      end = std::max(end, deleted ? 0 : chunk * chunk_bytes + size);
    }
  }
  return end;
}

class GrowthAheadTest : public StoreTest {};  // Faults are for one thread

// An append that finds no space would have to allocate it, and to fault its pages in: that takes a
// hundred times longer than an append. In a store that is limited in bytes, the helper allocates
// much less at a time than it faults in.
TEST_F(GrowthAheadTest, TheHelperGrowsABoundedStoreBeforeAnAppendNeedsTheSpace) {
  constexpr std::uint64_t kChunk = 1 << 20;
  options_.grow_ahead = true;
  options_.chunk_bytes = kChunk;
  options_.retain_bytes = 8 * kChunk;
  StreamStore store = Open();
  for (std::uint64_t row = 0; row < 2500; ++row) {
    store.Append(static_cast<Step>(row), {{1, List(1000, 7)}});
    const std::uint64_t next_end = (row + 2) * 1000 * sizeof(Value);
    ASSERT_TRUE(Eventually([&] { return AllocatedValues(path_, kChunk) >= next_end; })) << row;
  }
  EXPECT_GT(store.reader().first_row(), 0U);
}

}  // namespace
}  // namespace stream_store::internal
