// Tests of ChunkFiles: names, reads across chunks, and directories whose chunks do not fit.

#include "storage/chunk_files.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/syscalls.h"
#include "support/scratch.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kChunk = 4096;

class ChunkFilesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, std::uint64_t bytes) {
    const File file = directory_.CreateFile(name.c_str());
    std::vector<std::byte> content(bytes);
    for (std::byte& byte : content) {
      byte = static_cast<std::byte>(random_());
    }
    file.WriteAt(content, 0);
    all_.insert(all_.end(), content.begin(), content.end());
  }

  // The files from chunk `first` on, as they are now.
  std::unique_ptr<ChunkFiles> Files(std::uint64_t first = 0) {
    auto files = std::make_unique<ChunkFiles>(directory_, "values", kChunk, first);
    files->Refresh();
    return files;
  }

  Error RefreshError(std::uint64_t first = 0) {
    return ErrorOf([&] { Files(first); });
  }

  ScratchDirectory scratch_;
  Directory directory_ = Directory::Open(scratch_.path());
  std::mt19937 random_{1};
  std::vector<std::byte> all_;  // what was written, in order
};

TEST(ChunkName, NumbersComeBack) {
  EXPECT_EQ(ChunkName("values", 12), "values.000000000012");
  for (const std::uint64_t number : {0ULL, 9ULL, 10ULL, 999'999ULL, 1ULL << 31}) {
    EXPECT_EQ(ChunkNumber("values", ChunkName("values", number)), number);
  }
}

TEST(ChunkName, OtherNamesHaveNoNumber) {
  for (const char* name :
       {"values", "values.", "values.12", "values.00000000012", "values.000000001x",
        "records.000000000012", "values-0000000012", "values.-000000012", "values.+000000012",
        "values.000000000012.tmp", ""}) {
    EXPECT_EQ(ChunkNumber("values", name), std::nullopt) << name;
  }
}

TEST_F(ChunkFilesTest, ReadsAcrossChunks) {
  Write("values.000000000007", kChunk);
  Write("values.000000000008", kChunk);
  Write("values.000000000009", 100);
  directory_.CreateFile("records.000000000007");
  const auto files = Files(7);
  EXPECT_EQ(files->begin(), 7 * kChunk);
  EXPECT_EQ(files->end(), 9 * kChunk + 100);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t at = random_() % all_.size();
    const std::uint64_t count = random_() % (all_.size() + 50);
    const std::size_t there = std::min<std::uint64_t>(count, all_.size() - at);
    std::vector<std::byte> out(count, std::byte{0x5a});
    ASSERT_EQ(files->ReadAt(out, 7 * kChunk + at), there);
    ASSERT_TRUE(std::equal(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(there),
                           all_.begin() + static_cast<std::ptrdiff_t>(at)));
    ASSERT_TRUE(std::all_of(out.begin() + static_cast<std::ptrdiff_t>(there), out.end(),
                            [](std::byte byte) { return byte == std::byte{0x5a}; }));
  }
}

TEST_F(ChunkFilesTest, HasNoBytesBeforeTheFirstRefresh) {
  Write("values.000000000003", 10);
  const ChunkFiles files(directory_, "values", kChunk, 3);
  EXPECT_EQ(files.begin(), 3 * kChunk);
  EXPECT_EQ(files.end(), 3 * kChunk);
}

TEST_F(ChunkFilesTest, DroppedChunkReadsAsMissing) {
  Write("values.000000000000", kChunk);
  Write("values.000000000001", kChunk);
  const auto files = Files();
  directory_.Unlink("values.000000000000");
  std::vector<std::byte> out(8);
  EXPECT_EQ(files->ReadAt(out, 0), 0U);
  EXPECT_EQ(files->ReadAt(out, kChunk), 8U);
}

TEST_F(ChunkFilesTest, RefreshSeesNewChunks) {
  Write("values.000000000000", 10);
  const auto files = Files();
  directory_.OpenFile("values.000000000000", true).Truncate(kChunk);
  Write("values.000000000001", 20);
  EXPECT_EQ(files->end(), 10U);
  files->Refresh();
  EXPECT_EQ(files->end(), kChunk + 20);
}

TEST_F(ChunkFilesTest, RefreshSeesShorterAndMissingChunks) {
  Write("values.000000000000", kChunk);
  Write("values.000000000001", kChunk);
  Write("values.000000000002", 30);
  const auto files = Files();
  directory_.OpenFile("values.000000000002", true).Truncate(7);
  files->Refresh();
  EXPECT_EQ(files->end(), 2 * kChunk + 7);
  directory_.Unlink("values.000000000002");
  directory_.OpenFile("values.000000000001", true).Truncate(9);
  files->Refresh();
  EXPECT_EQ(files->end(), kChunk + 9);
  directory_.Unlink("values.000000000001");
  files->Refresh();
  EXPECT_EQ(files->end(), kChunk);
}

