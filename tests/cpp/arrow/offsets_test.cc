// The offsets of exported lists and texts, at sizes that no test can export.
#include "arrow/offsets.h"

#include <vector>

#include <gtest/gtest.h>

namespace stream_store::arrow {
namespace {

template <class Offset>
std::vector<Offset> Written(std::uint64_t from, std::uint64_t each) {
  std::vector<Offset> offsets(5, -1);
  FillOffsetsOf(sizeof(Offset) == 8, reinterpret_cast<std::byte*>(offsets.data()), /*first=*/1,
                /*count=*/3, from, each);
  return offsets;
}

TEST(Offsets, RiseByTheSameNumberOfItems) {
  EXPECT_EQ(Written<std::int32_t>(7, 3), (std::vector<std::int32_t>{-1, 7, 10, 13, -1}));
  EXPECT_EQ(Written<std::int64_t>(7, 3), (std::vector<std::int64_t>{-1, 7, 10, 13, -1}));
  EXPECT_EQ(Written<std::int32_t>(7, 0), (std::vector<std::int32_t>{-1, 7, 7, 7, -1}));
}

TEST(Offsets, Of64BitsGoBeyond32Bits) {
  constexpr std::int64_t kLarge = std::int64_t{1} << 32;
  EXPECT_EQ(Written<std::int64_t>(kLarge - 1, 1),
            (std::vector<std::int64_t>{-1, kLarge - 1, kLarge, kLarge + 1, -1}));
  EXPECT_EQ(Written<std::int64_t>(5, 3 * kLarge),
            (std::vector<std::int64_t>{-1, 5, 3 * kLarge + 5, 6 * kLarge + 5, -1}));
}

TEST(Offsets, Of32BitsReachTheirLargest) {
  EXPECT_EQ(Written<std::int32_t>(INT32_MAX - 2, 1),
            (std::vector<std::int32_t>{-1, INT32_MAX - 2, INT32_MAX - 1, INT32_MAX, -1}));
}

}  // namespace
}  // namespace stream_store::arrow
