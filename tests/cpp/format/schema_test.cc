// Tests of Schema: which fields can be declared, and the errors for the others.

#include "stream_store/schema.h"

#include <gtest/gtest.h>

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

std::string Refusal(std::vector<Field> fields) {
  const Error error = ErrorOf([&] { Schema schema(std::move(fields)); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  return error.what();
}

TEST(SchemaTest, NumbersFieldsInDeclaredOrder) {
  const Schema schema({{.name = "b"}, {.name = "a"}});
  EXPECT_EQ(schema.find("b"), TypeId{0});
  EXPECT_EQ(schema.find("a"), TypeId{1});
  EXPECT_EQ(schema.find("c"), std::nullopt);
  EXPECT_EQ(schema.size(), 2U);
}

TEST(SchemaTest, HiddenFieldsFollowAndAreNotFoundByName) {
  const Schema schema({{.name = "s.x", .path = {"s", "x"}},
                       {.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true}});
  EXPECT_EQ(schema.declared(), 1U);
  EXPECT_EQ(schema.size(), 2U);
  EXPECT_EQ(schema.find("s"), std::nullopt);
}

TEST(SchemaTest, RefusesNoFieldsAndHiddenFieldsAlone) {
  EXPECT_CONTAINS(Refusal({}), "at least one");
  Refusal({{.name = "s", .dtype = DType::kNull, .hidden = true}});
}

TEST(SchemaTest, RefusesRepeatedNames) {
  EXPECT_EQ(Refusal({{.name = "x"}, {.name = "y"}, {.name = "x"}}),
            "field 'x' (type id 2): duplicate name, already that of type id 0");
}

TEST(SchemaTest, RefusesNamesThatCannotBeKept) {
  Refusal({{.name = "a\xff"}});
  EXPECT_CONTAINS(Refusal({{.name = std::string(256, 'x')}}),
                  "expected at most 255 bytes but found 256");
  Refusal({{.name = "outer.inner", .path = {"outer", std::string(256, 'x')}}});
}

TEST(SchemaTest, NamesMayBeginWithAnUnderscore) {
  EXPECT_NO_THROW(Schema({{.name = "_id"}}));
  EXPECT_NO_THROW(Schema({{.name = "_o.x", .path = {"_o", "x"}}}));
  EXPECT_NO_THROW(Schema({{.name = "outer._inner", .path = {"outer", "_inner"}}}));
  EXPECT_NO_THROW(Schema({{.name = std::string(255, 'x')}}));
}

TEST(SchemaTest, RefusesShapesThatCannotBeStored) {
  Refusal({{.name = "x", .shape = {3, kRagged}}});
  Refusal({{.name = "x", .shape = {3, 0}}});
  Refusal({{.name = "x", .shape = {1U << 30, 1U << 30}}});
  Refusal({{.name = "x", .shape = std::vector<std::uint32_t>(33, 1)}});
  Refusal({{.name = "x", .dtype = DType::kString, .shape = {kRagged}}});
  Refusal({{.name = "x", .dtype = DType::kFixedBinary}});
  Refusal({{.name = "x", .dtype = static_cast<DType>(kDTypeCount)}});
}

TEST(SchemaTest, PacksNarrowItemsStringsAndBinaries) {
  for (const DType dtype : {DType::kInt64, DType::kFloat64, DType::kDate32, DType::kDecimal128}) {
    for (const std::uint32_t dimension : {2U, kRagged}) {
      EXPECT_CONTAINS(
          Refusal({{.name = "x", .dtype = dtype, .shape = {dimension}, .packed = true}}), "packed")
          << DTypeName(dtype);
    }
  }
  EXPECT_NO_THROW(Schema({{.name = "x", .dtype = DType::kFloat16, .shape = {2}, .packed = true}}));
  EXPECT_NO_THROW(
      Schema({{.name = "x", .dtype = DType::kUInt8, .shape = {kRagged, 3}, .packed = true}}));
  EXPECT_NO_THROW(Schema({{.name = "x", .dtype = DType::kString, .packed = true}}));
  EXPECT_NO_THROW(Schema({{.name = "x", .dtype = DType::kBinary, .packed = true}}));
}

TEST(SchemaTest, NestedFieldsHaveATypeAndNothingElse) {
  const auto nested = [](const char* text) {
    return Field{.name = "x", .dtype = DType::kNested, .nested = text};
  };
  EXPECT_EQ(Schema({nested("list<item: utf8>")})[0].nested, "list<string>");
  EXPECT_CONTAINS(Refusal({nested("list<")}), "field 'x'");
  Refusal({nested("")});
  Refusal({{.name = "x", .dtype = DType::kInt64, .nested = "list<string>"}});
  Refusal({{.name = "x", .dtype = DType::kNested, .shape = {2}, .nested = "list<string>"}});
  Refusal({{.name = "x", .dtype = DType::kNested, .packed = true, .nested = "list<string>"}});
}

TEST(SchemaTest, HiddenFieldsAreNullScalarsAnywhere) {
  Refusal({{.name = "x"}, {.name = "s", .dtype = DType::kInt64, .hidden = true}});
  const Field marker = {.name = "s", .dtype = DType::kNull, .hidden = true};
  const Schema schema({{.name = "x"}, marker, {.name = "y"}});
  EXPECT_EQ(schema.declared_types(), (std::vector<TypeId>{0, 2}));
  EXPECT_EQ(schema.declared(), 2U);
  EXPECT_EQ(schema.find("y"), TypeId{2});
}

TEST(SchemaTest, AddedFieldsFollowAllOthersAndKeepTheirFirstRecord) {
  const Field marker = {.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true};
  const Schema first({{.name = "s.x", .path = {"s", "x"}}, marker});
  const Schema second = first.Extended({{.name = "y"}}, 7);
  const Schema third =
      second.Extended({{.name = "z"}, {.name = "w"}}, 7).Extended({{.name = "v"}}, 9);
  EXPECT_EQ(first.revision(), 0U);
  EXPECT_EQ(second.revision(), 1U);
  EXPECT_EQ(third.revision(), 3U);
  EXPECT_EQ(third.declared_types(), (std::vector<TypeId>{0, 2, 3, 4, 5}));
  EXPECT_EQ(third.since(1), 0U);
  EXPECT_EQ(third.since(2), 7U);
  EXPECT_EQ(third.since(5), 9U);
  EXPECT_EQ(third.LastDeclaredAt(6), 0);
  EXPECT_EQ(third.LastDeclaredAt(7), 4);
  EXPECT_EQ(third.LastDeclaredAt(8), 4);
  EXPECT_EQ(third.LastDeclaredAt(9), 5);
  EXPECT_TRUE(third.Extends(second) && third.Extends(third) && !second.Extends(third));
  EXPECT_FALSE(third.Extends(Schema({{.name = "y"}})));
}

TEST(SchemaTest, RefusesToAddWhatExistsOrNothing) {
  const Schema schema({{.name = "x"},
                       {.name = "s.a", .path = {"s", "a"}},
                       {.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true}});
  const auto refusal = [&](std::vector<Field> fields) {
    const Error error = ErrorOf([&] { (void)schema.Extended(std::move(fields), 1); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_EQ(refusal({{.name = "y"}, {.name = "x"}}), "adding fields: field 'x' exists already");
  EXPECT_EQ(refusal({{.name = "s.b", .path = {"s", "b"}}}),
            "adding fields: field 's' exists already");
  EXPECT_EQ(refusal({{.name = "s"}}), "adding fields: field 's' exists already");
  EXPECT_CONTAINS(refusal({}), "at least one");
  EXPECT_CONTAINS(refusal({{.name = "m", .dtype = DType::kNull, .hidden = true}}), "at least one");
  EXPECT_CONTAINS(refusal({{.name = "y"}, {.name = "y"}}), "duplicate name");
  EXPECT_CONTAINS(refusal({{.name = "y", .shape = {0}}}), "dimension 0");
  EXPECT_CONTAINS(refusal(std::vector<Field>(kMaxFields, {.name = "y"})), "at most 65536");
}

TEST(SchemaTest, RefusesFirstRecordsThatCannotBe) {
  const std::vector<Field> fields = {{.name = "x"}, {.name = "y"}};
  const auto code = [&](std::vector<std::uint64_t> since, std::uint64_t revision) {
    return ErrorOf([&] { Schema schema(fields, std::move(since), revision); }).code();
  };
  EXPECT_EQ(code({0}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({0, 0, 0}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({1, 0}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({1, 1}, 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({0, 1}, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Schema(fields, {0, 1}, 1).since(1), 1U);
}

TEST(SchemaTest, TakesAsManyFieldsAsTypeIdsReach) {
  std::vector<Field> fields(kMaxFields);
  for (std::size_t i = 0; i < fields.size(); ++i) fields[i].name = std::to_string(i);
  EXPECT_EQ(Schema(fields).find("65535"), TypeId{65535});
  fields.push_back({.name = "more"});
  EXPECT_CONTAINS(Refusal(fields), "expected at most 65536 but found 65537");
}

TEST(SchemaTest, NamesOfDTypesAreThoseOfTheirNumbers) {
  EXPECT_EQ(DTypeName(DType::kNull), "null");
  EXPECT_EQ(DTypeName(DType::kFloat16), "float16");
  EXPECT_EQ(DTypeName(DType::kTime32Ms), "time32_ms");
  EXPECT_EQ(DTypeName(DType::kTimestampNs), "timestamp_ns");
  EXPECT_EQ(DTypeName(DType::kDurationNs), "duration_ns");
  EXPECT_EQ(DTypeName(DType::kFixedBinary), "fixed_binary");
  EXPECT_EQ(DTypeName(static_cast<DType>(200)), "unknown");
}

}  // namespace
}  // namespace stream_store::internal
