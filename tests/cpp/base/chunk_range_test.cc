// Tests of ChunkRange: one array over many files, and chunks that leave when no Hold covers them.

#include "base/chunk_range.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/directory.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kChunk = 64 << 10;

class ChunkRangeTest : public ::testing::Test {
 protected:
  // Makes the file of a chunk, whose words are their numbers in the whole sequence.
  File MakeChunk(std::uint64_t chunk) {
    File file = directory_.CreateFile(std::to_string(chunk).c_str());
    std::vector<std::uint64_t> words(kChunk / 8);
    for (std::size_t i = 0; i < words.size(); ++i) {
      words[i] = chunk * words.size() + i;
    }
    file.WriteAt(std::as_bytes(std::span(words)), 0);
    return file;
  }

  std::shared_ptr<ChunkRange> Range(std::uint64_t first, std::uint64_t wanted) {
    return ChunkRange::Reserve(
        {.chunk_bytes = kChunk, .first_chunk = first, .wanted_bytes = wanted * kChunk}, "values");
  }

  static std::uint64_t Word(const ChunkRange& range, std::uint64_t word) {
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const void*>(range.origin() + word * 8), 8);
    return value;
  }

  // Whether the page of a byte may be read: the kernel refuses to copy from it otherwise.
  static bool Readable(const ChunkRange& range, std::uint64_t byte) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const bool readable = write(ends[1], range.At(byte), 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return readable;
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  Directory directory_ = Directory::Open(scratch_.path());
};

TEST_F(ChunkRangeTest, ChunksAreOneArray) {
  const auto range = Range(5, 8);
  for (std::uint64_t chunk = 5; chunk < 9; ++chunk) {
    range->Map(MakeChunk(chunk), chunk, /*writable=*/false);  // the descriptor may be closed
  }
  EXPECT_EQ(range->begin_byte(), 5 * kChunk);
  EXPECT_EQ(range->end_byte(), 13 * kChunk);
  EXPECT_EQ(range->mapped_begin(), 5U);
  EXPECT_EQ(range->mapped_end(), 9U);
  for (std::uint64_t word = 5 * kChunk / 8; word < 9 * kChunk / 8; ++word) {
    ASSERT_EQ(Word(*range, word), word);
  }
  EXPECT_FALSE(Readable(*range, 9 * kChunk));  // reserved, but inaccessible
}

TEST_F(ChunkRangeTest, RangeMayBeginAtAnyChunkInside) {
  const auto range = Range(0, 8);
  range->Map(MakeChunk(3), 3, false);
  EXPECT_EQ(range->mapped_begin(), 3U);
  EXPECT_EQ(Word(*range, 3 * kChunk / 8), 3 * kChunk / 8);
  EXPECT_FALSE(Readable(*range, 3 * kChunk - 1));
}

TEST_F(ChunkRangeTest, RangeMayEndInsideAChunk) {
  const auto range = ChunkRange::Reserve(
      {.chunk_bytes = kChunk, .first_chunk = 2, .wanted_bytes = kChunk + 4096}, "values");
  EXPECT_EQ(range->end_byte(), 3 * kChunk + 4096);
  range->Map(MakeChunk(2), 2, true);
  range->Map(MakeChunk(3), 3, true);  // its first page
  EXPECT_EQ(range->mapped_end(), 4U);
  EXPECT_EQ(Word(*range, (3 * kChunk + 4088) / 8), (3 * kChunk + 4088) / 8);
  EXPECT_NO_THROW(range->Sync(2 * kChunk, 3 * kChunk + 4096, "values"));
  const ChunkRange::Hold hold = range->HoldFrom(2);
  range->UnmapFrom(3);
  EXPECT_FALSE(Readable(*range, 3 * kChunk));
  range->Map(MakeChunk(4), 3, true);
  ChunkRange::Hold old = range->HoldFrom(2);
  const ChunkRange::Hold later = range->HoldFrom(4);  // has no place, but may be held
  EXPECT_EQ(range->mapped_begin(), 2U);
}

TEST_F(ChunkRangeTest, OriginOfAHighChunkWrapsAround) {
  const std::uint64_t far = (1ULL << 51) / kChunk;  // beyond every address
  const auto range = Range(far, 2);
  range->Map(MakeChunk(far), far, false);
  EXPECT_EQ(Word(*range, far * kChunk / 8 + 17), far * kChunk / 8 + 17);
}

