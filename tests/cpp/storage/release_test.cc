// What Close() releases: every descriptor and mapping of the store, unless a Reader of this process
// still needs them. And calls on a closed store, whose memory is no longer mapped.
#include <fstream>

#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class ReleaseTest : public StoreTest {
 protected:
  /// How many descriptors and mappings of this process refer to files in `place`.
  static std::size_t Uses(const fs::path& place) {
    std::size_t uses = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;  // the descriptor of the iterator itself
      const std::string target = fs::read_symlink(entry.path(), gone).string();
      uses += target.starts_with(place.string()) ? 1U : 0U;
    }
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      uses += line.find(place.string()) != std::string::npos ? 1U : 0U;
    }
    return uses;
  }

  std::size_t Uses() const { return Uses(path_); }

  /// The code that a call reports.
  static ErrorCode CodeOf(const std::function<void()>& call) { return ErrorOf(call).code(); }

  /// Calls with invalid arguments, each of which an open store refuses as kInvalidArgument.
  static std::vector<std::function<ErrorCode()>> InvalidCalls(StreamStore& store) {
    static constexpr std::int64_t kNumbers[2] = {1, 2};
    static const std::vector<FieldWrite> kUnknown{{9, 1}};
    static const std::vector<FieldWrite> kTwoFlags{{2, true}, {2, true}};
    static const std::vector<Step> kFalling{5, 4};
    static const Column kColumn{.type = 9, .data = kNumbers};
    return {
        [&] { return CodeOf([&] { store.Append(3, kUnknown); }); },
        [&] { return CodeOf([&] { store.Append(3, kTwoFlags); }); },
        [&] { return CodeOf([&] { store.Append(0, {{1, List(7, 1)}}); }); },
        [&] { return CodeOf([&] { store.Append(-9, {}); }); },
        [&] { return CodeOf([&] { store.Append(kFalling, kUnknown); }); },
        [&] { return CodeOf([&] { store.AppendStep(kUnknown); }); },
        [&] { return CodeOf([&] { store.Extend(kFalling, std::span(&kColumn, 1)); }); },
        [&] { return store.TryAppend(3, kUnknown); },
        [&] { return store.TryAppend(-9, {}); },
        [&] { return store.TryAppendStep(kUnknown); },
    };
  }

  static void ExpectAll(StreamStore& store, ErrorCode code) {
    int call = 0;
    for (const auto& invalid : InvalidCalls(store)) {
      EXPECT_EQ(invalid(), code) << "call " << call;
      ++call;
    }
  }
};

TEST_F(ReleaseTest, AClosedStoreHasNoDescriptorAndNoMapping) {
  for (const bool helpers : {false, true}) {
    options_.grow_ahead = helpers;
    options_.sync_interval = std::chrono::milliseconds(helpers ? 1 : 0);
    StreamStore store = Open();
    store.Append(helpers ? 1 : 0, {{0, 1}});
    EXPECT_GE(Uses(), 9U);  // six mappings, and the descriptors of directory, control and lock
    store.Close();
    EXPECT_EQ(Uses(), 0U);
  }
}

TEST_F(ReleaseTest, AClosedTemporaryStoreHasNoneEither) {
  options_.temporary_directory = scratch_->path();
  StreamStore store = StreamStore::Temporary(options_);
  store.Append(0, {{0, 1}});
  EXPECT_GE(Uses(scratch_->path()), 9U);
  store.Close();
  EXPECT_EQ(Uses(scratch_->path()), 0U);
  const Error error = ErrorOf([&] { store.reader(); });
  EXPECT_EQ(error.code(), ErrorCode::kClosed);
  EXPECT_CONTAINS(error.what(), "its rows are gone");
}

TEST_F(ReleaseTest, AThousandStoresThatWereClosedHoldNothing) {
  std::vector<StreamStore> closed;
  for (Step step = 0; step < 1000; ++step) {
    closed.push_back(Open());
    closed.back().Append(step, {{0, step}});
    closed.back().Close();
    ASSERT_EQ(Uses(), 0U) << "after " << step;
  }
  EXPECT_EQ(Reader::Open(path_).num_rows(), 1000U);
  EXPECT_EQ(Uses(), 0U);
}

