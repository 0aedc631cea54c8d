// Kills real processes: a writer that appends at full speed, and one that creates a store.
//
// Acknowledged rows are counted in a page that is shared with the parent, so the count survives.
// By hand: KILLS=100000 SEED=7 crash_kill_test.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stream_store/store.h"

#include "crash/place.h"
#include "crash/random.h"

namespace stream_store::crash {
namespace {

// Shared between processes, so that it survives the one that stores into it.
struct Shared {
  std::atomic<std::uint64_t> rows{0};  // appends that returned
  std::atomic<bool> started{false};
};

Shared* MakeShared() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) std::abort();
  return new (page) Shared;
}

const std::vector<Field>& Fields() {
  static const std::vector<Field> fields = {
      Field{.name = "count"}, Field{.name = "list", .shape = {kRagged}},
      Field{.name = "frame", .dtype = DType::kUInt8, .shape = {24}, .packed = true}};
  return fields;
}

Options WriterOptionsOf(std::uint64_t seed) {
  return Options{.capacity_values = seed % 2 == 0 ? 1U : 100'000U,
                 .fields = Fields(),
                 .grow_ahead = seed % 3 != 0};
}

// Appends row r with one call or two: its number, r % 7 copies of it, and a frame of its lowest
// byte.
void AppendRow(StreamStore& store, Row row) {
  std::array<Value, 7> list;
  list.fill(row);
  std::array<std::uint8_t, 24> frame;
  frame.fill(static_cast<std::uint8_t>(row));
  const std::span<const Value> items(list.data(), static_cast<std::size_t>(row % 7));
  if (row % 5 == 0) {
    store.Append(row, {{0, row}, {1, items}});
    store.Append(row, {{2, frame}});
  } else {
    store.Append(row, {{0, row}, {1, items}, {2, frame}});
  }
}

// Checks that every row is as AppendRow() made it. The last one may lack the part of a second
// append.
void CheckRows(const Reader& reader) {
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    const RowView view = reader.row(row);
    const bool half = row % 5 == 0 && row + 1 == static_cast<Row>(reader.num_rows());
    ASSERT_EQ(view.step(), row);
    ASSERT_TRUE(view.size() == 3 || (half && view.size() == 2)) << "row " << row;
    const auto count = (*view.begin()).values;
    const auto list = (*(view.begin() + 1)).values;
    ASSERT_EQ(count.size(), 1U);
    ASSERT_EQ(count[0], row);
    ASSERT_EQ(list.size(), static_cast<std::size_t>(row % 7));
    ASSERT_TRUE(std::ranges::all_of(list, [row](Value value) { return value == row; }));
    if (view.size() < 3) continue;
    const auto frame = (*(view.begin() + 2)).values;
    const auto word =
        static_cast<Value>((static_cast<std::uint64_t>(row) & 0xff) * 0x0101010101010101U);
    ASSERT_EQ(frame.size(), 3U);
    ASSERT_TRUE(std::ranges::all_of(frame, [word](Value value) { return value == word; }));
  }
}

// Whether the child has ended. Does not reap it.
bool Ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == child;
}

class KillTest : public ::testing::Test {
 protected:
  ~KillTest() override { ::munmap(shared_, 4096); }

