// Sampling windows for learning: which windows there are, and in which order they come.
//
//     Reader reader = Reader::Open("runs/a");
//     WindowSampler sampler({reader}, {.length = 16, .unit = SampleUnit::kRow, .batch_size = 256});
//     WindowBatch batch;
//     std::vector<float> obs(256 * 16 * 3);
//     RowsColumn column{.type = *reader.schema().find("obs"), .out = obs.data()};
//     while (training) {
//       sampler.Sample(batch);              // 256 windows of 16 rows, uniform over all rows so far
//       batch.ReadRows({&column, 1});       // decoded into obs
//     }
//
// A WindowSampler draws batches from one store, from several stores of equal fields, or from a group
// (group.h), whose stores come and go: with replacement from everything stored so far, or without
// replacement, epoch by epoch. It fills a
// WindowBatch, which says where the windows lie and reads them into the caller's memory.
//
// Thread rules: a WindowSampler belongs to one thread at a time; a WindowBatch, once filled, may be
// read by another, while the sampler draws the next ones and other threads read those. Batches share
// snapshots of the stores, which the sampler replaces but never changes. All samplers of the same Reader,
// and of its copies, share one index of its segments, which has a lock.
// Errors: besides the errors that a function names, functions that look at the stores throw as
// Reader::Refresh() does, and functions that read windows throw as the Reader functions do.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/export.h"
#include "stream_store/group.h"
#include "stream_store/reader.h"
#include "stream_store/sampler_options.h"
#include "stream_store/types.h"

namespace stream_store {

namespace internal {
class SamplerPriorities;
class Starts;
struct SamplerAccess;
struct WindowStarts;
}  // namespace internal

/// The segment that the anchor of a window lies in, as far as the sampler saw it.
struct WindowSegment {
  Row first = 0;          ///< its first row, or the first one that is retained
  Row end = 0;            ///< the row after its last one; of the store, not of the lane
  bool complete = false;  ///< whether it has ended; rows may be added to it otherwise
};

/// A batch of windows: where they lie. It stays valid for as long as it exists, whatever is
/// appended meanwhile.
class STREAM_STORE_API WindowBatch {
 public:
  /// The number of windows.
  std::size_t size() const noexcept { return starts_.size(); }

  /// Values or rows in each window, including empty places. With offsets, 1: the anchor. With
  /// whole_segments, it may differ from batch to batch.
  std::uint64_t length() const noexcept { return length_; }

  /// Rows of field `type` in each window: the number of its offsets, or length() without offsets.
  /// Throws Error(kInvalidArgument) for a field without offsets, if the sampler has some.
  std::uint64_t length(TypeId type) const;

  /// For each window the position, or the row, of its first place that is not empty. With offsets,
  /// the anchor.
  std::span<const std::int64_t> starts() const noexcept { return starts_; }

  /// For each window the index of its store in the list that the sampler was made with.
  std::span<const std::int64_t> stores() const noexcept { return stores_; }

  /// For each window of rows its anchor. Together with stores() it identifies the window for the life
  /// of the store. An empty span for windows of values.
  std::span<const Row> anchors() const noexcept { return anchors_; }

  /// For each window of rows a number that never changes, made of the number of its store in the list
  /// and of its anchor; WindowSampler::Read() and UpdatePriorities() take it. Throws Error(kInvalidArgument) if
  /// the windows are of values, or if there are not size() places.
  void ReadIndices(std::span<std::int64_t> indices) const;

  /// For each window its weight, and the probability with which each place of the batch would get it:
  /// see Priorities. Empty spans for a sampler without priorities.
  std::span<const float> weights() const noexcept { return weights_; }

  std::span<const double> probabilities() const noexcept { return probabilities_; }

  /// For each window of rows the segment of its anchor. An empty span for windows of values.
  std::span<const WindowSegment> segments() const noexcept { return segments_; }

  /// Writes the row of each place, -1 for an empty one: size() * length() rows. Throws
  /// Error(kInvalidArgument) if the windows are of values.
  void ReadRowNumbers(std::span<Row> rows) const;

