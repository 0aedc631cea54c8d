// Damage everywhere: flips each bit of a small store and truncates each file at each length. Damage
// must give a finding or an error; a read without either must give the appended values.
//
// The chunk files of a store with many chunks are also removed, exchanged, doubled under another number
// and given other sizes.
//
// By hand: FLIP_STRIDE=1 crash_flip_test tests every bit of every file. CI tests each nonzero byte
// and a part of the zeros.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "stream_store/verify.h"

#include "base/directory.h"
#include "base/file.h"
#include "crash/chunk_damage.h"
#include "crash/place.h"
#include "crash/rows.h"
#include "format/control.h"
#include "support/sanitizers.h"

namespace stream_store::crash {

using internal::Directory;
using internal::File;
using internal::StrCat;

namespace {

namespace fs = std::filesystem;

// The names of all files of a store, in order.
std::vector<std::string> FilesOf(const fs::path& path) { return Directory::Open(path).Entries(); }

// The distance between tested places: 1, or more in slow builds.
std::uint64_t EveryNth() { return 100 / Effort(100); }

// All rows with their steps and values.
std::string Content(const Reader& reader) {
  std::string text = StrCat(reader.num_rows(), ":", reader.size());
  for (Row row = 0; row < static_cast<Row>(reader.num_rows()); ++row) {
    const RowView view = reader.row(row);
    text += StrCat("|", view.step());
    for (const auto& [type, values] : view) {
      text += StrCat(" ", type, "=");
      for (const Value value : values) text += StrCat(value, ",");
    }
  }
  return text;
}

// A store that is damaged, and the content that it had.
class DamageTest : public ::testing::Test {
 protected:
  // Returns the mistake in how the damage was handled, or nothing. Sets `exact` to whether some
  // reader gave other content.
  std::string Look() {
    bool found = false;
    bool opened = false;
    try {
      found = !Verify(path_).findings.empty();
      const Reader reader = Reader::Open(path_);
      const std::string content = Content(reader);
      opened = true;
      if (content == whole_) {
        ++counts_["same content"];
      } else if (found) {
        ++counts_["found by verify"];
      } else if (reader.recovery().state == Recovery::State::kTruncated) {
        ++counts_["cut by recovery"];
      } else {
        return StrCat("read otherwise and nothing was found: ", content.substr(0, 60));
      }
    } catch (const Error& error) {
      const bool typed = error.code() == ErrorCode::kCorrupt ||
                         error.code() == ErrorCode::kVersion ||
                         error.code() == ErrorCode::kNotFound;
      if (!typed) return StrCat("not a typed error: ", error.what());
      ++counts_["refused"];
    }
    if (opened && !found) ++counts_["harmless"];
    return {};
  }

  void Tell(const std::string& what, std::uint64_t count) const {
    std::cout << what << ": " << count << " images";
    for (const auto& [name, number] : counts_) std::cout << ", " << number << " " << name;
    std::cout << ", 0 undetected" << std::endl;
  }

  FastDirectory scratch_;
  const fs::path path_ = scratch_ / "store";
  std::string whole_;
  std::map<std::string, std::uint64_t> counts_;
};

class FlipTest : public DamageTest, public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    StreamStore store = StreamStore::Open(path_, RowOptions());
    for (Row row = 0; row < 14; ++row) {
      AppendWholeRow(store, row);
      if (row == 9) store.Sync();
    }
    if (GetParam()) {
      store.Close();
      whole_ = Content(Reader::Open(path_));
    } else {  // as a dead writer leaves it
      fs::copy(path_, scratch_ / "dead", fs::copy_options::recursive);
      store.Close();
      fs::remove_all(path_);
      fs::rename(scratch_ / "dead", path_);
      for (const std::string& name : FilesOf(path_)) {
        if (ParseChunk(name)) Shorten(name);
      }
      whole_ = Content(Reader::Open(path_));
    }
    ASSERT_TRUE(Verify(path_).ok());
    fs::copy(path_, scratch_ / "good", fs::copy_options::recursive);
  }

  // Without the tail of zeros that growth left, which would take too long to test.
  void Shorten(const std::string& name) const {
    const std::uint64_t size = fs::file_size(path_ / name);
    fs::resize_file(path_ / name, std::min<std::uint64_t>(size, 4096));
  }

  void Tell(const char* what, std::uint64_t count) const {
    DamageTest::Tell(StrCat(what, ", ", GetParam() ? "closed" : "writer died"), count);
  }
};

