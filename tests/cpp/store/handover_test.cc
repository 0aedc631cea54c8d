// Reading a temporary store through duplicates of its descriptors, as another process would.
#include <gtest/gtest.h>
#include <unistd.h>

#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "support/scratch.h"

namespace stream_store::internal {
namespace {

interop::Handover Duplicate(const interop::Handover& files) {
  interop::Handover copy = files;
  for (int& descriptor : copy.descriptors) {
    descriptor = ::dup(descriptor);
  }
  return copy;
}

TEST(HandoverTest, FollowsTheWriterUntilItCloses) {
  StreamStore store = StreamStore::Temporary({.capacity_values = 100, .fields = {{.name = "x"}}});
  store.Append(0, {{TypeId{0}, 7}});
  Reader reader = interop::TakeOver(Duplicate(interop::HandOver(store.reader())));
  EXPECT_EQ(reader.num_rows(), 1U);
  EXPECT_EQ(reader.id(), store.id());
  EXPECT_TRUE(reader.path().empty());
  EXPECT_TRUE(reader.live());
  for (Step step = 1; step < 100'000; ++step) {
    store.Append(step, {{TypeId{0}, step}});
  }
  reader.Refresh();
  EXPECT_EQ(reader.num_rows(), 100'000U);
  EXPECT_EQ(reader.row(99'999).begin()->values[0], 99'999);
  EXPECT_EQ(reader.field_writes(), 100'000U);
  const Reader own = store.reader();
  store.Close();
  EXPECT_FALSE(reader.live());
  EXPECT_FALSE(own.live());
  EXPECT_FALSE(store.reader().live());  // the rows are there as long as a Reader of this process is
  EXPECT_EQ(reader.row(0).begin()->values[0], 7);
}

TEST(HandoverTest, IsRefusedForAStoreWithAPath) {
  const ScratchDirectory directory;
  const StreamStore store =
      StreamStore::Open(directory.path() / "store", {.fields = {{.name = "x"}}});
  EXPECT_THROW(interop::HandOver(store.reader()), Error);
}

TEST(HandoverTest, RefusesFilesThatAreNotAStore) {
  const StreamStore store = StreamStore::Temporary({.fields = {{.name = "x"}}});
  const interop::Handover files = interop::HandOver(store.reader());
  interop::Handover wrong = Duplicate(files);
  std::swap(wrong.descriptors[0], wrong.descriptors[4]);  // values in the place of control
  EXPECT_THROW(interop::TakeOver(wrong), Error);
  wrong = Duplicate(files);
  wrong.schema.pop_back();
  EXPECT_THROW(interop::TakeOver(wrong), Error);
}

}  // namespace
}  // namespace stream_store::internal
