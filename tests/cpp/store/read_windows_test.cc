// Windows equal the model with right, wrong and missing hints, and write nothing outside their
// output.
#include <bit>
#include <cmath>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "store/fake_rows.h"
#include "store/read_functions.h"
#include "store/vector_copy.h"

namespace stream_store::internal {
namespace {

constexpr Value kCanary = 0x5ca1ab1e;
constexpr std::size_t kGuard = 8;  // guard elements on either side of a column

// A column of output between guard elements.
template <class T>
struct Guarded {
  explicit Guarded(std::size_t count) : words(count + 2 * kGuard, static_cast<T>(kCanary)) {}

  T* data() { return words.data() + kGuard; }

  T operator[](std::size_t i) const { return words[kGuard + i]; }

  bool GuardsStand() const {
    for (std::size_t i = 0; i < kGuard; ++i) {
      if (words[i] != static_cast<T>(kCanary) ||
          words[words.size() - 1 - i] != static_cast<T>(kCanary)) {
        return false;
      }
    }
    return true;
  }

  std::vector<T> words;
};

struct Columns {
  explicit Columns(std::size_t count)
      : values(count), types(count), steps(count), offsets(count), rows(count), numbers(count) {}

  WindowsOut out() {
    return {values.data(), types.data(), steps.data(), numbers.data(), offsets.data(), rows.data()};
  }

  bool GuardsStand() const {
    return values.GuardsStand() && types.GuardsStand() && steps.GuardsStand() &&
           offsets.GuardsStand() && rows.GuardsStand() && numbers.GuardsStand();
  }

  Guarded<std::int64_t> values, types, steps, offsets, rows;
  Guarded<float> numbers;
};

std::uint32_t ModelNumberBits(const FakeStore& store, std::size_t position) {
  const DType dtype = store.schema()[static_cast<TypeId>(store.types[position])].dtype;
  const Value word = store.values[position];
  if (dtype == DType::kFloat16 || dtype == DType::kFloat32 || dtype == DType::kFloat64) {
    const double real = std::bit_cast<double>(word);
    if (!std::isnan(real)) {
      return std::bit_cast<std::uint32_t>(static_cast<float>(real));
    }
    const auto bits = static_cast<std::uint64_t>(word);
    return static_cast<std::uint32_t>(bits >> 32 & 0x80000000U) | 0x7f800000U |
           static_cast<std::uint32_t>(bits >> 29 & 0x7fffffU);
  }
  if (dtype == DType::kUInt64) {
    return std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::uint64_t>(word)));
  }
  return std::bit_cast<std::uint32_t>(static_cast<float>(word));
}

void ExpectModel(const FakeStore& store, std::span<const Position> starts, std::size_t width,
                 const Columns& read) {
  std::size_t at = 0;
  for (const Position start : starts) {
    for (std::size_t i = 0; i < width; ++i, ++at) {
      const std::size_t p = static_cast<std::size_t>(start) + i;
      const std::string where =
          "position " + std::to_string(p) + " of the window at " + std::to_string(start);
      ASSERT_EQ(read.values[at], store.values[p]) << where;
      ASSERT_EQ(read.types[at], store.types[p]) << where;
      ASSERT_EQ(read.steps[at], store.steps[p]) << where;
      ASSERT_EQ(read.offsets[at], store.offsets[p]) << where;
      ASSERT_EQ(read.rows[at], store.rows_of[p]) << where;
      ASSERT_EQ(std::bit_cast<std::uint32_t>(read.numbers[at]), ModelNumberBits(store, p)) << where;
    }
  }
  EXPECT_TRUE(read.GuardsStand());
}

std::vector<FakeRow> RowsOfKind(const std::string& kind, std::uint64_t seed) {
  RowMaker maker(seed);
  if (kind == "wild") {
    return maker.Wild(700);
  }
  if (kind == "steady") {
    return maker.Steady(900, 0);
  }
  if (kind == "mixed") {
    return maker.Steady(900, 7);
  }
  return maker.Acting(900);
}

// While it lives, hot functions run their copy for processors without AVX2.
class WithoutAvx2 {
 public:
  WithoutAvx2() : before_(Avx2InUse()) { Avx2InUse() = false; }

  ~WithoutAvx2() { Avx2InUse() = before_; }

