// Tests of Mapping: growth without remapping, limited address space, populating pages.

#include "base/mapping.h"

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/directory.h"
#include "base/str_cat.h"
#include "support/sanitizers.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

class MappingTest : public ::testing::Test {
 protected:
  ScratchDirectory scratch_;
  SyscallFaults faults_;
  File file_ = Directory::Open(scratch_.path()).CreateFile("values");
};

constexpr std::uint64_t kPage = 4096;

std::size_t address_space = 0;  // the most bytes that the fault below lets one mapping have

void* LimitedMap(void* address, std::size_t length, int protection, int flags, int fd, off_t at) {
  if (length <= address_space)
    return RealSyscalls().mmap(address, length, protection, flags, fd, at);
  errno = ENOMEM;
  return MAP_FAILED;
}

TEST_F(MappingTest, FileGrowsUnderTheSameMapping) {
  file_.Allocate(0, 4096);
  const Mapping mapping(file_, 1ULL << 40, 4096, true);
  EXPECT_EQ(mapping.size(), 1ULL << 40);
  file_.Allocate(4096, 1 << 20);
  mapping.data()[(1 << 20) - 1] = std::byte{7};
  std::vector<std::byte> last(1);
  file_.ReadAt(last, (1 << 20) - 1);
  EXPECT_EQ(last[0], std::byte{7});
}

TEST_F(MappingTest, ReservationIsHalvedWhileAddressSpaceIsShort) {
  sys().mmap = LimitedMap;
  address_space = 300'000'000;
  const Mapping mapping(file_, 1ULL << 40, 4096, true);
  EXPECT_EQ(mapping.size(), 1ULL << 28);
}

// Once, every store reserved 1.5 TiB as long as there was address space. The ninetieth store could
// not map its control file, and malloc() failed.
TEST_F(MappingTest, ManyReservationsLeaveAddressSpaceForOthers) {
  std::vector<Mapping> mappings;
  std::uint64_t total = 0;
  for (int i = 0; i < 1000; ++i) {
    mappings.emplace_back(file_, 1ULL << 40, 4096, true);
    EXPECT_GE(mappings.back().size(), 4096U);
    total += mappings.back().size();
  }
  EXPECT_LE(total, (32ULL << 40) + 1000 * 4096);
  mappings.clear();
  EXPECT_EQ(Mapping(file_, 1ULL << 40, 4096, true).size(), 1ULL << 40);
}

TEST_F(MappingTest, ReservationsTakeAPartOfALimitedAddressSpace) {
  sys().getrlimit = [](int, struct rlimit* limit) {
    limit->rlim_cur = limit->rlim_max = 8ULL << 30;
    return 0;
  };
  const Mapping first(file_, 1ULL << 40, 4096, true);
  EXPECT_EQ(first.size(), 64ULL << 20);
  const Mapping second(file_, 1ULL << 40, 4096, true);
  EXPECT_EQ(second.size(), 62ULL << 20);
}

