// Schemas of exports: the default Arrow types of a store, and those that a consumer may request.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/schema.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/stores.h"
#include "arrow/type.h"

namespace stream_store::testing {
namespace {

// The formats of a schema: "+l(f)" for "list<item: float>".
std::string Formats(const ArrowSchema& schema) {
  std::string text = schema.format;
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    text += i == 0 ? "(" : ",";
    text += Formats(*schema.children[i]);
  }
  text += schema.n_children > 0 ? ")" : "";
  return text;
}

std::string FormatsOf(const std::vector<Field>& fields, const ArrowExportOptions& options = {}) {
  Schemas schema;
  ExportArrowSchema(Schema(fields), options, schema.get());
  return Formats(*schema);
}

using Columns = std::vector<std::pair<std::string, std::string>>;  // name and format

/// A schema made by a consumer.
struct Requested {
  explicit Requested(Columns columns) : names(std::move(columns)) {
    for (auto& [name, format] : names) {
      children.push_back(ArrowSchema{.format = format.c_str(),
                                     .name = name.c_str(),
                                     .metadata = nullptr,
                                     .flags = ARROW_FLAG_NULLABLE,
                                     .n_children = 0,
                                     .children = nullptr,
                                     .dictionary = nullptr,
                                     .release = [](ArrowSchema*) {},
                                     .private_data = nullptr});
    }
    for (ArrowSchema& child : children) {
      pointers.push_back(&child);
    }
    root = ArrowSchema{.format = "+s",
                       .name = "",
                       .metadata = nullptr,
                       .flags = 0,
                       .n_children = static_cast<std::int64_t>(children.size()),
                       .children = pointers.data(),
                       .dictionary = nullptr,
                       .release = [](ArrowSchema*) {},
                       .private_data = nullptr};
  }

  Columns names;
  std::vector<ArrowSchema> children;
  std::vector<ArrowSchema*> pointers;
  ArrowSchema root;
};

TEST(ExportSchema, HasTheFormatOfEveryDType) {
  EXPECT_EQ(FormatsOf({{.name = "a", .dtype = DType::kNull},
                       {.name = "b", .dtype = DType::kBool},
                       {.name = "c", .dtype = DType::kInt8},
                       {.name = "d", .dtype = DType::kUInt64},
                       {.name = "e", .dtype = DType::kFloat16},
                       {.name = "f", .dtype = DType::kDate32},
                       {.name = "g", .dtype = DType::kTime64Ns},
                       {.name = "h", .dtype = DType::kTimestampUs},
                       {.name = "i", .dtype = DType::kDurationMs},
                       {.name = "j", .dtype = DType::kDecimal256},
                       {.name = "k", .dtype = DType::kBinary},
                       {.name = "l", .dtype = DType::kFixedBinary, .shape = {5}}}),
            "+s(n,b,c,L,e,tdD,ttn,tsu:,tDm,d:76,0,256,z,w:5)");
}

TEST(ExportSchema, HasAListLevelForEveryDimension) {
  EXPECT_EQ(FormatsOf({{.name = "a", .dtype = DType::kInt8, .shape = {kRagged}},
                       {.name = "b", .dtype = DType::kInt8, .shape = {3}},
                       {.name = "c", .dtype = DType::kInt8, .shape = {2, 3}},
                       {.name = "d", .dtype = DType::kUInt8, .shape = {8, 8, 3}, .packed = true},
                       {.name = "e", .dtype = DType::kInt8, .shape = {kRagged, 3}}}),
            "+s(+l(c),+w:3(c),+l(+l(c)),+l(+l(+l(C))),+l(+l(c)))");
}

TEST(ExportSchema, AssemblesStructsByPath) {
  Schemas schema;
  ExportArrowSchema(
      Schema({{.name = "a.b", .dtype = DType::kInt8, .path = {"a.b"}},
              {.name = "a.c", .dtype = DType::kInt16, .path = {"a", "c"}},
              {.name = "a.d.e", .dtype = DType::kInt32, .path = {"a", "d", "e"}},
              {.name = "a", .dtype = DType::kNull, .path = {"a"}, .hidden = true},
              {.name = "a.d", .dtype = DType::kNull, .path = {"a", "d"}, .hidden = true}}),
      {}, schema.get());
  EXPECT_EQ(Formats(*schema), "+s(c,+s(s,+s(i)))");
  EXPECT_STREQ(schema->children[0]->name, "a.b");
  EXPECT_STREQ(schema->children[1]->name, "a");
  EXPECT_STREQ(schema->children[1]->children[1]->children[0]->name, "e");
  EXPECT_EQ(schema->children[1]->flags, ARROW_FLAG_NULLABLE);
}

TEST(ExportSchema, RefusesFieldsInsideFields) {
  EXPECT_THROW(FormatsOf({{.name = "a", .dtype = DType::kInt8},
                          {.name = "a.b", .dtype = DType::kInt8, .path = {"a", "b"}}}),
               Error);
  EXPECT_THROW(FormatsOf({{.name = "x", .dtype = DType::kInt8, .path = {"a", "b"}},
                          {.name = "y", .dtype = DType::kInt8, .path = {"a", "b"}}}),
               Error);
}

TEST(ExportSchema, CarriesMetadataInTheFormOfTheSpecification) {
  ArrowExportOptions options;
  options.huggingface_metadata = "{}";
  Schemas schema;
  ExportArrowSchema(Schema({{.name = "a", .dtype = DType::kInt8}}), options, schema.get());
  const std::string metadata(schema->metadata, 4 + 4 + 11 + 4 + 2);
  const auto number = [](std::int32_t n) {
    return std::string(reinterpret_cast<const char*>(&n), 4);
  };
  EXPECT_EQ(metadata, number(1) + number(11) + "huggingface" + number(2) + "{}");
}

TEST(RequestedSchema, IsTheSchemaOfTheStream) {
  StreamStore store = StoreOf({{.name = "number", .dtype = DType::kInt64},
                               {.name = "text", .dtype = DType::kString},
                               {.name = "half", .dtype = DType::kFloat32}});
  store.Append(0, {{0, 100}, {1, std::string_view("a text of more than twelve")}, {2, 0.5F}});
  store.Append(1, {{0, -100}, {1, std::string_view("short")}});
  Requested asked(Columns{{"half", "g"}, {"text", "vu"}, {"number", "c"}});
  ArrowExportOptions options;
  options.requested = &asked.root;
  auto stream = Export(store.reader(), options);
  Schemas schema;
  ASSERT_EQ(stream->get_schema(stream.get(), schema.get()), 0);
  EXPECT_EQ(Formats(*schema), "+s(g,vu,c)");
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  EXPECT_EQ(At<double>(*(*batch)->children[0], 0), 0.5);
  EXPECT_EQ(At<std::int8_t>(*(*batch)->children[2], 1), -100);
  const ArrowArray& views = *(*batch)->children[1];
  ASSERT_EQ(views.n_buffers, 4);
  EXPECT_EQ(At<std::int32_t>(views, 0), 26);
  EXPECT_EQ(At<std::int32_t>(views, 4), 5) << "length of row 1, 16 bytes a view";
  const auto offset = static_cast<std::size_t>(At<std::int32_t>(views, 3));
  EXPECT_EQ(std::string(static_cast<const char*>(views.buffers[2]) + offset, 26),
            "a text of more than twelve");
}

TEST(GivenType, MayHaveListViewsAtEveryLevel) {
  StreamStore store = StoreOf({{.name = "list", .dtype = DType::kInt8, .shape = {kRagged, 2}}});
  const std::int8_t items[] = {1, 2, 3, 4};
  store.Append(0, {{0, std::span<const std::int8_t>(items, 4)}});
  store.Append(1, {});
  store.Append(2, {{0, std::span<const std::int8_t>(items, 2)}});
  ArrowExportOptions options;
  options.fields.push_back(
      {.type = {.format = "+vL", .children = {{.format = "+vl", .children = {{.format = "c"}}}}}});
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& outer = *(*batch)->children[0];
  const ArrowArray& inner = *outer.children[0];
  ASSERT_EQ(outer.n_buffers, 3);
  ASSERT_EQ(inner.n_buffers, 3);
  const auto* sizes = static_cast<const std::int64_t*>(outer.buffers[2]);
  EXPECT_EQ(std::vector<std::int64_t>(sizes, sizes + 3), (std::vector<std::int64_t>{2, 0, 1}));
  EXPECT_EQ(At<std::int64_t>(outer, 2), 2);
  const auto* inner_sizes = static_cast<const std::int32_t*>(inner.buffers[2]);
  EXPECT_EQ(std::vector<std::int32_t>(inner_sizes, inner_sizes + 3),
            (std::vector<std::int32_t>{2, 2, 2}));
  EXPECT_EQ(At<std::int32_t>(inner, 2), 4);
}

TEST(RequestedSchema, NamesTheValueThatDoesNotFit) {
  StreamStore store = StoreOf(
      {{.name = "number", .dtype = DType::kInt64}, {.name = "big", .dtype = DType::kUInt64}});
  for (Step step = 0; step < 10; ++step) {
    store.Append(step, {{0, step == 7 ? 200 : 1}, {1, std::uint64_t{1}}});
  }
  Requested asked(Columns{{"number", "c"}, {"big", "l"}});
  ArrowExportOptions options;
  options.requested = &asked.root;
  auto stream = Export(store.reader(), options);
  try {
    Next(stream);
    FAIL() << "expected an error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("'number': row 7: 200 is not a valid int8"),
              std::string::npos)
        << error.what();
  }
}

