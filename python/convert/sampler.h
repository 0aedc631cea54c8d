// Sampler: a WindowSampler over Python's stores, and the batches it makes of it.
//
// Base of `class WindowSampler` in Python. It holds the StreamStore objects, so that a store lives
// as long as its samplers, and starts anew when a temporary store was cleared or filled anew.
// Thread rules: the GIL guards every member; choosing windows may release it (the first look at a
// long store), and other calls wait for that.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/interop.h"
#include "stream_store/sampler.h"

#include "convert/field_table.h"
#include "convert/gil_mutex.h"
#include "convert/python.h"
#include "convert/rows_output.h"
#include "convert/window_columns.h"

namespace stream_store::python {

class StoreObject;

/// One batch under way: room was made, then it is read, then it becomes a dict.
class PendingBatch {
 public:
  PendingBatch(WindowBatch batch, bool with_stores);

  /// Makes room for the columns of windows of values.
  void MakeWindows(const std::vector<ColumnId>& columns);

  /// Makes room for decoded rows.
  void MakeRows(PyObject* store, std::shared_ptr<const FieldTable> fields,
                const std::vector<TypeId>& types, PyObject* max_length);

  std::uint64_t bytes() const noexcept { return bytes_; }

  void Read();          ///< Touches no Python object.
  nb::object Finish();  ///< The dict.

 private:
  std::shared_ptr<WindowBatch> batch_;
  bool with_stores_;
  std::optional<WindowsOutput> windows_;
  std::optional<RowsOutput> rows_;
  nb::object valid_;
  std::uint64_t bytes_ = 0;
};

class SamplerObject {
 public:
  /// What a sampler is made of, as Python gives it.
  struct Arguments {
    nb::list stores;         ///< StreamStore objects
    SamplerOptions options;  ///< segment_by still empty
    nb::object segment_by;   ///< names
    nb::object columns;
    nb::object fields;
    nb::object max_length;
    bool with_stores = false;  ///< whether batches say which store each window is of
  };

  explicit SamplerObject(const Arguments& arguments);
  ~SamplerObject();
  SamplerObject(const SamplerObject&) = delete;
  SamplerObject& operator=(const SamplerObject&) = delete;

  nb::object Sample();     ///< a batch with replacement
  void BeginEpoch();       ///< without
  nb::object NextBatch();  ///< of the epoch, or with replacement; None at its end
  nb::object ReadStarts(nb::handle indices);

  std::uint64_t NumStarts();
  std::uint64_t EpochBatches();
  bool WaitForStart(double seconds);

  nb::dict State();
  void Restore(const nb::dict& state_dict);

  /// Counts iterators: only the youngest goes on.
  std::uint64_t BeginIteration();

  std::uint64_t iteration() const noexcept { return iteration_; }

  /// The next batch, room made but not read; null at the end of the epoch.
  std::unique_ptr<PendingBatch> Draw();

  /// As interop::SetPrefetched().
  void NoteAhead(std::uint64_t batches, bool end) { interop::SetPrefetched(core(), batches, end); }

  void Rewind();

 private:
  class TurnToChoose;
  WindowSampler& core();
  void MakeCore();
  bool ManyRowsBehind();
  std::unique_ptr<PendingBatch> Prepare(WindowBatch batch);
  nb::object Complete(std::unique_ptr<PendingBatch> pending);
  template <class Choose>
  bool ChooseBatch(WindowBatch& batch, Choose&& choose);
  StoreObject& StoreAt(std::size_t i) const;

  std::vector<nb::object> stores_;
  SamplerOptions options_;
  std::vector<TypeId> types_;
  std::vector<ColumnId> columns_;
  nb::object max_length_;
  bool with_stores_;
  std::shared_ptr<const FieldTable> fields_;
  Schema schema_;
  std::vector<std::uint64_t> generations_;  // of the stores' readers
  std::unique_ptr<WindowSampler> core_;     // null after a fork that found it at work
  SamplerState before_;                     // of core_, when it last released the GIL
  bool in_epoch_ = false;                   // an epoch was begun, not only restored
  std::uint64_t iteration_ = 0;
  GilMutex turn_;  // of who chooses
};

}  // namespace stream_store::python
