// StoreGroup: finding stores, the fields of a group, writers, and samplers of a group. The Python tests
// have more of what users do.
#include "stream_store/group.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "stream_store/error.h"
#include "stream_store/interop.h"
#include "stream_store/sampler.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

enum GroupType : TypeId { kWho, kNumber };

std::vector<Field> Fields() { return {{.name = "who"}, {.name = "number"}}; }

StoreGroup NewGroup(const ScratchDirectory& scratch) {
  return StoreGroup::Open(scratch.path() / "group", {.fields = Fields()});
}

void Write(const StoreGroup& group, std::int64_t who, std::int64_t rows) {
  StreamStore store = group.OpenWriter("w" + std::to_string(who));
  for (std::int64_t row = 0; row < rows; ++row) {
    store.Append(row, {{kWho, who}, {kNumber, row}});
  }
}

std::vector<std::string> Names(const StoreGroup& group) {
  std::vector<std::string> names;
  for (const GroupStore& store : group.stores()) {
    names.push_back(store.name);
  }
  return names;
}

SamplerOptions Options() {
  SamplerOptions options;
  options.length = 2;
  options.unit = SampleUnit::kRow;
  options.batch_size = 32;
  return options;
}

// Reads the windows of a batch, checks that each is two rows of one store, and returns the values of
// `who`.
std::multiset<std::int64_t> Read(const WindowBatch& batch) {
  std::vector<std::int64_t> who(batch.size() * 2);
  std::vector<std::int64_t> number(batch.size() * 2);
  const RowsColumn columns[] = {{.type = kWho, .out = who.data()},
                                {.type = kNumber, .out = number.data()}};
  batch.ReadRows(columns);
  std::multiset<std::int64_t> found;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(who[2 * i], who[2 * i + 1]);
    EXPECT_EQ(number[2 * i] + 1, number[2 * i + 1]);
    EXPECT_EQ(batch.starts()[i], number[2 * i]);
    found.insert(who[2 * i]);
  }
  return found;
}

TEST(GroupTest, FindsStoresThatComeAndGo) {
  const ScratchDirectory scratch;
  StoreGroup group = NewGroup(scratch);
  EXPECT_TRUE(group.stores().empty());
  EXPECT_FALSE(group.Refresh());
  Write(group, 2, 3);
  Write(group, 1, 3);
  EXPECT_TRUE(group.stores().empty());
  EXPECT_TRUE(group.Refresh());
  EXPECT_FALSE(group.Refresh());
  EXPECT_EQ(Names(group), (std::vector<std::string>{"w1", "w2"}));
  const StoreGroup copy = group;
  fs::remove_all(group.path() / "w1");
  EXPECT_TRUE(group.Refresh());
  EXPECT_EQ(Names(group), std::vector<std::string>{"w2"});
  EXPECT_EQ(Names(copy), (std::vector<std::string>{"w1", "w2"}));
  EXPECT_EQ(copy.stores()[0].reader.num_rows(), 3U);  // a store that has left stays readable
}