TEST_F(ChunkRangeTest, StoresReachTheFile) {
  const auto range = Range(0, 4);
  const File file = MakeChunk(0);
  range->Map(file, 0, /*writable=*/true);
  *range->At(100) = std::byte{200};
  std::vector<std::byte> byte(1);
  file.ReadAt(byte, 100);
  EXPECT_EQ(byte[0], std::byte{200});
}

TEST_F(ChunkRangeTest, FileMayGrowAfterItWasMapped) {
  const auto range = Range(0, 4);
  const File file = directory_.CreateFile("short");
  file.Allocate(0, 4096);
  range->Map(file, 0, true);
  file.Allocate(4096, kChunk);
  *range->At(kChunk - 1) = std::byte{3};
  EXPECT_EQ(*range->At(kChunk - 1), std::byte{3});
}

TEST_F(ChunkRangeTest, ChunksStayAsLongAsAHoldCoversThem) {
  const auto range = Range(0, 8);
  for (std::uint64_t chunk = 0; chunk < 4; ++chunk) {
    range->Map(MakeChunk(chunk), chunk, false);
  }
  ChunkRange::Hold old = range->HoldFrom(0);
  ChunkRange::Hold middle = range->HoldFrom(2);
  const ChunkRange::Hold newest = range->HoldFrom(3);
  for (const char* name : {"0", "1", "2"}) {
    directory_.Unlink(name);
  }
  EXPECT_EQ(Word(*range, 7), 7U);  // an unlinked chunk reads as before
  middle.reset();                  // the older hold covers everything
  EXPECT_EQ(range->mapped_begin(), 0U);
  old.reset();
  EXPECT_EQ(range->mapped_begin(), 3U);
  EXPECT_FALSE(Readable(*range, 3 * kChunk - 1));
  EXPECT_EQ(Word(*range, 3 * kChunk / 8), 3 * kChunk / 8);
}

TEST_F(ChunkRangeTest, EqualHoldsAreCounted) {
  const auto range = Range(0, 8);
  range->Map(MakeChunk(0), 0, false);
  range->Map(MakeChunk(1), 1, false);
  ChunkRange::Hold first = range->HoldFrom(0);
  const ChunkRange::Hold second = range->HoldFrom(0);
  const ChunkRange::Hold later = range->HoldFrom(1);
  first.reset();
  EXPECT_EQ(range->mapped_begin(), 0U);
}

TEST_F(ChunkRangeTest, HoldBeyondTheLastChunkKeepsLaterOnes) {
  const auto range = Range(0, 8);
  range->Map(MakeChunk(0), 0, false);
  ChunkRange::Hold old = range->HoldFrom(0);
  const ChunkRange::Hold later = range->HoldFrom(1);
  old.reset();
  EXPECT_EQ(range->mapped_begin(), 1U);
  range->Map(MakeChunk(1), 1, false);
  EXPECT_EQ(Word(*range, kChunk / 8), kChunk / 8);
}

TEST_F(ChunkRangeTest, HoldOutlivesTheRangeOfItsOwner) {
  auto range = Range(0, 8);
  range->Map(MakeChunk(0), 0, false);
  const auto* word = reinterpret_cast<const std::uint64_t*>(range->At(80));
  const ChunkRange::Hold hold = range->HoldFrom(0);
  range.reset();
  EXPECT_EQ(*word, 10U);
}

// Offsets and lengths of each msync, which the fault below records; `failing` of them from now on
// fails.
std::vector<std::pair<std::uint64_t, std::uint64_t>> syncs;
const std::byte* sync_origin = nullptr;
std::size_t failing_sync = 0;

int RecordedSync(void* address, std::size_t length, int flags) {
  syncs.emplace_back(static_cast<std::byte*>(address) - sync_origin, length);
  if (syncs.size() == failing_sync) {
    errno = EIO;
    return -1;
  }
  return RealSyscalls().msync(address, length, flags);
}

