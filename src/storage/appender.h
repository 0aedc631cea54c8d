// Appender: stores records and publishes them. It is the hot path of the project, and follows
// "Append" and "Stage" in docs/format.md.
//
// It is part of a Writer; everything it owns is guarded by the append flag. Its functions live in
// six sources: appender.cc (one step), extend.cc (several records with one publish),
// extend_regular.cc (rows of one shape), stage.cc (rows of many calls with one publish), apply.cc
// (records of another store), truncate.cc (removes rows at the end).
//
// Thread rules: public functions may be called from any thread; each acquires the flag, or says
// that it does not. A thread that holds a mutex never waits for the flag. Invariants:
//   1. Bytes below the cursor are never stored to again. Only Truncate() moves the cursor back.
//   2. Everything that can fail in a call is done before its first record is stored; values after
//      the cursor may hold anything.
//   3. `published` is stored last, with release order, and is the only word that readers follow.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/field_write.h"
#include "stream_store/schema.h"

#include "format/encoding.h"
#include "format/record.h"
#include "storage/append_flag.h"
#include "storage/cursor.h"
#include "storage/layout_table.h"
#include "storage/refusal.h"

namespace stream_store::internal {

class Capacity;
class Durability;
class PackRecords;
class StoreFiles;
class WriterStatus;
struct SessionStart;
struct StoreSchema;

/// The field-writes of one step: they become one record.
struct Group {
  Step step = 0;
  std::span<const FieldWrite> writes;
};

class Appender {
 public:
  /// The references must outlive it.
  Appender(StoreFiles& files, WriterStatus& status, Capacity& capacity, Durability& durability,
           const SessionStart& start);

  /// Writer describes these four.
  bool Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal)
      EXCLUDES(flag_);
  bool AppendStep(std::span<const FieldWrite> writes, Row* row, Step* step, Refusal* refusal)
      EXCLUDES(flag_);
  Refusal AppendGroups(std::span<const Group> groups, std::size_t* failed_group) EXCLUDES(flag_);
  Refusal Extend(std::span<const Step> steps, std::span<const Column> columns, Row* first_row)
      EXCLUDES(flag_);

  /// Staging (stage.cc); Writer describes these functions.
  void BeginStaging() EXCLUDES(flag_);
  Refusal StageRows(std::span<const Step> steps, std::span<const Column> columns) EXCLUDES(flag_);
  void PublishStaged() EXCLUDES(flag_);
  void DropStaged() noexcept EXCLUDES(flag_);
  Cursor staged_cursor() noexcept EXCLUDES(flag_);

  /// Appends the records of a pack that come next, up to number `end`, and publishes them together
  /// (apply.cc). Returns how many. Writer describes it. REQUIRES: end <= pack.end_record().
  std::uint64_t ApplyPack(const PackRecords& pack, std::uint64_t end) EXCLUDES(flag_);

  /// Throws Error(kState), naming the operation, while rows are being staged. Does not acquire the
  /// flag.
  void RequireNotStaging(const char* operation) const;

  /// Allocates space for `values` more values, `records` more records and as many different layouts
  /// as these may have, and faults in that of the first two. Throws Error(kNoSpace, kIo), and as RequireWritable() and RequireNotStaging().
  void Reserve(std::uint64_t values, std::uint64_t records) EXCLUDES(flag_);

  /// See Durability.
  void OpenSessionOfRecovered() EXCLUDES(flag_);

  /// Opens the session, if it is not open. Throws as Durability::OpenSession().
  void OpenSession() EXCLUDES(flag_);

  /// Removes all rows from `num_rows` on. Returns how many. Writer describes it.
  std::uint64_t Truncate(std::uint64_t num_rows) EXCLUDES(flag_);

  /// Ends appending for good, and returns where it ended; nothing if it had been ended before.
  std::optional<Cursor> Close() EXCLUDES(flag_);

  Cursor cursor() noexcept EXCLUDES(flag_);

  /// Replaces the fields of a store that holds nothing. Throws Error(kState) if rows were appended.
  void Redeclare(const Schema& schema) EXCLUDES(flag_);

  /// Adds fields after the present ones. Writer describes it.
  void AddFields(std::vector<Field> fields) EXCLUDES(flag_);

  /// To be called after StoreFiles::MoveTo(): takes over the schema that names the new path.
  void FollowMove() EXCLUDES(flag_);

  /// Does not acquire the flag: callers must not run it beside Redeclare(), AddFields() or
  /// FollowMove().
  const Schema& schema() const noexcept NO_THREAD_SAFETY_ANALYSIS;

