// Tests of positions beyond 2^32: a store with 5,000,000,000 values, nearly all of them holes.

#include <algorithm>

#include "format/layout.h"
#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

class HugeTest : public StoreTest {
 protected:
  static constexpr std::uint64_t kValues = 5'000'000'000;

  template <class T>
  void Put(const char* name, std::uint64_t at, const T& content) const {
    Directory::Open(path_)
        .OpenFile(FileOf(name).c_str(), true)
        .WriteAt(std::as_bytes(std::span(&content, 1)), at);
  }

  // Gives the chunk files of a kind this many bytes in all, without content.
  void Resize(const char* kind, std::uint64_t bytes) const {
    for (std::uint64_t chunk = 0; bytes > 0; ++chunk) {
      const std::uint64_t size = std::min(bytes, kDefaultChunkBytes);
      std::ofstream(path_ / FileOf(kind, chunk), std::ios::app).close();
      std::filesystem::resize_file(path_ / FileOf(kind, chunk), size);
      bytes -= size;
    }
  }

  // One row with a list of five billion zeros, as a clean close leaves it.
  HugeTest() : StoreTest(/*on_disk=*/true) {
    Open().Close();
    const Record record{
        .start = 0, .step = 0, .row_session = PackRowSession(0, 1), .layout = 1, .checksum = 0};
    const Record sentinel{
        .start = kValues, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
    Put("records", 0, record);
    Put("records", sizeof(Record), sentinel);
    Put("layouts", 8, LayoutHead(1, kValues));
    Put("layouts", 16, LayoutWord(1, kValues));
    Resize("values", kValues * sizeof(Value));
    Resize("position_hints", (kValues + 255) / 256 * sizeof(std::uint64_t));
    Slot slot = *Slots()[0];
    slot.records = 1;
    slot.values = kValues;
    slot.layout_words = 3;
    slot.rows = 1;
    slot.field_writes = 1;
    slot.session = 1;
    slot.clean = true;
    for (slot.sequence = 10; slot.sequence < 12; ++slot.sequence) {
      Put("control", kSlotOffset[slot.sequence & 1], EncodeSlot(slot));
    }
    LiveWords live{};
    live.published = 1;
    live.session = 1;
    SetLive(live);
  }
};

TEST_F(HugeTest, AppendsAndReadsBeyondFourGibiValues) {
  StreamStore store = Open();
  List items(600);
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = static_cast<std::int64_t>(i) + 1;
  store.Append(1, {{0, 7}, {1, items}});
  store.Append(2, {{0, 8}});
  store.Sync();
  for (const Reader& reader : {store.reader(), Reader::Open(path_)}) {
    EXPECT_EQ(reader.size(), kValues + 602);
    const Position starts[] = {kValues - 2, kValues + 400};
    std::array<Value, 6> values{};
    std::array<Row, 6> rows{};
    reader.ReadWindows(starts, 3, WindowsOut{.values = values.data(), .row = rows.data()});
    EXPECT_EQ(values, (std::array<Value, 6>{0, 0, 7, 400, 401, 402}));
    EXPECT_EQ(rows, (std::array<Row, 6>{0, 0, 1, 1, 1, 1}));
    Position place = 0;
    const Row last = 2;
    reader.PositionOf({&last, 1}, {&place, 1});
    EXPECT_EQ(place, static_cast<Position>(kValues + 601));
  }
}

// So many rows after the holes that recovery, which verifies the last 64 KiB, need not read the
// holes.
TEST_F(HugeTest, RecoversBeyondFourGibiValues) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 1; step < 3000; ++step) store.Append(step, {{1, List(4, step)}});
    store.Sync();
    store.Append(3000, {{0, 7}, {1, List{8, 9}}});
  });
  StreamStore store = Open();
  EXPECT_EQ(store.recovery().state, Recovery::State::kProcessCrash);
  EXPECT_EQ(store.reader().size(), kValues + 2999 * 4 + 3);
  store.Append(3000, {{2, true}});
  EXPECT_EQ(store.reader().row(3000).size(), 3U);
}

}  // namespace
}  // namespace stream_store::internal
