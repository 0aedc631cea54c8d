// Tests of temporary stores: their hidden directory, when it is deleted, and how those of killed
// processes are found.
#include <csignal>
#include <fstream>
#include <thread>

#include <sys/stat.h>

#include "stream_store/interop.h"

#include "storage/fixture.h"
#include "storage/open.h"
#include "support/forked_exit.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class TemporaryStoreTest : public StoreTest {
 protected:
  TemporaryStoreTest() { options_.temporary_directory = scratch_->path(); }

  StreamStore Temporary() const { return StreamStore::Temporary(options_); }

  std::vector<fs::path> Directories() const {
    return {fs::directory_iterator(scratch_->path()), fs::directory_iterator()};
  }

  /// A child that creates a temporary store with one row and waits to be killed.
  pid_t StartWriter() const {
    const pid_t child = ::fork();
    if (child == 0) {
      StreamStore store = Temporary();
      store.Append(0, {{0, 7}});
      std::ofstream(Scratch("ready")) << "x";
      for (;;) ::pause();
    }
    while (!fs::exists(Scratch("ready"))) std::this_thread::yield();
    fs::remove(Scratch("ready"));
    return child;
  }

  static void Kill(pid_t child) {
    ::kill(child, SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
  }

  /// Creates stores while others do the same. Returns 0 if all of them worked.
  int CreateAndCleanUp(int rounds) const try {
    StreamStore kept = Temporary();
    for (Step step = 0; step < rounds; ++step) {
      kept.Append(step, {{0, step}});
      StreamStore other = Temporary();
      other.Append(0, {{0, 1}});
      if (interop::TakeOver(interop::HandOver(other.reader())).num_rows() != 1) return 2;
    }
    const Reader reader = interop::TakeOver(interop::HandOver(kept.reader()));
    kept.Close();
    return reader.num_rows() == static_cast<std::uint64_t>(rounds) ? 0 : 3;
  } catch (const std::exception& error) {
    ::fprintf(stderr, "child: %s\n", error.what());
    return 1;
  }

  /// As InChild(), but the child exits normally, with its exit handlers.
  static int InExitingChild(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        work();
      } catch (const std::exception& error) {
        ::fprintf(stderr, "child: %s\n", error.what());
        ::_exit(1);
      }
      ExitForkedChild(HasFailure() ? 2 : 0);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
};

