// Metadata and flags of exported fields: they come out as given, columns that are not nullable have
// a value in every row, and columns that lack a value in some row are nullable.
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/stores.h"

namespace stream_store::testing {
namespace {

bool HasMetadata(const ArrowSchema& schema, const std::string& metadata) {
  return schema.metadata != nullptr &&
         std::memcmp(schema.metadata, metadata.data(), metadata.size()) == 0;
}

std::string ErrorOf(const Reader& reader, const ArrowExportOptions& options) {
  auto stream = Export(reader, options);
  try {
    All(stream);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

// The message of an export whose consumer requests the types of `asked`.
std::string ErrorIfRequested(const Reader& reader, const ArrowExportOptions& asked) {
  Schemas schema;
  ExportArrowSchema(reader.schema(), asked, schema.get());
  ArrowExportOptions options = asked;
  options.requested = schema.get();
  return ErrorOf(reader, options);
}

// The columns of a stream that are not nullable: "a", and "s.b" for a member of a struct.
std::vector<std::string> NotNullColumns(const Reader& reader, const ArrowExportOptions& options) {
  auto stream = Export(reader, options);
  Schemas schema;
  EXPECT_EQ(stream->get_schema(stream.get(), schema.get()), 0);
  std::vector<std::string> names;
  const std::function<void(const ArrowSchema&, const std::string&)> add =
      [&](const ArrowSchema& parent, const std::string& before) {
        for (std::int64_t i = 0; i < parent.n_children; ++i) {
          const ArrowSchema& child = *parent.children[i];
          if ((child.flags & ARROW_FLAG_NULLABLE) == 0) {
            names.push_back(before + child.name);
          }
          add(child, before + child.name + ".");
        }
      };
  add(*schema, "");
  return names;
}

TEST(ExportFlags, ComeOutAsGivenAtEveryLevel) {
  const std::string extension = Metadata("ARROW:extension:name", "some.type");
  ArrowExportOptions options;
  options.fields = {
      {.type =
           {.format = "+L",
            .metadata = Metadata("k", "v"),
            .flags = 0,
            .children = {{.format = "c", .name = "element", .metadata = extension, .flags = 0}}}},
      {.type = {.metadata = extension, .flags = 0}}};
  Schemas schema;
  ExportArrowSchema(Schema({{.name = "list", .dtype = DType::kInt8, .shape = {kRagged}},
                            {.name = "number", .dtype = DType::kInt8}}),
                    options, schema.get());
  const ArrowSchema& list = *schema->children[0];
  EXPECT_STREQ(list.name, "list");
  EXPECT_EQ(list.flags, 0);
  EXPECT_TRUE(HasMetadata(list, Metadata("k", "v")));
  EXPECT_STREQ(list.children[0]->name, "element");
  EXPECT_EQ(list.children[0]->flags, 0);
  EXPECT_TRUE(HasMetadata(*list.children[0], extension));
  const ArrowSchema& number = *schema->children[1];  // without a format, so of its default type
  EXPECT_STREQ(number.format, "c");
  EXPECT_EQ(number.flags, 0);
  EXPECT_TRUE(HasMetadata(number, extension));
}

TEST(ExportFlags, OfAStructAreThoseOfItsMarker) {
  ArrowExportOptions options;
  options.fields.resize(2);
  options.fields[1].type = {.format = "n", .metadata = Metadata("k", "v"), .flags = 0};
  Schemas schema;
  ExportArrowSchema(Schema({{.name = "a.b", .dtype = DType::kInt8, .path = {"a", "b"}},
                            {.name = "a", .dtype = DType::kNull, .path = {"a"}, .hidden = true}}),
                    options, schema.get());
  EXPECT_STREQ(schema->children[0]->format, "+s");
  EXPECT_EQ(schema->children[0]->flags, 0);
  EXPECT_TRUE(HasMetadata(*schema->children[0], Metadata("k", "v")));
  EXPECT_EQ(schema->children[0]->children[0]->flags, ARROW_FLAG_NULLABLE);
}

TEST(NotNull, NamesTheRowThatHasNoValue) {
  StreamStore store = StoreOf({{.name = "number", .dtype = DType::kInt8},
                               {.name = "text", .dtype = DType::kString},
                               {.name = "pair", .dtype = DType::kInt8, .shape = {2}},
                               {.name = "cell", .dtype = DType::kNested, .nested = "list<bool>"}});
  const std::int8_t pair[] = {1, 2};
  const std::string cell("\0\0\0", 3);  // an empty list
  const auto append = [&](Step step, std::size_t without) {
    std::vector<FieldWrite> writes = {{0, 1},
                                      {1, std::string_view("x")},
                                      {2, std::span<const std::int8_t>(pair)},
                                      {3, std::string_view(cell)}};
    if (without < writes.size()) {
      writes.erase(writes.begin() + static_cast<std::ptrdiff_t>(without));
    }
    store.Append(step, writes);
  };
  for (Step step = 0; step < 20; ++step) {
    append(step, 4);
  }
  const std::vector<std::string> names = {"number", "text", "pair", "cell"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    append(20 + static_cast<Step>(i), i);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    ArrowExportOptions options;
    options.fields.resize(4);
    options.fields[i].type.flags = 0;
    const std::string row = std::to_string(20 + i);
    const std::string message = ErrorIfRequested(store.reader(), options);
    EXPECT_EQ(message.find(std::to_string(EINVAL) + ": "), 0U) << message;
    EXPECT_NE(message.find("column '" + names[i] + "': row " + row), std::string::npos) << message;
    options.end = 20;
    EXPECT_EQ(ErrorIfRequested(store.reader(), options), "no error");
  }
}

const std::vector<Field> kStruct = {
    {.name = "a.x", .dtype = DType::kInt8, .path = {"a", "x"}},
    {.name = "a.y", .dtype = DType::kInt8, .shape = {2}, .path = {"a", "y"}},
    {.name = "a.z", .dtype = DType::kNested, .path = {"a", "z"}, .nested = "list<int8>"},
    {.name = "a", .dtype = DType::kNull, .path = {"a"}, .hidden = true}};

// All leaves of a null struct are missing, which a type that is not null must not forbid.
TEST(NotNull, MembersNeedNoValueInANullStruct) {
  StreamStore store = StoreOf(kStruct);
  const std::int8_t pair[] = {1, 2};
  store.Append(0, {});
  store.Append(
      1, {{0, 5}, {1, std::span<const std::int8_t>(pair)}, {2, std::string_view("\0\0\0", 3)}});
  store.Append(2, {});
  ArrowExportOptions options;
  options.fields.resize(3);
  for (ArrowField& field : options.fields) {
    field.type.flags = 0;
  }
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& column = *(*batch)->children[0];
  EXPECT_EQ(column.null_count, 2);
  for (std::int64_t child = 0; child < 3; ++child) {
    EXPECT_EQ(column.children[child]->null_count, 0) << child;
    EXPECT_EQ(column.children[child]->buffers[0], nullptr) << child;
    EXPECT_EQ(column.children[child]->length, 3) << child;
  }
  EXPECT_EQ(At<std::int8_t>(*column.children[0], 1), 5);
  store.Append(3, {{0, 1}});
  const std::string message = ErrorIfRequested(store.reader(), options);
  EXPECT_NE(message.find("column 'a.y': row 3"), std::string::npos) << message;
}

TEST(NotNull, HoldsForStructs) {
  StreamStore store = StoreOf(kStruct);
  store.Append(0, {{3, Source::kWords, nullptr, 0}});  // a struct without members
  store.Append(1, {{0, 1}});
  ArrowExportOptions options;
  options.fields.resize(4);
  options.fields[3].type.flags = 0;
  EXPECT_EQ(ErrorIfRequested(store.reader(), options), "no error");
  store.Append(2, {});
  const std::string message = ErrorIfRequested(store.reader(), options);
  EXPECT_NE(message.find("column 'a': row 2"), std::string::npos) << message;
}

// The items of a missing fixed-size list are null, unless their type forbids it.
TEST(NotNull, HoldsForTheItemsOfMissingLists) {
  StreamStore store = StoreOf({{.name = "pair", .dtype = DType::kInt8, .shape = {2}}});
  store.Append(0, {});
  ArrowExportOptions options;
  options.fields.push_back(
      {.type = {.format = "+w:2", .children = {{.format = "c", .name = "item", .flags = 0}}}});
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  EXPECT_EQ((*batch)->children[0]->null_count, 1);
  const ArrowArray& items = *(*batch)->children[0]->children[0];
  EXPECT_EQ(items.null_count, 0);
  EXPECT_EQ(items.buffers[0], nullptr);
  EXPECT_EQ(At<std::int8_t>(items, 1), 0);
}

TEST(NotNull, MayBeRequested) {
  StreamStore store = StoreOf({{.name = "number", .dtype = DType::kInt8}});
  store.Append(0, {{0, 1}});
  store.Append(1, {});
  ArrowExportOptions options;
  options.fields.resize(1);
  options.fields[0].type.flags = 0;
  const std::string message = ErrorIfRequested(store.reader(), options);
  EXPECT_NE(message.find("column 'number': row 1"), std::string::npos) << message;
}

using Names = std::vector<std::string>;

// Rows may be completed later, so that a declaration of not null cannot refuse any. A single row
// without a value must not keep all others from being read.
TEST(NotNull, IsKeptByDefaultOnlyIfEveryExportedRowHasAValue) {
  StreamStore store = StoreOf({{.name = "a", .dtype = DType::kInt8},
                               {.name = "b", .dtype = DType::kString},
                               {.name = "c", .dtype = DType::kNested, .nested = "list<bool>"}});
  ArrowExportOptions options;
  options.fields.resize(3);
  for (ArrowField& field : options.fields) {
    field.type.flags = 0;
  }
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a", "b", "c"}));
  const std::string cell("\0\0\0", 3);
  for (Step step = 0; step < 5; ++step) {
    store.Append(step, {{0, 1}, {1, std::string_view("x")}, {2, std::string_view(cell)}});
  }
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a", "b", "c"}));
  store.Append(5, {{0, 1}, {2, std::string_view(cell)}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a", "c"}));
  store.Append(6, {{1, std::string_view("x")}, {2, std::string_view(cell)}});
  store.Append(7, {{0, 1}, {1, std::string_view("x")}, {2, std::string_view(cell)}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"c"}));
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& texts = *(*batch)->children[1];
  EXPECT_EQ(texts.null_count, 1);
  EXPECT_FALSE(Valid(texts, 5));
  EXPECT_TRUE(Valid(texts, 6));
  EXPECT_EQ((*batch)->children[2]->buffers[0], nullptr);
  for (const auto& [begin, end, expected] : {std::tuple<Row, Row, Names>(0, 5, {"a", "b", "c"}),
                                             {5, 6, {"a", "c"}},
                                             {6, 7, {"b", "c"}},
                                             {7, 8, {"a", "b", "c"}},
                                             {6, 6, {"a", "b", "c"}}}) {
    options.begin = begin;
    options.end = end;
    EXPECT_EQ(NotNullColumns(store.reader(), options), expected) << begin;
    EXPECT_EQ(ErrorOf(store.reader(), options), "no error") << begin;
  }
}

// The records of such a row are seen one after the other, and only all of them together count.
TEST(NotNull, HoldsForRowsThatWereCompletedLater) {
  StreamStore store =
      StoreOf({{.name = "a", .dtype = DType::kInt8}, {.name = "b", .dtype = DType::kInt8}});
  ArrowExportOptions options;
  options.fields.resize(2);
  options.fields[0].type.flags = options.fields[1].type.flags = 0;
  store.Append(0, {{0, 1}, {1, 2}});
  store.Append(1, {{0, 1}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a"}));
  store.Append(1, {{1, 2}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a", "b"}));
  store.Append(2, {{1, 2}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"b"}));
  EXPECT_EQ(ErrorOf(store.reader(), options), "no error");
}

TEST(NotNull, OfAMemberIsKeptIfEveryPresentStructHasIt) {
  StreamStore store = StoreOf(kStruct);
  ArrowExportOptions options;
  options.fields.resize(4);
  options.fields[0].type.flags = options.fields[3].type.flags = 0;
  store.Append(0, {{0, 1}});
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a", "a.x"}));
  store.Append(1, {});  // no struct, which needs no member
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a.x"}));
  store.Append(2, {{3, Source::kWords, nullptr, 0}});  // a struct without members
  EXPECT_EQ(NotNullColumns(store.reader(), options), Names());
  EXPECT_EQ(ErrorOf(store.reader(), options), "no error");
  options.begin = 2;
  EXPECT_EQ(NotNullColumns(store.reader(), options), (Names{"a"}));
}

}  // namespace
}  // namespace stream_store::testing