// The chunks that come after the dropped ones would be left out.
TEST_F(ChunkFilesTest, ChunksThatAreDroppedDuringARefreshDoNotEndTheList) {
  for (std::uint64_t chunk = 0; chunk < 4; ++chunk) Write(ChunkName("values", chunk), kChunk);
  ChunkFiles files(directory_, "values", kChunk, 0);
  sys().open_at = [](int directory, const char* name, int flags, mode_t mode) {
    if (std::string(name) == "values.000000000001") {  // as a writer drops them, the oldest first
      for (const char* dropped : {"values.000000000000", "values.000000000001"}) {
        RealSyscalls().unlink_at(directory, dropped, 0);
      }
    }
    return RealSyscalls().open_at(directory, name, flags, mode);
  };
  const Error error = ErrorOf([&] { files.Refresh(); });
  sys().open_at = RealSyscalls().open_at;
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(),
                  "values.000000000000: expected a file of the store but it is missing");
  files.Restart(2);
  files.Refresh();
  EXPECT_EQ(files.end(), 4 * kChunk);
}

// A writer deletes a chunk that it had made ahead, and another one makes it again.
TEST_F(ChunkFilesTest, RefreshSeesThatAFileWasReplaced) {
  Write("values.000000000000", kChunk);
  Write("values.000000000001", 30);
  const auto files = Files();
  directory_.Unlink("values.000000000001");
  all_.resize(kChunk);
  Write("values.000000000001", 50);
  files->Refresh();
  EXPECT_EQ(files->end(), kChunk + 50);
  std::vector<std::byte> out(50);
  EXPECT_EQ(files->ReadAt(out, kChunk), 50U);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), all_.begin() + kChunk));
}

TEST_F(ChunkFilesTest, FirstChunkIsMissing) {
  Write("values.000000000001", 10);
  const Error error = RefreshError();
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "values.000000000000: expected a file of the store");
}

TEST_F(ChunkFilesTest, FilesAfterAMissingOneDoNotCount) {
  Write("values.000000000000", kChunk);
  Write("values.000000000002", 10);
  EXPECT_EQ(Files()->end(), kChunk);
}

TEST_F(ChunkFilesTest, FilesAfterAShortOneDoNotCount) {
  Write("values.000000000000", kChunk - 1);
  Write("values.000000000001", 10);
  EXPECT_EQ(Files()->end(), kChunk - 1);
}

TEST_F(ChunkFilesTest, AChunkLongerThanItsSizeIsDamage) {
  Write("values.000000000000", kChunk + 1);
  const Error error = RefreshError();
  EXPECT_EQ(error.code(), ErrorCode::kCorrupt);
  EXPECT_CONTAINS(error.what(), "values.000000000000: expected at most 4096 bytes but found 4097");
}

TEST_F(ChunkFilesTest, RestartBeginsAtALaterChunk) {
  for (const int chunk : {0, 1, 2}) Write("values.00000000000" + std::to_string(chunk), kChunk);
  const auto files = Files();
  directory_.Unlink("values.000000000000");
  files->Restart(1);
  EXPECT_EQ(files->end(), kChunk);
  files->Refresh();
  EXPECT_EQ(files->begin(), kChunk);
  EXPECT_EQ(files->end(), 3 * kChunk);
}

TEST_F(ChunkFilesTest, WritesAcrossChunksAndCreatesThem) {
  const ChunkFiles files(directory_, "values", kChunk, 4);
  files.CreateFirst();
  std::vector<std::byte> in(3 * kChunk - 200, std::byte{7});
  files.WriteAt(in, 4 * kChunk + 100);
  EXPECT_EQ(files.Numbers(), (std::vector<std::uint64_t>{4, 5, 6}));
  EXPECT_EQ(Files(4)->end(), 7 * kChunk - 100);
  std::vector<std::byte> out(in.size());
  EXPECT_EQ(files.ReadAt(out, 4 * kChunk + 100), out.size());
  EXPECT_TRUE(out == in);
}

TEST_F(ChunkFilesTest, DirectoryWithTheNameOfAChunkIsDamage) {
  std::filesystem::create_directory(scratch_.path() / "values.000000000000");
  EXPECT_EQ(RefreshError().code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace stream_store::internal
