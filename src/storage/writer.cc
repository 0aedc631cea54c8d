#include "storage/writer.h"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "storage/fork_guard.h"
#include "storage/store_files.h"

namespace stream_store::internal {

namespace {

// The first stores of a process keep their descriptors, which saves a few system calls for each sync
// and growth, and works after the process has given up the right to open them again. Those that come
// later keep only the one of their lock, so that a process can have about as many stores open as
// descriptors.
constexpr std::size_t kWritersWithDescriptors = 2;

}  // namespace

Writer::Writer(std::shared_ptr<StoreFiles> files, const SessionStart& start,
               const WriterOptions& options)
    : files_(std::move(files)),
      status_(*files_),
      capacity_(*files_, status_, start.cursor, options),
      durability_(*files_, status_, capacity_, start, options),
      appender_(*files_, status_, capacity_, durability_, start) {
  files_->layout_words.store(start.cursor.layout_words, std::memory_order_relaxed);
  files_->writer_open.store(true, std::memory_order_release);
  files_->AddUser();
  capacity_.SetRelief([this] { AwaitUpkeep(); });
  if (CountWriters() >= kWritersWithDescriptors) {
    files_->Park();
  }
  GuardAgainstFork(this);
}

Writer::~Writer() {
  try {
    Close();
  } catch (...) {
    // A destructor cannot report it, nor that memory is exhausted; the next open recovers at least the synced rows.
  }
  UnguardAgainstFork(this);  // in a forked child, Close() did not
}

std::uint64_t Writer::Sync() {
  status_.RequireWritable("sync");
  if (!durability_.session_open()) {
    appender_.OpenSessionOfRecovered();  // so that the recovered records become durable, too
  }
  return durability_.Sync();
}

std::uint64_t Writer::DropBefore(std::uint64_t row) {
  status_.RequireWritable("drop_before");
  for (;;) {
    if (const auto dropped = durability_.Drop(row)) {
      return *dropped;
    }
    appender_.OpenSession();  // the rows are about to be synced
  }
}

// Upkeep may sync, so it must not delay the growth of other stores.
void Writer::StartUpkeep(std::function<HelperThread::Pause()> round, std::uint64_t most_bytes) {
  auto counted = [this, round = std::move(round)] {
    const HelperThread::Pause pause = round();
    upkeep_rounds_.fetch_add(1, std::memory_order_release);
    return pause;
  };
  const auto helper = std::make_shared<HelperThread>(HelperThread::Kind::kSync, std::move(counted));
  {
    const MutexLock lock(mutex_);
    STREAM_STORE_ASSERT(upkeep_ == nullptr);
    upkeep_ = helper;
  }
  capacity_.SetBound(most_bytes, files_->identity().chunk_bytes / (most_bytes == 0 ? 1 : 4));
  helper->Start();
}

void Writer::StopUpkeep() noexcept {
  std::shared_ptr<HelperThread> helper;
  {
    const MutexLock lock(mutex_);
    helper.swap(upkeep_);
  }
  if (helper != nullptr) {
    capacity_.SetBound(0, files_->identity().chunk_bytes);
    helper->Stop();
  }
}

// An append that outruns the drops waits for them here: otherwise the files would take more and more
// space. The second round to end has begun after the call, so it has seen everything. If it could not
// drop anything, the append goes on.
void Writer::AwaitUpkeep() noexcept {
  constexpr std::chrono::microseconds kLook{200};
  constexpr int kMostLooks = 5000;  // a second
  std::shared_ptr<HelperThread> helper;
  {
    const MutexLock lock(mutex_);
    helper = upkeep_;
  }
  const std::uint64_t before = upkeep_rounds_.load(std::memory_order_acquire);
  for (int look = 0; look < kMostLooks && capacity_.OverBound(); ++look) {
    const std::uint64_t rounds = upkeep_rounds_.load(std::memory_order_acquire) - before;
    if (rounds >= 2 || helper == nullptr || status_.forked()) {
      return;
    }
    helper->Wake();
    std::this_thread::sleep_for(kLook);
  }
}

// The helpers are stopped without any lock: their last rounds acquire the mutexes.
void Writer::Close() {
  if (status_.forked()) {
    status_.SetClosed();
    return;  // the files and locks are the parent's; the destructor unmaps them
  }
  const std::optional<Cursor> end = appender_.Close();
  if (!end) {
    return;
  }
  capacity_.StopHelper();
  durability_.StopHelper();
  StopUpkeep();
  try {
    durability_.Close(*end);
  } catch (...) {  // an Error, or no memory for its text
    ReleaseFiles();
    throw;
  }
  ReleaseFiles();
}

// The fork handler uses the mappings, so it must not find this writer any more.
void Writer::ReleaseFiles() noexcept {
  UnguardAgainstFork(this);
  files_->RemoveUser();
}

void Writer::BecomeForkedChild() noexcept {
  status_.SetForked();
  capacity_.BecomeForkedChild();
  durability_.BecomeForkedChild();
  if (upkeep_ != nullptr) {
    upkeep_->AbandonInForkedChild();
  }
  appender_.BecomeForkedChild();
  files_->forked.store(true, std::memory_order_relaxed);
  files_->writer_open.store(false, std::memory_order_relaxed);
  for (const Kind kind : kAllKinds) {
    files_->data(kind).ProtectReadOnly();
  }
  files_->control.mapping().ProtectReadOnly();
  if (files_->lock.is_open()) {
    files_->lock.Close();
  }
}

}  // namespace stream_store::internal
