// Tests of the damage to chunk files, on images that are not stores.

#include "crash/chunk_damage.h"

#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "crash/place.h"

namespace stream_store::crash {
namespace {

constexpr std::uint64_t kChunk = 4096;

std::vector<std::byte> Bytes(std::size_t count, char letter) {
  return std::vector<std::byte>(count, static_cast<std::byte>(letter));
}

// Three chunks of values, of which the last is short, one of records, and `control`.
Image Make() {
  Image image = {{"values.000000000004", Bytes(kChunk, 'a')},
                 {"values.000000000005", Bytes(kChunk, 'b')},
                 {"values.000000000006", Bytes(100, 'c')},
                 {"records.000000000000", Bytes(64, 'r')},
                 {"control", Bytes(512, '\0')}};
  std::memcpy(image["control"].data() + 56, &kChunk, sizeof(kChunk));
  return image;
}

std::vector<std::string> NamesOf(const Image& image) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : image) names.push_back(name);
  return names;
}

TEST(ChunkDamageTest, NamesHaveTenDigits) {
  EXPECT_EQ(NameOfChunk("row_hints", 12), "row_hints.000000000012");
  const auto chunk = ParseChunk("row_hints.000000000012");
  ASSERT_TRUE(chunk);
  EXPECT_EQ(chunk->kind, "row_hints");
  EXPECT_EQ(chunk->number, 12U);
  for (const char* name : {"control", "values.000000001", "values.00000000012", "values.+000000001",
                           ".000000000000", "values.000000001x", "schema.tmp"}) {
    EXPECT_FALSE(ParseChunk(name)) << name;
  }
}

TEST(ChunkDamageTest, ImagesAreWrittenAndRead) {
  const FastDirectory place;
  WriteImage(Make(), place / "store");
  EXPECT_TRUE(std::filesystem::exists(place / "store" / "lock"));
  EXPECT_EQ(LoadImage(place / "store"), Make());
  WriteImage({{"control", Bytes(1, 'x')}}, place / "store");
  EXPECT_EQ(NamesOf(LoadImage(place / "store")), std::vector<std::string>{"control"});
}

TEST(ChunkDamageTest, ChunksOfAKindAreOneSequence) {
  Image image = Make();
  EXPECT_EQ(FilesOfKind(image, "values").size(), 3U);
  EXPECT_EQ(FilesOfKind(image, "control"), std::vector<std::string>{"control"});
  EXPECT_EQ(FilesOfKind(image, "layouts"), std::vector<std::string>{});
  std::vector<std::byte> bytes = JoinKind(image, "values");
  ASSERT_EQ(bytes.size(), 2 * kChunk + 100);
  EXPECT_EQ(bytes[kChunk - 1], std::byte{'a'});
  EXPECT_EQ(bytes[kChunk], std::byte{'b'});
  bytes[kChunk] = std::byte{'x'};
  bytes.back() = std::byte{'y'};
  SplitKind(image, "values", bytes);
  EXPECT_EQ(image["values.000000000004"], Bytes(kChunk, 'a'));
  EXPECT_EQ(image["values.000000000005"].front(), std::byte{'x'});
  EXPECT_EQ(image["values.000000000006"].back(), std::byte{'y'});
}

TEST(ChunkDamageTest, FileMayBeMissing) {
  Image image = Make();
  EXPECT_TRUE(DamageChunk(image, "values.000000000005", ChunkDamage::kMissing, 0));
  EXPECT_EQ(NamesOf(image),
            (std::vector<std::string>{"control", "records.000000000000", "values.000000000004",
                                      "values.000000000006"}));
}

TEST(ChunkDamageTest, FilesOfAKindMayBeSwapped) {
  Image image = Make();
  EXPECT_TRUE(DamageChunk(image, "values.000000000004", ChunkDamage::kSwapped, 1));
  EXPECT_EQ(image["values.000000000004"], Bytes(100, 'c'));
  EXPECT_EQ(image["values.000000000006"], Bytes(kChunk, 'a'));
  EXPECT_FALSE(DamageChunk(image, "records.000000000000", ChunkDamage::kSwapped, 1));
}

TEST(ChunkDamageTest, NumbersMayBeWrong) {
  for (std::uint64_t choice = 0; choice < 16; ++choice) {
    Image image = Make();
    EXPECT_TRUE(DamageChunk(image, "values.000000000006", ChunkDamage::kRenumbered, choice));
    EXPECT_FALSE(image.contains("values.000000000006")) << choice;
    Image doubled = Make();
    EXPECT_TRUE(DamageChunk(doubled, "values.000000000006", ChunkDamage::kDoubled, choice));
    EXPECT_EQ(doubled["values.000000000006"], Bytes(100, 'c'));
    image["values.000000000006"] = Bytes(100, 'c');
    EXPECT_EQ(doubled, image) << choice;
  }
}

TEST(ChunkDamageTest, SizesMayBeWrong) {
  for (const std::uint64_t choice : {std::uint64_t{0}, std::uint64_t{99}, std::uint64_t{12345}}) {
    Image image = Make();
    EXPECT_TRUE(DamageChunk(image, "values.000000000006", ChunkDamage::kLonger, choice));
    EXPECT_GT(image["values.000000000006"].size(), kChunk);
    EXPECT_TRUE(DamageChunk(image, "values.000000000005", ChunkDamage::kShorter, choice));
    EXPECT_LT(image["values.000000000005"].size(), kChunk);
  }
}

TEST(ChunkDamageTest, OtherFilesStayAsTheyAre) {
  for (std::uint64_t damage = 0; damage < kChunkDamages; ++damage) {
    for (const char* name : {"control", "schema", "values.000000000009"}) {
      Image image = Make();
      EXPECT_FALSE(DamageChunk(image, name, static_cast<ChunkDamage>(damage), 5));
      EXPECT_EQ(image, Make());
    }
  }
}

}  // namespace
}  // namespace stream_store::crash
