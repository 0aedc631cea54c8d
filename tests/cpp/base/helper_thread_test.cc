// Tests of the helper threads: when rounds run, how few threads run them, and that they end in
// time, at exit() and in forked children.
#include "base/helper_thread.h"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stream_store::internal {
namespace {

using std::chrono::milliseconds;
using Kind = HelperThread::Kind;

// A helper that counts its rounds.
struct Counter {
  explicit Counter(HelperThread::Pause pause = {}, Kind kind = Kind::kGrow)
      : helper(kind, [this, pause] {
          rounds += 1;
          return pause;
        }) {}

  void AwaitRounds(int count) const {
    while (rounds < count) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  std::atomic<int> rounds{0};
  HelperThread helper;
};

// A helper whose round lasts until Open() is called.
struct Gate {
  explicit Gate(Kind kind)
      : helper(kind, [this]() -> HelperThread::Pause {
          entered += 1;
          while (!open) {
            std::this_thread::sleep_for(milliseconds(1));
          }
          left += 1;
          return {};
        }) {}

  ~Gate() { Open(); }

  void Enter() {
    helper.Start();
    while (entered == 0) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }

  void Open() { open = true; }

  std::atomic<int> entered{0};
  std::atomic<int> left{0};
  std::atomic<bool> open{false};
  HelperThread helper;
};

// How many threads of this process have a name that begins so.
int ThreadsNamed(const std::string& prefix) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(entry.path() / "comm");
    std::string name;
    count += std::getline(file, name) && name.starts_with(prefix) ? 1 : 0;
  }
  return count;
}

// Waits until no thread has such a name: the kernel may list a thread shortly after it was joined.
bool ThreadsEnd(const std::string& prefix) {
  for (int i = 0; i < 1000 && ThreadsNamed(prefix) > 0; ++i) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  return ThreadsNamed(prefix) == 0;
}

template <class Body>
int ExitCodeOfChild(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(HelperThreadTest, RunsNothingBeforeItIsStarted) {
  Counter counter;
  counter.helper.Wake();
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(counter.rounds, 0);
}

TEST(HelperThreadTest, BeginsWithARoundAndThenWaitsToBeWoken) {
  Counter counter;
  EXPECT_TRUE(counter.helper.Start());
  EXPECT_FALSE(counter.helper.Start());
  counter.AwaitRounds(1);
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(counter.rounds, 1);
  counter.helper.Wake();
  counter.AwaitRounds(2);
}

TEST(HelperThreadTest, RunsAgainAfterThePause) {
  Counter counter(milliseconds(1));
  counter.helper.Start();
  counter.AwaitRounds(3);
}

TEST(HelperThreadTest, KeepsThePausesOfManyInstances) {
  std::vector<std::unique_ptr<Counter>> often;
  std::vector<std::unique_ptr<Counter>> seldom;
  for (int i = 0; i < 20; ++i) {
    often.push_back(std::make_unique<Counter>(milliseconds(2), Kind::kSync));
    seldom.push_back(std::make_unique<Counter>(std::chrono::hours(1), Kind::kSync));
    EXPECT_TRUE(seldom.back()->helper.Start());
    EXPECT_TRUE(often.back()->helper.Start());
  }
  const auto began = std::chrono::steady_clock::now();
  for (const auto& counter : often) {
    counter->AwaitRounds(11);
  }
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(18));
  for (const auto& counter : seldom) {
    EXPECT_EQ(counter->rounds, 1);
  }
}

// A leader that sleeps long must be woken when another thread finds an earlier round.
TEST(HelperThreadTest, AShortPauseEndsWhileAnotherThreadSleepsLong) {
  Counter sleeper(std::chrono::hours(1), Kind::kSync);
  Counter other(std::chrono::hours(1), Kind::kSync);
  sleeper.helper.Start();
  other.helper.Start();
  sleeper.AwaitRounds(1);
  other.AwaitRounds(1);
  Counter quick(milliseconds(1), Kind::kSync);
  quick.helper.Start();
  quick.AwaitRounds(50);
  other.helper.Wake();
  other.AwaitRounds(2);
}

