// Tests of who may write: one writer in all processes, none in a forked child, many stores at once.

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "storage/fixture.h"
#include "support/sanitizers.h"

namespace stream_store::internal {
namespace {

class WritersTest : public StoreTest {
 protected:
  ErrorCode CodeOfOpen() const {
    return ErrorOf([this] { Open(); }).code();
  }
};

TEST_F(WritersTest, ASecondWriterIsRefusedAndToldWhoHasIt) {
  StreamStore store = Open();
  const Error error = ErrorOf([this] { Open(); });
  EXPECT_EQ(error.code(), ErrorCode::kLocked);
  EXPECT_CONTAINS(error.what(), StrCat("pid ", ::getpid()));
  const auto open = [this] { EXPECT_EQ(CodeOfOpen(), ErrorCode::kLocked); };
  EXPECT_EQ(InChild(open), 0);
  store.Append(0, {{0, 1}});
  store.Close();
  EXPECT_EQ(Show(Open().reader()), "0{0:1}");
}

TEST_F(WritersTest, ARefusedOpenChangesNothing) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  EXPECT_EQ(CodeOfOpen(), ErrorCode::kLocked);
  store.Append(1, {{0, 2}});
  store.Sync();
  EXPECT_EQ(Stored(), "0{0:1} 1{0:2}");
}

TEST_F(WritersTest, OfManyOneWins) {
#if STREAM_STORE_TSAN  // it has no room for so many reservations
  const SyscallFaults back;
  sys().getrlimit = [](int, struct rlimit* limit) {
    *limit = {.rlim_cur = rlim_t{1} << 36, .rlim_max = rlim_t{1} << 36};
    return 0;
  };
#endif
  Open().Close();
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> winners{0};
    std::atomic<int> losers{0};
    std::atomic<int> done{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        std::optional<StreamStore> store;
        try {
          store = Open();
          ++winners;
        } catch (const Error& error) {
          if (error.code() == ErrorCode::kLocked) ++losers;
        }
        ++done;
        while (done < 8) std::this_thread::yield();
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(losers, 7);
  }
}

// Between the opening of the files and the lock, the previous writer closes and shortens them.
TEST_F(WritersTest, TakesOverFromAWriterThatClosesJustNow) {
  static std::optional<StreamStore> before;
  before = Open();
  for (Step step = 0; step < 10; ++step) before->Append(step, {{0, step}});
  sys().lock = [](int fd, int command, struct flock* lock) {
    if (before) std::exchange(before, std::nullopt)->Close();
    return RealSyscalls().lock(fd, command, lock);
  };
  StreamStore store = Open();
  sys() = RealSyscalls();
  for (Step step = 10; step < 10'000; ++step) store.Append(step, {{0, step}});
  const Reader reader = store.reader();
  EXPECT_EQ(reader.num_rows(), 10'000U);
  EXPECT_EQ(reader.row(9'999).begin()->values[0], 9'999);
}

TEST_F(WritersTest, AForkedChildReadsAndMayNotWrite) {
  for (const bool grow_ahead : {false, true}) {
    std::filesystem::remove_all(path_);
    options_.grow_ahead = grow_ahead;
    StreamStore store = Open();
    store.Append(0, {{0, 1}});
    const auto child = [&] {
      EXPECT_EQ(Show(store.reader()), "0{0:1}");
      EXPECT_EQ(ErrorOf([&] { store.Append(1, {{0, 2}}); }).code(), ErrorCode::kReadOnly);
      EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kReadOnly);
      EXPECT_EQ(ErrorOf([&] { store.Reserve(1, 1); }).code(), ErrorCode::kReadOnly);
      EXPECT_EQ(ErrorOf([&] { store.DefineFields(Fields()); }).code(), ErrorCode::kReadOnly);
      store.Close();
    };
    EXPECT_EQ(InChild(child), 0);
    EXPECT_EQ(CodeOfOpen(), ErrorCode::kLocked) << "the child took the lock with it";
    store.Append(1, {{0, 2}});
    store.Close();
    EXPECT_EQ(Stored(), "0{0:1} 1{0:2}");
  }
}

// The parent's files grow, get layouts that are new to the child, and outgrow their reservations.
void AppendInParentAndReadInChild(StreamStore& store) {
  Reader reader = store.reader();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    bool right = ::read(ends[0], &byte, 1) == 1;
    try {
      reader.Refresh();
      right = right && reader.num_rows() == 2001 && reader.live();
      right = right && Show(reader.Snapshot(2)) == "0{} 1{0:5 1:6}";
      right = right && (*(reader.row(2000).begin() + 1)).values.size() == 1000;
      right = right && store.reader().num_rows() == 2001;
    } catch (const Error& error) {
      ::fprintf(stderr, "child: %s\n", error.what());
      right = false;
    }
    ::_exit(right ? 0 : 1);
  }
  store.Append(1, {{0, 5}, {1, List{6}}});
  for (Step step = 2; step <= 2000; ++step) store.Append(step, {{0, step}, {1, List(1000, step)}});
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(WritersTest, AForkedChildSeesWhatTheParentAppendsLater) {
  StreamStore store = Open();
  store.Append(0, {});
  AppendInParentAndReadInChild(store);
  StreamStore temporary = StreamStore::Temporary(options_);
  temporary.Append(0, {});
  AppendInParentAndReadInChild(temporary);
}

// A reader that shared the mappings of a writer goes on like one of another process.
TEST_F(WritersTest, AReaderOfAClosedWriterSeesWhatTheNextWriterAppends) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  Reader reader = store.reader();
  store.Close();
  EXPECT_FALSE(reader.live());
  EXPECT_EQ(reader.complete_rows(), 1U);
  WriteAndDie([](StreamStore& next) { next.Append(1, {{0, 2}, {1, List(20'000, 3)}, {2, true}}); });
  reader.Refresh();
  EXPECT_EQ(reader.num_rows(), 2U);
  EXPECT_EQ((*(reader.row(1).begin() + 1)).values.size(), 20'000U);
  const StreamStore third = Open();
  EXPECT_TRUE(reader.live());
}

// AddressSanitizer's allocator does not work in the child of a process with threads: its own locks
// stay locked there.
#if !STREAM_STORE_ASAN
TEST_F(WritersTest, AChildForkedDuringAnAppendIsNotStuck) {
  options_.grow_ahead = true;
  StreamStore store = Open();
  std::atomic<bool> stop{false};
  constexpr Step kMost = 2'000'000;  // else a slow machine fills its disk
  std::thread appender([&] {
    for (Step step = 0; !stop && step < kMost; ++step) {
      store.Append(step, {{0, step}, {1, List(5, step)}});
    }
  });
  for (int i = 0; i < 30; ++i) {
    const auto child = [&] {
      ::alarm(600);
      EXPECT_EQ(ErrorOf([&] { store.Append(1 << 30, {}); }).code(), ErrorCode::kReadOnly);
      Reader reader = store.reader();
      for (Row row = 0; row < static_cast<Row>(reader.num_rows()); row += 1000) {
        EXPECT_EQ(reader.row(row).begin()->values[0], row);
      }
    };
    EXPECT_EQ(InChild(child), 0);
  }
  stop = true;
  appender.join();
}
#endif

TEST_F(WritersTest, ALockOfAKilledWriterIsFreeAtOnce) {
  WriteAndDie([](StreamStore& store) { store.Append(0, {{0, 1}}); });
  EXPECT_EQ(Show(Open().reader()), "0{0:1}");
}

// Each store reserves address space far beyond its files; together they must leave enough.
#if STREAM_STORE_TSAN
constexpr int kStores = 10;  // little address space is left beside its shadows
#else
constexpr int kStores = 150;
#endif

TEST_F(WritersTest, ManyStoresAtOnceLeaveRoomForMemory) {
  std::vector<StreamStore> stores;
  for (int i = 0; i < kStores; ++i) {
    path_ = Scratch(StrCat("store", i));
    stores.push_back(Open());
    stores.back().Append(0, {{0, i}});
  }
#if !STREAM_STORE_TSAN
  EXPECT_NO_THROW(std::make_unique<char[]>(std::size_t{1} << 30));
#endif
  for (int i = 0; i < kStores; ++i) {
    stores[static_cast<std::size_t>(i)].Append(1, {{0, i}, {1, List(20'000, i)}});
  }
  for (int i = 0; i < kStores; ++i) {
    const Reader reader = stores[static_cast<std::size_t>(i)].reader();
    EXPECT_EQ(reader.row(1).size(), 2U);
    EXPECT_EQ((*(reader.row(1).begin() + 1)).values.back(), i);
  }
}

}  // namespace
}  // namespace stream_store::internal
