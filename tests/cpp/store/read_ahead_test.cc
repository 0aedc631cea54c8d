// Which pages batches of reads ask the kernel for, depending on whether the thread waits for a
// disk.
#include "storage/read_ahead.h"

#include <algorithm>
#include <thread>

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "base/syscalls.h"
#include "store/fake_rows.h"
#include "store/read_functions.h"

namespace stream_store::internal {
namespace {

using Range = std::pair<const std::byte*, const std::byte*>;

// A simulated kernel: how often the thread waited, and which pages were asked for.
struct Kernel {
  long faults = 0;
  long faults_per_call = 0;  // added by each call of getrusage()
  std::vector<Range> asked = {};
  std::vector<int> advice = {};  // all advice but MADV_WILLNEED
};

Kernel kernel;

int Usage(int /*who*/, struct rusage* out) {
  kernel.faults += kernel.faults_per_call;
  *out = {};
  out->ru_majflt = kernel.faults;
  return 0;
}

int Advice(void* address, std::size_t bytes, int advice) {
  const auto* begin = static_cast<const std::byte*>(address);
  if (advice == MADV_WILLNEED) {
    kernel.asked.emplace_back(begin, begin + bytes);
  } else {
    kernel.advice.push_back(advice);
  }
  return 0;
}

bool Asked(const void* begin, const void* end) {
  const auto* first = static_cast<const std::byte*>(begin);
  const auto* last = static_cast<const std::byte*>(end);
  return std::ranges::any_of(kernel.asked, [&](const Range& range) {
    return range.first <= first && last <= range.second;
  });
}

class ReadAheadTest : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kBatch = 100, kLength = 5;

  ReadAheadTest() {
    kernel = {};
    sys().getrusage = Usage;
    sys().madvise = Advice;
  }

  ~ReadAheadTest() override { sys() = RealSyscalls(); }

  // ReadAhead keeps its state per thread, so a new thread starts without any.
  template <class Work>
  static void OnNewThread(const Work& work) {
    std::thread(work).join();
  }

  // Reads a batch of row windows and checks the values.
  void ReadBatch() {
    std::vector<Row> rows;
    for (std::uint64_t i = 0; i < kBatch; ++i) {
      rows.push_back(static_cast<Row>(i * 37 % (kRows - kLength)));
    }
    std::vector<std::int64_t> episodes(kBatch * kLength);
    const std::vector<RowsColumn> columns = {{kEpisode, episodes.data(), nullptr}};
    ReadRows(store_.view(), rows, kLength, columns, nullptr);
    for (std::uint64_t i = 0; i < episodes.size(); ++i) {
      const FakeWrite* write =
          store_.Find(rows[i / kLength] + static_cast<Row>(i % kLength), kEpisode);
      ASSERT_EQ(episodes[i], write == nullptr ? 0 : write->values[0]);
    }
    rows_ = rows;
  }

  // Whether all memory of windows [begin, end) of the last batch was asked for.
  bool AskedForWindows(std::uint64_t begin, std::uint64_t end) const {
    const View& view = store_.view();
    for (std::uint64_t i = begin; i < end; ++i) {
      const Record* first = view.records + rows_[i];
      const Record* last = first + kLength;
      if (!Asked(first, last) || !Asked(view.values + first->start, view.values + last->start)) {
        return false;
      }
    }
    return true;
  }

