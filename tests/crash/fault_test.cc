// Every system call of a store's life fails in turn, once or from then on, with each errno; and the
// process is killed at each. In all cases the library throws a typed error, no acknowledged row is
// lost, no leftovers remain, and the store can be used again.
//
// By hand: FAULT_STRIDE=1 crash_fault_test tests every call with every errno. CI lets every call
// fail with EIO, and every fifth with the other errnos.

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <optional>
#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "crash/place.h"
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

// The distance between calls that fail, so that about `percent` of them are tested.
std::uint64_t Stride(std::uint64_t percent) {
  return FromEnvironment("FAULT_STRIDE", 100 / Effort(percent));
}

// Whether a signal may interrupt this call. The library must retry it, so no error may be thrown.
bool Interruptible(const std::string& call) {
  constexpr std::array<const char*, 10> kCalls = {"open",      "pread",     "pwrite", "fallocate",
                                                  "ftruncate", "fdatasync", "fsync",  "msync",
                                                  "lock",      "getrandom"};
  return std::ranges::find(kCalls, call) != kCalls.end();
}

std::size_t OpenDescriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

// The number of mappings of files in a directory.
std::size_t Mappings(const fs::path& directory) {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(directory.string()) != std::string::npos ? 1U : 0U;
  }
  return count;
}

class FaultTest : public ::testing::Test {
 protected:
  FaultTest() {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    done_ = new (page) Acknowledged;
    Renew();
  }

  ~FaultTest() override { ::munmap(done_, 4096); }

  void Renew() {
    fs::remove_all(place_);
    fs::create_directory(place_);
    refused_ = 0;
    done_->begun = done_->rows = done_->synced = 0;
  }

  // Runs `work`, and expects only the errors that the library may throw for a failed call.
  bool Refused(const std::function<void()>& call) {
    try {
      call();
      return false;
    } catch (const Error& error) {
      refused_ += 1;
      const ErrorCode code = error.code();
      const bool typed = code == ErrorCode::kIo || code == ErrorCode::kNoSpace ||
                         code == ErrorCode::kNotFound || code == ErrorCode::kCorrupt ||
                         code == ErrorCode::kLocked;
      EXPECT_TRUE(typed) << error.what();
      EXPECT_NE(std::string(error.what()), "");
      return true;
    }
  }

  // A complete life: create, append and grow, sync, checkpoint, close, reopen, read, verify,
  // repair.
  void Live() {
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
  void ExpectAllIsWell(const std::string& what) {
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
    for (const auto& entry : fs::directory_iterator(place_)) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(".store.tmp-")) << entry.path();
    }
  }

  std::uint64_t CallsOfALife() {
    const Shim counting(0, Fault::kNone, 0);
    Live();
    return counting.calls();
  }

  std::uint64_t refused_ = 0;
  FastDirectory scratch_;
  const fs::path place_ = scratch_ / "place";
  const fs::path path_ = place_ / "store";
  Acknowledged* done_;
};

TEST_F(FaultTest, AnyCallMayFailOnceOrAlways) {
  const std::uint64_t calls = CallsOfALife();
  ExpectAllIsWell("no fault");
  std::uint64_t lives = 0;
  std::map<std::string, std::uint64_t> sites;
  for (const int error : {EIO, ENOSPC, EINTR, EMFILE, ENOMEM}) {
    for (const Fault fault : {Fault::kOnce, Fault::kAlways}) {
      for (std::uint64_t nth = 1; nth <= calls; nth += Stride(error == EIO ? 100 : 20)) {
        Renew();
        const std::size_t descriptors = OpenDescriptors();
        std::string what;
        std::string shim_name;
        {
          const Shim shim(nth, fault, error);
          Live();
          what = StrCat("call ", nth, ", ", shim.name(), ", fails ",
                        fault == Fault::kOnce ? "once" : "always", " with errno ", error);
          sites[shim.name()] += 1;
          shim_name = shim.name();
        }
        EXPECT_EQ(OpenDescriptors(), descriptors) << what;
        if (error == EINTR && Interruptible(shim_name)) {
          EXPECT_EQ(refused_, 0U) << what;
        }
        EXPECT_EQ(Mappings(place_), 0U) << what;
        ExpectAllIsWell(what);
        ++lives;
        if (HasFailure()) return;
      }
    }
  }
  std::cout << "faults: " << calls << " calls in a life, " << lives << " lives with a fault at "
            << sites.size() << " kinds of call, 0 lost" << std::endl;
  if (Stride(100) == 1) {  // a larger stride may skip all calls of one kind
    EXPECT_GE(sites.size(), 13U);
  }
}

TEST_F(FaultTest, TheProcessMayBeKilledAtAnyCall) {
  const std::uint64_t calls = CallsOfALife();
  std::uint64_t kills = 0;
  for (std::uint64_t nth = 1; nth <= calls; nth += Stride(100)) {
    Renew();
    const pid_t child = ::fork();
    if (child == 0) {
      const Shim shim(nth, Fault::kKill, 0);
      Live();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    kills += WIFSIGNALED(status) ? 1U : 0U;
    ExpectAllIsWell(StrCat("killed at call ", nth));
    if (HasFailure()) return;
  }
  std::cout << "kills: at " << kills << " of " << calls << " calls, 0 lost" << std::endl;
}

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