TEST_F(ReleaseTest, AReaderKeepsTheFilesUntilItIsDestroyed) {
  for (const bool temporary : {false, true}) {
    options_.temporary_directory = scratch_->path();
    StreamStore store = temporary ? StreamStore::Temporary(options_) : Open();
    store.Append(0, {{0, 7}});
    {
      const Reader reader = store.reader();
      const Reader copy = reader;
      store.Close();
      EXPECT_GE(Uses(scratch_->path()), 8U);
      EXPECT_EQ(copy.row(0).begin()->values[0], 7);
      EXPECT_EQ(store.reader().num_rows(), 1U);  // shares the files of the other readers
    }
    EXPECT_EQ(Uses(scratch_->path()), 0U);
  }
}

TEST_F(ReleaseTest, AClosedStoreIsReadByItsPath) {
  StreamStore store = Open();
  store.Append(0, {{0, 7}});
  store.Close();
  EXPECT_EQ(Show(store.reader()), "0{0:7}");
  EXPECT_EQ(Uses(), 0U);
  EXPECT_EQ(store.schema().size(), 3U);
  EXPECT_EQ(store.durable_rows(), 1U);
  const auto id = store.id();
  StreamStore next = Open();
  next.Append(1, {{0, 8}});
  EXPECT_EQ(store.reader().num_rows(), 2U);
  EXPECT_EQ(store.reader().id(), id);
}

TEST_F(ReleaseTest, AClosedStoreDoesNotReadAnotherOneAtItsPath) {
  StreamStore store = Open();
  store.Close();
  fs::remove_all(path_);
  EXPECT_EQ(CodeOf([&] { store.reader(); }), ErrorCode::kNotFound);
  const StreamStore other = Open();
  const Error error = ErrorOf([&] { store.reader(); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_CONTAINS(error.what(), "another store is at its path");
}

TEST_F(ReleaseTest, CloseReleasesEverythingAlsoIfItsSyncFails) {
  StreamStore store = Open();
  store.Append(0, {{0, 7}});
  {
    const Faults faults;
    Faults::Fail("fdatasync", EIO);
    EXPECT_EQ(CodeOf([&] { store.Close(); }), ErrorCode::kIo);
  }
  EXPECT_EQ(Uses(), 0U);
  StreamStore next = Open();
  EXPECT_EQ(next.Append(1, {}), 1);
}

TEST_F(ReleaseTest, AnInvalidCallSaysThatTheStoreIsClosed) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}, {2, true}});
  ExpectAll(store, ErrorCode::kInvalidArgument);
  store.Close();
  ExpectAll(store, ErrorCode::kClosed);
  // Shapes that the writer has seen, and has not seen, in memory that is no longer mapped.
  EXPECT_EQ(store.TryAppend(1, {{0, 1}, {2, true}}), ErrorCode::kClosed);
  EXPECT_EQ(store.TryAppend(1, {{1, List(3, 1)}}), ErrorCode::kClosed);
  EXPECT_EQ(CodeOf([&] { store.Reserve(~std::uint64_t{0}, 1); }), ErrorCode::kClosed);
  EXPECT_EQ(CodeOf([&] { store.Stage(); }), ErrorCode::kClosed);
}

TEST_F(ReleaseTest, AnInvalidCallInAForkedChildSaysThatItMayNotWrite) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}, {2, true}});
  const auto child = [&] {
    ExpectAll(store, ErrorCode::kReadOnly);
    EXPECT_EQ(CodeOf([&] { store.Reserve(~std::uint64_t{0}, 1); }), ErrorCode::kReadOnly);
    EXPECT_EQ(CodeOf([&] { store.Stage(); }), ErrorCode::kReadOnly);
    store.Close();
    EXPECT_EQ(store.reader().num_rows(), 1U);
  };
  EXPECT_EQ(InChild(child), 0);
}

TEST_F(ReleaseTest, AForkAfterCloseDoesNotTouchWhatWasReleased) {
  StreamStore store = Open();
  store.Append(0, {{0, 1}});
  store.Close();
  const auto child = [&] {
    EXPECT_EQ(CodeOf([&] { store.Append(1, {}); }), ErrorCode::kClosed);
    EXPECT_EQ(store.reader().num_rows(), 1U);
  };
  EXPECT_EQ(InChild(child), 0);
}

}  // namespace
}  // namespace stream_store::internal
