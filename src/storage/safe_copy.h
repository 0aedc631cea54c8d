// SafeCopy: the parts of a store that one read call needs, copied with pread() into private memory.
//
// Used by read_via.h (src/store) for readers that were opened for safe reads. If another program
// may truncate the files at any time, loading from a mapping can kill the process with SIGBUS,
// while a pread() just returns fewer bytes.
//
// The read functions work on a SafeCopy without knowing it. It reserves as much address space as the
// View has of each kind of data and copies every part to its own place, so that all numbers stay the
// same. Address space that is not touched takes no memory. The hints around the copied blocks are verified and,
// if necessary, recomputed, so that a look-up never follows a hint to a record that was not copied.
//
// Thread rules: an object belongs to one thread. Its View is valid as long as the object.
// Invariant: a read function may load any part that the fetch for it copied; all other parts read
// as zeros, and View::sparse says so.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "stream_store/columns.h"

#include "base/mapping.h"
#include "storage/store_files.h"
#include "storage/view.h"

namespace stream_store::internal {

class SafeCopy {
 public:
  /// Reserves address space for everything in `view`, which is a View of `files`. Nothing is copied
  /// yet. Throws Error(kNoSpace). `files` must outlive the SafeCopy.
  SafeCopy(const StoreFiles& files, const View& view);

  /// Copies all that reading the windows [start, start + width) needs. Ignores windows that are
  /// outside the store: the read function reports those. Throws Error(kCorrupt) if a file is too
  /// short, or Error(kIo).
  void FetchWindows(std::span<const Position> starts, std::uint64_t width);

  /// Copies all that reading the row windows [row, row + length) needs: their records and layouts
  /// and, with `values`, their values. Ignores row windows outside the store. Throws as
  /// FetchWindows().
  void FetchRows(std::span<const Row> rows, std::uint64_t length, bool values);

  /// As above, with a length for each row window.
  void FetchRows(std::span<const RowRun> runs, bool values);

  /// The copy, for the read functions.
  const View& view() const noexcept { return view_; }

  /// As RowAtStep() of locate.h, with O(log records) calls of pread() and no copy.
  static Row RowAtStep(const StoreFiles& files, const View& view, Step step, bool after);

 private:
  // Records or values [begin, end).
  struct Range {
    std::uint64_t begin;
    std::uint64_t end;
  };

  // Private memory for the items [first, end) of one kind. items() is indexed with the numbers of
  // the store.
  template <class T>
  class Part {
   public:
    Part(std::uint64_t first, std::uint64_t end)
        : memory_(Mapping::Private((std::max(first, end) - first) * sizeof(T))), first_(first) {}

    // An integer, because the address of item 0 may lie outside the address space.
    T* items() const noexcept {
      const auto begin = reinterpret_cast<std::uintptr_t>(memory_.data());
      return reinterpret_cast<T*>(begin - first_ * sizeof(T));  // NOLINT(performance-no-int-to-ptr)
    }

    std::span<T> Items(std::uint64_t begin, std::uint64_t end) const noexcept {
      return {items() + begin, end - begin};
    }

   private:
    Mapping memory_;
    std::uint64_t first_;
  };

  using Borders = std::unordered_map<std::uint64_t, std::uint64_t>;

  std::uint64_t PositionBorder(std::uint64_t slot);
  std::uint64_t RowBorder(std::uint64_t slot);
  void FetchRecords(std::vector<Range> ranges);
  void FetchLayout(std::uint32_t layout);
  void FetchValues(std::vector<Range> ranges);
  std::uint64_t FirstOfRow(std::uint64_t row, std::uint64_t low, std::uint64_t high) const;
  static void Merge(std::vector<Range>& ranges);

  const StoreFiles& files_;
  View view_;
  Part<Value> values_;
  Part<Record> records_;
  Part<std::uint64_t> layouts_;
  Part<std::uint64_t> position_hints_;
  Part<std::uint64_t> row_hints_;
  // By hint number n, the records that were resolved:
  Borders position_borders_;  // the record that holds position 256 * n
  Borders row_borders_;       // the first record of row 256 * n
  std::unordered_set<std::uint64_t> layouts_there_;
};

}  // namespace stream_store::internal
