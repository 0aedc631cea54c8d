// Exports of nested fields, compared with the texts of randomly generated cells.
#include <cerrno>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/interop.h"
#include "stream_store/nested.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/export.h"
#include "arrow/nested_model.h"
#include "arrow/stores.h"
#include "support/chunks.h"

namespace stream_store::testing {
namespace {

// Every kind of node, at the top and inside others.
const std::vector<std::string> kTypes = {
    "list<string>",
    "list<struct<role: string, content: string>>",
    "list<bool>",
    "list<null>",
    "list<list<int32>>",
    "large_list<large_string>",
    "list_view<large_binary>",
    "large_list_view<list_view<int8>>",
    "list<string_view>",
    "list<binary_view>",
    "list<fixed_size_list<float>[3]>",
    "fixed_size_list<string>[2]",
    "fixed_size_list<int16>[0]",
    "list<fixed_size_list<struct<a: bool, b: list<binary>>>[2]>",
    "map<string, int32>",
    "list<map<int64, list<string>>>",
    "struct<>",
    "list<struct<>>",
    "struct<a: struct<b: struct<c: int8, d: string>, e: bool>, f: null>",
    "list<struct<a: struct<b: fixed_size_list<decimal128(10, 2)>[2], c: string_view>, d: null>>",
    "list<decimal32(5, 2)>",
    "list<decimal256(40, 0)>",
    "list<month_day_nano_interval>",
    "list<fixed_size_binary[3]>",
    "list<fixed_size_binary[0]>",
    "list<timestamp[us, tz=UTC]>",
    "decimal64(10, 2)",
    "list<list<list<list<double>>>>",
    "list<int8 not null>",
    "struct<a: int32 not null, b: list<string not null>>"};

StreamStore StoreOf(const std::vector<std::string>& types) {
  std::vector<Field> fields;
  for (const std::string& type : types) {
    fields.push_back({.name = "cell" + std::to_string(fields.size()),
                      .dtype = DType::kNested,
                      .nested = NestedTypeText(ParseNestedType(type))});
  }
  return testing::StoreOf(std::move(fields));
}

// A store of one nested field next to the texts of its cells.
struct Filled {
  Filled(const std::string& text, Step rows, std::uint32_t seed = 1)
      : type(ParseNestedType(text)), store(StoreOf({text})) {
    RandomCells cells(seed);
    NestedEncoder encoder(type);
    for (Step step = 0; step < rows; ++step) {
      if (cells.Below(5) == 0) {
        store.Append(step, {});
        texts.push_back("null");
      } else {
        texts.push_back(cells.Cell(type, encoder));
        store.Append(step, {{0, encoder.Finish()}});
      }
    }
  }

