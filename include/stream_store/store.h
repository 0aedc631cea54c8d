// Writing a store: a StreamStore is the one writer of a directory, or of a temporary store.
//
//     StreamStore store = StreamStore::Open(
//         "runs/a", {.fields = {{.name = "obs", .dtype = DType::kFloat32, .shape = {3}},
//                               {.name = "action", .dtype = DType::kInt64}}});
//     const TypeId obs = store.type_id("obs"), action = store.type_id("action");
//     std::vector<float> state = {0.0F, 1.0F, 2.0F};
//     for (Step step = 0; step < 1000; ++step) {
//       store.Append(step, {{obs, state}, {action, step % 4}});
//     }
//     store.Sync();                      // these steps survive a power cut
//     Reader reader = store.reader();    // reads them, here or with Reader::Open() elsewhere
//
// Rules of the stream: fields are declared before the first append; AddFields() adds more later.
// Within a step they come in
// declared order, each at most once, and any of them may be left out. Steps never decrease. A later
// call with the same step continues its row, with fields that come after those already there.
// Every call is all or nothing: after an exception the store is as it was.
//
// Thread rules: the functions that append, Sync() and Close() may be called from any thread at any
// time. Appends are serialised inside, and Readers read meanwhile. DefineFields(), Clear() and the
// Commit() of a StageReplacement() must not run beside any other call, nor Truncate() beside
// reader(), nor AddFields() beside any other call but Sync(). A forked child may read the store, but
// not write it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "stream_store/append_result.h"
#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/field_write.h"
#include "stream_store/options.h"
#include "stream_store/reader.h"
#include "stream_store/recovery.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

namespace stream_store {

namespace internal {
struct StoreAccess;
}  // namespace internal

/// Rows that are being added to a store, and become visible all at once with Commit().
///
/// Made for imports of any size: staged rows lie in the store's files, beyond the part that readers
/// see, and not in memory. Without Commit(), and after a crash, the store is as it was before.
/// While rows are staged, other appends and Clear() throw Error(kState). Use it from one thread at a
/// time; it must not outlive its store.
class STREAM_STORE_API StagedRows {
 public:
  StagedRows(StagedRows&&) noexcept;
  StagedRows& operator=(StagedRows&&) noexcept;

  /// Drops the rows that were not committed.
  ~StagedRows();

  /// The fields of the rows.
  const Schema& schema() const noexcept;

  /// The number of rows staged so far.
  std::uint64_t rows() const noexcept;

  /// The step that the next row must be greater than; empty if any step will do.
  std::optional<Step> last_step() const noexcept;

  /// Stages more rows, with the arguments and errors of StreamStore::Extend(). Throws Error(kState)
  /// after Commit(). After an exception the rows staged before are still there.
  void Extend(std::span<const Step> steps, std::span<const Column> columns);

  /// Publishes all staged rows, and returns the first of them.
  ///
  /// Cost    one pass over the staged records.
  /// Throws  Error: kState (the rows were committed already), kClosed, kReadOnly (in a forked
  ///         child), kIo (also after a failed sync of the store); of a StageReplacement() also
  ///         kAlreadyExists (the path came into use meanwhile). Nothing has changed then.
  Row Commit();

