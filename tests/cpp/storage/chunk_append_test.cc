// Tests of appends over chunk borders: single rows, calls of many rows, staged rows, truncation.

#include "storage/chunks_fixture.h"

namespace stream_store::internal {
namespace {

class ChunkAppendTest : public ChunksTest {};

TEST_F(ChunkAppendTest, SingleRowsCrossBordersOfAllKinds) {
  StreamStore store = Open();
  Fill(store, 2000);
  EXPECT_EQ(Show(store.reader()), Filled(2000));
  EXPECT_GT(Chunks("values").size(), 20U);
  EXPECT_GT(Chunks("records").size(), 20U);
  EXPECT_GT(Chunks("layouts").size(), 1U);
  store.Close();
  ExpectStored(Filled(2000));
  EXPECT_EQ(Reader::Open(path_).recovery().state, Recovery::State::kClean);
}

// Each file that is not the last of its kind is full, and the last one ends with the content.
TEST_F(ChunkAppendTest, CloseLeavesFullChunksAndAShortOne) {
  StreamStore store = Open();
  Fill(store, 700);
  const std::uint64_t values = store.reader().size();
  const std::uint64_t records = store.reader().records();
  store.Close();
  const std::uint64_t value_bytes = values * sizeof(Value);
  const std::uint64_t last = (value_bytes - 1) / kSmallChunk;
  EXPECT_EQ(Chunks("values"), UpTo(last + 1));
  for (std::uint64_t chunk = 0; chunk < last; ++chunk) {
    EXPECT_EQ(ChunkSize("values", chunk), kSmallChunk);
  }
  EXPECT_EQ(ChunkSize("values", last), value_bytes - last * kSmallChunk);
  const std::uint64_t record_bytes = (records + 1) * sizeof(Record);
  EXPECT_EQ(Chunks("records"), UpTo((record_bytes - 1) / kSmallChunk + 1));
}

// The store ends at every place around a border, is closed there, and goes on.
TEST_F(ChunkAppendTest, AStoreMayEndAnywhereNearABorder) {
  for (const Step end : {126, 127, 128, 129, 254, 255, 256, 257, 511, 512, 513}) {
    SCOPED_TRACE(end);
    std::filesystem::remove_all(path_);
    {
      StreamStore store = Open();
      ExtendRegular(store, static_cast<std::size_t>(end));
    }
    ExpectStored(Numbers(end));
    {
      StreamStore store = Open();
      store.Append(end, {{0, end}});
      EXPECT_EQ(Show(store.reader()), Numbers(end + 1));
      ExtendRegular(store, 3);
    }
    ExpectStored(Numbers(end + 4));
  }
}

TEST_F(ChunkAppendTest, OneCallOfEqualRowsCrossesManyBorders) {
  StreamStore store = Open();
  ExtendRegular(store, 100);
  ExtendRegular(store, 3000);
  store.Append(3100, {{0, 3100}});
  ExtendRegular(store, 27);
  ExtendRegular(store, 1000);
  EXPECT_EQ(Show(store.reader()), Numbers(4128));
  store.Close();
  ExpectStored(Numbers(4128));
}

TEST_F(ChunkAppendTest, OneCallOfDifferentRowsCrossesManyBorders) {
  StreamStore store = Open();
  ExtendLists(store, 0, 100);
  ExtendLists(store, 100, 2500);
  ExtendLists(store, 2500, 2600);
  EXPECT_EQ(Show(store.reader()), Lists(2600));
  store.Close();
  ExpectStored(Lists(2600));
}

TEST_F(ChunkAppendTest, OneCallOfManyStepsCrossesManyBorders) {
  StreamStore store = Open();
  std::vector<List> lists;
  std::vector<Step> steps;
  std::vector<FieldWrite> writes;
  for (Step row = 0; row < 1500; ++row) lists.push_back(ListOf(row));
  for (Step row = 0; row < 1500; ++row) {
    steps.insert(steps.end(), {row, row});
    writes.emplace_back(0, row);
    writes.emplace_back(1, lists[static_cast<std::size_t>(row)]);
    if (row % 3 != 0) continue;
    steps.push_back(row);
    writes.emplace_back(2, row % 2 == 0);
  }
  store.Append(steps, writes);
  EXPECT_EQ(Show(store.reader()), Filled(1500));
  Fill(store, 1600);
  store.Close();
  ExpectStored(Filled(1600));
}

// A row that is larger than many chunks.
TEST_F(ChunkAppendTest, OneRowSpansManyChunks) {
  StreamStore store = Open();
  store.Append(0, {{1, List(20'000, 7)}});
  store.Append(1, {{0, 1}, {1, List(3, 8)}});
  store.Close();
  const Reader reader = Reader::Open(path_);
  const auto values = (*reader.row(0).begin()).values;
  ASSERT_EQ(values.size(), 20'000U);
  EXPECT_EQ(std::ranges::count(values, 7), 20'000);
  EXPECT_TRUE(Verify(path_).ok());
}

// A call that is refused after it has entered later chunks leaves the store as it was, and what
// comes next uses layouts of its own chunk.
TEST_F(ChunkAppendTest, ARefusedCallLeavesTheChunkItWasIn) {
  StreamStore store = Open();
  Fill(store, 90);
  const std::string before = Show(store.reader());
  for (int round = 0; round < 3; ++round) {
    std::vector<Step> steps(1000);
    std::iota(steps.begin(), steps.end(), Step{90});
    steps[700] = 0;
    const List numbers(1000, 5);
    std::vector<std::int64_t> offsets(1001);
    std::iota(offsets.begin(), offsets.end(), 0);
    const std::vector<Column> regular = {{.type = 0, .data = numbers.data()}};
    const std::vector<Column> ragged = {
        {.type = 1, .data = numbers.data(), .offsets = offsets.data()}};
    for (const auto& columns : {regular, ragged}) {
      EXPECT_EQ(ErrorOf([&] { store.Extend(steps, columns); }).code(), ErrorCode::kInvalidArgument);
    }
    const std::vector<FieldWrite> writes(1000, FieldWrite{0, 5});
    EXPECT_EQ(ErrorOf([&] { store.Append(steps, writes); }).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(Show(store.reader()), before);
  }
  Fill(store, 600);
  store.Close();
  ExpectStored(Filled(600));
}

TEST_F(ChunkAppendTest, StagedRowsCrossBorders) {
  StreamStore store = Open();
  ExtendLists(store, 0, 100);
  {
    StagedRows staged = store.Stage();
    for (Step row = 100; row < 1300; row += 100) ExtendLists(staged, row, row + 100);
    EXPECT_EQ(Show(store.reader()), Lists(100));
    staged.Commit();
  }
  EXPECT_EQ(Show(store.reader()), Lists(1300));
  ExtendLists(store, 1300, 1400);
  store.Close();
  ExpectStored(Lists(1400));
}

TEST_F(ChunkAppendTest, DroppedStagedRowsLeaveNothing) {
  StreamStore store = Open();
  ExtendLists(store, 0, 100);
  for (const Step rows : {10, 28, 29, 700}) {
    {
      StagedRows staged = store.Stage();
      ExtendLists(staged, 100, 100 + rows);
    }
    EXPECT_EQ(Show(store.reader()), Lists(100));
  }
  store.Append(100, {{0, 100}, {1, ListOf(100)}});
  ExtendLists(store, 101, 500);
  store.Close();
  ExpectStored(Lists(500));
}

TEST_F(ChunkAppendTest, TruncatedRowsComeBackOverBorders) {
  for (const bool temporary : {false, true}) {
    StreamStore store = temporary ? StreamStore::Temporary(options_) : Open();
    Fill(store, 900);
    for (const std::uint64_t rows : {850U, 800U, 401U, 400U, 96U, 1U}) {
      SCOPED_TRACE(rows);
      store.Truncate(rows);
      EXPECT_EQ(Show(store.reader()), Filled(static_cast<Step>(rows)));
      Fill(store, static_cast<Step>(rows) + 300);
      EXPECT_EQ(Show(store.reader()), Filled(static_cast<Step>(rows) + 300));
      if (!temporary) ExpectLayoutsRule();
    }
    store.Truncate(0);
    Fill(store, 500);
    EXPECT_EQ(Show(store.reader()), Filled(500));
    store.Close();
  }
  ExpectStored(Filled(500));
}

// Each session, and each chunk of records, begins with layouts of its own.
TEST_F(ChunkAppendTest, ManySessionsKeepTheLayoutsRule) {
  for (Step end = 50; end <= 1500; end += 50) {
    StreamStore store = Open();
    Fill(store, end);
    if (end % 100 == 0) store.Close();
  }
  ExpectStored(Filled(1500));
}

TEST_F(ChunkAppendTest, ReserveCoversRowsOfManyChunks) {
  const Faults faults;
  StreamStore store = Open();
  store.Reserve(20'000, 2000);
  Faults::log().clear();
  for (Step row = 0; row < 2000; ++row) store.Append(row, {{0, row}});
  EXPECT_EQ(Faults::log(), std::vector<std::string>{});
  store.Close();
  ExpectStored(Numbers(2000));
}

TEST_F(ChunkAppendTest, TheHelperGrowsOverBorders) {
  options_.grow_ahead = true;
  options_.sync_interval = std::chrono::milliseconds(1);
  StreamStore store = Open();
  Fill(store, 5000);
  store.Close();
  ExpectStored(Filled(5000));
}

TEST_F(ChunkAppendTest, TemporaryStoresHaveChunks) {
  options_.temporary_directory = scratch_->path();
  StreamStore store = StreamStore::Temporary(options_);
  Fill(store, 1000);
  EXPECT_EQ(Show(store.reader()), Filled(1000));
}

// The smallest chunks that users can ask for.
TEST_F(ChunkAppendTest, ChunksOfOneMebibyte) {
  options_.chunk_bytes = kMinChunkBytes;
  options_.capacity_values = 1'000'000;
  options_.grow_ahead = true;
  {
    StreamStore store = Open();
    for (int call = 0; call < 10; ++call) ExtendRegular(store, 20'000);
    EXPECT_EQ(store.Sync(), 200'000U);
    ExtendRegular(store, 10'000);
  }
  EXPECT_EQ(Chunks("values"), UpTo(2));
  EXPECT_EQ(Chunks("records"), UpTo(7));
  const Reader reader = Reader::Open(path_);
  ASSERT_EQ(reader.num_rows(), 210'000U);
  std::vector<Position> positions = {0, 131'071, 131'072, 131'073, 209'999};
  std::vector<Value> values(positions.size());
  reader.ReadWindows(positions, 1, {.values = values.data()});
  EXPECT_EQ(values, (List{0, 131'071, 131'072, 131'073, 209'999}));
  EXPECT_TRUE(Verify(path_).ok());
}

}  // namespace
}  // namespace stream_store::internal
