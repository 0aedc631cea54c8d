// Tests of growth on a disk with a given number of free bytes: space is used to its end, whichever
// file needs it, and a full disk costs little time.

#include <algorithm>
#include <random>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

// A disk that behaves like ext4: an allocation for which it has too little space takes what is
// left, and then fails.
class SmallDisk {
 public:
  explicit SmallDisk(std::uint64_t free) {
    free_bytes() = free;
    allocations() = 0;
    sys().fallocate = &Allocate;
    sys().ftruncate = &Truncate;
  }

  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  ~SmallDisk() {
    sys().fallocate = RealSyscalls().fallocate;
    sys().ftruncate = RealSyscalls().ftruncate;
  }

  static std::uint64_t& free_bytes() {
    static std::uint64_t bytes = 0;
    return bytes;
  }

  static int& allocations() {
    static int calls = 0;
    return calls;
  }

 private:
  static std::uint64_t SizeOf(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }

  static int Allocate(int fd, int mode, off_t offset, off_t length) {
    allocations() += 1;
    const std::uint64_t size = SizeOf(fd);
    const auto end = static_cast<std::uint64_t>(offset + length);
    const std::uint64_t more = end - std::min(end, size);
    if (more <= free_bytes()) {
      free_bytes() -= more;
      return RealSyscalls().fallocate(fd, mode, offset, length);
    }
    if (free_bytes() > 0) {
      RealSyscalls().ftruncate(fd, static_cast<off_t>(size + free_bytes()));
      free_bytes() = 0;
    }
    errno = ENOSPC;
    return -1;
  }

  static int Truncate(int fd, off_t length) {
    const std::uint64_t size = SizeOf(fd);
    const int result = RealSyscalls().ftruncate(fd, length);
    if (result == 0 && static_cast<std::uint64_t>(length) < size) {
      free_bytes() += size - static_cast<std::uint64_t>(length);
    }
    return result;
  }
};

class FullDiskTest : public StoreTest {
 protected:
  // Appends rows of `length` values until the disk is full. Returns how many there were.
  static int FillUp(StreamStore& store, std::size_t length) {
    int rows = 0;
    const Error full = ErrorOf([&] {
      for (;; ++rows) {
        const auto row = static_cast<Row>(store.reader().num_rows());
        store.Append(row, {{1, List(length, row)}});
      }
    });
    EXPECT_EQ(full.code(), ErrorCode::kNoSpace) << full.what();
    return rows;
  }

  static void StageRow(StagedRows& staged, Row row, std::size_t length) {
    const Step step = row;
    const List values(length, row);
    const std::array<std::int64_t, 2> offsets{0, static_cast<std::int64_t>(length)};
    const Column column{.type = 1, .data = values.data(), .offsets = offsets.data()};
    staged.Extend({&step, 1}, {&column, 1});
  }

  static void ExpectRows(const Reader& reader, std::size_t length) {
    for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
      const RowView view = reader.row(row);
      ASSERT_EQ((*view.begin()).values.size(), length);
      if (length > 0) {
        ASSERT_EQ((*view.begin()).values.back(), row);
      }
    }
  }

  Faults faults_;
};

TEST_F(FullDiskTest, FreedSpaceIsUsedToItsEnd) {
  options_.capacity_values = 1'000'000;
  for (const std::size_t length : {0U, 30U, 100U}) {
    SCOPED_TRACE(StrCat(length, " values"));
    std::filesystem::remove_all(path_);
    const SmallDisk disk(4 << 20);
    StreamStore store = Open();
    FillUp(store, length);
    SmallDisk::free_bytes() += 4 << 20;
    const int more = FillUp(store, length);
    const double row_bytes = 32 + 8 * static_cast<double>(length) + 16.0 / 256;
    EXPECT_GE(more, 0.97 * (4 << 20) / row_bytes);
    EXPECT_LE(more, 1.03 * (4 << 20) / row_bytes);
    ExpectRows(store.reader(), length);
    store.Close();
    ExpectRows(Reader::Open(path_), length);
  }
}

