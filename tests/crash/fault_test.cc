// Every system call of a store's life fails in turn, once or from then on, with each errno; and the
// process is killed at each. In all cases the library throws a typed error, no acknowledged row is
// lost, no leftovers remain, and the store can be used again.
//
// By hand: FAULT_STRIDE=1 crash_fault_test tests every call with every errno. CI lets every call
// fail with EIO, and every fifth with the other errnos.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "crash/fault_fixture.h"
#include "crash/rows.h"
#include "crash/shim.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

namespace fs = std::filesystem;
using Fault = Shim::Fault;

constexpr Row kRows = 55;

// Shared between processes, so that it survives the one that stores into it.
struct Acknowledged {
  std::atomic<Row> begun{0};  // appends that were called
  std::atomic<Row> rows{0};   // appends that returned
  std::atomic<Row> synced{0};
};

class FaultTest : public FaultFixture {
 protected:
  void Renew() override {
    MakePlace();
    done_->begun = done_->rows = done_->synced = 0;
  }

  // A complete life: create, append and grow, sync, checkpoint, close, reopen, read, verify,
  // repair.
  void Live() override {
    for (const Row rows : {kRows, kRows + 3}) {
      std::optional<StreamStore> store;
      if (Refused([&] { store = StreamStore::Open(path_, RowOptions()); })) continue;
      AppendUpTo(*store, rows);
      Refused([&] { store->Close(); });
    }
    Refused([&] { Reader::Open(path_).row(0); });
    Refused([&] { Verify(path_); });
    Refused([&] { Repair(path_, place_ / "repaired"); });
  }

  void AppendUpTo(StreamStore& store, Row rows) {
    bool poisoned = false;
    int refusals = 0;
    Row row = static_cast<Row>(store.reader().num_rows());
    while (row < rows && refusals < 5) {
      done_->begun = row + 1;
      if (Refused([&] { AppendWholeRow(store, row); })) {
        ++refusals;
        EXPECT_EQ(store.reader().num_rows(), static_cast<std::uint64_t>(row)) << "a refused append";
        continue;
      }
      EXPECT_FALSE(poisoned) << "an append after a failed sync was taken";
      done_->rows = ++row;
      if (row % 20 == 0) {
        const bool failed = Refused([&] { done_->synced = static_cast<Row>(store.Sync()); });
        EXPECT_TRUE(failed || !poisoned) << "a sync after a failed sync succeeded";
        poisoned = poisoned || failed;
      }
      if (row == 30) Refused([&] { store.reader().Checkpoint(place_ / "copy"); });
    }
  }

  // Checks the store with the real calls.
  void ExpectAllIsWell(const std::string& what) override {
    SCOPED_TRACE(what);
    for (const char* name : {"copy", "repaired"}) {
      if (!fs::exists(place_ / name)) continue;
      EXPECT_TRUE(Verify(place_ / name).findings.empty()) << name;
      EXPECT_EQ(WrongRow(Reader::Open(place_ / name)), "");
    }
    if (fs::exists(path_)) {
      const VerifyReport report = Verify(path_);
      EXPECT_TRUE(report.ok()) << FindingText(report.findings.front());
      const Reader reader = Reader::Open(path_);
      EXPECT_GE(reader.num_rows(), static_cast<std::uint64_t>(done_->rows.load()));
      EXPECT_LE(reader.num_rows(),
                static_cast<std::uint64_t>(std::max(done_->begun.load(), done_->rows.load())));
      EXPECT_NE(reader.recovery().state, Recovery::State::kTruncated) << reader.recovery().reason;
      EXPECT_EQ(WrongRow(reader), "");
    } else {
      EXPECT_EQ(done_->rows, 0) << "the store is gone";
    }
    StreamStore store = StreamStore::Open(path_, RowOptions());
    const Row row = static_cast<Row>(store.reader().num_rows());
    AppendWholeRow(store, row);
    EXPECT_EQ(store.Sync(), static_cast<std::uint64_t>(row) + 1);
    store.Close();
    EXPECT_TRUE(Verify(path_).findings.empty());
    ExpectNoLeftovers("store");
  }

  const SharedObject<Acknowledged> done_;
};

TEST_F(FaultTest, AnyCallMayFailOnceOrAlways) { FailAnyCall(); }

TEST_F(FaultTest, TheProcessMayBeKilledAtAnyCall) { KillAtAnyCall(); }

// Opens a store whose writer died. Each call of that recovery fails in turn, or kills the process
// again.
TEST_F(FaultTest, RecoveryMayFailOrDieAtAnyCall) {
  const fs::path dead = scratch_ / "dead";
  const auto die = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      auto& store = *new StreamStore(StreamStore::Open(path_, RowOptions()));
      AppendUpTo(store, 38);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  };
  die();
  fs::copy(path_, dead, fs::copy_options::recursive);
  const auto recover = [&] {
    Refused([&] {
      StreamStore store = StreamStore::Open(path_, RowOptions());
      EXPECT_EQ(store.recovery().state, Recovery::State::kProcessCrash);
      EXPECT_EQ(store.reader().num_rows(), 38U);
      AppendUpTo(store, 40);
    });
  };
  std::uint64_t lives = 0;
  for (const Fault fault : {Fault::kOnce, Fault::kAlways, Fault::kKill}) {
    for (std::uint64_t nth = 1;; nth += Stride(100)) {
      fs::remove_all(path_);
      fs::copy(dead, path_, fs::copy_options::recursive);
      done_->begun = done_->rows = 38;
      bool reached = false;
      const pid_t child =
          ::fork();  // in a child, so that a failed writer's memory does not affect the next round
      if (child == 0) {
        const Shim shim(nth, fault, EIO);
        recover();
        ::_exit(shim.faults() > 0 ? 1 : HasFailure() ? 2 : 0);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      reached = WIFSIGNALED(status) || WEXITSTATUS(status) == 1;
      ASSERT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) < 2);
      done_->begun = 40;
      ExpectAllIsWell(StrCat("recovery, call ", nth));
      if (HasFailure()) return;
      ++lives;
      if (!reached) break;
    }
  }
  std::cout << "recoveries: " << lives << " with a fault, 0 lost" << std::endl;
}

}  // namespace
}  // namespace stream_store::crash
