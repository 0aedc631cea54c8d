// Tests of damaged stores: files truncated, replaced, with flipped bits. Opening or reading them
// gives an Error or a prefix of the appended rows, and never crashes. Opening does not check the
// values of a cleanly closed store; Verify() does. Also run with AddressSanitizer.

#include <algorithm>
#include <fstream>

#include <sys/stat.h>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFiles[] = {"values",    "records", "layouts", "position_hints",
                                  "row_hints", "schema",  "control", "lock"};

class DamageTest : public StoreTest {
 protected:
  // Makes a store of six rows with several layouts, four of them synced. Its writer closed it, or
  // died.
  void Make(bool closed) {
    const auto write = [closed](StreamStore& store) {
      for (Step step = 0; step < 6; ++step) {
        store.Append(step, {{0, step + 10}, {1, List(static_cast<std::size_t>(step % 3), 7)}});
        store.Append(step, {{2, step % 2 == 0}});
        if (step == 3) store.Sync();
      }
      if (closed) store.Close();
    };
    WriteAndDie(write);
    whole_ = Show(Reader::Open(path_));
    fs::rename(path_, Scratch("good"));
    Restore();
  }

  void Restore() const {
    fs::remove_all(path_);
    fs::copy(Scratch("good"), path_, fs::copy_options::recursive);
  }

  // Whether `shown` is a prefix of the appended rows; its last row may lack its second part.
  bool IsPrefix(std::string shown) const {
    if (!shown.empty()) shown.pop_back();
    return whole_.starts_with(shown);
  }

  static void ExpectDamage(const Error& error) {
    const bool typed = error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kVersion;
    EXPECT_TRUE(typed) << error.what();
  }

  // `exact`: the readable rows must be exactly the appended ones.
  void Read(bool exact) const {
    try {
      const std::string shown = Stored();
      if (exact) {
        EXPECT_TRUE(IsPrefix(shown)) << shown;
      }
    } catch (const Error& error) {
      ExpectDamage(error);
    }
  }

  void Write(bool exact) const {
    try {
      StreamStore store = Open();
      const std::string shown = Show(store.reader());
      if (exact) {
        EXPECT_TRUE(IsPrefix(shown)) << shown;
      }
      const Step step = INT64_MAX;
      const Row row = store.Append(step, {{0, 1}, {1, List{1, 2, 3}}});
      EXPECT_EQ(store.reader().row(row).step(), step);
      store.Close();
    } catch (const Error& error) {
      ExpectDamage(error);
    }
  }

  void Put(const std::string& name, std::uint64_t at, std::byte byte) const {
    Directory::Open(path_).OpenFile(FileOf(name).c_str(), true).WriteAt(std::span(&byte, 1), at);
  }

  std::string whole_;
};

TEST_F(DamageTest, TruncatedFilesGiveAnErrorOrAPrefix) {
  for (const bool closed : {true, false}) {
    fs::remove_all(Scratch("good"));
    fs::remove_all(path_);
    Make(closed);
    for (const char* name : kFiles) {
      const std::uint64_t size = fs::file_size(path_ / FileOf(name));
      const std::uint64_t step = size <= 700 ? 7 : size / 23;
      for (std::uint64_t length = 0; length < size; length += step) {
        SCOPED_TRACE(
            StrCat(name, " of ", size, " bytes cut to ", length, closed ? ", closed" : ""));
        Restore();
        fs::resize_file(path_ / FileOf(name), length);
        Read(/*exact=*/true);
        Write(/*exact=*/true);
      }
    }
  }
}

// The older slot still fits the truncated files. Using it would turn damage into a silent loss.
TEST_F(DamageTest, MissingSyncedBytesAreDamage) {
  WriteAndDie([](StreamStore& store) {
    for (Step step = 0; step < 6; ++step) {
      store.Append(step, {{0, step}, {1, List(static_cast<std::size_t>(step), 1)}});
      store.Sync();
    }
  });
  fs::rename(path_, Scratch("good"));
  constexpr std::uint64_t kValues = 6 + 0 + 1 + 2 + 3 + 4 + 5;
  for (const auto& [name, size] :
       {std::pair{"records", std::uint64_t{32 * 6}}, {"values", 8 * (kValues - 1)}}) {
    SCOPED_TRACE(name);
    Restore();
    fs::resize_file(path_ / FileOf(name), size);
    EXPECT_EQ(ErrorOf([this] { Stored(); }).code(), ErrorCode::kCorrupt);
    EXPECT_EQ(ErrorOf([this] { Open(); }).code(), ErrorCode::kCorrupt);
  }
}

