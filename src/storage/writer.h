// Writer: appends to the Files of one store and publishes. The hot path of the project.
//
// Used by the StreamStore facade. One Writer per store, guaranteed by the lock byte.
// Thread rules: Append*() from any thread, serialised by the append flag; Sync() from any thread
// while appends go on; Close() waits for both. Lock order: append flag, then sync mutex, then state
// mutex; whoever holds a mutex never waits for the flag. Invariants:
//   1. Bytes below the cursor are never stored to again.
//   2. Everything that can fail in a call is done before its first record is stored; values beyond
//      the cursor may hold anything.
//   3. `published` is stored with release after everything it publishes, and is the only word
//      readers follow.
//   4. A limit is raised under the state mutex only, only when not failed, closed or forked, and
//      only after the space and the hints for it are there. Limits of 0 send every append to the
//      slow path, which says why.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "stream_store/error.h"
#include "stream_store/field_write.h"
#include "stream_store/schema.h"

#include "storage/append_flag.h"
#include "storage/cursor.h"
#include "storage/layout_table.h"
#include "storage/store_files.h"

namespace stream_store::internal {

class GrowthHelper;
class SyncHelper;

struct WriterOptions {
  std::uint64_t capacity_values = 1'000'000;
  bool grow_ahead = true;
  std::uint64_t slot_sequence = 0;    ///< of the newest slot
  std::uint64_t slot_session = 0;     ///< session of the newest slot
  std::uint64_t session = 1;          ///< of this writer
  std::uint64_t durable_records = 0;  ///< records of the newest slot
  std::uint64_t durable_rows = 0;
  std::chrono::nanoseconds sync_interval{0};  ///< of the sync helper; 0: not by time
  std::uint64_t sync_bytes = 0;               ///< 0: not by bytes
  bool sync_interrupted = false;  ///< a sync did not end: the newest slot may be in memory only
};

/// Why an append was refused: enough to build the message, cheap to return.
struct Refusal {
  ErrorCode code = ErrorCode::kOk;
  enum class Rule : std::uint8_t {
    kNone,
    kUnknownType,
    kOrder,
    kLength,
    kValue,
    kStepDecreases,
    kStepNotAfter,
    kTooManyRows,
  } rule = Rule::kNone;
  std::uint64_t write = 0;  ///< which field-write (Append) or column (Extend)
  std::uint64_t row = 0;    ///< which row of the call (Extend)
  std::uint64_t item = 0;   ///< which item of it
};

/// A field-write whose shape was checked: an equal one is stored the same way without another look.
struct PlannedWrite {
  enum class Way : std::uint8_t { kLoop, kOneWord, kOneBool, kNothing };
  std::uint64_t shape_word = 0;
  std::uint64_t count = 0;
  std::uint64_t words = 0;
  const Encoding* encoding = nullptr;
  EncodeLoop loop = nullptr;
  Way way = Way::kLoop;
};

/// A run of field-writes with one step: what becomes one record.
struct Group {
  Step step = 0;
  std::span<const FieldWrite> writes;
};

class Writer {
 public:
  Writer(std::shared_ptr<StoreFiles> files, const Cursor& cursor, const WriterOptions& options);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Close(), swallowing errors; in a forked child only unmaps.
  ~Writer();

  /// One step. False, with the reason in `*verdict`, if it was refused; throws only on the slow
  /// path (no space, closed, …).
  bool Append(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* verdict);

  /// One new row at the step after the last one, which only the holder of the append flag knows.
  bool AppendStep(std::span<const FieldWrite> writes, Row* row, Step* step, Refusal* verdict);

  /// Several steps, published together. After a refusal `failed_group` is the one that was refused.
  Refusal AppendGroups(std::span<const Group> groups, std::size_t* failed_group);

  /// steps.size() new rows, published together.
  Refusal Extend(std::span<const Step> steps, std::span<const Column> columns, Row* first_row);

  /// Staging: rows stored beyond what is published, until PublishStaged() shows them all at once.
  /// Meanwhile other appends throw Error(kState). stage.cc.
  void BeginStaging();
  Refusal StageRows(std::span<const Step> steps, std::span<const Column> columns);
  void PublishStaged();
  void DropStaged() noexcept;
  void CheckNotStaging() const;

