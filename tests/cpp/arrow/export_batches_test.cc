// Exported streams: values, nulls, the ends of batches, and ownership.
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/export.h"

namespace stream_store::testing {
namespace {

const std::vector<Field> kFields = {{.name = "number", .dtype = DType::kInt32},
                                    {.name = "list", .dtype = DType::kFloat32, .shape = {kRagged}},
                                    {.name = "flag", .dtype = DType::kBool},
                                    {.name = "text", .dtype = DType::kString},
                                    {.name = "pair", .dtype = DType::kUInt8, .shape = {2}}};

StreamStore NewStore(std::vector<Field> fields = kFields) {
  Options options;
  options.fields = std::move(fields);
  options.grow_ahead = false;
  return StreamStore::Temporary(options);
}

void AppendWhole(StreamStore& store, Step step) {
  const std::vector<float> list(static_cast<std::size_t>(step % 4), static_cast<float>(step));
  const std::string text = "row " + std::to_string(step);
  const std::uint8_t pair[] = {static_cast<std::uint8_t>(step), 7};
  store.Append(step, {{0, static_cast<int>(step) - 5},
                      {1, list},
                      {2, step % 3 == 0},
                      {3, std::string_view(text)},
                      {4, std::span<const std::uint8_t>(pair)}});
}

StreamStore Filled(Step rows) {
  StreamStore store = NewStore();
  for (Step step = 0; step < rows; ++step) {
    AppendWhole(store, step);
  }
  return store;
}

// A stream whose 32-bit offsets are at most `limit`.
Owned<ArrowArrayStream> ExportLimited(const Reader& reader, std::uint64_t limit,
                                      const ArrowExportOptions& options = {}) {
  Owned<ArrowArrayStream> stream;
  arrow::ExportWithOffsetLimit(reader, options, limit, stream.get());
  return stream;
}

TEST(ExportBatches, HoldEveryValueOfEveryRow) {
  const StreamStore store = Filled(1000);
  auto stream = Export(store.reader());
  auto batches = All(stream);
  ASSERT_EQ(batches.size(), 1U);
  const ArrowArray& batch = *batches[0];
  ASSERT_EQ(batch.length, 1000);
  ASSERT_EQ(batch.n_children, 5);
  EXPECT_EQ(batch.offset, 0);
  EXPECT_EQ(batch.null_count, 0);
  for (std::int64_t row = 0; row < 1000; ++row) {
    EXPECT_EQ(At<std::int32_t>(*batch.children[0], row), row - 5);
    EXPECT_EQ(ListAt<float>(*batch.children[1], row),
              std::vector<float>(static_cast<std::size_t>(row % 4), static_cast<float>(row)));
    EXPECT_EQ(BoolAt(*batch.children[2], row), row % 3 == 0);
    EXPECT_EQ(TextAt(*batch.children[3], row), "row " + std::to_string(row));
    EXPECT_EQ(At<std::uint8_t>(*batch.children[4]->children[0], 2 * row),
              static_cast<std::uint8_t>(row));
    EXPECT_EQ(At<std::uint8_t>(*batch.children[4]->children[0], 2 * row + 1), 7);
  }
}

// Rows of one layout are one run, and these have more words than are gathered at a time.
TEST(ExportBatches, HoldEveryPairOfALongRun) {
  StreamStore store = NewStore({{.name = "number", .dtype = DType::kInt32},
                                {.name = "pair", .dtype = DType::kUInt8, .shape = {2}}});
  for (Step step = 0; step < 5000; ++step) {
    const std::uint8_t pair[] = {static_cast<std::uint8_t>(step % 251), 7};
    store.Append(step, {{0, 1}, {1, std::span<const std::uint8_t>(pair)}});
  }
  auto stream = Export(store.reader());
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  ASSERT_EQ((*batch)->length, 5000);
  const ArrowArray& items = *(*batch)->children[1]->children[0];
  for (std::int64_t row = 0; row < 5000; ++row) {
    ASSERT_EQ(At<std::uint8_t>(items, 2 * row), static_cast<std::uint8_t>(row % 251)) << row;
    ASSERT_EQ(At<std::uint8_t>(items, 2 * row + 1), 7) << row;
  }
}

TEST(ExportBatches, ShowMissingFieldsAsNullsAndEmptyListsAsEmpty) {
  StreamStore store = NewStore();
  store.Append(0, {});
  store.Append(1, {{1, std::span<const float>()}, {3, std::string_view()}});
  AppendWhole(store, 2);
  store.Append(3, {});
  auto stream = Export(store.reader());
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const bool present[5][4] = {{false, false, true, false},
                              {false, true, true, false},
                              {false, false, true, false},
                              {false, true, true, false},
                              {false, false, true, false}};
  for (int column = 0; column < 5; ++column) {
    const ArrowArray& array = *(*batch)->children[column];
    std::int64_t nulls = 0;
    for (int row = 0; row < 4; ++row) {
      EXPECT_EQ(Valid(array, row), present[column][row]) << column << " " << row;
      nulls += present[column][row] ? 0 : 1;
    }
    EXPECT_EQ(array.null_count, nulls);
  }
  EXPECT_TRUE(ListAt<float>(*(*batch)->children[1], 1).empty());
  EXPECT_EQ(ListAt<float>(*(*batch)->children[1], 2).size(), 2U);
  EXPECT_EQ(TextAt(*(*batch)->children[3], 1), "");
  // A missing row of a fixed-size list occupies items, which are null too.
  const ArrowArray& items = *(*batch)->children[4]->children[0];
  EXPECT_EQ(items.length, 8);
  EXPECT_EQ(items.null_count, 6);
  EXPECT_FALSE(Valid(items, 3));
  EXPECT_TRUE(Valid(items, 4));
  EXPECT_EQ(At<std::uint8_t>(items, 4), 2);
}

TEST(ExportBatches, CombineSeveralAppendsOfOneStepIntoOneRow) {
  StreamStore store = NewStore();
  for (Step step = 0; step < 100; ++step) {
    store.Append(step, {{0, 1}});
    const std::string text(static_cast<std::size_t>(step), 'x');
    store.Append(step, {{2, true}, {3, std::string_view(text)}});
  }
  ArrowExportOptions options;
  options.batch_bytes = 100;  // so that batches end at many different rows
  auto stream = Export(store.reader(), options);
  std::int64_t row = 0;
  auto batches = All(stream);
  for (Arrays& batch : batches) {
    for (std::int64_t i = 0; i < batch->length; ++i, ++row) {
      EXPECT_TRUE(Valid(*batch->children[0], i));
      EXPECT_TRUE(Valid(*batch->children[3], i));
      EXPECT_EQ(TextAt(*batch->children[3], i).size(), static_cast<std::size_t>(row));
    }
  }
  EXPECT_EQ(row, 100);
  EXPECT_GT(batches.size(), 10U);
}

TEST(ExportBatches, EndNearTheirSize) {
  const StreamStore store = Filled(10'000);
  ArrowExportOptions options;
  options.batch_bytes = 10'000;
  auto stream = Export(store.reader(), options);
  std::int64_t rows = 0;
  for (Arrays& batch : All(stream)) {
    EXPECT_GE(batch->length, 1);
    EXPECT_LE(batch->length, 10'000 / 20);
    rows += batch->length;
  }
  EXPECT_EQ(rows, 10'000);
}

TEST(ExportBatches, EndBeforeAnOffsetOverflows) {
  const StreamStore store = Filled(1000);
  auto stream = ExportLimited(store.reader(), 20);
  std::int64_t rows = 0;
  for (Arrays& batch : All(stream)) {
    EXPECT_LE(At<std::int32_t>(*batch->children[1], batch->length), 20);
    EXPECT_LE(At<std::int32_t>(*batch->children[3], batch->length), 20);
    rows += batch->length;
  }
  EXPECT_EQ(rows, 1000);
}

TEST(ExportBatches, NameTheRowThatOverflowsAnOffsetByItself) {
  const StreamStore store = Filled(1000);
  auto stream = ExportLimited(store.reader(), 6);  // "row 99" fits, "row 100" does not
  try {
    All(stream);
    FAIL() << "expected an error";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find(std::to_string(EINVAL) + ": "), 0U);
    EXPECT_NE(text.find("'text': row 100"), std::string::npos) << text;
    EXPECT_NE(text.find("large_string"), std::string::npos) << text;
  }
}

TEST(ExportBatches, IgnoreTheLimitWhereOffsetsHave64Bits) {
  const StreamStore store = Filled(1000);
  ArrowExportOptions options;
  options.fields.resize(4);
  options.fields[1].type = {.format = "+L", .children = {{.format = "f"}}};
  options.fields[3].type = {.format = "U"};
  auto stream = ExportLimited(store.reader(), 6, options);
  auto batches = All(stream);
  ASSERT_EQ(batches.size(), 1U);
  EXPECT_EQ(At<std::int64_t>(*batches[0]->children[3], 1), 5);  // "row 0"
}

TEST(ExportBatches, HoldOnlyTheRequestedRows) {
  const StreamStore store = Filled(100);
  ArrowExportOptions options;
  options.begin = 90;
  options.end = 95;
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  EXPECT_EQ((*batch)->length, 5);
  EXPECT_EQ(TextAt(*(*batch)->children[3], 0), "row 90");
  EXPECT_FALSE(Next(stream));
  EXPECT_FALSE(Next(stream)) << "a stream at its end stays there";
  options.end = 101;
  EXPECT_THROW(Export(store.reader(), options), Error);
  options.end = 89;
  EXPECT_THROW(Export(store.reader(), options), Error);
}

TEST(ExportBatches, BeginAtTheFirstRowThatWasNotDropped) {
  StreamStore store = Filled(100);
  store.DropBefore(97);
  auto stream = Export(store.reader());
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  EXPECT_EQ((*batch)->length, 3);
  EXPECT_EQ(TextAt(*(*batch)->children[3], 0), "row 97");
  EXPECT_FALSE(Next(stream));
  ArrowExportOptions options;
  options.end = 40;
  stream = Export(store.reader(), options);
  EXPECT_FALSE(Next(stream)) << "no row before row 40 is left";
  options.begin = 30;
  try {
    Export(store.reader(), options);
    FAIL() << "exported dropped rows";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDropped) << error.what();
  }
}

TEST(ExportBatches, DoNotExistInAnEmptyStore) {
  const StreamStore store = NewStore();
  auto stream = Export(store.reader());
  EXPECT_FALSE(Next(stream));
}

TEST(ExportBatches, HoldStepsIfRequested) {
  StreamStore store = NewStore();
  for (const Step step : {-7, 0, 3, 1000}) {
    store.Append(step, {{0, 1}});
  }
  store.Append(1000, {{2, true}});
  ArrowExportOptions options;
  options.step_column = "when";
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  ASSERT_EQ((*batch)->n_children, 6);
  std::vector<Step> steps;
  for (int row = 0; row < 4; ++row) {
    steps.push_back(At<Step>(*(*batch)->children[0], row));
  }
  EXPECT_EQ(steps, (std::vector<Step>{-7, 0, 3, 1000}));
}

TEST(ExportBatches, OutliveStreamAndStore) {
  Owned<ArrowArrayStream> stream;
  {
    StreamStore store = Filled(50);
    stream = Export(store.reader());
    store.Close();
  }
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  stream.Release();
  EXPECT_EQ(TextAt(*(*batch)->children[3], 49), "row 49");
}

TEST(ExportBatches, LetTheirChildrenBeMovedOut) {
  const StreamStore store = Filled(50);
  auto stream = Export(store.reader());
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  Arrays text;
  *text = *(*batch)->children[3];
  (*batch)->children[3]->release = nullptr;
  Arrays items;
  *items = *(*batch)->children[4]->children[0];
  (*batch)->children[4]->children[0]->release = nullptr;
  batch->Release();
  stream.Release();
  EXPECT_EQ(TextAt(*text, 7), "row 7");
  text.Release();
  EXPECT_EQ(At<std::uint8_t>(*items, 8), 4);
}

TEST(ExportBatches, MayBeReleasedWhileTheNextAreMade) {
  const StreamStore store = Filled(20'000);
  ArrowExportOptions options;
  options.batch_bytes = 200'000;  // blocks large enough to be recycled
  auto stream = Export(store.reader(), options);
  std::vector<std::thread> releasers;
  std::int64_t rows = 0;
  while (auto batch = Next(stream)) {
    for (std::int64_t i = 0; i < (*batch)->length; i += 97) {
      ASSERT_EQ(TextAt(*(*batch)->children[3], i), "row " + std::to_string(rows + i));
    }
    rows += (*batch)->length;
    releasers.emplace_back([moved = std::move(*batch)]() mutable { moved.Release(); });
  }
  for (std::thread& releaser : releasers) {
    releaser.join();
  }
  EXPECT_EQ(rows, 20'000);
}

TEST(ExportBatches, HoldTheSnapshotOfTheExport) {
  StreamStore store = Filled(10);
  auto stream = Export(store.reader());
  AppendWhole(store, 10);
  store.Clear();
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  EXPECT_EQ((*batch)->length, 10);
}

}  // namespace
}  // namespace stream_store::testing
