// The caches of layouts, against a map.
#include "store/layout_cache.h"

#include <map>
#include <random>
#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

View ViewOf(std::uint64_t mapping_key) {
  View view;
  view.mapping_key = mapping_key;
  return view;
}

template <class Cache>
void Set(Cache& cache, const View& view, std::uint32_t layout, int value) {
  const int* entry = cache.Insert(view, layout, [&](int& made) {
    made = value;
    return true;
  });
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(*entry, value);
}

// A cache returns the entry that was inserted last for that layout of that store, or none.
template <class Cache>
void CompareWithMap(Cache cache) {
  std::map<std::pair<std::uint64_t, std::uint32_t>, int> inserted;
  std::mt19937 random(1);
  int found = 0;
  for (int i = 0; i < 20'000; ++i) {
    const View view = ViewOf(random() % 2);
    const auto layout = static_cast<std::uint32_t>(random() % 300 * 3);
    const std::pair key(view.mapping_key, layout);
    if (const int* entry = cache.Find(view, layout); entry != nullptr) {
      ASSERT_EQ(*entry, inserted.at(key));
      ++found;
    }
    if (random() % 2 == 0) {
      Set(cache, view, layout, i);
      inserted[key] = i;
    }
  }
  EXPECT_GT(found, 10);
}

TEST(LayoutCache, ReturnsWhatWasInserted) {
  CompareWithMap(LayoutCache<int, 0>());
  CompareWithMap(LayoutCache<int, 5>());
}

TEST(GrowingLayoutCache, ReturnsWhatWasInserted) {
  CompareWithMap(GrowingLayoutCache<int, 0, 10>());
  CompareWithMap(GrowingLayoutCache<int, 4, 5>());
}

// The words of neighbouring layouts differ by a few.
TEST(GrowingLayoutCache, HoldsAsManyLayoutsAsAreUsed) {
  GrowingLayoutCache<int, 2, 10> cache;
  const View view = ViewOf(7);
  for (int round = 0; round < 8; ++round) {
    for (std::uint32_t layout = 0; layout < 200; ++layout) {
      if (cache.Find(view, 3 * layout) == nullptr) {
        Set(cache, view, 3 * layout, static_cast<int>(layout));
      }
    }
  }
  int held = 0;
  for (std::uint32_t layout = 0; layout < 200; ++layout) {
    held += cache.Find(view, 3 * layout) != nullptr ? 1 : 0;
  }
  EXPECT_GE(held, 190);
}

TEST(GrowingLayoutCache, HoldsNoMoreThanTheMost) {
  GrowingLayoutCache<int, 2, 3> cache;
  const View view = ViewOf(7);
  int held = 0;
  for (std::uint32_t layout = 0; layout < 1000; ++layout) {
    Set(cache, view, layout, 1);
  }
  for (std::uint32_t layout = 0; layout < 1000; ++layout) {
    held += cache.Find(view, layout) != nullptr ? 1 : 0;
  }
  EXPECT_EQ(held, 8);
}

template <class Cache>
void RefuseEntries(Cache cache) {
  const View view = ViewOf(1);
  Set(cache, view, 5, 1);
  EXPECT_EQ(cache.Insert(view, 5, [](int& made) { return (made = 2) == 0; }), nullptr);
  EXPECT_EQ(cache.Find(view, 5), nullptr);
  Set(cache, view, 5, 3);
  const auto fail = [](int& made) -> bool {
    made = 4;
    throw std::runtime_error("a corrupt layout");
  };
  EXPECT_THROW(cache.Insert(view, 5, fail), std::runtime_error);
  EXPECT_EQ(cache.Find(view, 5), nullptr);
}

TEST(LayoutCache, KeepsNoEntryThatWasNotCompleted) {
  RefuseEntries(LayoutCache<int, 3>());
  RefuseEntries(GrowingLayoutCache<int, 3, 6>());
}

}  // namespace
}  // namespace stream_store::internal