  /// REQUIRES: BeginStaging(). Where the next staged row goes; for the one who stages.
  const Cursor& staged_cursor() const noexcept { return stage_; }

  void Reserve(std::uint64_t values, std::uint64_t records);
  std::uint64_t Sync();
  void Close();

  /// Takes the append flag for a moment: a consistent look at where the stream is.
  Cursor cursor() noexcept;

  std::uint64_t durable_rows() const noexcept {
    return durable_rows_.load(std::memory_order_relaxed);
  }

  bool closed() const noexcept { return closed_.load(std::memory_order_relaxed); }

  const std::shared_ptr<StoreFiles>& files() const noexcept { return files_; }

  /// Declares other fields. Throws Error(kState) if anything was appended.
  void Redeclare(Schema schema);

  const Schema& schema() const noexcept { return store_schema_->schema; }

  /// For messages: the last type id of the row so far, or `type` itself if the row already has that
  /// field.
  std::int64_t LastTypeBefore(TypeId type);

  /// After the directory of the store was renamed.
  void FollowMove();

  /// pthread_atfork child handler: async-signal-safe.
  void BecomeForkedChild() noexcept;

 private:
  friend class GrowthHelper;
  friend class SyncHelper;

  /// The last layout used for new rows, or for continuations: equal shapes need no check.
  struct ShapeCache {
    std::uint64_t fields = ~std::uint64_t{0};
    const std::uint64_t* words = nullptr;  ///< k words after the head, in `layouts`
    std::uint64_t total = 0;
    std::uint32_t offset = 0;
    std::uint32_t digest = 0;
    std::int32_t first_type = -1;
    std::int32_t last_type = -1;
    std::vector<PlannedWrite> plan;  ///< how the last call of this shape was stored; empty: unknown
  };

  /// A record that is decided but not stored.
  struct Staged {
    Step step = 0;
    std::uint64_t start = 0;
    std::uint64_t row = 0;
    std::uint64_t total = 0;
    std::uint32_t layout = 0;
    std::uint32_t digest = 0;
    std::uint32_t checksum = 0;
    bool begins_row = true;
  };

  // hot.h
  static bool SameShape(std::span<const FieldWrite> writes, const ShapeCache& memo) noexcept;
  static bool MayFollow(Step step, const ShapeCache& memo, bool continues,
                        const Cursor& at) noexcept;
  bool Fits(std::uint64_t values, std::uint64_t records) const noexcept;
  std::uint64_t EncodeWrites(std::span<const FieldWrite> writes, const ShapeCache& memo,
                             Staged& staged, std::size_t* bad_write) noexcept;
  std::uint32_t BeginDecidedChecksum(const Staged& staged) const noexcept;
  void StoreRecord(const Staged& staged, std::uint64_t record) noexcept;
  Staged RegularRow(std::span<const Step> steps, const Cursor& begin,
                    std::uint64_t row) const noexcept;
  static void MoveCursor(const ShapeCache& memo, Step step, bool continues, Cursor& at) noexcept;

  // append.cc
  bool AppendHeld(Step step, std::span<const FieldWrite> writes, Row* row, Refusal* verdict);
  Refusal CheckShape(std::span<const FieldWrite> writes, ShapeCache& memo);
  void UseLayout(std::span<const std::uint64_t> words, ShapeCache& memo);
  static Refusal RefusePlace(Step step, bool continues, const Cursor& at) noexcept;

  // append_many.cc
  void Stage(Step step, const ShapeCache& memo, bool continues, Cursor& at);
  Refusal CheckColumns(std::span<const Column> columns) const;
  Refusal DecideRows(std::span<const Step> steps, std::span<const Column> columns, Cursor& at);
  Refusal PrepareRows(std::span<const Step> steps, std::span<const Column> columns, Cursor& at);
  Refusal ShapeRow(std::span<const Column> columns, std::uint64_t row, ShapeCache& memo);
  Refusal EncodeRows(std::span<const Column> columns);
  void StoreStaged(std::uint64_t record, std::uint32_t flipped) noexcept;
  void StorePrepared(std::span<const Step> steps, const Cursor& begin,
                     std::uint32_t flipped) noexcept;
  void Commit(const Cursor& after) noexcept;

