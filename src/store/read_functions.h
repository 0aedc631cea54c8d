// The read functions behind Reader, one source file each. All take a View and check their arguments
// against it; contracts are those of the Reader methods of the same name
// (include/stream_store/reader.h).
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

// windows.cc: contiguous windows.
void ReadWindows(const View& view, std::span<const Position> starts, std::uint64_t width,
                 const WindowsOut& out);

// gather.cc: scattered positions; runs of neighbours go the way of windows.
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

// index.cc: look-ups between rows, positions and steps, the index table, segments.
void RowOf(const View& view, std::span<const Position> positions, std::span<Row> out);
void PositionOf(const View& view, std::span<const Row> rows, std::span<Position> out);
std::uint64_t CountIndex(const View& view, Row begin, Row end);
void ReadIndex(const View& view, Row begin, Row end, std::span<IndexEntry> out);
std::vector<std::pair<Row, Row>> Segments(const View& view, std::span<const TypeId> types);

/// The field-writes of one row as (type, values) spans into the store, and its step.
struct RowEntries {
  Step step = 0;
  std::vector<std::pair<TypeId, std::span<const Value>>> entries;
};

RowEntries ReadRow(const View& view, Row row);

/// The rows that cannot grow any more: all, or all but a last one without its last declared field.
std::uint64_t FinalRows(const View& view);

// scan.cc: runs of equal records, in place; whether `visit` wanted more.
bool ScanRows(const View& view, Row begin, Row end,
              const std::function<bool(const interop::RecordRun&)>& visit);

// decode.cc
void Decode(const View& view, std::span<const Value> values, TypeId type, void* out);

/// What the sampler needs of a Reader beside its public face.
struct ReaderAccess {
  static const View& ViewOf(const Reader& reader) { return *reader.view_; }

  static const std::shared_ptr<ReadSource>& SourceOf(const Reader& reader) {
    return reader.source_;
  }

  static Reader Make(std::shared_ptr<ReadSource> source);

  static std::uint64_t FinalRows(const Reader& reader);
};

}  // namespace stream_store::internal
