// Tests of layouts, records and checksums: which layouts are valid, and the exact bytes stored.

#include "format/layout.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/schema.h"

#include "format/checksum.h"
#include "format/record.h"

namespace stream_store::internal {
namespace {

class LayoutTest : public ::testing::Test {
 protected:
  bool Valid(const std::vector<std::uint64_t>& words) {
    return CheckLayout(words, encodings_) == nullptr;
  }

  std::vector<Encoding> encodings_ =
      MakeEncodings(Schema({{.name = "observation", .dtype = DType::kFloat32, .shape = {3}},
                            {.name = "action"},
                            {.name = "points", .dtype = DType::kFloat32, .shape = {kRagged, 2}},
                            {.name = "mark", .dtype = DType::kNull, .hidden = true}}));
};

TEST_F(LayoutTest, TakesEveryShapeTheFieldsAllow) {
  EXPECT_TRUE(Valid({0}));
  EXPECT_TRUE(Valid({LayoutHead(1, 3), LayoutWord(0, 3)}));
  EXPECT_TRUE(Valid(
      {LayoutHead(4, 8), LayoutWord(0, 3), LayoutWord(1, 1), LayoutWord(2, 4), LayoutWord(3, 0)}));
  EXPECT_TRUE(Valid({LayoutHead(1, 0), LayoutWord(2, 0)}));
}

TEST_F(LayoutTest, RefusesInvalidLayouts) {
  EXPECT_FALSE(Valid({}));
  EXPECT_FALSE(Valid({LayoutHead(0, 1)}));
  EXPECT_FALSE(Valid({LayoutHead(2, 3), LayoutWord(0, 3)}));  // count too high
  EXPECT_FALSE(Valid({LayoutHead(0, 3), LayoutWord(0, 3)}));  // count too low
  EXPECT_FALSE(Valid({LayoutHead(1, 4), LayoutWord(0, 3)}));  // total
  EXPECT_FALSE(Valid({LayoutHead(1, 2), LayoutWord(0, 2)}));  // length of a fixed shape
  EXPECT_FALSE(Valid({LayoutHead(1, 3), LayoutWord(2, 3)}));  // not whole units
  EXPECT_FALSE(Valid({LayoutHead(1, 1), LayoutWord(3, 1)}));  // a null with a value
  EXPECT_FALSE(Valid({LayoutHead(1, 1), LayoutWord(4, 1)}));  // no such field
  EXPECT_FALSE(Valid({LayoutHead(2, 4), LayoutWord(1, 1), LayoutWord(0, 3)}));  // order
  EXPECT_FALSE(Valid({LayoutHead(2, 2), LayoutWord(1, 1), LayoutWord(1, 1)}));  // twice
}

TEST_F(LayoutTest, LengthsThatWrapPastTheTotalAreRefused) {
  const std::uint64_t most = kMaxWriteValues - 1;  // even: whole units
  EXPECT_TRUE(Valid({LayoutHead(1, most), LayoutWord(2, most)}));
  EXPECT_FALSE(Valid({LayoutHead(2, 0), LayoutWord(1, 1), LayoutWord(2, most)}));
}

TEST_F(LayoutTest, DigestIsTheStandardChecksumOfTheWords) {
  const std::vector<std::uint64_t> words = {LayoutHead(1, 3), LayoutWord(0, 3)};
  EXPECT_EQ(LayoutDigest(words), Crc32c(words.data(), 16));
  EXPECT_NE(LayoutDigest(words),
            LayoutDigest(std::vector<std::uint64_t>{LayoutHead(1, 3), LayoutWord(1, 3)}));
}

TEST(RecordTest, BytesAreAsTheFormatSays) {
  const Record record = {.start = 0x0102030405060708,
                         .step = -2,
                         .row_session = PackRowSession(0x112233445566, 0xaabb),
                         .layout = 0xcafef00d,
                         .checksum = 0x01234567};
  const unsigned char expected[32] = {
      8,    7,    6,    5,    4,    3,    2,    1,     // start
      0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,  // step
      0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xbb, 0xaa,  // row, session
      0x0d, 0xf0, 0xfe, 0xca, 0x67, 0x45, 0x23, 0x01};
  EXPECT_EQ(std::memcmp(&record, expected, sizeof(expected)), 0);
}

TEST(RecordTest, RowAndSessionRoundTrip) {
  const std::uint64_t packed = PackRowSession(kMaxRows - 1, 0xffff);
  EXPECT_EQ(RowOfRecord(packed), kMaxRows - 1);
  EXPECT_EQ(SessionOfRecord(packed), 0xffff);
  EXPECT_EQ(SessionOfRecord(PackRowSession(5, 0x12345)), 0x2345);  // 16 bits of the session number
}

TEST(CheckTest, CoversTheHeadWordsAndTheValues) {
  const std::uint64_t words[] = {7, 8, 9, 10U | 11ULL << 32, 100, 200};
  std::uint32_t state = BeginChecksum(0x5eed, 7, 8, 9, 10, 11);
  state = Crc32cExtendWords(state, words + 4, 2);
  EXPECT_EQ(FinishChecksum(state), ~Crc32cExtendPortable(0x5eed, words, sizeof(words)));
}

}  // namespace
}  // namespace stream_store::internal
