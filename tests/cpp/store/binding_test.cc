// The parts of interop.h for the writers of a binding: when rows are dropped, and the Reader that a
// writer keeps from call to call.
#include <atomic>
#include <filesystem>
#include <memory>

#include <gtest/gtest.h>

#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "support/patience.h"
#include "support/scratch.h"

namespace stream_store::interop {
namespace {

using internal::Eventually;

void Append(StreamStore& store, Step first, Step end) {
  for (Step step = first; step < end; ++step) {
    store.Append(step, {{0, step}});
  }
}

class BindingTest : public ::testing::Test {
 protected:
  // A store with ten rows more than its limit, as a killed writer leaves it.
  void LeaveExcess() {
    StreamStore store = StreamStore::Open(path_, {.fields = {{.name = "x"}}});
    Append(store, 0, 20);
    store.Close();
    StreamStore limited = OpenWithoutDropping(path_, {});
    limited.SetRetention({.rows = 10});
    limited.Close();
  }

  internal::ScratchDirectory scratch_;
  const std::filesystem::path path_ = scratch_ / "store";
};

TEST_F(BindingTest, NothingIsDroppedBeforeStartDropping) {
  LeaveExcess();
  {
    StreamStore store = OpenWithoutDropping(path_, {});
    store.Close();
  }
  StreamStore store = OpenWithoutDropping(path_, {});
  EXPECT_EQ(store.retention().rows, 10U);
  EXPECT_EQ(store.reader().first_row(), 0);
  StartDropping(store);
  StartDropping(store);
  EXPECT_TRUE(Eventually([&] { return store.reader().first_row() == 10; }));
}

TEST_F(BindingTest, LimitsThatAreLiftedFirstDropNothing) {
  LeaveExcess();
  StreamStore store = OpenWithoutDropping(path_, {});
  store.SetRetention({});
  StartDropping(store);
  store.Close();
  EXPECT_EQ(Reader::Open(path_).first_row(), 0);
}

TEST_F(BindingTest, TheCallerIsToldUntilItAgrees) {
  LeaveExcess();
  std::atomic<int> calls{0};
  StreamStore store = OpenWithoutDropping(path_, {});
  OnDrop(store, [&] { return ++calls == 3; });
  StartDropping(store);
  EXPECT_TRUE(Eventually([&] { return calls.load() == 3; }));
  store.Close();
  EXPECT_EQ(calls.load(), 3);
}

TEST_F(BindingTest, AKeptReaderFollowsItsStore) {
  StreamStore store = StreamStore::Open(path_, {.fields = {{.name = "x"}}});
  Append(store, 0, 3);
  KeptReader kept;
  EXPECT_EQ(kept.Use(), nullptr);
  EXPECT_EQ(kept.Last(), nullptr);
  EXPECT_TRUE(kept.LetGo());
  kept.Set(store.reader());
  Append(store, 3, 5);
  EXPECT_EQ(kept.Last()->num_rows(), 3U);
  EXPECT_EQ(kept.Use()->num_rows(), 5U);
  EXPECT_EQ(kept.Last()->num_rows(), 5U);
  kept.Reset();
  EXPECT_EQ(kept.Use(), nullptr);
}

TEST_F(BindingTest, AKeptReaderIsLetGoUnlessACallUsesIt) {
  StreamStore store = StreamStore::Open(path_, {.fields = {{.name = "x"}}});
  Append(store, 0, 3);
  KeptReader kept;
  kept.Set(store.reader());
  std::shared_ptr<Reader> used = kept.Use();
  EXPECT_FALSE(kept.LetGo());
  EXPECT_EQ(kept.Last(), used);
  used.reset();
  EXPECT_TRUE(kept.LetGo());
  Append(store, 3, 4);
  EXPECT_EQ(kept.Last()->num_rows(), 4U) << "it is made again";
}

}  // namespace
}  // namespace stream_store::interop