TEST(HelperThreadTest, StopEndsALongPauseAndIsFinal) {
  Counter counter(std::chrono::hours(1));
  counter.helper.Start();
  counter.AwaitRounds(1);
  counter.helper.Stop();
  EXPECT_FALSE(counter.helper.Start());
  counter.helper.Wake();
  EXPECT_EQ(counter.rounds, 1);
}

TEST(HelperThreadTest, AThousandInstancesShareAFewThreads) {
  for (const Kind kind : {Kind::kGrow, Kind::kSync}) {
    std::vector<std::unique_ptr<Counter>> all;
    for (int i = 0; i < 1000; ++i) {
      all.push_back(std::make_unique<Counter>(HelperThread::Pause{}, kind));
      EXPECT_TRUE(all.back()->helper.Start());
    }
    for (const auto& counter : all) {
      counter->AwaitRounds(1);
      counter->helper.Wake();
    }
    EXPECT_GE(ThreadsNamed("ss-"), 1);
    EXPECT_LE(ThreadsNamed("ss-"), kind == Kind::kGrow ? 2 : 4);
    for (const auto& counter : all) {
      counter->AwaitRounds(2);
    }
  }
  EXPECT_TRUE(ThreadsEnd("ss-"));
}

TEST(HelperThreadTest, TheLastStopEndsTheThreadsAndALaterStartBeginsAgain) {
  for (int i = 0; i < 20; ++i) {
    Counter first(milliseconds(1));
    Counter second(milliseconds(1));
    first.helper.Start();
    second.helper.Start();
    first.helper.Stop();
    second.AwaitRounds(2);
    EXPECT_GE(ThreadsNamed("ss-grow"), 1);
    second.helper.Stop();
    EXPECT_TRUE(ThreadsEnd("ss-grow"));
  }
}

TEST(HelperThreadTest, StopWaitsForARoundOfItsOwn) {
  Gate gate(Kind::kGrow);
  gate.Enter();
  std::thread opener([&] {
    std::this_thread::sleep_for(milliseconds(20));
    gate.Open();
  });
  gate.helper.Stop();
  EXPECT_EQ(gate.left, 1);
  opener.join();
}

TEST(HelperThreadTest, StopWaitsForNoRoundOfAnotherInstance) {
  Gate slow(Kind::kGrow);
  slow.Enter();
  Counter other;
  other.helper.Start();
  other.helper.Stop();
  EXPECT_EQ(slow.left, 0);
}

TEST(HelperThreadTest, ASlowSyncDelaysNeitherGrowthNorOtherSyncs) {
  Gate slow(Kind::kSync);
  slow.Enter();
  Counter growth;
  Counter sync(milliseconds(1), Kind::kSync);
  EXPECT_TRUE(growth.helper.Start());
  EXPECT_TRUE(sync.helper.Start());
  growth.AwaitRounds(1);
  sync.AwaitRounds(10);
  EXPECT_EQ(slow.left, 0);
}

// The thread that begins a long round may be the one that waited for all others.
TEST(HelperThreadTest, AnIdleThreadWaitsForTheRoundsThatFollowALongOne) {
  Gate slow(Kind::kSync);
  slow.Open();
  slow.Enter();
  Counter sync(milliseconds(20), Kind::kSync);
  sync.helper.Start();
  sync.AwaitRounds(2);
  slow.open = false;
  slow.helper.Wake();
  while (slow.entered < 2) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  const int before = sync.rounds;
  sync.AwaitRounds(before + 3);
  EXPECT_EQ(slow.left, 1);
}

TEST(HelperThreadTest, AWakeUpDuringARoundCausesAnotherRound) {
  Gate gate(Kind::kGrow);
  gate.Enter();
  gate.helper.Wake();
  gate.Open();
  while (gate.left < 2) {
    std::this_thread::sleep_for(milliseconds(1));
  }
}

// Both instances that are always woken again would otherwise occupy the threads.
TEST(HelperThreadTest, BusyInstancesDoNotStarveOthers) {
  std::vector<std::unique_ptr<Counter>> busy;
  for (int i = 0; i < 4; ++i) {
    busy.push_back(std::make_unique<Counter>(milliseconds(0)));
    busy.back()->helper.Start();
  }
  Counter other;
  other.helper.Start();
  other.AwaitRounds(1);
  for (int i = 2; i < 50; ++i) {
    other.helper.Wake();
    other.AwaitRounds(i);
  }
}

