// Orders are permutations, depend on their key and prefer no place; random numbers are uniform.
#include "store/permutation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

std::vector<std::uint64_t> OrderOf(std::uint64_t size, std::uint64_t key) {
  const KeyedPermutation permutation(size, key);
  std::vector<std::uint64_t> order(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    order[i] = permutation.At(i);
  }
  return order;
}

// Pearson's statistic of counts that should be equal, as standard deviations from its mean.
double Deviation(const std::vector<std::uint64_t>& counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0ULL));
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (const std::uint64_t count : counts) {
    sum += std::pow(static_cast<double>(count) - expected, 2) / expected;
  }
  const double freedom = static_cast<double>(counts.size() - 1);
  return (sum - freedom) / std::sqrt(2 * freedom);
}

TEST(KeyedPermutationTest, VisitsEveryPlaceOnce) {
  for (std::uint64_t size = 1; size < 400; ++size) {
    std::vector<std::uint64_t> order = OrderOf(size, size * 7);
    std::sort(order.begin(), order.end());
    for (std::uint64_t i = 0; i < size; ++i) {
      ASSERT_EQ(order[i], i) << size;
    }
  }
  for (const std::uint64_t size : {65'536U, 65'537U, 99'999U, 1'000'003U}) {
    std::vector<bool> seen(size, false);
    for (const std::uint64_t at : OrderOf(size, 3)) {
      ASSERT_LT(at, size);
      ASSERT_FALSE(seen[at]);
      seen[at] = true;
    }
  }
}

TEST(KeyedPermutationTest, StaysBelowHugeSizes) {
  for (const std::uint64_t size : {(1ULL << 48) - 1, 1ULL << 48, (1ULL << 53) + 1, 1ULL << 62}) {
    const KeyedPermutation permutation(size, 5);
    for (std::uint64_t i = 0; i < 1000; ++i) {
      ASSERT_LT(permutation.At(i), size);
      ASSERT_LT(permutation.At(size - 1 - i), size);
    }
  }
}

TEST(KeyedPermutationTest, IsAFunctionOfItsKey) {
  EXPECT_EQ(OrderOf(1000, 1), OrderOf(1000, 1));
  EXPECT_NE(OrderOf(1000, 1), OrderOf(1000, 2));
}

// Over many keys, each number comes at each place, and after each other number, equally often.
TEST(KeyedPermutationTest, FavoursNoPlaceAndNoNeighbour) {
  for (const std::uint64_t size : {2U, 3U, 5U, 10U, 37U, 257U, 300U}) {
    std::vector<std::uint64_t> places(size * size);
    std::vector<std::uint64_t> pairs(size * (size - 1));
    for (std::uint64_t key = 0; key < 4'000; ++key) {
      const std::vector<std::uint64_t> order = OrderOf(size, MixBits(key));
      for (std::uint64_t i = 0; i < size; ++i) {
        ++places[i * size + order[i]];
        if (i + 1 < size) {
          const std::uint64_t next = order[i + 1];
          ++pairs[order[i] * (size - 1) + (next > order[i] ? next - 1 : next)];
        }
      }
    }
    EXPECT_LT(Deviation(places), 6) << size;
    EXPECT_LT(Deviation(pairs), 6) << size;
  }
}

// The first windows of an epoch come from all over the store.
TEST(KeyedPermutationTest, SpreadsEveryStretchOfTheOrder) {
  constexpr std::uint64_t kSize = 1'000'000;
  for (std::uint64_t key = 0; key < 20; ++key) {
    const KeyedPermutation permutation(kSize, MixBits(key));
    for (const std::uint64_t begin : {0U, 250'000U, 900'000U}) {
      std::vector<std::uint64_t> counts(100);
      for (std::uint64_t i = 0; i < 10'000; ++i) {
        ++counts[permutation.At(begin + i) * 100 / kSize];
      }
      EXPECT_LT(std::abs(Deviation(counts)), 6) << key;
    }
  }
}

TEST(RandomBelowTest, IsUniform) {
  for (const std::uint64_t bound : {1U, 2U, 3U, 10U, 1000U}) {
    std::vector<std::uint64_t> counts(bound);
    for (std::uint64_t key = 0; key < 1000; ++key) {
      for (std::uint64_t i = 0; i < 200; ++i) {
        ++counts[RandomBelow(MixKeys(1, key), i, bound)];
      }
    }
    if (bound > 1) {
      EXPECT_LT(Deviation(counts), 6) << bound;
    }
  }
}

TEST(RandomBelowTest, RejectsNumbersThatWouldBeLikelier) {
  constexpr std::uint64_t kBound = (1ULL << 63) + (1ULL << 62);  // a quarter is rejected
  std::vector<std::uint64_t> counts(3);
  for (std::uint64_t i = 0; i < 30'000; ++i) {
    const std::uint64_t number = RandomBelow(9, i, kBound);
    ASSERT_LT(number, kBound);
    ++counts[number >> 62];
  }
  EXPECT_LT(Deviation(counts), 6);
}

}  // namespace
}  // namespace stream_store::internal