  /// For messages: the last type id of the last row, or `type` itself if that row has it. REQUIRES:
  /// the store has a row.
  std::int64_t LastTypeBefore(TypeId type) EXCLUDES(flag_);

  /// Async-signal-safe.
  void BecomeForkedChild() noexcept { flag_.Free(); }

 private:
  /// A field-write whose shape was checked, and how to store one of the same shape.
  struct PlannedWrite {
    enum class Way : std::uint8_t { kLoop, kOneWord, kOneBool, kOneNumber, kNothing };
    std::uint64_t shape_word = 0;
    std::uint64_t count = 0;
    std::uint64_t words = 0;
    const Encoding* encoding = nullptr;  // in the schema
    EncodeLoop loop = nullptr;
    Way way = Way::kLoop;
  };

  /// The layout of the last record that began a row, or of the last one that continued a row. A
  /// call of the same shape needs no check against the schema and no search for its layout.
  struct ShapeCache {
    std::uint64_t fields = ~std::uint64_t{0};
    const std::uint64_t* words = nullptr;  // `fields` words after the head, in the file
    std::uint64_t total = 0;
    std::uint32_t offset = 0;  // Record::layout
    std::uint32_t digest = 0;
    std::int32_t first_type = -1;
    std::int32_t last_type = -1;
    std::vector<PlannedWrite> plan;  // of the last call with FieldWrites; empty if unknown
  };

  /// A record whose place and layout are decided, but which is not stored yet.
  struct DecidedRecord {
    Step step = 0;
    std::uint64_t start = 0;
    std::uint64_t row_session = 0;
    std::uint64_t total = 0;
    std::uint32_t layout = 0;
    std::uint32_t digest = 0;
    std::uint32_t checksum = 0;
    bool begins_row = true;
  };

  /// The data files, as they are mapped.
  struct DataPointers {
    Value* values = nullptr;
    Record* records = nullptr;
    std::uint64_t* layouts = nullptr;
    std::uint64_t* position_hints = nullptr;
    std::uint64_t* row_hints = nullptr;
  };

  struct ColumnPlan;

  class ChunkScope;

  // appender_inline.h
  static bool SameShape(std::span<const FieldWrite> writes, const ShapeCache& shape) noexcept;
  static bool MayFollow(Step step, const ShapeCache& shape, bool continues,
                        const Cursor& at) noexcept;
  std::uint64_t EncodeWrites(std::span<const FieldWrite> writes, const ShapeCache& shape,
                             DecidedRecord& decided, std::size_t* bad_write) noexcept
      REQUIRES_LOCK(flag_);
  std::uint32_t BeginDecidedChecksum(const DecidedRecord& decided) const noexcept
      REQUIRES_LOCK(flag_);
  void StoreRecord(const DecidedRecord& decided, std::uint64_t record) noexcept
      REQUIRES_LOCK(flag_);
  DecidedRecord RegularRow(const Cursor& begin, std::uint64_t row,
                           std::uint32_t layout) const noexcept REQUIRES_LOCK(flag_);
  static void MoveToNextRow(DecidedRecord& row) noexcept;
  std::uint64_t RowsOfChunk(std::uint64_t record, std::uint64_t rows) const noexcept;
  std::uint32_t RegularLayout(const Cursor& begin, std::uint64_t row) const noexcept
      REQUIRES_LOCK(flag_);
  static void MoveCursor(const ShapeCache& shape, Step step, bool continues, Cursor& at) noexcept;

