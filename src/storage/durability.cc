// Sync, close and the open record: what makes appended records survive a power cut. Numbers in
// comments are the steps of "Sync" in docs/format.md.
#include <algorithm>

#include "base/clock.h"
#include "base/str_cat.h"
#include "storage/append_flag.h"
#include "storage/growth_helper.h"
#include "storage/sync_helper.h"
#include "storage/writer.h"

namespace stream_store::internal {

// Before the first append of a session: from here on a walk believes only this session's records.
void Writer::OpenRecord() {
  const std::scoped_lock lock(sync_mutex_);
  try {
    files_->values.AllocateTail(cursor_.values * sizeof(Value));
    files_->records.AllocateTail((cursor_.records + 1) * sizeof(Record));
    files_->layouts.AllocateTail(cursor_.layout_words * sizeof(std::uint64_t));
    files_->hints.AllocateTail(0);
    if (files_->persistent()) {
      // Numbers of 16 bits come around: nothing that carries an old one may be left, not even
      // where the sentinel stands.
      if (options_.session >> 16 != slot_session_ >> 16) {
        Record& sentinel = records_[cursor_.records];
        sentinel.step = 0;
        sentinel.row_session = 0;
        sentinel.layout = 0;
        sentinel.checksum = 0;
        files_->records.file().ZeroRange((cursor_.records + 1) * sizeof(Record),
                                         files_->records.bytes());
      }
    }
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNoSpace) {
      throw;  // nothing was promised yet; the next append tries again
    }
    Poison(error);
    throw;
  }
  if (files_->persistent()) {
    slot_session_ = options_.session;
    WriteDurable(cursor_, /*clean=*/false, /*both_slots=*/true);
  }
  session_open_.store(true, std::memory_order_release);
}

// REQUIRES: sync mutex. Steps 2 to 5.
void Writer::WriteDurable(const Cursor& at, bool clean, bool both_slots) {
  Control& control = files_->control;
  control.state().store(kLiveSyncing, std::memory_order_release);
  try {
    files_->values.file().SyncData();
    files_->layouts.file().SyncData();
    files_->hints.file().SyncData();
    files_->records.file().SyncData();
    Slot slot{.id = files_->identity().id,
              .sequence = slot_sequence_,
              .session = slot_session_,
              .records = at.records,
              .values = at.values,
              .layout_words = at.layout_words,
              .rows = at.rows,
              .field_writes = at.field_writes,
              .clean = clean,
              .unix_nanoseconds = UnixNanoseconds()};
    // The one slot must be whole on disk before the other is overwritten.
    if (options_.sync_interrupted) {
      if (const auto newest = control.ReadSlot(static_cast<int>(slot_sequence_ & 1), slot.id)) {
        control.WriteSlot(*newest);
      }
      control.file().SyncData();
      options_.sync_interrupted = false;
    }
    for (int written = 0; written < (both_slots ? 2 : 1); ++written) {
      slot.sequence += 1;
      control.WriteSlot(slot);
      control.file().SyncData();
    }
    slot_sequence_ = slot.sequence;
  } catch (const Error& error) {
    Poison(error);
    throw;
  }
  control.state().store(kLiveOpen, std::memory_order_release);
  control.durable().store(at.records, std::memory_order_release);
  durable_records_ = at.records;
  durable_values_ = at.values;
  synced_at_ = std::chrono::steady_clock::now();
  durable_rows_.store(at.rows, std::memory_order_relaxed);
}

// The first failure is the only honest one: the kernel may forget the pages it could not write.
void Writer::Poison(const Error& error) {
  const std::scoped_lock lock(state_mutex_);
  if (!failed_.load(std::memory_order_relaxed)) {
    failure_ = error.what();
    failure_errno_ = error.system_errno();
    failed_.store(true);
  }
  DropLimits();
}

// Where the stream is, from what is published: without the append flag, which belongs to the thread
// that appends. REQUIRES: sync mutex.
Cursor Writer::PublishedCursor() {
  std::shared_ptr<const Mapping> record_map;
  std::shared_ptr<const Mapping> layout_map;
  Cursor at;
  {
    // Under the mutex the mappings hold all that is published: a file is mapped anew before it
    // grows beyond them.
    const std::scoped_lock lock(state_mutex_);
    record_map = files_->records.mapping();
    layout_map = files_->layouts.mapping();
    at.records = published_.load(std::memory_order_acquire);
  }
  const auto* records = reinterpret_cast<const Record*>(record_map->data());
  const auto* layouts = reinterpret_cast<const std::uint64_t*>(layout_map->data());
  at.values = records[at.records].start;
  at.rows = at.records == 0 ? 0 : RowOfRecord(records[at.records - 1].row_session) + 1;
  at.layout_words = files_->layout_words.load(std::memory_order_relaxed);
  for (; counted_records_ < at.records; ++counted_records_) {
    counted_writes_ += WordType(layouts[records[counted_records_].layout]);
  }
  at.field_writes = counted_writes_;
  return at;
}