  NestedType type;
  StreamStore store;
  std::vector<std::string> texts;
};

// Compares the first column of all batches of a stream with the texts, and returns the number of
// batches.
std::size_t ExpectTexts(Owned<ArrowArrayStream>& stream, const std::vector<std::string>& texts) {
  Schemas schema;
  EXPECT_EQ(stream->get_schema(stream.get(), schema.get()), 0);
  std::size_t row = 0;
  std::size_t batches = 0;
  while (auto batch = Next(stream)) {
    const ArrowArray& column = *(*batch)->children[0];
    EXPECT_EQ(column.length, (*batch)->length);
    std::int64_t nulls = 0;
    for (std::int64_t i = 0; i < column.length; ++i, ++row) {
      EXPECT_EQ(TextOf(*schema->children[0], column, i), texts.at(row)) << "row " << row;
      nulls += texts[row] == "null" ? 1 : 0;
    }
    EXPECT_EQ(column.null_count, nulls);
    ++batches;
  }
  EXPECT_EQ(row, texts.size());
  return batches;
}

std::string MessageOf(Owned<ArrowArrayStream>& stream) {
  try {
    All(stream);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

// The formats and names of a type, with '!' for types that are not nullable.
std::string Describe(const ArrowSchema& schema) {
  std::string text = std::string(schema.name) + ":" + schema.format;
  text += (schema.flags & ARROW_FLAG_NULLABLE) != 0 ? "" : "!";
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    text += (i == 0 ? "(" : ",") + Describe(*schema.children[i]);
  }
  return text + (schema.n_children > 0 ? ")" : "");
}

TEST(ExportNested, HoldsEveryValueOfEveryType) {
  for (const std::string& type : kTypes) {
    SCOPED_TRACE(type);
    const Filled filled(type, 300);
    auto stream = Export(filled.store.reader());
    EXPECT_EQ(ExpectTexts(stream, filled.texts), 1U);
  }
}

TEST(ExportNested, HoldsEveryValueInSmallBatches) {
  for (const std::string& type : kTypes) {
    SCOPED_TRACE(type);
    const Filled filled(type, 200, 2);
    ArrowExportOptions options;
    for (const std::uint64_t bytes : {1U, 300U, 2000U}) {
      options.batch_bytes = bytes;
      auto stream = Export(filled.store.reader(), options);
      EXPECT_GT(ExpectTexts(stream, filled.texts), 1U);
    }
  }
}

TEST(ExportNested, HasBitmapsOnlyWhereNullsOccur) {
  const NestedType type = ParseNestedType("list<struct<a: int8, b: string>>");
  StreamStore store = StoreOf({"list<struct<a: int8, b: string>>"});
  NestedEncoder encoder(type);
  for (Step step = 0; step < 10; ++step) {
    encoder.BeginList();
    encoder.BeginStruct();
    encoder.Int(step);
    step == 7 ? encoder.Null() : encoder.Text("b");
    encoder.EndStruct();
    encoder.EndList();
    store.Append(step, {{0, encoder.Finish()}});
  }
  auto stream = Export(store.reader());
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& list = *(*batch)->children[0];
  const ArrowArray& entry = *list.children[0];
  EXPECT_EQ(list.buffers[0], nullptr);
  EXPECT_EQ(entry.buffers[0], nullptr);
  EXPECT_EQ(entry.children[0]->buffers[0], nullptr);
  EXPECT_EQ(entry.children[1]->null_count, 1);
  EXPECT_FALSE(Valid(*entry.children[1], 7));
}

TEST(ExportNested, EndsBatchesBeforeAnOffsetOverflows) {
  for (const std::string type : {"list<string>", "list<string_view>", "list<list<int8>>",
                                 "struct<a: list<list_view<bool>>, b: list<string>>"}) {
    SCOPED_TRACE(type);
    const Filled filled(type, 2000, 3);
    Owned<ArrowArrayStream> stream;
    arrow::ExportWithOffsetLimit(filled.store.reader(), {}, 200, stream.get());
    EXPECT_GT(ExpectTexts(stream, filled.texts), 3U);
  }
}

// The second field has no room for a row that the first one has already taken.
TEST(ExportNested, EndsTheBatchesOfAllFieldsAtTheSameRow) {
  const NestedType type = ParseNestedType("list<string>");
  for (const bool one_record : {true, false}) {
    StreamStore store = StoreOf({"list<string>", "list<string>"});
    NestedEncoder first(type);
    NestedEncoder second(type);
    for (Step step = 0; step < 50; ++step) {
      first.BeginList();
      first.Text("ab");
      first.EndList();
      second.BeginList();
      second.Text("abcdefg");
      second.EndList();
      if (one_record) {
        store.Append(step, {{0, first.Finish()}, {1, second.Finish()}});
      } else {
        store.Append(step, {{0, first.Finish()}});
        store.Append(step, {{1, second.Finish()}});
      }
    }
    Owned<ArrowArrayStream> stream;
    arrow::ExportWithOffsetLimit(store.reader(), {}, 40, stream.get());
    std::int64_t rows = 0;
    for (Arrays& batch : All(stream)) {
      EXPECT_LE(batch->length, 5);
      for (std::int64_t i = 0; i < batch->length; ++i) {
        EXPECT_EQ(TextAt(*batch->children[0]->children[0], i), "ab");
        EXPECT_EQ(TextAt(*batch->children[1]->children[0], i), "abcdefg");
      }
      rows += batch->length;
    }
    EXPECT_EQ(rows, 50);
  }
}

TEST(ExportNested, NamesTheRowAndPlaceThatOverflowAnOffset) {
  const std::string type = "list<struct<role: string, content: large_string>>";
  StreamStore store = StoreOf({type});
  NestedEncoder encoder(ParseNestedType(type));
  for (Step step = 0; step < 10; ++step) {
    encoder.BeginList();
    encoder.BeginStruct();
    encoder.Text(std::string(static_cast<std::size_t>(step), 'x'));
    encoder.Text(std::string(100, 'y'));
    encoder.EndStruct();
    encoder.EndList();
    store.Append(step, {{0, encoder.Finish()}});
  }
  Owned<ArrowArrayStream> stream;
  arrow::ExportWithOffsetLimit(store.reader(), {}, 6, stream.get());
  const std::string message = MessageOf(stream);
  EXPECT_EQ(message.find(std::to_string(EINVAL) + ": "), 0U) << message;
  EXPECT_NE(message.find("'cell0': row 7 has 7 items in 'cell0[].role'"), std::string::npos)
      << message;
  EXPECT_NE(message.find("large_string"), std::string::npos) << message;
}

// A null list of many items takes one bit in a block, but all of its items in Arrow.
TEST(ExportNested, EndsBatchesByTheirSizeInArrow) {
  const std::string type = "list<fixed_size_list<double>[1000]>";
  StreamStore store = StoreOf({type});
  NestedEncoder encoder(ParseNestedType(type));
  for (Step step = 0; step < 100; ++step) {
    encoder.BeginList();
    for (int i = 0; i < 10; ++i) {
      encoder.Null();
    }
    encoder.EndList();
    store.Append(step, {{0, encoder.Finish()}});
  }
  ArrowExportOptions options;
  options.batch_bytes = 400'000;  // 5 rows of 80,000 bytes
  auto stream = Export(store.reader(), options);
  for (Arrays& batch : All(stream)) {
    EXPECT_LE(batch->length, 6);
    const ArrowArray& lists = *batch->children[0]->children[0];
    EXPECT_EQ(lists.null_count, 10 * batch->length);
    EXPECT_EQ(lists.children[0]->length, 10'000 * batch->length);
  }
}

TEST(ExportNested, RefusesNullsThatTakeTooMuchMemory) {
  const std::string type = "list<fixed_size_list<fixed_size_list<int8>[30000]>[30000]>";
  StreamStore store = StoreOf({type});
  NestedEncoder encoder(ParseNestedType(type));
  encoder.BeginList();
  encoder.Null();
  encoder.Null();
  encoder.EndList();
  store.Append(0, {{0, encoder.Finish()}});
  auto stream = Export(store.reader());
  const std::string message = MessageOf(stream);
  EXPECT_NE(message.find("'cell0': row 0: expected the nulls in 'cell0[]"), std::string::npos)
      << message;
}

TEST(ExportNested, HasTheNamesAndFlagsOfItsType) {
  StreamStore store =
      StoreOf({"list<struct<a: int8 not null, b: map<string, int8, keys_sorted>>>"});
  Schemas schema;
  ExportArrowSchema(store.reader().schema(), {}, schema.get());
  const ArrowSchema& column = *schema->children[0];
  EXPECT_EQ(Describe(column), "cell0:+l(item:+s(a:c!,b:+m(entries:+s!(key:u!,value:c))))");
  EXPECT_NE(column.children[0]->children[1]->flags & ARROW_FLAG_MAP_KEYS_SORTED, 0);
}

TEST(ExportNested, KeepsTheGivenTypeWithItsMetadata) {
  const Filled filled("list<struct<a: string, b: timestamp[us]>>", 100, 4);
  ArrowExportOptions options;
  options.fields.resize(1);
  options.fields[0].type = {
      .format = "+vL",
      .metadata = Metadata("k", "v"),
      .children = {{.format = "+s",
                    .name = "element",
                    .children = {{.format = "vu", .name = "a", .metadata = Metadata("x", "yz")},
                                 {.format = "tsu:UTC", .name = "b"}}}}};
  auto stream = Export(filled.store.reader(), options);
  Schemas schema;
  ASSERT_EQ(stream->get_schema(stream.get(), schema.get()), 0);
  const ArrowSchema& column = *schema->children[0];
  EXPECT_EQ(Describe(column), "cell0:+vL(element:+s(a:vu,b:tsu:UTC))");
  EXPECT_EQ(std::string(column.metadata, 14), Metadata("k", "v"));
  EXPECT_EQ(std::string(column.children[0]->children[0]->metadata, 15), Metadata("x", "yz"));
  ExpectTexts(stream, filled.texts);
}

TEST(ExportNested, RefusesTypesThatChangeValues) {
  const auto refusal = [](const std::string& type, const ArrowType& given) {
    const StreamStore store = StoreOf({type});
    ArrowExportOptions options;
    options.fields.push_back({.type = given});
    try {
      Export(store.reader(), options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  const ArrowType ints = {.format = "+l", .children = {{.format = "i", .name = "item"}}};
  EXPECT_NE(refusal("list<list<int32>>", ints).find("list<int32>"), std::string::npos);
  EXPECT_NE(refusal("list<string>", ints).find("'cell0' is list<string>"), std::string::npos);
  EXPECT_NE(refusal("list<date32>", ints).find("list<int32>"), std::string::npos);
  EXPECT_NE(refusal("fixed_size_list<int32>[2]", ints).find("list<int32>"), std::string::npos);
  EXPECT_NE(
      refusal("list<binary>", {.format = "+l", .children = {{.format = "u"}}}).find("list<string>"),
      std::string::npos);
  EXPECT_NE(refusal("struct<a: int8>", {.format = "+s", .children = {{.format = "c", .name = "b"}}})
                .find("struct<b: int8>"),
            std::string::npos);
  EXPECT_NE(refusal("list<int8>", {.format = "+ud:0"}).find("dense_union"), std::string::npos);
}

TEST(ExportNested, NamesTheNullThatItsTypeDoesNotAllow) {
  const std::string type = "list<struct<a: int8>>";
  StreamStore store = StoreOf({type});
  NestedEncoder encoder(ParseNestedType(type));
  for (Step step = 0; step < 5; ++step) {
    encoder.BeginList();
    encoder.BeginStruct();
    step == 3 ? encoder.Null() : encoder.Int(1);
    encoder.EndStruct();
    encoder.EndList();
    store.Append(step, {{0, encoder.Finish()}});
  }
  ArrowExportOptions options;
  options.fields.push_back(
      {.type = {.format = "+l",
                .children = {{.format = "+s",
                              .name = "item",
                              .children = {{.format = "c", .name = "a", .flags = 0}}}}}});
  auto stream = Export(store.reader(), options);
  const std::string message = MessageOf(stream);
  EXPECT_EQ(message.find(std::to_string(EINVAL) + ": "), 0U) << message;
  EXPECT_NE(message.find("'cell0': row 3: expected a value at 'cell0[].a'"), std::string::npos)
      << message;
}

TEST(ExportNested, HoldsStepsAndFlatFieldsNextToIt) {
  Options store_options;
  store_options.fields = {{.name = "number", .dtype = DType::kInt32},
                          {.name = "cell", .dtype = DType::kNested, .nested = "list<string>"}};
  store_options.grow_ahead = false;
  StreamStore store = StreamStore::Temporary(store_options);
  NestedEncoder encoder(ParseNestedType("list<string>"));
  for (Step step = 0; step < 100; ++step) {
    encoder.BeginList();
    encoder.Text(std::to_string(step));
    encoder.EndList();
    store.Append(10 * step, {{0, static_cast<int>(step)}, {1, encoder.Finish()}});
  }
  ArrowExportOptions options;
  options.step_column = "when";
  options.batch_bytes = 500;
  auto stream = Export(store.reader(), options);
  std::int64_t row = 0;
  for (Arrays& batch : All(stream)) {
    for (std::int64_t i = 0; i < batch->length; ++i, ++row) {
      EXPECT_EQ(At<Step>(*batch->children[0], i), 10 * row);
      EXPECT_EQ(At<std::int32_t>(*batch->children[1], i), row);
      EXPECT_EQ(TextAt(*batch->children[2]->children[0], i), std::to_string(row));
    }
  }
  EXPECT_EQ(row, 100);
}

// Overwrites one stored value.
void Overwrite(const StreamStore& store, Position position, Value value) {
  std::fstream values(interop::HandOver(store.reader()) / internal::FileOf("values"),
                      std::ios::in | std::ios::out | std::ios::binary);
  values.seekp(static_cast<std::streamoff>(position) * static_cast<std::streamoff>(sizeof(value)));
  ASSERT_TRUE(values.write(reinterpret_cast<const char*>(&value), sizeof(value)).flush());
}

std::vector<Value> ValuesOf(const Reader& reader) {
  std::vector<Position> positions(static_cast<std::size_t>(reader.size()));
  std::iota(positions.begin(), positions.end(), 0);
  std::vector<Value> values(positions.size());
  reader.Gather(positions, {.values = values.data()});
  return values;
}

// Every word of a cell is overwritten with several patterns: the export must fail and name the row,
// or give some other cell, but never read or write outside its buffers (run with a sanitizer).
TEST(ExportNested, SurvivesDamagedBlocks) {
  std::size_t errors = 0;
  for (const std::string& type : kTypes) {
    const Filled filled(type, 3, 5);
    const std::vector<Value> values = ValuesOf(filled.store.reader());
    for (std::size_t at = 0; at < values.size(); ++at) {
      for (const Value damage : {Value{0}, Value{-1}, Value{0x0101010101010101}, INT64_MAX}) {
        Overwrite(filled.store, static_cast<Position>(at), damage);
        auto stream = Export(filled.store.reader());
        const std::string message = MessageOf(stream);
        if (message != "no error") {
          EXPECT_NE(message.find("'cell0': row "), std::string::npos) << message;
          ++errors;
        }
      }
      Overwrite(filled.store, static_cast<Position>(at), values[at]);
    }
    auto stream = Export(filled.store.reader());
    ExpectTexts(stream, filled.texts);
  }
  EXPECT_GT(errors, 100U);
}

}  // namespace
}  // namespace stream_store::testing