TEST_F(MappingTest, ReservationNeverFallsBelowTheMinimum) {
  sys().mmap = LimitedMap;
  address_space = 5 << 20;
  EXPECT_EQ(Mapping(file_, 1ULL << 40, 5 << 20, true).size(), 5U << 20);
  const Error error = ErrorOf([&] { Mapping(file_, 1ULL << 40, 6 << 20, true); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_EQ(error.system_errno(), ENOMEM);
  EXPECT_CONTAINS(error.what(), "mapping 6291456 bytes of address space");
}

#if !STREAM_STORE_ASAN && !STREAM_STORE_TSAN  // these need mappings themselves

// Splits a mapping of this process into as many as the kernel allows.
class MapsFilled {
 public:
  explicit MapsFilled(std::size_t most) : bytes_((most + 2) * kPage) {
    address_ = static_cast<std::byte*>(
        ::mmap(nullptr, bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (std::size_t at = kPage; at < bytes_; at += 2 * kPage) {
      if (::mprotect(address_ + at, kPage, PROT_READ) != 0) {
        return;
      }
    }
  }

  MapsFilled(const MapsFilled&) = delete;
  MapsFilled& operator=(const MapsFilled&) = delete;

  ~MapsFilled() { ::munmap(address_, bytes_); }

 private:
  std::size_t bytes_;
  std::byte* address_;
};

TEST_F(MappingTest, TooManyMappingsNamesTheLimit) {
  std::size_t most = 0;
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  if (most == 0 || most > 3'000'000) GTEST_SKIP() << "vm.max_map_count is " << most;
  Error of_file(ErrorCode::kOk, "");
  Error of_memory(ErrorCode::kOk, "");
  Error of_chunk(ErrorCode::kOk, "");
  const Mapping space = Mapping::Reserve("values", 3 * kPage, 3 * kPage);
  {
    std::vector<Mapping> rest;  // splitting takes two mappings at once, so a few are left
    rest.reserve(8);
    const MapsFilled filled(most);
    of_file = ErrorOf([&] {
      for (int i = 0; i < 8; ++i) rest.emplace_back(file_, 4096, 4096, i % 2 == 0);
    });
    of_memory = ErrorOf([] { Mapping::Private(4096); });
    of_chunk = ErrorOf([&] { space.MapFile(file_, {kPage, kPage}, true); });
  }
  for (const Error& error : {of_file, of_memory, of_chunk}) {
    EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    EXPECT_EQ(error.system_errno(), ENOMEM);
    EXPECT_CONTAINS(error.what(), StrCat("vm.max_map_count is ", most, ", and this process has "));
  }
}

#endif

TEST_F(MappingTest, ScarceAddressSpaceIsNotBlamedOnTheNumberOfMappings) {
  sys().mmap = LimitedMap;
  address_space = 0;
  const Error error = ErrorOf([&] { Mapping(file_, 4096, 4096, true); });
  EXPECT_CONTAINS(error.what(), "no address space is left");
}

TEST_F(MappingTest, FileSystemThatCannotMapIsIo) {
  sys().mmap = [](void*, std::size_t, int, int, int, off_t) -> void* {
    errno = ENODEV;
    return MAP_FAILED;
  };
  EXPECT_EQ(ErrorOf([&] { Mapping(file_, 4096, 4096, true); }).code(), ErrorCode::kIo);
}

TEST_F(MappingTest, PopulateReportsWhetherItSucceeded) {
  file_.Allocate(0, 1 << 16);
  const Mapping mapping(file_, 1 << 20, 1 << 16, true);
  if (!mapping.Populate(0, 4096)) GTEST_SKIP() << "this kernel has no MADV_POPULATE_WRITE";
  EXPECT_TRUE(mapping.Populate(100, 1 << 16));
  EXPECT_TRUE(mapping.Populate(50, 50));
  EXPECT_FALSE(mapping.Populate(0, 1 << 19));  // beyond the end of the file: false, not SIGBUS
}

TEST_F(MappingTest, PopulateIsRepeatedWhenInterrupted) {
  file_.Allocate(0, 1 << 16);
  const Mapping mapping(file_, 1 << 16, 1 << 16, true);
  sys().madvise = [](void*, std::size_t, int) {
    static int calls = 0;
    errno = EINTR;
    return ++calls < 3 ? -1 : 0;
  };
  EXPECT_TRUE(mapping.Populate(0, 4096));
}

// The arguments of each msync, which the fault below records.
std::vector<std::pair<void*, std::size_t>> syncs;

int RecordedSync(void* address, std::size_t length, int flags) {
  EXPECT_EQ(flags, MS_SYNC);
  syncs.emplace_back(address, length);
  return RealSyscalls().msync(address, length, flags);
}

TEST_F(MappingTest, SyncCoversThePagesThatHoldThePart) {
  file_.Allocate(0, 4 * kPage);
  const Mapping mapping(file_, 4 * kPage, kPage, true);
  sys().msync = RecordedSync;
  syncs.clear();
  mapping.Sync({.begin = kPage + 1, .bytes = 1}, "values");
  mapping.Sync({.begin = kPage - 1, .bytes = 2}, "values");
  mapping.Sync({.begin = 2 * kPage, .bytes = 2 * kPage}, "values");
  mapping.Sync({.begin = 100, .bytes = 0}, "values");
  mapping.Sync({.begin = 4 * kPage, .bytes = 0}, "values");
  std::byte* data = mapping.data();
  const std::vector<std::pair<void*, std::size_t>> expected = {
      {data + kPage, kPage}, {data, 2 * kPage}, {data + 2 * kPage, 2 * kPage}};
  EXPECT_EQ(syncs, expected);
}

TEST_F(MappingTest, SyncNeedsNoDescriptor) {
  file_.Allocate(0, kPage);
  const Mapping mapping(file_, kPage, kPage, true);
  file_.Close();
  mapping.data()[0] = std::byte{9};
  EXPECT_NO_THROW(mapping.Sync({.begin = 0, .bytes = kPage}, "values"));
}

TEST_F(MappingTest, SyncIsRepeatedWhenInterrupted) {
  file_.Allocate(0, kPage);
  const Mapping mapping(file_, kPage, kPage, true);
  static int calls;
  calls = 0;
  sys().msync = [](void*, std::size_t, int) {
    errno = EINTR;
    return ++calls < 3 ? -1 : 0;
  };
  EXPECT_NO_THROW(mapping.Sync({.begin = 0, .bytes = 1}, "values"));
  EXPECT_EQ(calls, 3);
}

TEST_F(MappingTest, EveryFailedSyncIsIoAndNamesTheFile) {
  file_.Allocate(0, kPage);
  const Mapping mapping(file_, kPage, kPage, true);
  static int error_number;
  sys().msync = [](void*, std::size_t, int) {
    errno = error_number;
    return -1;
  };
  for (const int number : {EIO, ENOSPC, EINVAL, ENOSYS, ENOMEM}) {
    error_number = number;
    const Error error = ErrorOf([&] { mapping.Sync({.begin = 0, .bytes = 1}, file_.path()); });
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_EQ(error.system_errno(), number);
    EXPECT_CONTAINS(error.what(), file_.path() + ": msync: ");
  }
}

TEST_F(MappingTest, FileThatCannotBeMappedChangesNothing) {
  file_.Allocate(0, kPage);
  const Mapping space = Mapping::Reserve("values", 4 * kPage, 4 * kPage);
  space.MapFile(file_, {kPage, kPage}, true);
  space.data()[kPage] = std::byte{6};
  sys().mmap = LimitedMap;
  address_space = 0;
  const Error scarce = ErrorOf([&] { space.MapFile(file_, {kPage, kPage}, true); });
  EXPECT_EQ(scarce.code(), ErrorCode::kNoSpace);
  EXPECT_CONTAINS(scarce.what(), file_.path() + ": mapping 4096 bytes: the kernel has no memory");
  EXPECT_EQ(space.data()[kPage], std::byte{6});
}

TEST_F(MappingTest, MovedFromMappingIsEmpty) {
  Mapping first(file_, 4096, 4096, true);
  std::byte* data = first.data();
  Mapping second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(first.data(), nullptr);
  Mapping third;
  third = std::move(second);
  EXPECT_EQ(third.data(), data);
}

using MappingDeathTest = MappingTest;

TEST_F(MappingDeathTest, ProtectedMappingCanBeReadOnly) {
  file_.Allocate(0, 4096);
  const Mapping mapping(file_, 4096, 4096, true);
  mapping.data()[0] = std::byte{5};
  mapping.ProtectReadOnly();
  EXPECT_EQ(mapping.data()[0], std::byte{5});
  EXPECT_DEATH(mapping.data()[0] = std::byte{6}, "");
}

}  // namespace
}  // namespace stream_store::internal
