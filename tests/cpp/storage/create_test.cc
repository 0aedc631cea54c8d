// Tests of creation and declaration: a store appears complete in one rename, or not at all.

#include <algorithm>
#include <fstream>

#include "base/lock.h"
#include "storage/fixture.h"

namespace stream_store::internal {
namespace {

namespace fs = std::filesystem;

class CreateTest : public StoreTest {
 protected:
  std::vector<std::string> Parent() const { return Directory::Open(scratch_->path()).Entries(); }

  fs::path Sibling(const char* digit) const {
    return Scratch(".store.tmp-" + std::string(32, *digit));
  }

  Faults faults_;
};

TEST_F(CreateTest, NothingIsOnDiskBeforeFieldsAreDeclared) {
  options_.fields.clear();
  StreamStore store = Open();
  EXPECT_EQ(Parent(), std::vector<std::string>{});
  EXPECT_EQ(ErrorOf([&] { store.Append(0, {}); }).code(), ErrorCode::kState);
  store.DefineFields(Fields());
  EXPECT_EQ(Parent(), std::vector<std::string>{"store"});
  const std::vector<std::string> files = {
      "control",         FileOf("layouts"),   "lock",   FileOf("position_hints"),
      FileOf("records"), FileOf("row_hints"), "schema", FileOf("values")};
  EXPECT_EQ(Directory::Open(path_).Entries(), files);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms(0700));
  for (const std::string& name : files)
    EXPECT_EQ(fs::status(path_ / name).permissions(), fs::perms(0600));
}

TEST_F(CreateTest, EverythingIsOnDiskBeforeTheNameAndTheNameBeforeItReturns) {
  StreamStore store = Open();
  const auto& log = Faults::log();
  const auto at = [&](const std::string& call) {
    return std::find(log.begin(), log.end(), call) - log.begin();
  };
  const auto rename = at("rename");
  for (const char* name : {"values", "records", "layouts", "position_hints", "row_hints", "control",
                           "schema", "sibling"}) {
    EXPECT_LT(at(StrCat("fsync ", FileOf(name))), rename) << name;
  }
  const auto parent = StrCat("fsync ", scratch_->path().filename().string());
  EXPECT_GT(std::find(log.begin() + rename, log.end(), parent) - log.begin(), rename);
  EXPECT_NE(log.back(), "rename");
  EXPECT_LT(at(parent), static_cast<std::ptrdiff_t>(log.size()));
}

// Each system call fails in turn. The result is a typed error and no leftovers, or a store.
TEST_F(CreateTest, LeavesNothingWhenAnyCallFails) {
  for (const char* call : {"mkdir", "open", "pwrite", "fallocate", "fsync", "rename", "mmap"}) {
    for (const int error : {EIO, ENOSPC}) {
      for (int n = 1; n < 100; ++n) {
        SCOPED_TRACE(StrCat(call, " ", n, " fails with ", error));
        Faults::Fail(call, error, n);
        try {
          Open();
        } catch (const Error& thrown) {
          EXPECT_TRUE(thrown.code() == ErrorCode::kIo || thrown.code() == ErrorCode::kNoSpace)
              << thrown.what();
        }
        const bool reached = Faults::failed() > 0;
        Faults::Stop();
        const auto entries = Parent();
        EXPECT_TRUE(entries.empty() || entries == std::vector<std::string>{"store"})
            << entries.size();
        EXPECT_EQ(Show(Open().reader()), "");  // a store that exists can be opened
        fs::remove_all(path_);
        if (!reached) break;
      }
    }
  }
}

TEST_F(CreateTest, OnlyAnEmptyDirectoryMayExist) {
  fs::create_directory(path_);
  options_.mode = Mode::kCreate;
  Open().Close();
  EXPECT_EQ(ErrorOf([&] { Open(); }).code(), ErrorCode::kAlreadyExists);
  options_.mode = Mode::kAppend;
  path_ = Scratch("other");
  fs::create_directories(path_ / "something");
  EXPECT_EQ(ErrorOf([&] { Open(); }).code(), ErrorCode::kAlreadyExists);
  path_ = Scratch("file");
  std::ofstream(path_) << "text";
  EXPECT_EQ(ErrorOf([&] { Open(); }).code(), ErrorCode::kAlreadyExists);
}

TEST_F(CreateTest, LeftoversOfDeadCreatorsAreRemoved) {
  fs::create_directory(Sibling("0"));  // its creator died at once
  fs::create_directory(Sibling("1"));  // its creator died halfway
  Directory::Open(Sibling("1")).CreateFile("lock");
  Directory::Open(Sibling("1")).CreateFile("values");
  fs::create_directory(Sibling("2"));  // the process that deleted it died halfway
  Directory::Open(Sibling("2")).CreateFile("values");
  Open().Close();
  EXPECT_EQ(Parent(), std::vector<std::string>{"store"});
}

TEST_F(CreateTest, ALivingCreatorIsLeftAlone) {
  fs::create_directory(Sibling("3"));
  const File lock = Directory::Open(Sibling("3")).CreateFile("lock");
  ASSERT_TRUE(TryLockByte(lock, kWriterLockByte));
  Open().Close();
  EXPECT_TRUE(fs::exists(Sibling("3") / "lock"));
}

TEST_F(CreateTest, FieldsMayBeDeclaredAgainWhileNothingIsStored) {
  StreamStore store = Open();
  store.DefineFields({Field{.name = "other", .dtype = DType::kFloat64}});
  EXPECT_EQ(Reader::Open(path_).schema().fields().at(0).name, "other");
  store.Append(0, {{0, 1.5}});
  EXPECT_EQ(ErrorOf([&] { store.DefineFields(Fields()); }).code(), ErrorCode::kState);
  store.Close();
  EXPECT_EQ(ErrorOf([&] { Open(); }).code(), ErrorCode::kInvalidArgument);
  options_.fields.clear();
  EXPECT_EQ(Open().schema()[0].name, "other");
}

TEST_F(CreateTest, AFailedRedeclarationLeavesOneOfTheTwo) {
  const std::vector<Field> other = {Field{.name = "other", .dtype = DType::kFloat64}};
  for (const char* call : {"open", "pwrite", "fsync", "rename"}) {
    for (int n = 1; n < 20; ++n) {
      SCOPED_TRACE(StrCat(call, " ", n));
      StreamStore store = Open();
      Faults::Fail(call, EIO, n);
      bool thrown = false;
      try {
        store.DefineFields(other);
      } catch (const Error&) {
        thrown = true;
      }
      const bool reached = Faults::failed() > 0;
      Faults::Stop();
      EXPECT_EQ(thrown, reached);
      // Either the writer uses the fields that are on disk, or it refuses to continue.
      const std::string in_file = Reader::Open(path_).schema()[0].name;
      bool appended = true;
      try {
        store.Append(0, {});
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
        appended = false;
      }
      if (appended) {
        EXPECT_EQ(store.schema()[0].name, in_file);
      }
      store.Close();
      fs::remove_all(path_);
      if (!reached) break;
    }
  }
}

TEST_F(CreateTest, ALeftoverOfARedeclarationIsRemoved) {
  Open().Close();
  Directory::Open(path_).CreateFile("schema.tmp");
  Open().Close();
  EXPECT_FALSE(fs::exists(path_ / "schema.tmp"));
}

}  // namespace
}  // namespace stream_store::internal
