// Reading a store: a Reader is a snapshot that can be moved forward.
//
// Thread rules: a Reader is cheap to copy; give each thread its own. Any number of Readers, in any
// number of processes, read while one writer appends; they take no locks and write nothing.
// Lifetime: a span or RowView from a Reader stays valid while that Reader, or any copy of it taken
// before the next Refresh(), is alive. What a Reader has seen never changes.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
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

/// Which of equal steps Reader::RowAt() goes to, in NumPy's words.
enum class Side : std::uint8_t {
  kLeft,   ///< the first row whose step is not less than the one asked for
  kRight,  ///< the first row whose step is greater
};

class Reader;
struct VerifyOptions;
struct VerifyReport;
STREAM_STORE_API VerifyReport Verify(const Reader& reader,
                                     const VerifyOptions& options);  // verify.h

/// All field-writes of one row: `for (auto [type, values] : view)`, values as stored words, no
/// copy.
class RowView {
 public:
  struct Entry {
    TypeId type;
    std::span<const Value> values;
  };

  Step step() const noexcept { return step_; }

  auto begin() const noexcept { return entries_.begin(); }

  auto end() const noexcept { return entries_.end(); }

  std::size_t size() const noexcept { return entries_.size(); }

 private:
  friend class Reader;
  Step step_ = 0;
  std::vector<Entry> entries_;
  std::shared_ptr<const void> owner_;  // of the values, when they are a copy
};

/// One column of ReadRows(), decoded into the field's own dtype.
///
/// With P = rows.size() * length places and S = the field's item shape, `out` has room for P × S
/// items (a ragged field: P × max_length × S). Item type by dtype: bool and uint8 1 byte, …
/// float16/32/64 2/4/8 bytes, dates and times int64 in their unit, text and bytes uint8, decimals 2
/// or 4 words, packed its own item type.
struct RowsColumn {
  TypeId type = 0;
  void* out = nullptr;
  std::uint8_t* present = nullptr;  ///< P bytes, 1 where the field was written; may be null
  std::int64_t* lengths =
      nullptr;  ///< P stored lengths in items of a ragged field, before any cut; may be null
  std::uint64_t max_length = 0;  ///< ragged fields: room per place, in items; longer ones are cut
  std::span<const Value>* spans = nullptr;  ///< P spans of stored words in the store, empty where
                                            ///< missing; may be null. They live as long as the
                                            ///< snapshot, or what ReadRows() returned
};

/// The open files of a temporary store, to be passed to another process of this host.
struct Handover {
  std::array<int, 5> descriptors{};  ///< values, records, layouts, hints, control
  std::vector<std::byte> schema;
};

/// Neighbouring records of one shape, as they lie in the store: record i of `count` has its values
/// at values + i * stride. A record begins a new row, the one after the record before; or, alone in
/// its run, it continues the row of the record before.
struct RecordRun {
  /// One field-write of each record: its words begin `begin` words into the record.
  struct Part {
    TypeId type;
    std::uint64_t begin;
    std::uint64_t length;  ///< one that the field can have
  };

  Row row = 0;  ///< of the first record
  std::uint64_t count = 0;
  bool begins_row = true;
  const Value* values = nullptr;
  std::uint64_t stride = 0;
  std::span<const Part> parts = {};  ///< type ids rise; valid during the visit

  /// The step of record `i`.
  Step step(std::uint64_t i) const noexcept {
    Step step = 0;
    std::memcpy(&step, steps + i * step_stride_bytes, sizeof(step));
    return step;
  }

  const std::byte* steps = nullptr;
  std::uint64_t step_stride_bytes = 0;
};

/// A snapshot of a store, read-only.
class STREAM_STORE_API Reader {
 public:
  /// Opens a persistent store for reading, live or closed; writes nothing.
  ///
  /// Throws Error: kNotFound (no such store, after `options.wait`), kCorrupt, kVersion, kIo.
  static Reader Open(const std::filesystem::path& path, const ReaderOptions& options = {});

  /// The files of a temporary store. The descriptors stay its own: duplicate them for the other
  /// process. Throws Error(kInvalidArgument) for a persistent store, which is opened by its path.
  Handover HandOver() const;

