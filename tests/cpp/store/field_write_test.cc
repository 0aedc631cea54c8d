// Tests of the types that convert to a FieldWrite. tests/package has the types that must not
// compile.

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"

// Debian: libeigen3-dev. Without it, a type with the same interface is tested.
#if __has_include(<eigen3/Eigen/Core>)
#include <eigen3/Eigen/Core>
#define STREAM_STORE_TEST_EIGEN 1
#endif

namespace stream_store::internal {
namespace {

enum class Mode : std::uint8_t { kIdle, kMoving = 200 };

enum Old : std::int16_t { kOld = -3 };
enum class Flag : bool { kOff, kOn };

// What Eigen::Matrix<Scalar, Rows, Cols, Options> offers.
template <class Item, int kRows, int kCols, bool kRowMajor>
struct DenseMatrix {
  using Scalar = Item;
  using PlainObject = DenseMatrix;

  enum {
    RowsAtCompileTime = kRows,
    ColsAtCompileTime = kCols,
    IsRowMajor = kRowMajor,
    InnerStrideAtCompileTime = 1,
    OuterStrideAtCompileTime = kRowMajor ? kCols : kRows,
  };

  const Item* data() const { return items.data(); }

  std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(items.size()); }

  std::vector<Item> items;
};

class FieldWriteTest : public ::testing::Test {
 protected:
  enum Type : TypeId { kNumbers, kText, kBytes, kFloats };

  template <class T>
  static void ExpectItems(const T& value, Source source, const std::vector<std::int64_t>& items) {
    StreamStore store = StreamStore::Temporary(
        {.fields = {{.name = "numbers", .shape = {kRagged}},
                    {.name = "text", .dtype = DType::kString},
                    {.name = "bytes", .dtype = DType::kUInt8, .shape = {kRagged}}}});
    const FieldWrite write(kNumbers, value);
    EXPECT_EQ(write.source(), source);
    EXPECT_EQ(write.count(), items.size());
    store.Append(0, {write});
    const Reader reader = store.reader();
    const RowView row = reader.row(0);
    const auto [type, words] = *row.begin();
    EXPECT_EQ(std::vector<std::int64_t>(words.begin(), words.end()), items);
  }

