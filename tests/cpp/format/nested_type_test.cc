// Tests of the types of nested fields: their texts, in both directions, and what is refused.

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/nested.h"

#include "format/nested_problem.h"

namespace stream_store {
namespace {

using Kind = NestedType::Kind;

std::string Canonical(const std::string& text) { return NestedTypeText(ParseNestedType(text)); }

using stream_store::testing::ProblemOf;

std::string ProblemOf(const std::string& text) {
  return ProblemOf([&text] { (void)ParseNestedType(text); });
}

NestedType Named(std::string name, NestedType type, bool nullable = true) {
  type.name = std::move(name);
  type.nullable = nullable;
  return type;
}

struct Case {
  const char* text;
  const char* format;
  Kind kind;
  std::uint32_t size;
};

// The canonical text of every type without children.
const Case kItems[] = {
    {"null", "n", Kind::kItem, 0},
    {"bool", "b", Kind::kItem, 1},
    {"int8", "c", Kind::kItem, 1},
    {"int16", "s", Kind::kItem, 2},
    {"int32", "i", Kind::kItem, 4},
    {"int64", "l", Kind::kItem, 8},
    {"uint8", "C", Kind::kItem, 1},
    {"uint16", "S", Kind::kItem, 2},
    {"uint32", "I", Kind::kItem, 4},
    {"uint64", "L", Kind::kItem, 8},
    {"float16", "e", Kind::kItem, 2},
    {"float32", "f", Kind::kItem, 4},
    {"float64", "g", Kind::kItem, 8},
    {"string", "u", Kind::kBytes, 0},
    {"large_string", "U", Kind::kBytes, 0},
    {"string_view", "vu", Kind::kBytes, 0},
    {"binary", "z", Kind::kBytes, 0},
    {"large_binary", "Z", Kind::kBytes, 0},
    {"binary_view", "vz", Kind::kBytes, 0},
    {"fixed_size_binary[5]", "w:5", Kind::kItem, 5},
    {"fixed_size_binary[0]", "w:0", Kind::kItem, 0},
    {"date32", "tdD", Kind::kItem, 4},
    {"date64", "tdm", Kind::kItem, 8},
    {"time32[s]", "tts", Kind::kItem, 4},
    {"time32[ms]", "ttm", Kind::kItem, 4},
    {"time64[us]", "ttu", Kind::kItem, 8},
    {"time64[ns]", "ttn", Kind::kItem, 8},
    {"timestamp[s]", "tss:", Kind::kItem, 8},
    {"timestamp[ms, tz=UTC]", "tsm:UTC", Kind::kItem, 8},
    {"timestamp[us, tz=+01:00]", "tsu:+01:00", Kind::kItem, 8},
    {"timestamp[ns, tz=America/New_York]", "tsn:America/New_York", Kind::kItem, 8},
    {"timestamp[ns, tz=\"a]b\"]", "tsn:a]b", Kind::kItem, 8},
    {"duration[s]", "tDs", Kind::kItem, 8},
    {"duration[ms]", "tDm", Kind::kItem, 8},
    {"duration[us]", "tDu", Kind::kItem, 8},
    {"duration[ns]", "tDn", Kind::kItem, 8},
    {"decimal32(5, 2)", "d:5,2,32", Kind::kItem, 4},
    {"decimal64(18, -3)", "d:18,-3,64", Kind::kItem, 8},
    {"decimal128(38, 0)", "d:38,0", Kind::kItem, 16},
    {"decimal256(76, 76)", "d:76,76,256", Kind::kItem, 32},
    {"month_interval", "tiM", Kind::kItem, 4},
    {"day_time_interval", "tiD", Kind::kItem, 8},
    {"month_day_nano_interval", "tin", Kind::kItem, 16}};

TEST(NestedTypeTest, EveryTypeWithoutChildrenHasItsFormatAndItsText) {
  for (const Case& of : kItems) {
    const NestedType type = ParseNestedType(of.text);
    EXPECT_EQ(type.format, of.format) << of.text;
    EXPECT_EQ(type.kind, of.kind) << of.text;
    EXPECT_EQ(type.size, of.size) << of.text;
    EXPECT_EQ(NestedTypeText(type), of.text);
    EXPECT_EQ(MakeNestedType(of.format), type) << of.text;
  }
}

TEST(NestedTypeTest, ListsOfAllSizesHaveTheirFormats) {
  const std::vector<std::pair<std::string, std::string>> lists = {
      {"list<int32>", "+l"},
      {"large_list<int32>", "+L"},
      {"list_view<int32>", "+vl"},
      {"large_list_view<int32>", "+vL"},
      {"fixed_size_list<int32>[3]", "+w:3"},
      {"fixed_size_list<int32>[0]", "+w:0"}};
  for (const auto& [text, format] : lists) {
    const NestedType type = MakeNestedType(format, {MakeNestedType("i")});
    EXPECT_EQ(ParseNestedType(text), type);
    EXPECT_EQ(NestedTypeText(type), text);
    EXPECT_EQ(type.children[0].name, "item");
    EXPECT_EQ(type.kind, text.starts_with("fixed") ? Kind::kFixedList : Kind::kList);
  }
}

TEST(NestedTypeTest, StructsNameTheirChildren) {
  const NestedType type = ParseNestedType(
      "list<item: struct<role: string not null, content: large_string, n: list<int8>>>");
  const NestedType entry = MakeNestedType(
      "+s", {Named("role", MakeNestedType("u"), false), Named("content", MakeNestedType("U")),
             Named("n", MakeNestedType("+l", {MakeNestedType("c")}))});
  EXPECT_EQ(type, MakeNestedType("+l", {entry}));
  EXPECT_EQ(NestedTypeText(type),
            "list<struct<role: string not null, content: large_string, n: list<int8>>>");
  EXPECT_EQ(NestedTypeText(MakeNestedType("+s")), "struct<>");
}

TEST(NestedTypeTest, MapsAreListsOfEntries) {
  const NestedType type = ParseNestedType("map<string, int32>");
  EXPECT_EQ(type.kind, Kind::kList);
  EXPECT_EQ(type.format, "+m");
  const NestedType& entries = type.children.at(0);
  EXPECT_EQ(entries.kind, Kind::kStruct);
  EXPECT_EQ(entries.name, "entries");
  EXPECT_FALSE(entries.nullable);
  EXPECT_EQ(entries.children.at(0).name, "key");
  EXPECT_FALSE(entries.children.at(0).nullable);
  EXPECT_EQ(entries.children.at(1).name, "value");
  EXPECT_TRUE(entries.children.at(1).nullable);
  EXPECT_EQ(
      MakeNestedType("+m", {MakeNestedType("+s", {MakeNestedType("u"), MakeNestedType("i")})}),
      type);
  EXPECT_TRUE(ParseNestedType("map<string, int32, keys_sorted>").keys_sorted);
  EXPECT_FALSE(type.keys_sorted);
}

TEST(NestedTypeTest, TextsAreCanonical) {
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"list<item: int32>", "list<int32>"},
      {" list < item : int32 not  null > ", "list<item: int32 not null>"},
      {"list<element: float>", "list<element: float32>"},
      {"list<\"item\": double>", "list<float64>"},
      {"list<halffloat>", "list<float16>"},
      {"list<date32[day]>", "list<date32>"},
      {"list<date64[ms]>", "list<date64>"},
      {"list<utf8>", "list<string>"},
      {"list<bool_>", "list<bool>"},
      {"list<decimal(10,2)>", "list<decimal128(10, 2)>"},
      {"list<timestamp[ us , tz=UTC]>", "list<timestamp[us, tz=UTC]>"},
      {"struct<a b: int8, größe: int8>", "struct<\"a b\": int8, \"größe\": int8>"},
      {"struct<\"\\u0041\\n\\\"\\ud83d\\ude00\": int8>", "struct<\"A\\n\\\"😀\": int8>"},
      {"struct<\"\": int8, \"\\u0001\": int8>", "struct<\"\": int8, \"\\u0001\": int8>"},
      {"struct<a-b.c_1: int8, not: int8, list: int8>",
       "struct<a-b.c_1: int8, not: int8, list: int8>"},
      {"struct<a: int8, a: int8>", "struct<a: int8, a: int8>"},
      {"map<string ('k'), int32 ('v')>", "map<string (\"k\"), int32 (\"v\")>"},
      {"map<string ('key'), int32 not null>", "map<string, int32 not null>"},
      {"map<string, int32, keys_sorted ('e')>", "map<string, int32, keys_sorted, entries (\"e\")>"},
      {"map<string not null, int32, entries (\"e\")>", "map<string, int32, entries (\"e\")>"},
      {"list<item: fixed_size_list<item: int8>[2]>", "list<fixed_size_list<int8>[2]>"}};
  for (const auto& [text, canonical] : texts) {
    EXPECT_EQ(Canonical(text), canonical);
    EXPECT_EQ(Canonical(canonical), canonical);
    EXPECT_EQ(ParseNestedType(canonical), ParseNestedType(text));
  }
}

