// Tests of block fields: a word with the number of items, then their bytes in whole words; and of
// the range of narrow floats.

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/nested.h"
#include "stream_store/schema.h"

#include "format/encoding.h"

namespace stream_store::internal {
namespace {

Field Block(DType dtype, std::vector<std::uint32_t> shape = {}) {
  return {.name = "x", .dtype = dtype, .shape = std::move(shape), .packed = true};
}

// The words of a field-write as the specification says, made by hand.
template <class T>
std::vector<Value> Expected(const std::vector<T>& items) {
  std::vector<Value> words(1 + (items.size() * sizeof(T) + 7) / 8, 0);
  words[0] = static_cast<Value>(items.size());
  if (!items.empty()) std::memcpy(words.data() + 1, items.data(), items.size() * sizeof(T));
  return words;
}

template <class T>
std::vector<Value> Encoded(const Field& field, Source source, const std::vector<T>& items) {
  const Encoding encoding = MakeEncoding(field);
  const std::uint64_t words = EncodedWords(encoding, source, items.size());
  EXPECT_NE(words, kBadLength);
  std::vector<Value> out(words, -1);
  EXPECT_EQ(Encode(encoding, source, items.data(), items.size(), out.data()), kEncodedAll);
  return out;
}

TEST(BlockTest, BeginsWithTheNumberOfItems) {
  for (std::size_t count = 0; count <= 20; ++count) {
    std::vector<float> floats(count);
    std::vector<std::uint8_t> bytes(count);
    for (std::size_t i = 0; i < count; ++i) {
      floats[i] = 0.5F * static_cast<float>(i);
      bytes[i] = static_cast<std::uint8_t>('a' + i);
    }
    EXPECT_EQ(Encoded(Block(DType::kFloat32, {kRagged}), Source::kFloat32, floats),
              Expected(floats));
    EXPECT_EQ(Encoded(Block(DType::kString), Source::kBytes, bytes), Expected(bytes));
    EXPECT_EQ(Encoded(Block(DType::kBinary), Source::kUInt8, bytes), Expected(bytes));
  }
}

TEST(BlockTest, ConvertsItemsUnderTheSameRules) {
  const std::vector<std::int64_t> items = {1, 70, 127};
  EXPECT_EQ(Encoded(Block(DType::kInt8, {kRagged}), Source::kInt64, items),
            Expected(std::vector<std::int8_t>{1, 70, 127}));
  const std::vector<std::int64_t> bad = {1, 128};
  const Encoding encoding = MakeEncoding(Block(DType::kInt8, {kRagged}));
  std::vector<Value> out(3);
  EXPECT_EQ(Encode(encoding, Source::kInt64, bad.data(), 2, out.data()), 1U);
}

TEST(BlockTest, AcceptsMultiplesOfTheTrailingShape) {
  const Encoding encoding = MakeEncoding(Block(DType::kInt16, {kRagged, 3}));
  EXPECT_EQ(EncodedWords(encoding, Source::kInt16, 0), 1U);
  EXPECT_EQ(EncodedWords(encoding, Source::kInt16, 6), 1U + 2U);
  EXPECT_EQ(EncodedWords(encoding, Source::kInt16, 4), kBadLength);
}

TEST(BlockTest, StringsMustBeUtf8) {
  const Encoding encoding = MakeEncoding(Block(DType::kString));
  std::vector<Value> out(2);
  EXPECT_EQ(Encode(encoding, Source::kBytes, "ab\xff", 3, out.data()), 2U);
}

TEST(BlockTest, WordsMustHoldTheNumberOfItemsThatTheyBeginWith) {
  const Encoding encoding = MakeEncoding(Block(DType::kInt16, {kRagged, 3}));
  const auto accepts = [&](const std::vector<Value>& words) {
    std::vector<Value> out(words.size());
    return Encode(encoding, Source::kWords, words.data(), words.size(), out.data()) == kEncodedAll;
  };
  EXPECT_EQ(EncodedWords(encoding, Source::kWords, 0), kBadLength);
  EXPECT_TRUE(accepts({0}));
  EXPECT_TRUE(accepts({3, 7}));
  EXPECT_FALSE(accepts({3}));
  EXPECT_FALSE(accepts({0, 0}));
  EXPECT_FALSE(accepts({4, 7}));
  EXPECT_FALSE(accepts({-1, 7}));
}

TEST(BlockTest, HostileCountsNeverReachBeyondTheWords) {
  const Encoding encoding = MakeEncoding(Block(DType::kInt16, {kRagged, 3}));
  const std::vector<Value> words = {INT64_MAX, 1, 2};
  const BlockItems block = ItemsOfBlock(encoding, words);
  EXPECT_FALSE(block.valid);
  EXPECT_EQ(block.count, 6U);  // 16 bytes hold 8 items; 6 of them are whole units
  EXPECT_EQ(ItemsOfBlock(encoding, {}).count, 0U);
}

TEST(BlockTest, GivesTheBytesOfAFieldWrite) {
  const std::vector<std::uint8_t> text = {'h', 'e', 'l', 'l', 'o', ' ', 'y', 'o', 'u'};
  const std::vector<Value> words = Expected(text);
  const std::span<const std::byte> bytes = PackedBytes(Block(DType::kString), words);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "hello you");
  EXPECT_EQ(PackedBytes(Block(DType::kUInt8, {9}), std::span(words).subspan(1)).size(), 9U);
  EXPECT_THROW(PackedBytes(Block(DType::kString), std::span(words).first(2)), Error);
  EXPECT_THROW(PackedBytes({.name = "x"}, words), Error);
}

// --- the range of narrow floats, compared with the rounding of the hardware ---

TEST(FloatRange, RefusesExactlyTheNumbersThatAFloat32WouldRoundToInfinity) {
  const Encoding encoding = MakeEncoding({.name = "x", .dtype = DType::kFloat32});
  const double largest = std::numeric_limits<float>::max();
  const double middle = 0x1.ffffffp127;
  for (const double number : {0.0, 1e300, largest, middle, std::nextafter(middle, 0.0), 0x1p128,
                              std::numeric_limits<double>::max(), HUGE_VAL, std::nan("")}) {
    for (const double sign : {1.0, -1.0}) {
      const double given = sign * number;
      const bool becomes_infinite = !std::isinf(given) && std::isinf(static_cast<float>(given));
      Value word = 0;
      EXPECT_EQ(Encode(encoding, Source::kFloat64, &given, 1, &word) != kEncodedAll,
                becomes_infinite)
          << given;
    }
  }
}

TEST(FloatRange, RefusesNumbersBeyondAFloat16FromEverySource) {
  const Encoding encoding = MakeEncoding({.name = "x", .dtype = DType::kFloat16});
  const auto accepts = [&](auto number) {
    Value word = 0;
    return Encode(encoding, SourceOf<decltype(number)>(), &number, 1, &word) == kEncodedAll;
  };
  EXPECT_TRUE(accepts(65504));
  EXPECT_TRUE(accepts(65519));
  EXPECT_FALSE(accepts(65520));
  EXPECT_FALSE(accepts(-65520));
  EXPECT_FALSE(accepts(std::uint16_t{65535}));
  EXPECT_FALSE(accepts(std::int64_t{70'000}));
  EXPECT_FALSE(accepts(std::uint64_t{1} << 63U));
  EXPECT_TRUE(accepts(65519.99F));
  EXPECT_FALSE(accepts(65520.0F));
  EXPECT_FALSE(accepts(1e300));
  EXPECT_TRUE(accepts(HUGE_VAL));
  EXPECT_TRUE(accepts(std::nanf("")));
}

TEST(FloatRange, NamesTheFirstItemAlsoInPackedFields) {
  const std::vector<double> items = {1.0, -65520.0, 1e300};
  const Encoding encoding =
      MakeEncoding({.name = "x", .dtype = DType::kFloat16, .shape = {3}, .packed = true});
  std::vector<Value> out(1);
  EXPECT_EQ(Encode(encoding, Source::kFloat64, items.data(), 3, out.data()), 1U);
}

}  // namespace
}  // namespace stream_store::internal
