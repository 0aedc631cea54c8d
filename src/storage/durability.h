// Durability: makes appended records survive a power cut. It syncs, and writes the slots of
// `control` and the open record: "Sync", "Close" and step 6 of "Open for writing" in
// docs/format.md.
//
// Used by Writer, and by the Appender before the first append of a session. A sync works on the
// published records and never acquires the append flag, because that would end the flag's bias to
// the appending thread (append_flag.h).
//
// Thread rules: every function may be called from any thread; those marked [append flag] only while
// the caller holds the flag of the Appender. The sync mutex is acquired inside, and the state mutex
// of Capacity while it is held. Invariants:
//   1. A slot counts only records that were synced before it was written.
//   2. The first failure is final, and no slot is written after it: a kernel may forget pages that
//      it could not write, so a later sync would succeed although the data is lost.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/helper_thread.h"
#include "base/mutex.h"
#include "storage/cursor.h"
#include "storage/kinds.h"

namespace stream_store::internal {

class Capacity;
class StoreFiles;
class WriterStatus;
struct SessionStart;
struct Slot;
struct WriterOptions;

class Durability {
 public:
  /// The references must outlive it.
  Durability(StoreFiles& files, WriterStatus& status, Capacity& capacity, const SessionStart& start,
             const WriterOptions& options);

  /// Whether the open record of this session was written.
  bool session_open() const noexcept { return session_open_.load(std::memory_order_acquire); }

  /// [append flag] Writes the open record, with the first slots of the session, and starts the
  /// helper. From here on recovery accepts only records of this session after those that `at`
  /// counts; `at` is the cursor of the Appender. REQUIRES: !session_open(). Throws Error(kNoSpace),
  /// after which it may be called again; Error(kIo), which is final.
  void OpenSession(const Cursor& at) EXCLUDES(mutex_);

  /// [append flag] Writes the open record if recovery found records that no slot counts, so that a
  /// sync before the first append makes them durable. Throws as OpenSession().
  void OpenSessionOfRecovered(const Cursor& at) EXCLUDES(mutex_);

  /// [append flag] Makes `end` the end of the store: steps 2 to 4 of "Truncate" in docs/format.md.
  /// The records after `end` are gone for readers and for recovery, but nothing may be stored over
  /// them until ReopenSession(). Returns the number of the new session, which none of those records
  /// has. removed[n] says whether one of them has a session number with the lowest 16 bits n.
  /// REQUIRES: removed.size() == 1 << 16. Throws Error(kNoSpace); as
  /// WriterStatus::RequireWritable("truncate"); Error(kIo), which is final. The store is as it was.
  std::uint64_t CutBack(const Cursor& end, const std::vector<bool>& removed) EXCLUDES(mutex_);

  /// [append flag] Writes the open record of the session that CutBack() began. `at` is its `end`.
  /// Throws Error(kIo), which is final; the records stay removed.
  void ReopenSession(const Cursor& at) EXCLUDES(mutex_);

  /// Drops the rows before `row`, as "Drop" in docs/format.md says, and returns how many. Readers
  /// keep all that they have mapped. Returns nothing, and has done nothing, if the session must be open
  /// for it, because the row is not durable yet.
  ///
  /// Cost     a look at each record that is dropped; one write of a slot, with a sync of `control`;
  ///          a sync of all data if the row is not durable yet. A temporary store is not synced.
  /// Throws   Error(kDropped) if the row was dropped before; Error(kOutOfRange) if the store does
  ///          not have it; as WriterStatus::RequireWritable("drop_before"); Error(kIo), which is
  ///          final. Nothing was dropped then.
  std::optional<std::uint64_t> Drop(std::uint64_t row) EXCLUDES(mutex_);

  /// Changes the limits of the store, and makes them durable unless it is temporary. Throws as
  /// Drop(), but not kOutOfRange.
  void SetRetention(const Retention& retention) EXCLUDES(mutex_);

  Retention retention() const EXCLUDES(mutex_);

  /// Starts the syncs in the background, if they are wanted and not started.
  void StartHelper();

