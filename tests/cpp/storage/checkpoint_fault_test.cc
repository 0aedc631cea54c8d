// Tests of Reader::UpdateCheckpoint() when a system call fails or the process is killed: the
// checkpoint is the old or the new one, and can be brought up to date.

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "crash/place.h"
#include "crash/shim.h"
#include "storage/checkpoint_fixture.h"

namespace stream_store::internal {
namespace {

using crash::Shim;

// Small chunks, so that an update with all its steps takes few calls.
class CheckpointUpdateFaultTest : public CheckpointUpdateTest {
 protected:
  static constexpr std::uint64_t kChunk = 4096;

  CheckpointUpdateFaultTest() {
    SmallestChunkBytes() = kChunk;
    options_.chunk_bytes = kChunk;
  }

  // A store, and a checkpoint of it that lacks rows, a field and a drop. If `apart`, all of the
  // rows of the checkpoint were dropped.
  void Prepare(bool apart) {
    store_.emplace(Open());
    Fill(*store_, 0, 12, 60);
    store_->reader().Checkpoint(copy_);
    old_ = Content(Reader::Open(copy_));
    store_->AddFields({Field{.name = "more"}});
    Fill(*store_, 12, 32, 60);
    store_->Append(32, {{3, 1}});
    store_->DropBefore(apart ? 20 : 9);
    new_ = Content(store_->reader());
    fs::copy(copy_, Scratch("template"));
  }

  void Restore() {
    fs::remove_all(copy_);
    fs::copy(Scratch("template"), copy_);
  }

  // The checkpoint is the old or the new one, and can be brought up to date. Returns whether it was
  // the new one.
  bool ExpectOldOrNew(const std::string& what, bool must_be_new) {
    SCOPED_TRACE(what);
    const VerifyReport report = Verify(copy_);
    EXPECT_TRUE(report.ok()) << FindingText(report.findings.front());
    const std::string content = Content(Reader::Open(copy_));
    EXPECT_TRUE(content == new_ || (content == old_ && !must_be_new)) << content;
    EXPECT_EQ(store_->reader().UpdateCheckpoint(copy_) == 0, content == new_);
    EXPECT_EQ(Content(Reader::Open(copy_)), new_);
    ExpectWhole(copy_);
    return content == new_;
  }

  std::uint64_t Calls() {
    const Shim counting(0, Shim::Fault::kNone, 0);
    store_->reader().UpdateCheckpoint(copy_);
    return counting.calls();
  }

  std::optional<StreamStore> store_;
  std::string old_;
  std::string new_;
};

TEST_F(CheckpointUpdateFaultTest, AnyCallMayFail) {
  for (const bool apart : {false, true}) {
    for (const char* name : {"store", "copy", "template"}) fs::remove_all(Scratch(name));
    Prepare(apart);
    const std::uint64_t calls = Calls();
    std::uint64_t refused = 0;
    for (const int error : {EIO, ENOSPC}) {
      for (const Shim::Fault fault : {Shim::Fault::kOnce, Shim::Fault::kAlways}) {
        const bool each = error == EIO && fault == Shim::Fault::kOnce;
        for (std::uint64_t nth = 1; nth <= calls; nth += each ? 100 / crash::Effort(100) : 9) {
          Restore();
          bool failed = false;
          std::string name;
          {
            const Shim shim(nth, fault, error);
            try {
              store_->reader().UpdateCheckpoint(copy_);
            } catch (const Error&) {
              failed = true;
            }
            name = shim.name();
          }
          refused += failed ? 1U : 0U;
          ExpectOldOrNew(StrCat("call ", nth, ", ", name, ", errno ", error), !failed);
          if (HasFailure()) return;
        }
      }
    }
    EXPECT_GT(refused, calls / 2 * crash::Effort(100) / 100);
  }
}

TEST_F(CheckpointUpdateFaultTest, TheProcessMayBeKilledAtAnyCall) {
  for (const bool apart : {false, true}) {
    for (const char* name : {"store", "copy", "template"}) fs::remove_all(Scratch(name));
    Prepare(apart);
    const std::uint64_t calls = Calls();
    std::uint64_t old_ones = 0;
    for (std::uint64_t nth = 1; nth <= calls; nth += 100 / crash::Effort(100)) {
      Restore();
      const pid_t child = ::fork();
      if (child == 0) {
        const Reader reader = Reader::Open(path_);
        const Shim shim(nth, Shim::Fault::kKill, 0);
        reader.UpdateCheckpoint(copy_);
        ::_exit(0);
      }
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      const bool is_new = ExpectOldOrNew(StrCat("killed at call ", nth), status == 0);
      old_ones += is_new ? 0U : 1U;
      if (HasFailure()) return;
    }
    EXPECT_GT(old_ones, 0U);
    EXPECT_LT(old_ones, calls);
  }
}

// Records that were copied by an update that failed have the sessions of the store. A writer of the
// checkpoint must not use one of these, or recovery could take such a record for one of its own.
TEST_F(CheckpointUpdateFaultTest, SessionsAreNotUsedTwice) {
  Prepare(false);
  options_.fields = {};
  for (int i = 0; i < 5; ++i) {
    store_.reset();
    store_.emplace(Open());
    Fill(*store_, 200 + i, 201 + i, 30);
  }
  store_->Sync();
  const std::uint64_t session = std::max(Slots()[0]->session, Slots()[1]->session);
  path_.swap(copy_);
  EXPECT_LT(std::max(Slots()[0]->session, Slots()[1]->session), session);
  path_.swap(copy_);
  const Reader reader = store_->reader();
  {
    const Faults faults;
    Faults::Fail("fsync", EIO);
    EXPECT_EQ(ErrorOf([&] { reader.UpdateCheckpoint(copy_); }).code(), ErrorCode::kIo);
  }
  path_.swap(copy_);
  EXPECT_GE(std::max(Slots()[0]->session, Slots()[1]->session), session);
  path_.swap(copy_);
}

// A slot counts only data that was synced before, and chunks are unlinked only after it.
TEST_F(CheckpointUpdateFaultTest, TheSlotComesAfterTheDataAndBeforeTheDrop) {
  Prepare(false);
  std::vector<std::string> log;
  {
    const Faults faults;
    store_->reader().UpdateCheckpoint(copy_);
    log = Faults::log();
  }
  const auto last = [&](const std::string& call) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < log.size(); ++i)
      if (log[i].starts_with(call)) at = i;
    return at;
  };
  const std::size_t last_slot = last("pwrite control");
  for (const char* kind : kKindNames) {
    EXPECT_LT(last(StrCat("pwrite ", kind)), last(StrCat("fsync ", kind))) << kind;
    EXPECT_LT(last(StrCat("fsync ", kind)), last_slot) << kind;
  }
  EXPECT_LT(last("fsync copy"), last_slot);  // the directory
  EXPECT_LT(last("rename"), last_slot);
  ASSERT_LT(last_slot + 1, log.size());
  EXPECT_EQ(log[last_slot + 1], "fdatasync control");
}

}  // namespace
}  // namespace stream_store::internal