// REQUIRES: sync mutex. Returns the rows that are durable.
std::uint64_t Writer::SyncPublished() {
  if (!files_->persistent()) {
    return PublishedCursor().rows;
  }
  if (!session_open_.load(std::memory_order_acquire) ||
      published_.load(std::memory_order_acquire) <= durable_records_) {
    return durable_rows();
  }
  const Cursor at = PublishedCursor();
  WriteDurable(at, /*clean=*/false, /*both_slots=*/false);
  return at.rows;
}

std::uint64_t Writer::Sync() {
  CheckWritable();
  if (!session_open_.load(std::memory_order_acquire)) {
    // What recovery found beyond the newest slot is not durable yet: the open record makes it so.
    const AppendFlag::Hold hold(flag_);
    CheckWritable();
    if (!session_open_.load(std::memory_order_relaxed) &&
        cursor_.records > options_.durable_records) {
      OpenRecord();
    }
  }
  const std::scoped_lock lock(sync_mutex_);
  CheckWritable();
  return SyncPublished();  // step 1: all that was published before now
}

// A round of the helper thread. Returns how long to sleep until the next one.
std::chrono::nanoseconds Writer::SyncIfDue() noexcept {
  constexpr std::chrono::nanoseconds kIdle = std::chrono::seconds(1);
  constexpr std::chrono::nanoseconds kBusy = std::chrono::milliseconds(250);
  const bool timed = options_.sync_interval.count() > 0;
  const auto pause = [&](std::chrono::nanoseconds most) {
    return timed ? std::min(options_.sync_interval, most) : most;
  };
  try {
    const std::scoped_lock lock(sync_mutex_);
    if (closed_.load() || failed_.load() ||
        published_.load(std::memory_order_acquire) <= durable_records_) {
      return pause(kIdle);
    }
    const std::chrono::nanoseconds since = std::chrono::steady_clock::now() - synced_at_;
    const Cursor at = PublishedCursor();
    const std::uint64_t bytes = (at.values - durable_values_) * sizeof(Value) +
                                (at.records - durable_records_) * sizeof(Record);
    const bool due = (timed && since >= options_.sync_interval) ||
                     (options_.sync_bytes > 0 && bytes >= options_.sync_bytes);
    if (due) {
      WriteDurable(at, /*clean=*/false, /*both_slots=*/false);
    } else if (timed) {
      return std::min(pause(kBusy), options_.sync_interval - since);
    }
  } catch (const Error&) {
    // The writer is poisoned: its next append or sync says why.
  }
  return pause(kBusy);
}

void Writer::Close() {
  if (forked_.load(std::memory_order_relaxed)) {
    closed_.store(true);
    return;  // only unmaps; the helper thread is the parent's
  }
  Cursor at;
  {
    const AppendFlag::Hold hold(flag_);
    if (closed_.exchange(true)) {
      return;
    }
    // Before the flag is free again: an append of another thread must not slip in behind `at`.
    const std::scoped_lock lock(state_mutex_);
    DropLimits();
    at = cursor_;
  }
  delete std::exchange(helper_, nullptr);
  delete std::exchange(syncer_, nullptr);
  const std::scoped_lock lock(sync_mutex_);
  files_->writer_open.store(false, std::memory_order_release);
  if (files_->persistent() && !failed_.load()) {
    try {
      WriteDurable(at, /*clean=*/true, /*both_slots=*/false);
      Trim(at);
      files_->control.state().store(kLiveClosed, std::memory_order_release);
    } catch (const Error&) {
      files_->lock.Close();
      throw;
    }
  }
  if (!files_->persistent()) {
    files_->control.state().store(kLiveClosed, std::memory_order_release);
  }
  files_->lock.Close();
}

// The only place that ever shortens a file of a store.
void Writer::Trim(const Cursor& at) {
  const std::uint64_t reach = std::max(at.values, at.rows);
  files_->values.Truncate(at.values * sizeof(Value));
  files_->records.Truncate((at.records + 1) * sizeof(Record));
  files_->layouts.Truncate(at.layout_words * sizeof(std::uint64_t));
  files_->hints.Truncate((reach + kHintStride - 1) / kHintStride * sizeof(Hint));
}

}  // namespace stream_store::internal
