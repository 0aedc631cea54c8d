// Tests of safe reads, which copy with pread() instead of loading from mappings: they give the same
// results as ordinary reads, never load from the mapping of a file, and survive files that are
// truncated during a read.

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <thread>

#include <sys/mman.h>

#include "stream_store/interop.h"
#include "stream_store/sampler.h"

#include "format/record.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class SafeReadsTest : public StoreTest {
 protected:
  // While this object exists, loading from a mapping of a file kills the test.
  class NoLoads {
   public:
    NoLoads() {
      sys().mmap = [](void* at, std::size_t size, int protection, int flags, int fd, off_t from) {
        return RealSyscalls().mmap(at, size, fd < 0 ? protection : PROT_NONE, flags, fd, from);
      };
    }

    NoLoads(const NoLoads&) = delete;
    NoLoads& operator=(const NoLoads&) = delete;

    ~NoLoads() { sys() = RealSyscalls(); }
  };

  static void Fill(StreamStore& store, Step first, Step last) {
    for (Step step = first; step < last; ++step) {
      const auto length = static_cast<std::size_t>(step % 101 == 7 ? 700 : step % 9);
      if (step % 13 == 5) {
        store.Append(step, {});
      } else if (step % 3 == 0) {
        store.Append(step, {{0, step}, {1, List(length, step)}});
        store.Append(step, {{2, step % 50 == 0}});
      } else {
        store.Append(step, {{1, List(length, step)}, {2, false}});
      }
    }
  }

  Reader Safe() const {
    const NoLoads none;
    return Reader::Open(path_, {.safe_reads = true});
  }

  // Calls every read function on both readers.
  static void ExpectSame(const Reader& safe, const Reader& mapped) {
    ASSERT_EQ(safe.num_rows(), mapped.num_rows());
    ASSERT_EQ(safe.size(), mapped.size());
    EXPECT_EQ(safe.records(), mapped.records());
    EXPECT_EQ(safe.complete_rows(), mapped.complete_rows());
    EXPECT_EQ(safe.field_writes(), mapped.field_writes());
    EXPECT_EQ(Show(safe), Show(mapped));
    const auto rows = static_cast<Row>(safe.num_rows());
    const auto size = static_cast<Position>(safe.size());
    std::vector<Position> positions;
    for (Position at = 0; at < size; at += 37) positions.push_back(size - 1 - at);
    std::vector<Row> found(positions.size());
    std::vector<Row> expected(positions.size());
    safe.RowOf(positions, found);
    mapped.RowOf(positions, expected);
    EXPECT_EQ(found, expected);
    std::vector<Row> some;
    for (Row row = 0; row < rows; row += 11) some.push_back(row);
    std::vector<Position> places(some.size());
    std::vector<Position> expected_places(some.size());
    safe.PositionOf(some, places);
    mapped.PositionOf(some, expected_places);
    EXPECT_EQ(places, expected_places);
    for (const Step step : {-1, 0, 5, 299, 5000}) {
      EXPECT_EQ(safe.RowAt(step, Side::kLeft), mapped.RowAt(step, Side::kLeft));
      EXPECT_EQ(safe.RowAt(step, Side::kRight), mapped.RowAt(step, Side::kRight));
    }
    ExpectSameWindows(safe, mapped);
    ExpectSameRows(safe, mapped);
    const std::vector<TypeId> flag = {2};
    EXPECT_EQ(safe.Segments(flag), mapped.Segments(flag));
    EXPECT_EQ(interop::LastChecksum(safe), interop::LastChecksum(mapped));
    EXPECT_EQ(Scanned(safe), Scanned(mapped));
    ExpectSameRuns(safe, mapped);
    ExpectSameSamples(safe, mapped);
  }

  // Each row of ScanRows() as text. Also checks that a scan ends when its callback returns false.
  static std::string Scanned(const Reader& reader) {
    std::string text;
    const auto rows = static_cast<Row>(reader.num_rows());
    interop::ScanRows(reader, 0, rows, [&](const interop::RecordRun& run) {
      for (std::uint64_t i = 0; i < run.count; ++i) {
        text += StrCat("\n", run.row + static_cast<Row>(i), " at ", run.step(i));
        for (const interop::RecordRun::Part& part : run.parts) {
          text += StrCat(" ", part.type, ":");
          for (std::uint64_t word = 0; word < part.length; ++word)
            text += StrCat(run.values[i * run.stride + part.begin + word], ",");
        }
      }
      return true;
    });
    int visits = 0;
    interop::ScanRows(reader, 0, rows, [&](const interop::RecordRun&) { return ++visits < 3; });
    EXPECT_LE(visits, 3);
    return text;
  }

  // Row windows of several lengths, and the words of each row's list as spans.
  static void ExpectSameRuns(const Reader& safe, const Reader& mapped) {
    const auto rows = static_cast<Row>(safe.num_rows());
    std::vector<RowRun> runs;
    std::uint64_t places = 0;
    for (Row row = 0; row < rows; row += 97) {
      const auto count = std::min<std::uint64_t>(static_cast<std::uint64_t>(row % 5 + 1),
                                                 static_cast<std::uint64_t>(rows - row));
      runs.push_back({rows - row - static_cast<Row>(count), count, places});
      places += count;
    }
    const auto read = [&](const Reader& reader) {
      std::vector<std::span<const Value>> spans(places);
      const RowsColumn column{.type = 1, .spans = spans.data()};
      const std::shared_ptr<const void> owner =
          reader.ReadRows(runs, std::span<const RowsColumn>(&column, 1));
      std::vector<List> lists;
      for (const auto& span : spans) lists.emplace_back(span.begin(), span.end());
      return lists;
    };
    EXPECT_EQ(read(safe), read(mapped));
    EXPECT_EQ(safe.LongestInRows(runs, 1), mapped.LongestInRows(runs, 1));
  }

  // One epoch of each kind of sampler.
  static void ExpectSameSamples(const Reader& safe, const Reader& mapped) {
    std::vector<SamplerOptions> kinds(5);
    kinds[1].segment_by = {2};
    kinds[2].align = SampleAlign::kRow;
    kinds[3] = {.unit = SampleUnit::kRow, .segment_by = {2}, .pad = SamplePad::kLeft};
    kinds[4] = {.unit = SampleUnit::kRow, .segment_by = {2}, .lanes = 3, .first_row = 11};
    for (SamplerOptions& options : kinds) {
      options.length = 4;
      options.batch_size = 64;
      options.replacement = false;
      const auto epoch = [&](const Reader& reader) {
        std::vector<std::int64_t> all;
        WindowSampler sampler({reader}, options);
        WindowBatch batch;
        sampler.BeginEpoch();
        while (sampler.Next(batch)) {
          all.insert(all.end(), batch.starts().begin(), batch.starts().end());
          std::vector<Value> values(batch.size() * batch.length());
          std::vector<std::uint8_t> present(values.size());
          if (options.unit == SampleUnit::kValue) {
            batch.ReadWindows({.values = values.data()});
          } else {
            const RowsColumn column{.type = 0, .out = values.data(), .present = present.data()};
            batch.ReadRows(std::span<const RowsColumn>(&column, 1));
          }
          all.insert(all.end(), values.begin(), values.end());
        }
        return all;
      };
      EXPECT_EQ(epoch(safe), epoch(mapped));
    }
  }

  static void ExpectSameWindows(const Reader& safe, const Reader& mapped) {
    for (const std::uint64_t width : {1U, 13U, 300U, 2000U}) {
      if (width > safe.size()) continue;
      std::vector<Position> starts;
      for (std::uint64_t at = 0; at <= safe.size() - width; at += 97)
        starts.push_back(static_cast<Position>(safe.size() - width - at));
      const std::size_t count = starts.size() * width;
      std::array<std::vector<std::int64_t>, 5> ours;
      std::array<std::vector<std::int64_t>, 5> theirs;
      for (auto* columns : {&ours, &theirs}) {
        for (auto& column : *columns) column.resize(count);
        const WindowsOut out{.values = (*columns)[0].data(),
                             .types = (*columns)[1].data(),
                             .step = (*columns)[2].data(),
                             .offset = (*columns)[3].data(),
                             .row = (*columns)[4].data()};
        (columns == &ours ? safe : mapped).ReadWindows(starts, width, out);
      }
      EXPECT_EQ(ours, theirs);
    }
  }

  static void ExpectSameRows(const Reader& safe, const Reader& mapped) {
    const auto rows = static_cast<Row>(safe.num_rows());
    for (const Row length : {1, 7, 300}) {
      if (length > rows) continue;
      std::vector<Row> starts;
      for (Row row = 0; row <= rows - length; row += 31) starts.push_back(rows - length - row);
      const std::size_t places = starts.size() * static_cast<std::size_t>(length);
      std::array<std::vector<std::int64_t>, 2> numbers;
      std::array<std::vector<std::uint8_t>, 2> present;
      for (const std::size_t which : {0U, 1U}) {
        numbers[which].resize(places);
        present[which].resize(places);
        const Reader& reader = which == 0 ? safe : mapped;
        reader.ReadRows<std::int64_t>(starts, static_cast<std::uint64_t>(length), 0, numbers[which],
                                      present[which]);
      }
      EXPECT_EQ(numbers[0], numbers[1]);
      EXPECT_EQ(present[0], present[1]);
      EXPECT_EQ(safe.LongestInRows(starts, static_cast<std::uint64_t>(length), 1),
                mapped.LongestInRows(starts, static_cast<std::uint64_t>(length), 1));
    }
    ASSERT_EQ(interop::CountIndex(safe, 3, rows), interop::CountIndex(mapped, 3, rows));
    std::vector<IndexEntry> ours(interop::CountIndex(safe, 3, rows));
    std::vector<IndexEntry> theirs(ours.size());
    interop::ReadIndex(safe, 3, rows, ours);
    interop::ReadIndex(mapped, 3, rows, theirs);
    const auto same = [](const IndexEntry& a, const IndexEntry& b) {
      return a.start == b.start && a.type == b.type && a.step == b.step;
    };
    EXPECT_TRUE(std::ranges::equal(ours, theirs, same));
  }
};