  static constexpr std::size_t kRows = 700;
  FakeStore store_{MixedFields(), RowMaker(5).Steady(kRows, 0)};
  std::vector<Row> rows_;
};

TEST_F(ReadAheadTest, AThreadThatNeverWaitsAsksForNothing) {
  OnNewThread([&] {
    for (int i = 0; i < 10; ++i) {
      ReadBatch();
    }
  });
  EXPECT_TRUE(kernel.asked.empty());
  EXPECT_TRUE(kernel.advice.empty());
}

TEST_F(ReadAheadTest, ABatchFoundWaitingAsksForTheRestOfItsPages) {
  kernel.faults_per_call = 1;
  OnNewThread([&] { ReadBatch(); });
  EXPECT_EQ(kernel.asked.size(), 2 * (kBatch - 32));
  EXPECT_TRUE(AskedForWindows(32, kBatch));
  EXPECT_EQ(kernel.advice, (std::vector<int>{MADV_RANDOM, MADV_RANDOM}));
}

TEST_F(ReadAheadTest, BatchesAskForPagesUntil32InARowDoNotWait) {
  const auto batch_asks = [&] {
    kernel.asked.clear();
    ReadBatch();
    EXPECT_TRUE(kernel.asked.empty() || AskedForWindows(0, kBatch));
    return !kernel.asked.empty();
  };
  OnNewThread([&] {
    kernel.faults_per_call = 1;
    ReadBatch();
    EXPECT_TRUE(batch_asks());
    kernel.faults_per_call = 0;
    for (int i = 0; i < 31; ++i) {
      EXPECT_TRUE(batch_asks());
    }
    kernel.faults_per_call = 1;  // so the next batch is the first of a new row
    EXPECT_TRUE(batch_asks());
    kernel.faults_per_call = 0;
    for (int i = 0; i < 32; ++i) {
      EXPECT_EQ(kernel.advice.back(), MADV_RANDOM);
      EXPECT_TRUE(batch_asks());
    }
    EXPECT_EQ(kernel.advice.back(), MADV_NORMAL);
    EXPECT_FALSE(batch_asks());
    kernel.faults_per_call = 1;  // a thread that waits again has all 32 batches again
    while (kernel.asked.empty()) {
      ReadBatch();  // the one that is found waiting asks for the rest of its pages
    }
    kernel.faults_per_call = 0;
    for (int i = 0; i < 32; ++i) {
      EXPECT_TRUE(batch_asks());
    }
    EXPECT_FALSE(batch_asks());
  });
}

TEST_F(ReadAheadTest, AnotherThreadThatDoesNotWaitAsksForNothing) {
  kernel.faults_per_call = 1;
  OnNewThread([&] { ReadBatch(); });
  kernel = {};
  OnNewThread([&] { ReadBatch(); });
  EXPECT_TRUE(kernel.asked.empty());
}

TEST_F(ReadAheadTest, AsksForPagesOfFlatWindowsAndScatteredValues) {
  const View& view = store_.view();
  std::vector<Position> starts;
  for (Position i = 0; i < 300; ++i) {
    starts.push_back(i * 101 % (static_cast<Position>(view.value_count) - 40));
  }
  std::vector<Value> values(starts.size() * 40);
  std::vector<Step> steps(starts.size() * 40);
  WindowsOut out;
  out.values = values.data();
  const auto all_asked = [&](std::uint64_t begin, std::uint64_t width) {
    return std::all_of(
        starts.begin() + static_cast<std::ptrdiff_t>(begin), starts.end(), [&](Position start) {
          return Asked(view.values + start, view.values + start + static_cast<Position>(width));
        });
  };
  kernel.faults_per_call = 1;
  OnNewThread([&] {
    ReadWindows(view, starts, 40, out);
    EXPECT_TRUE(all_asked(32, 40));
    kernel.asked.clear();
    out.step = steps.data();
    ReadWindows(view, starts, 40, out);
    EXPECT_TRUE(all_asked(0, 40));
    kernel.asked.clear();
    Gather(view, starts, out);
    EXPECT_TRUE(all_asked(0, 1));
  });
  for (std::size_t i = 0; i < starts.size(); ++i) {
    ASSERT_EQ(values[i], store_.values[static_cast<std::size_t>(starts[i])]);
  }
}

TEST_F(ReadAheadTest, SequentialReadsLetTheKernelReadAheadAgain) {
  kernel.faults_per_call = 1;
  OnNewThread([&] { ReadBatch(); });
  kernel.advice.clear();
  ScanRows(store_.view(), 0, kRows, [](const interop::RecordRun&) { return true; });
  EXPECT_EQ(kernel.advice, (std::vector<int>{MADV_NORMAL, MADV_NORMAL}));
}

}  // namespace
}  // namespace stream_store::internal