  /// Reads a temporary store of another process through duplicates of its descriptors, which are
  /// taken over, also if this throws. It follows the writer while that lives.
  ///
  /// Throws Error(kCorrupt, kVersion, kIo).
  static Reader TakeOver(const Handover& files);

  Reader(const Reader&);
  Reader& operator=(const Reader&);
  Reader(Reader&&) noexcept;
  Reader& operator=(Reader&&) noexcept;
  ~Reader();

  /// Moves the snapshot to what is stored now; returns size(). One acquire load when nothing is
  /// new.
  ///
  /// Throws Error(kCutBack) when recovery shortened the store after this Reader attached (open it
  /// again), and kCorrupt; the snapshot is then as before. Does nothing on a Reader made by
  /// Snapshot().
  std::uint64_t Refresh();

  /// A Reader fixed at the first `num_rows` rows of this snapshot; Refresh() does nothing on it.
  ///
  /// Throws Error(kOutOfRange) if there are fewer.
  Reader Snapshot(std::uint64_t num_rows) const;

  /// A Reader fixed at all rows of this snapshot.
  Reader Snapshot() const;

  const Schema& schema() const noexcept;
  std::uint64_t size() const noexcept;      ///< values
  std::uint64_t num_rows() const noexcept;  ///< rows, complete or not
  std::uint64_t records() const noexcept;   ///< append calls and steps
  /// Rows that cannot grow any more: all but a last row that lacks its last declared field while a
  /// writer lives.
  std::uint64_t complete_rows() const;
  std::uint64_t field_writes() const;  ///< entries of index_table(); counted on the first call
  std::uint64_t bytes() const;         ///< bytes on disk in use by this snapshot
  /// Check of the last record, over its values, shape, place and session; 0 if there is none. With
  /// id() and records() it tells whether two snapshots of a store are equal.
  std::uint32_t last_checksum() const;
  bool live() const;  ///< a writer has the store open
  /// Rows that survive a power cut, as far as the last sync that ended well says; 0 for a temporary
  /// store. Throws Error(kCorrupt, kIo).
  std::uint64_t durable_rows() const;
  const std::filesystem::path& path() const noexcept;  ///< empty for a temporary store
  const std::array<std::uint8_t, 16>& id() const noexcept;
  const Recovery& recovery() const noexcept;  ///< what was found when this Reader attached

  /// Waits until num_rows() >= `num_rows`, refreshing; false after `timeout`. Sleeps, never spins.
  bool Wait(std::uint64_t num_rows, std::chrono::nanoseconds timeout);

  /// The first row whose step is >= `step` (Side::kLeft) or > `step` (Side::kRight), as NumPy's
  /// searchsorted() has it; num_rows() if there is no such row. Cost: O(log records).
  Row RowAt(Step step, Side side = Side::kLeft) const;

  /// One row, as spans into the store. Throws Error(kOutOfRange).
  RowView row(Row row) const;

  /// Calls visit(run) for all records of rows [begin, end), in order, until it returns false.
  ///
  /// For exports of whole stores. Cost: one comparison a record, one call a run; nothing is copied.
  /// Throws Error(kOutOfRange), kCorrupt and, at the end, kCutBack: what was visited is then void.
  void ScanRows(Row begin, Row end, const std::function<bool(const RecordRun&)>& visit) const;

  /// Row that holds each position; first position of each row (an empty row stands where the next
  /// one starts). out.size() == in.size(). Cost: one look-up each, flat in store size. Throws
  /// Error(kOutOfRange).
  void RowOf(std::span<const Position> positions, std::span<Row> out) const;
  void PositionOf(std::span<const Row> rows, std::span<Position> out) const;

  /// Copies the windows [start, start + width) of every start, window after window.
  ///
  /// starts  any order, repeats allowed; each in [0, size() - width].
  /// out     starts.size() * width elements per wanted column; untouched if this throws.
  /// Cost    one look-up per window, then block copies; allocates nothing; flat in store size.
  /// Throws  Error(kOutOfRange) naming the first bad start, width and size(); kCorrupt.
  void ReadWindows(std::span<const Position> starts, std::uint64_t width,
                   const WindowsOut& out) const;

