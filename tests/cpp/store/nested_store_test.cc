// Nested fields in a store: cells are appended as blocks, read back as the same blocks, and refused
// with a reason if they are no block of their type.
#include <numeric>
#include <optional>

#include <gtest/gtest.h>

#include "stream_store/nested.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

enum Type : TypeId { kNumber, kList, kChat };

std::vector<Field> Fields() {
  return {{.name = "number", .dtype = DType::kInt32},
          {.name = "list", .dtype = DType::kNested, .nested = "list<int8>"},
          {.name = "chat",
           .dtype = DType::kNested,
           .nested = "list<struct<role: string, content: string>>"}};
}

// The block of a list of at most 255 int8, as docs/format.md defines it: header and length of the
// list, header and items of its child.
std::string ListBlock(const std::string& items) {
  std::string block = {0, static_cast<char>(items.size()), 0};
  return block + items;
}

using Chat = std::vector<std::pair<std::string, std::string>>;

std::string ChatBlock(NestedEncoder& encoder, const Chat& chat) {
  encoder.BeginList();
  for (const auto& [role, content] : chat) {
    encoder.BeginStruct();
    encoder.Text(role);
    encoder.Text(content);
    encoder.EndStruct();
  }
  encoder.EndList();
  return std::string(encoder.Finish());
}

Chat ReadChat(NestedDecoder& decoder, std::span<const std::byte> block) {
  Chat chat;
  decoder.Open(block);
  for (std::uint64_t left = decoder.BeginList(); left > 0; --left) {
    decoder.BeginStruct();
    const std::string role(decoder.Text());
    chat.emplace_back(role, decoder.Text());
  }
  return chat;
}

class NestedStoreTest : public ::testing::Test {
 protected:
  struct Row1 {
    std::optional<std::string> list;
    std::optional<Chat> chat;
  };

  NestedStoreTest() {
    for (std::size_t i = 0; i < 100; ++i) {
      Row1 row;
      if (i % 4 != 1) row.list = std::string(i % 7 == 0 ? 0 : (i * 5) % 60, static_cast<char>(i));
      if (i % 3 != 1) {
        row.chat = Chat();
        for (std::size_t k = 0; k < i % 5; ++k) {
          row.chat->emplace_back(k % 2 == 0 ? "user" : "assistant", std::string(k * i, 'x'));
        }
      }
      rows_.push_back(row);
    }
  }

  std::string BlockOf(const Row1& row, TypeId type) {
    if (type == kList) return row.list ? ListBlock(*row.list) : "";
    return row.chat ? ChatBlock(encoder_, *row.chat) : "";
  }

