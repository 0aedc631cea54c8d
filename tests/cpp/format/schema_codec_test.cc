// Tests of the `schema` file: it round-trips, its bytes are fixed, and damage is refused.

#include "format/schema_codec.h"

#include <cstring>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr StoreId kId = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

Schema ManyFields() {
  return Schema(
      {{.name = "observation",
        .dtype = DType::kFloat32,
        .shape = {kRagged, 3},
        .feature_json = R"({"a": 1})"},
       {.name = "frame", .dtype = DType::kUInt8, .shape = {84, 84, 4}, .packed = true},
       {.name = "a.b", .dtype = DType::kString, .path = {"a.b"}},
       {.name = "o.i", .dtype = DType::kTimestampNs, .path = {"o", "i"}},
       {.name = "o", .dtype = DType::kNull, .feature_json = "{}", .path = {"o"}, .hidden = true}});
}

ErrorCode CodeOfDecoding(std::span<const std::byte> bytes, const StoreId& id = kId) {
  return ErrorOf([&] { DecodeSchema(bytes, id, "runs/a/schema"); }).code();
}

void Reseal(std::vector<std::byte>& bytes) {
  const std::uint32_t crc = Crc32c(bytes.data(), bytes.size() - 4);
  std::memcpy(bytes.data() + bytes.size() - 4, &crc, 4);
}

TEST(SchemaCodecTest, EveryPropertyRoundTrips) {
  const Schema schema = ManyFields();
  const Schema back = DecodeSchema(EncodeSchema(schema, kId), kId, "schema");
  EXPECT_EQ(back, schema);
  EXPECT_EQ(back.declared(), 4U);
  EXPECT_EQ(back.find("a.b"), TypeId{2});
}

TEST(SchemaCodecTest, AddedFieldsRoundTrip) {
  const Schema schema = ManyFields().Extended({{.name = "more"}}, 1ULL << 40);
  const Schema back = DecodeSchema(EncodeSchema(schema, kId), kId, "schema");
  EXPECT_EQ(back, schema);
  EXPECT_EQ(back.revision(), 1U);
  EXPECT_EQ(back.since(4), 0U);
  EXPECT_EQ(back.since(5), 1ULL << 40);
}

TEST(SchemaCodecTest, BytesAreAsTheFormatSays) {
  const Schema schema({{.name = "x",
                        .dtype = DType::kFloat32,
                        .shape = {3},
                        .packed = true,
                        .feature_json = "{}",
                        .path = {"x"}}},
                      {0}, 2);
  const unsigned char expected[] = {
      'S',  'S',  'S',  'C', 'H', 'E', 'M', 'A',  // magic
      2,    0,    0,    0,   1,   0,   0,   0,    // version, fields
      32,   0,    0,    0,   0,   0,   0,   0,    // bytes of the body
      0,    1,    2,    3,   4,   5,   6,   7,
      8,    9,    10,   11,  12,  13,  14,  15,  // store id
      2,    0,    0,    0,   0,   0,   0,   0,   // revision
      11,   1,    1,    0,   1,   0,   0,   0,   // dtype, flags, path parts, dimensions
      0,    0,    0,    0,   0,   0,   0,   0,   // since
      3,    0,    0,    0,   1,   0,   'x', 1,
      0,    'x',  2,    0,   0,   0,   '{', '}',  // dimension, name, path, feature
      0x18, 0x0e, 0x66, 0x5c};                    // CRC32C
  const std::vector<std::byte> bytes = EncodeSchema(schema, kId);
  ASSERT_EQ(bytes.size(), sizeof(expected));
  EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof(expected)), 0)
      << std::hex << Crc32c(expected, sizeof(expected) - 4);
}

TEST(SchemaCodecTest, EveryBitFlipIsRefused) {
  std::vector<std::byte> bytes = EncodeSchema(ManyFields(), kId);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    const bool version = bit / 8 >= 8 && bit / 8 < 12;
    ASSERT_EQ(CodeOfDecoding(bytes), version ? ErrorCode::kVersion : ErrorCode::kCorrupt) << bit;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
}

TEST(SchemaCodecTest, EveryTruncationIsRefused) {
  const std::vector<std::byte> bytes = EncodeSchema(ManyFields(), kId);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(CodeOfDecoding(std::span(bytes).first(size)), ErrorCode::kCorrupt) << size;
  }
}

// As above, but with a valid checksum, as an attacker would write it. Every byte takes every value.
// An input that is accepted must encode to exactly the same bytes.
TEST(SchemaCodecTest, ResealedDamageIsRefusedOrRoundTrips) {
  const std::vector<std::byte> good = EncodeSchema(ManyFields().Extended({{.name = "y"}}, 3), kId);
  for (std::size_t at = 12; at < good.size() - 4; ++at) {
    for (int value = 0; value < 256; ++value) {
      std::vector<std::byte> bytes = good;
      bytes[at] = static_cast<std::byte>(value);
      Reseal(bytes);
      try {
        ASSERT_EQ(EncodeSchema(DecodeSchema(bytes, kId, "schema"), kId), bytes);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ErrorCode::kCorrupt) << error.what();
      }
    }
  }
}

TEST(SchemaCodecTest, ResealedTruncationsAreRefused) {
  const std::vector<std::byte> good = EncodeSchema(ManyFields().Extended({{.name = "y"}}, 3), kId);
  for (std::size_t size = 52; size < good.size(); ++size) {
    std::vector<std::byte> bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    const std::uint64_t body = size - 52;
    std::memcpy(bytes.data() + 16, &body, 8);
    Reseal(bytes);
    ASSERT_EQ(CodeOfDecoding(bytes), ErrorCode::kCorrupt) << size;
  }
}

TEST(SchemaCodecTest, HugeCountsAllocateNothing) {
  std::vector<std::byte> bytes = EncodeSchema(ManyFields(), kId);
  std::memset(bytes.data() + 12, 0xff, 4);  // fields
  std::memset(bytes.data() + 52, 0xff, 4);  // dimensions of the first
  Reseal(bytes);
  EXPECT_EQ(CodeOfDecoding(bytes), ErrorCode::kCorrupt);
}

TEST(SchemaCodecTest, AnotherVersionIsNamedWithBothNumbers) {
  std::vector<std::byte> bytes = EncodeSchema(ManyFields(), kId);
  bytes[8] = std::byte{3};
  const Error error = ErrorOf([&] { DecodeSchema(bytes, kId, "runs/a/schema"); });
  EXPECT_EQ(std::string(error.what()), "runs/a/schema: format version 3; this build reads 2");
}

TEST(SchemaCodecTest, SchemaOfAnotherStoreIsRefused) {
  EXPECT_EQ(CodeOfDecoding(EncodeSchema(ManyFields(), kId), StoreId{}), ErrorCode::kCorrupt);
}

TEST(SchemaCodecTest, TooLargeASchemaIsRefusedBothWays) {
  const Schema large({{.name = "x", .feature_json = std::string(kMaxSchemaBytes, ' ')}});
  EXPECT_EQ(ErrorOf([&] { EncodeSchema(large, kId); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOfDecoding(std::vector<std::byte>(kMaxSchemaBytes + 1)), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace stream_store::internal
