// Sampling windows for learning: which windows there are, and which ones come next.
//
// A WindowSampler draws batches of windows from one store or several of equal fields, with
// replacement from all that is stored now, or without, epoch by epoch. It hands out WindowBatches,
// which say where the windows lie and read them; the memory they are read into is the caller's.
// Thread rules: a WindowSampler belongs to one thread; a WindowBatch, once filled, may go to
// another. What samplers know of segments they share with all others of the same Reader and its
// copies.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/export.h"
#include "stream_store/reader.h"
#include "stream_store/types.h"

namespace stream_store {

namespace internal {
class StoreStarts;
}  // namespace internal

/// What a window is made of.
enum class SampleUnit : std::uint8_t {
  kValue,  ///< `length` consecutive values
  kRow,    ///< `length` consecutive rows
};

/// Where windows of values may start.
enum class SampleAlign : std::uint8_t {
  kAny,  ///< at every value
  kRow,  ///< at the first value of a row (an empty row's is that of the next)
};

/// What becomes of a window of rows that its segment does not fill.
enum class SamplePad : std::uint8_t {
  kNone,   ///< it is not sampled
  kRight,  ///< windows start at every row and end with empty places
  kLeft,   ///< windows end at every row and start with empty places
};

/// The choices of a WindowSampler.
struct SamplerOptions {
  std::uint64_t length = 1;  ///< values or rows a window, at least 1
  SampleUnit unit = SampleUnit::kValue;
  SampleAlign align = SampleAlign::kAny;  ///< windows of rows always start at rows
  std::uint64_t batch_size = 1;           ///< windows a batch, at least 1
  bool replacement = true;
  std::uint64_t seed = 0;
  std::vector<TypeId> segment_by = {};  ///< as Reader::Segments(); empty: all is one segment
  SamplePad pad = SamplePad::kNone;     ///< kRow only
  std::uint64_t lanes = 1;              ///< kRow only: row r belongs to lane r mod lanes, and a
                                        ///< window takes rows of one lane
  Row first_row = 0;                    ///< windows start in rows [first_row, last_row) (pad
                                        ///< kLeft: end there); negative: from the live end
  std::optional<Row> last_row = {};
  std::uint64_t rank = 0;        ///< in [0, world_size)
  std::uint64_t world_size = 1;  ///< without replacement, ranks share an epoch's windows
  bool drop_last = false;        ///< whole batches only, and as many for every rank
};

/// A batch of windows: where they lie. Valid as long as it lives, whatever is appended.
class STREAM_STORE_API WindowBatch {
 public:
  std::size_t size() const noexcept { return starts_.size(); }

  std::uint64_t length() const noexcept { return length_; }

  /// Position, or row, of the first stored place of each window.
  std::span<const std::int64_t> starts() const noexcept { return starts_; }

  /// Which store each window is of.
  std::span<const std::int64_t> stores() const noexcept { return stores_; }

  /// Empty places before, and stored rows from there on, of each window of rows; both are empty
  /// spans unless windows are padded.
  std::span<const std::uint32_t> lead() const noexcept { return lead_; }

  std::span<const std::uint32_t> count() const noexcept { return count_; }

  /// Copies windows of values; size() * length() elements a column, as Reader::ReadWindows().
  void ReadWindows(const WindowsOut& out) const;

  /// Decodes windows of rows; size() * length() places a column, as Reader::ReadRows(). Empty
  /// places become zeros, missing. `valid`, if not null, tells them apart: one byte a place. Returns
  /// what owns the copies that spans point into, as Reader::ReadRows().
  std::shared_ptr<const void> ReadRows(std::span<const RowsColumn> columns, Step* steps = nullptr,
                                       std::uint8_t* valid = nullptr) const;

  /// The longest field-write of ragged field `type` among the rows of the batch, in items.
  std::uint64_t LongestInRows(TypeId type) const;

 private:
  friend class WindowSampler;
  void MakeRuns();
  void AddRuns(std::size_t window);
  std::span<const RowRun> RunsOf(std::size_t store) const;

