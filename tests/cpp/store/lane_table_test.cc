#include "store/lane_table.h"

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

TEST(LaneTableTest, NumbersKeysInTheOrderOfTheirFirstUse) {
  std::mt19937_64 random(3);
  for (const std::size_t width : {1U, 2U, 3U}) {
    LaneTable table(width);
    std::map<std::vector<Value>, std::uint32_t> model;
    for (int i = 0; i < 20'000; ++i) {
      std::vector<Value> key(width);
      for (Value& word : key) {
        word = static_cast<Value>(std::uint64_t{random() % 60} << 58);  // only the high bits differ
      }
      const auto next = static_cast<std::uint32_t>(model.size());
      const auto [place, is_new] = model.emplace(key, next);
      ASSERT_EQ(table.Number(key), place->second);
    }
    EXPECT_EQ(table.size(), model.size());
  }
}

TEST(LaneTableTest, KnowsKeysThatComeInTurnAndOutOfTurn) {
  LaneTable table(2);
  const auto number = [&table](Value agent) {
    const std::vector<Value> key = {7, agent};
    return table.Number(key);
  };
  for (int round = 0; round < 3; ++round) {
    for (Value agent = 0; agent < 100; ++agent) {
      ASSERT_EQ(number(agent), static_cast<std::uint32_t>(agent));
    }
  }
  for (Value agent = 99; agent >= 0; --agent) {
    ASSERT_EQ(number(agent), static_cast<std::uint32_t>(agent));
    ASSERT_EQ(number(agent), static_cast<std::uint32_t>(agent));
  }
  EXPECT_EQ(table.size(), 100U);
}

}  // namespace
}  // namespace stream_store::internal