TEST(NestedTypeTest, FormatsAreWrittenAsArrowDoes) {
  EXPECT_EQ(MakeNestedType("d:10,2,128").format, "d:10,2");
  EXPECT_EQ(MakeNestedType("w:007").format, "w:7");
  EXPECT_EQ(MakeNestedType("+w:03", {MakeNestedType("c")}).format, "+w:3");
}

TEST(NestedTypeTest, MistakesAreFoundWithTheirPosition) {
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"", "expected a type but found the end at position 0"},
      {"lst<int8>", "expected a type but found 'lst' at position 0"},
      {"list", "expected '<' but found the end at position 4"},
      {"list<int8", "expected '>' but found the end at position 9"},
      {"list<int8>>", "expected the end of the type but found '>' at position 10"},
      {"list<int8> not null", "expected the end of the type but found 'not' at position 11"},
      {"list<>", "expected a type but found '>' at position 5"},
      {"struct<int8>", "expected ':' but found '>' at position 11"},
      {"struct<a: int8,>", "expected a name but found '>' at position 15"},
      {"struct<: int8>", "expected a name but found ':' at position 7"},
      {"struct<a: int8 b: int8>", "expected ',' but found 'b' at position 15"},
      {"struct<a: int8 not>", "expected 'null' after 'not' but found '>' at position 18"},
      {"struct<\"a: int8>", "expected '\"' at the end of a name but found the end at position 16"},
      {"struct<\"\\q\": int8>", "expected an escape of JSON but found 'q' at position 9"},
      {"struct<\"\\ud800x\": int8>", "half of a surrogate pair in a name, at position 9"},
      {"struct<\"\\u0000\": int8>", "contains a zero byte, at position 7"},
      {"struct<\"\xff\": int8>", "is not UTF-8, at position 7"},
      {"\xff", "expected a type but found byte 255 at position 0"},
      {"map<string>", "expected ',' but found '>' at position 10"},
      {"map<string, int8, sorted>",
       "expected 'keys_sorted' or 'entries' but found 'sorted' at position 18"},
      {"fixed_size_list<int8>", "expected '[' but found the end at position 21"},
      {"fixed_size_list<int8>[-1]",
       "expected a size between 0 and 2147483647 but found '-' at position 22"},
      {"fixed_size_binary[99999999999999999999]", "expected a size between 0 and 2147483647"},
      {"time32[us]", "expected a type but found 'time32' at position 0"},
      {"timestamp[D]", "expected a unit (s, ms, us or ns) but found 'D' at position 10"},
      {"timestamp", "expected '[' but found the end at position 9"},
      {"decimal32(10, 2)", "expected a precision between 1 and 9 but found '10' at position 10"},
      {"decimal16(1, 2)", "expected a type but found 'decimal16' at position 0"},
      {"list<extension<arrow.uuid>>",
       "extension types cannot be nested: give the storage type of the extension type instead, "
       "at position 5"},
      {"dictionary<values=string, indices=int8, ordered=0>",
       "give the type of the values of the dictionary instead, at position 0"},
      {"dense_union<a: int8=0>", "unions cannot be stored, at position 0"},
      {"run_end_encoded<run_ends: int32, values: string>", "give the type of the values instead"}};
  for (const auto& [text, problem] : texts) {
    EXPECT_NE(ProblemOf(text).find(problem), std::string::npos) << ProblemOf(text);
  }
}