TEST_F(SafeReadsTest, GiveTheSameAsOrdinaryReads) {
  {
    StreamStore store = Open();
    Fill(store, 0, 1000);
    const Reader mapped = Reader::Open(path_);
    ExpectSame(Safe(), mapped);
    ExpectSame(Safe().Snapshot(517), mapped.Snapshot(517));
    ExpectSame(Safe().Snapshot(1000), mapped.Snapshot());
  }
  ExpectSame(Safe(), Reader::Open(path_));  // closed
  WriteAndDie([](StreamStore& store) { Fill(store, 1000, 1500); });
  ExpectSame(Safe(), Reader::Open(path_));  // recovered
  EXPECT_EQ(Safe().recovery().state, Recovery::State::kProcessCrash);
}

TEST_F(SafeReadsTest, HandleEmptyRecordsInsideAWindow) {
  {
    StreamStore store = Open();
    for (Step step = 0; step < 2000; ++step) {
      store.Append(step, {{0, step}});
      store.Append(step, {{1, List{}}});  // a separate record without values
    }
  }
  const Reader mapped = Reader::Open(path_);
  const std::vector<Position> starts = {100, 1200};
  std::vector<Row> ours(1000);
  std::vector<Row> theirs(1000);
  WindowsOut out;
  out.row = ours.data();
  Safe().ReadWindows(starts, 500, out);
  out.row = theirs.data();
  mapped.ReadWindows(starts, 500, out);
  EXPECT_EQ(ours, theirs);
}

