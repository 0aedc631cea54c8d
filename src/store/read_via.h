// Reading through a View, or through a copy of the parts that one call needs.
//
// In some places, such as network file systems, another process can shorten a mapped file, and a
// load from the mapping would then end this process. Readers opened with safe reads therefore copy
// the parts they need with pread() first (SafeCopy); the read functions see no difference, as both
// are Views. Each read is given as two functions: one asks the SafeCopy for the parts, the other
// reads them. The first is made by one of the Fetch… functions below; without safe reads it is
// never called.
//
// Used by reader.cc, interop.cc and segment_index.cc. Thread rules: pure functions; a copy
// belongs to its call, or to its owner if it is kept.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "stream_store/columns.h"
#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/read_source.h"
#include "storage/safe_copy.h"
#include "storage/view.h"

namespace stream_store::internal {

/// Throws Error(kDropped) if rows of the view were dropped since it was made. A mapping keeps them,
/// but without mappings they are gone with their files.
inline void CheckNotDropped(const ReadSource& source, const View& view) {
  const std::uint64_t begin = source.files().control.begin().load(std::memory_order_acquire);
  if (begin > view.begin_record) {
    throw Error(ErrorCode::kDropped,
                StrCat(view.store_schema->path, ": rows from row ", view.first_row,
                       " on were dropped after this reader's last refresh, and safe reads do not "
                       "keep dropped rows: refresh it"));
  }
}

/// Returns read(view). If that throws Error(kCorrupt), but the store was cut back since the source
/// was made, throws Error(kCutBack) instead: appends after a truncation may have changed the records
/// while they were read, and nothing is damaged. With safe reads, Error(kDropped) likewise.
template <class Read>
auto ReadOrCutBack(const ReadSource& source, const View& view, const Read& read) {
  try {
    return read(view);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCorrupt) {
      source.CheckNotTruncated();
      if (source.copies()) {
        CheckNotDropped(source, view);
      }
    }
    throw;
  }
}

/// Returns read(view), where `view` is the given one or, with safe reads, a copy of the parts that
/// fetch(copy) asked for.
template <class Fetch, class Read>
auto ReadVia(const ReadSource& source, const View& view, const Fetch& fetch, const Read& read) {
  if (!source.copies()) [[likely]] {
    return ReadOrCutBack(source, view, read);
  }
  return ReadOrCutBack(source, view, [&](const View& all) {
    SafeCopy copy(source.files(), all);
    fetch(copy);
    return read(copy.view());
  });
}

/// As ReadVia(), for reads that return pointers. Returns the owner of the memory they point into,
/// or null if that is the store's own mapping.
template <class Fetch, class Read>
std::shared_ptr<const SafeCopy> ReadViaKept(const ReadSource& source, const View& view,
                                            const Fetch& fetch, const Read& read) {
  if (!source.copies()) [[likely]] {
    ReadOrCutBack(source, view, read);
    return nullptr;
  }
  return ReadOrCutBack(source, view, [&](const View& all) {
    auto copy = std::make_shared<SafeCopy>(source.files(), all);
    fetch(*copy);
    read(copy->view());
    return std::shared_ptr<const SafeCopy>(std::move(copy));
  });
}

/// Fetch functions for ReadVia(). Parts outside the store are not copied; the read reports them.
/// The spans must outlive the call of ReadVia().
inline auto FetchWindows(std::span<const Position> starts, std::uint64_t width) {
  return [=](SafeCopy& copy) { copy.FetchWindows(starts, width); };
}

/// `values`: the rows' values too, not only their records and layouts.
inline auto FetchRows(std::span<const Row> rows, std::uint64_t length, bool values) {
  return [=](SafeCopy& copy) { copy.FetchRows(rows, length, values); };
}

inline auto FetchRuns(std::span<const RowRun> runs, bool values) {
  return [=](SafeCopy& copy) { copy.FetchRows(runs, values); };
}

/// Rows [begin, end).
inline auto FetchRange(Row begin, Row end, bool values) {
  return [=](SafeCopy& copy) {
    if (begin < end) {
      copy.FetchRows(std::span<const Row>(&begin, 1), static_cast<std::uint64_t>(end - begin),
                     values);
    }
  };
}

/// Calls read(view, part_begin, part_end) for parts of rows [begin, end) in order, until it returns
/// false. Without safe reads there is one part; with them, parts bound a copy at about 64 MiB.
template <class Read>
void ReadInParts(const ReadSource& source, const View& view, Row begin, Row end, const Read& read) {
  constexpr std::uint64_t kValuesPerPart = std::uint64_t{8} << 20;
  if (!source.copies()) [[likely]] {
    ReadOrCutBack(source, view, [&](const View& all) { read(all, begin, end); });
    return;
  }
  // A row's record is as large as four values.
  const std::uint64_t values_per_row =
      (view.value_count - view.first_position) /
          std::max<std::uint64_t>(view.row_count - view.first_row, 1) +
      4;
  const auto rows = static_cast<Row>(std::max<std::uint64_t>(kValuesPerPart / values_per_row, 1));
  bool more = true;
  do {
    const Row part_end = end - begin > rows ? begin + rows : end;
    more = ReadVia(source, view, FetchRange(begin, part_end, /*values=*/true),
                   [&](const View& copy) { return read(copy, begin, part_end); });
    begin = part_end;
  } while (more && begin < end);
}

}  // namespace stream_store::internal