TEST(NestedTypeTest, FormatsThatCannotBeNestedAreRefused) {
  for (const char* format :
       {"",   "x",    "+ud:0", "+us:0",  "+r",        "+w:",       "+w:-1",       "w:x",
        "d:", "d:10", "d:0,1", "d:39,1", "d:10,1,32", "d:10,1,16", "d:1,1,128,1", "d:1,1,",
        "ts", "tss",  "tsx:",  "tti",    "ll"}) {
    EXPECT_NE(ProblemOf([format] { (void)MakeNestedType(format); }), "none") << format;
  }
  const NestedType item = MakeNestedType("i");
  EXPECT_NE(ProblemOf([] { (void)MakeNestedType("+l"); }), "none");
  EXPECT_NE(ProblemOf([&] { (void)MakeNestedType("+l", {item, item}); }), "none");
  EXPECT_NE(ProblemOf([&] { (void)MakeNestedType("i", {item}); }), "none");
  EXPECT_NE(ProblemOf([&] { (void)MakeNestedType("+m", {item}); }), "none");
}

TEST(NestedTypeTest, TypesThatWereNotMadeHereHaveNoText) {
  NestedType type;
  EXPECT_NE(ProblemOf([&] { (void)NestedTypeText(type); }), "none");
  type = ParseNestedType("map<string, int8>");
  type.children[0].children.pop_back();
  EXPECT_NE(ProblemOf([&] { (void)NestedTypeText(type); }), "none");
}