  // append_regular.cc
  Refusal DecideRegular(std::span<const Step> steps, std::span<const Column> columns, Cursor& at);
  struct ColumnPlan;
  std::vector<ColumnPlan> PlanColumns(std::span<const Column> columns) const;
  Refusal EncodeBlock(std::span<const ColumnPlan> plans, std::uint64_t first, std::uint64_t rows,
                      Value* out);
  Refusal EncodeRegular(std::span<const Step> steps, std::span<const Column> columns,
                        const Cursor& begin);

  // growth.cc
  void MakeRoom(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words);
  bool UseHardLimits(std::uint64_t values, std::uint64_t records) noexcept;
  void CheckWritable();
  void StartHelper();
  void StartSyncer();
  void GrowFiles(std::uint64_t values, std::uint64_t records, std::uint64_t layout_words);
  void GrowFilesAhead(std::uint64_t values, std::uint64_t records);
  void RaiseLimits(std::uint64_t soft_values, std::uint64_t soft_records) noexcept;
  void RefreshPointers() noexcept;
  void DropLimits() noexcept;
  void GrowAhead();

  // stage.cc
  void EndStaging() noexcept;

  // durability.cc
  void OpenRecord();
  Cursor PublishedCursor();
  std::uint64_t SyncPublished();
  std::chrono::nanoseconds SyncIfDue() noexcept;
  void WriteDurable(const Cursor& at, bool clean, bool both_slots);
  void Poison(const Error& error);
  void Trim(const Cursor& at);

  // -- Hot: one writer thread at a time, under the append flag.
  Cursor cursor_;
  Value* values_ = nullptr;
  Record* records_ = nullptr;
  std::uint64_t* layouts_ = nullptr;
  Hint* hints_ = nullptr;
  std::atomic_ref<std::uint64_t> published_;
  std::uint64_t session_bits_ = 0;
  std::uint32_t seed_ = 0;
  std::shared_ptr<const StoreSchema> store_schema_;
  ShapeCache memos_[2];  // [0] new rows, [1] continuations
  AppendFlag flag_;
  std::atomic<std::uint64_t> values_limit_{0};  // soft: beyond it the slow path is taken
  std::atomic<std::uint64_t> records_limit_{0};
  std::atomic<std::uint64_t> layout_limit_{0};  // words
  LayoutTable layout_table_;
  std::vector<std::uint64_t> scratch_words_;
  std::vector<Staged> staged_;            // of a call whose records differ
  std::vector<std::uint32_t> checksums_;  // of a call whose rows have one shape
  std::vector<Value> encoded_;            // one column of a block of them
  Cursor stage_;                          // where the next staged row goes

  // -- Cold.
  std::shared_ptr<StoreFiles> files_;
  WriterOptions options_;
  std::atomic<std::uint64_t> hard_values_{0};  // what is allocated
  std::atomic<std::uint64_t> hard_records_{0};
  std::atomic<bool> closed_{false};
  std::atomic<bool> failed_{false};
  std::atomic<bool> forked_{false};
  std::atomic<bool> session_open_{false};  // the open record was written
  std::atomic<bool> staging_{false};       // soft limits stay 0: every append takes the slow path
  std::atomic<std::uint64_t> staged_values_{0};  // of stage_, for the helper
  std::atomic<std::uint64_t> staged_records_{0};
  std::string failure_;  // first failed sync, for messages; under the state mutex
  int failure_errno_ = 0;
  std::mutex state_mutex_;  // files' sizes, limits, failure
  std::mutex sync_mutex_;   // slots
  std::uint64_t slot_sequence_ = 0;
  std::uint64_t slot_session_ = 0;
  std::uint64_t durable_records_ = 0;
  std::uint64_t durable_values_ = 0;
  std::chrono::steady_clock::time_point synced_at_ = std::chrono::steady_clock::now();
  std::uint64_t counted_records_ = 0;  // field-writes of published records, for slots
  std::uint64_t counted_writes_ = 0;
  std::atomic<std::uint64_t> durable_rows_{0};
  // Owned; leaked in a forked child, where their threads do not exist.
  GrowthHelper* helper_ = nullptr;
  std::uint64_t seen_values_ = 0;  // where the helper saw the stream end last; its own
  std::uint64_t seen_records_ = 0;
  SyncHelper* syncer_ = nullptr;
};

}  // namespace stream_store::internal
