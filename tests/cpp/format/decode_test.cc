// Tests of DecodeWords() and NumbersOf(): items round-trip, and every word can be decoded.

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

#include "format/encoding.h"

namespace stream_store::internal {
namespace {

Encoding ListOf(DType dtype) {
  return MakeEncoding({.name = "x", .dtype = dtype, .shape = {kRagged}});
}

/// The source type that has the same items as the field.
Source OwnSource(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return Source::kBool;
    case DType::kInt8:
      return Source::kInt8;
    case DType::kInt16:
      return Source::kInt16;
    case DType::kInt32:
      return Source::kInt32;
    case DType::kUInt8:
      return Source::kUInt8;
    case DType::kUInt16:
      return Source::kUInt16;
    case DType::kUInt32:
      return Source::kUInt32;
    case DType::kUInt64:
      return Source::kUInt64;
    case DType::kFloat16:
      return Source::kFloat16;
    case DType::kFloat32:
      return Source::kFloat32;
    case DType::kFloat64:
      return Source::kFloat64;
    case DType::kBinary:
      return Source::kBytes;
    case DType::kDecimal128:
    case DType::kDecimal256:
      return Source::kWords;
    default:
      return Source::kInt64;
  }
}

TEST(DecodeTest, RandomItemsOfTheFieldsOwnTypeRoundTripBitForBit) {
  std::mt19937_64 random(3);
  for (const DType dtype :
       {DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64, DType::kUInt8, DType::kUInt16,
        DType::kUInt32, DType::kUInt64, DType::kFloat16, DType::kFloat32, DType::kFloat64,
        DType::kDate64, DType::kTimestampNs, DType::kDurationS, DType::kBinary, DType::kDecimal128,
        DType::kDecimal256}) {
    for (const std::size_t words_count : {1U, 2U, 4U, 7U, 8U, 16U, 40U, 1000U, 1200U}) {
      const Encoding encoding = ListOf(dtype);
      if (words_count % encoding.item_words != 0) continue;
      std::vector<unsigned char> items(words_count / encoding.item_words * encoding.item_bytes);
      for (unsigned char& byte : items) byte = static_cast<unsigned char>(random());
      std::vector<Value> words(words_count);
      const std::uint64_t count =
          OwnSource(dtype) == Source::kWords ? words_count : words_count / encoding.item_words;
      ASSERT_EQ(Encode(encoding, OwnSource(dtype), items.data(), count, words.data()), kEncodedAll);
      std::vector<unsigned char> back(items.size());
      DecodeWords(encoding, words.data(), words_count, back.data());
      EXPECT_EQ(back, items) << DTypeName(dtype) << " " << words_count;
    }
  }
}

TEST(DecodeTest, FloatsNarrowToNearest) {
  const std::vector<double> numbers = {0.1, 1e300, -1e300, 1e-320, 0x1.000001p0, 0x1.000003p0};
  std::vector<Value> words(numbers.size());
  Encode(ListOf(DType::kFloat32), Source::kFloat64, numbers.data(), numbers.size(), words.data());
  std::vector<float> out(numbers.size());
  DecodeWords(ListOf(DType::kFloat32), words.data(), words.size(), out.data());
  EXPECT_EQ(out, (std::vector<float>{0.1F, HUGE_VALF, -HUGE_VALF, 0.0F, 1.0F, 0x1.000004p0F}));
}

TEST(DecodeTest, OneNaNAmongManyChangesOnlyItself) {
  std::vector<double> numbers(1500, 2.5);
  numbers[700] = std::numeric_limits<double>::signaling_NaN();
  std::vector<float> out(numbers.size());
  DecodeWords(ListOf(DType::kFloat32), reinterpret_cast<const Value*>(numbers.data()),
              numbers.size(), out.data());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(std::isnan(out[i]), i == 700);
  EXPECT_EQ(out[699], 2.5F);
}

TEST(DecodeTest, AnyWordCanBeDecoded) {
  const Value words[] = {-1, 300, INT64_MIN, 2};
  std::vector<std::uint8_t> out(4);
  DecodeWords(ListOf(DType::kBool), words, 4, out.data());
  EXPECT_EQ(out, (std::vector<std::uint8_t>{1, 1, 1, 1}));
  DecodeWords(ListOf(DType::kUInt8), words, 4, out.data());
  EXPECT_EQ(out, (std::vector<std::uint8_t>{255, 44, 0, 2}));
  DecodeWords(ListOf(DType::kBinary), words, 4, out.data());
  EXPECT_EQ(out[0], 255);
}

TEST(DecodeTest, NumbersAreTheFieldsOwn) {
  EXPECT_EQ(NumberOf(ListOf(DType::kFloat64), std::bit_cast<Value>(0.1)), 0.1F);
  EXPECT_EQ(NumberOf(ListOf(DType::kInt64), -7), -7.0F);
  EXPECT_EQ(NumberOf(ListOf(DType::kUInt64), -1), 0x1p64F);
  EXPECT_EQ(NumberOf(ListOf(DType::kBool), 1), 1.0F);
  EXPECT_EQ(NumberOf(ListOf(DType::kBinary), 'a'), 97.0F);
  const Encoding packed =
      MakeEncoding({.name = "x", .dtype = DType::kFloat32, .shape = {2}, .packed = true});
  EXPECT_EQ(NumberOf(packed, 12), 12.0F);
}

TEST(DecodeTest, ManyNumbersEqualEachAlone) {
  std::mt19937_64 random(9);
  std::vector<Value> words(777);
  for (Value& word : words) word = static_cast<Value>(random());
  for (const DType dtype : {DType::kFloat16, DType::kFloat32, DType::kUInt64, DType::kInt32}) {
    std::vector<float> out(words.size());
    NumbersOf(ListOf(dtype), words.data(), words.size(), out.data());
    for (std::size_t i = 0; i < words.size(); ++i) {
      const float alone = NumberOf(ListOf(dtype), words[i]);
      ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), std::bit_cast<std::uint32_t>(alone));
    }
  }
}

}  // namespace
}  // namespace stream_store::internal
