// Writing a store: StreamStore is the one writer of a directory, or of a temporary set of files.
//
// Rules of the stream: fields are declared before the first append; within a step they come in
// declared order, each at most once, and may be left out; steps never decrease; a later call may
// continue the last step with fields after those already there. Every append is all or nothing.
// Thread rules: Append() from any thread, serialised inside; Readers read meanwhile. A forked child
// may read, not write.
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

#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/field_write.h"
#include "stream_store/options.h"
#include "stream_store/reader.h"
#include "stream_store/recovery.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

namespace stream_store {

/// Rows that are on their way into a store: stored, but seen by nobody until Commit() shows them
/// all at once.
///
/// For imports of any size: what is staged lies in the store's files beyond what readers see, not
/// in memory. Without Commit(), and after a crash, the store is as it was before. Meanwhile other
/// appends, and Clear(), throw Error(kState). Use from one thread; it must not outlive its store.
class STREAM_STORE_API StagedRows {
 public:
  StagedRows(StagedRows&&) noexcept;
  StagedRows& operator=(StagedRows&&) noexcept;
  ~StagedRows();  ///< drops the rows that were not committed

  const Schema& schema() const noexcept;           ///< of the rows
  std::uint64_t rows() const noexcept;             ///< staged so far
  std::optional<Step> last_step() const noexcept;  ///< that the next row must come after

  /// Stages more rows, as StreamStore::Extend() appends them. After an exception what was staged
  /// before is still there.
  void Extend(std::span<const Step> steps, std::span<const Column> columns);

  /// Shows all rows; returns the first new one. Throws Error: kClosed, kIo (a failed sync),
  /// kAlreadyExists (a store appeared at the path meanwhile); nothing has changed then. Cost: one
  /// pass over the staged records.
  Row Commit();

 private:
  friend class StreamStore;
  struct Impl;
  explicit StagedRows(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

/// The writer of a store.
class STREAM_STORE_API StreamStore {
 public:
  /// Opens `path` for writing: continues the store there, recovering it if its writer died, or
  /// creates one.
  ///
  /// Nothing is on disk until fields are declared (here by options.fields, else by DefineFields());
  /// then the directory appears complete, in one rename. Throws Error: kLocked (another writer),
  /// kAlreadyExists (mode kCreate, or something that is no store), kInvalidArgument (fields differ
  /// from the store's), kCorrupt, kVersion, kNoSpace, kIo.
  static StreamStore Open(const std::filesystem::path& path, const Options& options = {});

  /// A store on unlinked files that goes away with the object.
  static StreamStore Temporary(const Options& options = {});

  StreamStore(StreamStore&&) noexcept;
  StreamStore& operator=(StreamStore&&) noexcept;
  ~StreamStore();  ///< Close(), swallowing errors

  /// Declares the fields. Again only while nothing was appended, else Error(kState).
  void DefineFields(std::vector<Field> fields);

  bool declared() const noexcept;
  const Schema& schema() const;  ///< Throws Error(kState) before fields are declared.
  TypeId type_id(
      std::string_view field) const;  ///< Throws Error(kInvalidArgument): "Unknown field".

  /// Appends one step: any subset of the fields in declared order, none for an empty row.
  ///
  /// A step equal to the last continues its row with later fields. Returns the row.
  /// Cost    one comparison of shapes with the last step, one copy of the values, one release store.
  /// Throws  Error: kInvalidArgument (order, duplicate, length, range, decreasing step), kNoSpace,
  ///         kClosed, kReadOnly (forked child), kIo (after a failed sync). Nothing changed then.
  Row Append(Step step, std::span<const FieldWrite> writes);

  Row Append(Step step, std::initializer_list<FieldWrite> writes) {
    return Append(step, std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// Appends several field-writes with a step each (never decreasing), all or nothing, published at
  /// once. Throws also Error(kInvalidArgument) if the sizes differ ("equal length").
  void Append(std::span<const Step> steps, std::span<const FieldWrite> writes);

  /// Append() that reports by code: no exception, allocation or system call on the fast path.
  ErrorCode TryAppend(Step step, std::span<const FieldWrite> writes) noexcept;

  ErrorCode TryAppend(Step step, std::initializer_list<FieldWrite> writes) noexcept {
    return TryAppend(step, std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// Appends a new row at the step after the last one, 0 for the first; returns that step.
  ///
  /// The step is chosen inside the call: several threads record what arrives in the order in which
  /// it arrives, without a lock of their own. Otherwise as Append().
  Step AppendStep(std::span<const FieldWrite> writes);

  Step AppendStep(std::initializer_list<FieldWrite> writes) {
    return AppendStep(std::span<const FieldWrite>(writes.begin(), writes.size()));
  }

  /// AppendStep() that reports by code, as TryAppend(). `step`, if not null, takes the step.
  ErrorCode TryAppendStep(std::span<const FieldWrite> writes, Step* step = nullptr) noexcept;

  ErrorCode TryAppendStep(std::initializer_list<FieldWrite> writes, Step* step = nullptr) noexcept {
    return TryAppendStep(std::span<const FieldWrite>(writes.begin(), writes.size()), step);
  }

  /// Appends steps.size() rows at once, all or nothing. Steps strictly increase and are past the
  /// last one. Columns come in declared order, each at most once. Returns the first new row.
  Row Extend(std::span<const Step> steps, std::span<const Column> columns);

  /// Begins to append many rows with one publish. Throws as Append(), and Error(kState) while
  /// others are staged.
  StagedRows Stage();

  /// Begins to fill a temporary store anew, or any store without declared fields: Commit() declares
  /// `fields` and puts the rows in place of everything there was. A persistent store then appears
  /// at its path complete, with its rows. Readers keep what they see; the store's id is a new one.
  /// Throws Error(kReadOnly) for a persistent store that has fields.
  StagedRows StageAnew(std::vector<Field> fields);

  /// Allocates and faults in room for that many more values and records: no growth in the loop.
  void Reserve(std::uint64_t values, std::uint64_t records);

  /// Makes everything appended so far durable; returns the number of rows that are. Appends go on
  /// meanwhile. A failure is final: this writer never syncs or appends again (kIo). A temporary
  /// store does nothing.
  std::uint64_t Sync();

  /// Syncs, trims the files and releases the lock. Idempotent.
  void Close();

  /// Empties a temporary store, keeping its fields; Readers keep what they see. kReadOnly on a
  /// persistent one.
  void Clear();

  /// A Reader of what is stored now. Shares the writer's mappings; outlives Close().
  Reader reader() const;

  bool closed() const noexcept;
  std::uint64_t durable_rows() const noexcept;
  const std::filesystem::path& path() const noexcept;  ///< empty for a temporary store
  const std::array<std::uint8_t, 16>& id()
      const;  ///< Throws Error(kState) before fields are declared.
  const Recovery& recovery() const noexcept;

 private:
  friend class StagedRows;
  struct Impl;
  explicit StreamStore(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stream_store