TEST_F(TemporaryStoreTest, IsAHiddenPrivateDirectoryWithALock) {
  const ::mode_t umask = ::umask(0);
  const StreamStore store = Temporary();
  ::umask(umask);
  ASSERT_EQ(Directories().size(), 1U);
  const fs::path directory = Directories()[0];
  EXPECT_EQ(directory, interop::HandOver(store.reader()));
  EXPECT_TRUE(directory.filename().string().starts_with(".stream_store.tmp-"));
  struct stat status{};
  ASSERT_EQ(::stat(directory.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
  for (const fs::directory_entry& file : fs::directory_iterator(directory)) {
    ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U) << file.path();
  }
  EXPECT_TRUE(store.path().empty());
  EXPECT_TRUE(store.reader().path().empty());
}

TEST_F(TemporaryStoreTest, IsCreatedWithoutAnySync) {
  const Faults faults;
  StreamStore store = Temporary();
  store.DefineFields(Fields());
  store.Append(0, {{0, 7}});
  store.Close();
  for (const std::string& call : Faults::log()) {
    EXPECT_EQ(call.find("sync"), std::string::npos) << call;
  }
}

TEST_F(TemporaryStoreTest, NothingIsLeftAfterClosingDestroyingClearingAndReplacing) {
  {
    StreamStore store = Temporary();
    store.Append(0, {{0, 7}});
    store.Clear();
    EXPECT_EQ(Directories().size(), 1U);
    StagedRows rows = store.StageReplacement(Fields());
    EXPECT_EQ(Directories().size(), 2U);
    rows.Commit();
  }
  EXPECT_TRUE(Directories().empty());
  StreamStore store = Temporary();
  store.Append(0, {{0, 7}});
  store.Close();
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, AReaderKeepsTheDirectoryOfAStoreThatWasClosedOrCleared) {
  StreamStore store = Temporary();
  store.Append(0, {{0, 7}});
  {
    const Reader reader = store.reader();
    store.Clear();
    EXPECT_EQ(Directories().size(), 2U);
    store.Close();
    EXPECT_EQ(Directories().size(), 1U);
    EXPECT_EQ(InExitingChild([&] { Temporary().Close(); }), 0);  // cleans up, but not this one
    EXPECT_EQ(Directories().size(), 1U);
    EXPECT_EQ(Show(reader), "0{0:7}");
  }
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, NothingIsLeftAfterANormalExitThatDestroysNothing) {
  EXPECT_EQ(InExitingChild([&] { new StreamStore(Temporary()); }), 0);
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, AForkedChildDeletesNothing) {
  StreamStore store = Temporary();
  store.Append(0, {{0, 7}});
  auto reader = std::make_unique<Reader>(store.reader());
  EXPECT_EQ(InExitingChild([&] { store.Close(); }), 0);
  EXPECT_EQ(InExitingChild([&] { store = StreamStore::Temporary(); }), 0);
  EXPECT_EQ(Directories().size(), 1U);
  store.Append(1, {{0, 8}});
  store.Close();
  EXPECT_EQ(InExitingChild([&] { reader.reset(); }), 0);  // the child has no writer to guard
  EXPECT_EQ(Directories().size(), 1U);
  reader->Refresh();
  EXPECT_EQ(Show(*reader), "0{0:7} 1{0:8}");
}

TEST_F(TemporaryStoreTest, AForkedChildOwnsTheStoreThatItCreates) {
  const StreamStore store = Temporary();
  EXPECT_EQ(InExitingChild([&] {
              new StreamStore(Temporary());
              EXPECT_EQ(Directories().size(), 2U);
            }),
            0);
  EXPECT_EQ(Directories().size(), 1U);
}

TEST_F(TemporaryStoreTest, TheNextStoreDeletesThatOfAKilledProcessAndNoOther) {
  const StreamStore ours = Temporary();
  const pid_t alive = StartWriter();
  Kill(StartWriter());
  EXPECT_EQ(Directories().size(), 3U);
  StreamStore next = Temporary();
  EXPECT_EQ(Directories().size(), 3U);
  next.Close();
  EXPECT_EQ(Directories().size(), 2U);
  Kill(alive);
  next = Temporary();
  EXPECT_EQ(Directories().size(), 2U);
}

TEST_F(TemporaryStoreTest, AReaderOfAKilledProcessKeepsItsRowsAndIsNotLive) {
  const pid_t writer = StartWriter();
  const fs::path directory = Directories()[0];
  const Reader reader = interop::TakeOver(directory);
  EXPECT_TRUE(reader.live());
  Kill(writer);
  EXPECT_FALSE(reader.live());
  const StreamStore next = Temporary();
  EXPECT_FALSE(fs::exists(directory));
  EXPECT_FALSE(reader.live());
  EXPECT_EQ(Show(reader), "0{0:7}");
}

TEST_F(TemporaryStoreTest, ADirectoryOfAChildThatOutlivesItsKilledParentIsFree) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    StreamStore store = Temporary();
    const pid_t child = ::fork();
    if (child == 0) {
      std::ofstream(Scratch("ready")) << ::getpid();
      ::alarm(60);
      for (;;) ::pause();
    }
    for (;;) ::pause();
  }
  pid_t child = 0;
  while (!(std::ifstream(Scratch("ready")) >> child)) std::this_thread::yield();
  Kill(parent);
  fs::remove(Scratch("ready"));
  StreamStore next = Temporary();
  EXPECT_EQ(Directories().size(), 1U);
  ::kill(child, SIGKILL);
}

TEST_F(TemporaryStoreTest, OnlyDirectoriesOfTemporaryStoresAreDeleted) {
  const std::string digits(32, '0');
  const fs::path target = Scratch("target");
  fs::create_directory(target);
  std::ofstream(target / "kept") << "x";
  fs::create_directory_symlink(target, Scratch(".stream_store.tmp-" + digits));
  for (const std::string& name : {".other.tmp-" + digits, std::string(".stream_store.tmp-short")}) {
    fs::create_directory(Scratch(name));
    std::ofstream(Scratch(name) / "kept") << "x";
  }
  StreamStore store = Temporary();
  store.Close();
  EXPECT_EQ(Directories().size(), 4U);
  EXPECT_TRUE(fs::exists(target / "kept"));
}

TEST_F(TemporaryStoreTest, LeftoversOfADeletionAreDeleted) {
  for (const char* digit : {"0", "1"}) {
    std::string name = ".stream_store.tmp-";
    for (int i = 0; i < 32; ++i) name += digit;
    fs::create_directory(Scratch(name));
  }
  std::ofstream(Scratch(".stream_store.tmp-" + std::string(32, '1')) / "values") << "x";
  StreamStore store = Temporary();
  store.Close();
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, DirectoriesOfOtherUsersAreNotDeleted) {
  const fs::path other = Scratch(".stream_store.tmp-" + std::string(32, 'a'));
  fs::create_directory(other);
  {
    const SyscallFaults faults;
    sys().file_stat = [](int fd, struct stat* out) {
      const int result = RealSyscalls().file_stat(fd, out);
      out->st_uid += S_ISDIR(out->st_mode) ? 1 : 0;
      return result;
    };
    StreamStore store = Temporary();
    store.Close();
    EXPECT_EQ(Directories(), std::vector<fs::path>{other});
  }
  const StreamStore store = Temporary();
  EXPECT_FALSE(fs::exists(other));
}

