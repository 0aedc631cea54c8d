// The place of a store: its parent directories, its directory under a writer, and its lock.
#include <algorithm>
#include <fstream>
#include <thread>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class PlaceTest : public StoreTest {
 protected:
  PlaceTest() : away_(Scratch("away")) {}

  StreamStore OpenWithRow() const {
    StreamStore store = Open();
    store.Append(0, {{0, 7}});
    store.Sync();
    return store;
  }

  /// The writer's store is no longer at its path: it must say so, also if it has nothing to sync,
  /// and release its lock.
  void ExpectLost(StreamStore& store, const std::string& text, bool unsynced) {
    if (unsynced) {
      store.Append(1, {{0, 8}});
    }
    const Error error = ErrorOf([&] { store.Sync(); });
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_CONTAINS(error.what(), text);
    EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
    EXPECT_EQ(ErrorOf([&] { store.Append(2, {}); }).code(), ErrorCode::kIo);
    store.Close();
  }

  const fs::path away_;
};

constexpr const char* kMoved = "the store is no longer at its path";
constexpr const char* kDeleted = "was deleted or replaced while the store was open for writing";

TEST_F(PlaceTest, SyncSaysThatTheDirectoryWasDeleted) {
  for (const bool unsynced : {false, true}) {
    StreamStore store = OpenWithRow();
    fs::remove_all(path_);
    ExpectLost(store, kDeleted, unsynced);
  }
}

TEST_F(PlaceTest, SyncSaysThatTheDirectoryWasMoved) {
  for (const bool unsynced : {false, true}) {
    StreamStore store = OpenWithRow();
    fs::rename(path_, away_);
    ExpectLost(store, kMoved, unsynced);
    EXPECT_EQ(Show(Reader::Open(away_)).substr(0, 6), "0{0:7}");
    EXPECT_EQ(StreamStore::Open(away_).schema().size(), 3U);  // the lock was released
    fs::remove_all(away_);
  }
}

TEST_F(PlaceTest, SyncSaysThatAnotherStoreIsAtThePath) {
  StreamStore store = OpenWithRow();
  fs::rename(path_, away_);
  StreamStore other = OpenWithRow();
  ExpectLost(store, kMoved, true);
  EXPECT_EQ(other.Sync(), 1U);
  other.Close();
}

TEST_F(PlaceTest, SyncSaysThatAnyOfTheFilesWasDeleted) {
  for (const char* name :
       {"values", "records", "layouts", "position_hints", "row_hints", "control"}) {
    StreamStore store = OpenWithRow();
    fs::remove(path_ / FileOf(name));
    ExpectLost(store, name, true);
    fs::remove_all(path_);
  }
}

