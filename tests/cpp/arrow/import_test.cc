// Imports batches: values, steps, rows in any order, and arrays that contradict themselves.
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/import_helpers.h"
#include "support/scratch.h"

namespace stream_store::testing {

using internal::ErrorOf;

namespace {

const std::vector<Field> kNumber = {{.name = "n", .dtype = DType::kInt64}};
const std::vector<Field> kList = {{.name = "l", .dtype = DType::kInt64, .shape = {kRagged}}};

TEST(Import, ReadsBatchAfterBatch) {
  StreamStore store = StoreOf(kNumber);
  EXPECT_EQ(Import(store, {{Int64s("n", {1, 2})}, {Int64s("n", {})}, {Int64s("n", {3})}}), 3U);
  EXPECT_EQ(Values(store), (std::vector<Value>{1, 2, 3}));
  EXPECT_EQ(store.reader().row(2).step(), 2);
}

TEST(Import, TakesStepsFromAColumn) {
  StreamStore store = StoreOf(kNumber);
  ArrowImportOptions options;
  options.step_column = "s";
  Column steps{.format = "I",
               .name = "s",
               .length = 2,
               .buffers = {{}, Bytes<std::uint32_t>({7, 4000000000U})}};
  Import(store, {{steps, Int64s("n", {1, 2})}}, options);
  EXPECT_EQ(store.reader().row(1).step(), 4000000000);
  options.step_column = "n";  // the column of a field can be the steps as well
  Import(store, {{Int64s("n", {5000000000})}}, options);
  EXPECT_EQ(store.reader().row(2).step(), 5000000000);
  EXPECT_EQ(Values(store), (std::vector<Value>{1, 2, 5000000000}));
  options.step_column = "missing";
  EXPECT_EQ(ErrorOf([&] { Import(store, {{Int64s("n", {1})}}, options); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(Import, ExtendsTheSignOfNarrowSteps) {
  const std::vector<std::pair<const char*, std::vector<std::uint8_t>>> kinds = {
      {"c", Bytes<std::int8_t>({-3, -1, 0, 5})},
      {"s", Bytes<std::int16_t>({-3, -1, 0, 5})},
      {"i", Bytes<std::int32_t>({-3, -1, 0, 5})}};
  for (const auto& [format, bytes] : kinds) {
    StreamStore store = StoreOf(kNumber);
    ArrowImportOptions options;
    options.step_column = "s";
    const Column steps{.format = format, .name = "s", .length = 4, .buffers = {{}, bytes}};
    Import(store, {{steps, Int64s("n", {1, 2, 3, 4})}}, options);
    std::vector<Step> found;
    for (Row row = 0; row < 4; ++row) {
      found.push_back(store.reader().row(row).step());
    }
    EXPECT_EQ(found, (std::vector<Step>{-3, -1, 0, 5})) << format;
  }
}

// An array may begin inside its buffers at every level: the lists, and the items of the lists.
TEST(Import, ReadsListsWhoseItemsHaveAnOffset) {
  Column items = Int64s("item", {90, 91, 92, 1, 2, 3, 4});
  items.offset = 3;
  items.length = 4;
  const Column lists{.format = "+l",
                     .name = "l",
                     .length = 2,
                     .buffers = {{}, Bytes<std::int32_t>({0, 0, 1, 4})},
                     .children = {items},
                     .offset = 1};
  const Column large{.format = "+L",
                     .name = "l",
                     .length = 2,
                     .buffers = {{}, Bytes<std::int64_t>({0, 0, 1, 4})},
                     .children = {items},
                     .offset = 1};
  const Column fixed{
      .format = "+w:2", .name = "l", .length = 2, .buffers = {{}}, .children = {items}};
  for (const Column& column : {lists, large, fixed}) {
    StreamStore store = StoreOf(kList);
    EXPECT_EQ(Import(store, {{column}}), 2U);
    EXPECT_EQ(Values(store), (std::vector<Value>{1, 2, 3, 4})) << column.format;
    EXPECT_EQ(store.reader().row(0).begin().operator*().values.size(),
              column.format == "+w:2" ? 2U : 1U);
  }
}

TEST(Import, PicksListsWhoseItemsHaveAnOffset) {
  StreamStore store = StoreOf(kList);
  Column items = Int64s("item", {90, 91, 92, 1, 2, 3, 4});
  items.offset = 3;
  items.length = 4;
  Producer producer({{Column{.format = "+l",
                             .name = "l",
                             .length = 2,
                             .buffers = {{}, Bytes<std::int32_t>({0, 1, 4})},
                             .children = {items}}}});
  Column numbers = Int64s("i", {77, 1, 0});
  numbers.format = "L";
  numbers.offset = 1;  // the row numbers may begin inside their buffer, too
  numbers.length = 2;
  Producer picks({{numbers}});
  ArrowArrayStream stream = producer.stream();
  ArrowArrayStream pick_stream = picks.stream();
  StagedRows staged = store.Stage();
  EXPECT_EQ(ImportArrowRows(staged, &stream, &pick_stream), 2U);
  staged.Commit();
  EXPECT_EQ(Values(store), (std::vector<Value>{2, 3, 4, 1}));
}

TEST(Import, KeepsTheOrderOfTheWordsOfADecimal) {
  StreamStore store = StoreOf({{.name = "d", .dtype = DType::kDecimal256}});
  const Column decimals{.format = "d:76,0,256",
                        .name = "d",
                        .length = 2,
                        .buffers = {{}, Bytes<std::int64_t>({3, 5, 7, 11, -4, -6, -8, -12})}};
  Import(store, {{decimals}});
  EXPECT_EQ(Values(store), (std::vector<Value>{3, 5, 7, 11, -4, -6, -8, -12}));
}

TEST(Import, RefusesStepsThatAreMissingOrDoNotRise) {
  StreamStore store = StoreOf(kNumber);
  ArrowImportOptions options;
  options.step_column = "s";
  Column steps = Int64s("s", {5, 6});
  steps.buffers[0] = {0x01};
  const Error missing = ErrorOf([&] { Import(store, {{steps, Int64s("n", {1, 2})}}, options); });
  EXPECT_NE(std::string(missing.what()).find("'s', row 1"), std::string::npos) << missing.what();
  const Error falls =
      ErrorOf([&] { Import(store, {{Int64s("s", {5, 5}), Int64s("n", {1, 2})}}, options); });
  EXPECT_NE(std::string(falls.what()).find("row 1"), std::string::npos) << falls.what();
}

TEST(Import, RefusesStepsPastInt64) {
  StreamStore store = StoreOf(kNumber);
  ArrowImportOptions options;
  options.step_column = "s";
  Column steps = Int64s("s", {5, INT64_MIN});
  steps.format = "L";  // 2^63 as uint64
  const Error error = ErrorOf([&] { Import(store, {{steps, Int64s("n", {1, 2})}}, options); });
  EXPECT_NE(std::string(error.what()).find("'s', row 1"), std::string::npos) << error.what();
}

TEST(Import, StopsBeforeStepsOverflow) {
  StreamStore store = StoreOf(kNumber);
  store.Append(INT64_MAX - 1, {{0, 1}});
  EXPECT_EQ(Import(store, {{Int64s("n", {1})}}), 1U);
  EXPECT_EQ(ErrorOf([&] { Import(store, {{Int64s("n", {1})}}); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST(Import, PicksRowsOfKeptBatchesInAnyOrder) {
  StreamStore store = StoreOf(kNumber);
  Producer producer(
      {{Int64s("n", {0, 1, 2})}, {Int64s("n", {})}, {Int64s("n", {3})}, {Int64s("n", {4, 5})}});
  Column numbers = Int64s("i", {5, 0, 0, 3, 4});
  numbers.format = "L";
  Producer picks({{numbers}});
  ArrowArrayStream stream = producer.stream();
  ArrowArrayStream pick_stream = picks.stream();
  StagedRows staged = store.Stage();
  EXPECT_EQ(ImportArrowRows(staged, &stream, &pick_stream), 5U);
  staged.Commit();
  EXPECT_EQ(Values(store), (std::vector<Value>{5, 0, 0, 3, 4}));
}

// The batch of a row is guessed from the size of the first one; here most guesses are wrong.
TEST(Import, PicksRowsOfBatchesOfUnequalSize) {
  StreamStore store = StoreOf(kNumber);
  Producer producer({{Int64s("n", {0, 1, 2})},
                     {Int64s("n", {3, 4, 5, 6, 7})},
                     {Int64s("n", {8})},
                     {Int64s("n", {9, 10})}});
  Column numbers = Int64s("i", {10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0});
  numbers.format = "L";
  Producer picks({{numbers}});
  ArrowArrayStream stream = producer.stream();
  ArrowArrayStream pick_stream = picks.stream();
  StagedRows staged = store.Stage();
  EXPECT_EQ(ImportArrowRows(staged, &stream, &pick_stream), 11U);
  staged.Commit();
  EXPECT_EQ(Values(store), (std::vector<Value>{10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}));
}

TEST(Import, RefusesPicksBeyondTheKeptRows) {
  StreamStore store = StoreOf(kNumber);
  StagedRows staged = store.Stage();
  Producer producer({{Int64s("n", {0, 1, 2})}});
  ArrowArrayStream stream = producer.stream();
  Schemas schema;
  stream.get_schema(&stream, schema.get());
  ArrowImporter importer(staged, *schema);
  ArrowArray batch{};
  stream.get_next(&stream, &batch);
  importer.Keep(&batch);
  EXPECT_EQ(importer.kept_rows(), 3U);
  const std::uint64_t picks[] = {2, 3};
  EXPECT_EQ(ErrorOf([&] { importer.AppendKept(picks); }).code(), ErrorCode::kOutOfRange);
}

TEST(Import, EndsWithTheExceptionOfTheProgressCallback) {
  StreamStore store = StoreOf(kNumber);
  ArrowImportOptions options;
  options.progress = [](std::uint64_t rows) {
    if (rows == 2) {
      throw std::runtime_error("enough");
    }
  };
  EXPECT_THROW(Import(store, {{Int64s("n", {1})}, {Int64s("n", {2})}, {Int64s("n", {3})}}, options),
               std::runtime_error);
  EXPECT_EQ(store.reader().num_rows(), 0U);
}

TEST(Import, ReadsABatchWithAnOffsetFromThere) {
  StreamStore store = StoreOf({{.name = "n", .dtype = DType::kInt64}});
  Column column = Int64s("n", {90, 91, 92, 93, 94});
  column.offset = 1;
  column.length = 4;
  Producer producer({{column}});
  ArrowArrayStream stream = producer.stream();
  StagedRows staged = store.Stage();
  Schemas schema;
  stream.get_schema(&stream, schema.get());
  ArrowImporter importer(staged, *schema);
  ArrowArray batch{};
  stream.get_next(&stream, &batch);
  batch.offset = 2;
  batch.length = 2;
  importer.Append(&batch);
  staged.Commit();
  EXPECT_EQ(Values(store), (std::vector<Value>{93, 94}));
}

TEST(Import, AddsOffsetsOfStructsToThoseOfTheirChildren) {
  StreamStore store =
      StoreOf({{.name = "s.x", .dtype = DType::kInt64, .path = {"s", "x"}},
               {.name = "s", .dtype = DType::kNull, .path = {"s"}, .hidden = true}});
  Column x = Int64s("x", {90, 91, 92, 93, 94});
  x.offset = 1;
  x.length = 4;
  const Column s{
      .format = "+s", .name = "s", .length = 2, .buffers = {{0x0a}}, .children = {x}, .offset = 2};
  Import(store, {{s}});  // bits 2 and 3 of the bitmap are 0 and 1: only the second row is present
  EXPECT_EQ(Values(store), (std::vector<Value>{94}));
  EXPECT_EQ(store.reader().row(0).size(), 0U);
}

TEST(Import, NamesTheRowOfAWrongOffset) {
  const auto lists = [](std::initializer_list<std::int32_t> offsets) {
    return Column{.format = "+l",
                  .name = "l",
                  .length = 2,
                  .buffers = {{}, Bytes(offsets)},
                  .children = {Int64s("item", {1, 2, 3})}};
  };
  EXPECT_NE(Refusal(kList, {lists({0, 2, 4})}).find("'l', row 1"), std::string::npos);
  EXPECT_NE(Refusal(kList, {lists({0, 3, 2})}).find("'l', row 1"), std::string::npos);
  EXPECT_NE(Refusal(kList, {lists({-1, 1, 2})}).find("'l', row 0"), std::string::npos);
}

TEST(Import, RefusesArraysThatAreShorterThanDeclared) {
  Column number = Int64s("n", {1, 2, 3});
  number.length = 2;
  Column longer = Int64s("m", {1, 2, 3});
  EXPECT_NE(Refusal({{.name = "m", .dtype = DType::kInt64}, {.name = "n", .dtype = DType::kInt64}},
                    {longer, number})
                .find("'n'"),
            std::string::npos);
  Column negative = Int64s("n", {1});
  negative.offset = -1;
  Refusal(kNumber, {negative});
  Column bitmap = Int64s("n", {1});
  bitmap.null_count = 1;
  EXPECT_NE(Refusal(kNumber, {bitmap}).find("without a bitmap"), std::string::npos);
  Column buffers = Int64s("n", {1});
  buffers.buffers.pop_back();
  EXPECT_NE(Refusal(kNumber, {buffers}).find("buffers"), std::string::npos);
  Column missing = Int64s("n", {1});
  missing.buffers[1].clear();
  EXPECT_NE(Refusal(kNumber, {missing}).find("missing buffer"), std::string::npos);
  const Column fixed{.format = "+w:2",
                     .name = "l",
                     .length = 2,
                     .buffers = {{}},
                     .children = {Int64s("item", {1, 2, 3})}};
  EXPECT_NE(Refusal(kList, {fixed}).find("past the end"), std::string::npos);
}

TEST(Import, RefusesInvalidSchemas) {
  StreamStore store = StoreOf(kNumber);
  StagedRows staged = store.Stage();
  ArrowSchema schema{};
  EXPECT_THROW(ArrowImporter(staged, schema), Error);
  schema.release = [](ArrowSchema* self) { self->release = nullptr; };
  EXPECT_THROW(ArrowImporter(staged, schema), Error);
  schema.format = "l";
  EXPECT_THROW(ArrowImporter(staged, schema), Error);
  schema.format = "+s";
  schema.n_children = 1;
  EXPECT_THROW(ArrowImporter(staged, schema), Error);
  std::vector<ArrowSchema> deep(100);
  std::vector<ArrowSchema*> pointers;
  for (std::size_t i = 0; i < deep.size(); ++i) {
    pointers.push_back(&deep[i]);
  }
  for (std::size_t i = 0; i + 1 < deep.size(); ++i) {
    deep[i] = schema;
    deep[i].children = &pointers[i + 1];
  }
  deep.back() = schema;
  deep.back().n_children = 0;
  EXPECT_THROW(ArrowImporter(staged, deep.front()), Error);
}

TEST(Import, RestoresEveryValueOfAnExport) {
  const std::vector<Field> fields = {
      {.name = "n", .dtype = DType::kUInt64},
      {.name = "t", .dtype = DType::kString},
      {.name = "p", .dtype = DType::kUInt8, .shape = {3, 3}, .packed = true},
      {.name = "d", .dtype = DType::kDecimal256},
      {.name = "r", .dtype = DType::kFloat16, .shape = {kRagged, 2}}};
  StreamStore source = StoreOf(fields);
  for (Step step = 0; step < 3000; ++step) {
    const std::string text(static_cast<std::size_t>(step % 5), 'x');
    const std::vector<std::uint8_t> pixels(9, static_cast<std::uint8_t>(step));
    const std::vector<Value> words(4, step - 1500);
    const std::vector<float> pairs(static_cast<std::size_t>(2 * (step % 3)), 0.5F);
    std::vector<FieldWrite> writes = {{0, static_cast<std::uint64_t>(-step)},
                                      {1, std::string_view(text)},
                                      {2, pixels},
                                      FieldWrite(3, Source::kWords, words.data(), 4),
                                      {4, pairs}};
    writes.erase(writes.begin() + step % 6 % 5);
    source.Append(step, writes);
  }
  StreamStore copy = StoreOf(fields);
  auto stream = Export(source.reader());
  StagedRows staged = copy.Stage();
  EXPECT_EQ(ImportArrow(staged, stream.get()), 3000U);
  staged.Commit();
  EXPECT_EQ(Values(copy), Values(source));
  EXPECT_EQ(copy.reader().field_writes(), source.reader().field_writes());
}

}  // namespace
}  // namespace stream_store::testing
