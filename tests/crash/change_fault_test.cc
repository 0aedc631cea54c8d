// Every system call fails in turn, and the process is killed at each, in a life that changes the
// whole store: it adds a field, drops and truncates rows, sets a limit, and updates a checkpoint.
//
// By hand: FAULT_STRIDE=1 crash_fault_test.

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/store.h"
#include "stream_store/verify.h"

#include "base/helper_thread.h"
#include "base/str_cat.h"
#include "crash/fault_fixture.h"
#include "format/control.h"

namespace stream_store::crash {

using internal::StrCat;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kChunk = 4096;  // holds 128 records
constexpr Row kMostRows = 300;
constexpr TypeId kLate = 3;

// The changes that were requested and those that were acknowledged. Each pair bounds the state that
// the next open may find.
struct Progress {
  std::atomic<Row> least_rows{0}, most_rows{0};
  std::atomic<Row> least_first{0}, most_first{0};
  std::atomic<Row> least_limit{0}, most_limit{0};  // 0: none
  std::atomic<bool> late{false}, maybe_late{false};
  std::atomic<Row> least_copied{0};                     // 0: there may be no checkpoint
  std::array<std::atomic<bool>, kMostRows> has_late{};  // by row
};

std::vector<Field> FirstFields() {
  return {Field{.name = "count"}, Field{.name = "list", .shape = {kRagged}},
          Field{.name = "flag", .dtype = DType::kBool}};
}

Options SmallChunks() {
  return Options{.capacity_values = 512,
                 .chunk_bytes = kChunk,
                 .grow_ahead = false,
                 .sync_interval = {},
                 .sync_bytes = 0};
}

std::vector<Value> ListOf(Row row) {
  return std::vector<Value>(static_cast<std::size_t>(row % 5), row);
}

class ChangeFaultTest : public FaultFixture {
 protected:
  ChangeFaultTest() {
    internal::SmallestChunkBytes() = kChunk;
    internal::HelperThread::Allowed() = false;  // the limit is enforced when the store is closed
  }

  ~ChangeFaultTest() override {
    internal::SmallestChunkBytes() = internal::kMinChunkBytes;
    internal::HelperThread::Allowed() = true;
  }

  void Renew() override {
    MakePlace();
    done_->least_rows = done_->most_rows = 0;
    done_->least_first = done_->most_first = 0;
    done_->least_limit = done_->most_limit = 0;
    done_->late = done_->maybe_late = false;
    done_->least_copied = 0;
    for (std::atomic<bool>& has : done_->has_late) has = false;
  }

  void Live() override {
    Open([&](StreamStore& store) {
      AppendUpTo(store, 140);
      Refused([&] { store.Sync(); });
      Copy(store);
      AddField(store);
      AppendUpTo(store, 200);
      Drop(store, 130);
      Truncate(store, 180);
      AppendUpTo(store, 220);
      Copy(store);
      SetLimit(store, 50);
    });
    Open([&](StreamStore& store) {
      AddField(store);
      Copy(store);
      AppendUpTo(store, 230);
    });
  }

  // Opens the store, or creates it, and closes it. The close drops the rows that the limit does not retain.
  template <class Work>
  void Open(const Work& work) {
    std::optional<StreamStore> store;
    Options options = SmallChunks();
    if (!fs::exists(path_)) options.fields = FirstFields();
    if (Refused([&] { store = StreamStore::Open(path_, options); })) return;
    work(*store);
    const Row limit = done_->most_limit;
    const auto rows = static_cast<Row>(store->reader().num_rows());
    if (limit > 0) done_->most_first = std::max(done_->most_first.load(), rows - limit);
    if (!Refused([&] { store->Close(); }) && done_->least_limit > 0) {
      done_->least_first = done_->most_first.load();
    }
  }

  void AppendUpTo(StreamStore& store, Row rows) {
    const bool late = store.schema().size() > kLate;
    int refusals = 0;
    for (auto row = static_cast<Row>(store.reader().num_rows()); row < rows && refusals < 3;) {
      done_->has_late[static_cast<std::size_t>(row)] = late;
      done_->most_rows = row + 1;
      if (Refused([&] { AppendRow(store, row, late); })) {
        ++refusals;
        EXPECT_EQ(store.reader().num_rows(), static_cast<std::uint64_t>(row)) << "a refused append";
        done_->most_rows = row;
        continue;
      }
      done_->least_rows = ++row;
    }
  }

  static void AppendRow(StreamStore& store, Row row, bool late) {
    const std::vector<Value> list = ListOf(row);
    if (late) {
      store.Append(row, {{0, row}, {1, list}, {2, row % 2 == 1}, {kLate, -row}});
    } else {
      store.Append(row, {{0, row}, {1, list}, {2, row % 2 == 1}});
    }
  }

  void AddField(StreamStore& store) {
    if (store.schema().size() > kLate) return;
    done_->maybe_late = true;
    if (!Refused([&] { store.AddFields({Field{.name = "late"}}); })) done_->late = true;
  }

  void Drop(StreamStore& store, Row row) {
    const Reader reader = store.reader();
    if (static_cast<Row>(reader.num_rows()) <= row || static_cast<Row>(reader.first_row()) >= row) {
      return;
    }
    done_->most_first = row;
    if (!Refused([&] { store.DropBefore(row); })) done_->least_first = row;
  }

