// Tests of readers attached by path, while writers open, append, die, and recover with truncation.

#include <algorithm>
#include <thread>

#include "base/lock.h"
#include "storage/fixture.h"
#include "support/patience.h"

namespace stream_store::internal {
namespace {

std::function<void()> before_live_lock;
std::function<void()> after_schema_open;

class ReaderTest : public StoreTest {
 protected:
  void TearDown() override {
    sys() = RealSyscalls();
    before_live_lock = nullptr;
    after_schema_open = nullptr;
  }

  // Runs `work` when the next writer is about to lock the live byte.
  static void BeforeLiveLock(std::function<void()> work) {
    before_live_lock = std::move(work);
    sys().lock = [](int fd, int command, struct flock* lock) {
      if (command == F_OFD_SETLK && lock->l_start == kLiveLockByte && before_live_lock) {
        std::exchange(before_live_lock, nullptr)();
      }
      return RealSyscalls().lock(fd, command, lock);
    };
  }

  // Runs `work` when the schema file has been opened and is about to be read.
  static void AfterSchemaOpen(std::function<void()> work) {
    after_schema_open = std::move(work);
    sys().open_at = [](int directory, const char* name, int flags, mode_t mode) {
      const int fd = RealSyscalls().open_at(directory, name, flags, mode);
      if (std::string(name) == "schema" && (flags & O_PATH) == 0 && after_schema_open) {
        std::exchange(after_schema_open, nullptr)();
      }
      return fd;
    };
  }

