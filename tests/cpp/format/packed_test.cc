// Tests of packed fields: little-endian bytes in whole words, by the same rules as other fields.

#include <cstring>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

#include "format/encoding.h"

namespace stream_store::internal {
namespace {

Encoding Packed(DType dtype, std::uint32_t items) {
  return MakeEncoding({.name = "x", .dtype = dtype, .shape = {items}, .packed = true});
}

template <class T, class Item>
std::vector<Item> RoundTrip(DType dtype, const std::vector<T>& items) {
  const Encoding encoding = Packed(dtype, static_cast<std::uint32_t>(items.size()));
  std::vector<Value> words(encoding.unit_words, -1);
  EXPECT_EQ(Encode(encoding, SourceOf<T>(), items.data(), items.size(), words.data()), kEncodedAll);
  std::vector<Item> back(items.size());
  DecodeWords(encoding, words.data(), words.size(), back.data());
  return back;
}

TEST(PackedTest, BytesAreInOrderAndTheLastWordIsPadded) {
  const std::vector<std::uint8_t> items = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<Value> words(2, -1);
  EXPECT_EQ(Encode(Packed(DType::kUInt8, 9), Source::kUInt8, items.data(), 9, words.data()),
            kEncodedAll);
  EXPECT_EQ(words, (std::vector<Value>{0x0807060504030201, 9}));
}

TEST(PackedTest, ItemsOfTheFieldsTypeRoundTrip) {
  EXPECT_EQ((RoundTrip<float, float>(DType::kFloat32, {1.5F, -0.0F, 3e38F})),
            (std::vector<float>{1.5F, -0.0F, 3e38F}));
  EXPECT_EQ((RoundTrip<std::int16_t, std::int16_t>(DType::kInt16, {-1, 5, INT16_MIN})),
            (std::vector<std::int16_t>{-1, 5, INT16_MIN}));
}

TEST(PackedTest, OtherTypesConvertUnderTheSameRules) {
  EXPECT_EQ((RoundTrip<std::int64_t, std::uint8_t>(DType::kUInt8, {0, 255})),
            (std::vector<std::uint8_t>{0, 255}));
  EXPECT_EQ((RoundTrip<double, std::int32_t>(DType::kInt32, {-7.0})),
            (std::vector<std::int32_t>{-7}));
  EXPECT_EQ((RoundTrip<double, float>(DType::kFloat32, {0.1})), (std::vector<float>{0.1F}));
  EXPECT_EQ((RoundTrip<float, std::uint16_t>(DType::kFloat16, {1.5F})),
            (std::vector<std::uint16_t>{0x3e00}));
  EXPECT_EQ((RoundTrip<std::int8_t, float>(DType::kFloat32, {-3})), (std::vector<float>{-3.0F}));
}

TEST(PackedTest, BoolsAreZeroOrOne) {
  const unsigned char bytes[] = {0, 7, 1};
  Value word = -1;
  EXPECT_EQ(Encode(Packed(DType::kBool, 3), Source::kBool, bytes, 3, &word), kEncodedAll);
  EXPECT_EQ(word, 0x010100);
}

TEST(PackedTest, FirstInvalidItemIsFoundAcrossChunks) {
  std::vector<std::int64_t> items(1000, 5);
  items[777] = 256;
  items[900] = -1;
  const Encoding encoding = Packed(DType::kUInt8, 1000);
  std::vector<Value> words(encoding.unit_words);
  EXPECT_EQ(Encode(encoding, Source::kInt64, items.data(), 1000, words.data()), 777U);
}

TEST(PackedTest, LongRunsCrossChunksUnharmed) {
  std::vector<std::int64_t> items(1001);
  std::iota(items.begin(), items.end(), -500);
  const auto back = RoundTrip<std::int64_t, std::int16_t>(DType::kInt16, items);
  EXPECT_TRUE(std::equal(back.begin(), back.end(), items.begin()));
}

TEST(PackedTest, WordsAreTakenAsTheyAre) {
  const Value word = 0x1122334455667788;
  Value out = 0;
  EXPECT_EQ(Encode(Packed(DType::kUInt8, 5), Source::kWords, &word, 1, &out), kEncodedAll);
  EXPECT_EQ(out, word);
  std::vector<std::uint8_t> items(6, 0xee);  // only the five items are written
  DecodeWords(Packed(DType::kUInt8, 5), &word, 1, items.data());
  EXPECT_EQ(items, (std::vector<std::uint8_t>{0x88, 0x77, 0x66, 0x55, 0x44, 0xee}));
}

TEST(PackedTest, RefusesText) {
  Value word = 0;
  EXPECT_EQ(Encode(Packed(DType::kUInt8, 3), Source::kBytes, "abc", 3, &word), 0U);
}

}  // namespace
}  // namespace stream_store::internal
