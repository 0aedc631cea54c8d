// Packed fields of varying length: each way to append them stores the words of the model, and each
// way to read rows returns its bytes.
#include <memory>
#include <numeric>
#include <optional>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "stream_store/nested.h"

#include "store/packed_model.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

std::vector<Field> FieldsOf(const std::vector<PackedField>& packed) {
  std::vector<Field> fields;
  for (const PackedField& field : packed) {
    fields.push_back(field.field);
  }
  return fields;
}

class PackedRowsTest : public ::testing::Test {
 protected:
  // Appends each row on its own. Every third row is written by two calls.
  void Append(StreamStore& store, PackedFrom from) const {
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      std::vector<PackedItems> items(fields_.size());
      std::vector<FieldWrite> writes;
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        if (rows_[row][f].present) {
          AddItems(fields_[f], rows_[row][f], from, items[f]);
          writes.emplace_back(static_cast<TypeId>(f), items[f].source, items[f].bytes.data(),
                              items[f].count);
        }
      }
      const std::size_t first = row % 3 == 0 ? writes.size() / 2 : writes.size();
      const auto step = static_cast<Step>(row);
      store.Append(step, std::span(writes).first(first));
      if (first < writes.size()) {
        store.Append(step, std::span(writes).subspan(first));
      }
    }
  }

  // Calls extend(steps, columns) for rows [begin, end), one column per field.
  template <class Extend>
  void ExtendRows(std::size_t begin, std::size_t end, PackedFrom from, const Extend& extend) const {
    std::vector<Step> steps(end - begin);
    std::iota(steps.begin(), steps.end(), static_cast<Step>(begin));
    std::vector<PackedItems> items(fields_.size());
    std::vector<std::vector<std::int64_t>> offsets(fields_.size());
    std::vector<std::vector<std::uint8_t>> present(fields_.size());
    std::vector<Column> columns;
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      offsets[f].push_back(0);
      for (std::size_t row = begin; row < end; ++row) {
        const PackedCell& cell = rows_[row][f];
        if (cell.present) {
          AddItems(fields_[f], cell, from, items[f]);
        }
        present[f].push_back(cell.present ? 1 : 0);
        offsets[f].push_back(static_cast<std::int64_t>(items[f].count));
      }
      columns.push_back({.type = static_cast<TypeId>(f),
                         .source = items[f].source,
                         .data = items[f].bytes.data(),
                         .offsets = offsets[f].data(),
                         .present = present[f].data()});
    }
    extend(steps, columns);
  }

  // The rows hold the words of the model, and PackedBytes() returns its bytes.
  void ExpectWords(const Reader& reader) const {
    ASSERT_EQ(reader.num_rows(), rows_.size());
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      const RowView view = reader.row(static_cast<Row>(row));
      std::vector<const RowView::Entry*> entries(fields_.size(), nullptr);
      for (const RowView::Entry& entry : view) {
        entries[entry.type] = &entry;
      }
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        SCOPED_TRACE(fields_[f].field.name + ", row " + std::to_string(row));
        const PackedCell& cell = rows_[row][f];
        ASSERT_EQ(entries[f] != nullptr, cell.present);
        if (cell.present) {
          const std::span<const Value> words = entries[f]->values;
          ASSERT_EQ(std::vector<Value>(words.begin(), words.end()), cell.words(fields_[f]));
          const std::span<const std::byte> bytes =
              PackedBytes(reader.schema()[entries[f]->type], words);
          ASSERT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), cell.bytes);
        }
      }
    }
  }

  // Reads windows of rows of one field and compares everything that a column can ask for.
  void ExpectColumn(const Reader& reader, std::size_t f, const std::vector<Row>& rows,
                    std::uint64_t length, std::uint64_t most) const {
    const PackedField& field = fields_[f];
    const std::size_t places = rows.size() * length;
    const std::size_t place_bytes = most * field.unit * field.item_bytes;
    // Exactly as large as documented, so that a sanitizer sees a byte beyond.
    const std::unique_ptr<std::byte[]> out(new std::byte[places * place_bytes]);
    std::fill_n(out.get(), places * place_bytes, std::byte{0xee});
    std::vector<std::uint8_t> present(places, 9);
    std::vector<std::int64_t> lengths(places, -9);
    std::vector<std::span<const Value>> spans(places);
    const RowsColumn column{static_cast<TypeId>(f), out.get(), present.data(),
                            lengths.data(),         most,      spans.data()};
    const auto owner = reader.ReadRows(rows, length, {&column, 1});
    for (std::size_t place = 0; place < places; ++place) {
      const auto row = static_cast<std::size_t>(rows[place / length]) + place % length;
      SCOPED_TRACE(field.field.name + ", row " + std::to_string(row));
      const PackedCell& cell = rows_[row][f];
      ASSERT_EQ(present[place], cell.present ? 1 : 0);
      ASSERT_EQ(lengths[place], static_cast<std::int64_t>(cell.items(field) / field.unit));
      const std::vector<Value> words(spans[place].begin(), spans[place].end());
      ASSERT_EQ(words, cell.present ? cell.words(field) : std::vector<Value>());
      std::vector<std::byte> expected = cell.bytes;
      expected.resize(place_bytes);  // cut, or filled up with zeros
      const std::byte* found = out.get() + place * place_bytes;
      ASSERT_EQ(std::vector<std::byte>(found, found + place_bytes), expected);
    }
  }

  std::uint64_t Longest(std::size_t f, const std::vector<Row>& rows, std::uint64_t length) const {
    std::uint64_t longest = 0;
    for (const Row first : rows) {
      for (std::uint64_t i = 0; i < length; ++i) {
        const PackedCell& cell = rows_[static_cast<std::size_t>(first) + i][f];
        longest = std::max(longest, cell.items(fields_[f]) / fields_[f].unit);
      }
    }
    return longest;
  }

  void ExpectRows(const Reader& reader) const {
    const auto last = static_cast<Row>(rows_.size());
    for (const std::uint64_t length : {1U, 3U, 50U}) {
      const std::vector<Row> rows = {0, 17, last - static_cast<Row>(length), 5, 5};
      std::vector<RowRun> runs;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        runs.push_back({rows[i], length, i * length});
      }
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        const auto type = static_cast<TypeId>(f);
        const std::uint64_t longest = Longest(f, rows, length);
        EXPECT_EQ(reader.LongestInRows(rows, length, type), longest);
        EXPECT_EQ(reader.LongestInRows(runs, type), longest);
        for (const std::uint64_t most :
             {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{5}, longest, longest + 3}) {
          ASSERT_NO_FATAL_FAILURE(ExpectColumn(reader, f, rows, length, most));
        }
      }
    }
  }

  void ExpectAll(const Reader& reader) const {
    ASSERT_NO_FATAL_FAILURE(ExpectWords(reader));
    ASSERT_NO_FATAL_FAILURE(ExpectRows(reader));
  }

  StreamStore Temporary() const { return StreamStore::Temporary({.fields = FieldsOf(fields_)}); }

  std::vector<PackedField> fields_ = PackedFields();
  std::vector<PackedRow> rows_ = PackedMaker(1).Rows(fields_, 150);
};

