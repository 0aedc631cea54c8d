// Tests of the blocks of the `control` file: their exact bytes, round trips, and refusal of damage.

#include "format/control.h"

#include <cstring>

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr StoreId kId = {0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr StoreId kParent = {0xff};

Identity SampleIdentity() {
  return {.id = kId, .parent = kParent, .checksum_seed = 0x01020304, .chunk_bytes = 1 << 30};
}

Slot SampleSlot() {
  return {.id = kId,
          .sequence = 0x11,
          .session = 0x1'0000'0002,
          .records = 3,
          .values = 4,
          .layout_words = 5,
          .rows = 6,
          .field_writes = 7,
          .clean = true,
          .unix_nanoseconds = 8,
          .begin = {.records = 1, .values = 2, .rows = 3, .layout_words = 4, .field_writes = 5},
          .retention = {.rows = 9,
                        .bytes = 10,
                        .segments = 11,
                        .segment_count = 2,
                        .segment_by = {0x102, 0x103}}};
}

template <std::size_t N>
void Reseal(std::array<std::byte, N>& bytes) {
  const std::uint32_t crc = Crc32c(bytes.data(), N - 4);
  std::memcpy(bytes.data() + N - 4, &crc, 4);
}

/// A block of zeros with the given bytes at the given offsets, and its checksum.
std::array<std::byte, 512> Golden(
    std::initializer_list<std::pair<std::size_t, std::string>> parts) {
  std::array<std::byte, 512> bytes{};
  for (const auto& [at, text] : parts) std::memcpy(bytes.data() + at, text.data(), text.size());
  Reseal(bytes);
  return bytes;
}

using std::string_literals::operator""s;
const std::string kIdBytes = "\xa0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"s;

TEST(IdentityTest, BytesAreAsTheFormatSays) {
  EXPECT_EQ(EncodeIdentity(SampleIdentity()), Golden({{0, "SSCONTRL\2\0\0\0\4\3\2\1"s},
                                                      {16, kIdBytes},
                                                      {32, "\xff"s},
                                                      {48, "\4\3\2\1"s},
                                                      {56, "\0\0\0\x40"s}}));
  std::uint32_t crc = 0;
  std::memcpy(&crc, EncodeIdentity(SampleIdentity()).data() + 508, 4);
  EXPECT_EQ(crc, 0xd6a33813U) << std::hex << crc;
}

TEST(IdentityTest, RoundTrips) {
  const Identity back = DecodeIdentity(EncodeIdentity(SampleIdentity()), "control");
  EXPECT_EQ(back.id, kId);
  EXPECT_EQ(back.parent, kParent);
  EXPECT_EQ(back.checksum_seed, 0x01020304U);
  EXPECT_EQ(back.chunk_bytes, kDefaultChunkBytes);
}

TEST(IdentityTest, ASizeOfChunksThatNoStoreHasIsCorrupt) {
  for (const std::uint64_t chunk_bytes :
       {std::uint64_t{0}, kMinChunkBytes / 2, kMinChunkBytes + 1, 2 * kMaxChunkBytes}) {
    Identity identity = SampleIdentity();
    identity.chunk_bytes = chunk_bytes;
    EXPECT_EQ(ErrorOf([&] { DecodeIdentity(EncodeIdentity(identity), "control"); }).code(),
              ErrorCode::kCorrupt)
        << chunk_bytes;
  }
}

TEST(IdentityTest, ChunksArePowersOfTwoFromOneMebibyteToOneGibibyte) {
  for (const std::uint64_t bytes : {1ULL << 20, 1ULL << 25, 1ULL << 30}) {
    EXPECT_TRUE(IsChunkSize(bytes)) << bytes;
    EXPECT_FALSE(IsChunkSize(bytes + 4096)) << bytes;
  }
  for (const std::uint64_t bytes : {0ULL, 1ULL, 1ULL << 19, 1ULL << 31, 1ULL << 63}) {
    EXPECT_FALSE(IsChunkSize(bytes)) << bytes;
  }
  SmallestChunkBytes() = 4096;
  EXPECT_TRUE(IsChunkSize(4096));
  EXPECT_FALSE(IsChunkSize(2048));
  SmallestChunkBytes() = kMinChunkBytes;
  EXPECT_FALSE(IsChunkSize(4096));
}

TEST(IdentityTest, EveryBitFlipAndTruncationIsRefused) {
  auto bytes = EncodeIdentity(SampleIdentity());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    const bool version = bit / 8 >= 8 && bit / 8 < 12;
    ASSERT_EQ(ErrorOf([&] { DecodeIdentity(bytes, "control"); }).code(),
              version ? ErrorCode::kVersion : ErrorCode::kCorrupt)
        << bit;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(ErrorOf([&] { DecodeIdentity(std::span(bytes).first(size), "control"); }).code(),
              ErrorCode::kCorrupt);
  }
}

TEST(IdentityTest, AnotherVersionIsNamedWithBothNumbersEvenIfItsChecksumIsElsewhere) {
  auto bytes = EncodeIdentity(SampleIdentity());
  bytes[8] = std::byte{3};
  const Error error = ErrorOf([&] { DecodeIdentity(bytes, "runs/a/control"); });
  EXPECT_EQ(error.code(), ErrorCode::kVersion);
  EXPECT_EQ(std::string(error.what()), "runs/a/control: format version 3; this build reads 2");
}