std::string Lists(int depth, const std::string& inner = "int8") {
  std::string text;
  for (int i = 1; i < depth; ++i) text += "list<";
  text += inner;
  for (int i = 1; i < depth; ++i) text += ">";
  return text;
}

TEST(NestedTypeTest, TheDeepestTypeHas64Levels) {
  EXPECT_EQ(Canonical(Lists(64)), Lists(64));
  EXPECT_NE(ProblemOf(Lists(65)).find("more than 64 levels deep, at position 320"),
            std::string::npos);
  EXPECT_EQ(Canonical(Lists(62, "map<int8, int8>")), Lists(62, "map<int8, int8>"));
  EXPECT_NE(ProblemOf(Lists(63, "map<int8, int8>")), "none");
  NestedType type = ParseNestedType(Lists(64));
  EXPECT_NE(ProblemOf([&] { (void)MakeNestedType("+l", {type}); }), "none");
}

std::string WideStruct(std::size_t children) {
  std::string text = "struct<";
  for (std::size_t i = 0; i < children; ++i) text += i == 0 ? "a: int8" : ", a: int8";
  return text + ">";
}

TEST(NestedTypeTest, TheLargestTypeHas65536Nodes) {
  EXPECT_EQ(Canonical(WideStruct(65'535)), WideStruct(65'535));
  EXPECT_NE(ProblemOf(WideStruct(65'536)).find("more than 65536 nodes"), std::string::npos);
}

TEST(NestedTypeTest, HostileTextsAreRefusedInBoundedTime) {
  std::string opened;
  for (int i = 0; i < 1'000'000; ++i) opened += "list<";
  EXPECT_NE(ProblemOf(opened), "none");
  EXPECT_NE(ProblemOf("struct<" + std::string(5'000'000, 'a')), "none");
  EXPECT_NE(ProblemOf(std::string(5'000'000, ' ')), "none");
  EXPECT_NE(ProblemOf("map<int8 ('" + std::string(5'000'000, '\'')), "none");
  EXPECT_NE(ProblemOf("list<timestamp[s, tz=" + std::string(5'000'000, 'x')), "none");
}

}  // namespace
}  // namespace stream_store
