// Tests of readers of stores with many chunks: readers that follow over borders, checkpoints, repair
// and verify.

#include <atomic>
#include <random>
#include <thread>

#include "storage/chunks_fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class ChunkReadersTest : public ChunksTest {
 protected:
  static void ExpectNow(std::initializer_list<Reader*> readers, const std::string& content) {
    int number = 0;
    for (Reader* reader : readers) {
      SCOPED_TRACE(StrCat("reader ", number++));
      reader->Refresh();
      ASSERT_EQ(Show(*reader), content);
    }
  }

  Reader Safe() const { return Reader::Open(path_, {.safe_reads = true}); }

  // How many descriptors and mappings of this process refer to the files of the store.
  std::pair<std::size_t, std::size_t> Uses() const {
    std::pair<std::size_t, std::size_t> uses{0, 0};
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;  // the descriptor of the iterator itself
      const std::string target = fs::read_symlink(entry.path(), gone).string();
      uses.first += target.starts_with(path_.string()) ? 1U : 0U;
    }
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      uses.second += line.find(path_.string()) != line.npos ? 1U : 0U;
    }
    return uses;
  }
};

TEST_F(ChunkReadersTest, FollowTheWriterOverBorders) {
  StreamStore store = Open();
  Reader here = store.reader();
  Reader attached = Reader::Open(path_);
  Reader safe = Safe();
  for (Step end = 30; end < 1500; end += 1 + end / 5) {
    Fill(store, end);
    ExpectNow({&here, &attached, &safe}, Filled(end));
    Reader late = Reader::Open(path_);
    ExpectNow({&late}, Filled(end));
  }
}

// All that a reader has seen stays the same while the store grows.
TEST_F(ChunkReadersTest, SnapshotsStayWhatTheyWere) {
  StreamStore store = Open();
  std::vector<Reader> readers;
  for (Step end = 100; end <= 800; end += 100) {
    Fill(store, end);
    readers.push_back(store.reader());
    readers.push_back(Reader::Open(path_));
  }
  store.Close();
  for (std::size_t i = 0; i < readers.size(); ++i) {
    EXPECT_EQ(Show(readers[i]), Filled(static_cast<Step>(i / 2 + 1) * 100));
  }
}

// A writer makes chunks ahead, a reader sees them, the writer deletes them when it closes, and the
// next one makes others of the same names.
TEST_F(ChunkReadersTest, FollowWritersThatDeleteChunksAndMakeThemAgain) {
  Open().Close();
  Reader early = Reader::Open(path_);
  Step end = 0;
  for (int session = 0; session < 5; ++session) {
    SCOPED_TRACE(session);
    StreamStore store = Open();
    Reader attached = Reader::Open(path_);
    Reader safe = Safe();
    store.Reserve(5000, 1000);
    ExpectNow({&early, &attached, &safe}, Filled(end));
    Fill(store, end += 10);
    ExpectNow({&early, &attached, &safe}, Filled(end));
    store.Close();
    ExpectNow({&early, &attached, &safe}, Filled(end));
    StreamStore next = Open();
    Fill(next, end += 200);
    ExpectNow({&early, &attached, &safe}, Filled(end));
    next.Close();
    ExpectNow({&early, &attached, &safe}, Filled(end));
  }
}

// The same, if the writer was killed.
TEST_F(ChunkReadersTest, FollowAWriterThatGivesBackTheChunksOfADeadOne) {
  WriteAndDie([](StreamStore& store) {
    store.Reserve(200'000, 20'000);
    Fill(store, 50);
  });
  Reader attached = Reader::Open(path_);
  Reader safe = Safe();
  ExpectNow({&attached, &safe}, Filled(50));
  StreamStore store = Open();
  ExpectNow({&attached, &safe}, Filled(50));
  Fill(store, 4000);
  ExpectNow({&attached, &safe}, Filled(4000));
}

// A growth that fails deletes the chunks that it has made.
TEST_F(ChunkReadersTest, FollowAWriterWhoseGrowthFailed) {
  const Faults faults;
  StreamStore store = Open();
  Fill(store, 100);
  Reader attached = Reader::Open(path_);
  for (int n = 1; n < 40; ++n) {
    Faults::Fail("fallocate", ENOSPC, n, 1000);
    try {
      store.Reserve(20'000, 4'000);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
    }
    attached.Refresh();
    Faults::Stop();
    Fill(store, 100 + 20 * n);
    ExpectNow({&attached}, Filled(100 + 20 * n));
  }
}

