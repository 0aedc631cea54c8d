// Every instruction boundary: runs a writer one instruction at a time and examines the files after
// each, as recovery would find them if the process were killed there. Sometimes it is killed.
//
// By hand: STEPS=1000000 SEED=7 crash_step_test.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <optional>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "base/syscalls.h"
#include "crash/place.h"
#include "crash/random.h"
#include "crash/rows.h"
#include "storage/recover.h"
#include "storage/store_files.h"
#include "support/sanitizers.h"

// Sanitizers execute too many instructions, and trace the process themselves.
#if !STREAM_STORE_ASAN && !STREAM_STORE_TSAN

namespace stream_store::crash {

using internal::Directory;
using internal::RealSyscalls;
using internal::Record;
using internal::sys;

namespace {

namespace fs = std::filesystem;

struct Acknowledged {
  std::atomic<Row> begun{0};   // appends that were called
  std::atomic<Row> rows{0};    // appends that returned
  std::atomic<Row> synced{0};  // rows that a sync reported as durable
};

class StepTest : public ::testing::Test {
 protected:
  StepTest() {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    done_ = new (page) Acknowledged;
  }

  ~StepTest() override { ::munmap(done_, 4096); }

  void SetUp() override {
    if (!MayTrace()) GTEST_SKIP() << "ptrace is not allowed here";
  }

