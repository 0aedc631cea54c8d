// Tests of BlockPipe: all blocks arrive in order, errors of both sides, and that no thread is left.
#include "base/block_pipe.h"

#include <atomic>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

using Numbers = std::vector<int>;

// Counts up to `end`, three numbers a block.
class Counting {
 public:
  explicit Counting(int end) : end_(end) {}

  bool Fill(Numbers& block) {
    block.clear();
    for (int i = 0; i < 3 && next_ < end_; ++i) {
      if (next_ == fails_at_) {
        throw std::runtime_error("cannot count on");
      }
      block.push_back(next_++);
    }
    ++blocks_;
    return next_ < end_;
  }

  void FailAt(int number) { fails_at_ = number; }

  int blocks() const { return blocks_; }

 private:
  const int end_;
  int next_ = 0;
  int fails_at_ = -1;
  std::atomic<int> blocks_{0};
};

Numbers UpTo(int end) {
  Numbers numbers(static_cast<std::size_t>(end));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

std::string ErrorOfRun(BlockPipe<Numbers>& pipe, bool alone) {
  try {
    alone ? pipe.RunAlone() : pipe.Run();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

// Whether both loops run in one thread.
class BlockPipeTest : public ::testing::TestWithParam<bool> {};

INSTANTIATE_TEST_SUITE_P(All, BlockPipeTest, ::testing::Values(false, true));

TEST_P(BlockPipeTest, AllBlocksArriveInOrder) {
  for (const int end : {0, 1, 3, 4, 11, 12, 13, 10'000}) {
    Counting counting(end);
    Numbers taken;
    BlockPipe<Numbers> pipe(
        [&](Numbers& block) { return counting.Fill(block); },
        [&](const Numbers& block) { taken.insert(taken.end(), block.begin(), block.end()); });
    EXPECT_EQ(ErrorOfRun(pipe, GetParam()), "");
    EXPECT_EQ(taken, UpTo(end));
  }
}

TEST_P(BlockPipeTest, WhatWasFilledBeforeAnErrorIsTaken) {
  for (const int fails_at : {0, 1, 2, 3, 4, 100}) {
    Counting counting(1000);
    counting.FailAt(fails_at);
    Numbers taken;
    BlockPipe<Numbers> pipe(
        [&](Numbers& block) { return counting.Fill(block); },
        [&](const Numbers& block) { taken.insert(taken.end(), block.begin(), block.end()); });
    EXPECT_EQ(ErrorOfRun(pipe, GetParam()), "cannot count on");
    EXPECT_EQ(taken, UpTo(fails_at));
  }
}

TEST_P(BlockPipeTest, AnErrorOfTheTakerEndsTheFillerSoon) {
  Counting counting(1'000'000);
  Numbers taken;
  BlockPipe<Numbers> pipe([&](Numbers& block) { return counting.Fill(block); },
                          [&](const Numbers& block) {
                            if (block[0] >= 30) {
                              throw std::runtime_error("cannot take on");
                            }
                            taken.insert(taken.end(), block.begin(), block.end());
                          });
  EXPECT_EQ(ErrorOfRun(pipe, GetParam()), "cannot take on");
  EXPECT_EQ(taken, UpTo(30));
  EXPECT_LE(counting.blocks(), 16);  // those taken, and the few that wait to be
}

TEST(BlockPipeThreadsTest, BlocksAreFilledInAnotherThreadUnlessThisOneIsAlone) {
  for (const bool alone : {false, true}) {
    std::thread::id filler;
    std::thread::id taker;
    BlockPipe<Numbers> pipe(
        [&](Numbers&) {
          filler = std::this_thread::get_id();
          return false;
        },
        [&](const Numbers&) { taker = std::this_thread::get_id(); });
    alone ? pipe.RunAlone() : pipe.Run();
    EXPECT_EQ(taker, std::this_thread::get_id());
    EXPECT_EQ(filler == taker, alone);
  }
}

}  // namespace
}  // namespace stream_store::internal
