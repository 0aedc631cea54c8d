// SamplerObject: the C++ part of a WindowSampler of Python, and the batches that it makes.
//
// It is the class _core.Sampler, the base of `class WindowSampler` in Python. It keeps the
// StreamStore objects alive. When one of them was cleared or its rows were replaced, it starts
// again on the new rows. A sampler of a group has one StreamStore only, for the fields.
//
// Forks: a data loader may fork while another thread chooses windows without the GIL. In the child
// the C++ sampler may then be half changed, so it must not be used, not even destroyed. The child
// leaks it and creates another one in the state that the sampler had when that call began
// (`saved_state_`).
//
// Reading ahead: with replacement all uses of a sampler take the batches of one sequence in turn.
// While a Prefetch draws ahead (`prefetch_`), the next batch is the first that it has drawn, so
// sample() and iterators ask it. Without replacement a sampler is in one epoch at a time, and
// iterators of an earlier one raise.
//
// Thread rules: the GIL guards every member. Choosing windows may release the GIL, because the
// first scan of a long store takes time; `mutex_` makes other calls that choose windows wait
// meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "stream_store/interop.h"
#include "stream_store/sampler.h"

#include "convert/batch_tree.h"
#include "convert/field_table.h"
#include "convert/gil_mutex.h"
#include "convert/python.h"
#include "convert/rows_output.h"
#include "convert/window_columns.h"

namespace stream_store::python {

class Prefetch;
class StoreObject;

/// Fields with offsets: those of one name that the caller gave.
struct OffsetsOfName {
  nb::object key;             ///< in batch["_valid"]
  std::vector<TypeId> types;  ///< a field, or the leaves of a struct
};

/// How the rows of a sampler are read.
struct RowsPlan {
  PyObject* store = nullptr;  ///< borrowed
  std::shared_ptr<const FieldTable> fields;
  std::shared_ptr<const BatchTree> tree;
  PyObject* max_length = nullptr;                             ///< borrowed
  std::shared_ptr<const std::vector<OffsetsOfName>> offsets;  ///< empty without offsets
  bool with_priorities = false;  ///< whether batches have weights and probabilities
};

/// One batch, in three steps: its outputs are allocated, then Read() fills them, then Finish()
/// makes the dict.
class PendingBatch {
 public:
  PendingBatch(WindowBatch batch, bool with_stores);

  /// Allocates the columns of windows of values.
  void MakeWindows(const std::vector<ColumnId>& columns);

  /// Allocates the outputs of decoded rows.
  void MakeRows(const RowsPlan& plan);

  std::uint64_t bytes() const noexcept { return bytes_; }

  /// Fills the outputs. Touches no Python object.
  void Read();

  /// Returns the dict of the outputs.
  nb::object Finish();

 private:
  void MakePlain(const RowsPlan& plan);
  void MakeOffsets(const RowsPlan& plan);
  void FinishRows(const nb::object& dict);

  std::shared_ptr<WindowBatch> batch_;
  bool with_stores_;
  bool with_priorities_ = false;
  std::optional<WindowsOutput> windows_;
  std::vector<std::unique_ptr<RowsOutput>> rows_;  // with offsets, one for each list of offsets
  std::shared_ptr<const BatchTree> tree_;          // of rows_
  std::shared_ptr<const std::vector<OffsetsOfName>> offsets_;
  nb::object valid_;
  std::uint64_t bytes_ = 0;
};

class SamplerObject {
 public:
  /// The arguments of a sampler, as Python passes them.
  struct Arguments {
    nb::list stores;         ///< StreamStore objects; with a group, one that has its fields
    nb::object group;        ///< a GroupObject, or None
    SamplerOptions options;  ///< without fields
    nb::object segment_by;   ///< names of fields
    nb::object lane_by;      ///< names of fields
    nb::object where;        ///< the name of a field, or None
    nb::object require;      ///< names of fields and structs
    nb::object offsets;      ///< pairs of a name of a field or struct and a list of ints
    nb::object time_field;   ///< the name of a field, or None
    nb::object columns;
    nb::object fields;
    nb::object max_length;
    bool with_stores = false;  ///< whether batches have a column with the store of each window
  };

  explicit SamplerObject(const Arguments& arguments);
  ~SamplerObject();
  SamplerObject(const SamplerObject&) = delete;
  SamplerObject& operator=(const SamplerObject&) = delete;

  /// Returns the next batch. Throws ValueError if the sampler is without replacement.
  nb::object Sample();

  /// Begins the next epoch, or continues a restored one.
  void BeginEpoch();

  /// Returns the next batch of the iteration with this number, or None at its end. Throws
  /// RuntimeError if it has ended because of another use of the sampler.
  nb::object NextBatch(std::uint64_t iteration);

  /// Returns the windows with the given numbers, in [-NumStarts(), NumStarts()).
  nb::object ReadStarts(nb::handle indices);

  /// Returns the windows with the given numbers of "_index", an array of int64.
  nb::object ReadIndices(nb::handle indices);

  /// Draws the next batch of a sampler of rows with replacement without reading it. Returns its
  /// "_index", and its "_weight" and "_probability", or None without priorities.
  nb::object DrawIndices();

  std::uint64_t NumStarts();
  std::uint64_t EpochBatches();
  bool WaitForStart(double seconds);

  nb::dict State();
  void Restore(const nb::dict& state_dict);

