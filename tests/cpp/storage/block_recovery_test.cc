// Recovery of packed fields of varying length and of nested fields: they are records like any
// other, whose checksums cover the number of items, the items and the padding.
#include <string>

#include "stream_store/nested.h"
#include "stream_store/verify.h"

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

class BlockRecoveryTest : public StoreTest {
 protected:
  BlockRecoveryTest() {
    options_.fields = {{.name = "text", .dtype = DType::kString, .packed = true},
                       {.name = "list", .dtype = DType::kNested, .nested = "list<int8>"}};
  }

  static std::string TextOf(Step step) {
    return std::string(static_cast<std::size_t>(step % 40), 'x');
  }

  // The block of a list of int8, as docs/format.md defines it.
  static std::string ListOf(Step step) {
    const std::string items(static_cast<std::size_t>(step % 11), static_cast<char>(step % 100));
    std::string block = {0, static_cast<char>(items.size()), 0};
    return block + items;
  }

  static void Fill(StreamStore& store, Step first, Step last) {
    for (Step step = first; step < last; ++step) {
      const std::string text = TextOf(step);
      const std::string list = ListOf(step);
      store.Append(step, {{0, text}, {1, list}});
    }
  }

  static void ExpectRows(const Reader& reader, Step rows) {
    ASSERT_EQ(reader.num_rows(), static_cast<std::uint64_t>(rows));
    for (Step step = 0; step < rows; ++step) {
      std::vector<std::string> found;
      for (const auto& [type, words] : reader.row(step)) {
        found.push_back(Text(PackedBytes(reader.schema()[type], words)));
      }
      ASSERT_EQ(found, (std::vector<std::string>{TextOf(step), ListOf(step)}));
    }
  }

  // Inverts one bit of the last word of the last row, which is the end of its list.
  void DamageTheLastWord() const {
    const std::uint64_t at = (Reader::Open(path_).size() - 1) * 8;
    std::byte byte{};
    const File file = Directory::Open(path_).OpenFile(FileOf("values").c_str(), true);
    file.ReadAt(std::span(&byte, 1), at);
    byte ^= std::byte{1};
    file.WriteAt(std::span(&byte, 1), at);
  }
};

TEST_F(BlockRecoveryTest, EveryRowOfAWriterThatDiedIsRecovered) {
  WriteAndDie([](StreamStore& store) {
    Fill(store, 0, 200);
    store.Sync();
    Fill(store, 200, 300);
  });
  ExpectRows(Reader::Open(path_), 300);
  EXPECT_TRUE(Verify(path_).ok());
  StreamStore again = Open();
  Fill(again, 300, 400);
  again.Close();
  ExpectRows(Reader::Open(path_), 400);
  EXPECT_EQ(Verify(path_).findings.size(), 0U);
}

TEST_F(BlockRecoveryTest, ATornCellEndsTheRecoveredRows) {
  WriteAndDie([](StreamStore& store) {
    Fill(store, 0, 200);
    store.Sync();
    Fill(store, 200, 300);
  });
  DamageTheLastWord();
  ExpectRows(Open().reader(), 299);
  ExpectRows(Reader::Open(path_), 299);
}

}  // namespace
}  // namespace stream_store::internal
