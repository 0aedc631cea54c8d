// SafeCopy: what one read call needs of a store, copied with pread() into memory of its own.
//
// For readers that were asked not to load from mappings: in places where others may shorten files a
// load can end the process, a pread() only comes back short. The copies lie where they lie in the
// files, in address space that is otherwise untouched, so that the read functions work on them
// unchanged. Hints are made anew for the blocks that were copied. Thread rules: one thread; the
// View lives as long as the SafeCopy.
#pragma once

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
  /// `view` says how much there is. Nothing is copied yet. Throws Error(kNoSpace).
  SafeCopy(const StoreFiles& files, const View& view);

  /// What windows [start, start + width) need; of those that lie outside the store nothing.
  /// Throws Error(kCorrupt, kIo).
  void FetchWindows(std::span<const Position> starts, std::uint64_t width);

  /// What the row windows [row, row + length) need; `values`: their values too.
  void FetchRows(std::span<const Row> rows, std::uint64_t length, bool values);
  void FetchRows(std::span<const RowRun> runs, bool values);

  const View& view() const noexcept { return view_; }

  /// As RowAtStep(), with O(log records) calls of pread().
  static Row RowAtStep(const StoreFiles& files, const View& view, Step step, bool after);

 private:
  struct Range {
    std::uint64_t begin;
    std::uint64_t end;
  };

  using Borders = std::unordered_map<std::uint64_t, std::uint64_t>;

  std::uint64_t PositionBorder(std::uint64_t slot);
  std::uint64_t RowBorder(std::uint64_t slot);
  std::uint64_t HintedRecord(std::uint64_t slot, bool of_row) const;
  void FetchRecords(std::vector<Range> ranges);
  void FetchLayout(std::uint32_t offset);
  void FetchValues(std::vector<Range> ranges);
  std::uint64_t FirstOfRow(std::uint64_t row, std::uint64_t low, std::uint64_t high) const;
  static void Merge(std::vector<Range>& ranges);

  const StoreFiles& files_;
  View view_;
  Mapping values_;
  Mapping records_;
  Mapping layouts_;
  Mapping hints_;
  Borders position_borders_;  // slot -> record that holds position 256 * slot
  Borders row_borders_;       // slot -> first record of row 256 * slot
  std::unordered_set<std::uint32_t> layouts_there_;
};

}  // namespace stream_store::internal