TEST_F(PlaceTest, CloseSaysSoAndReleasesTheLock) {
  StreamStore store = OpenWithRow();
  fs::rename(path_, away_);
  const Error error = ErrorOf([&] { store.Close(); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_CONTAINS(error.what(), kMoved);
  EXPECT_CONTAINS(error.what(), "close");
  store.Close();
  EXPECT_EQ(StreamStore::Open(away_).Append(5, {}), 1);
}

TEST_F(PlaceTest, TheFirstAppendOfASessionSaysSo) {
  StreamStore store = Open();
  fs::remove_all(path_);
  EXPECT_EQ(ErrorOf([&] { store.Append(0, {}); }).code(), ErrorCode::kIo);
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
}

TEST_F(PlaceTest, ABackgroundSyncMakesTheNextAppendSaySo) {
  options_.sync_interval = std::chrono::milliseconds(1);
  StreamStore store = Open();
  store.Append(0, {});
  fs::remove_all(path_);
  ErrorCode code = ErrorCode::kOk;
  for (Step step = 1; step < 20'000 && code == ErrorCode::kOk; ++step) {
    code = store.TryAppend(step, {});
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(code, ErrorCode::kIo);
  EXPECT_CONTAINS(ErrorOf([&] { store.Sync(); }).what(), kDeleted);
}

TEST_F(PlaceTest, AStoreThatWasMovedBackIsInPlace) {
  StreamStore store = OpenWithRow();
  fs::rename(path_, away_);
  fs::rename(away_, path_);
  store.Append(1, {});
  EXPECT_EQ(store.Sync(), 2U);
  store.Close();
}

TEST_F(PlaceTest, ARelativePathHoldsInAnotherWorkingDirectory) {
  const fs::path before = fs::current_path();
  fs::current_path(scratch_->path());
  StreamStore store = StreamStore::Open("runs/relative", options_);
  fs::current_path("/");
  store.Append(0, {});
  EXPECT_EQ(store.Sync(), 1U);
  store.Close();
  fs::current_path(before);
}

TEST_F(PlaceTest, AnErrorOfTheCheckIsFinal) {
  StreamStore store = OpenWithRow();
  const SyscallFaults restore;
  sys().path_stat = [](const char*, struct stat*) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).system_errno(), EIO);
  sys() = RealSyscalls();
  EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
}

TEST_F(PlaceTest, APathThatMayNotBeInspectedIsNotAnError) {
  StreamStore store = OpenWithRow();
  const SyscallFaults restore;
  sys().path_stat = [](const char*, struct stat*) {
    errno = EACCES;
    return -1;
  };
  EXPECT_EQ(store.Sync(), 1U);
  fs::remove_all(path_);
  EXPECT_CONTAINS(ErrorOf([&] { store.Sync(); }).what(), kDeleted);
}

// --- parent directories ---

TEST_F(PlaceTest, MissingParentsAreCreatedAndSynced) {
  const Faults faults;
  StreamStore store = StreamStore::Open(scratch_->path() / "a" / "b" / "store", options_);
  const auto& log = Faults::log();
  const std::string top = scratch_->path().filename().string();
  const auto synced = [&](const std::string& name) {
    return std::ranges::count(log, "fsync " + name);
  };
  EXPECT_EQ(synced(top), 1);  // has "a"
  EXPECT_EQ(synced("a"), 1);  // has "b"
  EXPECT_EQ(synced("b"), 1);  // has the store
  store.Append(0, {});
  store.Close();
  EXPECT_EQ(StreamStore::Open(scratch_->path() / "a" / "b" / "store").Append(1, {}), 1);
}

TEST_F(PlaceTest, CopiesCreateTheirParentsToo) {
  const StreamStore store = OpenWithRow();
  const fs::path copy = scratch_->path() / "copies" / "today" / "copy";
  EXPECT_EQ(store.reader().Checkpoint(copy), 1U);
  EXPECT_EQ(Show(Reader::Open(copy)), "0{0:7}");
}

TEST_F(PlaceTest, AFailedCreationLeavesNoParents) {
  {
    const Faults faults;
    Faults::Fail("fallocate", ENOSPC, 1, 100);
    const fs::path deep = scratch_->path() / "a" / "b" / "store";
    EXPECT_EQ(ErrorOf([&] { StreamStore::Open(deep, options_); }).code(), ErrorCode::kNoSpace);
    Faults::Fail("fsync", EIO, 2);
    EXPECT_EQ(ErrorOf([&] { StreamStore::Open(deep, options_); }).code(), ErrorCode::kIo);
  }
  EXPECT_FALSE(fs::exists(scratch_->path() / "a"));
}

TEST_F(PlaceTest, AParentThatIsAFileIsNamed) {
  std::ofstream(scratch_->path() / "file") << "x";
  for (const char* below : {"file/store", "file/deeper/store"}) {
    const Error error = ErrorOf([&] { StreamStore::Open(scratch_->path() / below, options_); });
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_CONTAINS(error.what(), "expected its parent");
    EXPECT_CONTAINS(error.what(), "/file");
    EXPECT_CONTAINS(error.what(), "to be a directory");
  }
}

// --- the lock ---

TEST_F(PlaceTest, TheLockOfThisProcessIsNamed) {
  StreamStore store = OpenWithRow();
  const Error error = ErrorOf([&] { Open(); });
  EXPECT_EQ(error.code(), ErrorCode::kLocked);
  EXPECT_CONTAINS(error.what(), "this process already has it open for writing (pid " +
                                    std::to_string(::getpid()));
  EXPECT_CONTAINS(error.what(), "close() that StreamStore or delete it");
  store.Close();
  EXPECT_EQ(Open().Append(1, {}), 1);
}

TEST_F(PlaceTest, AForkedChildLearnsThatItsParentHasTheLock) {
  const StreamStore store = OpenWithRow();
  const auto child = [&] {
    const Error error = ErrorOf([&] { Open(); });
    EXPECT_EQ(error.code(), ErrorCode::kLocked);
    EXPECT_CONTAINS(error.what(), "the parent of this forked process has it open for writing");
  };
  EXPECT_EQ(InChild(child), 0);
}

TEST_F(PlaceTest, TheLockOfAnotherProcessIsNamed) {
  int ready[2];
  int done[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(done), 0);
  const pid_t child = ::fork();
  char byte = 0;
  if (child == 0) {
    ::close(done[1]);
    const StreamStore store = Open();
    static_cast<void>(::write(ready[1], "x", 1));
    static_cast<void>(::read(done[0], &byte, 1));
    ::_exit(0);
  }
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const Error error = ErrorOf([&] { Open(); });
  EXPECT_EQ(error.code(), ErrorCode::kLocked);
  EXPECT_CONTAINS(error.what(), "another writer has it open (pid " + std::to_string(child));
  ::close(done[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
}

}  // namespace
}  // namespace stream_store::internal