  WithoutAvx2(const WithoutAvx2&) = delete;
  WithoutAvx2& operator=(const WithoutAvx2&) = delete;

 private:
  bool before_;
};

// Kind of rows, hints, and the first row that is retained.
using Case = std::tuple<const char*, FakeHints, Row>;

class WindowsTest : public testing::TestWithParam<Case> {};

TEST_P(WindowsTest, EqualTheModelAtEveryWidth) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    const auto& [kind, hints, first] = GetParam();
    const FakeStore store(MixedFields(), RowsOfKind(kind, seed), hints, seed, first);
    const auto begin = static_cast<std::uint64_t>(store.first_position());
    RowMaker random(seed + 100);
    for (const std::size_t width : {1U, 2U, 3U, 5U, 16U, 64U, 127U, 128U, 600U, 1500U}) {
      if (width > store.values.size() - begin) {
        continue;
      }
      std::vector<Position> starts;
      const std::uint64_t last = store.values.size() - width;
      for (int i = 0; i < 40; ++i) {
        starts.push_back(static_cast<Position>(begin + random.Below(last - begin + 1)));
      }
      starts.insert(starts.end(), {store.first_position(), static_cast<Position>(last),
                                   static_cast<Position>(last), store.first_position()});
      Columns read(starts.size() * width);
      ReadWindows(store.view(), starts, width, read.out());
      ASSERT_NO_FATAL_FAILURE(ExpectModel(store, starts, width, read))
          << "width " << width << " seed " << seed;
    }
  }
}

TEST_P(WindowsTest, BeginAtEveryPosition) {
  const auto& [kind, hints, first] = GetParam();
  const FakeStore store(MixedFields(), RowsOfKind(kind, 9), hints, 9, first);
  std::vector<Position> starts;
  const Position begin = store.first_position();
  for (Position p = begin;
       p + 40 <= std::min<Position>(begin + 3000, static_cast<Position>(store.values.size()));
       ++p) {
    starts.push_back(p);
  }
  Columns read(starts.size() * 40);
  ReadWindows(store.view(), starts, 40, read.out());
  ExpectModel(store, starts, 40, read);
  Columns plain(starts.size() * 40);
  const WithoutAvx2 without;
  ReadWindows(store.view(), starts, 40, plain.out());
  ExpectModel(store, starts, 40, plain);
}

TEST_P(WindowsTest, FillOnlyTheColumnsWanted) {
  const auto& [kind, hints, first] = GetParam();
  const FakeStore store(MixedFields(), RowsOfKind(kind, 4), hints, 4, first);
  const Position begin = store.first_position();
  const std::vector<Position> starts = {begin + 3, begin + 500, begin + 77};
  Columns all(3 * 50);
  ReadWindows(store.view(), starts, 50, all.out());
  for (unsigned wanted = 0; wanted < 64; ++wanted) {
    Columns some(3 * 50);
    WindowsOut out = some.out();
    if ((wanted & 1) == 0) {
      out.values = nullptr;
    }
    if ((wanted & 2) == 0) {
      out.types = nullptr;
    }
    if ((wanted & 4) == 0) {
      out.step = nullptr;
    }
    if ((wanted & 8) == 0) {
      out.number = nullptr;
    }
    if ((wanted & 16) == 0) {
      out.offset = nullptr;
    }
    if ((wanted & 32) == 0) {
      out.row = nullptr;
    }
    ReadWindows(store.view(), starts, 50, out);
    EXPECT_EQ(some.values.words == all.values.words, (wanted & 1) != 0);
    EXPECT_EQ(some.types.words == all.types.words, (wanted & 2) != 0);
    EXPECT_EQ(some.steps.words == all.steps.words, (wanted & 4) != 0);
    EXPECT_EQ(some.offsets.words == all.offsets.words, (wanted & 16) != 0);
    EXPECT_EQ(some.rows.words == all.rows.words, (wanted & 32) != 0);
    EXPECT_TRUE(some.GuardsStand());
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, WindowsTest,
                         testing::Combine(testing::Values("wild", "steady", "mixed", "acting"),
                                          testing::Values(FakeHints::kRight, FakeHints::kAbsent,
                                                          FakeHints::kShort, FakeHints::kRandom,
                                                          FakeHints::kZero),
                                          testing::Values(Row{0}, Row{1}, Row{413})));

TEST(WindowsEdgeTest, PassOverAThousandEmptyRows) {
  RowMaker maker(5);
  std::vector<FakeRow> rows = maker.Steady(30, 0);
  for (Step step = 100; step < 2100; ++step) {
    rows.push_back({step, {{}}});
  }
  for (Step step = 2100; step < 2130; ++step) {
    rows.push_back({step, {{maker.Write(kPose)}}});
  }
  const FakeStore store(MixedFields(), rows);
  const std::vector<Position> starts = {300, 320, 329, 330};
  Columns read(4 * 100);
  ReadWindows(store.view(), starts, 100, read.out());
  ExpectModel(store, starts, 100, read);
}

TEST(WindowsEdgeTest, ReadLayoutsLongerThanATemplate) {
  std::vector<FakeRow> rows;
  RowMaker maker(6);
  for (Step step = 0; step < 20; ++step) {
    FakeWrite list{kLong, {}};
    for (Value i = 0; i < 505 + step; ++i) {
      list.values.push_back(i * step);
    }
    rows.push_back({step, {{maker.Write(kEpisode), list}}});
  }
  const FakeStore store(MixedFields(), rows);
  std::vector<Position> starts;
  for (Position p = 0; p < 8000; p += 37) {
    starts.push_back(p);
  }
  Columns read(starts.size() * 700);
  ReadWindows(store.view(), starts, 700, read.out());
  ExpectModel(store, starts, 700, read);
}

TEST(WindowsEdgeTest, KeepTemplatesOfDifferentStoresApart) {
  for (const Value words : {1, 2, 3}) {
    FakeWrite list{0, std::vector<Value>(static_cast<std::size_t>(words), 7)};
    std::vector<FakeRow> rows(50);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i] = {static_cast<Step>(i), {{list}}};
    }
    const FakeStore store({{.name = "x", .shape = {kRagged}}}, rows);
    const std::vector<Position> starts = {0, 7, 30};
    Columns read(3 * 20);
    ReadWindows(store.view(), starts, 20, read.out());
    ExpectModel(store, starts, 20, read);
  }
}