  static std::string TextOf(const FieldWrite& write) {
    EXPECT_EQ(write.source(), Source::kBytes);
    return {static_cast<const char*>(write.data()), write.count()};
  }
};

TEST_F(FieldWriteTest, NumbersBoolsAndEnumsAreOneItem) {
  ExpectItems(7, Source::kInt32, {7});
  ExpectItems(true, Source::kBool, {1});
  ExpectItems(Mode::kMoving, Source::kUInt8, {200});
  ExpectItems(kOld, Source::kInt16, {-3});
  ExpectItems(Flag::kOn, Source::kBool, {1});
  ExpectItems(std::byte{255}, Source::kUInt8, {255});
  ExpectItems(2.0F, Source::kFloat32, {2});
}

TEST_F(FieldWriteTest, ContiguousRangesAreTheirItems) {
  const std::vector<std::int32_t> numbers{1, -2, 3};
  ExpectItems(numbers, Source::kInt32, {1, -2, 3});
  ExpectItems(std::span(numbers).last(2), Source::kInt32, {-2, 3});
  ExpectItems(std::vector<Mode>{Mode::kMoving, Mode::kIdle}, Source::kUInt8, {200, 0});
  ExpectItems(std::array{Flag::kOn, Flag::kOff}, Source::kBool, {1, 0});
  ExpectItems(std::vector<std::byte>(3, std::byte{9}), Source::kUInt8, {9, 9, 9});
  ExpectItems(std::vector<double>{}, Source::kFloat64, {});
  ExpectItems(std::initializer_list<int>{4, 5}, Source::kInt32, {4, 5});
  const double c_array[2] = {1, 2};
  ExpectItems(c_array, Source::kFloat64, {1, 2});
}

TEST_F(FieldWriteTest, ArraysOfArraysAreFlat) {
  const int matrix[2][3] = {{1, 2, 3}, {4, 5, 6}};
  ExpectItems(matrix, Source::kInt32, {1, 2, 3, 4, 5, 6});
  const std::vector<std::array<float, 2>> points{{1, 2}, {3, 4}};
  ExpectItems(points, Source::kFloat32, {1, 2, 3, 4});
  ExpectItems(std::array<std::array<Mode, 2>, 1>{}, Source::kUInt8, {0, 0});
  ExpectItems(std::vector<std::array<int, 0>>(3), Source::kInt32, {});
}

TEST_F(FieldWriteTest, TextEndsAtItsZero) {
  const std::string text = "a\xc3\xa9";
  EXPECT_EQ(TextOf({kText, text}), text);
  EXPECT_EQ(TextOf({kText, std::string_view(text)}), text);
  EXPECT_EQ(TextOf({kText, text.c_str()}), text);
  EXPECT_EQ(TextOf({kText, "abc"}), "abc");
  EXPECT_EQ(TextOf({kText, u8"\u00e9"}), "\xc3\xa9");
  EXPECT_EQ(TextOf({kText, std::u8string(u8"x")}), "x");
  char buffer[8] = "ab";
  EXPECT_EQ(TextOf({kText, buffer}), "ab");
  const char full[3] = {'x', 'y', 'z'};  // no zero
  EXPECT_EQ(TextOf({kText, full}), "xyz");
}

TEST_F(FieldWriteTest, BytesFitEveryFieldOfBytes) {
  StreamStore store = StreamStore::Temporary(
      {.fields = {{.name = "binary", .dtype = DType::kBinary},
                  {.name = "packed", .dtype = DType::kUInt8, .shape = {kRagged}, .packed = true},
                  {.name = "text", .dtype = DType::kString}}});
  const std::vector<std::byte> bytes(5, std::byte{65});
  EXPECT_TRUE(store.TryAppend(0, {{0, bytes}, {1, bytes}, {2, bytes}}));
}

TEST_F(FieldWriteTest, VectorsAndRowMajorMatricesAreInCOrder) {
  ExpectItems(DenseMatrix<double, 3, 1, false>{{1, 2, 3}}, Source::kFloat64, {1, 2, 3});
  ExpectItems(DenseMatrix<float, 1, -1, true>{{4, 5}}, Source::kFloat32, {4, 5});
  ExpectItems(DenseMatrix<int, 2, 2, true>{{1, 2, 3, 4}}, Source::kInt32, {1, 2, 3, 4});
  ExpectItems(DenseMatrix<Mode, -1, -1, true>{{Mode::kMoving}}, Source::kUInt8, {200});
}

#ifdef STREAM_STORE_TEST_EIGEN
TEST_F(FieldWriteTest, EigenObjectsAreInCOrder) {
  Eigen::Matrix<double, 2, 3, Eigen::RowMajor> matrix;
  matrix << 1, 2, 3, 4, 5, 6;
  ExpectItems(matrix, Source::kFloat64, {1, 2, 3, 4, 5, 6});
  ExpectItems(matrix.row(1), Source::kFloat64, {4, 5, 6});
  const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> dynamic =
      matrix.cast<float>();
  ExpectItems(dynamic, Source::kFloat32, {1, 2, 3, 4, 5, 6});
  const Eigen::Matrix2d columns = matrix.leftCols<2>();
  using RowMajor = Eigen::Matrix<double, 2, 2, Eigen::RowMajor>;
  ExpectItems(RowMajor(columns), Source::kFloat64, {1, 2, 4, 5});
  const Eigen::Vector3d vector(7, 8, 9);
  ExpectItems(vector, Source::kFloat64, {7, 8, 9});
  ExpectItems(vector.head<2>(), Source::kFloat64, {7, 8});
  ExpectItems((vector + vector).eval(), Source::kFloat64, {14, 16, 18});
  ExpectItems(Eigen::VectorXi::LinSpaced(4, 0, 3).eval(), Source::kInt32, {0, 1, 2, 3});
  ExpectItems(Eigen::Array<int, 2, 1>(3, 4), Source::kInt32, {3, 4});
  const double raw[4] = {1, 2, 3, 4};
  ExpectItems(Eigen::Map<const Eigen::VectorXd>(raw, 3), Source::kFloat64, {1, 2, 3});
  ExpectItems(Eigen::Map<const RowMajor>(raw), Source::kFloat64, {1, 2, 3, 4});
}
#endif

}  // namespace
}  // namespace stream_store::internal