TEST_P(FlipTest, NoFlippedBitGoesUnnoticed) {
  const std::uint64_t stride = FromEnvironment("FLIP_STRIDE", 0);
  std::uint64_t flips = 0;
  const Directory directory = Directory::Open(path_);
  for (const std::string& name : FilesOf(path_)) {
    const File file = directory.OpenFile(name.c_str(), /*writable=*/true);
    std::vector<std::byte> bytes(file.Size());
    file.ReadAt(bytes, 0);
    for (std::uint64_t at = 0; at < bytes.size(); ++at) {
      const bool used = bytes[at] != std::byte{0};
      const int bits = stride == 1 || used ? 8 : 1;
      if (stride == 0 && !used && at % 1021 != 0) continue;
      if (at % EveryNth() != 0) continue;
      for (int i = 0; i < bits; ++i) {
        const int bit = bits == 8 ? i : static_cast<int>(at % 8);
        const std::byte flipped = bytes[at] ^ (std::byte{1} << bit);
        file.WriteAt(std::span(&flipped, 1), at);
        const std::string wrong = Look();
        file.WriteAt(std::span(&bytes[at], 1), at);
        ASSERT_EQ(wrong, "") << name << ", byte " << at << ", bit " << bit;
        ++flips;
      }
    }
  }
  EXPECT_EQ(Content(Reader::Open(path_)), whole_);
  Tell("flips", flips);
}

TEST_P(FlipTest, NoTruncationGoesUnnoticed) {
  const std::uint64_t stride = FromEnvironment("FLIP_STRIDE", 0);
  std::uint64_t cuts = 0;
  for (const std::string& name : FilesOf(path_)) {
    const std::uint64_t size = fs::file_size(path_ / name);
    for (std::uint64_t length = 0; length < size; ++length) {
      if (stride != 1 && size > 10'000 && length % 509 != 0) continue;
      if (length % EveryNth() != 0) continue;
      fs::resize_file(path_ / name, length);
      const std::string wrong = Look();
      fs::copy_file(scratch_ / "good" / name, path_ / name, fs::copy_options::overwrite_existing);
      ASSERT_EQ(wrong, "") << name << " cut to " << length;
      ++cuts;
    }
  }
  Tell("cuts", cuts);
}

// Numbers that no store can have must not make opening slow or use much memory.
TEST_P(FlipTest, HostileNumbersCostNeitherTimeNorMemory) {
  const Directory directory = Directory::Open(path_);
  std::uint64_t images = 0;
  struct rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  for (const std::string& name : FilesOf(path_)) {
    if (name == "lock" || name.starts_with("values")) continue;
    const File file = directory.OpenFile(name.c_str(), /*writable=*/true);
    const std::uint64_t size = std::min<std::uint64_t>(file.Size(), 4096);
    for (std::uint64_t at = 0; at + 8 <= size; at += 8 * EveryNth()) {
      std::uint64_t kept = 0;
      file.ReadAt(std::as_writable_bytes(std::span(&kept, 1)), at);
      for (const std::uint64_t hostile :
           {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{1} << 48,
            std::uint64_t{1} << 32, std::uint64_t{0x7fffffff}, std::uint64_t{1} << 40}) {
        file.WriteAt(std::as_bytes(std::span(&hostile, 1)), at);
        ASSERT_EQ(Look(), "") << name << ", byte " << at << ", " << hostile;
        ++images;
      }
      file.WriteAt(std::as_bytes(std::span(&kept, 1)), at);
    }
  }
  struct rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
#if !STREAM_STORE_ASAN  // AddressSanitizer keeps freed memory
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 64 << 10) << "KiB";
#endif
  Tell("hostile numbers", images);
}

INSTANTIATE_TEST_SUITE_P(Stores, FlipTest, ::testing::Bool());

// A closed store with several chunks of most kinds.
class ChunkDamageTest : public DamageTest {
 protected:
  static constexpr std::uint64_t kChunkBytes = 4096;

  ChunkDamageTest() {
    internal::SmallestChunkBytes() = kChunkBytes;
    Options options = RowOptions();
    options.chunk_bytes = kChunkBytes;
    StreamStore store = StreamStore::Open(path_, options);
    for (Row row = 0; row < 300; ++row) {
      const std::vector<Value> list(static_cast<std::size_t>(row % 7), row);
      store.Append(row, {{0, row}, {1, list}, {2, row % 2 == 1}});
      if (row == 200) store.Sync();
    }
    store.Close();
    whole_ = Content(Reader::Open(path_));
    good_ = LoadImage(path_);
  }

  ~ChunkDamageTest() override { internal::SmallestChunkBytes() = internal::kMinChunkBytes; }

  Image good_;
};

TEST_F(ChunkDamageTest, ChunksThatAreMissingWrongOrMisplacedAreNoticed) {
  EXPECT_GE(FilesOfKind(good_, "records").size(), 3U);
  EXPECT_GE(FilesOfKind(good_, "values").size(), 3U);
  std::uint64_t images = 0;
  for (const auto& [name, bytes] : good_) {
    for (std::uint64_t damage = 0; damage < kChunkDamages; ++damage) {
      for (std::uint64_t choice = 0; choice < 8; ++choice) {
        Image image = good_;
        if (!DamageChunk(image, name, static_cast<ChunkDamage>(damage), choice * 509)) continue;
        WriteImage(image, path_);
        ASSERT_EQ(Look(), "") << name << ", damage " << damage << ", choice " << choice;
        ++images;
      }
    }
  }
  WriteImage(good_, path_);
  EXPECT_TRUE(Verify(path_).findings.empty());
  EXPECT_EQ(Content(Reader::Open(path_)), whole_);
  Tell("chunks", images);
}

}  // namespace
}  // namespace stream_store::crash
