// Tests of siblings: a directory appears complete and replaces only an empty directory.

#include <cerrno>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/directory.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class SiblingTest : public ::testing::Test {
 protected:
  Directory Build(const fs::path& final_path) {
    Directory sibling = Directory::CreateSibling(final_path);
    sibling.CreateFile("values");
    return sibling;
  }

  ScratchDirectory scratch_;
  SyscallFaults faults_;
  fs::path store_ = scratch_ / "store";
};

void RefuseNoReplace(int error) {
  static int refusal = 0;
  refusal = error;
  sys().rename_at2 = [](int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
    if (flags == 0) return RealSyscalls().rename_at2(from_fd, from, to_fd, to, 0);
    errno = refusal;
    return -1;
  };
}

TEST_F(SiblingTest, IsHiddenPrivateAndBesideItsFinalName) {
  const Directory sibling = Build(store_);
  EXPECT_EQ(sibling.path().parent_path(), scratch_.path());
  EXPECT_TRUE(sibling.path().filename().string().starts_with(".store.tmp-"));
  struct stat status{};
  ASSERT_EQ(::stat(sibling.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST_F(SiblingTest, PublishesOntoNothingAndOntoAnEmptyDirectory) {
  PublishDirectory(Build(store_), store_);
  EXPECT_TRUE(fs::exists(store_ / "values"));
  fs::create_directory(scratch_ / "empty");
  PublishDirectory(Build(scratch_ / "empty"), scratch_ / "empty");
  EXPECT_TRUE(fs::exists(scratch_ / "empty" / "values"));
}

TEST_F(SiblingTest, NeverReplacesContentFilesOrLinks) {
  fs::create_directories(store_ / "kept");
  fs::create_symlink("nowhere", scratch_ / "link");
  Directory::Open(scratch_.path()).CreateFile("file");
  for (const char* name : {"store", "link", "file"}) {
    const Directory sibling = Build(scratch_ / name);
    const Error error = ErrorOf([&] { PublishDirectory(sibling, scratch_ / name); });
    EXPECT_EQ(error.code(), ErrorCode::kAlreadyExists) << error.what();
    EXPECT_TRUE(fs::exists(sibling.path() / "values"));
  }
  EXPECT_TRUE(fs::exists(store_ / "kept"));
}

TEST_F(SiblingTest, NeverReplacesContentWithoutKernelSupport) {
  fs::create_directories(store_ / "kept");
  for (const int error : {EINVAL, ENOSYS}) {
    RefuseNoReplace(error);
    const Directory sibling = Build(store_);
    EXPECT_EQ(ErrorOf([&] { PublishDirectory(sibling, store_); }).code(),
              ErrorCode::kAlreadyExists);
    const fs::path fresh = scratch_ / std::to_string(error);
    PublishDirectory(Build(fresh), fresh);
    EXPECT_TRUE(fs::exists(fresh / "values"));
  }
}

TEST_F(SiblingTest, TrailingSlashAndDotsMeanTheSamePlace) {
  fs::create_directory(store_);
  for (const fs::path& written :
       {scratch_.path() / "store" / "", store_ / ".", scratch_.path() / "." / "store"}) {
    const Directory sibling = Directory::CreateSibling(written);
    EXPECT_TRUE(sibling.path().filename().string().starts_with(".store.tmp-")) << sibling.path();
    RemoveTree(sibling.path());
  }
}

TEST_F(SiblingTest, LinkToAnEmptyDirectoryIsFollowed) {
  fs::create_directory(scratch_ / "target");
  fs::create_directory_symlink(scratch_ / "target", store_);
  PublishDirectory(Build(store_), store_);
  EXPECT_TRUE(fs::is_symlink(store_));
  EXPECT_TRUE(fs::exists(scratch_ / "target" / "values"));
}

TEST_F(SiblingTest, MissingParentIsNotFound) {
  const Error error = ErrorOf([&] { Directory::CreateSibling(store_ / "deeper"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_CONTAINS(error.what(), "expected its parent");
}

TEST_F(SiblingTest, LongNamesStillHaveSiblings) {
  const fs::path store = scratch_ / std::string(255, 'n');
  PublishDirectory(Build(store), store);
  const Directory left_over = Build(store);
  EXPECT_EQ(FindSiblings(store), std::vector<fs::path>{left_over.path()});
}

TEST_F(SiblingTest, LeftoversAreFoundAndRemoved) {
  const fs::path first = Build(store_).path();
  const fs::path second = Build(store_).path();
  Build(scratch_ / "other");
  fs::create_directory(scratch_ / ".store.tmp-not-ours");
  EXPECT_EQ(FindSiblings(store_).size(), 2U);
  RemoveTree(first);
  EXPECT_EQ(FindSiblings(store_), std::vector<fs::path>{second});
}

TEST_F(SiblingTest, NothingIsFoundWhereThereIsNoParent) {
  EXPECT_TRUE(FindSiblings(scratch_ / "none" / "store").empty());
  EXPECT_NO_THROW(RemoveTree(scratch_ / "none"));
}

}  // namespace
}  // namespace stream_store::internal