// A layout of 60 fields is longer than the first read of a layout.
TEST_F(SafeReadsTest, ReadALongLayoutWhole) {
  std::vector<Field> fields;
  std::vector<FieldWrite> many;
  for (TypeId type = 0; type < 100; ++type) {
    fields.push_back({.name = StrCat("f", type)});
    if (type < 60) many.emplace_back(type, type);
  }
  options_.fields = fields;
  {
    StreamStore store = Open();
    store.Append(0, {{0, 0}});
    store.Append(1, many);
  }
  std::vector<std::int64_t> types(60);
  const std::vector<Position> starts = {1};
  Safe().ReadWindows(starts, 60, {.types = types.data()});
  std::vector<std::int64_t> expected(60);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(types, expected);
}

// Rows of 600 values: most hints point into the middle of a row.
TEST_F(SafeReadsTest, FindPositionsInsideLongRows) {
  {
    StreamStore store = Open();
    for (Step step = 0; step < 6; ++step) {
      List values(600);
      std::iota(values.begin(), values.end(), 1000 * step);
      store.Append(step, {{1, values}});
    }
  }
  const Reader safe = Safe();
  std::vector<Value> values(4);
  safe.ReadWindows(std::vector<Position>{10}, 4, {.values = values.data()});
  EXPECT_EQ(values, (List{10, 11, 12, 13}));
  std::vector<Row> rows(3);
  safe.RowOf(std::vector<Position>{10, 650, 3599}, rows);
  EXPECT_EQ(rows, (std::vector<Row>{0, 1, 5}));
}

