// Tests of a disk that is full a moment after chunks were dropped: their space may become free late,
// so appends wait for it, but not on a disk that is full for another reason.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <thread>

#include "stream_store/interop.h"

#include "storage/chunks_fixture.h"
#include "support/patience.h"

namespace stream_store::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// A disk that frees the space of a deleted file only after the library has slept for a while. Time
// passes in its sleeps only, so the tests take none.
class LateDisk {
 public:
  explicit LateDisk(std::uint64_t free) {
    state() = State{.free = free};
    sys().fallocate = &Allocate;
    sys().ftruncate = &Truncate;
    sys().unlink_at = &Unlink;
    sys().nanosleep = &Sleep;
  }

  LateDisk(const LateDisk&) = delete;
  LateDisk& operator=(const LateDisk&) = delete;

  ~LateDisk() { sys() = RealSyscalls(); }

  static void SetDelay(nanoseconds delay) {
    const std::scoped_lock lock(mutex());
    state().delay = delay;
  }

  static nanoseconds slept() {
    const std::scoped_lock lock(mutex());
    return state().slept;
  }

  static int& failing_errno() { return state().error; }

  static int Sleep(const struct timespec* time, struct timespec*) {
    const std::scoped_lock lock(mutex());
    state().slept += seconds(time->tv_sec) + nanoseconds(time->tv_nsec);
    return 0;
  }

 private:
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }

  struct State {
    std::uint64_t free = 0;
    std::uint64_t late = 0;  // free after `delay`
    nanoseconds delay{0};
    nanoseconds slept{0};
    int error = ENOSPC;
  };

  static State& state() {
    static State instance;
    return instance;
  }

  static std::uint64_t SizeOf(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
  }

  static int Allocate(int fd, int mode, off_t offset, off_t length) {
    const std::scoped_lock lock(mutex());
    State& disk = state();
    if (disk.slept >= disk.delay) disk.free += std::exchange(disk.late, 0);
    const std::uint64_t size = SizeOf(fd);
    const auto end = static_cast<std::uint64_t>(offset + length);
    const std::uint64_t more = end - std::min(end, size);
    if (more > disk.free) {
      errno = disk.error;
      return -1;
    }
    disk.free -= more;
    return RealSyscalls().fallocate(fd, mode, offset, length);
  }

  static int Truncate(int fd, off_t length) {
    const std::scoped_lock lock(mutex());
    const std::uint64_t size = SizeOf(fd);
    const int result = RealSyscalls().ftruncate(fd, length);
    const std::uint64_t shorter = size - std::min(size, static_cast<std::uint64_t>(length));
    if (result == 0) state().free += shorter;
    return result;
  }

  static int Unlink(int directory, const char* name, int flags) {
    const std::scoped_lock lock(mutex());
    struct stat status{};
    if (::fstatat(directory, name, &status, 0) == 0) {
      state().late += static_cast<std::uint64_t>(status.st_size);
    }
    return RealSyscalls().unlink_at(directory, name, flags);
  }
};

class FreedSpaceTest : public ChunksTest {
 protected:
  static constexpr std::uint64_t kDisk = kControlBytes + 64 * kSmallChunk;

  // Appends rows until one is refused, and expects that the disk is full.
  static void FillUp(StreamStore& store) {
    const Error full = ErrorOf([&] { Fill(store, std::numeric_limits<Step>::max()); });
    EXPECT_EQ(full.code(), ErrorCode::kNoSpace) << full.what();
  }

  static Row DropHalf(StreamStore& store) {
    const Reader reader = store.reader();
    const auto row = static_cast<Row>(reader.first_row() + reader.kept_rows() / 2);
    EXPECT_GT(store.DropBefore(row), 0U);
    return row;
  }

  static void AppendOneMore(StreamStore& store) {
    Fill(store, static_cast<Step>(store.reader().num_rows()) + 1);
  }

  LateDisk disk_{kDisk};  // `control` is allocated, too
};

TEST_F(FreedSpaceTest, APlainFullDiskIsAnErrorAtOnce) {
  StreamStore store = Open();
  for (int i = 0; i < 20; ++i) FillUp(store);
  EXPECT_EQ(LateDisk::slept(), nanoseconds(0));
}

TEST_F(FreedSpaceTest, AnAppendWaitsForTheSpaceOfDroppedChunks) {
  StreamStore store = Open();
  for (const milliseconds delay : {milliseconds(0), milliseconds(3), milliseconds(2500)}) {
    SCOPED_TRACE(delay.count());
    FillUp(store);
    const nanoseconds before = LateDisk::slept();
    LateDisk::SetDelay(before + delay);
    const Row first = DropHalf(store);
    AppendOneMore(store);
    EXPECT_GE(LateDisk::slept(), before + delay);
    EXPECT_LE(LateDisk::slept(), before + 2 * delay + milliseconds(2));
    const Reader reader = store.reader();
    EXPECT_EQ(reader.first_row(), static_cast<std::uint64_t>(first));
    EXPECT_TRUE(Verify(reader).ok());
  }
}

