// Tests of the background syncs of a persistent store, while appends go on.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>

#include <sys/stat.h>

#include "stream_store/verify.h"

#include "storage/fixture.h"
#include "support/patience.h"

namespace stream_store::internal {
namespace {

using std::chrono::milliseconds;

class BackgroundSyncTest : public StoreTest {
 protected:
  // Whether the condition becomes true in the end: no test here depends on speed.
  static bool Becomes(const std::function<bool()>& condition) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }

  static std::set<std::string> Threads() {
    std::set<std::string> threads;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
      threads.insert(entry.path().filename());
    }
    return threads;
  }

  // Threads are not counted: a joined one stays listed until the kernel is done with it.
  static std::size_t ThreadsBeside(const std::set<std::string>& known) {
    const std::set<std::string> now = Threads();
    return static_cast<std::size_t>(std::ranges::count_if(
        now, [&](const std::string& thread) { return !known.contains(thread); }));
  }

  void ExpectNoFindings() const {
    for (const Finding& finding : Verify(path_).findings) ADD_FAILURE() << FindingText(finding);
  }
};

TEST_F(BackgroundSyncTest, WhatWasAppendedBecomesDurableByItself) {
  options_.sync_interval = milliseconds(5);
  StreamStore store = Open();
  for (Step step = 0; step < 3; ++step) {
    store.Append(step, {{0, step}, {1, List{1, 2}}});
    EXPECT_TRUE(
        Becomes([&] { return store.durable_rows() == static_cast<std::uint64_t>(step) + 1; }));
  }
  const auto newest = ChooseSlot(Slots()[0], Slots()[1]);
  EXPECT_EQ(newest->records, 3U);
  EXPECT_EQ(newest->values, 9U);
  EXPECT_EQ(newest->field_writes, 6U);
  EXPECT_EQ(newest->rows, 3U);
  EXPECT_FALSE(newest->clean);
}

TEST_F(BackgroundSyncTest, SoManyBytesAreEnoughToo) {
  options_.sync_bytes = 10'000;
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  store.Append(1, {{1, List(2'000, 1)}});
  EXPECT_TRUE(Becomes([&] { return store.durable_rows() == 2; }));
}

TEST_F(BackgroundSyncTest, OffIsNoThread) {
  std::thread([] {}).join();  // with the first thread a sanitizer starts one of its own
  const std::set<std::string> before = Threads();
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  EXPECT_EQ(ThreadsBeside(before), 0U);
  options_.sync_interval = std::chrono::hours(1);
  StreamStore temporary = StreamStore::Temporary(options_);
  temporary.Append(0, {{0, 1}});
  EXPECT_EQ(ThreadsBeside(before), 0U) << "temporary stores are never durable";
  store.Close();
  StreamStore other = Open();
  other.Append(1, {{0, 1}});
  EXPECT_EQ(ThreadsBeside(before), 1U);
  other.Close();
  EXPECT_TRUE(Becomes([&] { return ThreadsBeside(before) == 0; }));
}

TEST_F(BackgroundSyncTest, NothingNewIsNotSynced) {
  options_.sync_interval = milliseconds(1);
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  ASSERT_TRUE(Becomes([&] { return store.durable_rows() == 1; }));
  std::this_thread::sleep_for(milliseconds(20));
  const std::uint64_t sequence = ChooseSlot(Slots()[0], Slots()[1])->sequence;
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(ChooseSlot(Slots()[0], Slots()[1])->sequence, sequence);
}

TEST_F(BackgroundSyncTest, AFailureIsToldByTheNextCallAndIsFinal) {
  options_.sync_interval = milliseconds(5);
  const SyscallFaults faults;  // before there is a thread
  static std::atomic<int> failing;
  failing = 0;
  sys().fdatasync = [](int fd) {
    if (failing == 0) {
      return RealSyscalls().fdatasync(fd);
    }
    failing = 0;
    errno = EIO;
    return -1;
  };
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  ASSERT_TRUE(Becomes([&] { return store.durable_rows() == 1; }));
  failing = 1;
  Step step = 0;
  const auto refused = [&] {
    try {
      ++step;
      store.Append(step, {{0, step}});
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIo);
      EXPECT_EQ(error.system_errno(), EIO);
      return true;
    }
  };
  EXPECT_TRUE(Becomes(refused));
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  EXPECT_EQ(store.durable_rows(), 1U);
  store.Close();
}

// Syncs, growth, new mappings and appends at once; the slots count the right numbers.
TEST_F(BackgroundSyncTest, SlotsAreRightWhileTheStoreGrows) {
  options_.sync_interval = milliseconds(1);
  options_.sync_bytes = 100'000;
  static constexpr off_t kMore = 64 << 10;
  static std::atomic<off_t> largest;  // the largest file
  largest = 0;
  for (const bool little : {false, true}) {
    std::filesystem::remove_all(path_);
    const SyscallFaults faults;
    if (little) {  // address space for little more than the file: it is mapped again and again
      sys().fallocate = [](int fd, int mode, off_t offset, off_t length) {
        largest = std::max(largest.load(), offset + length);
        return RealSyscalls().fallocate(fd, mode, offset, length);
      };
      sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
        if (fd < 0 && static_cast<off_t>(size) > std::max(largest + kMore, off_t{256} << 10)) {
          errno = ENOMEM;
          return MAP_FAILED;
        }
        return RealSyscalls().mmap(at, size, protection, flags, fd, offset);
      };
    }
    const auto write = [&] {
      StreamStore& store = *new StreamStore(Open());
      for (Step step = 0; step < 20'000; ++step) {
        store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step % 9), step)}});
        if (step % 3 == 0) store.Append(step, {{2, true}});
        if (step % 4096 == 0) {
          EXPECT_GE(store.Sync(), static_cast<std::uint64_t>(step));
        }
      }
      EXPECT_TRUE(Becomes([&] { return store.durable_rows() == 20'000; }));
    };
    ASSERT_EQ(InChild(write), 0);
    sys() = RealSyscalls();
    ExpectNoFindings();
    EXPECT_EQ(Reader::Open(path_).num_rows(), 20'000U);
    EXPECT_EQ(ChooseSlot(Slots()[0], Slots()[1])->rows, 20'000U);
  }
}

TEST_F(BackgroundSyncTest, AForkedChildIsNotDisturbedByIt) {
  options_.sync_interval = milliseconds(1);
  StreamStore store = Open();
  for (Step step = 0; step < 50; ++step) {
    store.Append(step, {{0, step}});
    const auto child = [&] {
      ::alarm(600);
      EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kReadOnly);
      EXPECT_EQ(store.reader().num_rows(), static_cast<std::uint64_t>(step) + 1);
      store.Close();
    };
    ASSERT_EQ(InChild(child), 0);
  }
  EXPECT_TRUE(Becomes([&] { return store.durable_rows() == 50; }));
}

}  // namespace
}  // namespace stream_store::internal
