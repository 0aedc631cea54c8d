// Reading a store: a Reader is a snapshot of a store that can be moved forward.
//
//     Reader reader = Reader::Open("runs/a");             // also while another process writes it
//     std::vector<Position> starts = {0, 17, 4000};
//     std::vector<Value> values(starts.size() * 64);
//     std::vector<Step> steps(values.size());
//     reader.ReadWindows(starts, 64, {.values = values.data(), .step = steps.data()});
//     reader.Refresh();                                   // now it sees the rows that were added
//     if (reader.Wait(reader.num_rows() + 100, std::chrono::seconds(5))) { … }
//
// Thread rules: a Reader may be used by one thread at a time. It is cheap to copy, so give each
// thread its own copy. Any number of Readers in any number of processes read while one writer
// appends; they take no lock and write nothing.
// Lifetime: a span or RowView from a Reader stays valid while that Reader is alive and has not been
// refreshed, or while a copy made before the Refresh() is alive. Rows that a Reader has seen never
// change.
// Numbering: ranges are half-open, [begin, end). Rows and positions always keep their numbers: if
// a store drops its first rows, row numbers begin at first_row() and positions at first_position(),
// while num_rows() and size() go on counting. A snapshot keeps the rows that it has; Refresh() moves
// its begin, too.
// Errors: besides the errors that a function names, functions that read from the store can throw
// Error(kCorrupt) if they meet bytes that no writer can have written, Error(kCutBack) if a recovery
// has removed rows that this Reader may see, and with ReaderOptions::safe_reads Error(kIo). Where
// kOutOfRange is thrown for a row or position that does not exist, Error(kDropped) is thrown for one
// that was dropped; it names the first one that is left.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/error.h"
#include "stream_store/export.h"
#include "stream_store/options.h"
#include "stream_store/recovery.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

namespace stream_store {

namespace internal {
class ReadSource;
struct ReaderAccess;
struct View;
}  // namespace internal

/// Which row Reader::RowAt() looks for, by its step or time. The first two are those of NumPy's
/// searchsorted().
enum class Side : std::uint8_t {
  kLeft,      ///< the first row that is not less than the step or time asked for
  kRight,     ///< the first row that is greater
  kBackward,  ///< the last row that is not greater
  kNearest,  ///< the nearest row; the one before, of two that are equally near; the first of equals
};

/// A read-only snapshot of a store. See the top of this file.
class STREAM_STORE_API Reader {
 public:
  /// Opens the persistent store at `path` for reading, whether or not a writer has it open. Writes
  /// nothing.
  ///
  /// Cost    a few mappings; after a crash of the machine, one pass over the rows that were not yet
  ///         durable.
  /// Throws  Error: kNotFound (no store there, even after `options.wait`), kCorrupt, kVersion, kIo.
  static Reader Open(const std::filesystem::path& path, const ReaderOptions& options = {});

  /// A copy shows the same snapshot, and moves forward on its own. It shares the mappings.
  Reader(const Reader&);
  Reader& operator=(const Reader&);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  // -- The snapshot

  /// Moves the snapshot to all rows that are published now, and returns size().
  ///
  /// Does nothing on a Reader that Snapshot() returned.
  /// Cost    one acquire load if nothing was appended; else a few loads, and a mapping if a file
  ///         has grown beyond the mapped range.
  /// Throws  Error: kCutBack if a recovery removed rows after this Reader attached (open the store
  ///         again), kCorrupt. The snapshot is then as before.
  std::uint64_t Refresh();

  /// Waits until the store has at least `num_rows` rows, refreshing the snapshot; returns false if
  /// it has fewer after `timeout`, or at once if this is a Reader that Snapshot() returned. Between
  /// two looks the thread sleeps for at most 2 ms.
  ///
  /// Throws as Refresh().
  bool Wait(std::uint64_t num_rows, std::chrono::nanoseconds timeout);

  /// Returns a Reader that is fixed at the first `num_rows` rows of this snapshot: Refresh() does
  /// nothing on it.
  ///
  /// Throws Error(kOutOfRange) if this snapshot has fewer rows, Error(kDropped) if `num_rows` is less
  /// than first_row().
  Reader Snapshot(std::uint64_t num_rows) const;

  /// Returns a Reader that is fixed at all rows of this snapshot.
  Reader Snapshot() const;

  // -- Facts about the snapshot

  /// The fields of the store. As soon as it has a row, Refresh() can only add fields to them. The
  /// reference is valid until the next Refresh().
  const Schema& schema() const noexcept;