class ChunkSyncTest : public ChunkRangeTest {
 protected:
  using Calls = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  // Chunks 5 to 8 are mapped. Bytes are counted from the first of them in what is recorded.
  ChunkSyncTest() {
    for (std::uint64_t chunk = 5; chunk < 9; ++chunk) {
      range_->Map(MakeChunk(chunk), chunk, /*writable=*/true);
    }
    syncs.clear();
    failing_sync = 0;
    sync_origin = range_->At(kFirst);
    sys().msync = RecordedSync;
  }

  static constexpr std::uint64_t kFirst = 5 * kChunk;
  std::shared_ptr<ChunkRange> range_ = Range(5, 8);
};

TEST_F(ChunkSyncTest, SyncsEachChunkOfTheRange) {
  range_->Sync(kFirst + kChunk - 1, kFirst + 3 * kChunk + 1, "values");
  const Calls expected = {
      {kChunk - 4096, 4096}, {kChunk, kChunk}, {2 * kChunk, kChunk}, {3 * kChunk, 4096}};
  EXPECT_EQ(syncs, expected);
}

TEST_F(ChunkSyncTest, RangeThatEndsAtABorderSyncsNothingBeyondIt) {
  range_->Sync(kFirst + 100, kFirst + kChunk, "values");
  range_->Sync(kFirst + 2 * kChunk, kFirst + 2 * kChunk, "values");
  range_->Sync(kFirst + 4 * kChunk, kFirst + 4 * kChunk, "values");
  EXPECT_EQ(syncs, (Calls{{0, kChunk}}));
}

TEST_F(ChunkSyncTest, DroppedChunksAreSkipped) {
  ChunkRange::Hold old = range_->HoldFrom(5);
  const ChunkRange::Hold kept = range_->HoldFrom(7);
  range_->Sync(kFirst, kFirst + 3 * kChunk, "values");
  EXPECT_EQ(syncs.size(), 3U);  // they are still mapped
  syncs.clear();
  old.reset();
  range_->Sync(kFirst, kFirst + 3 * kChunk, "values");
  EXPECT_EQ(syncs, (Calls{{2 * kChunk, kChunk}}));
  syncs.clear();
  range_->Sync(kFirst, kFirst + kChunk, "values");
  EXPECT_EQ(syncs, Calls{});
}

