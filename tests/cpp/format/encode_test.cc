// Tests of Encode(): which items each field accepts, and the words they are stored as.

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

#include "format/encoding.h"

namespace stream_store::internal {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

Encoding ListOf(DType dtype) {
  const bool text = dtype == DType::kString || dtype == DType::kBinary;
  return MakeEncoding({.name = "x",
                       .dtype = dtype,
                       .shape = text ? std::vector<std::uint32_t>{} : std::vector{kRagged}});
}

template <class T>
std::uint64_t TryEncode(DType dtype, const std::vector<T>& items, std::vector<Value>* words) {
  words->assign(items.size(), -99);
  return Encode(ListOf(dtype), SourceOf<T>(), items.data(), items.size(), words->data());
}

template <class T>
std::vector<Value> Words(DType dtype, const std::vector<T>& items) {
  std::vector<Value> words;
  EXPECT_EQ(TryEncode(dtype, items, &words), kEncodedAll);
  return words;
}

/// The index of the first invalid item, or -1.
template <class T>
int FirstRefused(DType dtype, const std::vector<T>& items) {
  std::vector<Value> words;
  const std::uint64_t bad = TryEncode(dtype, items, &words);
  return bad == kEncodedAll ? -1 : static_cast<int>(bad);
}

Value Bits(double number) { return std::bit_cast<Value>(number); }

TEST(EncodeTest, IntegersAreThemselves) {
  EXPECT_EQ(Words<std::int64_t>(DType::kInt64, {INT64_MIN, -1, INT64_MAX}),
            (std::vector<Value>{INT64_MIN, -1, INT64_MAX}));
  EXPECT_EQ(Words<std::int8_t>(DType::kInt16, {-128, 127}), (std::vector<Value>{-128, 127}));
  EXPECT_EQ(Words<std::uint32_t>(DType::kInt64, {4294967295U}), (std::vector<Value>{4294967295}));
}

TEST(EncodeTest, IntegerRangesAreExactAtBothEnds) {
  struct Range {
    DType dtype;
    std::int64_t lowest, highest;
  };

  for (const Range& range :
       {Range{DType::kInt8, -128, 127}, Range{DType::kInt16, -32768, 32767},
        Range{DType::kInt32, INT32_MIN, INT32_MAX}, Range{DType::kUInt8, 0, 255},
        Range{DType::kUInt16, 0, 65535}, Range{DType::kUInt32, 0, UINT32_MAX},
        Range{DType::kDate32, INT32_MIN, INT32_MAX}, Range{DType::kTime32S, INT32_MIN, INT32_MAX},
        Range{DType::kTime32Ms, INT32_MIN, INT32_MAX}, Range{DType::kBool, 0, 1}}) {
    EXPECT_EQ(FirstRefused<std::int64_t>(range.dtype, {range.lowest, range.highest}), -1);
    EXPECT_EQ(FirstRefused<std::int64_t>(range.dtype, {range.lowest, range.lowest - 1}), 1);
    EXPECT_EQ(FirstRefused<std::int64_t>(range.dtype, {0, 1, range.highest + 1}), 2);
    const auto lowest = static_cast<double>(range.lowest);
    const auto highest = static_cast<double>(range.highest);
    EXPECT_EQ(FirstRefused<double>(range.dtype, {lowest, highest}), -1);
    EXPECT_EQ(FirstRefused<double>(range.dtype, {lowest, lowest - 1}), 1);
    EXPECT_EQ(FirstRefused<double>(range.dtype, {highest, highest + 1}), 1);
    EXPECT_EQ(FirstRefused<std::uint64_t>(range.dtype, {0, UINT64_MAX}), 1);
  }
}

TEST(EncodeTest, UnsignedSourcesDoNotWrapIntoSignedFields) {
  EXPECT_EQ(FirstRefused<std::uint64_t>(DType::kInt64, {1ULL << 63}), 0);
  EXPECT_EQ(FirstRefused<std::uint64_t>(DType::kInt64, {(1ULL << 63) - 1}), -1);
  EXPECT_EQ(FirstRefused<std::uint64_t>(DType::kTimestampNs, {7, UINT64_MAX}), 1);
  EXPECT_EQ(FirstRefused<std::uint8_t>(DType::kInt8, {127, 128}), 1);
}

TEST(EncodeTest, UnsignedFieldsKeepAllBitsAndRefuseNegativeNumbers) {
  EXPECT_EQ(Words<std::uint64_t>(DType::kUInt64, {UINT64_MAX, 1ULL << 63}),
            (std::vector<Value>{-1, INT64_MIN}));
  EXPECT_EQ(Words<std::int64_t>(DType::kUInt64, {INT64_MAX, 0}),
            (std::vector<Value>{INT64_MAX, 0}));
  EXPECT_EQ(FirstRefused<std::int64_t>(DType::kUInt64, {0, -1}), 1);
  EXPECT_EQ(FirstRefused<std::int8_t>(DType::kUInt32, {0, -1}), 1);
}

TEST(EncodeTest, IntegerFieldsAcceptIntegralFloats) {
  EXPECT_EQ(Words<double>(DType::kInt64, {-0.0, 3.0, -0x1p63}),
            (std::vector<Value>{0, 3, INT64_MIN}));
  EXPECT_EQ(Words<float>(DType::kDurationS, {5.0F}), (std::vector<Value>{5}));
  EXPECT_EQ(Words<double>(DType::kUInt64, {0x1p63, 0x1.fffffffffffffp63}),
            (std::vector<Value>{INT64_MIN, static_cast<Value>(0xfffffffffffff800U)}));
}

TEST(EncodeTest, IntegerFieldsRefuseOtherFloats) {
  for (const double bad : {1.5, kNaN, kInfinity, -kInfinity, 0x1p63, 1e300, 0x1p-1074, -0.5}) {
    EXPECT_EQ(FirstRefused<double>(DType::kInt64, {1.0, bad}), 1) << bad;
  }
  EXPECT_EQ(FirstRefused<double>(DType::kUInt64, {0x1p64}), 0);
  EXPECT_EQ(FirstRefused<double>(DType::kUInt64, {-1.0}), 0);
  EXPECT_EQ(FirstRefused<float>(DType::kInt32, {0x1p31F}), 0);
}

TEST(EncodeTest, BoolFieldsTakeZeroAndOneOfAnyType) {
  EXPECT_EQ(Words<double>(DType::kBool, {0.0, 1.0}), (std::vector<Value>{0, 1}));
  EXPECT_EQ(Words<std::uint64_t>(DType::kBool, {1, 0}), (std::vector<Value>{1, 0}));
  EXPECT_EQ(FirstRefused<std::int64_t>(DType::kBool, {1, 2}), 1);
  EXPECT_EQ(FirstRefused<double>(DType::kBool, {0.5}), 0);
  EXPECT_EQ(FirstRefused<std::int8_t>(DType::kBool, {-1}), 0);
}

TEST(EncodeTest, EveryNonzeroByteOfABoolIsTrue) {
  const unsigned char bytes[] = {0, 1, 2, 255};
  for (const DType dtype : {DType::kBool, DType::kInt64, DType::kUInt8}) {
    std::vector<Value> words(4);
    EXPECT_EQ(Encode(ListOf(dtype), Source::kBool, bytes, 4, words.data()), kEncodedAll);
    EXPECT_EQ(words, (std::vector<Value>{0, 1, 1, 1}));
  }
  std::vector<Value> words(4);
  Encode(ListOf(DType::kFloat32), Source::kBool, bytes, 4, words.data());
  EXPECT_EQ(words, (std::vector<Value>{0, Bits(1), Bits(1), Bits(1)}));
}

TEST(EncodeTest, FloatFieldsTakeEveryNumber) {
  EXPECT_EQ(Words<std::int64_t>(DType::kFloat32, {-3, INT64_MAX}),
            (std::vector<Value>{Bits(-3), Bits(0x1p63)}));
  EXPECT_EQ(Words<std::uint64_t>(DType::kFloat64, {UINT64_MAX}),
            (std::vector<Value>{Bits(0x1p64)}));
  EXPECT_EQ(Words<std::int16_t>(DType::kFloat16, {-7}), (std::vector<Value>{Bits(-7)}));
}

TEST(EncodeTest, Float32FieldsKeepTheFloat64TheyWereGiven) {
  const std::vector<double> numbers = {0.1, 1e38, -0.0, kNaN,
                                       std::bit_cast<double>(0x7ff0000000000001U)};
  const std::vector<Value> words = Words(DType::kFloat32, numbers);
  for (std::size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(words[i], Bits(numbers[i]));
}

TEST(EncodeTest, NaNPayloadsOfFloat32Survive) {
  for (const std::uint32_t pattern :
       {0x7f800001U, 0xffc12345U, 0x7fc00000U, 0x00000001U, 0x80000000U, 0x7f7fffffU}) {
    std::vector<std::uint32_t> items(37, std::bit_cast<std::uint32_t>(2.5F));
    items[20] = pattern;
    std::vector<Value> words(items.size());
    Encode(ListOf(DType::kFloat32), Source::kFloat32, items.data(), items.size(), words.data());
    std::vector<std::uint32_t> back(items.size());
    DecodeWords(ListOf(DType::kFloat32), words.data(), words.size(), back.data());
    EXPECT_EQ(back, items) << std::hex << pattern;
  }
}

TEST(EncodeTest, TextAndNumbersDoNotMix) {
  const char text[] = "abc";
  std::vector<Value> words(3);
  for (const DType dtype :
       {DType::kFloat32, DType::kInt64, DType::kBool, DType::kDate32, DType::kDecimal128}) {
    EXPECT_EQ(Encode(ListOf(dtype), Source::kBytes, text, 2, words.data()), 0U);
  }
  EXPECT_EQ(FirstRefused<std::int64_t>(DType::kString, {97}), 0);
  EXPECT_EQ(FirstRefused<double>(DType::kBinary, {97.0}), 0);
  EXPECT_EQ(FirstRefused<std::int64_t>(DType::kDecimal128, {1, 0}), 0);
}

TEST(EncodeTest, TextIsOneWordPerByte) {
  const std::string_view text = "h\xc3\xa9!";
  std::vector<Value> words(text.size());
  EXPECT_EQ(Encode(ListOf(DType::kString), Source::kBytes, text.data(), text.size(), words.data()),
            kEncodedAll);
  EXPECT_EQ(words, (std::vector<Value>{'h', 0xc3, 0xa9, '!'}));
  EXPECT_EQ(Words<std::uint8_t>(DType::kBinary, {0xff, 0}), (std::vector<Value>{0xff, 0}));
}

TEST(EncodeTest, StringFieldsRefuseInvalidUtf8) {
  EXPECT_EQ(FirstRefused<std::uint8_t>(DType::kString, {'o', 'k', 0xc3}), 2);
  EXPECT_EQ(FirstRefused<std::uint8_t>(DType::kString, {0xff}), 0);
  EXPECT_EQ(FirstRefused<std::uint8_t>(DType::kBinary, {0xff}), -1);
}

TEST(EncodeTest, WordsAreTakenAsTheyAre) {
  const std::vector<Value> items = {INT64_MIN, -1, 0, 5, 77, 300, 2, 9, 4,
                                    1,         1,  1, 1, 1,  1,   1, 8, 9};
  for (const DType dtype :
       {DType::kInt8, DType::kBool, DType::kDecimal128, DType::kString, DType::kFloat16}) {
    for (std::size_t count = 0; count <= items.size(); ++count) {
      if (EncodedWords(ListOf(dtype), Source::kWords, count) == kBadLength) continue;
      std::vector<Value> words(count);
      EXPECT_EQ(Encode(ListOf(dtype), Source::kWords, items.data(), count, words.data()),
                kEncodedAll);
      EXPECT_TRUE(std::equal(words.begin(), words.end(), items.begin()));
    }
  }
}

TEST(EncodeTest, NothingIsWrittenBeyondTheLastWord) {
  std::vector<double> items(40, 1.5);
  for (std::size_t count = 0; count <= 32; ++count) {
    std::vector<Value> words(count + 8, -7);
    Encode(ListOf(DType::kFloat64), Source::kFloat64, items.data(), count, words.data());
    for (std::size_t i = 0; i < words.size(); ++i) EXPECT_EQ(words[i], i < count ? Bits(1.5) : -7);
  }
}

TEST(EncodeTest, UnalignedItemsAreTaken) {
  std::vector<unsigned char> bytes(1 + 3 * 8);
  const double numbers[3] = {1.0, 2.0, 3.0};
  std::memcpy(bytes.data() + 1, numbers, sizeof(numbers));
  std::vector<Value> words(3);
  EXPECT_EQ(Encode(ListOf(DType::kInt64), Source::kFloat64, bytes.data() + 1, 3, words.data()),
            kEncodedAll);
  EXPECT_EQ(words, (std::vector<Value>{1, 2, 3}));
}

const char* SourceName(Source source) {
  static constexpr std::array<const char*, 14> kNames = {
      "bool",   "int8",   "int16",   "int32",   "int64",   "uint8", "uint16",
      "uint32", "uint64", "float16", "float32", "float64", "bytes", "words"};
  return kNames.at(static_cast<std::size_t>(source));
}

// Encodes random items of every source into every field, in runs that are long enough for the
// vector loops. A run must be refused at the first item that is refused on its own, or give the
// words that each item gives on its own.
TEST(EncodeTest, LongRunsEqualItemsOneByOne) {
  std::mt19937_64 random(5);
  for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
    const auto given = static_cast<DType>(dtype);
    if (given == DType::kNull || given == DType::kString || given == DType::kNested) continue;
    const Encoding encoding =
        MakeEncoding({.name = "x", .dtype = static_cast<DType>(dtype), .shape = {kRagged}});
    for (int source = 0; source < static_cast<int>(Source::kWords); ++source) {
      const auto kind = static_cast<Source>(source);
      const std::size_t size = SourceBytes(kind);
      std::vector<unsigned char> items(100 * size);
      for (unsigned char& byte : items)
        byte = static_cast<unsigned char>(random() % 3 == 0 ? random() : 0);
      std::vector<Value> words(100);
      std::vector<Value> single(100);
      const std::uint64_t bad = Encode(encoding, kind, items.data(), 100, words.data());
      std::uint64_t expected = kEncodedAll;
      for (std::uint64_t i = 0; i < 100 && expected == kEncodedAll; ++i) {
        if (Encode(encoding, kind, items.data() + i * size, 1, &single[i]) != kEncodedAll)
          expected = i;
      }
      ASSERT_EQ(bad, expected) << dtype << " from " << SourceName(kind);
      if (bad == kEncodedAll) {
        EXPECT_EQ(words, single) << dtype << " from " << SourceName(kind);
      }
    }
  }
}

// Append copies 8 bytes without calling a loop if KeepsWord() is true, so it must be true for
// exactly these pairs. The loop is called directly, because one word is less than a whole decimal.
TEST(EncodeTest, WordsAreKeptExactlyWhereEveryPatternEncodesToItself) {
  const std::vector<Value> patterns = {0,         1,         -1,        2,           300,
                                       INT64_MIN, INT64_MAX, Bits(1.5), Bits(1e300), Bits(kNaN)};
  for (int dtype = 1; dtype < kDTypeCount; ++dtype) {
    const auto given = static_cast<DType>(dtype);
    if (given == DType::kString || given == DType::kNested) continue;
    const Encoding encoding =
        MakeEncoding({.name = "x", .dtype = static_cast<DType>(dtype), .shape = {kRagged}});
    for (int source = 0; source <= static_cast<int>(Source::kWords); ++source) {
      const auto kind = static_cast<Source>(source);
      bool kept = SourceBytes(kind) == 8;
      for (std::size_t i = 0; i < patterns.size() && kept; ++i) {
        Value word = 0;
        const auto* item = reinterpret_cast<const unsigned char*>(&patterns[i]);
        kept = FindEncodeLoop(encoding, kind)(encoding, item, 1, &word) == kEncodedAll &&
               word == patterns[i];
      }
      EXPECT_EQ(KeepsWord(encoding, kind), kept) << dtype << " from " << SourceName(kind);
    }
  }
}

}  // namespace
}  // namespace stream_store::internal