  void Append(StreamStore& store) {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const std::string list = BlockOf(rows_[i], kList);
      const std::string chat = BlockOf(rows_[i], kChat);
      std::vector<FieldWrite> writes = {{kNumber, 7}};
      if (rows_[i].list) writes.emplace_back(kList, list);
      if (rows_[i].chat) writes.emplace_back(kChat, chat);
      store.Append(static_cast<Step>(i), writes);
    }
  }

  // Calls extend(steps, columns) for all rows.
  template <class Extend>
  void ExtendRows(const Extend& extend) {
    std::vector<Step> steps(rows_.size());
    std::iota(steps.begin(), steps.end(), 0);
    const std::vector<std::int32_t> numbers(rows_.size(), 7);
    std::vector<Column> columns = {
        {.type = kNumber, .source = Source::kInt32, .data = numbers.data()}};
    std::array<std::string, 2> blocks;
    std::array<std::vector<std::int64_t>, 2> offsets;
    std::array<std::vector<std::uint8_t>, 2> present;
    for (const TypeId type : {kList, kChat}) {
      const std::size_t c = type - 1U;
      offsets[c].push_back(0);
      for (const Row1& row : rows_) {
        const bool there = type == kList ? row.list.has_value() : row.chat.has_value();
        blocks[c] += BlockOf(row, type);
        offsets[c].push_back(static_cast<std::int64_t>(blocks[c].size()));
        present[c].push_back(there ? 1 : 0);
      }
      columns.push_back({.type = type,
                         .source = Source::kBytes,
                         .data = blocks[c].data(),
                         .offsets = offsets[c].data(),
                         .present = present[c].data()});
    }
    extend(steps, columns);
  }

  void ExpectRows(const Reader& reader) {
    ASSERT_EQ(reader.num_rows(), rows_.size());
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      SCOPED_TRACE(i);
      std::optional<std::string> list;
      std::optional<Chat> chat;
      for (const auto& [type, words] : reader.row(static_cast<Row>(i))) {
        if (type == kNumber) continue;
        const std::span<const std::byte> block = PackedBytes(reader.schema()[type], words);
        if (type == kList) list = Text(block);
        if (type == kChat) chat = ReadChat(decoder_, block);
      }
      ASSERT_EQ(list.has_value(), rows_[i].list.has_value());
      ASSERT_EQ(list.value_or(""), BlockOf(rows_[i], kList));
      ASSERT_EQ(chat, rows_[i].chat);
    }
    ExpectColumns(reader);
  }

  // ReadRows() returns the blocks, their lengths in bytes, and the stored words.
  void ExpectColumns(const Reader& reader) {
    const std::vector<Row> all = {0};
    for (const TypeId type : {kList, kChat}) {
      const std::uint64_t longest = reader.LongestInRows(all, rows_.size(), type);
      std::string out(longest * rows_.size(), '?');
      std::vector<std::int64_t> lengths(rows_.size());
      std::vector<std::uint8_t> present(rows_.size());
      std::vector<std::span<const Value>> spans(rows_.size());
      const RowsColumn column{type,           out.data(), present.data(),
                              lengths.data(), longest,    spans.data()};
      const auto owner = reader.ReadRows(all, rows_.size(), {&column, 1});
      std::size_t most = 0;
      for (std::size_t i = 0; i < rows_.size(); ++i) {
        std::string expected = BlockOf(rows_[i], type);
        most = std::max(most, expected.size());
        EXPECT_EQ(lengths[i], static_cast<std::int64_t>(expected.size()));
        EXPECT_EQ(present[i], expected.empty() ? 0 : 1);
        EXPECT_EQ(spans[i].empty(), expected.empty());
        expected.resize(longest, '\0');
        EXPECT_EQ(out.substr(i * longest, longest), expected);
      }
      EXPECT_EQ(longest, most);
    }
  }

  std::string Refusal(const FieldWrite& write) {
    const Error error = ErrorOf([&] { store_.Append(0, {write}); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(store_.reader().num_rows(), 0U) << "nothing is appended";
    return error.what();
  }

  std::vector<Row1> rows_;
  NestedEncoder encoder_{ParseNestedType(Fields()[kChat].nested)};
  NestedDecoder decoder_{ParseNestedType(Fields()[kChat].nested)};
  StreamStore store_ = StreamStore::Temporary({.fields = Fields()});
};

TEST_F(NestedStoreTest, AppendedCellsComeBack) {
  Append(store_);
  ExpectRows(store_.reader());
}

TEST_F(NestedStoreTest, ExtendedCellsComeBack) {
  ExtendRows([&](const auto& steps, const auto& columns) { store_.Extend(steps, columns); });
  ExpectRows(store_.reader());
}

TEST_F(NestedStoreTest, StagedCellsComeBack) {
  StagedRows staged = store_.Stage();
  ExtendRows([&](const auto& steps, const auto& columns) { staged.Extend(steps, columns); });
  staged.Commit();
  ExpectRows(store_.reader());
}

TEST_F(NestedStoreTest, CellsSurviveClosingCheckpointsAndSafeReads) {
  const ScratchDirectory scratch;
  StreamStore store = StreamStore::Open(scratch / "a", {.fields = Fields()});
  Append(store);
  store.reader().Checkpoint(scratch / "b");
  store.Close();
  for (const char* name : {"a", "b"}) {
    ExpectRows(Reader::Open(scratch / name));
    ExpectRows(Reader::Open(scratch / name, {.safe_reads = true}));
  }
}

// --- refusals ---

TEST_F(NestedStoreTest, NamesWhyABlockIsRefused) {
  std::string block = ListBlock("abc");
  block[1] = 4;  // one more element than there is
  const std::string text = Refusal({kList, block});
  EXPECT_CONTAINS(text, "field 'list' (type id 1), nested list<");
  EXPECT_CONTAINS(text, "expected a nested block of this type but found 6 bytes: ");
  EXPECT_CONTAINS(Refusal({kList, std::string_view()}), "but found 0 bytes: ");
}

TEST_F(NestedStoreTest, ANumberIsNoBlock) {
  EXPECT_CONTAINS(Refusal({kList, 1.5}), "expected the bytes of a nested block but found numbers");
}

TEST_F(NestedStoreTest, NamesTheRowOfACall) {
  const std::string good = ListBlock("abc");
  const std::string blocks = good + good + good.substr(0, 5);
  const std::vector<std::int64_t> offsets = {0, 6, 12, 17};
  const std::vector<Step> steps = {0, 1, 2};
  const Column column{
      .type = kList, .source = Source::kBytes, .data = blocks.data(), .offsets = offsets.data()};
  EXPECT_CONTAINS(ErrorOf([&] { store_.Extend(steps, {&column, 1}); }).what(),
                  "row 2 of the call: field 'list' (type id 1), nested ");
  const Column empty{.type = kList, .source = Source::kBytes, .data = nullptr, .row_items = 0};
  EXPECT_CONTAINS(ErrorOf([&] { store_.Extend(steps, {&empty, 1}); }).what(),
                  "row 0 of the call: field 'list' (type id 1), nested ");
  EXPECT_EQ(store_.reader().num_rows(), 0U);
}

TEST_F(NestedStoreTest, StoredWordsNeedTheirCount) {
  const std::vector<Value> words = {17, 0, 0};
  EXPECT_CONTAINS(Refusal({kList, Source::kWords, words.data(), words.size()}),
                  "expected the first word to be the number of items, from 9 to 16 in 3 words, "
                  "but found 17");
  EXPECT_CONTAINS(Refusal({kList, Source::kWords, words.data(), 0}),
                  "expected words that begin with the number of items but found 0 words");
}

TEST_F(NestedStoreTest, TypedReadsAndDecodeAreRefused) {
  Append(store_);
  const Reader reader = store_.reader();
  const std::vector<Row> rows = {0};
  std::vector<std::uint8_t> out(1);
  EXPECT_CONTAINS(
      ErrorOf([&] { reader.ReadRows(rows, 1, kList, std::span<std::uint8_t>(out)); }).what(),
      "expected a field of fixed length but found nested list<int8>; read it with a "
      "RowsColumn, or with row() and PackedBytes()");
  const std::vector<Value> words = {1};
  EXPECT_CONTAINS(ErrorOf([&] { reader.Decode(words, kList, out.data()); }).what(),
                  "field 'list' is nested; read it with read_rows");
  EXPECT_EQ(ErrorOf([&] { reader.Segments(std::vector<TypeId>{kList}); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stream_store::internal