TEST_F(ChunkReadersTest, ReadWindowsAcrossBorders) {
  StreamStore store = Open();
  ExtendRegular(store, 5000);
  const Reader attached = Reader::Open(path_);
  std::mt19937 random(3);
  for (const Reader& reader : {store.reader(), attached, Safe()}) {
    for (int i = 0; i < 200; ++i) {
      const std::size_t length = 1 + random() % 2000;
      const std::vector<Position> starts = {static_cast<Position>(random() % (5000 - length)),
                                            static_cast<Position>(random() % (5000 - length))};
      std::vector<Value> values(2 * length);
      std::vector<Row> rows(2 * length);
      reader.ReadWindows(starts, length, {.values = values.data(), .row = rows.data()});
      for (std::size_t k = 0; k < values.size(); ++k) {
        const Value expected = starts[k / length] + static_cast<Value>(k % length);
        ASSERT_EQ(values[k], expected);
        ASSERT_EQ(rows[k], expected);
      }
    }
  }
}

TEST_F(ChunkReadersTest, DescriptorsDoNotDependOnTheNumberOfChunks) {
  StreamStore store = Open();
  Reader attached = Reader::Open(path_);
  ExtendRegular(store, 50);
  attached.Refresh();
  store.Sync();
  const auto few = Uses();
  ExtendRegular(store, 20'000);
  attached.Refresh();
  store.Sync();
  const auto many = Uses();
  EXPECT_GT(Chunks("values").size(), 39U);
  EXPECT_EQ(many.first, few.first);
  EXPECT_GE(many.second, few.second + 2 * (38 + 155)) << "each chunk is mapped, by both";
  store.Close();
}

TEST_F(ChunkReadersTest, CloseReleasesAllChunks) {
  StreamStore store = Open();
  ExtendRegular(store, 5000);
  store.Close();
  EXPECT_EQ(Uses(), (std::pair<std::size_t, std::size_t>{0, 0}));
}

TEST_F(ChunkReadersTest, ACheckpointHasTheSameChunks) {
  StreamStore store = Open();
  for (const Step end : {100, 127, 350, 1000}) {
    Fill(store, end);
    fs::remove_all(Scratch("copy"));
    EXPECT_EQ(store.reader().Checkpoint(Scratch("copy")), static_cast<std::uint64_t>(end));
    const fs::path path = std::exchange(path_, Scratch("copy"));
    ExpectStored(Filled(end));
    {
      StreamStore copy = Open();
      Fill(copy, end + 300);
    }
    ExpectStored(Filled(end + 300));
    path_ = path;
  }
}

// Rows that move to other chunks keep the rule that layouts follow the chunks of the records.
TEST_F(ChunkReadersTest, RepairMovesRowsIntoNewChunks) {
  {
    StreamStore store = Open();
    Fill(store, 1000);
  }
  for (const std::uint64_t chunk : {2U, 5U}) {
    std::fstream file(path_ / FileOf("records", chunk), std::ios::in | std::ios::out);
    file.seekp(40 * 32);
    file << std::string(64, 'x');  // two records
  }
  const RepairReport report = Repair(path_, Scratch("new"));
  EXPECT_GE(report.rows, 990U);
  path_ = Scratch("new");
  const std::string all = Show(Reader::Open(path_));
  ExpectStored(all);
}

TEST_F(ChunkReadersTest, VerifyNamesTheChunkOfADamage) {
  {
    StreamStore store = Open();
    ExtendRegular(store, 2000);
  }
  std::fstream file(path_ / FileOf("values", 2), std::ios::in | std::ios::out);
  file.seekp(800);  // position 2 * 512 + 100
  file << 'x';
  file.close();
  const VerifyReport report = Verify(path_);
  ASSERT_EQ(report.damages, 1U);
  const Finding& finding = report.findings.front();
  EXPECT_CONTAINS(FindingText(finding), "record 1124");
  EXPECT_TRUE(finding.file == FileOf("values", 2) || finding.file == FileOf("records", 8))
      << finding.file;
  EXPECT_LT(finding.offset, kSmallChunk);
}

// Syncs, growth and readers at once, each over hundreds of borders.
TEST_F(ChunkReadersTest, ManyThreadsFollowAGrowingStore) {
  options_.grow_ahead = true;
  options_.sync_interval = std::chrono::milliseconds(1);
  StreamStore store = Open();
  ExtendRegular(store, 10);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto follow = [&](Reader reader) {
    std::mt19937_64 random(reader.size());
    while (!stop) {
      reader.Refresh();
      const std::uint64_t size = reader.size();
      const std::vector<Position> starts = {static_cast<Position>(random() % size),
                                            static_cast<Position>(size - 1)};
      std::vector<Value> values(2);
      reader.ReadWindows(starts, 1, {.values = values.data()});
      if (values[0] != starts[0] || values[1] != starts[1]) {
        ADD_FAILURE() << "position " << starts[0] << " has " << values[0];
        break;
      }
    }
  };
  threads.emplace_back(follow, store.reader());
  threads.emplace_back(follow, Reader::Open(path_));
  threads.emplace_back([&] {
    while (!stop) store.Sync();
  });
  for (int call = 0; call < 2000; ++call) ExtendRegular(store, 50);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  store.Close();
  EXPECT_EQ(Reader::Open(path_).num_rows(), 100'010U);
  EXPECT_TRUE(Verify(path_).ok());
}

}  // namespace
}  // namespace stream_store::internal