TEST_F(SafeReadsTest, DoNotTrustHints) {
  {
    StreamStore store = Open();
    Fill(store, 0, 1000);
  }
  for (const char* kind : {"position_hints", "row_hints"}) {
    const File hints = Directory::Open(path_).OpenFile(FileOf(kind).c_str(), true);
    for (std::uint64_t at = 0; at + 8 <= hints.Size(); at += 8) {
      const std::uint64_t wrong = at % 3 == 0 ? ~std::uint64_t{0} : at * 7 % 900;
      hints.WriteAt(std::as_bytes(std::span(&wrong, 1)), at);
    }
    ExpectSame(Safe(), Reader::Open(path_));
  }
  fs::resize_file(path_ / FileOf("position_hints"), 0);
  fs::resize_file(path_ / FileOf("row_hints"), 0);
  ExpectSame(Safe(), Reader::Open(path_));
}

// A hint of a row must name its first record. One that names a later record looks right unless the
// record before it is read, too.
TEST_F(SafeReadsTest, DoNotBelieveAHintOfALaterRecordOfTheRow) {
  {
    StreamStore store = Open();
    for (Step step = 0; step < 300; ++step) {
      store.Append(step, {{0, step}});
      store.Append(step, {{1, List{step, -step}}});
      store.Append(step, {{2, true}});
    }
  }
  const std::uint64_t last_record_of_row = 3 * kHintStride + 2;
  Directory::Open(path_)
      .OpenFile(FileOf("row_hints").c_str(), true)
      .WriteAt(std::as_bytes(std::span(&last_record_of_row, 1)), sizeof(std::uint64_t));
  const RowView row = Safe().row(kHintStride);
  EXPECT_EQ(row.size(), 3U);
  EXPECT_EQ((*row.begin()).values[0], static_cast<Value>(kHintStride));
}

TEST_F(SafeReadsTest, FollowTheWriter) {
  StreamStore store = Open();
  Reader safe = Safe();
  EXPECT_EQ(safe.num_rows(), 0U);
  for (Step rows = 100; rows <= 500; rows += 100) {
    Fill(store, rows - 100, rows);
    safe.Refresh();
    ExpectSame(safe, store.reader());
    EXPECT_TRUE(safe.live());
  }
  EXPECT_FALSE(safe.Wait(501, std::chrono::milliseconds(5)));
  store.Close();
  EXPECT_FALSE(safe.live());
  StreamStore next = Open();
  Fill(next, 500, 600);
  safe.Refresh();
  ExpectSame(safe, next.reader());
}

TEST_F(SafeReadsTest, RowsOutliveTheReader) {
  {
    StreamStore store = Open();
    Fill(store, 0, 10);
  }
  RowView row = Safe().row(8);
  EXPECT_EQ((*row.begin()).values.size(), 8U);
  EXPECT_EQ((*row.begin()).values.back(), 8);
}

// Truncates one file after the other at every length while a reader is attached. A read gives an
// error or the right values, never a signal.
TEST_F(SafeReadsTest, TruncatedFilesAreErrors) {
  {
    StreamStore store = Open();
    Fill(store, 0, 400);
  }
  const std::string whole = Stored();
  fs::rename(path_, Scratch("good"));
  std::uint64_t errors = 0;
  for (const char* name :
       {"values", "records", "layouts", "position_hints", "row_hints", "control"}) {
    const std::uint64_t size = fs::file_size(Scratch("good") / FileOf(name));
    for (std::uint64_t i = 0; i < 20; ++i) {
      fs::remove_all(path_);
      fs::copy(Scratch("good"), path_, fs::copy_options::recursive);
      Reader safe = Safe();
      fs::resize_file(path_ / FileOf(name), size * i / 20);
      try {
        safe.Refresh();
        EXPECT_EQ(Show(safe), whole);
        std::vector<Position> starts = {0, 100};
        std::vector<Value> values(2 * 64);
        safe.ReadWindows(starts, 64, {.values = values.data()});
      } catch (const Error& error) {
        ++errors;
        const bool typed =
            error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kCutBack;
        EXPECT_TRUE(typed) << error.what();
      }
    }
  }
  EXPECT_GT(errors, 50U);
}

// Another process truncates and restores the file all the time.
TEST_F(SafeReadsTest, SurviveConcurrentTruncation) {
  {
    StreamStore store = Open();
    Fill(store, 0, 400);
  }
  const Reader safe = Safe();
  std::atomic<bool> stop{false};
  std::thread cutter([&] {
    const std::uint64_t size = SizeOf("values");
    while (!stop) {
      fs::resize_file(path_ / FileOf("values"), 0);
      fs::resize_file(path_ / FileOf("values"), size);
    }
  });
  std::vector<Value> values(500);
  for (int i = 0; i < 3000; ++i) {
    const std::vector<Position> starts = {i % 500};
    try {
      safe.ReadWindows(starts, 500, {.values = values.data()});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
    }
  }
  stop = true;
  cutter.join();
}

}  // namespace
}  // namespace stream_store::internal
