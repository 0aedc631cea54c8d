// Imports into nested fields: every layout of a column, nulls and slices at every level.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "arrow/import_helpers.h"
#include "arrow/nested_text.h"

namespace stream_store::testing {

namespace {

using Texts = std::vector<std::string>;

std::vector<Field> Nested(const std::string& type) {
  return {{.name = "x", .dtype = DType::kNested, .nested = type}};
}

// The cells of a column that is imported as a field of this type; the same cells must come from
// picking all rows.
Texts Cells(const std::string& type, const Column& column) {
  StreamStore store = StoreOf(Nested(type));
  Import(store, {{column}});
  StreamStore picked = StoreOf(Nested(type));
  Producer producer({{column}});
  ArrowArrayStream stream = producer.stream();
  StagedRows staged = picked.Stage();
  ArrowSchema schema{};
  stream.get_schema(&stream, &schema);
  ArrowImporter importer(staged, schema);
  ArrowArray batch{};
  stream.get_next(&stream, &batch);
  importer.Keep(&batch);
  std::vector<std::uint64_t> rows;
  for (std::uint64_t row = 0; row < importer.kept_rows(); ++row) {
    rows.push_back(row);
  }
  importer.AppendKept(rows);
  staged.Commit();
  EXPECT_EQ(Values(picked), Values(store));
  return CellsOf(store);
}

template <class Offset>
std::vector<std::uint8_t> OffsetsOf(const std::vector<std::string>& texts) {
  std::vector<std::uint8_t> bytes(sizeof(Offset) * (texts.size() + 1));
  Offset end = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    end = static_cast<Offset>(end + static_cast<Offset>(texts[i].size()));
    std::memcpy(bytes.data() + (i + 1) * sizeof(Offset), &end, sizeof(end));
  }
  return bytes;
}

Column Strings(std::string name, const std::vector<std::string>& texts,
               std::vector<std::uint8_t> validity = {}) {
  std::string all;
  for (const std::string& text : texts) {
    all += text;
  }
  return {
      .format = "u",
      .name = std::move(name),
      .length = static_cast<std::int64_t>(texts.size()),
      .buffers = {std::move(validity), OffsetsOf<std::int32_t>(texts), {all.begin(), all.end()}}};
}

Column Ints(std::string format, std::vector<std::uint8_t> bytes, std::int64_t length) {
  return {.format = std::move(format), .name = "x", .length = length, .buffers = {{}, bytes}};
}

Column Named(std::string name, Column column) {
  column.name = std::move(name);
  return column;
}

const char* const kChat = "list<struct<role: string, content: string>>";

Column Chat() {
  return Lists({0, 2, 2, 3}, Structs(3, {Strings("role", {"user", "bot", "user"}),
                                         Strings("content", {"Hi", "Hello", ""})}));
}

TEST(ImportNested, ReadsListsOfStructs) {
  EXPECT_EQ(Cells(kChat, Chat()),
            (Texts{R"([{role: "user", content: "Hi"}, {role: "bot", content: "Hello"}])", "[]",
                   R"([{role: "user", content: ""}])"}));
}

TEST(ImportNested, FindsTheChildrenOfStructsByName) {
  Column chat = Chat();
  std::swap(chat.children[0].children[0], chat.children[0].children[1]);
  EXPECT_EQ(Cells(kChat, chat), Cells(kChat, Chat()));
}

TEST(ImportNested, ReadsSlicesAtEveryLevel) {
  Column chat = Chat();
  chat.offset = 1;
  chat.length = 2;
  EXPECT_EQ(Cells(kChat, chat), (Texts{"[]", R"([{role: "user", content: ""}])"}));
  Column items =
      Structs(2, {Strings("role", {"a", "b", "c", "d"}), Strings("content", {"1", "2", "3"})});
  items.offset = 1;
  items.children[0].offset = 1;
  items.children[0].length = 3;
  EXPECT_EQ(Cells(kChat, Lists({0, 1, 2}, items)),
            (Texts{R"([{role: "c", content: "2"}])", R"([{role: "d", content: "3"}])"}));
}

// The offset of a fixed-size list counts lists, so that its items begin two later for each.
TEST(ImportNested, ReadsSlicesOfFixedSizeLists) {
  const Column pairs{.format = "+w:2",
                     .name = "item",
                     .length = 2,
                     .buffers = {{}},
                     .children = {Int64s("item", {1, 2, 3, 4, 5, 6})},
                     .offset = 1};
  EXPECT_EQ(Cells("list<fixed_size_list<int64>[2]>", Lists({0, 1, 2}, pairs)),
            (Texts{"[[3, 4]]", "[[5, 6]]"}));
}

TEST(ImportNested, KeepsNullsOfEveryLevel) {
  const Column column = Lists({0, 3, 4, 4},
                              Structs(4,
                                      {Strings("role", {"a", "bb", "c", "d"}, {0b1101}),
                                       Strings("content", {"1", "2", "3", "4"}, {0b1011})},
                                      {0b1110}),
                              {0b101});
  EXPECT_EQ(Cells(kChat, column),
            (Texts{R"([null, {role: null, content: "2"}, {role: "c", content: null}])", "missing",
                   "[]"}));
}

// A null list may have items all the same; they are not part of any cell.
TEST(ImportNested, SkipsTheItemsOfNulls) {
  const Column inner = Lists({0, 1, 3, 4}, Int64s("item", {1, 2, 3, 4}), {0b101});
  EXPECT_EQ(Cells("list<list<int64>>", Lists({0, 3}, inner)), (Texts{"[[1], null, [4]]"}));
  const Column fixed{.format = "+w:2",
                     .name = "item",
                     .length = 3,
                     .buffers = {{0b101}},
                     .children = {Int64s("item", {1, 2, 3, 4, 5, 6})}};
  EXPECT_EQ(Cells("list<fixed_size_list<int64>[2]>", Lists({0, 3}, fixed)),
            (Texts{"[[1, 2], null, [5, 6]]"}));
  EXPECT_EQ(Cells("list<string>", Lists({0, 3}, Strings("item", {"ab", "cd", "ef"}, {0b101}))),
            (Texts{R"(["ab", null, "ef"])"}));
}

TEST(ImportNested, IgnoresABitmapIfTheNullCountIsZero) {
  Column items = Int64s("item", {1, 2});
  items.buffers[0] = {0};
  items.null_count = 0;
  EXPECT_EQ(Cells("list<int64>", Lists({0, 2}, items)), (Texts{"[1, 2]"}));
}

TEST(ImportNested, ReadsEveryLayoutOfLists) {
  const Texts expected = {"[1, 2]", "[3, 4]"};
  const Column items = Int64s("item", {1, 2, 3, 4});
  const Column large{.format = "+L",
                     .name = "x",
                     .length = 2,
                     .buffers = {{}, Bytes<std::int64_t>({0, 2, 4})},
                     .children = {items}};
  const Column fixed{
      .format = "+w:2", .name = "x", .length = 2, .buffers = {{}}, .children = {items}};
  const Column views{.format = "+vl",
                     .name = "x",
                     .length = 2,
                     .buffers = {{}, Bytes<std::int32_t>({0, 2}), Bytes<std::int32_t>({2, 2})},
                     .children = {items}};
  const Column large_views{
      .format = "+vL",
      .name = "x",
      .length = 2,
      .buffers = {{}, Bytes<std::int64_t>({0, 2}), Bytes<std::int64_t>({2, 2})},
      .children = {items}};
  for (const Column& column : {Lists({0, 2, 4}, items), large, fixed, views, large_views}) {
    for (const char* type : {"list<int64>", "large_list<int64>", "list_view<int64>",
                             "large_list_view<int64>", "fixed_size_list<int64>[2]"}) {
      EXPECT_EQ(Cells(type, column), expected) << type << " from " << column.format;
    }
  }
}

TEST(ImportNested, ReadsListViewsInAnyOrder) {
  const Column views{
      .format = "+vl",
      .name = "x",
      .length = 3,
      .buffers = {{}, Bytes<std::int32_t>({2, 0, 1}), Bytes<std::int32_t>({2, 1, 2})},
      .children = {Strings("item", {"a", "b", "c", "d"})}};
  EXPECT_EQ(Cells("list<string>", views), (Texts{R"(["c", "d"])", R"(["a"])", R"(["b", "c"])"}));
  EXPECT_EQ(Cells("list<list<string>>", Lists({0, 3}, Named("item", views))),
            (Texts{R"([["c", "d"], ["a"], ["b", "c"]])"}));
}

TEST(ImportNested, ReadsMapsByPosition) {
  const Column entries = Structs(
      3, {Strings("k", {"a", "b", "c"}), Named("v", Ints("s", Bytes<std::int16_t>({1, 2, 3}), 3))});
  const Column map{.format = "+m",
                   .name = "x",
                   .length = 2,
                   .buffers = {{}, Bytes<std::int32_t>({0, 2, 3})},
                   .children = {entries}};
  EXPECT_EQ(
      Cells("map<string, int32>", map),
      (Texts{R"([{key: "a", value: 1}, {key: "b", value: 2}])", R"([{key: "c", value: 3}])"}));
}

TEST(ImportNested, ReadsStringViews) {
  const std::string shown = "a text of more than twelve bytes";
  std::vector<std::uint8_t> views = Bytes<std::int32_t>({2, 0, 0, 0, 32, 0, 0, 0});
  std::memcpy(views.data() + 4, "hi", 2);
  const Column texts{
      .format = "vu",
      .name = "item",
      .length = 2,
      .buffers = {{}, views, {shown.begin(), shown.end()}, Bytes<std::int64_t>({32})}};
  EXPECT_EQ(Cells("list<string>", Lists({0, 2, 2}, texts)),
            (Texts{"[\"hi\", \"" + shown + "\"]", "[]"}));
}

TEST(ImportNested, TakesTheValuesOfDictionariesAndRuns) {
  const Column dictionary{.format = "c",
                          .name = "x",
                          .length = 4,
                          .buffers = {{0b1011}, Bytes<std::int8_t>({1, 0, 9, 1})},
                          .dictionary = {Strings("", {"a", "b"}, {0b10})}};
  EXPECT_EQ(Cells("list<string>", Lists({0, 1, 4}, Named("item", dictionary))),
            (Texts{R"(["b"])", R"([null, null, "b"])"}));
  EXPECT_EQ(Cells("string", dictionary), (Texts{R"("b")", "missing", "missing", R"("b")"}));
  Column runs{.format = "+r",
              .name = "item",
              .length = 3,
              .children = {Ints("s", Bytes<std::int16_t>({2, 3, 6}), 3),
                           Lists({0, 1, 1, 3}, Int64s("item", {7, 8, 9}), {0b101})},
              .offset = 1};
  EXPECT_EQ(Cells("list<list<int64>>", Lists({0, 3}, runs)), (Texts{"[[7], null, [8, 9]]"}));
  runs.name = "x";
  EXPECT_EQ(Cells("list<int64>", runs), (Texts{"[7]", "missing", "[8, 9]"}));
  const Column both{.format = "i",
                    .name = "x",
                    .length = 2,
                    .buffers = {{}, Bytes<std::int32_t>({2, 0})},
                    .dictionary = {runs}};
  EXPECT_EQ(Cells("list<int64>", both), (Texts{"[8, 9]", "[7]"}));
}

TEST(ImportNested, ConvertsItemsThatKeepTheirValue) {
  EXPECT_EQ(Cells("list<int8>", Lists({0, 2}, Int64s("item", {-128, 127}))),
            (Texts{"[-128, 127]"}));
  EXPECT_EQ(Cells("list<uint64>", Lists({0, 2}, Ints("s", Bytes<std::int16_t>({0, 300}), 2))),
            (Texts{"[0, 300]"}));
  EXPECT_EQ(Cells("list<float16>", Lists({0, 2}, Ints("g", Bytes<double>({1.5, -0.25}), 2))),
            (Texts{"[1.5, -0.25]"}));
  EXPECT_EQ(Cells("list<double>", Lists({0, 2}, Ints("f", Bytes<float>({1.5F, 0.25F}), 2))),
            (Texts{"[1.5, 0.25]"}));
  EXPECT_EQ(Cells("list<bool>", Lists({0, 3}, Ints("b", {0b101}, 3))),
            (Texts{"[true, false, true]"}));
  EXPECT_EQ(Cells("list<decimal32(5, 2)>",
                  Lists({0, 2}, Ints("d:38,2", Bytes<std::int64_t>({99999, 0, -99999, -1}), 2))),
            (Texts{"[0x9f860100, 0x6179feff]"}));
  EXPECT_EQ(Cells("list<decimal128(38, 2)>",
                  Lists({0, 1}, Ints("d:9,2,32", Bytes<std::int32_t>({-2}), 1))),
            (Texts{"[0xfeffffffffffffffffffffffffffffff]"}));
}

TEST(ImportNested, ReadsColumnsOfNulls) {
  const Column nulls{.format = "n", .name = "item", .length = 3};
  EXPECT_EQ(Cells("list<struct<a: int64>>", Lists({0, 1, 3}, nulls)),
            (Texts{"[null]", "[null, null]"}));
  EXPECT_EQ(Cells("list<null>", Lists({0, 1, 3}, nulls)), (Texts{"[null]", "[null, null]"}));
}

TEST(ImportNested, ReadsTypesWithoutBytes) {
  const Column empty = Structs(3, {});
  EXPECT_EQ(Cells("struct<>", empty), (Texts{"{}", "{}", "{}"}));
  EXPECT_EQ(Cells("list<struct<>>", Lists({0, 2, 3}, empty)), (Texts{"[{}, {}]", "[{}]"}));
  const Column fixed{.format = "+w:0",
                     .name = "x",
                     .length = 2,
                     .buffers = {{0b10}},
                     .children = {Int64s("item", {})}};
  EXPECT_EQ(Cells("fixed_size_list<int64>[0]", fixed), (Texts{"missing", "[]"}));
}

TEST(ImportNested, ReadsAFlatColumn) {
  EXPECT_EQ(Cells("int64", Int64s("x", {1, 2})), (Texts{"1", "2"}));
  EXPECT_EQ(Cells("month_interval", Ints("tiM", Bytes<std::int32_t>({5}), 1)),
            (Texts{"0x05000000"}));
}

TEST(ImportNested, PicksRowsInAnyOrder) {
  StreamStore store = StoreOf(Nested("list<string>"));
  const Column first = Lists({0, 1, 3}, Strings("item", {"a", "b", "c"}));
  const Column second = Lists({0, 0}, Strings("item", {}));
  ImportPicks(store, {{first}, {second}}, {2, 1, 1, 0});
  EXPECT_EQ(CellsOf(store), (Texts{"[]", R"(["b", "c"])", R"(["b", "c"])", R"(["a"])"}));
}

// A nested leaf of a struct is missing where the struct is null, and the marker of the struct is
// written where all of its leaves are null.
TEST(ImportNested, FollowsTheStructsAroundAColumn) {
  StreamStore store = StoreOf(
      {{.name = "s.x", .dtype = DType::kNested, .path = {"s", "x"}, .nested = "list<string>"},
       {.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true}});
  Column lists = Lists({0, 1, 1, 2}, Strings("item", {"a", "b"}), {0b101});
  Import(store, {{Named("s", Structs(3, {lists}, {0b011}))}});
  EXPECT_EQ(CellsOf(store).front(), R"(["a"])");
  EXPECT_EQ(store.reader().row(1).size(), 1U);  // the marker
  EXPECT_EQ(store.reader().row(2).size(), 0U);
}

// Large cells end a part of the import early, so that memory does not grow with the number of rows.
TEST(ImportNested, StagesLargeCellsAFewAtATime) {
  const std::string large(5 << 20, 'x');
  StreamStore store = StoreOf({{.name = "n", .dtype = DType::kInt64},
                               {.name = "x", .dtype = DType::kNested, .nested = "list<string>"}});
  Column texts = Strings("item", {large, "a", large, large, "b"});
  Column numbers = Int64s("n", {1, 2, 3, 4, 5});
  Import(store, {{numbers, Lists({0, 1, 2, 3, 4, 5}, texts)}});
  ASSERT_EQ(store.reader().num_rows(), 5U);
  for (Row row = 0; row < 5; ++row) {
    const auto columns = store.reader().row(row);
    EXPECT_EQ((*columns.begin()).values[0], row + 1);
    EXPECT_EQ(columns.size(), 2U);
  }
}

TEST(ImportNested, StoresTheBlockThatTheEncoderMakes) {
  StreamStore store = StoreOf(Nested(kChat));
  Import(store, {{Chat()}});
  NestedEncoder encoder(ParseNestedType(kChat));
  encoder.BeginList();
  for (const auto& [role, content] : {std::pair("user", "Hi"), std::pair("bot", "Hello")}) {
    encoder.BeginStruct();
    encoder.Text(role);
    encoder.Text(content);
    encoder.EndStruct();
  }
  encoder.EndList();
  StreamStore appended = StoreOf(Nested(kChat));
  appended.Append(0, {{0, encoder.Finish()}});
  const auto columns = store.reader().row(0);
  const auto expected = appended.reader().row(0);
  EXPECT_TRUE(std::ranges::equal((*columns.begin()).values, (*expected.begin()).values));
}

}  // namespace
}  // namespace stream_store::testing
