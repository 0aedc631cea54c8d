// Imports into flat fields: columns with dictionaries and run ends at any level, ClassLabels, nulls
// inside lists, and packed fields of varying length.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "arrow/import_helpers.h"

namespace stream_store::testing {

namespace {

Column Dictionary(std::initializer_list<std::int8_t> indices, Column values,
                  std::vector<std::uint8_t> validity = {}) {
  return {.format = "c",
          .name = "x",
          .length = static_cast<std::int64_t>(indices.size()),
          .buffers = {std::move(validity), Bytes(indices)},
          .dictionary = {std::move(values)}};
}

Column Runs(std::initializer_list<std::int32_t> ends, Column values) {
  return {.format = "+r",
          .name = "x",
          .length = std::data(ends)[ends.size() - 1],
          .children = {{.format = "i",
                        .name = "run_ends",
                        .length = static_cast<std::int64_t>(ends.size()),
                        .buffers = {{}, Bytes(ends)}},
                       std::move(values)}};
}

Column Lists(std::string format, std::initializer_list<std::int32_t> offsets, Column items) {
  return {.format = std::move(format),
          .name = "x",
          .length = static_cast<std::int64_t>(offsets.size()) - 1,
          .buffers = {{}, Bytes(offsets)},
          .children = {std::move(items)}};
}

Column Texts(std::initializer_list<std::int32_t> offsets, const std::string& text) {
  return {.format = "u",
          .name = "x",
          .length = static_cast<std::int64_t>(offsets.size()) - 1,
          .buffers = {{}, Bytes(offsets), {text.begin(), text.end()}}};
}

std::vector<Value> Imported(const Field& field, const Column& column) {
  StreamStore store = StoreOf({field});
  Import(store, {{column}});
  return Values(store);
}

TEST(ImportLayers, TakesRunsOfAFlatColumn) {
  const Field number{.name = "x", .dtype = DType::kInt32};
  EXPECT_EQ(Imported(number, Runs({1, 3}, Int64s("v", {7, 8}))), (std::vector<Value>{7, 8, 8}));
  EXPECT_EQ(Imported({.name = "x", .dtype = DType::kString}, Runs({2, 3}, Texts({0, 2, 3}, "abc"))),
            (std::vector<Value>{'a', 'b', 'a', 'b', 'c'}));
  EXPECT_EQ(Imported(number, Runs({1, 3}, Dictionary({1, 0}, Int64s("v", {7, 8})))),
            (std::vector<Value>{8, 7, 7}));
  Column nulls = Int64s("v", {7, 8});
  nulls.buffers[0] = {0b10};
  EXPECT_EQ(Imported(number, Runs({1, 3}, nulls)), (std::vector<Value>{8, 8}));
}

TEST(ImportLayers, TakesLayersAroundNullsAsMissing) {
  const Column nulls{.format = "n", .name = "v", .length = 2};
  for (const Column& column : {Runs({1, 3}, nulls), Dictionary({0, 1, 0}, nulls)}) {
    StreamStore store =
        StoreOf({{.name = "n", .dtype = DType::kInt64}, {.name = "x", .dtype = DType::kInt64}});
    Import(store, {{Int64s("n", {1, 2, 3}), column}});
    EXPECT_EQ(Values(store), (std::vector<Value>{1, 2, 3}));
  }
}

TEST(ImportLayers, TakesLayersInsideLists) {
  const Field list{.name = "x", .dtype = DType::kInt16, .shape = {kRagged}};
  const Column dictionary = Dictionary({1, 1, 0}, Int64s("v", {7, 8}));
  EXPECT_EQ(Imported(list, Lists("+l", {0, 2, 2, 3}, dictionary)), (std::vector<Value>{8, 8, 7}));
  EXPECT_EQ(Imported(list, Lists("+l", {0, 1, 3}, Runs({2, 3}, Int64s("v", {7, 8})))),
            (std::vector<Value>{7, 7, 8}));
  const Field pairs{.name = "x", .dtype = DType::kInt64, .shape = {kRagged, 2}};
  EXPECT_EQ(Imported(pairs, Lists("+l", {0, 1, 3},
                                  Lists("+l", {0, 2, 4, 6},
                                        Dictionary({0, 1, 1, 0, 1, 1}, Int64s("v", {7, 8}))))),
            (std::vector<Value>{7, 8, 8, 7, 8, 8}));
  EXPECT_EQ(Imported(list, Runs({2}, Lists("+l", {0, 2}, Int64s("v", {7, 8})))),
            (std::vector<Value>{7, 8, 7, 8}));
}

// A struct that is split into its leaves may be behind layers, and so may the structs inside it.
TEST(ImportLayers, TakesLayersAroundStructs) {
  const std::vector<Field> fields = {
      {.name = "x.n", .dtype = DType::kInt32, .path = {"x", "n"}},
      {.name = "x.t.s", .dtype = DType::kString, .path = {"x", "t", "s"}},
      {.name = "x.t.l", .dtype = DType::kNested, .path = {"x", "t", "l"}, .nested = "list<string>"},
      {.name = "x.t", .dtype = DType::kNull, .path = {"x", "t"}, .hidden = true},
      {.name = "x", .dtype = DType::kNull, .path = {"x"}, .hidden = true}};
  Column texts = Texts({0, 1, 2, 3, 4}, "abcd");
  texts.name = "s";
  Column lists = Lists("+l", {0, 1, 1, 2, 2}, Texts({0, 1, 2}, "yz"));
  lists.name = "l";
  lists.buffers[0] = {0b1111};
  const Column inner{
      .format = "+s", .name = "t", .length = 4, .buffers = {{0b1011}}, .children = {texts, lists}};
  Column numbers = Int64s("n", {1, 2, 3, 4});
  numbers.buffers[0] = {0b1101};
  const Column structs{.format = "+s",
                       .name = "x",
                       .length = 4,
                       .buffers = {{0b0111}},
                       .children = {inner, numbers}};
  Column runs = Runs({1, 2, 3, 4}, structs);
  Column inside = structs;
  inside.children[0] = Dictionary({0, 1, 2, 3}, inner);
  inside.children[0].name = "t";
  StreamStore expected = StoreOf(fields);
  Import(expected, {{structs}});
  EXPECT_EQ(expected.reader().row(2).size(), 1U);  // n; the struct t is null
  EXPECT_EQ(expected.reader().row(3).size(), 0U);
  for (const Column& column : {Dictionary({0, 1, 2, 3}, structs), runs, inside}) {
    StreamStore store = StoreOf(fields);
    Import(store, {{column}});
    EXPECT_EQ(Values(store), Values(expected)) << column.format;
    EXPECT_EQ(store.reader().field_writes(), expected.reader().field_writes()) << column.format;
    StreamStore picked = StoreOf(fields);
    ImportPicks(picked, {{column}}, {0, 1, 2, 3});
    EXPECT_EQ(Values(picked), Values(expected)) << column.format;
  }
}

TEST(ImportLayers, KeepsStructsOfNullsBehindLayers) {
  const std::vector<Field> fields = {
      {.name = "x.n", .dtype = DType::kInt32, .path = {"x", "n"}},
      {.name = "x", .dtype = DType::kNull, .path = {"x"}, .hidden = true}};
  Column numbers = Int64s("n", {1, 2});
  numbers.buffers[0] = {0};
  const Column structs{
      .format = "+s", .name = "x", .length = 2, .buffers = {{0b01}}, .children = {numbers}};
  StreamStore store = StoreOf(fields);
  Import(store, {{Dictionary({1, 0}, structs)}});
  EXPECT_EQ(store.reader().row(0).size(), 0U);
  EXPECT_EQ(store.reader().row(1).size(), 1U);  // the marker
  EXPECT_NE(Refusal(fields, {Dictionary({2, 0}, structs)}).find("of the dictionary"),
            std::string::npos);
}

TEST(ImportLayers, ChecksTheItemsInsideLayers) {
  const std::vector<Field> field = {{.name = "x", .dtype = DType::kFloat32, .shape = {kRagged}}};
  const Column doubles{
      .format = "g", .name = "v", .length = 1, .buffers = {{}, Bytes<double>({0.1})}};
  EXPECT_NE(Refusal(field, {Lists("+l", {0, 1}, Dictionary({0}, doubles))}).find("not exact"),
            std::string::npos);
  const std::string shape = Refusal({{.name = "x", .dtype = DType::kInt64, .shape = {3}}},
                                    {Lists("+l", {0, 2}, Dictionary({0, 0}, Int64s("v", {1})))});
  EXPECT_NE(shape.find("expected a list of 3 items but found 2"), std::string::npos) << shape;
}

TEST(ImportLayers, TakesNumbersBelowTheNumberOfClasses) {
  Field label{.name = "x", .dtype = DType::kInt64};
  ArrowImportOptions options;
  options.fields = {ArrowField{.classes = 3}};
  StreamStore store = StoreOf({label});
  Import(store, {{Int64s("x", {-100, -1, 0, 2})}}, options);
  EXPECT_EQ(Values(store), (std::vector<Value>{-100, -1, 0, 2}));
  EXPECT_NE(Refusal({label}, {Int64s("x", {0, 3})}, options)
                .find("row 1: expected a number below 3, the number of classes, but found 3"),
            std::string::npos);
  label.shape = {kRagged};
  EXPECT_NE(Refusal({label}, {Lists("+l", {0, 1}, Int64s("v", {3}))}, options).find("below 3"),
            std::string::npos);
}

TEST(ImportLayers, SayHowToDeclareAListWithNulls) {
  Column items = Int64s("v", {1, 2});
  items.buffers[0] = {0b01};
  const std::vector<Field> list = {{.name = "x", .dtype = DType::kInt64, .shape = {kRagged}}};
  const Column views{.format = "+vl",
                     .name = "x",
                     .length = 1,
                     .buffers = {{}, Bytes<std::int32_t>({0}), Bytes<std::int32_t>({2})},
                     .children = {items}};
  for (const Column& column :
       {Lists("+l", {0, 2}, items), views, Lists("+l", {0, 2}, Dictionary({0, 1}, items))}) {
    const std::string reason = Refusal(list, {column});
    EXPECT_NE(reason.find("declare the field as \"nested list<int64>\""), std::string::npos)
        << reason;
  }
}

// Packed fields of varying length take the same columns as those that are not packed.
TEST(ImportLayers, FillsPackedFieldsOfVaryingLength) {
  EXPECT_EQ(Imported({.name = "x", .dtype = DType::kString, .packed = true},
                     Texts({0, 2, 2, 11}, "abcdefghijk")),
            (std::vector<Value>{2, 0x6261, 0, 9, 0x6a69686766656463, 0x6b}));
  EXPECT_EQ(Imported({.name = "x", .dtype = DType::kInt32, .shape = {kRagged}, .packed = true},
                     Lists("+l", {0, 1, 3}, Int64s("v", {1, 2, 3}))),
            (std::vector<Value>{1, 1, 2, 0x300000002}));
  EXPECT_EQ(Imported({.name = "x", .dtype = DType::kString, .packed = true},
                     Runs({2}, Texts({0, 2}, "ab"))),
            (std::vector<Value>{2, 0x6261, 2, 0x6261}));
}

}  // namespace
}  // namespace stream_store::testing
