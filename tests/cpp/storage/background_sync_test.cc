// Tests of the sync that a persistent store does by itself, while somebody appends.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "stream_store/verify.h"

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

using std::chrono::milliseconds;

class BackgroundSyncTest : public StoreTest {
 protected:
  // Whether it becomes true within half a minute: nothing here is a matter of speed.
  static bool Becomes(const std::function<bool()>& condition) {
    for (int i = 0; i < 30'000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return false;
  }

  static int Threads() {
    std::ifstream status("/proc/self/status");
    std::string word;
    while (status >> word && word != "Threads:") {
    }
    int threads = 0;
    status >> threads;
    return threads;
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
  std::thread([] {}).join();  // a sanitizer may have one of its own from the first on
  const int before = Threads();
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  EXPECT_EQ(Threads(), before);
  options_.sync_interval = std::chrono::hours(1);
  StreamStore temporary = StreamStore::Temporary(options_);
  temporary.Append(0, {{0, 1}});
  EXPECT_EQ(Threads(), before) << "temporary stores are never durable";
  store.Close();
  StreamStore other = Open();
  other.Append(1, {{0, 1}});
  EXPECT_EQ(Threads(), before + 1);
  other.Close();
  EXPECT_EQ(Threads(), before);
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

// Syncs, growth, mappings made anew and appends at once; the slots count what they should.
TEST_F(BackgroundSyncTest, SlotsAreRightWhileTheStoreGrows) {
  options_.sync_interval = milliseconds(1);
  options_.sync_bytes = 100'000;
  for (const bool little : {false, true}) {
    std::filesystem::remove_all(path_);
    const SyscallFaults faults;
    if (little) {  // address space for little more than the file: mapped anew again and again
      sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
        if (size > 2 << 20) {
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
    ExpectNoFindings();
    EXPECT_EQ(Reader::Open(path_).rows(), 20'000U);
    EXPECT_EQ(ChooseSlot(Slots()[0], Slots()[1])->rows, 20'000U);
  }
}

TEST_F(BackgroundSyncTest, AForkedChildIsNotDisturbedByIt) {
  options_.sync_interval = milliseconds(1);
  StreamStore store = Open();
  for (Step step = 0; step < 50; ++step) {
    store.Append(step, {{0, step}});
    const auto child = [&] {
      ::alarm(20);
      EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kReadOnly);
      EXPECT_EQ(store.reader().rows(), static_cast<std::uint64_t>(step) + 1);
      store.Close();
    };
    ASSERT_EQ(InChild(child), 0);
  }
  EXPECT_TRUE(Becomes([&] { return store.durable_rows() == 50; }));
}

}  // namespace
}  // namespace stream_store::internal