  /// Copies the values at `positions`, any order, repeats allowed; runs of neighbours are copied as
  /// blocks.
  void Gather(std::span<const Position> positions, const WindowsOut& out) const;

  /// Decodes the row windows [row, row + length) of every row, field by field, as RowsColumn says.
  ///
  /// Missing fields and padding are zeros. `steps`, if not null, takes the step of each place.
  /// Returns the owner of the copies that spans point into; null without ReaderOptions::safe_reads.
  /// Throws Error(kOutOfRange) naming the first bad row; nothing is written then.
  std::shared_ptr<const void> ReadRows(std::span<const Row> rows, std::uint64_t length,
                                       std::span<const RowsColumn> columns,
                                       Step* steps = nullptr) const;

  /// The same for runs of any length, each to the places it names; other places stay as they are.
  std::shared_ptr<const void> ReadRows(std::span<const RowRun> runs,
                                       std::span<const RowsColumn> columns,
                                       Step* steps = nullptr) const;

  /// The longest field-write of ragged field `type` in those row windows, in items.
  std::uint64_t LongestInRows(std::span<const Row> rows, std::uint64_t length, TypeId type) const;
  std::uint64_t LongestInRows(std::span<const RowRun> runs, TypeId type) const;

  /// ReadRows() of one fixed-shape field into memory of its own item type: T is float, double or an
  /// integer of the dtype's size and sign (uint8_t also for bool and text, uint16_t for float16,
  /// int64_t for dates and times).
  ///
  /// out      rows.size() * length items of the field's shape; present, if given, a flag each.
  /// Throws   Error(kInvalidArgument) if T, a size or the field does not fit; kOutOfRange as above.
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

  /// Raw values of `type`, wherever they came from, decoded into the field's item type; `out` has
  /// values.size() items. Throws Error(kInvalidArgument) for packed and decimal fields.
  void Decode(std::span<const Value> values, TypeId type, void* out) const;

  /// The field-writes of rows [begin, end), in order. Cost: one entry of 24 bytes for each of them.
  /// Throws Error(kOutOfRange).
  std::vector<IndexEntry> IndexTable(Row begin, Row end) const;

  /// Number of field-writes of rows [begin, end), and the entries themselves.
  std::uint64_t CountIndex(Row begin, Row end) const;
  void ReadIndex(Row begin, Row end, std::span<IndexEntry> out) const;

  /// Segments as half-open row ranges [first, second), the last one open.
  ///
  /// types   one int field (a new value begins a segment; missing is as before), or bool fields
  ///         (true on the last row of a segment; missing is false).
  /// Throws  Error(kInvalidArgument) for other fields.
  std::vector<std::pair<Row, Row>> Segments(std::span<const TypeId> types) const;

  /// Copies this snapshot into a store of its own at `path`: nothing or an empty directory, where
  /// it appears complete and cleanly closed. Returns its rows.
  ///
  /// The copy has a new id and keeps the checks; each of them is proved from the bytes that were
  /// written. Appends go on meanwhile. Also copies a temporary store, and what a store whose sync
  /// failed still holds. `progress`: bytes done and in all; what it throws ends the copying.
  /// Throws Error: kAlreadyExists, kCorrupt naming the record that is not right, kCutBack,
  /// kNoSpace, kIo; nothing is left at `path` then.
  std::uint64_t Checkpoint(
      const std::filesystem::path& path,
      const std::function<void(std::uint64_t, std::uint64_t)>& progress = {}) const;

 private:
  friend class StreamStore;
  friend struct internal::ReaderAccess;
  friend VerifyReport Verify(const Reader& reader, const VerifyOptions& options);
  explicit Reader(std::shared_ptr<internal::ReadSource> source);

  struct ItemType {
    std::size_t bytes;
    bool is_floating;
    bool is_signed;
  };

  void CheckColumn(TypeId type, ItemType item, std::size_t places, std::size_t out_items,
                   std::size_t present_items) const;

  std::shared_ptr<internal::ReadSource> source_;
  std::unique_ptr<internal::View> view_;
  bool fixed_ = false;  // Refresh() does nothing
};

}  // namespace stream_store
