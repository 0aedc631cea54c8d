// Tests of the encoder and the decoder of nested cells, against the plain model.

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "format/nested_model.h"
#include "format/nested_problem.h"

namespace stream_store::testing {
namespace {

std::string BlockOf(const std::string& type, const std::function<void(NestedEncoder&)>& write) {
  NestedEncoder encoder(ParseNestedType(type));
  write(encoder);
  return std::string(encoder.Finish());
}

NestedDecoder Opened(const std::string& type, const std::string& block) {
  NestedDecoder decoder(ParseNestedType(type));
  decoder.Open(AsBytes(block));
  return decoder;
}

TEST(NestedCodecTest, AChatHasTheBlockOfTheSpecification) {
  const std::string block =
      BlockOf("list<struct<role: string, content: string>>", [](NestedEncoder& chat) {
        chat.BeginList();
        chat.BeginStruct();
        chat.Text("user");
        chat.Text("Hello");
        chat.EndStruct();
        chat.BeginStruct();
        chat.Text("bot");
        chat.Null();
        chat.EndStruct();
        chat.EndList();
      });
  // The list: 2 elements. The structs: no nulls. Roles: lengths 4 and 3. Contents: the second one
  // is null, so the bitmap is 01 and there is one length.
  EXPECT_EQ(block, std::string("\x00\x02"
                               "\x00"
                               "\x00\x04\x03userbot"
                               "\x01\x01\x05Hello",
                               21));
}

TEST(NestedCodecTest, RandomCellsHaveTheModelsBlockAndComeBack) {
  Random random(1);
  for (int round = 0; round < 1500; ++round) {
    const NestedType type = RandomType(random, 4);
    NestedEncoder encoder(type);
    NestedDecoder decoder(type);
    for (int i = 0; i < 3; ++i) {
      const Cell cell = RandomCell(random, type);
      WriteCell(encoder, type, cell);
      const std::string block(encoder.Finish());
      ASSERT_EQ(block, ModelBlock(type, cell)) << NestedTypeText(type);
      decoder.Open(AsBytes(block));
      ASSERT_EQ(ReadCell(decoder, type), cell) << NestedTypeText(type);
    }
  }
}

TEST(NestedCodecTest, TypesOfRandomCellsHaveTextsThatGiveThemBack) {
  Random random(2);
  for (int round = 0; round < 1000; ++round) {
    const NestedType type = RandomType(random, 5);
    ASSERT_EQ(ParseNestedType(NestedTypeText(type)), type);
  }
}

TEST(NestedCodecTest, NumbersComeBackAtTheEndsOfTheirRanges) {
  const std::vector<std::tuple<std::string, std::int64_t, std::uint64_t>> types = {
      {"int8", INT8_MIN, INT8_MAX},
      {"int16", INT16_MIN, INT16_MAX},
      {"int32", INT32_MIN, INT32_MAX},
      {"int64", INT64_MIN, INT64_MAX},
      {"uint8", 0, UINT8_MAX},
      {"uint16", 0, UINT16_MAX},
      {"uint32", 0, UINT32_MAX},
      {"uint64", 0, UINT64_MAX},
      {"date32", INT32_MIN, INT32_MAX},
      {"time32[ms]", INT32_MIN, INT32_MAX},
      {"duration[s]", INT64_MIN, INT64_MAX},
      {"timestamp[us, tz=UTC]", INT64_MIN, INT64_MAX}};
  for (const auto& entry : types) {
    const auto& name = std::get<0>(entry);  // clang 14 captures no structured bindings
    const auto lowest = std::get<1>(entry);
    const auto highest = std::get<2>(entry);
    const std::string type = "list<" + name + ">";
    const std::string block = BlockOf(type, [&](NestedEncoder& encoder) {
      encoder.BeginList();
      encoder.Int(lowest);
      encoder.UInt(highest);
      if (lowest != INT64_MIN) {
        EXPECT_NE(ProblemOf([&] { encoder.Int(lowest - 1); }), "none") << name;
      }
      if (highest != UINT64_MAX) {
        EXPECT_NE(ProblemOf([&] { encoder.UInt(highest + 1); }), "none") << name;
      }
      encoder.EndList();
    });
    NestedDecoder decoder = Opened(type, block);
    EXPECT_EQ(decoder.BeginList(), 2U);
    EXPECT_EQ(decoder.Int(), lowest) << name;
    EXPECT_EQ(decoder.UInt(), highest) << name;
  }
}

TEST(NestedCodecTest, FloatsAreRoundedToTheNearestOfTheirType) {
  const double inf = std::numeric_limits<double>::infinity();
  for (const auto& [type, given, stored] : std::vector<std::tuple<std::string, double, double>>{
           {"float64", 0.1, 0.1},
           {"float32", 0.1, static_cast<double>(0.1F)},
           {"float32", 3.4028235677973366e38 * 0.99999999, std::numeric_limits<float>::max()},
           {"float16", 65519.0, 65504.0},
           {"float16", 1e-9, 0.0},
           {"float16", -inf, -inf},
           {"float32", inf, inf}}) {
    const std::string block =
        BlockOf(type, [&, number = given](auto& encoder) { encoder.Float(number); });
    EXPECT_EQ(Opened(type, block).Float(), stored) << type << given;
  }
  const std::string nan = BlockOf("float16", [](auto& encoder) { encoder.Float(std::nan("")); });
  EXPECT_TRUE(std::isnan(Opened("float16", nan).Float()));
}

TEST(NestedCodecTest, FiniteNumbersBeyondAFloatAreRefused) {
  NestedEncoder floats(ParseNestedType("list<float32>"));
  floats.BeginList();
  EXPECT_EQ(ProblemOf([&] { floats.Float(1e300); }), "[0]: expected a float32 but found 1e+300");
  NestedEncoder halves(ParseNestedType("float16"));
  EXPECT_EQ(ProblemOf([&] { halves.Float(-65520.0); }), "expected a float16 but found -65520");
}

TEST(NestedCodecTest, ItemsAreWrittenAndReadInRuns) {
  const std::vector<std::int32_t> numbers = {1, -2, 3, 4, -5};
  const std::string block = BlockOf("list<int32>", [&](NestedEncoder& encoder) {
    encoder.BeginList();
    encoder.Items(numbers.data(), 2);
    encoder.Int(3);
    encoder.Null();
    encoder.Items(numbers.data() + 3, 2);
    encoder.EndList();
  });
  NestedDecoder decoder = Opened("list<int32>", block);
  EXPECT_EQ(decoder.BeginList(), 6U);
  const auto first = decoder.Items(3);
  EXPECT_EQ(std::memcmp(first.data(), numbers.data(), 12), 0);
  EXPECT_EQ(first.size(), 12U);
  EXPECT_NE(ProblemOf([&] { decoder.Items(2); }), "none");
  EXPECT_TRUE(decoder.Null());
  EXPECT_NE(ProblemOf([&] { decoder.Items(3); }), "none");
  const auto last = decoder.Items(2);
  EXPECT_EQ(std::memcmp(last.data(), numbers.data() + 3, 8), 0);
  EXPECT_NE(ProblemOf([&] { decoder.Items(1); }), "none");
}

TEST(NestedCodecTest, ValuesOfOtherKindsAreRefusedWithTheirPlace) {
  NestedEncoder chat(
      ParseNestedType("list<struct<role: string not null, n: fixed_size_list<int8>[2]>>"));
  using Call = std::function<void()>;
  const auto expect = [&](const Call& call, const std::string& problem) {
    EXPECT_EQ(ProblemOf(call), problem);
  };
  expect([&] { chat.Text("x"); }, "expected a list but found a string");
  expect([&] { chat.Null(); }, "expected a list but found null");
  expect([&] { chat.EndList(); }, "expected a list but found the end of a list");
  chat.BeginList();
  expect([&] { chat.Int(1); }, "[0]: expected a struct but found an integer");
  expect([&] { chat.EndStruct(); }, "[0]: expected a struct but found the end of a struct");
  chat.BeginStruct();
  EXPECT_EQ(chat.Place(), "[0].role");
  expect([&] { chat.Null(); }, "[0].role: expected a string but found null");
  expect([&] { chat.BeginList(); }, "[0].role: expected a string but found a list");
  expect([&] { chat.Float(1); }, "[0].role: expected a string but found a float");
  expect([&] { chat.Text("a\xff"); },
         "[0].role: expected UTF-8 but found byte 255 at byte 1 of the string");
  expect([&] { chat.EndStruct(); }, "[0].role: expected a string but found the end of a struct");
  expect([&] { chat.Finish(); }, "[0].role: expected a string but found the end of the cell");
  chat.Text("a");
  chat.BeginList();
  expect([&] { chat.Bool(true); }, "[0].n[0]: expected an int8 but found a bool");
  expect([&] { chat.Item(AsBytes("abc")); }, "[0].n[0]: expected an int8 but found 3 bytes");
  expect([&] { chat.Int(200); }, "[0].n[0]: expected an int8 but found 200");
  expect([&] { chat.Items("abc", 3); },
         "[0].n: expected a list of 2 items but found a list of at least 3");
  chat.Int(1);
  expect([&] { chat.EndList(); }, "[0].n: expected a list of 2 items but found a list of 1");
  chat.Int(2);
  expect([&] { chat.Int(3); }, "[0].n: expected the end of a list of 2 items but found an integer");
  chat.EndList();
  expect([&] { chat.Text("b"); }, "[0]: expected the end of a struct but found a string");
  chat.EndStruct();
  EXPECT_EQ(chat.Place(), "[1]");
  chat.EndList();
  expect([&] { chat.BeginList(); }, "expected the end of the cell but found a list");
  EXPECT_EQ(chat.Finish(), std::string("\0\1\0\0\1a\0\0\1\2", 10));
}

TEST(NestedCodecTest, ACellThatWasGivenUpLeavesNoTrace) {
  const NestedType type = ParseNestedType("list<list<string>>");
  NestedEncoder encoder(type);
  encoder.BeginList();
  encoder.Null();
  encoder.BeginList();
  encoder.Text("lost");
  encoder.Clear();
  EXPECT_EQ(encoder.Place(), "");
  const Cell cell = ParentCell({ParentCell({ItemCell("kept")})});
  WriteCell(encoder, type, cell);
  EXPECT_EQ(encoder.Finish(), ModelBlock(type, cell));
}

TEST(NestedCodecTest, CallsForOtherKindsOfValuesAreRefusedAndReadNothing) {
  const std::string type = "struct<a: int8, b: list<null>, c: string>";
  const std::string block = BlockOf(type, [](NestedEncoder& encoder) {
    encoder.BeginStruct();
    encoder.Int(-7);
    encoder.BeginList();
    encoder.Null();
    encoder.EndList();
    encoder.Null();
    encoder.EndStruct();
  });
  NestedDecoder cell = Opened(type, block);
  EXPECT_EQ(ProblemOf([&] { cell.Int(); }), "expected a struct but found a call for an integer");
  cell.BeginStruct();
  EXPECT_EQ(ProblemOf([&] { cell.Text(); }), ".a: expected an int8 but found a call for a string");
  EXPECT_EQ(ProblemOf([&] { cell.BeginList(); }),
            ".a: expected an int8 but found a call for a list");
  EXPECT_EQ(cell.UInt(), static_cast<std::uint64_t>(-7));
  EXPECT_EQ(cell.BeginList(), 1U);
  EXPECT_EQ(ProblemOf([&] { cell.Item(); }),
            ".b[0]: expected null but found a call for an item of fixed size");
  EXPECT_TRUE(cell.Null());
  EXPECT_EQ(ProblemOf([&] { cell.Text(); }), ".c: expected null but found a call for a string");
  EXPECT_TRUE(cell.Null());
  EXPECT_NE(ProblemOf([&] { cell.Null(); }), "none");
}

TEST(NestedCodecTest, ADecoderWithoutABlockHasNoValues) {
  NestedDecoder decoder(ParseNestedType("int8"));
  EXPECT_NE(ProblemOf([&] { decoder.Int(); }), "none");
  EXPECT_NE(ProblemOf([&] { decoder.Null(); }), "none");
}

TEST(NestedCodecTest, CellsOfOtherTypesAreCorrupt) {
  NestedDecoder decoder(ParseNestedType("list<int32>"));
  try {
    decoder.Open(AsBytes(std::string("\0\1\0\0", 4)));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  }
  EXPECT_NE(ProblemOf([&] { decoder.BeginList(); }), "none");
}

TEST(NestedCodecTest, TheDeepestTypeHoldsCells) {
  std::string text = "int8";
  for (int i = 1; i < kMaxNestedDepth; ++i) text = "list<" + text + ">";
  const NestedType type = ParseNestedType(text);
  Cell cell = ItemCell("\x07");
  for (int i = 1; i < kMaxNestedDepth; ++i) cell = ParentCell({cell, NullCell()});
  cell.children[0].children.pop_back();
  NestedEncoder encoder(type);
  NestedDecoder decoder(type);
  WriteCell(encoder, type, cell);
  const std::string block(encoder.Finish());
  EXPECT_EQ(block, ModelBlock(type, cell));
  decoder.Open(AsBytes(block));
  EXPECT_EQ(ReadCell(decoder, type), cell);
}

TEST(NestedCodecTest, LongTextsAndListsHaveWiderLengths) {
  const NestedType type = ParseNestedType("list<binary>");
  NestedEncoder encoder(type);
  for (const std::size_t bytes : {255U, 256U, 65'535U, 65'536U}) {
    Cell cell = ParentCell({ItemCell(std::string(bytes, 'x')), ItemCell("y")});
    for (int round = 0; round < 2; ++round) {
      WriteCell(encoder, type, cell);
      ASSERT_EQ(encoder.Finish(), ModelBlock(type, cell)) << bytes;
      cell.children.resize(bytes);
    }
  }
}

}  // namespace
}  // namespace stream_store::testing