  static bool MayTrace() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  // Runs `work` in a child, at full speed until it raises SIGUSR1, then one instruction at a time,
  // with `look` after each. After `most` instructions the child is killed. Returns the number of
  // instructions stepped through.
  std::uint64_t StepThrough(const std::function<void()>& work, std::uint64_t most,
                            const std::function<void()>& look) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      work();
      ::_exit(0);
    }
    int status = 0;
    const auto stopped_by = [&] { return WIFSTOPPED(status) ? WSTOPSIG(status) : 0; };
    while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status) && stopped_by() != SIGUSR1) {
      ::ptrace(PTRACE_CONT, child, nullptr, stopped_by());
    }
    std::uint64_t steps = 0;
    while (WIFSTOPPED(status) && steps < most && !HasFailure()) {
      ::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
      if (::waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) break;
      EXPECT_EQ(stopped_by(), SIGTRAP) << "the writer got a signal";
      ++steps;
      look();
    }
    if (WIFSTOPPED(status)) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status));
      ++kills_;
    } else {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the writer failed by itself";
    }
    return steps;
  }

  // Runs recovery on files that were opened before, and checks its result.
  void LookAt(const internal::StoreFiles& files) {
    const Row least = done_->rows.load(std::memory_order_acquire);
    const internal::Recovered found = internal::Recover(files);
    const Row most = std::max(done_->begun.load(std::memory_order_acquire), least);
    const auto rows = static_cast<Row>(found.cursor.rows);
    ASSERT_GE(rows, least) << "an append that returned is not there";
    ASSERT_LE(rows, most) << "rows that were not appended";
    ASSERT_TRUE(rows == least || rows == most) << "part of a call";
    ASSERT_EQ(found.cursor.records, found.published);
    ASSERT_GE(static_cast<Row>(found.slot.rows), done_->synced.load());
    if (rows > seen_) {  // the checksums are right; are the values?
      const auto* records = reinterpret_cast<const Record*>(files.records.data());
      const auto* values = reinterpret_cast<const Value*>(files.values.data());
      for (std::uint64_t i = static_cast<std::uint64_t>(seen_); i < found.cursor.records; ++i) {
        ASSERT_EQ(records[i].step, static_cast<Step>(i));
        ASSERT_EQ(values[records[i].start], static_cast<Value>(i));
      }
      seen_ = rows;
    }
  }

  const std::uint64_t steps_ = FromEnvironment("STEPS", Effort(20'000));
  Random random_{FromEnvironment("SEED", 1)};
  FastDirectory scratch_;
  const fs::path path_ = scratch_ / "store";
  Acknowledged* done_;
  Row seen_ = 0;
  std::uint64_t kills_ = 0;
};

// Steps through append, growth and sync, in many lives that end in a kill.
TEST_F(StepTest, EveryInstructionOfAppendGrowthAndSyncLeavesAWholeStore) {
  std::uint64_t steps = 0;
  std::uint64_t lives = 0;
  while (steps < steps_) {
    if (lives++ % 25 == 0) {  // start with an empty store again
      fs::remove_all(path_);
      done_->begun = done_->rows = done_->synced = seen_ = 0;
      StreamStore::Open(path_, RowOptions()).Close();
    }
    const std::uint64_t skipped = random_.Below(3);  // appends before the stepping begins
    const auto write = [&] {
      StreamStore store = StreamStore::Open(path_, RowOptions());
      const auto first = static_cast<Row>(store.reader().num_rows());
      std::uint64_t calls = 0;
      for (Row row = first; row < first + 64; ++calls) {
        if (calls == skipped) ::raise(SIGUSR1);
        const Row many = calls % 3 == 2 ? 3 : 1;
        done_->begun.store(row + many);
        many == 1 ? AppendWholeRow(store, row) : AppendThreeRows(store, row);
        row += many;
        done_->rows.store(row);
        if (calls % 4 == 3) done_->synced.store(static_cast<Row>(store.Sync()));
      }
    };
    std::shared_ptr<internal::StoreFiles> files;
    const auto look = [&] {
      if (files == nullptr)
        files = internal::StoreFiles::Open(Directory::Open(path_), /*writable=*/false);
      if (files->store_schema()->schema.empty()) files->ReloadSchema();
      LookAt(*files);
    };
    steps += StepThrough(write, 200 + random_.Below(8'000), look);
    if (HasFailure()) FAIL() << "after " << steps << " instructions";
    files.reset();
    const Reader reader = Reader::Open(path_);
    ASSERT_GE(reader.num_rows(), static_cast<std::uint64_t>(done_->rows.load()));
    ASSERT_EQ(WrongRow(reader), "");
    ASSERT_TRUE(Verify(path_).ok());
    done_->rows = done_->begun = static_cast<Row>(reader.num_rows());
  }
  std::cout << "steps: " << steps << " instruction boundaries, " << kills_ << " kills, 0 lost"
            << std::endl;
}

// Steps through complete calls that append three rows: a reader never sees only one or two of them.
TEST_F(StepTest, EveryInstructionOfAppendsOfManyRowsShowsAllOrNone) {
  constexpr Row kMany = 3;
  const auto extend = [](StreamStore& store, Row row) {
    const RowColumns rows(row, kMany);
    store.Extend(rows.steps(), rows.columns());
  };
  const auto stage = [](StreamStore& store, Row row) {
    StagedRows staged = store.Stage();
    for (const Row some : {Row{2}, kMany - 2}) {
      const RowColumns rows(row, some);
      staged.Extend(rows.steps(), rows.columns());
      row += some;
    }
    staged.Commit();
  };
  StreamStore::Open(path_, RowOptions()).Close();
  std::uint64_t steps = 0;
  std::uint64_t calls = 0;
  Row first = 0;
  const auto step_through = [&](const auto& call, std::uint64_t most) {
    const auto write = [&] {
      auto& store = *new StreamStore(StreamStore::Open(path_, RowOptions()));
      AppendWholeRow(store, first);  // opens the session
      done_->rows = first + 1;
      done_->begun = first + 1 + kMany;
      ::raise(SIGUSR1);
      call(store, first + 1);
      done_->rows = first + 1 + kMany;
    };
    std::shared_ptr<internal::StoreFiles> files;
    std::optional<Reader> reader;
    std::uint64_t shown = 0;
    const auto look = [&] {
      if (files == nullptr) {
        files = internal::StoreFiles::Open(Directory::Open(path_), /*writable=*/false);
        files->ReloadSchema();
        reader = Reader::Open(path_);
      }
      LookAt(*files);
      if (HasFatalFailure()) return;
      reader->Refresh();
      if (reader->num_rows() == shown) return;
      shown = reader->num_rows();
      ASSERT_EQ(WrongRow(*reader), "");
    };
    steps += StepThrough(write, most, look);
    ++calls;
    if (HasFailure()) return;
    const Reader after = Reader::Open(path_);
    ASSERT_GE(after.num_rows(), static_cast<std::uint64_t>(done_->rows.load()));
    ASSERT_EQ(WrongRow(after), "");
    first = static_cast<Row>(after.num_rows());
  };
  while (calls < 3 || steps < steps_) {
    const bool whole =
        calls < 3 || random_.Chance(50);  // else the writer is killed inside the call
    const std::uint64_t most = whole ? ~std::uint64_t{0} : random_.Below(10'000);
    switch (calls % 3) {
      case 0:
        step_through(AppendThreeRows, most);
        break;
      case 1:
        step_through(extend, most);
        break;
      default:
        step_through(stage, most);
    }
    if (HasFailure()) FAIL() << "after " << steps << " instructions, in call " << calls;
  }
  EXPECT_TRUE(Verify(path_).ok());
  std::cout << "steps: " << steps << " instruction boundaries of " << calls
            << " calls of many rows, " << kills_ << " kills, 0 lost" << std::endl;
}

// Steps through the creation of a store: there is nothing at the path, or a complete store.
TEST_F(StepTest, EveryInstructionOfCreateLeavesNothingOrAWholeStore) {
  std::uint64_t steps = 0;
  std::uint64_t absent = 0;
  std::uint64_t lives = 0;
  while (steps < steps_) {
    fs::remove_all(path_);
    const std::uint64_t calls = random_.Below(60);  // system calls before the stepping begins
    static std::uint64_t to_go;
    const auto create = [&] {
      to_go = calls;
      sys().fsync = [](int fd) {
        if (to_go-- == 0) ::raise(SIGUSR1);
        return RealSyscalls().fsync(fd);
      };
      if (lives % 2 == 0) ::raise(SIGUSR1);
      StreamStore store = StreamStore::Open(path_, RowOptions());
      if (to_go < 60) AppendWholeRow(store, 0);
      ::raise(SIGUSR1);
    };
    const auto look = [&] {
      if (::access(path_.c_str(), F_OK) != 0) {
        ++absent;
        return;
      }
      if (steps % 16 == 0) {
        ASSERT_LE(Reader::Open(path_).num_rows(), 1U);
      }
      ASSERT_EQ(::access((path_ / "control").c_str(), F_OK), 0);
      ASSERT_EQ(::access((path_ / "schema").c_str(), F_OK), 0);
    };
    steps += StepThrough(create, 500 + random_.Below(6'000), look);
    ++lives;
    if (HasFailure()) FAIL() << "after " << steps << " instructions";
    StreamStore store = StreamStore::Open(path_, RowOptions());
    store.Close();
    ASSERT_TRUE(Verify(path_).findings.empty());
    ASSERT_EQ(std::distance(fs::directory_iterator(scratch_.path()), {}), 1) << "leftovers";
  }
  std::cout << "create: " << steps << " instruction boundaries, at " << absent
            << " of them nothing yet, " << kills_ << " kills, 0 half stores" << std::endl;
}

}  // namespace
}  // namespace stream_store::crash

#endif
