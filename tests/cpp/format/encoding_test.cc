// Tests of Encoding: lengths, words per item, and texts of items in messages.

#include "format/encoding.h"

#include <vector>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

#include "format/layout.h"

namespace stream_store::internal {
namespace {

Encoding Of(DType dtype, std::vector<std::uint32_t> shape = {}, bool packed = false) {
  return MakeEncoding({.name = "x", .dtype = dtype, .shape = std::move(shape), .packed = packed});
}

TEST(EncodingTest, FixedShapesTakeExactlyTheirItems) {
  const Encoding image = Of(DType::kUInt8, {4, 3, 2});
  EXPECT_EQ(EncodedWords(image, Source::kUInt8, 24), 24U);
  EXPECT_EQ(EncodedWords(image, Source::kUInt8, 23), kBadLength);
  EXPECT_EQ(EncodedWords(image, Source::kWords, 24), 24U);
  EXPECT_EQ(EncodedWords(Of(DType::kFloat32), Source::kInt64, 1), 1U);
  EXPECT_EQ(EncodedWords(Of(DType::kFloat32), Source::kInt64, 0), kBadLength);
}

TEST(EncodingTest, RaggedFieldsTakeMultiplesOfTheirUnit) {
  const Encoding points = Of(DType::kFloat32, {kRagged, 3});
  EXPECT_EQ(EncodedWords(points, Source::kFloat32, 0), 0U);
  EXPECT_EQ(EncodedWords(points, Source::kFloat32, 9), 9U);
  EXPECT_EQ(EncodedWords(points, Source::kFloat32, 10), kBadLength);
  EXPECT_TRUE(points.AllowsLength(6));
  EXPECT_FALSE(points.AllowsLength(7));
}

TEST(EncodingTest, PackedFieldsRoundUpToWholeWords) {
  EXPECT_EQ(EncodedWords(Of(DType::kUInt8, {84, 84, 4}, true), Source::kUInt8, 28224), 3528U);
  EXPECT_EQ(EncodedWords(Of(DType::kInt16, {5}, true), Source::kInt64, 5), 2U);
  EXPECT_EQ(EncodedWords(Of(DType::kInt16, {5}, true), Source::kWords, 2), 2U);
  EXPECT_EQ(EncodedWords(Of(DType::kInt16, {5}, true), Source::kInt64, 8), kBadLength);
}

TEST(EncodingTest, DecimalsTakeWholeItemsOfWords) {
  EXPECT_EQ(EncodedWords(Of(DType::kDecimal128), Source::kWords, 2), 2U);
  EXPECT_EQ(EncodedWords(Of(DType::kDecimal256), Source::kWords, 2), kBadLength);
  EXPECT_EQ(EncodedWords(Of(DType::kDecimal128, {kRagged}), Source::kWords, 6), 6U);
  EXPECT_EQ(EncodedWords(Of(DType::kDecimal128, {kRagged}), Source::kWords, 5), kBadLength);
}

TEST(EncodingTest, TextIsRaggedAndFixedBinaryIsNot) {
  EXPECT_EQ(EncodedWords(Of(DType::kString), Source::kBytes, 0), 0U);
  EXPECT_EQ(EncodedWords(Of(DType::kBinary), Source::kBytes, 123), 123U);
  EXPECT_EQ(EncodedWords(Of(DType::kFixedBinary, {4}), Source::kBytes, 4), 4U);
  EXPECT_EQ(EncodedWords(Of(DType::kFixedBinary, {4}), Source::kBytes, 3), kBadLength);
}

TEST(EncodingTest, NullFieldsTakeNothing) {
  for (const auto& shape :
       {std::vector<std::uint32_t>{}, std::vector{kRagged}, std::vector<std::uint32_t>{3}}) {
    EXPECT_EQ(EncodedWords(Of(DType::kNull, shape), Source::kInt64, 0), 0U);
    EXPECT_EQ(EncodedWords(Of(DType::kNull, shape), Source::kInt64, 1), kBadLength);
    EXPECT_FALSE(Of(DType::kNull, shape).AllowsLength(1));
  }
}

TEST(EncodingTest, LengthsBeyondTheFormatDoNotWrap) {
  const Encoding list = Of(DType::kDecimal256, {kRagged});
  EXPECT_EQ(EncodedWords(list, Source::kInt64, (1ULL << 62) + 1), kBadLength);
  EXPECT_EQ(EncodedWords(list, Source::kInt64, 1ULL << 47), kBadLength);
  EXPECT_EQ(EncodedWords(Of(DType::kInt64, {kRagged}), Source::kInt64, kMaxWriteValues),
            kMaxWriteValues);
  EXPECT_EQ(EncodedWords(Of(DType::kInt64, {kRagged}), Source::kInt64, kMaxWriteValues + 1),
            kBadLength);
}

TEST(EncodingTest, ItemBytesAreThoseOfTheDecodedItem) {
  EXPECT_EQ(Of(DType::kBool).item_bytes, 1);
  EXPECT_EQ(Of(DType::kFloat16).item_bytes, 2);
  EXPECT_EQ(Of(DType::kUInt32).item_bytes, 4);
  EXPECT_EQ(Of(DType::kDate32).item_bytes, 8);
  EXPECT_EQ(Of(DType::kDecimal256).item_bytes, 32);
  EXPECT_EQ(Of(DType::kString).item_bytes, 1);
}

TEST(EncodingTest, ItemsAreShownAsTheirNumber) {
  const double doubles[] = {1.5, std::numeric_limits<double>::quiet_NaN(), -0.0, 1e300};
  EXPECT_EQ(ItemText(Source::kFloat64, doubles, 0), "1.5");
  EXPECT_EQ(ItemText(Source::kFloat64, doubles, 1), "NaN");
  EXPECT_EQ(ItemText(Source::kFloat64, doubles, 3), "1e+300");
  const float tenth = 0.1F;
  EXPECT_EQ(ItemText(Source::kFloat32, &tenth, 0), "0.1");
  const std::uint16_t half = 0x3e00;
  EXPECT_EQ(ItemText(Source::kFloat16, &half, 0), "1.5");
  const std::uint64_t large = UINT64_MAX;
  EXPECT_EQ(ItemText(Source::kUInt64, &large, 0), "18446744073709551615");
  EXPECT_EQ(ItemText(Source::kInt64, &large, 0), "-1");
  EXPECT_EQ(ItemText(Source::kBytes, &large, 2), "byte 0xff");
  EXPECT_EQ(ItemText(Source::kBool, &large, 1), "true");
}

TEST(EncodingTest, SourcesMatchTheirTypes) {
  EXPECT_EQ(SourceBytes(SourceOf<bool>()), sizeof(bool));
  EXPECT_EQ(SourceBytes(SourceOf<std::uint16_t>()), 2U);
  EXPECT_EQ(SourceBytes(SourceOf<long long>()), 8U);
  EXPECT_EQ(SourceBytes(SourceOf<float>()), 4U);
}

}  // namespace
}  // namespace stream_store::internal
