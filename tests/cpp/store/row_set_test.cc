#include "store/row_set.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

void ExpectSame(RowSet& rows, const std::set<std::uint64_t>& model) {
  rows.Count();
  ASSERT_EQ(rows.size(), model.size());
  std::vector<std::uint64_t> ranks;
  for (std::uint64_t rank = 0; rank < model.size(); ++rank) {
    ranks.push_back(rank);
  }
  std::vector<std::uint64_t> found(ranks.size());
  rows.Select(ranks, found);
  std::uint64_t rank = 0;
  for (const std::uint64_t row : model) {
    EXPECT_EQ(found[rank], row);
    EXPECT_EQ(rows.Rank(row), rank);
    EXPECT_EQ(rows.Rank(row + 1), rank + 1);
    EXPECT_TRUE(rows.Contains(row));
    ++rank;
  }
}

TEST(RowSetTest, AgreesWithASetWhileRowsComeAndGo) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 50; ++round) {
    std::uint64_t first = random() % 5000;
    std::uint64_t end = first;
    RowSet rows(first);
    std::set<std::uint64_t> model;
    for (int step = 0; step < 30; ++step) {
      end += random() % 1500;
      for (std::uint64_t i = random() % 200; i > 0; --i) {
        const std::uint64_t row = first + random() % (end - first + 1);
        rows.Add(row);
        model.insert(row);
      }
      for (std::uint64_t i = random() % 20; i > 0; --i) {
        const std::uint64_t row = first + random() % (end - first + 700);
        rows.Remove(row);
        model.erase(row);
      }
      if (random() % 4 == 0) {
        first += random() % (end - first + 600);
        end = std::max(first, end);
        rows.RemoveBefore(first);
        model.erase(model.begin(), model.lower_bound(first));
      }
      ExpectSame(rows, model);
    }
  }
}

TEST(RowSetTest, AnEmptySetHasNoRanks) {
  RowSet rows;
  rows.Count();
  EXPECT_EQ(rows.size(), 0U);
  EXPECT_EQ(rows.Rank(0), 0U);
  EXPECT_EQ(rows.Rank(1000), 0U);
  EXPECT_FALSE(rows.Contains(3));
  rows.RemoveBefore(1'000'000);
  rows.Add(1'000'001);
  rows.Count();
  EXPECT_EQ(rows.Rank(1'000'002), 1U);
  EXPECT_EQ(rows.Rank(1'000'001), 0U);
}

}  // namespace
}  // namespace stream_store::internal
