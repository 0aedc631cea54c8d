// Tests of InTemporaryPlace() and TemporaryTree: where temporary directories are created, and when
// they are deleted.

#include "base/temporary.h"

#include <cerrno>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class TemporaryTest : public ::testing::Test {
 protected:
  TemporaryTest() {
    if (const char* old = std::getenv("TMPDIR")) old_ = old;
  }

  ~TemporaryTest() override { old_ ? ::setenv("TMPDIR", old_->c_str(), 1) : ::unsetenv("TMPDIR"); }

  /// The places that are tried, in order. Each of them refuses with `error` except the last.
  static std::vector<fs::path> Tried(std::size_t count = 1, int error = EACCES) {
    std::vector<fs::path> tried;
    InTemporaryPlace({}, [&](const fs::path& place) {
      tried.push_back(place);
      if (tried.size() < count) ThrowErrno(PathText(place), "creating", error);
    });
    return tried;
  }

  /// A tree in the scratch directory with a file in it.
  std::unique_ptr<TemporaryTree> Tree() {
    const Directory directory = Directory::CreateSibling(scratch_ / "tree");
    directory.CreateFile("values");
    return std::make_unique<TemporaryTree>(directory.path());
  }

  std::size_t Entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(scratch_.path()), fs::directory_iterator()));
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  std::optional<std::string> old_;
};

// The exit status of a child that runs `work` and then exits normally.
int StatusOfChild(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    std::exit(0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST_F(TemporaryTest, PreferredPlaceIsTheOnlyOne) {
  std::vector<fs::path> tried;
  const auto refuse = [&](const fs::path& place) {
    tried.push_back(place);
    ThrowErrno(PathText(place), "creating", EROFS);
  };
  const Error missing = ErrorOf([&] { InTemporaryPlace(scratch_ / "none", refuse); });
  EXPECT_EQ(missing.code(), ErrorCode::kNotFound);
  EXPECT_TRUE(tried.empty());
  const Error read_only = ErrorOf([&] { InTemporaryPlace(scratch_.path(), refuse); });
  EXPECT_EQ(read_only.code(), ErrorCode::kIo);
  EXPECT_EQ(read_only.system_errno(), EROFS);
  EXPECT_EQ(tried, std::vector<fs::path>{scratch_.path()});
}

TEST_F(TemporaryTest, UsesTmpdirFirst) {
  sys().fstatfs = [](int, struct statfs* out) {
    out->f_type = EXT4_SUPER_MAGIC;
    return 0;
  };
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  EXPECT_EQ(Tried(), std::vector<fs::path>{scratch_.path()});
  EXPECT_EQ(Tried(3), (std::vector<fs::path>{scratch_.path(), "/var/tmp", "/tmp"}));
  ::setenv("TMPDIR", (scratch_ / "none").c_str(), 1);
  EXPECT_EQ(Tried(), std::vector<fs::path>{"/var/tmp"});
}

TEST_F(TemporaryTest, PrefersDisksToMemory) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  static int asked = 0;
  asked = 0;
  sys().fstatfs = [](int, struct statfs* out) {
    out->f_type = asked++ == 0 ? TMPFS_MAGIC : EXT4_SUPER_MAGIC;  // $TMPDIR is asked first
    return 0;
  };
  EXPECT_EQ(Tried(3), (std::vector<fs::path>{"/var/tmp", "/tmp", scratch_.path()}));
}

TEST_F(TemporaryTest, UsesMemoryIfThereIsNoDisk) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  sys().fstatfs = [](int, struct statfs* out) {
    out->f_type = TMPFS_MAGIC;
    return 0;
  };
  EXPECT_EQ(Tried(), std::vector<fs::path>{scratch_.path()});
}

TEST_F(TemporaryTest, ErrorNamesEveryDirectoryThatFailed) {
  ::setenv("TMPDIR", scratch_.path().c_str(), 1);
  sys().open_at = [](int, const char*, int, mode_t) {
    errno = EACCES;
    return -1;
  };
  const Error error = ErrorOf([&] { Tried(); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  for (const std::string& place :
       {scratch_.path().string(), std::string("/var/tmp"), std::string("/tmp")}) {
    EXPECT_CONTAINS(error.what(), place);
  }
}

TEST_F(TemporaryTest, ErrorSaysThatThereIsNoSpaceIfOneOfThemIsFull) {
  EXPECT_EQ(ErrorOf([&] { Tried(9, ENOSPC); }).code(), ErrorCode::kNoSpace);
  EXPECT_EQ(ErrorOf([&] { Tried(9, EROFS); }).code(), ErrorCode::kIo);
}

TEST_F(TemporaryTest, ATreeIsDeletedWithItsObject) {
  std::unique_ptr<TemporaryTree> first = Tree();
  const std::unique_ptr<TemporaryTree> second = Tree();
  EXPECT_EQ(Entries(), 2U);
  first.reset();
  EXPECT_EQ(Entries(), 1U);
}

TEST_F(TemporaryTest, ATreeExistsInItsProcessOnly) {
  std::unique_ptr<TemporaryTree> tree = Tree();
  const fs::path path = fs::directory_iterator(scratch_.path())->path();
  EXPECT_TRUE(TemporaryTree::Exists(path));
  EXPECT_FALSE(TemporaryTree::Exists(scratch_.path()));
  EXPECT_EQ(StatusOfChild([&] { std::exit(TemporaryTree::Exists(path) ? 1 : 0); }), 0);
  tree.reset();
  EXPECT_FALSE(TemporaryTree::Exists(path));
}

TEST_F(TemporaryTest, ATreeIsDeletedWhenItsProcessExits) {
  EXPECT_EQ(StatusOfChild([&] { std::ignore = Tree().release(); }), 0);  // never destroyed
  EXPECT_EQ(Entries(), 0U);
}

TEST_F(TemporaryTest, AForkedChildDoesNotDeleteATreeOfItsParent) {
  std::unique_ptr<TemporaryTree> tree = Tree();
  EXPECT_EQ(StatusOfChild([] {}), 0);  // its exit handlers know the tree
  EXPECT_EQ(StatusOfChild([&] { tree.reset(); }), 0);
  EXPECT_EQ(Entries(), 1U);
}

TEST_F(TemporaryTest, LinksAreNotFollowed) {
  const fs::path target = scratch_ / "target";
  fs::create_directory(target);
  std::ofstream(target / "kept") << "x";
  fs::create_directory_symlink(target, scratch_ / "link");
  {
    const TemporaryTree tree(scratch_ / "link");
  }
  EXPECT_TRUE(fs::exists(target / "kept"));
  EXPECT_EQ(ErrorOf([&] { Directory::OpenItself(scratch_ / "link"); }).code(),
            ErrorCode::kAlreadyExists);
  EXPECT_TRUE(Directory::OpenItself(target).IsOurs());
}

TEST(RandomTest, BytesDifferAndShortReadsAreContinued) {
  const SyscallFaults faults;
  EXPECT_NE(RandomBytes16(), RandomBytes16());
  sys().getrandom = [](void* buffer, std::size_t, unsigned flags) {
    return RealSyscalls().getrandom(buffer, 1, flags);
  };
  EXPECT_NE(RandomBytes16(), RandomBytes16());
  EXPECT_EQ(RandomHex().size(), 32U);
}

}  // namespace
}  // namespace stream_store::internal
