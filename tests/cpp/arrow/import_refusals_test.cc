// Imports that are refused: columns that do not fit a nested field, values that it cannot hold, and
// arrays that contradict themselves. The message names the column, the row and the place in the cell.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "arrow/import_helpers.h"

namespace stream_store::testing {

namespace {

std::string Reason(const std::string& type, const Column& column) {
  return Refusal({{.name = "x", .dtype = DType::kNested, .nested = type}}, {column});
}

void ExpectReason(const std::string& type, const Column& column, const std::string& part) {
  const std::string reason = Reason(type, column);
  EXPECT_NE(reason.find(part), std::string::npos) << reason << "\nlacks " << part;
}

Column Texts(std::string name, std::initializer_list<std::int32_t> offsets, const std::string& text,
             std::vector<std::uint8_t> validity = {}) {
  return {.format = "u",
          .name = std::move(name),
          .length = static_cast<std::int64_t>(offsets.size()) - 1,
          .buffers = {std::move(validity), Bytes(offsets), {text.begin(), text.end()}}};
}

TEST(ImportRefusals, NameTheTypeThatDoesNotFit) {
  ExpectReason("list<struct<role: string>>", Lists({0, 1}, Structs(1, {Int64s("role", {1})})),
               "expected string at x[].role but found int64");
  ExpectReason("list<int64>", Int64s("x", {1}), "expected list<int64> at x but found int64");
  ExpectReason("fixed_size_list<int64>[3]",
               {.format = "+w:2",
                .name = "x",
                .length = 1,
                .buffers = {{}},
                .children = {Int64s("item", {1, 2})}},
               "fixed_size_list");
  ExpectReason(
      "timestamp[us, tz=UTC]",
      {.format = "tsu:", .name = "x", .length = 1, .buffers = {{}, Bytes<std::int64_t>({1})}},
      "timestamp[us]");
  ExpectReason(
      "decimal128(5, 1)",
      {.format = "d:5,2", .name = "x", .length = 1, .buffers = {{}, Bytes<std::int64_t>({1, 0})}},
      "decimal128(5, 2)");
}

TEST(ImportRefusals, NameMissingAndAdditionalChildren) {
  const Column lists = Lists({0, 1}, Structs(1, {Int64s("a", {1}), Int64s("b", {2})}));
  ExpectReason("list<struct<a: int64, b: int64, c: int64>>", lists,
               "expected a field 'c' in x[] but found none");
  ExpectReason("list<struct<a: int64>>", lists, "x[] has a field 'b'");
  ExpectReason("struct<a: int64>", Structs(1, {Int64s("a", {1}), Int64s("a", {2})}),
               "x has two fields 'a'");
}

TEST(ImportRefusals, SayThatUnionsCannotBeStored) {
  const Column members{.format = "+us:0",
                       .name = "u",
                       .length = 1,
                       .buffers = {{0}},
                       .children = {Int64s("a", {1})}};
  for (const char* type : {"list<struct<u: int64>>", "int64"}) {
    ExpectReason(type, Lists({0, 1}, Structs(1, {members})),
                 "x[].u is a union, which cannot be stored; split it into its members");
  }
  Column top = members;
  top.name = "x";
  ExpectReason("int64", top, "column 'x' is sparse_union<a: int64>: it is a union");
  EXPECT_NE(Refusal({{.name = "x", .dtype = DType::kInt64}}, {top}).find("a union"),
            std::string::npos);
}

TEST(ImportRefusals, NameThePlaceOfAValueThatDoesNotFit) {
  const Column structs = Structs(4, {Int64s("n", {1, 2, 300, 4})});
  ExpectReason("list<struct<n: uint8>>", Lists({0, 1, 1, 4}, structs),
               "column 'x', row 2: x[1].n: 300 is not a valid uint8");
  const Column doubles{
      .format = "g", .name = "item", .length = 2, .buffers = {{}, Bytes<double>({1.5, 1e300})}};
  ExpectReason("list<float32>", Lists({0, 2}, doubles), "x[1]: 1e+300 is not exact as float32");
  const Column decimals{.format = "d:38,2",
                        .name = "item",
                        .length = 2,
                        .buffers = {{}, Bytes<std::int64_t>({99999, 0, 100000, 0})}};
  ExpectReason("list<decimal32(5, 2)>", Lists({0, 2}, decimals), "x[1]: a decimal128(38, 2) that");
}

// Its own schema says that there are no nulls, so the arrays contradict themselves.
TEST(ImportRefusals, NameTheNullOfAColumnThatIsNotNull) {
  const auto reason = [](Field field, Column column) {
    field.name = column.name = "x";
    column.flags = 0;
    return Refusal({std::move(field)}, {std::move(column)});
  };
  const std::string expected =
      "importing from Arrow: column 'x', row 2: expected a value, because the column is declared "
      "not null, but found a null";
  Column numbers = Int64s("x", {1, 2, 3, 4});
  numbers.buffers[0] = {0b1011};
  EXPECT_EQ(reason({.name = "x", .dtype = DType::kInt64}, numbers), expected);
  const Column texts = Texts("x", {0, 1, 1, 1}, "a", {0b011});
  EXPECT_EQ(reason({.name = "x", .dtype = DType::kString}, texts), expected);
  const Column lists = Lists({0, 1, 1, 1}, Int64s("item", {1}), {0b011});
  EXPECT_EQ(reason({.name = "x", .dtype = DType::kInt64, .shape = {kRagged}}, lists), expected);
  EXPECT_EQ(reason({.name = "x", .dtype = DType::kNested, .nested = "list<int64>"}, lists),
            expected);
  Column indices{.format = "c", .length = 3, .buffers = {{}, {0, 0, 1}}};
  indices.dictionary = {Int64s("", {7, 8})};
  indices.dictionary[0].buffers[0] = {0b01};
  EXPECT_EQ(reason({.name = "x", .dtype = DType::kInt64}, indices), expected);
}

TEST(ImportRefusals, NameTheNullOfAStructThatIsNotNull) {
  const std::vector<Field> fields = {
      {.name = "x.a", .dtype = DType::kInt64, .path = {"x", "a"}},
      {.name = "x", .dtype = DType::kNull, .path = {"x"}, .hidden = true}};
  Column structs = Structs(3, {Int64s("a", {1, 2, 3})}, {0b101});
  structs.children[0].flags = 0;
  structs.children[0].buffers[0] = {0b101};
  StreamStore store = StoreOf(fields);
  EXPECT_EQ(Import(store, {{structs}}), 3U);  // a null struct hides the null of its member
  structs.flags = 0;
  EXPECT_NE(Refusal(fields, {structs}).find("column 'x', row 1: expected a value"),
            std::string::npos);
  structs.flags = ARROW_FLAG_NULLABLE;
  structs.children[0].buffers[0] = {0b001};
  EXPECT_NE(Refusal(fields, {structs}).find("column 'x.a', row 2: expected a value"),
            std::string::npos);
}

// Chosen rows are numbered in the order of the choice, and others may be null.
TEST(ImportRefusals, NameTheNullOfAChosenRow) {
  StreamStore store = StoreOf({{.name = "x", .dtype = DType::kInt64}});
  Column numbers = Int64s("x", {1, 2, 3});
  numbers.buffers[0] = {0b101};
  numbers.flags = 0;
  ImportPicks(store, {{numbers}}, {2, 0});
  EXPECT_EQ(Values(store), (std::vector<Value>{3, 1}));
  const Error error = internal::ErrorOf([&] { ImportPicks(store, {{numbers}}, {2, 0, 1}); });
  EXPECT_NE(std::string(error.what()).find("column 'x', row 2: expected a value"),
            std::string::npos)
      << error.what();
}

// The place counts null elements, although a cell does not store them.
TEST(ImportRefusals, CountNullsInPlaces) {
  const Column texts = Texts("item", {0, 1, 1, 2, 3}, "a\xff\xff", {0b1101});
  ExpectReason("list<string>", Lists({0, 1, 4}, texts), "row 1: x[1]: expected UTF-8");
  const Column inner = Lists({0, 1, 1, 2}, Int64s("item", {1, 300}), {0b101});
  ExpectReason("list<list<int8>>", Lists({0, 3}, inner), "row 0: x[2][0]: 300 is not a valid int8");
  const Column structs = Structs(3, {Int64s("n", {1, 2, 300})}, {0b101});
  ExpectReason("list<struct<n: int8>>", Lists({0, 3}, structs), "x[2].n: 300");
}

// Two texts of one column can be invalid each although their bytes are valid together.
TEST(ImportRefusals, CheckEachTextOnItsOwn) {
  ExpectReason("list<string>", Lists({0, 2}, Texts("item", {0, 2, 3}, "a\xc3\xa9")),
               "x[0]: expected UTF-8 but byte 1");
  ExpectReason("string", Texts("x", {0, 1}, "\xff"), "column 'x', row 0: expected UTF-8");
}

TEST(ImportRefusals, NameNullsThatTheTypeExcludes) {
  const Column structs = Structs(2, {Texts("t", {0, 1, 1}, "a", {0b01})});
  ExpectReason("list<struct<t: string not null>>", Lists({0, 2}, structs),
               "x[1].t: a null, but the field is not nullable");
  const Column nulls{.format = "n", .name = "item", .length = 1};
  ExpectReason("list<item: int64 not null>", Lists({0, 1}, nulls), "x[0]: a null");
}

TEST(ImportRefusals, CheckTheLengthOfFixedSizeLists) {
  ExpectReason("list<fixed_size_list<int64>[2]>",
               Lists({0, 2}, Lists({0, 2, 5}, Int64s("item", {1, 2, 3, 4, 5}))),
               "x[1]: expected a list of 2 items but found 3");
}

TEST(ImportRefusals, CatchOffsetsThatContradictTheChild) {
  const Column items = Int64s("item", {1, 2, 3});
  ExpectReason("list<int64>", Lists({0, 2, 4}, items),
               "row 1: expected offsets that rise, up to 3");
  ExpectReason("list<int64>", Lists({0, 3, 2}, items), "row 1: expected offsets");
  ExpectReason("list<int64>", Lists({-1, 1, 2}, items), "row 0: expected offsets");
  ExpectReason("list<list<int64>>", Lists({0, 2}, Lists({0, 2, 1}, items)),
               "row 0: x[1]: expected offsets");
  ExpectReason("list<string>", Lists({0, 2}, Texts("item", {0, 5, 1}, "abcde")), "x[1]: expected");
  ExpectReason("list<string>", Lists({0, 1}, Texts("item", {0, 5}, "")), "a buffer of texts");
  ExpectReason("list<string>", Lists({0, 1}, Texts("item", {0, INT32_MAX}, "")), "but found none");
  const auto views = [&](std::int32_t offset, std::int32_t size) {
    return Column{.format = "+vl",
                  .name = "x",
                  .length = 1,
                  .buffers = {{}, Bytes<std::int32_t>({offset}), Bytes<std::int32_t>({size})},
                  .children = {items}};
  };
  for (const auto& [offset, size] : {std::pair(-1, 1), std::pair(0, -1), std::pair(2, 2),
                                     std::pair(INT32_MAX, INT32_MAX), std::pair(4, 0)}) {
    ExpectReason("list<int64>", views(offset, size), "outside the 3 items");
  }
}

TEST(ImportRefusals, CatchArraysThatAreShorterThanDeclared) {
  Column longer = Structs(3, {Int64s("a", {1, 2})});
  ExpectReason("list<struct<a: int64>>", Lists({0, 1}, longer), "at least 3 elements");
  ExpectReason("list<fixed_size_list<int64>[2]>",
               Lists({0, 1}, {.format = "+w:2",
                              .name = "item",
                              .length = 2,
                              .buffers = {{}},
                              .children = {Int64s("item", {1, 2, 3})}}),
               "past the end");
  Column missing = Int64s("item", {1});
  missing.buffers[1].clear();
  ExpectReason("list<int64>", Lists({0, 1}, missing), "missing buffer");
  Column few = Int64s("item", {1});
  few.buffers.pop_back();
  ExpectReason("list<int64>", Lists({0, 1}, few), "expected 2 buffers but found 1");
  Column nulls = Int64s("item", {1});
  nulls.null_count = 1;
  ExpectReason("list<int64>", Lists({0, 1}, nulls), "without a bitmap");
  Column negative = Int64s("item", {1});
  negative.length = -1;
  ExpectReason("list<int64>", Lists({0, 1}, negative), "length");
}

TEST(ImportRefusals, CatchIndicesAndRunsThatContradictTheirValues) {
  const auto dictionary = [](std::int8_t index) {
    return Column{.format = "c",
                  .name = "item",
                  .length = 1,
                  .buffers = {{}, Bytes<std::int8_t>({index})},
                  .dictionary = {Int64s("", {1, 2})}};
  };
  for (const std::int8_t index : {std::int8_t{-1}, std::int8_t{2}}) {
    ExpectReason("list<int64>", Lists({0, 1}, dictionary(index)), "of the dictionary");
  }
  const auto runs = [](std::initializer_list<std::int32_t> ends,
                       std::initializer_list<std::int64_t> values) {
    return Column{.format = "+r",
                  .name = "x",
                  .length = 4,
                  .children = {{.format = "i",
                                .name = "run_ends",
                                .length = static_cast<std::int64_t>(ends.size()),
                                .buffers = {{}, Bytes(ends)}},
                               Int64s("values", values)}};
  };
  ExpectReason("int64", runs({2, 3}, {1, 2}), "expected runs of at least 4 elements but found 3");
  ExpectReason("int64", runs({2, 2, 4}, {1, 2, 3}), "expected run ends that rise");
  ExpectReason("int64", runs({0, 4}, {1, 2}), "expected run ends that rise");
  ExpectReason("int64", runs({2, 4}, {1}), "expected a value for each of 2 runs but found 1");
  ExpectReason("int64", runs({}, {}), "expected runs of at least 4 elements but found 0");
}

TEST(ImportRefusals, LimitTheSizeOfACell) {
  // One run of 2^40 elements takes no memory in the column, but would in a cell.
  const Column runs{.format = "+r",
                    .name = "item",
                    .length = std::int64_t{1} << 40,
                    .children = {{.format = "l",
                                  .name = "run_ends",
                                  .length = 1,
                                  .buffers = {{}, Bytes<std::int64_t>({std::int64_t{1} << 40})}},
                                 Int64s("values", {1})}};
  const Column lists{.format = "+L",
                     .name = "x",
                     .length = 1,
                     .buffers = {{}, Bytes<std::int64_t>({0, std::int64_t{1} << 40})},
                     .children = {runs}};
  ExpectReason("list<int64>", lists, "more than 2^31 items");
}

}  // namespace
}  // namespace stream_store::testing