  void Truncate(StreamStore& store, Row rows) {
    if (static_cast<Row>(store.reader().num_rows()) <= rows) return;
    done_->least_rows = rows;
    Refused([&] { store.Truncate(static_cast<std::uint64_t>(rows)); });
    const auto left = static_cast<Row>(store.reader().num_rows());
    EXPECT_TRUE(left == rows || left == done_->most_rows) << left << " rows after a truncation";
    if (refused_ == 0) done_->most_rows = rows;
  }

  void SetLimit(StreamStore& store, Row rows) {
    done_->most_limit = rows;
    const Retention limits{.rows = static_cast<std::uint64_t>(rows)};
    if (!Refused([&] { store.SetRetention(limits); })) done_->least_limit = rows;
  }

  // Not after a truncation that may have been made or not: the checkpoint could have more rows.
  void Copy(StreamStore& store) {
    if (done_->least_rows != done_->most_rows) return;
    const Reader reader = store.reader();
    const bool failed = Refused([&] { reader.UpdateCheckpoint(copy_); });
    if (!failed) done_->least_copied = static_cast<Row>(reader.num_rows());
  }

  // Checks the rows and fields of the store or of its checkpoint.
  void ExpectRows(const Reader& reader) const {
    const bool late = reader.schema().size() > kLate;
    EXPECT_TRUE(!late || done_->maybe_late);
    for (auto row = static_cast<Row>(reader.first_row()); row < static_cast<Row>(reader.num_rows());
         ++row) {
      const RowView view = reader.row(row);
      std::vector<std::vector<Value>> expected = {{row}, ListOf(row), {row % 2}};
      if (done_->has_late[static_cast<std::size_t>(row)]) expected.push_back({-row});
      std::vector<std::vector<Value>> found;
      for (const auto& [type, values] : view) found.emplace_back(values.begin(), values.end());
      ASSERT_EQ(found, expected) << "row " << row << " of " << reader.num_rows();
      ASSERT_EQ(view.step(), row);
    }
  }

  void ExpectStore() const {
    const VerifyReport report = Verify(path_);
    EXPECT_TRUE(report.ok()) << FindingText(report.findings.front());
    const Reader reader = Reader::Open(path_);
    EXPECT_NE(reader.recovery().state, Recovery::State::kTruncated) << reader.recovery().reason;
    const auto rows = static_cast<Row>(reader.num_rows());
    EXPECT_GE(rows, done_->least_rows);
    EXPECT_LE(rows, done_->most_rows);
    const auto first = static_cast<Row>(reader.first_row());
    EXPECT_GE(first, done_->least_first);
    EXPECT_LE(first, done_->most_first);
    const auto limit = static_cast<Row>(reader.retention().rows.value_or(0));
    EXPECT_TRUE(limit == done_->least_limit || limit == done_->most_limit) << limit;
    EXPECT_TRUE(reader.schema().size() > kLate || !done_->late) << "the added field is gone";
    ExpectRows(reader);
  }

  void ExpectCopy() const {
    if (!fs::exists(copy_)) {
      EXPECT_EQ(done_->least_copied, 0) << "the checkpoint is gone";
      return;
    }
    const VerifyReport report = Verify(copy_);
    EXPECT_TRUE(report.ok()) << FindingText(report.findings.front());
    const Reader reader = Reader::Open(copy_);
    EXPECT_GE(static_cast<Row>(reader.num_rows()), done_->least_copied);
    EXPECT_LE(static_cast<Row>(reader.first_row()), done_->most_first);
    ExpectRows(reader);
  }

  // The store goes on, and its checkpoint can be brought up to date, whatever was left of both.
  void ExpectAllIsWell(const std::string& what) override {
    SCOPED_TRACE(what);
    if (fs::exists(path_)) {
      ExpectStore();
    } else {
      EXPECT_EQ(done_->least_rows, 0) << "the store is gone";
    }
    ExpectCopy();
    Options options = SmallChunks();
    if (!fs::exists(path_)) options.fields = FirstFields();
    StreamStore store = StreamStore::Open(path_, options);
    const auto row = static_cast<Row>(store.reader().num_rows());
    done_->has_late[static_cast<std::size_t>(row)] = store.schema().size() > kLate;
    AppendRow(store, row, store.schema().size() > kLate);
    EXPECT_EQ(store.Sync(), static_cast<std::uint64_t>(row) + 1);
    store.reader().UpdateCheckpoint(copy_);
    const Reader copy = Reader::Open(copy_);
    EXPECT_EQ(copy.num_rows(), static_cast<std::uint64_t>(row) + 1);
    EXPECT_EQ(copy.first_row(), store.reader().first_row());
    EXPECT_EQ(copy.schema(), store.schema());
    ExpectRows(copy);
    store.Close();
    EXPECT_TRUE(Verify(path_).findings.empty());
    EXPECT_TRUE(Verify(copy_).findings.empty());
    ExpectNoLeftovers("store");
    ExpectNoLeftovers("copy");
  }

  const fs::path copy_ = place_ / "copy";
  const SharedObject<Progress> done_;
};

TEST_F(ChangeFaultTest, AnyCallMayFailOnceOrAlways) { FailAnyCall(); }

TEST_F(ChangeFaultTest, TheProcessMayBeKilledAtAnyCall) { KillAtAnyCall(); }

}  // namespace
}  // namespace stream_store::crash