 private:
  friend class StreamStore;
  struct Impl;
  explicit StagedRows(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// The writer of a store. See the top of this file.
class STREAM_STORE_API StreamStore {
 public:
  // -- Opening

  /// Opens the store at `path` for writing: continues the store that is there, recovering it if its
  /// last writer did not close it, or creates one.
  ///
  /// Nothing is written to disk until fields are declared, by options.fields or by DefineFields().
  /// Then the directory appears complete, in one rename. Parent directories that are missing are
  /// created before it; if the store cannot be created then, those that are empty are removed.
  /// Cost    a few mappings; after a crash of the machine, one pass over the rows that were not yet
  ///         durable.
  /// Throws  Error: kLocked (another writer has the store open; the message says whether it is one
  ///         of this process), kAlreadyExists (mode kCreate and the path is in use, or the directory
  ///         is not a store), kInvalidArgument (an option is out of range, or options.fields differ
  ///         from those of the store; see also Options::add_fields), kNotFound (a parent is not a directory), kCorrupt, kVersion,
  ///         kNoSpace, kIo.
  static StreamStore Open(const std::filesystem::path& path, const Options& options = {});

  /// Creates a store in a hidden directory that is deleted when the store is closed or destroyed and
  /// no Reader of this process uses it any more, or when the process exits.
  ///
  /// A process that is killed leaves the directory, `.stream_store.tmp-…` in
  /// options.temporary_directory, or in $TMPDIR, /var/tmp or /tmp. The next temporary store that any
  /// process of the user creates in the same place deletes it.
  /// Throws Error: kInvalidArgument, kNotFound (no such temporary_directory), kNoSpace, kIo.
  static StreamStore Temporary(const Options& options = {});

  StreamStore(StreamStore&&) noexcept;
  StreamStore& operator=(StreamStore&&) noexcept;

  /// Calls Close() and ignores its errors. Call Close() yourself to see them.
  ~StreamStore();

  // -- Fields

  /// Declares the fields of a store that has none, or declares other ones while nothing has been
  /// appended.
  ///
  /// Throws Error: kState if anything was appended or rows are staged, kClosed, kInvalidArgument as
  /// Schema() does, and, because a persistent store is created now, the errors of Open().
  void DefineFields(std::vector<Field> fields);

  /// Adds fields after those that the store has, whose type ids stay as they are. Rows that exist
  /// lack the new fields. In a store without fields, it declares them.
  ///
  /// Readers of the store, here and in other processes, see the new fields at their next Refresh().
  /// Views that they have made, samplers and Arrow streams continue with the fields they know. If the
  /// last row continues after this call, it may have the new fields. References that schema()
  /// returned are no longer valid.
  ///
  /// Cost    a file is written, synced and renamed; no row is touched.
  /// Throws  Error: kInvalidArgument (a field exists already, none is given, or as Schema() does),
  ///         kState while rows are staged, kClosed, kReadOnly (in a forked child), kNoSpace, and kIo.
  ///         Nothing has changed then, except that after a kIo or kNoSpace appending may have ended
  ///         as after a failed Sync(): it is not known then whether the fields are on disk.
  void AddFields(std::vector<Field> fields);

  /// Whether the store has fields.
  bool declared() const noexcept;

  /// The fields. Throws Error(kState) before they are declared. The reference is valid until fields
  /// are declared or added.
  const Schema& schema() const;

  /// The type id of the field of that name. Throws Error(kInvalidArgument) if there is none, and
  /// Error(kState) before fields are declared.
  TypeId type_id(std::string_view field) const;

  // -- Appending
  //
  // Before fields are declared, these functions throw Error(kState).

  /// Appends the field-writes of one step, and returns its row.
  ///
  /// step     not less than the last step. If it equals the last step, the call continues that row.
  /// writes   any subset of the fields, in declared order; none for an empty row.
  /// Cost     one comparison with the shape of the last append, one copy of the values, one release
  ///          store. Growth is done ahead by a helper thread.
  /// Throws   Error: kInvalidArgument (an unknown, repeated or misplaced field, a wrong length, an
  ///          item that the field cannot hold, or a step that is less than the last), kState (while
  ///          rows are staged), kNoSpace, kClosed, kReadOnly (in a forked child), kIo (after a
  ///          failed sync). Nothing has changed then.
  Row Append(Step step, std::span<const FieldWrite> writes);

  Row Append(Step step, std::initializer_list<FieldWrite> writes) {
    return Append(step, std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// Appends several field-writes, each with its own step, and publishes them together.
  ///
  /// steps    writes.size() steps that never decrease. Writes with equal steps form one row.
  /// Throws   as Append(); also Error(kInvalidArgument) if the sizes differ.
  void Append(std::span<const Step> steps, std::span<const FieldWrite> writes);

  /// Append() for callers that must not throw or block: `if (store.TryAppend(…))` is true if the step
  /// was stored, and the result says why not. Nothing has changed then.
  ///
  /// Cost  as Append(). While the space of Reserve() lasts and shapes repeat, and for every refusal
  ///       with a reason below kNoSpace, there is no exception, allocation or system call.
  ///       docs/guide/cpp.md has the recipe for real-time threads.
  AppendResult TryAppend(Step step, std::span<const FieldWrite> writes) noexcept;

  AppendResult TryAppend(Step step, std::initializer_list<FieldWrite> writes) noexcept {
    return TryAppend(step, std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// Appends a new row at the step after the last one, or at step 0 if there is none, and returns
  /// that step.
  ///
  /// The step is chosen inside the call, so that several threads can record in order of arrival
  /// without a lock of their own. Cost and errors are those of Append().
  Step AppendStep(std::span<const FieldWrite> writes);

  Step AppendStep(std::initializer_list<FieldWrite> writes) {
    return AppendStep(std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// AppendStep() that returns a result, as TryAppend() does. Writes the step to `*step` unless that
  /// is null or nothing was stored.
  AppendResult TryAppendStep(std::span<const FieldWrite> writes, Step* step = nullptr) noexcept;

  AppendResult TryAppendStep(std::initializer_list<FieldWrite> writes,
                             Step* step = nullptr) noexcept {
    return TryAppendStep(std::span<const FieldWrite>(writes.begin(), writes.size()), step);
  }

  /// Appends steps.size() rows and publishes them together; returns the first of them.
  ///
  /// steps    strictly increasing, and greater than the last step.
  /// columns  any subset of the fields, in declared order, each with items for all rows.
  /// Cost     if all rows have one shape, one check of it in all; then the columns are converted
  ///          block by block. Other rows are checked and converted one by one.
  /// Throws   as Append(); the message names the first bad row.
  Row Extend(std::span<const Step> steps, std::span<const Column> columns);

  /// Begins to add many rows that are published together.
  ///
  /// Throws Error: kState while other rows are staged or before fields are declared, kClosed,
  /// kReadOnly (in a forked child), kIo (after a failed sync).
  StagedRows Stage();

  /// Begins to replace the content of a temporary store, or to fill a store that has no fields yet.
  ///
  /// Commit() declares `fields` and puts the staged rows in place of everything there was; a
  /// persistent store then appears at its path complete, with its rows. Readers keep the rows that
  /// they see. The store gets a new id.
  /// Throws Error(kReadOnly) for a persistent store that has fields, Error(kInvalidArgument) as
  /// Schema() does, Error: kState while rows are staged, kClosed, kNotFound, kNoSpace, kIo.
  StagedRows StageReplacement(std::vector<Field> fields);

  /// Allocates disk space for `values` more values and `records` more records, and touches their
  /// pages, so that the next appends need no growth.
  ///
  /// This includes `layouts`, which store the lengths of each record: space for a different layout
  /// of all fields per record, 8 bytes for each field and 8 more. Close() gives back what was not
  /// used.
  /// Throws Error: kNoSpace, kState (while rows are staged, or before fields are declared),
  /// kClosed, kReadOnly (in a forked child), kIo.
  void Reserve(std::uint64_t values, std::uint64_t records);

  // -- Durability and closing

  /// Makes everything appended so far durable, and returns the number of durable rows. Appends may
  /// go on meanwhile. A temporary store is never durable: the call does nothing and returns the
  /// number of its rows.
  ///
  /// Error(kIo) is permanent: this writer never syncs or appends again, because the kernel may have
  /// dropped the pages that it could not write. It is also thrown if the store is no longer at its
  /// path, because its directory or one of its files was deleted, moved or replaced.
  /// Throws Error: kIo, kNoSpace, kClosed, kReadOnly (in a forked child), kState (before fields are
  /// declared).
  std::uint64_t Sync();

  /// Syncs, returns unused space to the file system, and releases the lock and all descriptors,
  /// mappings and threads. Does nothing if the store is closed. Readers that share its mappings go
  /// on reading; the last of them releases the descriptors and mappings.
  ///
  /// After a failed sync it only releases, and in a forked child it leaves the files to the
  /// destructor; neither is an error. Throws Error(kIo) if its own sync fails, or if the store is
  /// no longer at its path; everything is released then, too.
  void Close();

  /// Removes all rows from `num_rows` on, at the end of the store. The next step may be any that is
  /// greater than the last one kept.
  ///
  /// num_rows  in [0, number of rows]; the number of rows removes nothing.
  /// Returns the number of rows removed. They are gone for good when the call returns, also after a
  ///           power cut. If it is interrupted by one, either all durable rows or exactly `num_rows`
  ///           rows are left.
  /// Cost      two to three syncs, and a look at each record that is removed. Their space is used by
  ///           later appends. It is not given back, because readers from before may still load from
  ///           it: from then on the files of the store never become shorter, not in Close() either.
  /// Throws    Error: kOutOfRange if the store has fewer rows, kState while rows are staged or
  ///           before fields are declared, kReadOnly, kClosed; the store is then as it was. After a
  ///           kIo or kNoSpace, appending may have ended as after a failed Sync(), and the rows may
  ///           be removed then.
  ///
  /// Readers that were made before, here or in other processes, throw Error(kCutBack) from their
  /// next call on. Make or open new ones. It must not run beside reader().
  std::uint64_t Truncate(std::uint64_t num_rows);

  /// Drops all rows before `row`, at the begin of the store, and returns how many. Their disk space is
  /// given back in whole chunks. Rows and positions keep their numbers: Reader::first_row() and
  /// Reader::first_position() say where the rest begins.
  ///
  /// row       in [first row, number of rows); the first row drops nothing. The last row is always
  ///           retained.
  /// Cost      a look at each record that is dropped, and one small sync; a sync of all data if the
  ///           rows are not durable yet. A temporary store is not synced.
  /// Throws    Error: kDropped if the row was dropped already, kOutOfRange if the store does not
  ///           have it, kState before fields are declared, kReadOnly, kClosed; the store is then as it
  ///           was. After a kIo or kNoSpace, appending may have ended as after a failed Sync().
  ///
  /// Readers keep the rows that they see until their next Refresh(), also if their files are
  /// deleted. A call with a position or row that a Reader no longer has throws Error(kDropped).
  std::uint64_t DropBefore(Row row);

  /// The limits of the store; before fields are declared, those of the options.
  Retention retention() const;

  /// Replaces all limits by those of `retention`, also those that are lifted. Options describes them.
  /// Rows that are too many then are dropped in the background, a moment later.
  ///
  /// It must not run beside Clear(), Close() or an import.
  /// Throws Error: kInvalidArgument as Open() does, kReadOnly, kClosed; the limits are then as they
  /// were. After a kIo or kNoSpace, appending may have ended as after a failed Sync().
  void SetRetention(const Retention& retention);

  /// Removes all rows of a temporary store and keeps its fields. The store gets a new id. Readers
  /// keep the rows that they see. Throws Error: kReadOnly for a persistent store, kState while rows
  /// are staged or before fields are declared, kClosed, kNoSpace, kIo.
  void Clear();

  // -- Reading and facts

  /// Returns a Reader of all rows so far. It shares the writer's mappings, and outlives Close() and
  /// the StreamStore.
  ///
  /// After Close(), it shares the mappings of the Readers that still exist. If there are none, a
  /// persistent store is opened again by its path, as Reader::Open() does.
  /// Throws Error: kState before fields are declared; after Close() kClosed for a temporary store
  /// without Readers, kNotFound if the store is no longer at its path, and as Reader::Open() does.
  Reader reader() const;

  /// Whether Close() was called.
  bool closed() const noexcept;

  /// The number of rows that survive a power cut, according to the last successful sync; 0 for a
  /// temporary store.
  std::uint64_t durable_rows() const noexcept;

  /// The directory of the store; empty for a temporary store.
  const std::filesystem::path& path() const noexcept;

  /// The random id of the store. Throws Error(kState) before fields are declared.
  const std::array<std::uint8_t, 16>& id() const;

  /// How the session before this one ended, as found when the store was opened.
  const Recovery& recovery() const noexcept;

 private:
  friend class StagedRows;
  friend struct internal::StoreAccess;
  struct Impl;
  explicit StreamStore(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stream_store