  /// With offsets, for each place of field `type` 1 if it holds the row at its offset, and 0 if the
  /// offset leads outside the segment: size() * length(type) bytes. Throws as length(type), and for
  /// a sampler without offsets.
  std::span<const std::uint8_t> valid(TypeId type) const;

  /// For each padded window of rows the number of empty places before its first row; an empty span
  /// if windows are not padded.
  std::span<const std::uint32_t> lead() const noexcept { return lead_; }

  /// For each padded window the number of rows that follow its lead; an empty span if windows are
  /// not padded.
  std::span<const std::uint32_t> count() const noexcept { return count_; }

  /// Copies windows of values, as Reader::ReadWindows() does. Each wanted column has
  /// size() * length() elements. Throws also Error(kInvalidArgument) if the windows are of rows.
  void ReadWindows(const WindowsOut& out) const;

  /// Decodes windows of rows, as Reader::ReadRows() does. Each column has size() * length(type)
  /// places. Throws also Error(kInvalidArgument) if the windows are of values, or if the sampler has
  /// offsets and a column is of a field without offsets.
  ///
  /// steps    the step of each of the size() * length() places, 0 for an empty place; not written if
  ///          null.
  /// valid    one byte for each of these places, if not null: 1 for a row, 0 for an empty place,
  ///          whose fields become zeros and missing.
  /// Returns  the owner of the memory that spans point into, as Reader::ReadRows() does.
  std::shared_ptr<const void> ReadRows(std::span<const RowsColumn> columns, Step* steps = nullptr,
                                       std::uint8_t* valid = nullptr) const;

  /// The length in items of the longest field-write of ragged field `type` in the batch. Call it
  /// for samplers with SampleUnit::kRow only, which is not checked. Throws Error(kInvalidArgument)
  /// for a field that is not ragged.
  std::uint64_t LongestInRows(TypeId type) const;

 private:
  friend class WindowSampler;

  // The places of fields with equal offsets. `rows` and `valid` have one element for each place,
  // window after window.
  struct Places {
    std::vector<std::int64_t> offsets = {};
    std::vector<TypeId> types = {};  // with offsets
    std::vector<Row> rows = {};
    std::vector<std::uint8_t> valid = {};
    std::vector<RowRun> runs = {};
    std::vector<std::size_t> run_begins = {};  // first run of each part, then runs.size()
  };

  // The windows of one store: windows_[begin, end).
  struct Part {
    std::size_t store;
    std::size_t begin;
    std::size_t end;
    std::shared_ptr<const Reader> reader;  // other batches may read through it at the same time
  };

  const Places& PlacesOf(TypeId type) const;
  static void AddPlace(Places& places, std::size_t first_run, std::uint64_t place);
  void MakePlacedRuns(Places& places) const;
  void ReadParts(std::span<const RowRun> runs, std::span<const std::size_t> run_begins,
                 std::span<const RowsColumn> columns, Step* steps,
                 std::vector<std::shared_ptr<const void>>& copies) const;
  void ReadPlaces(const Places& places, std::span<const RowsColumn> columns, Step* steps,
                  std::vector<std::shared_ptr<const void>>& copies) const;
  void ReadPlaced(std::span<const RowsColumn> columns, Step* steps, std::uint8_t* valid,
                  std::vector<std::shared_ptr<const void>>& copies) const;
  void RequireUnit(bool rows) const;
  void MakeRuns();
  void AddRuns(std::size_t window);
  std::span<const std::uint64_t> WindowsOf(const Part& part) const;