  // Runs `work` in a child and kills it a random time, at most `most`, after it has started.
  template <class Work>
  void KillDuring(const Work& work, std::chrono::nanoseconds most) {
    shared_->started.store(false);
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      try {
        work();
      } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        ::_exit(1);
      }
      ::_exit(0);
    }
    while (!shared_->started.load() && !Ended(child)) ::sched_yield();
    const auto wait = static_cast<long>(random_.Below(static_cast<std::uint64_t>(most.count())));
    const timespec pause{.tv_sec = 0, .tv_nsec = wait};
    ::nanosleep(&pause, nullptr);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "the writer failed by itself";
  }

  const std::uint64_t seed_ = FromEnvironment("SEED", 1);
  const std::uint64_t kills_ = FromEnvironment("KILLS", Effort(2'000));
  Random random_{seed_};
  Shared* shared_ = MakeShared();
  FastDirectory scratch_;
};

// The writer is killed again and again. Each life continues where the last one was stopped.
TEST_F(KillTest, AcknowledgedRowsAreNeverLost) {
  std::uint64_t rows_in_all = 0;
  std::filesystem::path path;
  for (std::uint64_t kill = 0; kill < kills_; ++kill) {
    if (kill % 20 == 0) {  // a new store, so that growth from an empty one is tested too
      std::filesystem::remove_all(path);
      path = scratch_ / ("store" + std::to_string(kill));
      rows_in_all += shared_->rows.exchange(0);
    }
    const auto write = [&] {
      StreamStore store = StreamStore::Open(path, WriterOptionsOf(kill));
      Row row = static_cast<Row>(store.reader().num_rows());
      // A half row of the previous life gets its second part.
      if (row > 0 && store.reader().row(row - 1).size() < 3) {
        std::array<std::uint8_t, 24> frame;
        frame.fill(static_cast<std::uint8_t>(row - 1));
        store.Append(row - 1, {{2, frame}});
      }
      shared_->rows.store(static_cast<std::uint64_t>(row));  // all rows are complete now
      shared_->started.store(true);
      for (;; ++row) {
        AppendRow(store, row);
        shared_->rows.store(static_cast<std::uint64_t>(row) + 1);
        if (row % 4096 == 4095) store.Sync();
      }
    };
    KillDuring(write, std::chrono::milliseconds(2));
    const Reader reader = Reader::Open(path);
    const std::uint64_t acknowledged = shared_->rows.load();
    ASSERT_GE(reader.num_rows(), acknowledged) << "kill " << kill << ", SEED=" << seed_;
    ASSERT_LE(reader.num_rows(), acknowledged + 1) << "kill " << kill << ", SEED=" << seed_;
    ASSERT_NE(reader.recovery().state, Recovery::State::kTruncated) << reader.recovery().reason;
    if (kill % 10 == 9 || kill % 20 == 0) CheckRows(reader);
    if (HasFatalFailure()) FAIL() << "kill " << kill << ", SEED=" << seed_;
  }
  rows_in_all += shared_->rows.load();
  std::cout << kills_ << " kills, " << rows_in_all << " rows acknowledged, 0 lost" << std::endl;
}

// Kills a creator at any time up to its first appends. There must be no directory, or a complete
// store.
TEST_F(KillTest, AStoreAppearsWholeOrNotAtAll) {
  const std::filesystem::path parent = scratch_ / "parent";
  const std::filesystem::path path = parent / "store";
  std::uint64_t absent = 0;
  for (std::uint64_t kill = 0; kill < kills_; ++kill) {
    std::filesystem::remove_all(parent);
    std::filesystem::create_directory(parent);
    const auto create = [&] {
      shared_->started.store(true);
      StreamStore store = StreamStore::Open(path, WriterOptionsOf(kill));
      for (Row row = 0;; ++row) AppendRow(store, row);
    };
    const std::uint64_t shortest = 16U << (kill % 6);
    KillDuring(create, std::chrono::microseconds(shortest));
    if (!std::filesystem::exists(path)) {
      ++absent;
    } else {
      CheckRows(Reader::Open(path));
    }
    StreamStore store = StreamStore::Open(path, WriterOptionsOf(kill));
    if (store.reader().num_rows() == 0) AppendRow(store, 0);
    store.Close();
    const auto entries = std::distance(std::filesystem::directory_iterator(parent), {});
    ASSERT_EQ(entries, 1) << "leftovers of kill " << kill << ", SEED=" << seed_;
    if (HasFatalFailure()) FAIL() << "kill " << kill << ", SEED=" << seed_;
  }
  std::cout << kills_ << " kills, " << absent << " before the store appeared" << std::endl;
}

// A child of the writer keeps running when the writer is killed. The lock must be free at once.
TEST_F(KillTest, AForkedChildOfAKilledWriterKeepsNoLock) {
  const std::filesystem::path path = scratch_ / "store";
  for (int round = 0; round < 20; ++round) {
    const auto fork_and_wait = [&] {
      StreamStore store = StreamStore::Open(path, WriterOptionsOf(1));
      AppendRow(store, static_cast<Row>(store.reader().num_rows()));
      if (::fork() == 0) {
        shared_->started.store(true);  // the fork handlers of the child have run
        ::usleep(200'000);
        ::_exit(0);
      }
      ::pause();
    };
    KillDuring(fork_and_wait, std::chrono::microseconds(100));
    EXPECT_EQ(StreamStore::Open(path).reader().num_rows(), static_cast<std::uint64_t>(round) + 1);
  }
}

}  // namespace
}  // namespace stream_store::crash