  // -- Priorities

  /// Sets the priorities of windows, and returns how many were of dropped rows. The arguments are
  /// arrays of int64 and float64.
  std::uint64_t UpdatePriorities(nb::handle indices, nb::handle priorities);

  /// Sets alpha or beta, if it is not None.
  void SetPowers(std::optional<double> alpha, std::optional<double> beta);

  /// For each store its id and that of the store of which it is a checkpoint, as tuples of text.
  nb::list StoreIds();

  /// The stores of windows with the given numbers of "_index": a tuple of their numbers, and one of
  /// their ids. Other samplers of a group may have other numbers for them.
  nb::object StoresOf(nb::handle indices);

  /// The numbers of stores with the given ids, a tuple; -1 for one that the group does not have.
  nb::object NumbersOf(const nb::list& ids);

  /// The rows [first, end) of a store that have places for priorities, as a tuple.
  nb::object PriorityRows(std::uint64_t store);

  /// Returns the priorities of `count` rows from one on: float64, NaN for a row without.
  nb::object ReadPriorities(std::uint64_t store, std::int64_t first_row, std::uint64_t count);

  /// Sets them; NaN leaves a priority as it is.
  void LoadPriorities(std::uint64_t store, std::int64_t first_row, nb::handle priorities);

  /// Begins an iteration and returns its number. Without replacement it is the next epoch, and ends
  /// all earlier iterations. With replacement all iterations are one, and have the same number.
  std::uint64_t BeginIteration();

  /// Throws RuntimeError if the iteration with this number was ended by another one, by a state
  /// that was loaded, or because a store was cleared.
  void RequireIteration(std::uint64_t iteration) const;

  bool replacement() const noexcept { return options_.replacement; }

  /// Draws the next batch for `by`, a prefetch, or null for a caller who gets it at once. Returns it
  /// allocated but not read. Returns null at the end of the epoch, and if prefetch() is not `by`. A
  /// batch, or an end, that is drawn for a prefetch counts only once that hands it out.
  std::unique_ptr<PendingBatch> Draw(const Prefetch* by);

  /// Declares that `by` has handed out all batches that it has drawn except the last `left`, and the
  /// end of the epoch unless `end_left` is true. Returns false, and does nothing, if prefetch() is
  /// not `by`.
  bool HandOut(const Prefetch* by, std::uint64_t left, bool end_left);

  /// The prefetch that draws ahead, or null.
  const Prefetch* prefetch() const noexcept { return prefetch_; }

  /// Makes this prefetch, or none, the one that draws ahead. What an earlier one has drawn and not
  /// handed out is drawn again.
  void SetPrefetch(Prefetch* prefetch) noexcept {
    prefetch_ = prefetch;
    return_ahead_ = true;
  }

 private:
  class ChooseLock;
  WindowSampler& core();
  void MakeCore();
  std::vector<TypeId> TypesOf(const nb::object& names) const;
  void TakeFields(const Arguments& arguments);
  bool HasManyUnscannedRows();
  void ReportSkipped(const WindowSampler& sampler);
  std::unique_ptr<PendingBatch> Prepare(WindowBatch batch, bool with_priorities);
  nb::object Complete(std::unique_ptr<PendingBatch> pending);
  void RequirePrioritiesKept() const;
  nb::object NextInSequence();
  void EndIterations();
  template <class Choose>
  bool ChooseBatch(WindowBatch& batch, Choose&& choose);
  StoreObject& StoreAt(std::size_t i) const;

  std::vector<nb::object> stores_;
  nb::object group_;                // null without a group
  std::set<std::string> reported_;  // the stores of the group that are left out, and why
  SamplerOptions options_;
  std::shared_ptr<const BatchTree> tree_;  // of the fields of rows
  std::shared_ptr<std::vector<OffsetsOfName>> offsets_ =
      std::make_shared<std::vector<OffsetsOfName>>();
  std::vector<ColumnId> columns_;
  nb::object max_length_;
  bool with_stores_;
  std::shared_ptr<const FieldTable> fields_;
  Schema schema_;
  std::vector<std::uint64_t> generations_;  // of each store, when core_ was created
  std::unique_ptr<WindowSampler> core_;     // null in a child that was forked while it was in use
  SamplerState saved_state_;                // of core_, before it was last used without the GIL
  bool in_epoch_ = false;                   // an epoch was begun after the last Restore()
  std::uint64_t iteration_ = 0;
  Prefetch* prefetch_ = nullptr;  // draws ahead; its destructor clears this
  bool return_ahead_ = false;     // batches that were drawn ahead must be returned to core_
  GilMutex mutex_;                // held by a call that chooses windows
};

// Held by a call that chooses windows. If such a call was interrupted by a fork in another thread,
// this process's copy of the C++ sampler may be half changed. It is leaked, and core() creates
// another one in the state of the beginning of that call.
class SamplerObject::ChooseLock {
 public:
  explicit ChooseLock(SamplerObject& sampler)
      : lock_(sampler.mutex_,
              "WindowSampler: called while the same thread is inside a call of it") {
    if (lock_.was_lost()) {
      // NOLINTNEXTLINE(bugprone-unused-return-value): leaked, because its destructor may fail
      (void)sampler.core_.release();
    }
  }

 private:
  GilMutex::Hold lock_;
};

}  // namespace stream_store::python
