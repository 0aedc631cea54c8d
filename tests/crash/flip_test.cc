// Damage everywhere: flips each bit of a small store and truncates each file at each length. Damage
// must give a finding or an error; a read without either must give the appended values.
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
#include "crash/place.h"
#include "crash/rows.h"
#include "support/sanitizers.h"

namespace stream_store::crash {

using internal::Directory;
using internal::File;
using internal::StrCat;

namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"values", "records", "layouts", "hints",
                                  "schema", "control", "lock"};

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

class FlipTest : public ::testing::TestWithParam<bool> {
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
      for (const char* name : {"values", "records", "layouts", "hints"}) Shorten(name);
      whole_ = Content(Reader::Open(path_));
    }
    ASSERT_TRUE(Verify(path_).ok());
    fs::copy(path_, scratch_ / "good", fs::copy_options::recursive);
  }

  // Without the tail of zeros that growth left, which would take too long to test.
  void Shorten(const char* name) const {
    const std::uint64_t size = fs::file_size(path_ / name);
    fs::resize_file(path_ / name, std::min<std::uint64_t>(size, 4096));
  }

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

  void Tell(const char* what, std::uint64_t count) const {
    std::cout << what << ", " << (GetParam() ? "closed" : "writer died") << ": " << count
              << " images";
    for (const auto& [name, number] : counts_) std::cout << ", " << number << " " << name;
    std::cout << ", 0 undetected" << std::endl;
  }

  FastDirectory scratch_;
  const fs::path path_ = scratch_ / "store";
  std::string whole_;
  std::map<std::string, std::uint64_t> counts_;
};

TEST_P(FlipTest, NoFlippedBitGoesUnnoticed) {
  const std::uint64_t stride = FromEnvironment("FLIP_STRIDE", 0);
  std::uint64_t flips = 0;
  const Directory directory = Directory::Open(path_);
  for (const char* name : kFiles) {
    const File file = directory.OpenFile(name, /*writable=*/true);
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
  for (const char* name : kFiles) {
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
  for (const char* name : {"records", "layouts", "hints", "schema", "control"}) {
    const File file = directory.OpenFile(name, /*writable=*/true);
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

}  // namespace
}  // namespace stream_store::crash
