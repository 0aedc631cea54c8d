#include "storage/writer.h"

#include <optional>
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
void Writer::StartUpkeep(std::function<HelperThread::Pause()> round) {
  STREAM_STORE_ASSERT(upkeep_ == nullptr);
  upkeep_ = std::make_unique<HelperThread>(HelperThread::Kind::kSync, std::move(round));
  upkeep_->Start();
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
  upkeep_.reset();
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
