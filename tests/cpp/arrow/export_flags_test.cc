// Metadata and flags of exported fields: they come out as given, and columns that are not nullable
// have a value in every row.
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"

namespace stream_store::testing {
namespace {

StreamStore StoreOf(std::vector<Field> fields) {
  Options options;
  options.fields = std::move(fields);
  options.grow_ahead = false;
  return StreamStore::Temporary(options);
}

// One key and value in the form of the specification.
std::string Metadata(const std::string& key, const std::string& value) {
  std::string out;
  for (const std::string& part : {std::string(), key, value}) {
    const auto number = static_cast<std::int32_t>(part.empty() ? 1 : part.size());
    out.append(reinterpret_cast<const char*>(&number), sizeof(number));
    out += part;
  }
  return out;
}

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
    const std::string message = ErrorOf(store.reader(), options);
    EXPECT_EQ(message.find(std::to_string(EINVAL) + ": "), 0U) << message;
    EXPECT_NE(message.find("column '" + names[i] + "': row " + row), std::string::npos) << message;
    options.end = 20;
    EXPECT_EQ(ErrorOf(store.reader(), options), "no error");
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
  const std::string message = ErrorOf(store.reader(), options);
  EXPECT_NE(message.find("column 'a.y': row 3"), std::string::npos) << message;
}

TEST(NotNull, HoldsForStructs) {
  StreamStore store = StoreOf(kStruct);
  store.Append(0, {{3, Source::kWords, nullptr, 0}});  // a struct without members
  store.Append(1, {{0, 1}});
  ArrowExportOptions options;
  options.fields.resize(4);
  options.fields[3].type.flags = 0;
  EXPECT_EQ(ErrorOf(store.reader(), options), "no error");
  store.Append(2, {});
  const std::string message = ErrorOf(store.reader(), options);
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
  ArrowExportOptions asked;
  asked.fields.resize(1);
  asked.fields[0].type.flags = 0;
  Schemas schema;
  ExportArrowSchema(store.reader().schema(), asked, schema.get());
  ArrowExportOptions options;
  options.requested = schema.get();
  const std::string message = ErrorOf(store.reader(), options);
  EXPECT_NE(message.find("column 'number': row 1"), std::string::npos) << message;
}

}  // namespace
}  // namespace stream_store::testing
