#include "store/row_columns.h"

#include <cstring>

#include "stream_store/error.h"

#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

RowColumn MakeRowColumn(const Encoding& encoding, const RowsColumn& column) {
  RowColumn made;
  made.ragged = encoding.ragged;
  made.encoding = &encoding;
  made.unit_words = encoding.unit_words;
  made.unit_bytes = encoding.items * encoding.item_bytes;
  if (encoding.packed) {
    made.unit_bytes = std::min(made.unit_bytes, made.unit_words * sizeof(Value));
  }
  made.most_units = encoding.ragged ? column.max_length : 1;
  made.place_bytes = column.out == nullptr ? 0 : made.most_units * made.unit_bytes;
  made.kernel = made.place_bytes == 0 ? nullptr : KernelOf(encoding);
  made.out = static_cast<std::byte*>(column.out);
  made.present = column.present;
  made.lengths = column.lengths;
  made.spans = column.spans;
  return made;
}

}  // namespace

std::vector<RowColumn> MakeRowColumns(const View& view, std::span<const RowsColumn> columns) {
  const std::vector<Encoding>& encodings = view.meaning->encodings;
  std::vector<RowColumn> made;
  made.reserve(columns.size());
  for (const RowsColumn& column : columns) {
    if (column.type >= encodings.size()) {
      throw Error(ErrorCode::kInvalidArgument, StrCat("read rows: type id ", column.type,
                                                      " is outside [0, ", encodings.size(), ")"));
    }
    made.push_back(MakeRowColumn(encodings[column.type], column));
  }
  return made;
}

void MarkPresent(const RowColumn& column, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 1, rows);
  }
}

void ZeroRun(const RowColumn& column, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 0, rows);
  }
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, 0);
  }
  if (column.spans != nullptr) {
    std::fill_n(column.spans + place, rows, std::span<const Value>());
  }
  if (column.place_bytes > 0) {
    std::memset(column.out + place * column.place_bytes, 0, rows * column.place_bytes);
  }
}

}  // namespace stream_store::internal