  std::uint64_t length_ = 0;
  std::uint64_t lanes_ = 1;
  bool rows_ = false;
  std::vector<std::uint64_t> windows_;  // all windows, store by store
  std::vector<Part> parts_;             // of the stores that have windows, by rising number
  std::vector<std::int64_t> starts_;
  std::vector<std::int64_t> stores_;
  std::vector<std::uint32_t> lead_;
  std::vector<std::uint32_t> count_;
  std::vector<Row> anchors_;
  std::vector<WindowSegment> segments_;
  std::vector<float> weights_;
  std::vector<double> probabilities_;
  std::vector<Places>
      places_;  // of IndexedStarts (src/store/indexed_starts.h); the anchor is first
  bool by_offsets_ = false;
  std::vector<RowRun> runs_;             // empty if there is one part and each window is one run
  std::vector<std::size_t> run_begins_;  // first run of each part, then runs_.size()
};

/// Whether the last row that an epoch covers could still grow when the epoch began. The numbers are
/// stored with the states of samplers, so they must not change.
enum class LastRow : std::uint64_t {
  kFinal = 0,   ///< it could not
  kJoins = 1,   ///< it could, and belongs to the segment of the row before
  kBegins = 2,  ///< it could, and begins a segment
};

/// The part of one store that an epoch covers.
struct EpochExtent {
  std::uint64_t rows = 0;              ///< it covers rows [first_row, rows)
  std::uint64_t values = 0;            ///< and the positions before this one
  LastRow last_row = LastRow::kFinal;  ///< whether row rows - 1 could still grow
  std::uint64_t first_row = 0;         ///< the rows before it had been dropped
};

/// Identifies the rows that a sampler saw, by the last of them.
struct StoreCheck {
  std::uint64_t rows = 0;      ///< the store had rows up to this number; 0 if it had none
  std::uint32_t checksum = 0;  ///< of the first record of row rows - 1
};

/// The numbers of a sampler that draws by priority. The priorities themselves are not among them:
/// see WindowSampler::ReadPriorities().
struct PriorityState {
  double alpha = 0;
  double beta = 0;
  double largest = 1;  ///< the largest priority that any start has had
};

/// The position of a sampler, to be stored and restored. It holds numbers and ids only, no rows.
struct SamplerState {
  std::vector<std::array<std::uint8_t, 16>> stores;  ///< the ids of the stores
  std::uint64_t seed = 0;
  std::uint64_t epoch = 0;    ///< number of the current epoch, from 0; without replacement
  std::uint64_t batches = 0;  ///< batches handed out: of this epoch, or in all with replacement
  bool finished = false;      ///< whether Next() has returned false in this epoch
  std::vector<EpochExtent> extents;  ///< of each store; empty before the first epoch
  /// Of each store, or empty. Only Restore() with copies of the stores needs them.
  std::vector<StoreCheck> checks;
  std::optional<PriorityState> priorities;  ///< of a sampler with priorities
};

/// Draws batches of windows. See the top of this file.
class STREAM_STORE_API WindowSampler {
 public:
  /// Copies the Readers, and refreshes the copies as it samples.
  ///
  /// Throws Error(kInvalidArgument): no store, stores with different fields, an option that is out
  /// of range, options that exclude each other, segment_by fields of other types than
  /// Reader::Segments() takes.
  WindowSampler(std::vector<Reader> stores, SamplerOptions options);

  /// Copies the group. Each batch or epoch is drawn from the stores that the group has then; it may
  /// have none yet. A store that leaves the group in the middle of an epoch is read to the end of it.
  ///
  /// The stores are numbered as they are found, first those that are there, by name. A number is never
  /// used again, and a state keeps the numbers of its stores; there can be 32,768 of them.
  /// Throws as above, and as StoreGroup::Refresh().
  WindowSampler(StoreGroup group, SamplerOptions options);
  WindowSampler(WindowSampler&&) noexcept;
  WindowSampler& operator=(WindowSampler&&) noexcept;
  ~WindowSampler();

  /// The options. After Restore(), `seed` is that of the restored state; alpha and beta are those
  /// that were set last.
  const SamplerOptions& options() const noexcept { return options_; }

  /// The number of valid starts of windows in all rows that are stored now.
  ///
  /// Cost: with segment_by, one pass over the rows that no sampler of these Readers has seen yet;
  /// else O(1).
  std::uint64_t NumStarts();

  /// Waits until there is a valid start; returns false if there is none after `timeout`. Between
  /// two looks the thread sleeps for at most 2 ms.
  bool WaitForStart(std::chrono::nanoseconds timeout);

