// Exports of some columns: they are as in an export of all, whatever the other fields hold.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/nested.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/export.h"
#include "arrow/stores.h"

namespace stream_store::testing {
namespace {

const std::vector<Field> kFields = {
    {.name = "number", .dtype = DType::kInt32},
    {.name = "cell", .dtype = DType::kNested, .nested = "list<string>"},
    {.name = "text", .dtype = DType::kString},
    {.name = "pair.x", .dtype = DType::kInt8, .path = {"pair", "x"}},
    {.name = "pair.y", .dtype = DType::kString, .path = {"pair", "y"}},
    {.name = "pair", .dtype = DType::kNull, .path = {"pair"}, .hidden = true}};

// Every third row lacks some of the fields, and every fourth row is appended in two records.
StreamStore Filled(Step rows) {
  StreamStore store = StoreOf(kFields);
  NestedEncoder encoder(ParseNestedType("list<string>"));
  for (Step step = 0; step < rows; ++step) {
    const std::string text = "row " + std::to_string(step);
    encoder.BeginList();
    encoder.Text(text);
    encoder.EndList();
    if (step % 3 == 0) {
      store.Append(step, {{0, static_cast<int>(step)}, {5, Source::kWords, nullptr, 0}});
    } else if (step % 4 == 0) {
      store.Append(step, {{0, static_cast<int>(step)}, {1, encoder.Finish()}});
      store.Append(step, {{2, std::string_view(text)}, {4, std::string_view("y")}});
      continue;
    } else {
      store.Append(step, {{0, static_cast<int>(step)},
                          {2, std::string_view(text)},
                          {3, static_cast<int>(step % 100)}});
    }
    encoder.Finish();
  }
  return store;
}

ArrowExportOptions OptionsOf(std::vector<std::string> columns, std::uint64_t batch_bytes) {
  ArrowExportOptions options;
  options.columns = std::move(columns);
  options.batch_bytes = batch_bytes;
  return options;
}

TEST(ExportColumns, HoldTheirValuesInTheOrderAsked) {
  const StreamStore store = Filled(500);
  for (const std::uint64_t bytes : {std::uint64_t{300}, std::uint64_t{1} << 20}) {
    auto stream = Export(store.reader(), OptionsOf({"text", "number"}, bytes));
    Row row = 0;
    for (Arrays& batch : All(stream)) {
      ASSERT_EQ(batch->n_children, 2);
      for (std::int64_t i = 0; i < batch->length; ++i, ++row) {
        EXPECT_EQ(At<std::int32_t>(*batch->children[1], i), row);
        ASSERT_EQ(Valid(*batch->children[0], i), row % 3 != 0) << row;
        if (row % 3 != 0) {
          EXPECT_EQ(TextAt(*batch->children[0], i), "row " + std::to_string(row));
        }
      }
    }
    EXPECT_EQ(row, 500);
  }
}

TEST(ExportColumns, MayBeAStructAlone) {
  const StreamStore store = Filled(120);
  auto stream = Export(store.reader(), OptionsOf({"pair"}, 1 << 20));
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& pair = *(*batch)->children[0];
  ASSERT_EQ(pair.n_children, 2);
  for (Row row = 0; row < 120; ++row) {
    EXPECT_TRUE(Valid(pair, row)) << row;
    EXPECT_EQ(Valid(*pair.children[0], row), row % 3 != 0 && row % 4 != 0) << row;
    EXPECT_EQ(Valid(*pair.children[1], row), row % 3 != 0 && row % 4 == 0) << row;
  }
}

TEST(ExportColumns, MayBeNestedOnly) {
  const StreamStore store = Filled(240);
  auto stream = Export(store.reader(), OptionsOf({"cell"}, 500));
  Row row = 0;
  std::size_t batches = 0;
  for (Arrays& batch : All(stream)) {
    ++batches;
    std::int64_t item = 0;
    for (std::int64_t i = 0; i < batch->length; ++i, ++row) {
      const bool present = row % 3 != 0 && row % 4 == 0;
      ASSERT_EQ(Valid(*batch->children[0], i), present) << row;
      if (present) {
        EXPECT_EQ(TextAt(*batch->children[0]->children[0], item++), "row " + std::to_string(row));
      }
    }
  }
  EXPECT_EQ(row, 240);
  EXPECT_GT(batches, 1U);
}

TEST(ExportColumns, MayBeTheStepsOnly) {
  const StreamStore store = Filled(10);
  ArrowExportOptions options = OptionsOf({}, 1 << 20);
  options.step_column = "when";
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  ASSERT_EQ((*batch)->n_children, 1);
  EXPECT_EQ((*batch)->length, 10);
  EXPECT_EQ(At<Step>(*(*batch)->children[0], 9), 9);
}

// A field of an excluded column cannot overflow the offsets, so it does not limit a batch either.
TEST(ExportColumns, LeaveNoLimitOfOtherFieldsBehind) {
  const StreamStore store = Filled(100);
  Owned<ArrowArrayStream> stream;
  arrow::ExportWithOffsetLimit(store.reader(), OptionsOf({"number"}, 1 << 20), 3, stream.get());
  const auto batches = All(stream);
  ASSERT_EQ(batches.size(), 1U);
}

TEST(ExportColumns, RefuseOtherNamesAndRepeats) {
  const StreamStore store = Filled(1);
  const auto refusal = [&](std::vector<std::string> columns) {
    try {
      Export(store.reader(), OptionsOf(std::move(columns), 100));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_NE(refusal({"number", "other"}).find("'other'"), std::string::npos);
  EXPECT_NE(refusal({"number", "text", "number"}).find("'number'"), std::string::npos);
  EXPECT_NE(refusal({"pair.x"}).find("'pair.x'"), std::string::npos);
}

}  // namespace
}  // namespace stream_store::testing
