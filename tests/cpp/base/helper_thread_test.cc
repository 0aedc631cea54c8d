// Tests of the helper thread: when rounds run, and that it ends in time and in forked children.
#include "base/helper_thread.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace stream_store::internal {
namespace {

using std::chrono::milliseconds;

// A helper that counts its rounds.
struct Counter {
  explicit Counter(HelperThread::Pause pause = {})
      : helper([this, pause] {
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

TEST(HelperThreadTest, StopEndsALongPauseAndIsFinal) {
  Counter counter(std::chrono::hours(1));
  counter.helper.Start();
  counter.AwaitRounds(1);
  counter.helper.Stop();
  EXPECT_FALSE(counter.helper.Start());
  counter.helper.Wake();
  EXPECT_EQ(counter.rounds, 1);
}

TEST(HelperThreadTest, AForkedChildAbandonsItAndEnds) {
  Counter counter(milliseconds(1));
  counter.helper.Start();
  counter.AwaitRounds(1);
  const pid_t child = ::fork();
  if (child == 0) {
    counter.helper.AbandonInForkedChild();
    counter.helper.Wake();
    counter.helper.Stop();
    ::_exit(counter.helper.Start() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace stream_store::internal
