// Writer: appends to the files of one store, publishes and syncs. There is one Writer per store,
// which the lock byte of the store guarantees.
//
// Used by StreamStore. A Writer consists of four objects, each with its own lock, and passes calls
// on to them:
//
//   Appender      (append flag) stores records and publishes them
//   Durability    (sync mutex) syncs, and writes the slots
//   Capacity      (state mutex) grows the files, and owns the limits of the appends
//   WriterStatus  (atomics, and a mutex for a text) whether the writer is closed, failed or forked
//
// Locks are acquired in this order. A thread that holds a mutex never waits for the append flag.
// Thread rules: every function may be called from any thread, unless it says otherwise. Append*()
// and Extend() are serialised; Sync() runs while appends go on; Close() waits for both.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/helper_thread.h"
#include "base/mutex.h"
#include "storage/appender.h"
#include "storage/capacity.h"
#include "storage/durability.h"
#include "storage/refusal.h"
#include "storage/writer_options.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

class StoreFiles;

class Writer {
 public:
  Writer(std::shared_ptr<StoreFiles> files, const SessionStart& start,
         const WriterOptions& options);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Calls Close() and ignores its errors. In a forked child it only unmaps the files.
  ~Writer();

  /// Appends one step. Returns false, with the reason in `*refusal`, if it is refused, which allocates
  /// nothing. Throws Error(kNoSpace, kIo) if the files cannot grow, and if the writer is closed
  /// meanwhile; nothing has changed then.
  bool Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal) {
    return appender_.Append(step, writes, row, refusal);
  }

  /// Appends one new row at the step after the last one, or at step 0, and writes that step to
  /// `*step`. Returns and throws as Append().
  bool AppendStep(std::span<const FieldWrite> writes, Row* row, Step* step, Refusal* refusal) {
    return appender_.AppendStep(writes, row, step, refusal);
  }

  /// Appends several steps with one publish. After a refusal, `*failed_group` is the refused one.
  Refusal AppendGroups(std::span<const Group> groups, std::size_t* failed_group) {
    return appender_.AppendGroups(groups, failed_group);
  }

  /// Appends steps.size() new rows with one publish.
  Refusal Extend(std::span<const Step> steps, std::span<const Column> columns, Row* first_row) {
    return appender_.Extend(steps, columns, first_row);
  }

  /// Appends those records of a pack that the store does not have, up to number `end`, with one
  /// publish. Returns how many. Throws Error(kOutOfRange) if the pack begins after the last record;
  /// Error(kInvalidArgument) if the last record is another one in the source, or the next one cannot
  /// follow it; Error(kReadOnly, kClosed, kState, kNoSpace, kIo). Nothing has changed then.
  std::uint64_t ApplyPack(const PackRecords& pack, std::uint64_t end) {
    return appender_.ApplyPack(pack, end);
  }

  /// Begins staging. Until PublishStaged() or DropStaged(), StageRows() stores rows after the
  /// published ones, and all other appends throw Error(kState).
  void BeginStaging() { appender_.BeginStaging(); }

  /// Publishes the staged rows. REQUIRES, as the next three: staging has begun and not ended.
  void PublishStaged() { appender_.PublishStaged(); }

  Refusal StageRows(std::span<const Step> steps, std::span<const Column> columns) {
    return appender_.StageRows(steps, columns);
  }

  void DropStaged() noexcept { appender_.DropStaged(); }

  /// Where the next staged row goes.
  Cursor staged_cursor() noexcept { return appender_.staged_cursor(); }

  void RequireNotStaging(const char* operation) const { appender_.RequireNotStaging(operation); }

  /// Allocates space for `values` more values and `records` more records, and faults it in. See
  /// Appender for the errors.
  void Reserve(std::uint64_t values, std::uint64_t records) { appender_.Reserve(values, records); }

  /// Makes all that was published before the call durable; returns the number of durable rows, or
  /// of all rows of a temporary store. Throws Error(kReadOnly, kClosed, kNoSpace, kIo).
  std::uint64_t Sync();

  /// Removes all rows from `num_rows` on, and returns how many. Readers from before throw
  /// Error(kCutBack) then. Throws Error(kOutOfRange) if the store has fewer rows, Error(kReadOnly,
  /// kClosed, kState, kNoSpace, kIo). The store is as it was then, except after an Error(kIo), which
  /// ends appending like that of a sync: it may have removed the rows.
  std::uint64_t Truncate(std::uint64_t num_rows) { return appender_.Truncate(num_rows); }

  /// Drops all rows before `row`, and returns how many. Readers keep those that they see. Throws
  /// Error(kOutOfRange) if the store does not have that row, Error(kDropped) if it was dropped,
  /// Error(kReadOnly, kClosed, kNoSpace), or Error(kIo), which is final. Nothing was dropped then.
  std::uint64_t DropBefore(std::uint64_t row);

  /// Changes the limits of the store. Only stores them: the caller drops. Throws Error(kReadOnly, kClosed),
  /// or Error(kIo), which is final.
  void SetRetention(const Retention& retention) { durability_.SetRetention(retention); }

  Retention retention() const { return durability_.retention(); }

  /// Runs `round` again and again in the background, until StopUpkeep(), Close() or a fork.
  ///
  /// most_bytes  what the data files should take at most on disk; 0: no bound. An append that has to
  ///             grow them beyond it waits for a round or two, at most a second.
  /// REQUIRES: upkeep is stopped.
  void StartUpkeep(std::function<HelperThread::Pause()> round, std::uint64_t most_bytes)
      EXCLUDES(mutex_);

  /// Waits for the last round, and lifts the bound. It must not run beside Close().
  void StopUpkeep() noexcept EXCLUDES(mutex_);

  /// Ends appending, syncs, and releases the locks and the files; files that a ReadSource uses stay
  /// open for it. Does nothing if the writer is closed already. Throws Error(kIo); everything is
  /// released then, too.
  void Close();

  /// Throws as WriterStatus::RequireWritable(). Called after a refusal: on a closed store or in a
  /// forked child, that is the error to report.
  void RequireWritable(const char* operation) const { status_.RequireWritable(operation); }

  /// As above, as a Refusal; it does not allocate.
  Refusal RefuseWrite() const noexcept { return status_.RefuseWrite(); }

  /// Whether a sync failed, so that the store cannot be written any more.
  bool failed() const noexcept { return status_.failed(); }

  /// Where the next record goes. Acquires the append flag for a moment.
  Cursor cursor() noexcept { return appender_.cursor(); }

  std::uint64_t durable_rows() const noexcept { return durability_.durable_rows(); }

  bool closed() const noexcept { return status_.closed(); }

  bool forked() const noexcept { return status_.forked(); }

  const std::shared_ptr<StoreFiles>& files() const noexcept { return files_; }

  /// Declares other fields. Throws Error(kState) if anything was appended.
  void Redeclare(const Schema& schema) { appender_.Redeclare(schema); }

  /// Adds fields after the present ones. Throws Error(kInvalidArgument) as Schema::Extended(),
  /// Error(kReadOnly, kClosed, kState, kNoSpace, kIo). Nothing has changed then, except that an
  /// Error(kIo) may have ended appending like that of a sync, because it is unknown which schema is
  /// on disk.
  void AddFields(std::vector<Field> fields) { appender_.AddFields(std::move(fields)); }

  /// Valid until the next Redeclare(), AddFields() or FollowMove(), which must not run meanwhile.
  const Schema& schema() const noexcept { return appender_.schema(); }

  /// For messages; see Appender.
  std::int64_t LastTypeBefore(TypeId type) { return appender_.LastTypeBefore(type); }

  /// To be called after the directory of the store was renamed.
  void FollowMove() { appender_.FollowMove(); }

  /// The pthread_atfork handler of the child: async-signal-safe.
  void BecomeForkedChild() noexcept NO_THREAD_SAFETY_ANALYSIS;

 private:
  void ReleaseFiles() noexcept;
  void AwaitUpkeep() noexcept EXCLUDES(mutex_);
  const std::shared_ptr<StoreFiles> files_;
  WriterStatus status_;
  Capacity capacity_;
  Durability durability_;
  Appender appender_;
  std::atomic<std::uint64_t> upkeep_rounds_{0};
  Mutex mutex_;  // which helper runs: held for moments, and without any other lock inside
  std::shared_ptr<HelperThread> upkeep_ GUARDED_BY(mutex_);  // null without StartUpkeep()
};

}  // namespace stream_store::internal
