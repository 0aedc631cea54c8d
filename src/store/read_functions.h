// The read functions that Reader's methods call, one source file each. All take a View and check
// their arguments against it. Their contracts are those of the Reader methods of the same name
// (include/stream_store/reader.h).
//
// Thread rules: pure functions, apart from caches that each thread has for itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/interop.h"
#include "stream_store/reader.h"

#include "storage/view.h"

namespace stream_store::internal {

class ReadSource;

// checks.cc: each throws Error(kOutOfRange), which names the first bad argument.
void CheckPositions(const View& view, std::span<const Position> positions);
void CheckWindows(const View& view, std::span<const Position> starts, std::uint64_t width);
void CheckRowRange(const View& view, Row begin, Row end);
void CheckRowWindows(const View& view, std::span<const Row> rows, std::uint64_t length);
void CheckRowRuns(const View& view, std::span<const RowRun> runs);

// windows.cc: contiguous windows.
void ReadWindows(const View& view, std::span<const Position> starts, std::uint64_t width,
                 const WindowsOut& out);

// gather.cc: scattered positions.
void Gather(const View& view, std::span<const Position> positions, const WindowsOut& out);

// rows.cc: decoded row windows.
void ReadRows(const View& view, std::span<const Row> rows, std::uint64_t length,
              std::span<const RowsColumn> columns, Step* steps);
void ReadRows(const View& view, std::span<const RowRun> runs, std::span<const RowsColumn> columns,
              Step* steps);
std::uint64_t LongestInRows(const View& view, std::span<const Row> rows, std::uint64_t length,
                            TypeId type);
std::uint64_t LongestInRows(const View& view, std::span<const RowRun> runs, TypeId type);

/// Writes places [place, place + count) of all columns as missing.
void ZeroRows(const View& view, std::uint64_t place, std::uint64_t count,
              std::span<const RowsColumn> columns, Step* steps);

// index.cc: look-ups between rows and positions, and the index table.
void RowOf(const View& view, std::span<const Position> positions, std::span<Row> out);
void PositionOf(const View& view, std::span<const Row> rows, std::span<Position> out);
std::uint64_t CountIndex(const View& view, Row begin, Row end);
void ReadIndex(const View& view, Row begin, Row end, std::span<IndexEntry> out);

// segments.cc: the segments of a whole View.
std::vector<std::pair<Row, Row>> Segments(const View& view, std::span<const TypeId> types);

/// The field-writes of one row as (type, values) spans into the store, and its step. See ReadRow(),
/// in index.cc.
struct RowEntries {
  Step step = 0;
  std::vector<std::pair<TypeId, std::span<const Value>>> entries;
};

RowEntries ReadRow(const View& view, Row row);

/// The number of rows that cannot grow any more: all rows, or all but the last one if that lacks
/// the last declared field.
std::uint64_t FinalRows(const View& view);

// scan.cc: runs of records of one layout, in place. Returns false if visit() did, which ends it.
bool ScanRows(const View& view, Row begin, Row end,
              const std::function<bool(const interop::RecordRun&)>& visit);

// decode.cc: raw values to a field's own type.
void Decode(const View& view, std::span<const Value> values, TypeId type, void* out);

/// Private parts of a Reader, for samplers, verification and interop.h.
struct ReaderAccess {
  static const View& ViewOf(const Reader& reader) { return *reader.view_; }

  static const std::shared_ptr<ReadSource>& SourceOf(const Reader& reader) {
    return reader.source_;
  }

  static Reader Make(std::shared_ptr<ReadSource> source);

  static std::uint64_t FinalRows(const Reader& reader);
};

}  // namespace stream_store::internal
