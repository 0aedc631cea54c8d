// Exports of packed fields of varying length, compared with plain vectors.
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "arrow/consumer.h"
#include "arrow/export.h"
#include "support/chunks.h"

namespace stream_store::testing {
namespace {

const std::vector<Field> kFields = {
    {.name = "text", .dtype = DType::kString, .packed = true},
    {.name = "floats", .dtype = DType::kFloat32, .shape = {kRagged}, .packed = true},
    {.name = "flags", .dtype = DType::kBool, .shape = {kRagged}, .packed = true},
    {.name = "pairs", .dtype = DType::kInt16, .shape = {kRagged, 2}, .packed = true},
    {.name = "blob", .dtype = DType::kBinary, .packed = true}};

StreamStore NewStore(std::vector<Field> fields = kFields) {
  Options options;
  options.fields = std::move(fields);
  options.grow_ahead = false;
  return StreamStore::Temporary(options);
}

struct PlainRow {
  std::optional<std::string> text;
  std::optional<std::vector<float>> floats;
  std::optional<std::vector<std::uint8_t>> flags;
  std::optional<std::vector<std::int16_t>> pairs;
};

PlainRow RandomRow(std::mt19937& random) {
  PlainRow row;
  const auto present = [&] { return random() % 5 != 0; };
  if (present()) {
    row.text = std::string(random() % 40, static_cast<char>('a' + random() % 26));
  }
  if (present()) {
    row.floats.emplace();
    for (auto left = random() % 9; left > 0; --left) {
      row.floats->push_back(static_cast<float>(random() % 100) / 4);
    }
  }
  if (present()) {
    row.flags.emplace();
    for (auto left = random() % 30; left > 0; --left) {
      row.flags->push_back(static_cast<std::uint8_t>(random() % 2));
    }
  }
  if (present()) {
    row.pairs.emplace();
    for (auto left = random() % 4 * 2; left > 0; --left) {
      row.pairs->push_back(static_cast<std::int16_t>(random() % 1000));
    }
  }
  return row;
}

void Append(StreamStore& store, Step step, const PlainRow& row) {
  std::vector<FieldWrite> writes;
  if (row.text) {
    writes.emplace_back(0, std::string_view(*row.text));
  }
  if (row.floats) {
    writes.emplace_back(1, std::span<const float>(*row.floats));
  }
  if (row.flags) {
    writes.emplace_back(2, std::span<const std::uint8_t>(*row.flags));
  }
  if (row.pairs) {
    writes.emplace_back(3, std::span<const std::int16_t>(*row.pairs));
  }
  store.Append(step, writes);
}

// The items of row `i` of list<list<int16>>, flattened.
std::vector<std::int16_t> PairsAt(const ArrowArray& array, std::int64_t i) {
  std::vector<std::int16_t> items;
  for (auto at = At<std::int32_t>(array, i); at < At<std::int32_t>(array, i + 1); ++at) {
    const std::vector<std::int16_t> pair = ListAt<std::int16_t>(*array.children[0], at);
    EXPECT_EQ(pair.size(), 2U);
    items.insert(items.end(), pair.begin(), pair.end());
  }
  return items;
}

std::vector<std::uint8_t> FlagsAt(const ArrowArray& array, std::int64_t i) {
  std::vector<std::uint8_t> flags;
  for (auto at = At<std::int32_t>(array, i); at < At<std::int32_t>(array, i + 1); ++at) {
    flags.push_back(BoolAt(*array.children[0], at) ? 1 : 0);
  }
  return flags;
}

void ExpectRow(const ArrowArray& batch, std::int64_t i, const PlainRow& row) {
  ASSERT_EQ(Valid(*batch.children[0], i), row.text.has_value());
  ASSERT_EQ(Valid(*batch.children[1], i), row.floats.has_value());
  ASSERT_EQ(Valid(*batch.children[2], i), row.flags.has_value());
  ASSERT_EQ(Valid(*batch.children[3], i), row.pairs.has_value());
  EXPECT_EQ(TextAt(*batch.children[0], i), row.text.value_or(""));
  EXPECT_EQ(ListAt<float>(*batch.children[1], i), row.floats.value_or(std::vector<float>()));
  EXPECT_EQ(FlagsAt(*batch.children[2], i), row.flags.value_or(std::vector<std::uint8_t>()));
  EXPECT_EQ(PairsAt(*batch.children[3], i), row.pairs.value_or(std::vector<std::int16_t>()));
}

// Overwrites one stored value.
void Overwrite(const StreamStore& store, Position position, Value value) {
  std::fstream values(interop::HandOver(store.reader()) / internal::FileOf("values"),
                      std::ios::in | std::ios::out | std::ios::binary);
  values.seekp(static_cast<std::streamoff>(position) * static_cast<std::streamoff>(sizeof(value)));
  ASSERT_TRUE(values.write(reinterpret_cast<const char*>(&value), sizeof(value)).flush());
}

TEST(ExportPacked, HoldsEveryValueInBatchesOfAnySize) {
  std::mt19937 random(1);
  StreamStore store = NewStore();
  std::vector<PlainRow> rows;
  for (Step step = 0; step < 500; ++step) {
    rows.push_back(RandomRow(random));
    Append(store, step, rows.back());
  }
  for (const std::uint64_t bytes : {1U, 200U, 3000U, 1U << 20}) {
    ArrowExportOptions options;
    options.batch_bytes = bytes;
    auto stream = Export(store.reader(), options);
    std::size_t row = 0;
    for (Arrays& batch : All(stream)) {
      for (std::int64_t i = 0; i < batch->length; ++i) {
        ExpectRow(*batch, i, rows.at(row++));
      }
    }
    EXPECT_EQ(row, rows.size());
  }
}

TEST(ExportPacked, HasTheTypesOfFieldsThatAreNotPacked) {
  ArrowExportOptions options;
  options.fields.resize(2);
  options.fields[0].type = {.format = "vu"};
  options.fields[1].type = {.format = "+L", .children = {{.format = "f", .name = "x"}}};
  StreamStore store = NewStore();
  std::mt19937 random(2);
  PlainRow row = RandomRow(random);
  row.text = "a text of more than twelve bytes";
  row.floats = {1, 2, 3};
  Append(store, 0, row);
  row.text = "short";
  Append(store, 1, row);
  auto stream = Export(store.reader(), options);
  auto batch = Next(stream);
  ASSERT_TRUE(batch);
  const ArrowArray& views = *(*batch)->children[0];
  ASSERT_EQ(views.n_buffers, 4);
  EXPECT_EQ(At<std::int32_t>(views, 0), 32);
  EXPECT_EQ(At<std::int32_t>(views, 4), 5);
  EXPECT_EQ(std::string(static_cast<const char*>(views.buffers[2]), 37),
            "a text of more than twelve bytesshort");
  EXPECT_EQ(At<std::int64_t>(*(*batch)->children[1], 2), 6);
}

TEST(ExportPacked, EndsBatchesBeforeAnOffsetOverflows) {
  StreamStore store = NewStore();
  for (Step step = 0; step < 100; ++step) {
    const std::string text(13, 'x');
    store.Append(step, {{0, std::string_view(text)}});
  }
  Owned<ArrowArrayStream> stream;
  arrow::ExportWithOffsetLimit(store.reader(), {}, 13, stream.get());  // exactly one text
  EXPECT_EQ(All(stream).size(), 100U);
  stream.Release();
  arrow::ExportWithOffsetLimit(store.reader(), {}, 100, stream.get());
  for (Arrays& batch : All(stream)) {
    EXPECT_LE(At<std::int32_t>(*batch->children[0], batch->length), 100);
  }
  stream.Release();
  arrow::ExportWithOffsetLimit(store.reader(), {}, 12, stream.get());
  try {
    All(stream);
    FAIL() << "expected an error";
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("'text': row 0 has 13 items"), std::string::npos) << text;
    EXPECT_NE(text.find("large_string"), std::string::npos) << text;
  }
}

// The count of a damaged row must not be believed, whether it is too large or too small.
TEST(ExportPacked, NamesTheRowWhoseCountContradictsItsLength) {
  for (const Value count : {Value{9}, Value{0}, Value{-1}, INT64_MAX}) {
    StreamStore store = NewStore();
    store.Append(0, {{0, std::string_view("good")}});
    store.Append(1, {{0, std::string_view("damaged")}});
    Overwrite(store, 2, count);
    auto stream = Export(store.reader());
    try {
      Next(stream);
      FAIL() << "expected an error";
    } catch (const std::runtime_error& error) {
      const std::string text = error.what();
      EXPECT_EQ(text.find(std::to_string(EIO) + ": "), 0U) << text;
      EXPECT_NE(text.find("'text': row 1: "), std::string::npos) << text;
    }
  }
}

}  // namespace
}  // namespace stream_store::testing