  /// Fills `batch` with batch_size windows, drawn with replacement and uniformly from all starts
  /// that are valid now.
  ///
  /// The n-th batch of a seed and rank is drawn with the same random numbers in every process.
  /// Cost    a few ns for each window; with segments O(log segments), independent of the size of
  ///         the store; a few small allocations for each batch.
  /// Throws  Error(kInvalidArgument) if the sampler is without replacement, or if there is no valid
  ///         start; the message says how many rows there are.
  void Sample(WindowBatch& batch);

  /// Begins the next epoch, over all rows that are stored now. After Restore() it continues the
  /// restored epoch instead.
  ///
  /// Throws Error(kInvalidArgument) if the sampler is with replacement, or there is no valid start.
  void BeginEpoch();

  /// Fills `batch` with the next windows of the epoch; returns false if all were handed out.
  ///
  /// Every valid start comes exactly once in all ranks together, except those that `drop_last`
  /// leaves out. The order is a permutation that is computed from seed, epoch and the number of
  /// starts, so no list of starts is kept. The last batch can have fewer than batch_size windows.
  ///
  /// Throws Error(kInvalidArgument) if no epoch was begun, also after Restore().
  bool Next(WindowBatch& batch);

  /// The number of batches of this rank: in the epoch under way, or in one that would begin now.
  /// Throws Error(kInvalidArgument) if the sampler is with replacement.
  std::uint64_t EpochBatches();

  /// Fills `batch` with chosen windows, in the order asked. With replacement, they must be valid starts
  /// in the rows that are stored now; without, in those of the last epoch that was begun. The batch has
  /// no weights and probabilities.
  ///
  /// indices  numbers of WindowBatch::ReadIndices(), of this sampler or of one over the same stores.
  /// Cost     as Sample().
  /// Throws   for the first index that is wrong Error(kDropped) if its anchor was dropped, and
  ///          Error(kOutOfRange) if it is not of a valid start; Error(kInvalidArgument) if the windows
  ///          are of values. `batch` is unchanged then.
  void Read(std::span<const std::int64_t> indices, WindowBatch& batch);

  // -- Priorities; all throw Error(kInvalidArgument) if the sampler has none

  /// Sets the priorities of windows.
  ///
  /// indices     numbers of WindowBatch::ReadIndices(). If one is repeated, its last priority counts.
  ///             Those of rows that were dropped since are ignored.
  /// priorities  one for each index, finite and at least 0; a window with priority 0 is not drawn any
  ///             more.
  /// Returns     how many were ignored.
  /// Cost        well below a microsecond for each.
  /// Throws      Error(kInvalidArgument): another number of priorities, one that is out of range, or
  ///             an index that this sampler never had. Nothing has changed then.
  std::uint64_t UpdatePriorities(std::span<const std::int64_t> indices,
                                 std::span<const double> priorities);

  /// Changes Priorities::alpha. The weights are computed again from the priorities, so nothing is
  /// lost in between. Cost: about 50 ns for each row. Throws Error(kInvalidArgument).
  void SetAlpha(double alpha);

  /// Changes Priorities::beta, for the next batch. Throws Error(kInvalidArgument).
  void SetBeta(double beta);

  /// The rows of a store that have places for priorities: those that the sampler sees now.
  /// Throws also Error(kOutOfRange) if there is no such store.
  RowRange PriorityRows(std::size_t store);

  /// Copies the priorities of the starts with the anchors first_row, first_row + 1, … of a store; NaN
  /// for a row that has never been an anchor, or that is not in PriorityRows(). Throws also
  /// Error(kOutOfRange).
  void ReadPriorities(std::size_t store, Row first_row, std::span<double> priorities);

  /// The reverse of ReadPriorities(); NaN leaves a priority as it is. Throws Error(kInvalidArgument)
  /// also for a priority that is out of range, or of a row after PriorityRows(); nothing has changed
  /// then.
  void LoadPriorities(std::size_t store, Row first_row, std::span<const double> priorities);

  /// Where the sampler stands now. Cost: a few words for each store.
  SamplerState state() const;

  /// The stores that are left out of the group, as far as is known; none without a group. The reference
  /// is valid until the next call.
  const std::vector<SkippedStore>& skipped() const noexcept;

