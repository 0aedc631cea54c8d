// Reading a temporary store by its hidden directory, as another process would.
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_store/interop.h"
#include "stream_store/store.h"

#include "support/forked_exit.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class HandoverTest : public ::testing::Test {
 protected:
  StreamStore Temporary(std::vector<Field> fields = {{.name = "x"}}) const {
    return StreamStore::Temporary({.capacity_values = 100,
                                   .fields = std::move(fields),
                                   .temporary_directory = scratch_.path()});
  }

  ScratchDirectory scratch_;
};

TEST_F(HandoverTest, FollowsTheWriterUntilItCloses) {
  StreamStore store = Temporary();
  store.Append(0, {{TypeId{0}, 7}});
  Reader reader = interop::TakeOver(interop::HandOver(store.reader()));
  EXPECT_EQ(reader.num_rows(), 1U);
  EXPECT_EQ(reader.id(), store.id());
  EXPECT_TRUE(reader.path().empty());
  EXPECT_TRUE(reader.live());
  EXPECT_EQ(reader.durable_rows(), 0U);
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

TEST_F(HandoverTest, AReaderKeepsAllRowsAfterTheDirectoryWasDeleted) {
  StreamStore store = Temporary();
  Reader empty = interop::TakeOver(interop::HandOver(store.reader()));
  store.Append(0, {{TypeId{0}, 7}});
  Reader reader = interop::TakeOver(interop::HandOver(store.reader()));
  store.Append(1, {{TypeId{0}, 8}});
  store.Close();
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
  for (Reader* one : {&empty, &reader}) {
    one->Refresh();
    EXPECT_EQ(one->num_rows(), 2U);
    EXPECT_EQ(one->row(1).begin()->values[0], 8);
    EXPECT_FALSE(one->live());
  }
}

// It may be deleted while a process that was just started still has to open it.
TEST_F(HandoverTest, AStoreThatWasClosedIsNotFound) {
  StreamStore store = Temporary();
  const fs::path directory = interop::HandOver(store.reader());
  {
    const Reader own = store.reader();
    store.Close();
    EXPECT_EQ(interop::TakeOver(directory).id(), store.id());  // a Reader of its process keeps it
  }
  const Error error = ErrorOf([&] { interop::TakeOver(directory); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_CONTAINS(error.what(), "temporary store");
  EXPECT_EQ(std::string(error.what()).find(directory.string()), std::string::npos);
}

TEST_F(HandoverTest, AnEmptyStoreWithoutADirectoryStaysEmpty) {
  StreamStore store = Temporary();
  Reader reader = interop::TakeOver(interop::HandOver(store.reader()));
  store.Close();
  EXPECT_TRUE(fs::is_empty(scratch_.path()));
  reader.Refresh();
  EXPECT_EQ(reader.num_rows(), 0U);
  EXPECT_EQ(reader.schema().fields()[0].name, "x");
}

TEST_F(HandoverTest, OtherFieldsThatTheWriterDeclaresAreFollowed) {
  StreamStore store = Temporary();
  Reader reader = interop::TakeOver(interop::HandOver(store.reader()));
  store.DefineFields({{.name = "a"}, {.name = "b"}});
  store.Append(0, {{TypeId{1}, 3}});
  reader.Refresh();
  EXPECT_EQ(reader.schema().fields()[1].name, "b");
  EXPECT_EQ(reader.row(0).begin()->values[0], 3);
}

TEST_F(HandoverTest, AForkedChildTakesItOverAndItsParentKeepsIt) {
  StreamStore store = Temporary();
  store.Append(0, {{TypeId{0}, 7}});
  const Reader own = store.reader();
  const pid_t child = ::fork();
  if (child == 0) {
    const Reader reader = interop::TakeOver(interop::HandOver(own));
    const bool right = reader.live() && own.live() && reader.row(0).begin()->values[0] == 7;
    ExitForkedChild(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(interop::TakeOver(interop::HandOver(own)).num_rows(), 1U);
}

TEST_F(HandoverTest, IsRefusedForAStoreWithAPath) {
  const StreamStore store = StreamStore::Open(scratch_ / "store", {.fields = {{.name = "x"}}});
  EXPECT_EQ(ErrorOf([&] { interop::HandOver(store.reader()); }).code(),
            ErrorCode::kInvalidArgument);
}

TEST_F(HandoverTest, RefusesADirectoryThatIsDamaged) {
  const StreamStore store = Temporary();
  const fs::path directory = interop::HandOver(store.reader());
  fs::resize_file(directory / "schema", 5);
  EXPECT_EQ(ErrorOf([&] { interop::TakeOver(directory); }).code(), ErrorCode::kCorrupt);
  fs::remove(directory / "control");
  EXPECT_EQ(ErrorOf([&] { interop::TakeOver(directory); }).code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace stream_store::internal
