// Limits of a store: they are stored, readers see them, and a refused change leaves them.
#include <filesystem>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "stream_store/error.h"
#include "stream_store/reader.h"
#include "stream_store/store.h"

#include "support/patience.h"
#include "support/scratch.h"

namespace stream_store {
namespace {

using internal::Eventually;

std::vector<Field> Fields() {
  return {{.name = "episode", .dtype = DType::kInt64}, {.name = "value", .dtype = DType::kInt64}};
}

void Append(StreamStore& store, Step first, Step count) {
  for (Step step = first; step < first + count; ++step) {
    store.Append(step, {{0, step / 10}, {1, step}});
  }
}

ErrorCode CodeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::kOk;
}

TEST(RetentionTest, LimitsAreStoredAndSeenByReaders) {
  const internal::ScratchDirectory scratch;
  const std::filesystem::path path = scratch / "store";
  const Retention wanted{.rows = 20, .segments = 5, .segment_by = {"episode"}};
  {
    StreamStore store = StreamStore::Open(
        path,
        {.retain_rows = 20, .retain_segments = 5, .segment_by = {"episode"}, .fields = Fields()});
    EXPECT_EQ(store.retention(), wanted);
    EXPECT_EQ(store.reader().retention(), wanted);
    Append(store, 0, 100);
  }
  const Reader reader = Reader::Open(path);
  EXPECT_EQ(reader.retention(), wanted);
  EXPECT_EQ(reader.first_row(), 80U);
  EXPECT_EQ(Reader::Open(path, {.safe_reads = true}).retention(), wanted);
}

TEST(RetentionTest, ATemporaryStoreShowsItsLimitsToReaders) {
  StreamStore store = StreamStore::Temporary({.retain_rows = 7});
  EXPECT_EQ(store.retention(), Retention{.rows = 7});
  store.DefineFields(Fields());
  EXPECT_EQ(store.reader().retention(), Retention{.rows = 7});
  store.SetRetention({.rows = 3});
  EXPECT_EQ(store.reader().retention(), Retention{.rows = 3});
  store.Clear();
  EXPECT_EQ(store.reader().retention(), Retention{.rows = 3});
}

TEST(RetentionTest, SetRetentionReplacesTheHelperThatDrops) {
  const internal::ScratchDirectory scratch;
  const std::filesystem::path path = scratch / "store";
  StreamStore store = StreamStore::Open(path, {.fields = Fields()});
  Append(store, 0, 100);
  store.SetRetention({.rows = 50});
  EXPECT_TRUE(Eventually([&] { return store.reader().first_row() == 50; }));
  store.SetRetention({.segments = 2, .segment_by = {"episode"}});
  EXPECT_TRUE(Eventually([&] { return store.reader().first_row() == 80; }));
  store.SetRetention({});
  Append(store, 100, 100);
  store.Close();
  EXPECT_EQ(Reader::Open(path).first_row(), 80U);
  EXPECT_EQ(Reader::Open(path).retention(), Retention{});
}

TEST(RetentionTest, ARefusedChangeLeavesTheLimits) {
  const internal::ScratchDirectory scratch;
  const std::filesystem::path path = scratch / "store";
  StreamStore store = StreamStore::Open(path, {.retain_rows = 50, .fields = Fields()});
  for (const Retention& wrong : std::vector<Retention>{
           {.rows = 0}, {.bytes = 1}, {.segments = 3}, {.rows = 3, .segment_by = {"nope"}}}) {
    EXPECT_EQ(CodeOf([&] { store.SetRetention(wrong); }), ErrorCode::kInvalidArgument);
    EXPECT_EQ(store.retention(), Retention{.rows = 50});
    EXPECT_EQ(store.reader().retention(), Retention{.rows = 50});
  }
  store.Close();
  EXPECT_EQ(CodeOf([&] { store.SetRetention({.rows = 3}); }), ErrorCode::kClosed);
  EXPECT_EQ(Reader::Open(path).retention(), Retention{.rows = 50});
}

}  // namespace
}  // namespace stream_store