  // appender.cc
  bool AppendAgain(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal)
      REQUIRES_LOCK(flag_);
  bool EnterRecordsChunk(std::uint64_t record) noexcept REQUIRES_LOCK(flag_);
  void ForgetLayouts() noexcept REQUIRES_LOCK(flag_);
  bool AppendHeld(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* refusal)
      REQUIRES_LOCK(flag_);
  static PlannedWrite PlanWrite(const FieldWrite& write, const Encoding& encoding,
                                std::uint64_t words);
  Refusal CheckShape(std::span<const FieldWrite> writes, ShapeCache& shape) REQUIRES_LOCK(flag_);
  void UseLayout(std::span<const std::uint64_t> words, ShapeCache& shape) REQUIRES_LOCK(flag_);
  Refusal RefuseState() const noexcept;
  static Refusal RefusePlace(Step step, bool continues, const Cursor& at) noexcept;
  void MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words)
      REQUIRES_LOCK(flag_);
  void TryMakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words)
      REQUIRES_LOCK(flag_);
  void RefreshPointers() noexcept REQUIRES_LOCK(flag_);
  const std::uint64_t* WordsOf(const ShapeCache& shape) const noexcept REQUIRES_LOCK(flag_);
  std::uint64_t LayoutWordsOf(std::uint64_t records) const noexcept REQUIRES_LOCK(flag_);
  void UseSchema(Schema schema) REQUIRES_LOCK(flag_);
  void UseSchemaOfFiles() REQUIRES_LOCK(flag_);

  // extend.cc
  void Decide(Step step, const ShapeCache& shape, bool continues, Cursor& at) REQUIRES_LOCK(flag_);
  Refusal CheckColumns(std::span<const Column> columns) const REQUIRES_LOCK(flag_);
  Refusal DecideRows(std::span<const Step> steps, std::span<const Column> columns, Cursor& at)
      REQUIRES_LOCK(flag_);
  Refusal PrepareRows(std::span<const Step> steps, std::span<const Column> columns, Cursor& at)
      REQUIRES_LOCK(flag_);
  Refusal ShapeRow(std::span<const Column> columns, std::uint64_t row, ShapeCache& shape)
      REQUIRES_LOCK(flag_);
  Refusal EncodeRows(std::span<const Column> columns) REQUIRES_LOCK(flag_);
  void StoreDecided(std::uint64_t record, std::uint32_t flipped) noexcept REQUIRES_LOCK(flag_);
  void StorePrepared(std::span<const Step> steps, const Cursor& begin,
                     std::uint32_t flipped) noexcept REQUIRES_LOCK(flag_);
  void Publish(const Cursor& after) noexcept REQUIRES_LOCK(flag_);

  // extend_regular.cc
  Refusal DecideRegular(std::span<const Step> steps, std::span<const Column> columns, Cursor& at)
      REQUIRES_LOCK(flag_);
  std::vector<ColumnPlan> PlanColumns(std::span<const Column> columns) const REQUIRES_LOCK(flag_);
  Refusal EncodeBlock(std::span<const ColumnPlan> plans, std::uint64_t first, std::uint64_t rows,
                      Value* out) REQUIRES_LOCK(flag_);
  Refusal EncodeRegular(std::span<const Step> steps, std::span<const Column> columns,
                        const Cursor& begin) REQUIRES_LOCK(flag_);

  // apply.cc
  std::uint32_t LastContentChecksum() const noexcept REQUIRES_LOCK(flag_);
  void RequireContinues(const PackRecords& pack) const REQUIRES_LOCK(flag_);
  std::vector<std::uint32_t> LayoutsOfPack(const PackRecords& pack, std::uint64_t end)
      REQUIRES_LOCK(flag_);
  void StoreValues(const PackRecords& pack, const Cursor& at, std::uint64_t end)
      REQUIRES_LOCK(flag_);

  // truncate.cc
  std::uint64_t FirstRecordOf(std::uint64_t row) const noexcept REQUIRES_LOCK(flag_);
  Cursor EndBefore(std::uint64_t row, std::vector<bool>& removed) const REQUIRES_LOCK(flag_);

  // stage.cc
  void EndStaging() noexcept REQUIRES_LOCK(flag_);

  AppendFlag flag_;
  Cursor cursor_ GUARDED_BY(flag_);
  DataPointers data_ GUARDED_BY(flag_);
  const std::atomic_ref<std::uint64_t> published_;
  std::uint64_t session_ GUARDED_BY(flag_);
  const std::uint32_t seed_;
  std::shared_ptr<const StoreSchema> schema_ GUARDED_BY(flag_);
  ShapeCache shapes_[2] GUARDED_BY(flag_);  // [0] new rows, [1] continuations
  LayoutTable layout_table_ GUARDED_BY(flag_);
  const std::uint64_t chunk_records_;  // records in a full chunk of `records`
  // The chunk of `records` for which the layouts of shapes_ and layout_table_ were written.
  std::uint64_t layouts_chunk_ GUARDED_BY(flag_);
  std::vector<std::uint32_t> regular_layouts_ GUARDED_BY(flag_);  // of a call, one for each chunk
  std::vector<std::uint64_t> layout_words_ GUARDED_BY(flag_);  // scratch: the layout of one record
  std::vector<DecidedRecord> decided_ GUARDED_BY(flag_);       // of a call whose rows may differ
  std::vector<std::uint32_t> checksums_ GUARDED_BY(flag_);  // of a call whose rows have one shape
  std::vector<Value> encoded_ GUARDED_BY(flag_);  // scratch: one column of a block of rows
  Cursor stage_ GUARDED_BY(flag_);                // where the next staged row goes
  Cursor room_ GUARDED_BY(flag_);  // the space that the running call of several records was given
  StoreFiles& files_;
  WriterStatus& status_;
  Capacity& capacity_;
  Durability& durability_;
};

}  // namespace stream_store::internal