  std::uint64_t length_ = 0;
  std::uint64_t lanes_ = 1;
  bool rows_ = false;
  std::vector<Reader> readers_;
  std::vector<std::int64_t> starts_;
  std::vector<std::int64_t> stores_;
  std::vector<std::uint32_t> lead_;
  std::vector<std::uint32_t> count_;
  std::vector<RowRun> runs_;             // unless one store's windows lie in one piece each
  std::vector<std::size_t> run_begins_;  // of each store, and the end
};

/// Whether the last row that an epoch covers could still grow when the epoch began. The numbers are
/// stored with the states of samplers, so they must not change.
enum class LastRow : std::uint64_t {
  kFinal = 0,   ///< it could not
  kJoins = 1,   ///< it could, and belongs to the segment of the row before
  kBegins = 2,  ///< it could, and begins a segment
};

/// How much of one store an epoch covers.
struct EpochExtent {
  std::uint64_t rows = 0;
  std::uint64_t values = 0;
  LastRow last_row = LastRow::kFinal;
};

/// Where a sampler stands, to be stored and restored: numbers and ids only.
struct SamplerState {
  std::vector<std::array<std::uint8_t, 16>> stores;  ///< ids
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;           ///< epochs begun (without replacement)
  std::uint64_t batches = 0;         ///< handed out: of this epoch, or with replacement in all
  bool finished = false;             ///< the end of the epoch was seen
  std::vector<EpochExtent> extents;  ///< of the epoch; empty before the first
};

/// Draws batches of windows. See the top of this file.
class STREAM_STORE_API WindowSampler {
 public:
  /// Copies the Readers and moves the copies forward as it samples.
  ///
  /// Throws Error(kInvalidArgument): no store, stores of different fields, options that are out of
  /// range or do not go together, segment_by as Reader::Segments().
  WindowSampler(std::vector<Reader> stores, SamplerOptions options);
  WindowSampler(WindowSampler&&) noexcept;
  WindowSampler& operator=(WindowSampler&&) noexcept;
  ~WindowSampler();

  const SamplerOptions& options() const noexcept { return options_; }

  /// Valid starts of what is stored now. Rows that no sampler of these Readers has looked at yet
  /// are looked at once.
  std::uint64_t NumStarts();

  /// Rows of its stores that the next call will look at first: none without segments. A program
  /// that must not stand still may want to make that call elsewhere.
  std::uint64_t RowsBehind();

  /// Waits until there is a valid start; false after `timeout`. Sleeps, never spins.
  bool WaitForStart(std::chrono::nanoseconds timeout);

  /// The next batch with replacement: batch_size windows, uniform over NumStarts().
  ///
  /// The n-th batch of a seed and rank draws the same random numbers in every process.
  /// Cost    a few ns a window; with segments O(log segments), flat in store size; no allocation
  ///         once `batch` has its size.
  /// Throws  Error(kInvalidArgument) with a sampler without replacement, and if there is no valid
  ///         start, saying how many rows there are.
  void Sample(WindowBatch& batch);

  /// Begins the next epoch without replacement, over what is stored now; after Restore() it goes on
  /// with the restored one. Throws Error(kInvalidArgument) if there is no valid start.
  void BeginEpoch();

  /// The next batch of the epoch; false when all were handed out.
  ///
  /// Every valid start comes once in all ranks together, in an order that seed, epoch and the
  /// starts alone decide: a keyed permutation, no list.
  bool Next(WindowBatch& batch);

  /// Batches of this rank: of the epoch under way, or of one that began now.
  std::uint64_t EpochBatches();

  /// The starts numbered `indices`, each below NumStarts() as of now, or as of the epoch. In a store
  /// that grows a number keeps its start, unless there are lanes with segments or first_row counts
  /// from the end. Throws Error(kOutOfRange).
  void ReadStarts(std::span<const std::uint64_t> indices, WindowBatch& batch);

  SamplerState state() const;

  /// Continues from a state of a sampler with the same options, of these stores, which may have
  /// grown. Throws Error(kInvalidArgument) for others; nothing changed then.
  void Restore(const SamplerState& state);

  /// Batches drawn but not handed out, by a reader ahead: state() counts `batches` less.
  void NoteAhead(std::uint64_t batches) noexcept { ahead_ = batches; }

  std::uint64_t ahead() const noexcept { return ahead_; }

  /// Draws those again.
  void Rewind() noexcept;

 private:
  std::uint64_t Total() const noexcept;
  std::uint64_t Refresh();
  std::uint64_t BatchesOf(std::uint64_t starts) const noexcept;
  std::uint64_t WindowsOf(std::uint64_t starts) const noexcept;
  void Fill(WindowBatch& batch);
  [[noreturn]] void ThrowNoStart() const;

  SamplerOptions options_;
  std::vector<std::unique_ptr<internal::StoreStarts>> stores_;
  std::vector<std::uint64_t> indices_;  // of the batch under way
  std::vector<std::uint64_t> places_;
  std::uint64_t epoch_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t ahead_ = 0;
  bool in_epoch_ = false;
  bool restored_ = false;
  bool finished_ = false;
};

}  // namespace stream_store
