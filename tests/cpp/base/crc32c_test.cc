// Tests of CRC32C against published vectors and against the portable model.

#include "base/crc32c.h"

#include <cstring>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace stream_store::internal {
namespace {

std::vector<unsigned char> RandomBytes(std::size_t count) {
  std::mt19937 random(count == 0 ? 1 : static_cast<unsigned>(count));
  std::vector<unsigned char> bytes(count);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
  return bytes;
}

// The definition of CRC32C, one bit at a time.
std::uint32_t ExtendByDefinition(std::uint32_t state, const unsigned char* bytes,
                                 std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    state ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) state = (state >> 1) ^ ((state & 1U) * 0x82F63B78U);
  }
  return state;
}

TEST(Crc32cTest, MatchesVectorsOfRfc3720) {
  std::vector<unsigned char> bytes(32, 0);
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x8a9136aaU);
  bytes.assign(32, 0xff);
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x62a8ab43U);
  std::iota(bytes.begin(), bytes.end(), static_cast<unsigned char>(0));
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x46dd794eU);
  std::iota(bytes.rbegin(), bytes.rend(), static_cast<unsigned char>(0));
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x113fdb5cU);
  const unsigned char read_command[48] = {
      0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,     //
      0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,  //
      0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  EXPECT_EQ(Crc32c(read_command, 48), 0xd9963a56U);
  EXPECT_EQ(Crc32c("123456789", 9), 0xe3069283U);
}

TEST(Crc32cTest, PortableMatchesDefinition) {
  const auto bytes = RandomBytes(300);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    EXPECT_EQ(Crc32cExtendPortable(7, bytes.data(), size),
              ExtendByDefinition(7, bytes.data(), size));
  }
}

TEST(Crc32cTest, MatchesPortableAtEveryLengthAndRandomAlignment) {
  const auto bytes = RandomBytes(3000 + 8);
  std::mt19937 random(1);
  for (std::size_t size = 0; size <= 3000; ++size) {
    const auto* begin = bytes.data() + random() % 8;
    const auto state = static_cast<std::uint32_t>(random());
    ASSERT_EQ(Crc32cExtend(state, begin, size), Crc32cExtendPortable(state, begin, size)) << size;
  }
}

TEST(Crc32cTest, WordsMatchPortableAtEveryLaneLength) {
  const auto bytes = RandomBytes(8 * 4000);
  for (std::size_t words = 0; words <= 4000; words += words < 900 ? 1 : 53) {
    ASSERT_EQ(Crc32cExtendWords(0x1234, bytes.data(), words),
              Crc32cExtendPortable(0x1234, bytes.data(), 8 * words))
        << words;
  }
}

TEST(Crc32cTest, OneWordAtATimeGivesTheSameRegister) {
  const auto bytes = RandomBytes(8 * 100);
  std::uint32_t state = 99;
  for (std::size_t i = 0; i < 100; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + 8 * i, 8);
    state = Crc32cExtendWord(state, word);
  }
  EXPECT_EQ(state, Crc32cExtendWords(99, bytes.data(), 100));
}

}  // namespace
}  // namespace stream_store::internal
