// Appends of numbers to float16 and float32 fields: they are rounded to the nearest number of the
// field, infinities and NaNs are kept, and a finite number beyond the range is refused by name.
#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

enum Type : TypeId { kHalf, kSingle, kDouble, kHalves, kSingles, kPacked, kPackedList };

std::vector<Field> Fields() {
  return {{.name = "half", .dtype = DType::kFloat16},
          {.name = "single", .dtype = DType::kFloat32},
          {.name = "double", .dtype = DType::kFloat64},
          {.name = "halves", .dtype = DType::kFloat16, .shape = {3}},
          {.name = "singles", .dtype = DType::kFloat32, .shape = {kRagged}},
          {.name = "packed", .dtype = DType::kFloat16, .shape = {3}, .packed = true},
          {.name = "packed_list", .dtype = DType::kFloat32, .shape = {kRagged}, .packed = true}};
}

// The largest float64 that is rounded to the largest number of the type, from the definition of
// rounding to the nearest: half of the last digit's value above that number is too much.
double LargestOf(Type type) {
  const bool half = type == kHalf || type == kHalves || type == kPacked;
  const double most = half ? 65504.0 : double{std::numeric_limits<float>::max()};
  const double half_digit = half ? 16.0 : std::ldexp(1.0, 127 - 24);
  return std::nextafter(most + half_digit, 0.0);
}

class FloatRangeTest : public ::testing::Test {
 protected:
  // Writes the number as one, or as the last of three.
  static std::vector<double> Items(Type type, double number) {
    return type == kHalf || type == kSingle || type == kDouble
               ? std::vector<double>{number}
               : std::vector<double>{0.5, 1, number};
  }

  ErrorCode TryAppend(Type type, double number) {
    const std::vector<double> items = Items(type, number);
    const auto rows = static_cast<Step>(store_.reader().num_rows());
    return store_.TryAppend(rows, {{type, items}});
  }

  std::string Refusal(const std::function<void()>& append) {
    const std::uint64_t rows = store_.reader().num_rows();
    const Error error = ErrorOf(append);
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(store_.reader().num_rows(), rows);
    return error.what();
  }

  StreamStore store_ = StreamStore::Temporary({.fields = Fields()});
};

// Twice, because an append of the shape of the one before takes another path.
TEST_F(FloatRangeTest, NumbersUpToTheEndOfTheRangeAreAccepted) {
  for (const Type type : {kHalf, kSingle, kHalves, kSingles, kPacked, kPackedList}) {
    const double most = LargestOf(type);
    const double beyond = std::nextafter(most, 1e300);
    for (int round = 0; round < 2; ++round) {
      for (const double sign : {1.0, -1.0}) {
        SCOPED_TRACE(static_cast<int>(type));
        EXPECT_EQ(TryAppend(type, sign * most), ErrorCode::kOk);
        EXPECT_EQ(TryAppend(type, sign * beyond), ErrorCode::kInvalidArgument);
        EXPECT_EQ(TryAppend(type, sign * 1e300), ErrorCode::kInvalidArgument);
        EXPECT_EQ(TryAppend(type, sign * std::numeric_limits<double>::infinity()), ErrorCode::kOk);
        EXPECT_EQ(TryAppend(type, std::numeric_limits<double>::quiet_NaN()), ErrorCode::kOk);
      }
    }
  }
  EXPECT_EQ(TryAppend(kDouble, std::numeric_limits<double>::max()), ErrorCode::kOk);
}

TEST_F(FloatRangeTest, SinglesKeepTheBitsOfTheirDoubles) {
  const std::vector<double> numbers = {0.1,
                                       -0.0,
                                       LargestOf(kSingle),
                                       std::bit_cast<double>(std::uint64_t{0x7ff4dead00000001}),
                                       -std::numeric_limits<double>::infinity(),
                                       5e-324};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    store_.Append(static_cast<Step>(i), {{kSingle, numbers[i]}});
    const RowView row = store_.reader().row(static_cast<Row>(i));
    EXPECT_EQ(row.begin()->values[0], std::bit_cast<Value>(numbers[i]));
  }
}

TEST_F(FloatRangeTest, NamesTheNumberAndTheRange) {
  for (const Step step : {1, 3}) {
    EXPECT_CONTAINS(Refusal([&] { store_.Append(step, {{kSingle, 1e300}}); }),
                    "field 'single' (type id 1): 1e+300 is beyond the range of float32, "
                    "-3.4028235e+38 to 3.4028235e+38");
    EXPECT_CONTAINS(Refusal([&] { store_.Append(step, {{kHalf, 70000}}); }),
                    "field 'half' (type id 0): 70000 is beyond the range of float16, "
                    "-65504 to 65504");
    store_.Append(step + 1, {{kSingle, 0.5}});
  }
  EXPECT_CONTAINS(Refusal([&] { store_.Append(9, {{kHalf, "x"}}); }), "is not a valid float16");
}

TEST_F(FloatRangeTest, NamesTheItemAndTheRowOfACall) {
  const std::vector<double> numbers = {1, 2, 3, 4, 5, -1e39, 7, 8, 9};
  const std::vector<Step> steps = {0, 1, 2};
  for (const auto& [type, text] :
       {std::pair{kHalves, "field 'halves' (type id 3), float16[3]: -1e+39 (item 2) is beyond"},
        std::pair{kSingles, "field 'singles' (type id 4), float32[]: -1e+39 (item 2) is beyond"},
        std::pair{kPacked,
                  "field 'packed' (type id 5), packed float16[3]: -1e+39 (item 2) is beyond"},
        std::pair{kPackedList,
                  "field 'packed_list' (type id 6), packed float32[]: -1e+39 (item "
                  "2) is beyond"}}) {
    const Column column{
        .type = type, .source = Source::kFloat64, .data = numbers.data(), .row_items = 3};
    EXPECT_CONTAINS(Refusal([&] { store_.Extend(steps, {&column, 1}); }),
                    std::string("row 1 of the call: ") + text);
  }
}

}  // namespace
}  // namespace stream_store::internal