  /// The position after the last value: the number of values that were ever in the flat buffer.
  std::uint64_t size() const noexcept;

  /// The row after the last one: the number of rows that were ever there, including a last row that
  /// may still grow.
  std::uint64_t num_rows() const noexcept;

  /// The first row that is retained: all rows before it were dropped. 0 if none was.
  std::uint64_t first_row() const noexcept;

  /// The position of the first value that is retained: where row first_row() begins.
  std::uint64_t first_position() const noexcept;

  /// The number of rows that are retained: num_rows() - first_row().
  std::uint64_t kept_rows() const noexcept;

  /// The limits of the store that its writer has set, according to its newest slot.
  /// Throws Error(kCorrupt, kIo).
  Retention retention() const;

  /// The number of rows that are complete: all rows, except a last row that lacks the last field that
  /// was declared when it was written, while a writer has the store open. A complete row can grow only
  /// if fields are added to the store and the next append continues it with them.
  std::uint64_t complete_rows() const;

  /// The number of rows that survive a power cut, according to the last sync that succeeded; 0 for
  /// a temporary store. Throws Error(kCorrupt, kIo).
  std::uint64_t durable_rows() const;

  /// The number of records that were ever there. Every append, and every row of an Extend(), is one
  /// record.
  std::uint64_t records() const noexcept;

  /// The number of field-writes in the rows that are retained, which is the length of IndexTable().
  /// The first call counts them, at the cost of one pass over the records; later calls count only
  /// the new ones.
  std::uint64_t field_writes() const;

  /// The number of bytes on disk that this snapshot uses.
  std::uint64_t bytes() const;

  /// Whether a writer has the store open at this moment.
  bool live() const;

  /// The directory of the store; empty for a temporary store.
  const std::filesystem::path& path() const noexcept;

  /// The random id of the store. A checkpoint and a new store at the same path have another id.
  const std::array<std::uint8_t, 16>& id() const noexcept;

  /// How the last session of the store ended, as found when this Reader attached.
  const Recovery& recovery() const noexcept;

  // -- Windows of values

  /// Copies the values at positions [start, start + width) for every start, window after window.
  ///
  /// starts  any order, repeats allowed; each in [first_position(), size() - width].
  /// out     starts.size() * width elements in each wanted column; untouched after kOutOfRange.
  /// Cost    one search for each window, then block copies, independent of the size of the store.
  ///         Allocates only for layouts that this thread has not met lately, and with safe_reads.
  /// Throws  Error: kOutOfRange naming the first bad start, width and size(); kCorrupt.
  void ReadWindows(std::span<const Position> starts, std::uint64_t width,
                   const WindowsOut& out) const;

  /// Copies the values at `positions`, in the order asked.
  ///
  /// positions  any order, repeats allowed; each in [first_position(), size()).
  /// out        positions.size() elements in each wanted column; untouched after kOutOfRange.
  /// Cost       one search for each position. Runs of neighbours are copied as blocks; a caller
  ///            that knows its runs should use ReadWindows().
  /// Throws     Error: kOutOfRange naming the first bad position and size(); kCorrupt.
  void Gather(std::span<const Position> positions, const WindowsOut& out) const;

  // -- Rows, decoded

  /// Returns the field-writes of one row as spans of stored words.
  ///
  /// Throws Error: kOutOfRange if `row` is not in [first_row(), num_rows()), kCorrupt.
  RowView row(Row row) const;

  /// Decodes the windows of rows [row, row + length), field by field, each into its own column.
  ///
  /// rows     the first row of each window, in any order; each in
  ///          [first_row(), num_rows() - length].
  /// columns  the fields to decode, and where to (see RowsColumn); missing fields become zeros.
  /// steps    rows.size() * length steps, if not null.
  /// Cost     one search for each window, then one pass over its records.
  /// Returns  the owner of the memory that RowsColumn::spans point into, or null if that is the
  ///          store's own mapping.
  /// Throws   Error: kOutOfRange naming the first bad row (nothing was written then),
  ///          kInvalidArgument for a type id that does not exist, kCorrupt.
  std::shared_ptr<const void> ReadRows(std::span<const Row> rows, std::uint64_t length,
                                       std::span<const RowsColumn> columns,
                                       Step* steps = nullptr) const;

  /// As above, for runs of rows of any length, each to the places that it names. Places that no run
  /// names are left as they are.
  std::shared_ptr<const void> ReadRows(std::span<const RowRun> runs,
                                       std::span<const RowsColumn> columns,
                                       Step* steps = nullptr) const;