  /// The ids of the stores, by number. Those of a group include stores that have left it.
  const std::vector<std::array<std::uint8_t, 16>>& store_ids() const noexcept { return ids_; }

  /// Continues from the state of a sampler with the same options over the same stores, which may
  /// have grown since, or over copies of them that Reader::Checkpoint() made. A copy must have all
  /// rows that the state saw. A group may have other stores by now: those that are gone are not drawn
  /// any more, and those that are new follow with the next batch or epoch. The seed is taken from the state; that the other options are the same
  /// is not checked.
  ///
  /// Throws Error(kInvalidArgument) for the state of other stores, for an epoch that covers more
  /// than a store has or rows of a store that is gone, and for an epoch if the sampler is with replacement. Nothing has changed
  /// then.
  void Restore(const SamplerState& state);

 private:
  friend struct internal::SamplerAccess;  // for interop.h
  std::uint64_t UnscannedRows();
  void FollowGroup();
  void LookForStores();
  void Add(const GroupStore& member);
  void Replace(std::size_t store, const Reader& reader);
  void Leave(std::size_t store);
  void FollowStores();
  template <class Look>
  auto LookAtStores(const Look& look);
  std::unique_ptr<internal::Starts> NoStarts() const;
  std::vector<std::optional<Reader>> FindStores(const SamplerState& state) const;
  void CheckState(const SamplerState& state) const;
  void ReadStarts(std::span<const std::uint64_t> indices, WindowBatch& batch);
  void ReturnPrefetched() noexcept;

  internal::SamplerPriorities& RequirePriorities(const char* call);
  void CheckStoreNumber(std::size_t store) const;
  std::uint64_t Total() const noexcept;
  std::uint64_t Refresh();
  std::uint64_t BatchesOf(std::uint64_t starts) const noexcept;
  std::uint64_t WindowsOf(std::uint64_t starts) const noexcept;
  // What indices_ holds: numbers of starts, or windows as WindowBatch::ReadIndices() gives them.
  enum class Drawn : std::uint8_t { kNumbers, kWindows };

  void FindIndices(std::span<const std::int64_t> indices);
  [[noreturn]] void ThrowNoSuchWindow(std::size_t place, std::int64_t index) const;
  void Fill(WindowBatch& batch, Drawn drawn);
  void Weigh(WindowBatch& batch) const;
  void ChooseStores(WindowBatch& batch, Drawn drawn);
  void ListParts(WindowBatch& batch);
  void FillParts(WindowBatch& batch, Drawn drawn, const internal::WindowStarts& windows);
  void ListPlaces(WindowBatch& batch) const;
  void FillPlaces(WindowBatch& batch);
  [[noreturn]] void ThrowNoStart() const;

  /// Whether the end of the epoch was handed out.
  bool EndSeen() const noexcept { return finished_ && prefetched_ == 0 && !end_prefetched_; }

  SamplerOptions options_;
  std::optional<StoreGroup> group_;
  std::uint64_t group_version_ = 0;  // of the stores that were taken from it; 0: none yet
  std::vector<std::unique_ptr<internal::Starts>> stores_;  // of a store that is gone: without rows
  std::vector<std::array<std::uint8_t, 16>> ids_;          // of each store
  std::vector<bool> gone_;                                 // of each store: it has left the group
  std::unique_ptr<internal::SamplerPriorities> priorities_;  // null without
  // Of the batch under way, and kept so that they allocate once.
  std::vector<std::uint64_t> indices_;  // the numbers that were drawn
  std::vector<std::uint64_t> numbers_;  // of each window: the start or the anchor, in its store
  std::vector<std::uint64_t> found_;    // of each window: its store
  std::vector<std::uint64_t> begins_;   // of each store: its first start, or its first window
  std::vector<std::uint64_t> part_;     // the numbers of one store
  std::uint64_t epoch_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t prefetched_ = 0;  // drawn, but not yet handed out; see interop.h
  bool in_epoch_ = false;
  bool restored_ = false;
  bool finished_ = false;        // Next() returned false, if only to a prefetch
  bool end_prefetched_ = false;  // a prefetch has not handed out the end of the epoch yet
};

}  // namespace stream_store
