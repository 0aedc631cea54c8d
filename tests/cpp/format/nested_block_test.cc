// Tests of the columns of nested blocks, and of the blocks that are refused.

#include "format/nested_block.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"

#include "format/nested_model.h"

namespace stream_store::internal {
namespace {

using testing::AsBytes;
using testing::BytesOf;
using testing::Cell;
using testing::ItemCell;
using testing::ModelBlock;
using testing::NullCell;
using testing::ParentCell;
using testing::ReadCell;

/// The bytes of a text with zero bytes in it.
template <std::size_t Size>
std::string Raw(const char (&bytes)[Size]) {
  return std::string(bytes, Size - 1);
}

std::string ProblemOf(const NestedType& type, const std::string& block) {
  const NestedPlan plan(type);
  const char* problem = CheckNestedBlock(plan, AsBytes(block));
  return problem == nullptr ? "none" : problem;
}

std::string ProblemOf(const std::string& type, const std::string& block) {
  return ProblemOf(ParseNestedType(type), block);
}

std::vector<NestedColumn> ColumnsOf(const std::string& type, const std::string& block) {
  const NestedPlan plan(ParseNestedType(type));
  std::vector<NestedColumn> columns(plan.size());
  EXPECT_EQ(FindNestedColumns(plan, AsBytes(block), columns), nullptr);
  return columns;
}

TEST(NestedPlanTest, NodesAreInPreorder) {
  const NestedPlan plan(
      ParseNestedType("struct<a: list<string not null>, b: fixed_size_list<bool>[3], c: null>"));
  ASSERT_EQ(plan.size(), 6U);
  EXPECT_EQ(plan[0].kind, NestedType::Kind::kStruct);
  EXPECT_FALSE(plan[0].nullable);
  EXPECT_EQ(plan[0].children, 3U);
  std::vector<std::uint32_t> ends;
  for (const NestedNode& node : plan.nodes()) ends.push_back(node.end);
  EXPECT_EQ(ends, (std::vector<std::uint32_t>{6, 3, 3, 5, 5, 6}));
  EXPECT_TRUE(plan[2].is_text);
  EXPECT_FALSE(plan[2].nullable);
  EXPECT_EQ(plan[3].list_items, 3U);
  EXPECT_TRUE(plan[4].is_bool);
  EXPECT_TRUE(plan[5].is_null);
  EXPECT_EQ(plan[5].item_bytes, 1U);
}

TEST(NestedPlanTest, TypesThatWereNotMadeHereAreRefused) {
  NestedType type = ParseNestedType("list<int8>");
  type.children.clear();
  EXPECT_THROW(NestedPlan{type}, Error);
  type = NestedType{};
  EXPECT_THROW(NestedPlan{type}, Error);
}

TEST(NestedBlockTest, ColumnsPointToTheirParts) {
  // A list of 3 elements; the bitmap 101; lengths 1 and 2.
  const std::string block =
      Raw("\x00\x03\x01\x05\x01\x02"
          "abc");
  const std::vector<NestedColumn> columns = ColumnsOf("list<string>", block);
  EXPECT_EQ(columns[0].slots, 1U);
  EXPECT_EQ(columns[0].LengthAt(0), 3U);
  EXPECT_EQ(columns[1].slots, 3U);
  EXPECT_EQ(columns[1].present, 2U);
  EXPECT_EQ(*columns[1].validity, 5);
  EXPECT_EQ(columns[1].LengthAt(1), 2U);
  EXPECT_EQ(columns[1].data_bytes, 3U);
  EXPECT_EQ(static_cast<const void*>(columns[1].data), static_cast<const void*>(block.data() + 6));
}

struct Bad {
  const char* type;
  std::string block;
  const char* problem;
};

TEST(NestedBlockTest, EachKindOfMistakeIsRefused) {
  const Bad kBlocks[] = {
      {"int8", "", "the block ends"},
      {"int8", Raw("\x00"), "the block ends"},
      {"int8", Raw("\x00\x07\x00"), "goes on after its content"},
      {"int8", Raw("\x02\x07"), "an unused bit of a header"},
      {"int8", Raw("\x80\x07"), "an unused bit of a header"},
      {"string", Raw("\x08\x00"), "an unused bit of a header"},
      {"int8", Raw("\x01\x00"), "cannot be null"},
      {"int8", Raw("\x01\x01\x07"), "cannot be null"},
      {"bool", Raw("\x00\x02"), "neither 0 nor 1"},
      {"null", Raw("\x00\x01"), "is not 0"},
      {"struct<>", Raw("\x00\x01"), "is not 0"},
      {"fixed_size_list<int8>[0]", Raw("\x00\x01\x00"), "is not 0"},
      {"fixed_size_binary[0]", Raw("\x00\x01"), "is not 0"},
      {"string", Raw("\x00\x01\xff"), "not UTF-8"},
      {"string",
       Raw("\x00\x02"
           "a"),
       "the block ends"},
      {"string",
       Raw("\x02\x01\x00"
           "a"),
       "wider"},
      {"string", Raw("\x04\xff\x00\x00\x00"), "more elements than the block can hold"},
      {"string", Raw("\x06\xff\xff\xff\xff\xff\xff\xff\xff"), "more elements than"},
      {"list<string>", Raw("\x02\x00\x00\x00"), "wider"},
      {"list<int8>", Raw("\x00\x00\x01"), "none of its elements is null"},
      {"list<int8>", Raw("\x00\x01\x01\x01\x07"), "none of its elements is null"},
      {"list<int8>", Raw("\x00\x01\x01\x02"), "an unused bit of a bitmap"},
      {"list<int8>", Raw("\x00\x09\x01\x00\x02"), "an unused bit of a bitmap"},
      {"list<item: int8 not null>", Raw("\x00\x01\x01\x00"), "cannot be null"},
      {"list<null>", Raw("\x00\x01\x01\x00"), "cannot be null"},
      {"list<int8>", Raw("\x00\x09\x00"), "more elements than"},
      {"list<int32>", Raw("\x00\x02\x00\x01\x01\x01\x01\x02\x02\x02"), "the block ends"},
      {"list<list<int8>>", Raw("\x06\xff\xff\xff\xff\xff\xff\xff\x7f\x00"), "more elements than"},
      {"list<list<int8>>",
       Raw("\x00\x02\x06\xff\xff\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00"
           "\x00\x00\x00\x00"),
       "more elements than"},
      {"list<fixed_size_list<int8>[2147483647]>", Raw("\x00\x04\x00\x00"), "more elements than"},
      {"fixed_size_list<fixed_size_list<fixed_size_list<int8>[2147483647]>[2147483647]>"
       "[2147483647]",
       Raw("\x00\x00\x00\x00"), "more elements than"},
      {"map<int8, int8>", Raw("\x00\x01\x01\x00\x00\x00"), "cannot be null"},
      {"list<string>", Raw("\x00\x02\x00\x01\x01\xc3\xa9"), "not UTF-8"}};
  for (const Bad& bad : kBlocks) {
    EXPECT_NE(ProblemOf(bad.type, bad.block).find(bad.problem), std::string::npos)
        << bad.type << ": " << ProblemOf(bad.type, bad.block);
  }
}

TEST(NestedBlockTest, SequencesOfUtf8DoNotCrossTexts) {
  const auto block = [](const std::string& a, const std::string& b) {
    return ModelBlock(ParseNestedType("list<string>"),
                      ParentCell({ItemCell(a), ItemCell(""), ItemCell(b)}));
  };
  EXPECT_EQ(ProblemOf("list<string>", block("\xe2\x82", "\xac")), "a string is not UTF-8");
  EXPECT_EQ(ProblemOf("list<string>", block("\xe2\x82\xac", "\xc3\xa9")), "none");
  EXPECT_EQ(ProblemOf("list<binary>", block("\xe2\x82", "\xac")), "none");
}

TEST(NestedBlockTest, TruncatedBlocksAreRefused) {
  testing::Random random(3);
  for (int round = 0; round < 300; ++round) {
    const NestedType type = testing::RandomType(random, 4);
    const std::string block = ModelBlock(type, testing::RandomCell(random, type));
    ASSERT_EQ(ProblemOf(type, block), "none") << NestedTypeText(type);
    for (std::size_t bytes = 0; bytes < std::min<std::size_t>(block.size(), 400); ++bytes) {
      ASSERT_NE(ProblemOf(type, block.substr(0, bytes)), "none") << NestedTypeText(type);
    }
    ASSERT_NE(ProblemOf(type, block + '\0'), "none");
  }
}

// Whatever is accepted must be the one encoding of its value.
TEST(NestedBlockTest, ChangedBytesAreRefusedOrGiveAnotherCanonicalBlock) {
  testing::Random random(4);
  std::uint64_t accepted = 0;
  for (int round = 0; round < 200; ++round) {
    const NestedType type = testing::RandomType(random, 4);
    std::string block = ModelBlock(type, testing::RandomCell(random, type));
    const NestedPlan plan(type);
    NestedDecoder decoder(type);
    for (std::size_t at = 0; at < std::min<std::size_t>(block.size(), 60); ++at) {
      const char before = block[at];
      for (const int change :
           {1, 2, 4, 8, 0x40, 0x80, 0xff, static_cast<int>(random() % 255 + 1)}) {
        block[at] = static_cast<char>(before ^ change);
        if (CheckNestedBlock(plan, AsBytes(block)) == nullptr) {
          ++accepted;
          decoder.Open(AsBytes(block));
          ASSERT_EQ(ModelBlock(type, ReadCell(decoder, type)), block) << NestedTypeText(type);
        }
      }
      block[at] = before;
    }
  }
  EXPECT_GT(accepted, 1000U);
}

TEST(NestedBlockTest, OneValueHasOneBlock) {
  // Of all blocks of up to six small bytes, those that are accepted are what their value is encoded
  // as. So no two of them hold the same value.
  for (const char* text : {"list<bool>", "struct<a: bool, b: null>", "list<struct<>>", "string",
                           "list<fixed_size_list<bool>[0]>"}) {
    const NestedType type = ParseNestedType(text);
    const NestedPlan plan(type);
    NestedDecoder decoder(type);
    std::uint64_t accepted = 0;
    for (std::uint32_t word = 1; word < 1U << 13; ++word) {
      std::string block;
      for (std::uint32_t rest = word; rest > 1; rest >>= 2) {
        block += static_cast<char>(rest & 3);
      }
      if (CheckNestedBlock(plan, AsBytes(block)) == nullptr) {
        ++accepted;
        decoder.Open(AsBytes(block));
        EXPECT_EQ(ModelBlock(type, ReadCell(decoder, type)), block) << text;
      }
    }
    EXPECT_GT(accepted, 0U) << text;
  }
}

TEST(NestedBlockTest, ManyNodesAndElementsAreChecked) {
  std::string text = "struct<";
  Cell cell;
  for (int i = 0; i < 5000; ++i) {
    text += (i == 0 ? "" : ", ") + std::string("a: int8");
    cell.children.push_back(i % 3 == 0 ? NullCell() : ItemCell("x"));
  }
  const NestedType type = ParseNestedType(text + ">");
  EXPECT_EQ(ProblemOf(type, ModelBlock(type, cell)), "none");

  const NestedType lists = ParseNestedType("list<list<int8>>");
  cell.children.clear();
  for (int i = 0; i < 100'000; ++i) {
    cell.children.push_back(i % 7 == 0 ? NullCell() : ParentCell({NullCell()}));
  }
  EXPECT_EQ(ProblemOf(lists, ModelBlock(lists, cell)), "none");
}

}  // namespace
}  // namespace stream_store::internal
