// RowsOfStores: decodes rows of several stores with equal fields, as a batch of a group needs them.
//
// ForEachBlock() (prefetch.h) overlaps the cache misses of the places of one store. A batch of a group
// has only a few places in each store, so it would wait for them store by store. Therefore a block of
// places that are touched together goes on into the next stores here, and what is looked up once for each
// store is looked up for all stores before the first one is read. The columns are the same for all stores
// and are made once.
//
// Used by window_batch.cc. Thread rules: an object belongs to one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/types.h"

#include "storage/view.h"
#include "store/row_columns.h"
#include "store/row_plans.h"
#include "store/row_windows.h"

namespace stream_store::internal {

/// The runs of rows that are read from one store.
struct StoreRuns {
  const View* view;
  std::span<const RowRun> runs;
};

class RowsOfStores {
 public:
  /// All arguments must outlive the object. Uses the plans of this thread (row_plans.h), so that no other
  /// rows may be read on it between this call and the last Read().
  ///
  /// stores  in the order in which they will be read, none of them with safe reads.
  ///         There is at least one.
  /// Throws  Error(kInvalidArgument) for a type that does not exist.
  RowsOfStores(std::span<const StoreRuns> stores, std::span<const RowsColumn> columns, Step* steps);

  /// Reads the runs of one store, as ReadRows() does (read_functions.h). To be called for each store, in
  /// their order.
  void Read(std::size_t which);

 private:
  struct RowOf {
    std::span<const RowRun> runs;

    std::uint64_t operator()(std::uint64_t i) const {
      return static_cast<std::uint64_t>(runs[i].row);
    }
  };

  struct LengthOf {
    std::span<const RowRun> runs;

    std::uint64_t operator()(std::uint64_t i) const { return runs[i].count; }
  };

  // The runs of one store, and its places.
  struct Store {
    explicit Store(const StoreRuns& from)
        : view(from.view),
          runs(from.runs),
          touched(*from.view, RowOf{from.runs}, LengthOf{from.runs}) {}

    const View* view;
    std::span<const RowRun> runs;
    RowPlaces<RowOf, LengthOf> touched;
    RowPlans* plans = nullptr;
    std::size_t begin = 0;  // in places_
    std::size_t end = 0;
  };

  struct Place {
    std::uint32_t store;
    std::uint32_t run;
    std::uint64_t record;  // the guess of its first record
  };

  void ListPlaces(std::uint32_t store);
  void TouchBlock();
  bool MarkAll();

  std::vector<TypeId> types_;
  std::vector<ColumnSink> columns_;
  Step* steps_;
  bool marked_ = false;  // all places are marked as present
  std::vector<Store> stores_;
  std::vector<Place> places_;  // of all stores; empty while reads of this thread wait for a disk
  std::size_t touched_ = 0;    // the places before this one were touched
};

}  // namespace stream_store::internal
