// Writer: appends to the files of one store, publishes and syncs. One Writer per store, which the
// lock byte of the store guarantees.
//
// Used by StreamStore. A Writer is four objects, one for each lock, and puts them in order:
//
//   Appender      under the append flag: the records, and publishing them
//   Durability    under the sync mutex: the slots, and syncs
//   Capacity      under the state mutex: the sizes of the files, and the limits of the appends
//   WriterStatus  closed, failed or forked: atomics, and a mutex for the text of the failure
//
// Locks are acquired in this order. A thread that holds a mutex never waits for the append flag.
// Thread rules: every function from any thread, unless it says otherwise. Append*() and Extend()
// are serialised; Sync() runs while appends go on; Close() waits for both.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

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

  /// Close(), without its errors; in a forked child only unmaps.
  ~Writer();

  /// Appends one step. Returns false, with the reason in `*refusal`, if it is refused. Throws
  /// Error(kClosed, kReadOnly, kState, kNoSpace, kIo); nothing has changed then.
  bool Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal) {
    return appender_.Append(step, writes, row, refusal);
  }

  /// Appends one new row, at the step after the last one.
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

  /// Staging: between these two, StageRows() stores rows after the published ones, and all other
  /// appends throw Error(kState). DropStaged() ends it without publishing.
  void BeginStaging() { appender_.BeginStaging(); }

  void PublishStaged() { appender_.PublishStaged(); }

  /// REQUIRES, as the next two: BeginStaging().
  Refusal StageRows(std::span<const Step> steps, std::span<const Column> columns) {
    return appender_.StageRows(steps, columns);
  }

  void DropStaged() noexcept { appender_.DropStaged(); }

  /// Where the next staged row goes.
  Cursor staged_cursor() noexcept { return appender_.staged_cursor(); }

  void RequireNotStaging(const char* operation) const { appender_.RequireNotStaging(operation); }

  /// Allocates and faults in space for that much more.
  void Reserve(std::uint64_t values, std::uint64_t records) { appender_.Reserve(values, records); }

  /// Makes all that was published before the call durable; returns the number of durable rows.
  std::uint64_t Sync();

  /// Ends appending, syncs and releases the locks. Does nothing if closed already. Throws
  /// Error(kIo).
  void Close();

  /// Where the stream is; acquires the append flag for a moment.
  Cursor cursor() noexcept { return appender_.cursor(); }

  std::uint64_t durable_rows() const noexcept { return durability_.durable_rows(); }

  bool closed() const noexcept { return status_.closed(); }

  const std::shared_ptr<StoreFiles>& files() const noexcept { return files_; }

  /// Declares other fields. Throws Error(kState) if anything was appended.
  void Redeclare(Schema schema) { appender_.Redeclare(std::move(schema)); }

  /// Valid until the next Redeclare() or FollowMove(), which must not run meanwhile.
  const Schema& schema() const noexcept { return appender_.schema(); }

  /// For messages: see Appender.
  std::int64_t LastTypeBefore(TypeId type) { return appender_.LastTypeBefore(type); }

  /// To be called after the directory of the store was renamed.
  void FollowMove() { appender_.FollowMove(); }

  /// The pthread_atfork handler of the child: async-signal-safe.
  void BecomeForkedChild() noexcept;

 private:
  const std::shared_ptr<StoreFiles> files_;
  WriterStatus status_;
  Capacity capacity_;
  Durability durability_;
  Appender appender_;
};

}  // namespace stream_store::internal