TEST_F(ChunkSyncTest, FailedSyncNamesTheChunkAndStops) {
  failing_sync = 2;
  const Error error =
      ErrorOf([&] { range_->Sync(kFirst, kFirst + 4 * kChunk, "/data/store/values"); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_EQ(error.system_errno(), EIO);
  EXPECT_CONTAINS(error.what(), "/data/store/values: chunk 6: msync: ");
  EXPECT_EQ(syncs.size(), 2U);
}

TEST_F(ChunkSyncTest, UnlinkedChunkCanBeSynced) {
  directory_.Unlink("5");
  *range_->At(kFirst) = std::byte{77};
  EXPECT_NO_THROW(range_->Sync(kFirst, kFirst + 1, "values"));
}

TEST_F(ChunkRangeTest, LastChunksCanLeaveAndOthersTakeTheirPlace) {
  const auto range = Range(3, 8);
  for (std::uint64_t chunk = 3; chunk < 7; ++chunk) {
    range->Map(MakeChunk(chunk), chunk, true);
  }
  const ChunkRange::Hold hold = range->HoldFrom(3);
  range->UnmapFrom(7);  // none
  EXPECT_EQ(range->mapped_end(), 7U);
  range->UnmapFrom(5);
  EXPECT_EQ(range->mapped_begin(), 3U);
  EXPECT_EQ(range->mapped_end(), 5U);
  EXPECT_TRUE(Readable(*range, 5 * kChunk - 1));
  EXPECT_FALSE(Readable(*range, 5 * kChunk));
  EXPECT_FALSE(Readable(*range, 7 * kChunk - 1));
  directory_.Unlink("5");
  range->Map(MakeChunk(5), 5, true);
  EXPECT_EQ(Word(*range, 5 * kChunk / 8 + 3), 5 * kChunk / 8 + 3);
  EXPECT_EQ(range->mapped_end(), 6U);
}

TEST_F(ChunkRangeTest, AllChunksCanLeaveAtTheEnd) {
  const auto range = Range(3, 8);
  ChunkRange::Hold hold = range->HoldFrom(3);
  range->Map(MakeChunk(3), 3, true);
  range->Map(MakeChunk(4), 4, true);
  range->UnmapFrom(3);
  EXPECT_EQ(range->mapped_begin(), range->mapped_end());
  EXPECT_FALSE(Readable(*range, 3 * kChunk));
  range->Map(MakeChunk(9), 9, true);  // any chunk may be the first again
  EXPECT_EQ(range->mapped_begin(), 9U);
  EXPECT_EQ(Word(*range, 9 * kChunk / 8), 9 * kChunk / 8);
  const ChunkRange::Hold later = range->HoldFrom(9);
  hold.reset();
  EXPECT_EQ(range->mapped_end(), 10U);
}

TEST_F(ChunkRangeTest, TooManyMappingsIsAnErrorThatChangesNothing) {
  const auto range = Range(0, 8);
  range->Map(MakeChunk(0), 0, false);
  const File next = MakeChunk(1);
  sys().mmap = [](void*, std::size_t, int, int, int, off_t) -> void* {
    errno = ENOMEM;
    return MAP_FAILED;
  };
  const Error error = ErrorOf([&] { range->Map(next, 1, false); });
  EXPECT_EQ(error.code(), ErrorCode::kNoSpace);
  EXPECT_CONTAINS(error.what(), next.path() + ": mapping 65536 bytes: ");
  EXPECT_EQ(range->mapped_end(), 1U);
  sys().mmap = RealSyscalls().mmap;
  range->Map(next, 1, false);
  EXPECT_EQ(Word(*range, kChunk / 8), kChunk / 8);
}

TEST_F(ChunkRangeTest, ForkedChildCannotStore) {
  const auto range = Range(0, 8);
  range->Map(MakeChunk(0), 0, true);
  const pid_t child = fork();
  if (child == 0) {
    range->ProtectReadOnly();
    const bool reads = Word(*range, 9) == 9;
    int ends[2];
    const bool refused =
        pipe(ends) == 0 && write(ends[1], "x", 1) == 1 && read(ends[0], range->At(0), 1) == -1;
    const bool reserved = !Readable(*range, kChunk);  // still inaccessible
    _exit(reads && refused && reserved ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// A reader that always holds the newest chunks copies from them, while a writer adds chunks at the
// end and unlinks them at the front. Every word that a hold covers is right.
TEST_F(ChunkRangeTest, ReadersFollowAWriterThatDropsChunks) {
  constexpr std::uint64_t kChunks = 400;
  const auto range = Range(0, kChunks);
  range->Map(MakeChunk(0), 0, false);
  std::mutex mutex;
  std::uint64_t begin = 0;
  std::uint64_t end = 1;
  ChunkRange::Hold current = range->HoldFrom(0);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  const auto read = [&](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    while (!done) {
      ChunkRange::Hold hold;
      std::uint64_t low = 0;
      std::uint64_t high = 0;
      {
        const std::lock_guard lock(mutex);
        hold = current;
        low = begin * kChunk / 8;
        high = end * kChunk / 8;
      }
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t word = low + random() % (high - low);
        wrong += Word(*range, word) != word ? 1 : 0;
      }
    }
  };
  std::vector<std::thread> readers;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    readers.emplace_back(read, seed);
  }
  for (std::uint64_t chunk = 1; chunk < kChunks; ++chunk) {
    range->Map(MakeChunk(chunk), chunk, false);
    const std::uint64_t oldest = chunk > 4 ? chunk - 4 : 0;
    ChunkRange::Hold next = range->HoldFrom(oldest);
    {
      const std::lock_guard lock(mutex);
      std::swap(current, next);
      begin = oldest;
      end = chunk + 1;
    }
    next.reset();
    for (std::uint64_t old = oldest > 0 ? oldest - 1 : 0; old < oldest; ++old) {
      directory_.Unlink(std::to_string(old).c_str());
    }
  }
  done = true;
  for (std::thread& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(wrong, 0U);
  current.reset();
  const ChunkRange::Hold last = range->HoldFrom(kChunks - 1);
  ChunkRange::Hold first = range->HoldFrom(range->mapped_begin());
  first.reset();
  EXPECT_EQ(range->mapped_begin(), kChunks - 1);
}

}  // namespace
}  // namespace stream_store::internal
