// One writer and eight readers, each in its own process: every window has the appended values, and
// the store never gets shorter for a reader. Readers are killed at random. In a bounded store, many
// of the windows are next to the first row, which moves on while they are read.
//
// By hand: WINDOWS=10000000 SEED=7 crash_reader_test; CRASH_PLACE= a directory of another file system.

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "crash/place.h"
#include "crash/random.h"
#include "crash/rows.h"
#include "support/patience.h"

namespace stream_store::crash {

using internal::kPatience;

namespace {

constexpr int kReaders = 8;

struct Shared {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> windows{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> first_row{0};  // as the writer sees it now and then
};

// The row and step of value p follow from p alone: see AppendWholeRow().
void Sample(const std::filesystem::path& path, std::uint64_t seed, Shared& shared) {
  constexpr std::uint64_t kWidth = 64;
  constexpr std::size_t kBatch = 64;
  Random random(seed);
  Reader reader = Reader::Open(path, {.wait = kPatience});
  std::vector<Value> values(kBatch * kWidth);
  std::vector<std::int64_t> types(values.size());
  std::vector<Step> steps(values.size());
  std::uint64_t seen = 0;
  while (!shared.stop) {
    const std::uint64_t size = reader.Refresh();
    std::uint64_t wrong = size < seen ? 1 : 0;
    seen = size;
    const std::uint64_t begin = reader.first_position();
    if (size < begin + 2 * kWidth) continue;
    const std::uint64_t last = size - kWidth;
    std::vector<Position> starts;
    for (std::size_t i = 0; i < kBatch; ++i) {
      const std::uint64_t dice = random.Below(4);
      starts.push_back(static_cast<Position>(dice == 0   ? begin + random.Below(kWidth)
                                             : dice == 1 ? last - random.Below(kWidth)
                                                         : begin + random.Below(last - begin + 1)));
    }
    reader.ReadWindows(starts, kWidth,
                       {.values = values.data(), .types = types.data(), .step = steps.data()});
    for (std::size_t i = 0; i < values.size(); ++i) {
      const Value expected = types[i] == 2 ? steps[i] % 2 : steps[i];
      wrong += values[i] == expected && types[i] <= 2 ? 0U : 1U;
    }
    shared.wrong += wrong;
    shared.windows += kBatch;
  }
}

// `retained`: the bytes of disk space that the writer retains; 0: all rows.
void ExpectCorrectWindows(std::uint64_t retained) {
  const std::uint64_t windows = FromEnvironment("WINDOWS", Effort(200'000));
  Random random(FromEnvironment("SEED", 1));
  FastDirectory scratch;
  const std::filesystem::path path = scratch / "store";
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& shared = *new (page) Shared;
  const auto start = [&](const auto& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      try {
        work();
      } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        ::_exit(1);
      }
      ::_exit(0);
    }
    return child;
  };
  const pid_t writer = start([&] {
    Options options = RowOptions();
    options.capacity_values = 10'000;
    options.grow_ahead = true;
    options.sync_interval = std::chrono::milliseconds(50);
    options.chunk_bytes = std::uint64_t{1} << 20;
    if (retained > 0) options.retain_bytes = retained;
    StreamStore store = StreamStore::Open(path, options);
    for (Row row = 0; !shared.stop; ++row) {
      AppendWholeRow(store, row);
      if (row % 1000 == 0) shared.first_row = store.reader().first_row();
      if (row > 60'000 && retained == 0)
        ::usleep(50);  // large enough: leave the processors to the readers
    }
  });
  std::vector<pid_t> readers;
  std::uint64_t kills = 0;
  const auto sample = [&](std::uint64_t seed) {
    return start([&, seed] { Sample(path, seed, shared); });
  };
  for (int i = 0; i < kReaders; ++i) readers.push_back(sample(random.Next()));
  const std::uint64_t dropped = retained > 0 ? 200'000 : 0;  // rows
  while ((shared.windows < windows || shared.first_row < dropped) && shared.wrong == 0) {
    ::usleep(20'000);
    const std::size_t i = random.Below(kReaders);  // kill one of them, start another
    ::kill(readers[i], SIGKILL);
    int status = 0;
    ::waitpid(readers[i], &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a reader ended by itself";
    readers[i] = sample(random.Next());
    ++kills;
  }
  shared.stop = true;
  for (const pid_t child : readers) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  int status = 0;
  ::waitpid(writer, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_TRUE(Verify(path).findings.empty());
  const Reader reader = Reader::Open(path);
  EXPECT_EQ(reader.first_row() > 0, retained > 0);
  std::cout << "readers: " << shared.windows << " windows checked by " << kReaders
            << " processes at a time, " << kills << " readers killed, " << reader.first_row()
            << " rows dropped, " << shared.wrong << " wrong" << std::endl;
  ::munmap(page, 4096);
}

TEST(ReaderProcessTest, EveryWindowOfEveryReaderIsCorrect) { ExpectCorrectWindows(0); }

TEST(ReaderProcessTest, EveryWindowIsCorrectWhileRowsAreDropped) { ExpectCorrectWindows(16 << 20); }

}  // namespace
}  // namespace stream_store::crash