// The first append allocates 8 MB of `values`. The call that is too large gives back space that it
// cannot use; then short rows need most of the space for their records.
TEST_F(FullDiskTest, RecordsGetTheSpaceThatValuesDoNotNeed) {
  options_.capacity_values = 1'000'000;
  const SmallDisk disk(9 << 20);
  StreamStore store = Open();
  store.Append(0, {{1, List(1, 0)}});
  SmallDisk::free_bytes() = 0;
  const Error full = ErrorOf([&] { store.Append(1, {{1, List(3'000'000, 1)}}); });
  EXPECT_EQ(full.code(), ErrorCode::kNoSpace);
  EXPECT_GT(FillUp(store, 1), 190'000) << "8 MB for rows of 40 bytes";
  EXPECT_LE(SmallDisk::free_bytes(), 16U << 10);
  ExpectRows(store.reader(), 1);
}

TEST_F(FullDiskTest, ARefusedAppendCostsFewCalls) {
  options_.capacity_values = 1'000'000;
  const SmallDisk disk(4 << 20);
  StreamStore store = Open();
  FillUp(store, 10);
  EXPECT_LT(SmallDisk::allocations(), 700) << "steps shrink geometrically, and are remembered";
  SmallDisk::allocations() = 0;
  for (int i = 0; i < 1000; ++i) {
    FillUp(store, 10);
  }
  EXPECT_LE(SmallDisk::allocations(), 2000);
}

TEST_F(FullDiskTest, StagedRowsKeepTheirSpace) {
  options_.capacity_values = 1'000'000;
  const SmallDisk disk(9 << 20);
  StreamStore store = Open();
  store.Append(0, {{1, List(100, 0)}});
  {
    StagedRows staged = store.Stage();
    for (Row row = 1; row <= 1000; ++row) StageRow(staged, row, 100);
    SmallDisk::free_bytes() = 0;
    EXPECT_EQ(ErrorOf([&] { StageRow(staged, 1001, 2'000'000); }).code(), ErrorCode::kNoSpace);
    staged.Commit();
  }
  EXPECT_EQ(store.reader().num_rows(), 1001U);
  ExpectRows(store.reader(), 100);
}

// Each record may have a layout of its own, and the space for that is reserved as well.
TEST_F(FullDiskTest, AReservedStoreDoesNotGrowWithListsOfRandomLength) {
  for (const bool ahead : {false, true}) {
    std::filesystem::remove_all(path_);
    options_.grow_ahead = ahead;
    StreamStore store = Open();
    constexpr std::uint64_t kRecords = 50'000;
    store.Reserve(200 * kRecords, kRecords);
    SmallDisk::allocations() = 0;
    const std::uint64_t size = SizeOf("layouts");
    std::mt19937 random(5);
    Faults::log().clear();
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      store.Append(static_cast<Step>(i), {{0, static_cast<Row>(i)}, {1, List(random() % 199, 3)}});
    }
    EXPECT_GT(size, kRecords * 3 * sizeof(std::uint64_t));
    if (!ahead) {  // else the helper thread grows the files ahead of the reserved space
      EXPECT_EQ(Faults::log(), std::vector<std::string>{});
      EXPECT_EQ(SizeOf("layouts"), size);
    }
  }
}

TEST_F(FullDiskTest, TheNextWriterGivesBackWhatADeadOneHadAllocated) {
  options_.capacity_values = 4'000'000;
  WriteAndDie([](StreamStore& store) {
    for (Row row = 0; row < 1000; ++row) store.Append(row, {{1, List(20, row)}});
  });
  EXPECT_GE(SizeOf("values"), 32'000'000U);
  const Reader attached = Reader::Open(path_);
  StreamStore store = Open();
  EXPECT_GE(SizeOf("values"), 1000U * 20 * 8);
  EXPECT_LE(SizeOf("values") + SizeOf("records") + SizeOf("layouts") + SizeOf("position_hints") +
                SizeOf("row_hints"),
            1000U * (20 * 8 + 64) + 5 * (128U << 10));
  EXPECT_EQ(store.reader().num_rows(), 1000U);
  ExpectRows(attached, 20);
  ExpectRows(store.reader(), 20);
}

}  // namespace
}  // namespace stream_store::internal