TEST(RequestedSchema, RefusesOtherColumnsAndTypes) {
  const StreamStore store = StoreOf(
      {{.name = "number", .dtype = DType::kInt64}, {.name = "text", .dtype = DType::kString}});
  const auto refusal = [&](const Columns& columns) {
    const Requested asked(columns);
    ArrowExportOptions options;
    options.requested = &asked.root;
    try {
      Export(store.reader(), options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_NE(refusal(Columns{{"number", "l"}}).find("found 1 columns"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "l"}, {"other", "u"}}).find("'other'"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "l"}, {"number", "l"}}).find("'number'"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "u"}, {"text", "u"}}).find("int64"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "g"}, {"text", "u"}}).find("float64"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "l"}, {"text", "+l"}}).find("list"), std::string::npos);
  EXPECT_NE(refusal(Columns{{"number", "l"}, {"text", "nonsense"}}).find("nonsense"),
            std::string::npos);
}

TEST(RequestedSchema, IsRefusedIfInvalid) {
  const StreamStore store = StoreOf({{.name = "number", .dtype = DType::kInt64}});
  Requested asked(Columns{{"number", "l"}});
  ArrowExportOptions options;
  options.requested = &asked.root;
  asked.root.n_children = -1;
  EXPECT_THROW(Export(store.reader(), options), Error);
  asked.root.n_children = 1;
  asked.pointers[0] = nullptr;
  EXPECT_THROW(Export(store.reader(), options), Error);
  asked.pointers[0] = &asked.children[0];
  asked.children[0].format = nullptr;
  EXPECT_THROW(Export(store.reader(), options), Error);
  asked.children[0].format = "l";
  asked.root.release = nullptr;
  EXPECT_THROW(Export(store.reader(), options), Error);
}

}  // namespace
}  // namespace stream_store::testing