TEST_F(DamageTest, MissingFilesAndOtherKindsOfFilesAreErrors) {
  Make(true);
  for (const char* name : kFiles) {
    for (const char* kind : {"missing", "directory", "pipe", "link", "empty"}) {
      SCOPED_TRACE(StrCat(name, " is ", kind));
      Restore();
      const fs::path file = path_ / FileOf(name);
      fs::remove(file);
      if (kind == std::string("directory")) fs::create_directory(file);
      if (kind == std::string("pipe")) ::mkfifo(file.c_str(), 0600);
      if (kind == std::string("link")) fs::create_symlink(Scratch("good") / FileOf(name), file);
      if (kind == std::string("empty")) std::ofstream(file).close();
      const bool harmless = kind == std::string("empty") &&
                            (name == std::string("lock") || std::string(name).ends_with("_hints"));
      if (harmless) {
        EXPECT_EQ(Stored(), whole_);
        EXPECT_EQ(Show(Open().reader()), whole_);
        continue;
      }
      const Error reading = ErrorOf([this] { Stored(); });
      EXPECT_EQ(reading.code(), ErrorCode::kCorrupt) << reading.what();
      EXPECT_CONTAINS(reading.what(), name);
      EXPECT_EQ(ErrorOf([this] { Open(); }).code(), ErrorCode::kCorrupt);
    }
  }
}

TEST_F(DamageTest, FilesOfAnotherStoreAreErrors) {
  Make(false);
  const fs::path other = Scratch("other");
  {
    StreamStore store = StreamStore::Open(other, options_);
    for (Step step = 0; step < 6; ++step) {
      store.Append(step, {{0, step + 10}, {1, List(static_cast<std::size_t>(step % 3), 7)}});
      store.Append(step, {{2, step % 2 == 0}});
    }
  }
  for (const char* name : {"records", "control", "schema"}) {
    SCOPED_TRACE(name);
    Restore();
    fs::copy_file(other / FileOf(name), path_ / FileOf(name), fs::copy_options::overwrite_existing);
    EXPECT_EQ(ErrorOf([this] { Stored(); }).code(), ErrorCode::kCorrupt);
    EXPECT_EQ(ErrorOf([this] { Open(); }).code(), ErrorCode::kCorrupt);
  }
}

// Flips one bit at a time, in all bytes that are not zero. Opening a cleanly closed store reads no
// values and only the last record, so it cannot find damage elsewhere.
TEST_F(DamageTest, FlippedBitsGiveAnErrorOrAPrefix) {
  std::uint64_t flips = 0;
  for (const bool closed : {true, false}) {
    fs::remove_all(Scratch("good"));
    fs::remove_all(path_);
    Make(closed);
    for (const std::string name :
         {"values", "records", "layouts", "position_hints", "row_hints", "schema", "control"}) {
      const bool exact = !closed || (name != "values" && name != "records" && name != "layouts");
      std::vector<std::byte> bytes(fs::file_size(path_ / FileOf(name)));
      Directory::Open(path_).OpenFile(FileOf(name).c_str(), false).ReadAt(bytes, 0);
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        if (bytes[at] == std::byte{0} && (at > 4096 || at % 61 != 0)) continue;
        SCOPED_TRACE(StrCat(name, ": byte ", at, closed ? ", closed" : ""));
        Put(name, at, bytes[at] ^ (std::byte{1} << static_cast<int>(at % 8)));
        Read(exact);
        if (++flips % 3 == 0) {
          Write(exact);
          Restore();
        }
        Put(name, at, bytes[at]);
      }
    }
  }
  EXPECT_GT(flips, 1'000U);
}

}  // namespace
}  // namespace stream_store::internal