// Two processes may create and clean up at the same time: each must get its store, and keep it.
TEST_F(TemporaryStoreTest, ProcessesThatCreateAndCleanUpAtOnceKeepTheirStores) {
  constexpr int kProcesses = 4;
  constexpr int kRounds = 40;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(CreateAndCleanUp(kRounds));
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, CreatorTriesAgainIfItsDirectoryWasDeletedByACleanup) {
  static int deleted = 0;
  deleted = 0;
  const SyscallFaults faults;
  sys().mkdir_at = [](int at, const char* name, mode_t mode) {
    const int result = RealSyscalls().mkdir_at(at, name, mode);
    if (deleted < 20) {
      ++deleted;
      RealSyscalls().unlink_at(at, name, AT_REMOVEDIR);
    }
    return result;
  };
  StreamStore store = Temporary();
  EXPECT_EQ(deleted, 20);
  EXPECT_EQ(store.Append(0, {}), 0);
}

TEST_F(TemporaryStoreTest, AFailedCreationLeavesNothing) {
  for (const auto& [call, error, code] : {std::tuple("mkdir", EROFS, ErrorCode::kIo),
                                          std::tuple("mkdir", ENOSPC, ErrorCode::kNoSpace),
                                          std::tuple("fallocate", ENOSPC, ErrorCode::kNoSpace),
                                          std::tuple("pwrite", ENOSPC, ErrorCode::kNoSpace),
                                          std::tuple("mmap", ENOMEM, ErrorCode::kNoSpace)}) {
    const Faults faults;
    Faults::Fail(call, error, 1, 1000);
    EXPECT_EQ(ErrorOf([&] { Temporary(); }).code(), code) << call;
    Faults::Stop();
    EXPECT_TRUE(Directories().empty()) << call;
  }
  options_.temporary_directory = Scratch("none");
  EXPECT_EQ(ErrorOf([&] { Temporary(); }).code(), ErrorCode::kNotFound);
  EXPECT_TRUE(Directories().empty());
}

TEST_F(TemporaryStoreTest, AFullOrReadOnlyTmpdirIsPassedOver) {
  options_.temporary_directory.clear();
  const char* before = std::getenv("TMPDIR");
  const std::optional<std::string> saved =
      before ? std::optional<std::string>(before) : std::nullopt;
  ::setenv("TMPDIR", scratch_->path().c_str(), 1);
  for (const int error : {EROFS, ENOSPC}) {
    const Faults faults;
    Faults::Fail("mkdir", error, 1, 2);  // of two places, in whichever order
    StreamStore store = Temporary();
    EXPECT_EQ(Faults::failed(), 2);
    EXPECT_EQ(store.Append(0, {}), 0);
  }
  EXPECT_TRUE(Directories().empty());
  saved ? ::setenv("TMPDIR", saved->c_str(), 1) : ::unsetenv("TMPDIR");
}

TEST_F(TemporaryStoreTest, MessagesDoNotNameTheDirectory) {
  StreamStore store = Temporary();
  store.Append(5, {});
  const Error late = ErrorOf([&] { store.Append(4, {}); });
  EXPECT_EQ(std::string(late.what()).find(".tmp-"), std::string::npos) << late.what();
  const Reader reader = interop::TakeOver(interop::HandOver(store.reader()));
  store.Truncate(0);
  const Error cut = ErrorOf([&] { Reader(reader).Refresh(); });
  EXPECT_EQ(cut.code(), ErrorCode::kCutBack);
  EXPECT_CONTAINS(cut.what(), "temporary store: ");
}

// The next temporary store would delete what is written there.
TEST_F(TemporaryStoreTest, TheDirectoryCanBeOpenedForReadingOnly) {
  StreamStore store = Temporary();
  store.Append(0, {{0, 7}});
  const fs::path directory = interop::HandOver(store.reader());
  EXPECT_EQ(Show(Reader::Open(directory)), "0{0:7}");
  for (const fs::path& path :
       {directory, directory / "", directory.parent_path() / "." / directory.filename()}) {
    for (const Mode mode : {Mode::kAppend, Mode::kCreate}) {
      options_.mode = mode;
      const Error error = ErrorOf([&] { StreamStore::Open(path, options_); });
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_CONTAINS(error.what(), "temporary stores");
    }
  }
  EXPECT_EQ(store.Append(1, {}), 1);
}

}  // namespace
}  // namespace stream_store::internal