TEST_F(PackedRowsTest, AppendsStoreTheWordsOfTheModel) {
  for (const PackedFrom from :
       {PackedFrom::kOwnItems, PackedFrom::kWideItems, PackedFrom::kWords}) {
    StreamStore store = Temporary();
    Append(store, from);
    ASSERT_NO_FATAL_FAILURE(ExpectAll(store.reader()));
  }
}

TEST_F(PackedRowsTest, ExtendStoresTheWordsOfTheModel) {
  for (const PackedFrom from :
       {PackedFrom::kOwnItems, PackedFrom::kWideItems, PackedFrom::kWords}) {
    StreamStore store = Temporary();
    const auto extend = [&](const auto& steps, const auto& columns) {
      store.Extend(steps, columns);
    };
    ExtendRows(0, 100, from, extend);
    ExtendRows(100, rows_.size(), from, extend);
    ASSERT_NO_FATAL_FAILURE(ExpectAll(store.reader()));
  }
}

TEST_F(PackedRowsTest, StagedRowsStoreTheWordsOfTheModel) {
  StreamStore store = Temporary();
  StagedRows staged = store.Stage();
  ExtendRows(0, rows_.size(), PackedFrom::kOwnItems,
             [&](const auto& steps, const auto& columns) { staged.Extend(steps, columns); });
  EXPECT_EQ(store.reader().num_rows(), 0U);
  staged.Commit();
  ExpectAll(store.reader());
}