TEST_F(FreedSpaceTest, ADiskThatStaysFullIsAnErrorAfterSeconds) {
  StreamStore store = Open();
  FillUp(store);
  const std::uint64_t rows = store.reader().num_rows();
  LateDisk::SetDelay(seconds(1000));
  DropHalf(store);
  const Error full = ErrorOf([&] { AppendOneMore(store); });
  EXPECT_EQ(full.code(), ErrorCode::kNoSpace) << full.what();
  EXPECT_GE(LateDisk::slept(), seconds(5));
  EXPECT_LE(LateDisk::slept(), milliseconds(5200));
  EXPECT_EQ(store.reader().num_rows(), rows);
  LateDisk::SetDelay(seconds(0));
  AppendOneMore(store);
  EXPECT_EQ(store.reader().num_rows(), rows + 1);
}

// A drop syncs first, which may take long on a slow disk: nothing is free before.
TEST_F(FreedSpaceTest, AnAppendWaitsForRowsThatAreBeingDropped) {
  static std::atomic<bool> syncing;
  static std::atomic<bool> dropped;
  syncing = dropped = false;
  StreamStore store = Open();
  FillUp(store);
  sys().msync = [](void* address, std::size_t bytes, int flags) {
    syncing = true;
    while (LateDisk::slept() < seconds(20)) std::this_thread::yield();
    return RealSyscalls().msync(address, bytes, flags);
  };
  // The time of the sleeps passes faster than the drop works, so they wait for its end.
  sys().nanosleep = [](const struct timespec* time, struct timespec* left) {
    LateDisk::Sleep(time, left);
    while (LateDisk::slept() >= seconds(20) && !dropped) std::this_thread::yield();
    return 0;
  };
  std::thread dropping([&store] {
    DropHalf(store);
    dropped = true;
  });
  while (!syncing) std::this_thread::yield();
  EXPECT_NO_THROW(AppendOneMore(store));
  const nanoseconds slept = LateDisk::slept();
  const timespec rest{.tv_sec = 20, .tv_nsec = 0};
  LateDisk::Sleep(&rest, nullptr);  // ends the sync also if the append failed
  dropping.join();
  EXPECT_GE(slept, seconds(20));
  EXPECT_LE(slept, milliseconds(20'200));
  EXPECT_TRUE(Verify(store.reader()).ok());
}

TEST_F(FreedSpaceTest, WaitingHelpsAgainstAFullDiskOnly) {
  StreamStore store = Open();
  FillUp(store);
  DropHalf(store);
  LateDisk::SetDelay(seconds(1000));
  LateDisk::failing_errno() = EFBIG;
  EXPECT_EQ(ErrorOf([&] { AppendOneMore(store); }).code(), ErrorCode::kNoSpace);
  EXPECT_EQ(LateDisk::slept(), nanoseconds(0));
}

TEST_F(FreedSpaceTest, AThreadThatMayNotWaitIsToldSo) {
  StreamStore store = Open();
  FillUp(store);
  const std::uint64_t rows = store.reader().num_rows();
  {
    const interop::NoWaiting no_waiting;
    EXPECT_EQ(ErrorOf([&] { AppendOneMore(store); }).code(), ErrorCode::kNoSpace);
    EXPECT_FALSE(no_waiting.refused()) << "nothing was dropped";
  }
  LateDisk::SetDelay(milliseconds(1));
  DropHalf(store);
  {
    const interop::NoWaiting no_waiting;
    EXPECT_EQ(ErrorOf([&] { AppendOneMore(store); }).code(), ErrorCode::kNoSpace);
    EXPECT_TRUE(no_waiting.refused());
    EXPECT_EQ(store.reader().num_rows(), rows);
  }
  AppendOneMore(store);
  EXPECT_EQ(store.reader().num_rows(), rows + 1);
}

// The next writer deletes the files that a crash left, and its first append finds the disk full.
TEST_F(FreedSpaceTest, ANewWriterWaitsForTheSpaceOfLeftovers) {
  std::vector<std::filesystem::path> dropped;
  {
    StreamStore store = Open();
    FillUp(store);
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      dropped.push_back(entry.path());
    }
    DropHalf(store);
    std::erase_if(dropped, [](const auto& path) { return std::filesystem::exists(path); });
  }
  ASSERT_GE(dropped.size(), 5U);
  for (const auto& path : dropped) std::ofstream(path) << std::string(kSmallChunk, 'x');
  LateDisk::SetDelay(seconds(1000));
  StreamStore store = Open();
  FillUp(store);
  EXPECT_GE(LateDisk::slept(), seconds(5));
}

// Reads, syncs and drops need no lock that a waiting append holds.
TEST_F(FreedSpaceTest, OtherCallsGoOnWhileAnAppendWaits) {
  StreamStore store = Open();
  FillUp(store);
  LateDisk::SetDelay(std::chrono::hours(1));
  static std::atomic<int> sleeps;
  static std::atomic<bool> go_on;
  sleeps = 0;
  go_on = false;
  sys().nanosleep = [](const struct timespec*, struct timespec*) {
    sleeps += 1;
    while (!go_on) std::this_thread::yield();
    return 0;
  };
  DropHalf(store);
  std::thread appender(
      [&] { EXPECT_EQ(ErrorOf([&] { AppendOneMore(store); }).code(), ErrorCode::kNoSpace); });
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (sleeps == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_GT(sleeps, 0);
  const Row first = DropHalf(store);
  store.Sync();
  EXPECT_EQ(store.reader().first_row(), static_cast<std::uint64_t>(first));
  EXPECT_TRUE(Verify(store.reader()).ok());
  go_on = true;
  appender.join();
}

}  // namespace
}  // namespace stream_store::internal