  /// As above, for one field of fixed shape, into memory of the field's own item type.
  ///
  /// T is float, double, or an integer of the dtype's size and sign: uint8_t also for bool and
  /// text, uint16_t for the bits of a float16, int64_t for dates, times and durations.
  ///
  /// out      rows.size() * length items of the field's shape.
  /// present  rows.size() * length flags, 1 where the field was written; or empty.
  /// Throws   Error: kInvalidArgument if T, a size or the field does not fit; kOutOfRange as above.
  template <class T>
    requires std::is_arithmetic_v<T>
  void ReadRows(std::span<const Row> rows, std::uint64_t length, TypeId type, std::span<T> out,
                std::span<std::uint8_t> present = {}) const {
    CheckColumn(type, {sizeof(T), std::is_floating_point_v<T>, std::is_signed_v<T>},
                rows.size() * length, out.size(), present.size());
    const RowsColumn column{type, out.data(), present.empty() ? nullptr : present.data(), nullptr,
                            0};
    ReadRows(rows, length, std::span<const RowsColumn>(&column, 1));
  }

  /// Returns the length in items of the longest field-write of ragged field `type` in the windows
  /// [row, row + length); use it to choose RowsColumn::max_length. The length of a string, a binary
  /// or a nested block is that in bytes.
  ///
  /// Cost    one pass over the records; for packed and nested fields, a load for each field-write.
  /// Throws  Error(kOutOfRange), or Error(kInvalidArgument) for a field that is not ragged.
  std::uint64_t LongestInRows(std::span<const Row> rows, std::uint64_t length, TypeId type) const;
  std::uint64_t LongestInRows(std::span<const RowRun> runs, TypeId type) const;

  /// Decodes stored words of field `type`, from wherever they were read, into its item type.
  ///
  /// out     values.size() items.
  /// Throws  Error(kInvalidArgument) for a packed, nested or decimal field, where one word is not one
  ///         item.
  void Decode(std::span<const Value> values, TypeId type, void* out) const;

  // -- Searches

  /// Returns the row that is retained and stands on that side of `step`; num_rows() if there is no
  /// such row. Cost: O(log records), twice for Side::kNearest.
  Row RowAt(Step step, Side side = Side::kLeft) const;

  /// Returns the row that stands on that side of `time` by the values of a field, such as a sensor's
  /// own clock; num_rows() if there is no such row. Rows that lack the field are skipped, and so are
  /// those where it is NaN or NaT.
  ///
  /// time   in the unit of the field: nanoseconds for a timestamp_ns field. T is any number; a
  ///        fraction counts in an integer field, too.
  /// field  a type id: an integer, float, date, time, timestamp or duration, one value per row. Floats
  ///        are compared as they are read, so a float32 field is compared with its rounded values.
  /// Cost   O(log rows). The first call for a field reads all rows once; later calls read the rows
  ///        that were added. That index is shared by all Readers of this opening of the store, or of
  ///        its writer, and takes 16 bytes for each row that has the field.
  /// Throws Error: kInvalidArgument if the times decrease from one retained row of this snapshot to
  ///        a later one (it names two such rows: no search finds the right row then), if
  ///        `time` is NaN, or for another kind of field; kCorrupt.
  template <class T>
    requires std::is_arithmetic_v<T>
  Row RowAt(T time, TypeId field, Side side = Side::kLeft) const {
    Row row = 0;
    FindTimes(&time, ItemTypeOf<T>(), field, side, std::span<Row>(&row, 1));
    return row;
  }

  /// As above, for many times at once, in the order asked.
  ///
  /// times  a contiguous range of numbers, such as std::vector or std::span. The cost is lowest if they
  ///        never decrease: each search begins where the last one ended, as in a merge join.
  /// out    as many rows as times; untouched if the call throws.
  template <std::ranges::contiguous_range R>
    requires std::is_arithmetic_v<std::ranges::range_value_t<R>>
  void RowAt(const R& times, TypeId field, Side side, std::span<Row> out) const {
    CheckRoom(std::ranges::size(times), out.size());
    FindTimes(std::ranges::data(times), ItemTypeOf<std::ranges::range_value_t<R>>(), field, side,
              out);
  }

  /// Writes the row of each position, in the order asked.
  ///
  /// positions  any order, repeats allowed; each in [first_position(), size()).
  /// out        out.size() == positions.size().
  /// Cost       one search for each position, independent of the size of the store.
  /// Throws     Error(kOutOfRange) naming the first bad position.
  void RowOf(std::span<const Position> positions, std::span<Row> out) const;