TEST(IdentityTest, AnotherVersionWithoutTheMagicIsCorrupt) {
  auto bytes = EncodeIdentity(SampleIdentity());
  bytes[0] = std::byte{0};
  bytes[8] = std::byte{3};
  Reseal(bytes);
  EXPECT_EQ(ErrorOf([&] { DecodeIdentity(bytes, "control"); }).code(), ErrorCode::kCorrupt);
}

TEST(IdentityTest, OtherByteOrderAndUnknownBytesAreCorrupt) {
  auto bytes = EncodeIdentity(SampleIdentity());
  std::swap(bytes[12], bytes[15]);
  std::swap(bytes[13], bytes[14]);
  Reseal(bytes);
  EXPECT_CONTAINS(ErrorOf([&] { DecodeIdentity(bytes, "control"); }).what(),
                  "endian mark expected 0x01020304 but found 0x04030201");
  bytes = EncodeIdentity(SampleIdentity());
  bytes[100] = std::byte{1};
  Reseal(bytes);
  EXPECT_EQ(ErrorOf([&] { DecodeIdentity(bytes, "control"); }).code(), ErrorCode::kCorrupt);
}

TEST(SlotTest, BytesAreAsTheFormatSays) {
  EXPECT_EQ(
      EncodeSlot(SampleSlot()),
      Golden({{0, "SSSYSLOT"s},  {8, kIdBytes}, {24, "\x11"s}, {32, "\2\0\0\0\1"s}, {40, "\3"s},
              {48, "\4"s},       {56, "\5"s},   {64, "\6"s},   {72, "\7"s},         {80, "\1"s},
              {88, "\10"s},      {96, "\1"s},   {104, "\2"s},  {112, "\3"s},        {120, "\4"s},
              {128, "\5"s},      {136, "\11"s}, {144, "\12"s}, {152, "\13"s},       {160, "\2"s},
              {162, "\2\1\3\1"s}}));
  std::uint32_t crc = 0;
  std::memcpy(&crc, EncodeSlot(SampleSlot()).data() + 508, 4);
  EXPECT_EQ(crc, 0x6c20fbdaU) << std::hex << crc;
}

TEST(SlotTest, RoundTrips) {
  EXPECT_EQ(DecodeSlot(EncodeSlot(SampleSlot()), kId), SampleSlot());
  Slot open = SampleSlot();
  open.clean = false;
  open.records = UINT64_MAX;
  EXPECT_EQ(DecodeSlot(EncodeSlot(open), kId), open);
}

TEST(SlotTest, EveryBitFlipAndTruncationIsRefusedWithAReason) {
  auto bytes = EncodeSlot(SampleSlot());
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    ASSERT_EQ(DecodeSlot(bytes, kId), std::nullopt) << bit;
    ASSERT_NE(SlotProblem(bytes, kId), "");
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(DecodeSlot(std::span(bytes).first(size), kId), std::nullopt);
    ASSERT_NE(SlotProblem(std::span(bytes).first(size), kId), "");
  }
  EXPECT_EQ(SlotProblem(bytes, kId), "");
}

TEST(SlotTest, WhatIsRetainedEndsWhereTheSlotEnds) {
  Slot slot = SampleSlot();
  slot.begin.records = slot.records + 1;
  EXPECT_EQ(DecodeSlot(EncodeSlot(slot), kId), std::nullopt);
  EXPECT_CONTAINS(SlotProblem(EncodeSlot(slot), kId), "after its own end");
  slot = SampleSlot();
  slot.retention.segment_count = 17;
  EXPECT_EQ(DecodeSlot(EncodeSlot(slot), kId), std::nullopt);
  EXPECT_CONTAINS(SlotProblem(EncodeSlot(slot), kId), "too many fields");
}

TEST(IdentityTest, ChunkSizeIsCheckedAndNamed) {
  Identity identity = SampleIdentity();
  identity.chunk_bytes = 3 << 20;
  const Error error = ErrorOf([&] { DecodeIdentity(EncodeIdentity(identity), "control"); });
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(
      error.what(),
      "chunk size expected a power of two from 1048576 to 1073741824 but found 3145728");
}

TEST(SlotTest, ReasonShowsBothChecksums) {
  const std::array<std::byte, 512> good = EncodeSlot(SampleSlot());
  std::array<std::byte, 512> bytes = good;
  bytes[40] = std::byte{9};
  EXPECT_CONTAINS(SlotProblem(bytes, kId), "checksum expected 0x");
}

TEST(SlotTest, SlotOfAnotherStoreIsRefused) {
  EXPECT_EQ(DecodeSlot(EncodeSlot(SampleSlot()), kParent), std::nullopt);
  EXPECT_CONTAINS(SlotProblem(EncodeSlot(SampleSlot()), kParent), "store id expected ff00");
}

TEST(SlotTest, HigherSequenceIsChosen) {
  Slot older = SampleSlot();
  Slot newer = SampleSlot();
  newer.sequence = older.sequence + 1;
  EXPECT_EQ(ChooseSlot(older, newer), newer);
  EXPECT_EQ(ChooseSlot(newer, older), newer);
  EXPECT_EQ(ChooseSlot(std::nullopt, older), older);
  EXPECT_EQ(ChooseSlot(older, std::nullopt), older);
  EXPECT_EQ(ChooseSlot(std::nullopt, std::nullopt), std::nullopt);
}

TEST(IdTextTest, IsHex) { EXPECT_EQ(IdText(kId), "a00102030405060708090a0b0c0d0e0f"); }

}  // namespace
}  // namespace stream_store::internal