std::string MessageOf(const View& view, std::vector<Position> starts, std::uint64_t width) {
  Columns read(starts.size() * std::min<std::uint64_t>(width, 100));
  try {
    ReadWindows(view, starts, width, read.out());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfRange);
    EXPECT_EQ(read.values.words, Columns(read.values.words.size() - 2 * kGuard).values.words)
        << "output touched";
    return error.what();
  }
  return "no error";
}

TEST(WindowsEdgeTest, RefuseStartsOutsideAndLeaveTheOutputAlone) {
  const FakeStore store(MixedFields(), RowMaker(1).Steady(10, 0));  // 110 values
  EXPECT_EQ(MessageOf(store.view(), {0, -1}, 10),
            "window [-1, -1 + 10) is outside [0, 110): the store has 110 values");
  EXPECT_EQ(MessageOf(store.view(), {5, 101, 102}, 10),
            "window [101, 101 + 10) is outside [0, 110): the store has 110 values");
  EXPECT_EQ(MessageOf(store.view(), {0}, 111),
            "window [0, 0 + 111) is outside [0, 110): the store has 110 values");
  EXPECT_EQ(MessageOf(store.view(), {100}, 10), "no error");
  EXPECT_EQ(MessageOf(store.view(), {}, 1000), "no error");
  EXPECT_EQ(MessageOf(store.view(), {110}, 0), "no error");
}

TEST(WindowsEdgeTest, RefuseAnyWindowOfAnEmptyStore) {
  const FakeStore store(MixedFields(), {});
  EXPECT_EQ(MessageOf(store.view(), {0}, 1),
            "window [0, 0 + 1) is outside [0, 0): the store is empty");
}

TEST(WindowsEdgeTest, CallARecordCorruptThatDoesNotStartWhereTheLastOneEnds) {
  FakeStore store(MixedFields(), RowMaker(1).Steady(10, 0));
  store.records[5].start += 1;
  store.Freeze();
  Columns read(100);
  const std::vector<Position> starts = {5};
  try {
    ReadWindows(store.view(), starts, 100, read.out());
    FAIL() << "read a store whose record 5 is wrong";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    EXPECT_STREQ(error.what(),
                 "runs/a/records: record 5: expected to start at position 55 but found 56");
  }
}

}  // namespace
}  // namespace stream_store::internal