// Rows of one shape are encoded in blocks of many rows; also those without items.
TEST_F(PackedRowsTest, ExtendWithRowsOfEqualLengthStoresTheWordsOfTheModel) {
  for (const std::uint64_t length : {0U, 1U, 7U, 300U}) {
    PackedMaker random(length);
    for (PackedRow& row : rows_) {
      for (std::size_t f = 0; f < fields_.size(); ++f) {
        row[f] = random.Cell(fields_[f], length);
      }
    }
    for (const PackedFrom from :
         {PackedFrom::kOwnItems, PackedFrom::kWideItems, PackedFrom::kWords}) {
      StreamStore store = Temporary();
      ExtendRows(0, rows_.size(), from, [&](const auto& steps, std::vector<Column> columns) {
        for (Column& column : columns) {
          column.row_items = static_cast<std::uint64_t>(column.offsets[1]);
          column.offsets = nullptr;
          column.present = nullptr;
        }
        store.Extend(steps, columns);
      });
      ASSERT_NO_FATAL_FAILURE(ExpectAll(store.reader()));
    }
  }
}

TEST_F(PackedRowsTest, SafeReadsLoadNothingFromMappings) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", {.fields = FieldsOf(fields_)});
  Append(store, PackedFrom::kOwnItems);
  store.Close();
  const auto open = [&] {
    const SyscallFaults back;
    // A load from the mapping of a file would end the test.
    sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t from) {
      return RealSyscalls().mmap(at, size, fd < 0 ? protection : PROT_NONE, flags, fd, from);
    };
    return Reader::Open(scratch / "a", {.safe_reads = true});
  };
  ExpectAll(open());
  ExpectAll(Reader::Open(scratch / "a"));
}

TEST_F(PackedRowsTest, CheckpointsAndLaterSessionsKeepTheWords) {
  const ScratchDirectory scratch;
  {
    StreamStore store = StreamStore::Open(scratch / "a", {.fields = FieldsOf(fields_)});
    Append(store, PackedFrom::kOwnItems);
    EXPECT_EQ(store.reader().Checkpoint(scratch / "b"), rows_.size());
  }
  ExpectAll(Reader::Open(scratch / "a"));
  ExpectAll(Reader::Open(scratch / "b"));
  const StreamStore again = StreamStore::Open(scratch / "b", {.fields = FieldsOf(fields_)});
  EXPECT_EQ(again.recovery().state, Recovery::State::kClean);
  ExpectWords(again.reader());
}

// The flat buffer holds the words; a window shows them and their numbers as integers.
TEST_F(PackedRowsTest, WindowsAndGatherReturnTheStoredWords) {
  StreamStore store = Temporary();
  Append(store, PackedFrom::kOwnItems);
  std::vector<Value> expected;
  std::vector<std::int64_t> types;
  for (const PackedRow& row : rows_) {
    for (std::size_t f = 0; f < fields_.size(); ++f) {
      if (row[f].present) {
        const std::vector<Value> words = row[f].words(fields_[f]);
        expected.insert(expected.end(), words.begin(), words.end());
        types.insert(types.end(), words.size(), static_cast<std::int64_t>(f));
      }
    }
  }
  const Reader reader = store.reader();
  ASSERT_EQ(reader.size(), expected.size());
  std::vector<Value> values(expected.size());
  std::vector<std::int64_t> found_types(expected.size());
  std::vector<float> numbers(expected.size());
  WindowsOut out{.values = values.data(), .types = found_types.data(), .number = numbers.data()};
  reader.ReadWindows(std::vector<Position>{0}, expected.size(), out);
  EXPECT_EQ(values, expected);
  EXPECT_EQ(found_types, types);
  std::vector<float> as_numbers(expected.begin(), expected.end());
  EXPECT_EQ(numbers, as_numbers);
  std::vector<Position> all(expected.size());
  std::iota(all.begin(), all.end(), 0);
  std::ranges::reverse(all);
  reader.Gather(all, out);
  std::ranges::reverse(expected);
  std::ranges::reverse(as_numbers);
  EXPECT_EQ(values, expected);
  EXPECT_EQ(numbers, as_numbers);
}

}  // namespace
}  // namespace stream_store::internal