  /// Waits for a background sync under way; there is none afterwards.
  void StopHelper() noexcept { helper_.Stop(); }

  /// Makes all rows durable that were published before the call, and returns their number.
  /// Throws as WriterStatus::RequireWritable("sync"); Error(kIo), which is final.
  std::uint64_t Sync() EXCLUDES(mutex_);

  /// Writes the last slot, shortens the files and releases the locks. After a failed sync it
  /// only releases the locks; for a temporary store it only notes that the store is closed, and
  /// StoreFiles::RemoveUser() releases the locks.
  /// REQUIRES: the status is closed, and both helpers were stopped. Throws Error(kIo); the locks
  /// are released then too.
  void Close(const Cursor& at) EXCLUDES(mutex_);

  std::uint64_t durable_rows() const noexcept {
    return durable_rows_.load(std::memory_order_relaxed);
  }

  /// Async-signal-safe.
  void BecomeForkedChild() noexcept { helper_.AbandonInForkedChild(); }

 private:
  /// The newest slot.
  struct NewestSlot {
    std::uint64_t sequence = 0;
    std::uint64_t session = 0;
    bool sync_interrupted = false;  ///< it may be in memory only
  };

  /// Counts of the last sync; before the first sync of this session, those of SessionStart.
  struct Durable {
    std::uint64_t records = 0;
    std::uint64_t values = 0;
  };

  /// Field-writes of the published records, counted so far.
  struct Counted {
    std::uint64_t records = 0;
    std::uint64_t field_writes = 0;
  };

  void WriteOpenRecord(const Cursor& at) REQUIRES_LOCK(mutex_);
  void AllocateTails(const Cursor& at) REQUIRES_LOCK(mutex_);
  void ZeroOldRecords(const Cursor& at) REQUIRES_LOCK(mutex_);
  void WriteFirstSlotsOfSession(const Cursor& at) REQUIRES_LOCK(mutex_);
  void SyncFiles(const Cursor& at) REQUIRES_LOCK(mutex_);
  void WriteSlots(Slot slot, int count) REQUIRES_LOCK(mutex_);
  void NoteDurable(const Cursor& at) REQUIRES_LOCK(mutex_);
  void WriteDurable(const Cursor& at, bool clean, bool both_slots) REQUIRES_LOCK(mutex_);
  void RewriteNewestSlot() REQUIRES_LOCK(mutex_);
  void UpdateSlot() REQUIRES_LOCK(mutex_);
  void WriteBegin(const Begin& begin, const Cursor& at) REQUIRES_LOCK(mutex_);
  void WriteSlotForReaders(const Cursor& at) REQUIRES_LOCK(mutex_);
  void RequireInPlace() REQUIRES_LOCK(mutex_);
  Cursor PublishedCursor() REQUIRES_LOCK(mutex_);
  bool Unsynced() const noexcept REQUIRES_LOCK(mutex_);
  std::chrono::nanoseconds SyncIfDue() noexcept EXCLUDES(mutex_);

  StoreFiles& files_;
  WriterStatus& status_;
  Capacity& capacity_;
  const std::chrono::nanoseconds sync_interval_;  // 0: not by time
  const std::uint64_t sync_bytes_;                // 0: not by bytes
  std::atomic<bool> session_open_{false};
  std::atomic<std::uint64_t> durable_rows_;
  mutable Mutex mutex_;                       // the sync mutex: the slots
  std::uint64_t session_ GUARDED_BY(mutex_);  // the number of this session
  NewestSlot slot_ GUARDED_BY(mutex_);
  Durable durable_ GUARDED_BY(mutex_);
  Counted counted_ GUARDED_BY(mutex_);
  Ends synced_ GUARDED_BY(mutex_);          // everything before is on disk
  Slot newest_ GUARDED_BY(mutex_);          // the newest slot, without its sequence number
  Begin begin_ GUARDED_BY(mutex_);          // of the next slot
  Retention retention_ GUARDED_BY(mutex_);  // of the next slot
  std::chrono::steady_clock::time_point synced_at_ GUARDED_BY(mutex_);
  HelperThread helper_;
};

}  // namespace stream_store::internal
