// SamplerObject: the C++ part of a WindowSampler of Python, and the batches that it makes.
//
// It is the class _core.Sampler, the base of `class WindowSampler` in Python. It keeps the
// StreamStore objects alive. When one of them was cleared or its rows were replaced, it starts
// again on the new rows.
//
// Forks: a data loader may fork while another thread chooses windows without the GIL. In the child
// the C++ sampler may then be half changed, so it must not be used, not even destroyed. The child
// leaks it and creates another one in the state that the sampler had when that call began
// (`saved_state_`).
//
// Thread rules: the GIL guards every member. Choosing windows may release the GIL, because the
// first scan of a long store takes time; `mutex_` makes other calls that choose windows wait
// meanwhile.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
    nb::list stores;         ///< StreamStore objects
    SamplerOptions options;  ///< without fields
    nb::object segment_by;   ///< names of fields
    nb::object lane_by;      ///< names of fields
    nb::object where;        ///< the name of a field, or None
    nb::object require;      ///< names of fields and structs
    nb::object offsets;      ///< pairs of a name of a field or struct and a list of ints
    nb::object columns;
    nb::object fields;
    nb::object max_length;
    bool with_stores = false;  ///< whether batches have a column with the store of each window
  };

  explicit SamplerObject(const Arguments& arguments);
  ~SamplerObject();
  SamplerObject(const SamplerObject&) = delete;
  SamplerObject& operator=(const SamplerObject&) = delete;

  /// Returns a batch drawn with replacement. Ends an iteration that has read batches ahead.
  nb::object Sample();

  /// Begins the next epoch, or continues a restored one.
  void BeginEpoch();

  /// Returns the next batch of the epoch, or None at its end; with replacement, the next batch.
  nb::object NextBatch();

  /// Returns the windows with the given numbers, in [-NumStarts(), NumStarts()).
  nb::object ReadStarts(nb::handle indices);

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

  /// The rows [first, end) of a store that have places for priorities, as a tuple.
  nb::object PriorityRows(std::uint64_t store);

  /// Returns the priorities of `count` rows from one on: float64, NaN for a row without.
  nb::object ReadPriorities(std::uint64_t store, std::int64_t first_row, std::uint64_t count);

  /// Sets them; NaN leaves a priority as it is.
  void LoadPriorities(std::uint64_t store, std::int64_t first_row, nb::handle priorities);

  /// Begins an iteration, which ends all earlier ones, and returns its number.
  std::uint64_t BeginIteration();

  /// The number of the current iteration. An iterator with another number has ended.
  std::uint64_t iteration() const noexcept { return iteration_; }

  /// Returns the next batch, allocated but not read; null at the end of the epoch.
  std::unique_ptr<PendingBatch> Draw();

  /// Sets how many drawn batches have not been returned to the caller; see
  /// interop::SetPrefetched().
  void SetPrefetched(std::uint64_t batches, bool end) {
    interop::SetPrefetched(core(), batches, end);
  }

  /// Makes the sampler draw those batches again.
  void ReturnPrefetched();

 private:
  class ChooseLock;
  WindowSampler& core();
  void MakeCore();
  std::vector<TypeId> TypesOf(const nb::object& names) const;
  void TakeFields(const Arguments& arguments);
  bool HasManyUnscannedRows();
  std::unique_ptr<PendingBatch> Prepare(WindowBatch batch);
  nb::object Complete(std::unique_ptr<PendingBatch> pending);
  void RequirePrioritiesKept() const;
  template <class Choose>
  bool ChooseBatch(WindowBatch& batch, Choose&& choose);
  StoreObject& StoreAt(std::size_t i) const;

  std::vector<nb::object> stores_;
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
  GilMutex mutex_;  // held by a call that chooses windows
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