  // Makes a store whose writer died, of which a power failure left the first two of three rows.
  void MakeTruncated() {
    WriteAndDie([](StreamStore& store) {
      store.Append(0, {{0, 1}});
      store.Sync();
      store.Append(1, {{0, 2}});
      store.Append(2, {{0, 3}});
    });
    const Value wrong = 4;
    Directory::Open(path_)
        .OpenFile(FileOf("values").c_str(), true)
        .WriteAt(std::as_bytes(std::span(&wrong, 1)), 16);
  }
};

TEST_F(ReaderTest, AMissingStoreIsNotFound) {
  EXPECT_EQ(ErrorOf([&] { Reader::Open(path_); }).code(), ErrorCode::kNotFound);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(ErrorOf([&] { Reader::Open(path_); }).code(), ErrorCode::kNotFound);
}

TEST_F(ReaderTest, FollowsAWriterOfThisProcessAndOfAnother) {
  StreamStore store = Open();
  Reader inside = store.reader();
  Reader attached = Reader::Open(path_);
  store.Append(0, {{0, 1}});
  for (Reader* reader : {&inside, &attached}) {
    EXPECT_TRUE(reader->live());
    EXPECT_EQ(reader->num_rows(), 0U);
    reader->Refresh();
    EXPECT_EQ(Show(*reader), "0{0:1}");
  }
  const auto look = [this] { EXPECT_EQ(Stored(), "0{0:1}"); };
  EXPECT_EQ(InChild(look), 0);
}

TEST_F(ReaderTest, WritesNothing) {
  MakeTruncated();
  const auto content = [this] {
    std::string all;
    for (const std::string& name : Directory::Open(path_).Entries()) {
      const File file = Directory::Open(path_).OpenFile(name.c_str(), false);
      std::vector<std::byte> bytes(file.Size());
      file.ReadAt(bytes, 0);
      all += Text(bytes);
    }
    return all;
  };
  const std::string before = content();
  EXPECT_EQ(Stored(), "0{0:1} 1{0:2}");
  EXPECT_TRUE(content() == before);
}

TEST_F(ReaderTest, StaysFixedUntilAWriterOpensTheStore) {
  WriteAndDie([](StreamStore& store) { store.Append(0, {{0, 1}}); });
  Reader reader = Reader::Open(path_);
  EXPECT_FALSE(reader.live());
  EXPECT_EQ(reader.recovery().state, Recovery::State::kProcessCrash);
  StreamStore store = Open();
  store.Append(1, {{0, 2}});
  reader.Refresh();
  EXPECT_TRUE(reader.live());
  EXPECT_EQ(Show(reader), "0{0:1} 1{0:2}");
  store.Close();
  EXPECT_FALSE(reader.live());
  EXPECT_EQ(Show(reader), "0{0:1} 1{0:2}");
}

// Regression test. A reader that attached just before the live byte was locked had already seen the
// new session number, waited for another one, and never followed the writer.
TEST_F(ReaderTest, FollowsAWriterThatWasOpeningWhenItAttached) {
  Open().Append(0, {{0, 1}});
  std::optional<Reader> reader;
  BeforeLiveLock([&] { reader = Reader::Open(path_); });
  StreamStore store = Open();
  store.Append(1, {{0, 2}});
  ASSERT_TRUE(reader.has_value());
  reader->Refresh();
  EXPECT_EQ(Show(*reader), "0{0:1} 1{0:2}");
}

// The writer's recovery finds the same prefix as the reader's, so it removes no record that the
// reader has seen.
TEST_F(ReaderTest, AReaderAtItsOwnPrefixSurvivesOneTruncation) {
  MakeTruncated();
  Reader reader = Reader::Open(path_);
  EXPECT_EQ(reader.recovery().state, Recovery::State::kTruncated);
  EXPECT_EQ(reader.recovery().rows_cut, 1U);
  BeforeLiveLock([&] { EXPECT_EQ(Show(reader), "0{0:1} 1{0:2}"); });
  StreamStore store = Open();
  EXPECT_EQ(Show(reader), "0{0:1} 1{0:2}");
  store.Append(2, {{0, 9}});
  reader.Refresh();
  EXPECT_EQ(Show(reader), "0{0:1} 1{0:2} 2{0:9}");
}

TEST_F(ReaderTest, FailsWhenRecoveryRemovesRecordsItHasSeen) {
  std::optional<Reader> reader;
  {
    StreamStore store = Open();
    store.Append(0, {{0, 1}});
    store.Append(1, {{0, 2}});
    reader = Reader::Open(path_);
    // The writer fails and is closed; then the machine loses a page of its values.
    Faults faults;
    Faults::Fail("msync", EIO);
    EXPECT_EQ(ErrorOf([&] { store.Sync(); }).code(), ErrorCode::kIo);
  }
  EXPECT_EQ(Show(*reader), "0{0:1} 1{0:2}");
  const Value wrong = 7;
  Directory::Open(path_)
      .OpenFile(FileOf("values").c_str(), true)
      .WriteAt(std::as_bytes(std::span(&wrong, 1)), 8);
  StreamStore store = Open();
  EXPECT_EQ(store.recovery().state, Recovery::State::kTruncated);
  EXPECT_EQ(ErrorOf([&] { reader->Refresh(); }).code(), ErrorCode::kCutBack);
  EXPECT_EQ(ErrorOf([&] { reader->row(1); }).code(), ErrorCode::kCutBack);
  EXPECT_EQ(Stored(), "0{0:1}");
}

// The fields are declared again and used after a reader has read the schema and before it reads the
// records. It must not decode the records with the old fields.
TEST_F(ReaderTest, ReadsByTheFieldsTheRecordsWereWrittenWith) {
  StreamStore store = Open();
  const std::vector<Field> other = {Field{.name = "other", .dtype = DType::kFloat64}};
  const auto redeclare_and_append = [&] {
    store.DefineFields(other);
    store.Append(0, {{0, 1.5}});
  };
  Reader reader = Reader::Open(path_);
  AfterSchemaOpen(redeclare_and_append);
  reader.Refresh();
  reader.Refresh();
  EXPECT_EQ(reader.num_rows(), 1U);
  EXPECT_EQ(reader.schema()[0].name, "other");
}

TEST_F(ReaderTest, AttachesByTheFieldsTheRecordsWereWrittenWith) {
  StreamStore store = Open();
  AfterSchemaOpen([&] {
    store.DefineFields({Field{.name = "other", .dtype = DType::kFloat64}});
    store.Append(0, {{0, 1.5}});
  });
  const Reader reader = Reader::Open(path_);
  EXPECT_EQ(reader.num_rows(), 1U);
  EXPECT_EQ(reader.schema()[0].name, "other");
}

TEST_F(ReaderTest, ADecreasingCountIsCorrupt) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  Reader reader = Reader::Open(path_);
  LiveWords live = Live();
  live.published = 0;
  SetLive(live);
  EXPECT_EQ(ErrorOf([&] { reader.Refresh(); }).code(), ErrorCode::kCorrupt);
  live.published = 1'000'000;
  SetLive(live);
  EXPECT_EQ(ErrorOf([&] { reader.Refresh(); }).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(Show(reader), "0{0:1}") << "what it has seen stays";
}

TEST_F(ReaderTest, WaitsForRowsAndForTheStore) {
  std::thread writer([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    StreamStore store = Open();
    store.Append(0, {{0, 1}});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    store.Append(1, {{0, 2}});
  });
  Reader reader = Reader::Open(path_, {.wait = kPatience});
  EXPECT_TRUE(reader.Wait(2, kPatience));
  EXPECT_FALSE(reader.Wait(3, std::chrono::milliseconds(1)));
  writer.join();
}

TEST_F(ReaderTest, OutlivesTheWriterAndTheDirectory) {
  std::optional<StreamStore> store = Open();
  store->Append(0, {{0, 1}});
  const Reader inside = store->reader();
  const Reader attached = Reader::Open(path_);
  store.reset();
  std::filesystem::remove_all(path_);
  EXPECT_EQ(Show(inside), "0{0:1}");
  EXPECT_EQ(Show(attached), "0{0:1}");
}

}  // namespace
}  // namespace stream_store::internal