  /// Writes the first position of each row, in the order asked. The position of a row without
  /// values is that of the next value.
  ///
  /// rows    any order, repeats allowed; each in [first_row(), num_rows()).
  /// out     out.size() == rows.size().
  /// Cost    one search for each row, independent of the size of the store.
  /// Throws  Error(kOutOfRange) naming the first bad row.
  void PositionOf(std::span<const Row> rows, std::span<Position> out) const;

  /// Returns the field-writes of rows [begin, end), in order.
  ///
  /// Cost    one pass over their records; 24 bytes for each field-write.
  /// Throws  Error(kOutOfRange).
  std::vector<IndexEntry> IndexTable(Row begin, Row end) const;

  /// Returns the segments, such as episodes, as half-open row ranges in order. The first one begins
  /// at first_row(). The last one is open: rows that are appended may still join it.
  ///
  /// types   one int field, of which a new value begins a segment and a missing value changes
  ///         nothing; or bool fields, which are true on the last row of a segment, and count as
  ///         false where they are missing.
  /// Cost    one pass over the records. A WindowSampler caches the segments and is faster.
  /// Throws  Error(kInvalidArgument) for other fields, or if `types` is empty.
  std::vector<std::pair<Row, Row>> Segments(std::span<const TypeId> types) const;

  // -- Copies

  /// Copies this snapshot into a new store at `path`, where there must be nothing or an empty
  /// directory, and returns the number of its rows. The copy appears complete and cleanly closed.
  ///
  /// The copy has a new id. It keeps the checksums of the records, and each is verified against the
  /// bytes that were written. The writer may append meanwhile. A temporary store can be
  /// copied too, and so can a store whose sync failed.
  ///
  /// progress  is called now and then with the bytes that are done and the bytes in all. If it
  ///           throws, copying ends and the exception is passed on.
  /// Cost      one read and one write of the snapshot's bytes, one read of the copy, one sync.
  /// Throws    Error: kAlreadyExists, kCorrupt naming the first bad record, kCutBack, kNoSpace,
  ///           kIo. Nothing is left at `path` then.
  std::uint64_t Checkpoint(
      const std::filesystem::path& path,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress = {}) const;

  /// Brings an earlier checkpoint of this store up to date: copies what this snapshot has after the
  /// last row of the checkpoint, adds the fields that are new, and drops the rows that the store has
  /// dropped. Returns the number of bytes of records, values and layouts that were copied. If there
  /// is nothing at `path`, or an empty directory, makes a whole checkpoint.
  ///
  /// After an error, or if the process or the machine stops, the checkpoint is either as it was or
  /// up to date. The state of a sampler of this store loads on it. If all of its rows were dropped
  /// here, its readers get Error(kCutBack).
  ///
  /// path      what Checkpoint() of this store made, closed. Its rows must be the first ones of this
  ///           snapshot: rows that were truncated here are kept, and have to be given up there first.
  /// progress  as for Checkpoint().
  /// Cost      one read and one write of the new bytes, one read of the copied ones, 4 or 5 syncs;
  ///           a look at each record that is dropped.
  /// Throws    Error: kAlreadyExists if `path` is anything else; kInvalidArgument if the checkpoint
  ///           has rows that this snapshot does not have; kLocked if it is open for writing;
  ///           kCorrupt naming the first bad record; kCutBack, kNoSpace, kIo.
  std::uint64_t UpdateCheckpoint(
      const std::filesystem::path& path,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress = {}) const;

 private:
  friend class StreamStore;
  friend struct internal::ReaderAccess;
  explicit Reader(std::shared_ptr<internal::ReadSource> source);

  struct ItemType {
    std::size_t bytes;
    bool is_floating;
    bool is_signed;
  };

  template <class T>
  static constexpr ItemType ItemTypeOf() noexcept {
    static_assert(sizeof(T) <= 8, "Convert a long double to double.");
    return {sizeof(T), std::is_floating_point_v<T>, std::is_signed_v<T>};
  }

  static void CheckRoom(std::size_t times, std::size_t rows);
  void FindTimes(const void* times, ItemType item, TypeId field, Side side,
                 std::span<Row> out) const;
  void CheckColumn(TypeId type, ItemType item, std::size_t places, std::size_t out_items,
                   std::size_t present_items) const;

  std::shared_ptr<internal::ReadSource> source_;
  std::unique_ptr<internal::View> view_;
  bool fixed_ = false;  // Refresh() does nothing
};

}  // namespace stream_store
