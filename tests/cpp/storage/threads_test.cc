// Tests of threads: appends, syncs, growth and readers at once. Run under TSan: in-process readers
// share the writer's mapping, so a store that is published too early is seen.

#include <algorithm>
#include <array>
#include <thread>

#include "storage/fixture.h"
#include "support/sanitizers.h"

namespace stream_store::internal {
namespace {

class ThreadsTest : public StoreTest {
 protected:
  ThreadsTest() { options_.grow_ahead = true; }

  // The list of a row repeats the number of the row, as often as that number modulo 50.
  static void ExpectWholeRows(const Reader& reader, Row from) {
    for (Row row = from; row < static_cast<Row>(reader.num_rows()); ++row) {
      const RowView view = reader.row(row);
      ASSERT_EQ(view.size(), 2U);
      const Value number = view.begin()->values[0];
      const auto list = (*(view.begin() + 1)).values;
      ASSERT_EQ(list.size(), static_cast<std::size_t>(number % 50));
      ASSERT_TRUE(std::ranges::all_of(list, [number](Value value) { return value == number; }));
    }
  }

  static void AppendNumber(StreamStore& store, Step step, Value number) {
    const List list(static_cast<std::size_t>(number % 50), number);
    store.Append(step, {{0, number}, {1, list}});
  }

#if STREAM_STORE_TSAN || STREAM_STORE_ASAN
  static constexpr Step kRows = 5'000;
#else
  static constexpr Step kRows = 50'000;
#endif
};

TEST_F(ThreadsTest, EachThreadGetsANextStepOfItsOwn) {
  StreamStore store = Open();
  constexpr Value kThreads = 4;
  std::vector<std::thread> writers;
  for (Value writer = 0; writer < kThreads; ++writer) {
    writers.emplace_back([&store, writer] {
      Step before = -1;
      for (Step i = 0; i < kRows / kThreads; ++i) {
        const Step step = store.AppendStep({{0, writer}});
        ASSERT_GT(step, before);
        before = step;
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  const Reader reader = store.reader();
  ASSERT_EQ(reader.num_rows(), static_cast<std::uint64_t>(kRows));
  std::array<Step, kThreads> rows_of{};
  for (Row row = 0; row < kRows; ++row) {
    const RowView view = reader.row(row);
    ASSERT_EQ(view.step(), row);
    ++rows_of[static_cast<std::size_t>(view.begin()->values[0])];
  }
  EXPECT_TRUE(std::ranges::all_of(rows_of, [](Step rows) { return rows == kRows / kThreads; }));
}

TEST_F(ThreadsTest, ReadersSeeWholeAppendsOnly) {
  StreamStore store = Open();
  std::atomic<bool> done{false};
  const auto read = [&](Reader reader) {
    Row seen = 0;
    while (!done) {
      reader.Refresh();
      ASSERT_GE(static_cast<Row>(reader.num_rows()), seen);
      ExpectWholeRows(reader, seen);
      seen = static_cast<Row>(reader.num_rows());
    }
  };
  std::vector<std::thread> readers;
  readers.emplace_back(read, store.reader());
  readers.emplace_back(read, store.reader());
  readers.emplace_back(read, Reader::Open(path_));
  for (Step step = 0; step < kRows; ++step) AppendNumber(store, step, step);
  done = true;
  for (std::thread& reader : readers) reader.join();
}

TEST_F(ThreadsTest, AppendsOfManyThreadsAreSerialised) {
  StreamStore store = Open();
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> appended{0};
  std::atomic<Step> next{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (true) {
        const Step step = next++;
        if (step >= kRows) return;
        const List list(static_cast<std::size_t>(step % 50), step);
        const std::array<FieldWrite, 2> writes = {FieldWrite(0, step), FieldWrite(1, list)};
        // Another thread may have appended a later step meanwhile.
        if (store.TryAppend(step, writes) == ErrorCode::kOk) ++appended;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.reader().num_rows(), appended);
  ExpectWholeRows(store.reader(), 0);
}

TEST_F(ThreadsTest, SyncsRunBesideAppends) {
  StreamStore store = Open();
  std::atomic<bool> done{false};
  std::uint64_t durable = 0;
  std::thread syncer([&] {
    while (!done) {
      const std::uint64_t rows = store.Sync();
      ASSERT_GE(rows, durable);
      durable = rows;
    }
  });
  for (Step step = 0; step < kRows; ++step) AppendNumber(store, step, step);
  done = true;
  syncer.join();
  EXPECT_LE(durable, store.reader().num_rows());
  store.Close();
  ExpectWholeRows(Reader::Open(path_), 0);
}

TEST_F(ThreadsTest, CloseEndsAppendsAndSyncsOfOtherThreads) {
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove_all(path_);
    StreamStore store = Open();
    std::atomic<std::uint64_t> appended{0};
    const auto until_closed = [](const auto& call) {
      try {
        while (true) call();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kClosed) << error.what();
      }
    };
    std::thread appender([&] {
      until_closed([&] { AppendNumber(store, static_cast<Step>(appended), 7), ++appended; });
    });
    std::thread syncer([&] { until_closed([&] { store.Sync(); }); });
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 4));
    store.Close();
    appender.join();
    syncer.join();
    const Reader reader = Reader::Open(path_);
    EXPECT_EQ(reader.recovery().state, Recovery::State::kClean);
    EXPECT_EQ(reader.num_rows(), appended);
  }
}

TEST_F(ThreadsTest, AFailedSyncStopsTheAppendsOfOtherThreads) {
  StreamStore store = Open();
  AppendNumber(store, 0, 1);
  std::thread appender([&] {
    EXPECT_EQ(ErrorOf([&] {
                for (Step step = 1;; ++step) AppendNumber(store, step, 1);
              }).code(),
              ErrorCode::kIo);
  });
  while (store.reader().num_rows() < 100) std::this_thread::yield();
  const auto real = sys().fdatasync;
  sys().fdatasync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  appender.join();
  sys().fdatasync = real;
  ExpectWholeRows(store.reader(), 0);
}

}  // namespace
}  // namespace stream_store::internal