TEST(GroupTest, HasTheFieldsThatItWasCreatedWith) {
  const ScratchDirectory scratch;
  const fs::path path = scratch.path() / "group";
  EXPECT_EQ(ErrorOf([&] { StoreGroup::Open(path); }).code(), ErrorCode::kNotFound);
  fs::create_directory(path);
  EXPECT_EQ(ErrorOf([&] { StoreGroup::Open(path); }).code(), ErrorCode::kNotFound);
  NewGroup(scratch);
  EXPECT_EQ(StoreGroup::Open(path).schema().fields(), Fields());
  EXPECT_EQ(ErrorOf([&] { StoreGroup::Open(path, {.fields = {{.name = "who"}}}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(StoreGroup::Open(path, {.fields = Fields()}).fields_path(), path / ".group");
}

TEST(GroupTest, WaitsForItsFields) {
  const ScratchDirectory scratch;
  const fs::path path = scratch.path() / "group";
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    StoreGroup::Open(path, {.fields = Fields()});
  });
  const StoreGroup group = StoreGroup::Open(path, {.wait = std::chrono::minutes(5)});
  writer.join();
  EXPECT_EQ(group.schema().size(), 2U);
}

TEST(GroupTest, OpensWriters) {
  const ScratchDirectory scratch;
  const StoreGroup group = NewGroup(scratch);
  StreamStore one = group.OpenWriter();
  StreamStore two = group.OpenWriter();
  EXPECT_NE(one.path(), two.path());
  EXPECT_EQ(one.schema(), group.schema());
  one.Close();
  const std::string name = one.path().filename();
  EXPECT_EQ(group.OpenWriter(name, {.retain_rows = 5}).reader().retention().rows, 5U);
  EXPECT_EQ(ErrorOf([&] { group.OpenWriter(two.path().filename()); }).code(), ErrorCode::kLocked);
  for (const std::string& bad :
       {std::string(".x"), std::string("a/b"), std::string(300, 'x'), std::string("a\0b", 3)}) {
    EXPECT_EQ(ErrorOf([&] { group.OpenWriter(bad); }).code(), ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_EQ(ErrorOf([&] { group.OpenWriter("x", {.fields = Fields()}); }).code(),
            ErrorCode::kInvalidArgument);
  StreamStore::Open(group.path() / "odd", {.fields = {{.name = "odd"}}}).Close();
  EXPECT_EQ(ErrorOf([&] { group.OpenWriter("odd"); }).code(), ErrorCode::kInvalidArgument);
}

TEST(GroupTest, SkipsOrRefusesOtherStores) {
  const ScratchDirectory scratch;
  StoreGroup group = NewGroup(scratch);
  StoreGroup strict = StoreGroup::Open(group.path(), {.skip_damaged = false});
  Write(group, 1, 3);
  StreamStore::Open(group.path() / "odd", {.fields = {{.name = "odd"}}}).Close();
  group.Refresh();
  EXPECT_EQ(Names(group), std::vector<std::string>{"w1"});
  ASSERT_EQ(group.skipped().size(), 1U);
  EXPECT_EQ(group.skipped()[0].name, "odd");
  EXPECT_EQ(group.skipped()[0].code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ErrorOf([&] { strict.Refresh(); }).code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(strict.stores().empty());
}

// The limit lies below the descriptors that are open, so that no other one can be opened.
TEST(GroupTest, TakesTooManyOpenFilesForNoDamage) {
  const ScratchDirectory scratch;
  StoreGroup group = NewGroup(scratch);
  Write(group, 1, 3);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  int most = 0;
  for (const int kept : {10, 11, 12, 13, 14, 15, 16, 17}) {
    const rlimit low{.rlim_cur = static_cast<rlim_t>(kept), .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    try {
      group.Refresh();
    } catch (const Error& error) {
      EXPECT_EQ(error.system_errno(), EMFILE);
      ++most;
    }
    EXPECT_TRUE(group.skipped().empty());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  }
  EXPECT_GT(most, 0);
  group.Refresh();
  EXPECT_EQ(Names(group), std::vector<std::string>{"w1"});
}

TEST(GroupTest, OfAnotherThingThanADirectoryIsAnError) {
  const ScratchDirectory scratch;
  NewGroup(scratch);
  fs::remove_all(scratch.path() / "group");
  StoreGroup group = NewGroup(scratch);
  fs::remove_all(group.path());
  EXPECT_EQ(ErrorOf([&] { group.Refresh(); }).code(), ErrorCode::kNotFound);
}

TEST(GroupTest, IsSampledAsItIsNow) {
  const ScratchDirectory scratch;
  StoreGroup group = NewGroup(scratch);
  WindowSampler sampler(group, Options());
  EXPECT_EQ(sampler.NumStarts(), 0U);
  WindowBatch batch;
  EXPECT_EQ(ErrorOf([&] { sampler.Sample(batch); }).code(), ErrorCode::kInvalidArgument);
  std::set<std::int64_t> seen;
  for (std::int64_t who = 0; who < 5; ++who) {
    Write(group, who, 10);
    interop::LookForStores(sampler);
    EXPECT_EQ(sampler.NumStarts(), 9U * static_cast<std::uint64_t>(who + 1));
    for (int i = 0; i < 20; ++i) {
      sampler.Sample(batch);
      for (const std::int64_t one : Read(batch)) {
        seen.insert(one);
      }
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(who + 1));
  }
  fs::remove_all(group.path() / "w2");
  interop::LookForStores(sampler);
  for (int i = 0; i < 20; ++i) {
    sampler.Sample(batch);
    EXPECT_EQ(Read(batch).count(2), 0U);
  }
  EXPECT_EQ(sampler.store_ids().size(), 5U);
}

TEST(GroupTest, AnEpochHasEachWindowOnceThoughStoresLeave) {
  const ScratchDirectory scratch;
  const StoreGroup group = NewGroup(scratch);
  for (std::int64_t who = 0; who < 3; ++who) {
    Write(group, who, 10);
  }
  SamplerOptions options = Options();
  options.replacement = false;
  options.batch_size = 4;
  WindowSampler sampler(group, options);
  sampler.BeginEpoch();
  WindowBatch batch;
  std::multiset<std::int64_t> drawn;
  for (int i = 0; sampler.Next(batch); ++i) {
    drawn.merge(Read(batch));
    if (i == 2) {
      fs::remove_all(group.path() / "w1");
      Write(group, 3, 20);
      EXPECT_NE(sampler.NumStarts(), 0U);
    }
  }
  for (std::int64_t who = 0; who < 3; ++who) {
    EXPECT_EQ(drawn.count(who), 9U);
  }
  EXPECT_EQ(drawn.size(), 27U);
}

TEST(GroupTest, AStateKeepsTheNumbersOfItsStores) {
  const ScratchDirectory scratch;
  const StoreGroup group = NewGroup(scratch);
  for (const std::int64_t who : {5, 3}) {
    Write(group, who, 10);
  }
  WindowSampler sampler(group, Options());
  WindowBatch batch;
  sampler.Sample(batch);
  const SamplerState state = sampler.state();
  Write(group, 1, 10);
  WindowSampler other(StoreGroup::Open(group.path()), Options());
  other.Restore(state);
  EXPECT_EQ(other.store_ids(), state.stores);
  interop::LookForStores(sampler);
  WindowBatch same;
  for (int i = 0; i < 5; ++i) {
    sampler.Sample(batch);
    other.Sample(same);
    EXPECT_EQ(Read(batch), Read(same));
  }
  fs::remove_all(group.path() / "w3");
  SamplerState with_epoch = state;
  with_epoch.extents = {{.rows = 10, .values = 20}, {.rows = 10, .values = 20}};
  SamplerOptions options = Options();
  options.replacement = false;
  WindowSampler epochs(StoreGroup::Open(group.path()), options);
  EXPECT_EQ(ErrorOf([&] { epochs.Restore(with_epoch); }).code(), ErrorCode::kInvalidArgument);
}

// A store of which no word has changed since the last batch is not looked at again. Each of these changes
// must therefore change a word that the sampler compares.
TEST(GroupTest, ASamplerSeesEachKindOfChangeOfAStore) {
  const ScratchDirectory scratch;
  const StoreGroup group = NewGroup(scratch);
  std::vector<StreamStore> stores;
  for (const char* name : {"a", "b"}) {
    stores.push_back(group.OpenWriter(name));
    for (Step row = 0; row < 20; ++row) {
      stores.back().Append(row, {{kWho, 0}, {kNumber, row}});
    }
  }
  WindowSampler sampler(group, Options());
  WindowBatch batch;
  const auto sample = [&] {
    sampler.Sample(batch);
    sampler.Sample(batch);  // of stores that have not changed since the batch before
    Read(batch);
    return batch.anchors();
  };
  sample();
  EXPECT_EQ(sampler.NumStarts(), 38U);
  stores[1].Append(20, {{kWho, 0}, {kNumber, 20}});
  sample();
  EXPECT_EQ(sampler.NumStarts(), 39U);
  const WindowBatch old = batch;
  for (StreamStore& store : stores) {
    store.DropBefore(15);
  }
  EXPECT_GE(std::ranges::min(sample()), 15);
  EXPECT_EQ(sampler.NumStarts(), 9U);
  Read(old);  // a batch keeps its rows
  for (StreamStore& store : stores) {
    store.AddFields({{.name = "more"}});
  }
  sample();
  std::vector<std::uint8_t> present(batch.size() * 2, 7);
  const RowsColumn more{.type = 2, .present = present.data()};
  batch.ReadRows({&more, 1});
  EXPECT_EQ(present, std::vector<std::uint8_t>(present.size(), 0));
}

TEST(GroupTest, ASamplerFollowsAWriterThatTruncates) {
  const ScratchDirectory scratch;
  const StoreGroup group = NewGroup(scratch);
  Write(group, 1, 10);
  WindowSampler sampler(group, Options());
  EXPECT_EQ(sampler.NumStarts(), 9U);
  StreamStore store = group.OpenWriter("w1");
  store.Truncate(4);
  EXPECT_EQ(sampler.NumStarts(), 3U);
  WindowBatch batch;
  sampler.Sample(batch);
  Read(batch);
  WindowSampler list({Reader::Open(store.path())}, Options());
  store.Truncate(2);
  EXPECT_EQ(ErrorOf([&] { list.NumStarts(); }).code(), ErrorCode::kCutBack);
}

}  // namespace
}  // namespace stream_store::internal
