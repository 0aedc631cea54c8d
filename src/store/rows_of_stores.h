// RowsOfStores: decodes rows of several stores with equal fields, as a batch of a group needs them.
//
// ForEachBlock() (prefetch.h) overlaps the cache misses of the places of one store. A batch of a group
// has only a few places in each store, so it would wait for them store by store. Therefore the loops
// that touch memory run here over the places of all stores, before the first one is read. The
// columns are the same for all stores and are made once.
//
// Used by window_batch.cc. Thread rules: an object belongs to one call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/types.h"

#include "storage/view.h"
#include "store/row_columns.h"
#include "store/row_windows.h"

namespace stream_store::internal {

/// The runs of rows that are read from one store.
struct StoreRuns {
  const View* view;
  std::span<const RowRun> runs;
};

class RowsOfStores {
 public:
  /// Touches one word of every page that the runs need. All arguments must outlive the object.
  ///
  /// stores  in the order in which they will be read, none of them with safe reads.
  ///         There is at least one.
  /// Throws  Error(kInvalidArgument) for a type that does not exist.
  RowsOfStores(std::span<const StoreRuns> stores, std::span<const RowsColumn> columns, Step* steps);

  /// Reads the runs of one store, as ReadRows() does (read_functions.h).
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

  // The runs of one store, and its places. Does not move, because `touched` refers to the others.
  struct Store {
    explicit Store(const StoreRuns& from)
        : view(*from.view), row{from.runs}, length{from.runs}, touched(view, row, length) {}

    ~Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    const View& view;
    RowOf row;
    LengthOf length;
    RowPlaces<RowOf, LengthOf> touched;
    std::size_t begin = 0;  // in places_
    std::size_t end = 0;
  };

  struct Place {
    std::uint32_t store;
    std::uint32_t run;
    std::uint64_t record;  // the guess of its first record
  };

  void ListPlaces(std::uint32_t store);
  void Touch();
  bool MarkAll();

  std::vector<TypeId> types_;
  std::vector<ColumnSink> columns_;
  Step* steps_;
  bool marked_ = false;  // all places are marked as present
  std::deque<Store> stores_;
  std::vector<Place> places_;  // of all stores; empty while reads of this thread wait for a disk
};

}  // namespace stream_store::internal