// Each wake-up is followed by a round that sees the number stored before it.
TEST(HelperThreadTest, NoWakeUpOfManyThreadsIsLost) {
  struct Seen {
    std::atomic<int> stored{0};
    std::atomic<int> seen{0};
    HelperThread helper{Kind::kSync, [this]() -> HelperThread::Pause {
                          seen.store(stored.load());
                          return {};
                        }};
  };

  std::vector<std::unique_ptr<Seen>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(std::make_unique<Seen>());
    all.back()->helper.Start();
  }
  std::vector<std::thread> wakers;
  for (int thread = 0; thread < 4; ++thread) {
    wakers.emplace_back([&all, thread] {
      for (int i = 1; i <= 5000; ++i) {
        Seen& item = *all[static_cast<std::size_t>(2 * thread + i % 2)];
        item.stored.store(i);
        item.helper.Wake();
        while (i % 64 < 2 && item.seen.load() < i) {
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& waker : wakers) {
    waker.join();
  }
  for (const auto& item : all) {
    while (item->seen.load() < item->stored.load()) {
      std::this_thread::yield();
    }
  }
}

TEST(HelperThreadTest, ManyThreadsStartAndStopInstances) {
  std::atomic<int> rounds{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&rounds] {
      for (int i = 0; i < 200; ++i) {
        std::atomic<bool> stopped{false};
        HelperThread helper(i % 2 == 0 ? Kind::kGrow : Kind::kSync, [&]() -> HelperThread::Pause {
          EXPECT_FALSE(stopped);
          rounds += 1;
          return std::chrono::microseconds(50);
        });
        EXPECT_TRUE(helper.Start());
        helper.Wake();
        helper.Stop();
        stopped = true;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_TRUE(ThreadsEnd("ss-"));
}

TEST(HelperThreadTest, AForkedChildAbandonsItAndEnds) {
  Counter counter(milliseconds(1));
  counter.helper.Start();
  counter.AwaitRounds(1);
  const int status = ExitCodeOfChild([&] {
    counter.helper.AbandonInForkedChild();
    counter.helper.Wake();
    counter.helper.Stop();
    return !counter.helper.Start();
  });
  EXPECT_EQ(status, 0);
}

#ifndef __SANITIZE_THREAD__  // which cannot start threads in the child of a process with threads

TEST(HelperThreadTest, ANewInstanceWorksInAForkedChild) {
  Counter grow(milliseconds(0), Kind::kGrow);
  Counter sync(milliseconds(0), Kind::kSync);
  grow.helper.Start();
  sync.helper.Start();
  for (int i = 0; i < 20; ++i) {
    const int status = ExitCodeOfChild([&] {
      grow.helper.AbandonInForkedChild();
      sync.helper.AbandonInForkedChild();
      Counter first(milliseconds(1), Kind::kGrow);
      Counter second(milliseconds(1), Kind::kSync);
      if (!first.helper.Start() || !second.helper.Start()) {
        return false;
      }
      first.AwaitRounds(3);
      second.AwaitRounds(3);
      first.helper.Stop();
      second.helper.Stop();
      return ThreadsEnd("ss-");
    });
    EXPECT_EQ(status, 0);
  }
  const int before = grow.rounds;
  grow.AwaitRounds(before + 2);  // those of the parent go on
}

// Whether the destructor below checks the threads and ends the process with the result.
bool check_threads_at_exit = false;

// Runs after the handlers of exit() and the destructors of static variables.
__attribute__((destructor)) void CheckThreadsAtExit() {
  if (check_threads_at_exit) {
    ::_exit(ThreadsEnd("ss-") ? 0 : 1);
  }
}

TEST(HelperThreadTest, ThreadsOfInstancesThatNothingStopsEndAtExit) {
  const int status = ExitCodeOfChild([] {
    auto* const leaked = new Counter(milliseconds(0));
    leaked->helper.Start();
    leaked->AwaitRounds(2);
    check_threads_at_exit = true;
    std::exit(2);
    return false;
  });
  EXPECT_EQ(status, 0);
}

#endif

}  // namespace
}  // namespace stream_store::internal
