// Starts: the valid starts of the windows of one store, numbered from 0. A sampler draws numbers;
// Starts turns them into windows.
//
// There are two kinds. StoreStarts (starts.h) counts: it needs no memory for rows, only for
// segments. IndexedStarts (indexed_starts.h) keeps one bit for each row, and knows which rows are
// in the lanes that key fields name, which rows must be left out, and so on.
//
// An extent (EpochExtent) says which part of the store is sampled. An epoch keeps its extent while
// the store grows. It also keeps its Reader, which keeps the rows that are dropped meanwhile.
//
// Used by sampler.cc. Thread rules: an object belongs to one thread; it locks the indexes, which
// samplers of other threads share.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "stream_store/sampler.h"

#include "storage/live_watch.h"

namespace stream_store::internal {

/// Where the windows of a batch lie: the columns that Starts::Resolve() fills, one element per
/// window. They point into the batch, which must outlive the call.
struct WindowStarts {
  std::span<std::int64_t> starts;     ///< position or row of the first stored place
  std::span<std::uint32_t> lead;      ///< empty places before it; without padding, an empty span
  std::span<std::uint32_t> count;     ///< stored rows from there on; without padding, an empty span
  std::span<Row> anchors;             ///< of windows of rows; otherwise an empty span
  std::span<WindowSegment> segments;  ///< that of each anchor; if not wanted, an empty span
};

/// The rows of the places of windows that have the same offsets, one element per place.
struct WindowRows {
  std::span<const std::int64_t> offsets;
  std::span<Row> rows;            ///< -1 for an empty place
  std::span<std::uint8_t> valid;  ///< 1 for a row at its own offset, else 0
};

/// In place of the number of a start, if there is none.
inline constexpr std::uint64_t kNoStart = std::numeric_limits<std::uint64_t>::max();

class Starts {
 public:
  virtual ~Starts() = default;

  virtual const Reader& reader() const noexcept = 0;

  /// Rows that Follow() or Restore() would have to read.
  virtual std::uint64_t UnscannedRows() = 0;

  /// Moves the extent to the rows and values stored now.
  void Follow();

  /// The Reader as it is now, for batches to read through. They share it until Follow() finds that the
  /// store has changed: a copy of the Reader costs several cache misses, and a batch of a group needs one
  /// of each store.
  ///
  /// Several threads may read through it at once, although a Reader belongs to one thread otherwise: it is
  /// never refreshed, and the functions of Reader that are const only load from its View and lock what the
  /// Readers of a source share.
  std::shared_ptr<const Reader> SharedReader();

  /// Returns the number of valid starts in the rows and values stored now; the extent stays as it
  /// is.
  virtual std::uint64_t CountNow() = 0;

  /// Sets the extent of an epoch. Throws Error(kInvalidArgument) if the store has less, or
  /// Error(kDropped), which names the missing rows, if some were dropped; the extent is unchanged
  /// then.
  virtual void Restore(const EpochExtent& extent) = 0;

  virtual const EpochExtent& extent() const noexcept = 0;

  /// The number of valid starts within the extent.
  virtual std::uint64_t count() const noexcept = 0;

  /// Writes to window `places[i]` of the batch where start number `numbers[i]` of this store lies.
  /// There must be as many numbers as places, each number less than count(), and each place in the
  /// batch.
  virtual void Resolve(std::span<const std::uint64_t> numbers,
                       std::span<const std::uint64_t> places, const WindowStarts& windows) = 0;

  /// Writes the rows of the windows of the last Resolve(), which had the same places. Only
  /// IndexedStarts needs it: other windows are runs of consecutive rows of a lane.
  virtual void ReadRows(std::span<const std::uint64_t> /*places*/, const WindowRows& /*rows*/) {}

  /// numbers[i] = the number of the start whose anchor is row rows[i], or kNoStart. For windows of rows.
  /// There must be as many numbers as rows.
  virtual void FindNumbers(std::span<const std::uint64_t> rows,
                           std::span<std::uint64_t> numbers) = 0;

  /// "5 rows in 2 segments", for the message that there is no valid start.
  virtual std::string Describe() = 0;

 protected:
  Starts() = default;
  Starts(const Starts&) = default;
  Starts& operator=(const Starts&) = default;
  Starts(Starts&&) = default;
  Starts& operator=(Starts&&) = default;

  /// To be called where anything but MoveToEnd() moves the Reader or the extent.
  void Moved() noexcept {
    watch_ = {};
    shared_.reset();
  }

 private:
  /// Refreshes the Reader and moves the extent to its rows and values. Returns whether the next call will
  /// change nothing if the store has not changed by then.
  virtual bool MoveToEnd() = 0;

  LiveWatch watch_;  // of the last MoveToEnd(), if it returned true
  std::shared_ptr<const Reader> shared_;
};

/// The kind of Starts that the options need. Throws Error(kInvalidArgument) for fields of other types
/// than the options take.
std::unique_ptr<Starts> MakeStarts(Reader reader, const SamplerOptions& options);

// -- What both kinds share

/// Whether the options need IndexedStarts.
bool NeedsIndex(const SamplerOptions& options) noexcept;

/// The extent of the rows and values stored now, as far as they were refreshed; the index is not
/// asked, so last_row is kJoins where it may also be kBegins. With `whole_rows`, only rows that are
/// final, that is, cannot grow any more; but if no writer has the store open, also a last row that is
/// not final, since it may stay like that. Refreshes the Reader again in that case.
struct ExtentNow {
  EpochExtent extent;
  std::uint64_t final_rows = 0;
};

ExtentNow FindExtent(Reader& reader, bool whole_rows);

/// The extent of a state, in the rows that the Reader has; throws as Starts::Restore().
EpochExtent CheckExtent(const Reader& reader, const EpochExtent& extent);

/// A row that may count from the end, as in Python; clamped into the rows of the extent.
std::uint64_t ResolveRow(Row row, const EpochExtent& extent);

/// Where the values of the rows before `row` end.
std::uint64_t EndPositionOf(const Reader& reader, std::uint64_t row);

}  // namespace stream_store::internal
