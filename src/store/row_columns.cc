#include "store/row_columns.h"

#include <cstring>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

ColumnSink MakeRowColumn(const Encoding& encoding, const RowsColumn& column) {
  ColumnSink made;
  made.ragged = encoding.ragged;
  made.encoding = &encoding;
  KernelRoom& room = made.room;
  room.unit_words = encoding.unit_words;
  room.unit_bytes = encoding.items * encoding.item_bytes;
  if (encoding.packed && !encoding.block) {
    // Packed items are the bytes of the words; the last word may be padded.
    room.unit_bytes = std::min(room.unit_bytes, room.unit_words * sizeof(Value));
  }
  room.most_units = encoding.ragged ? column.max_length : 1;
  room.place_bytes = column.out == nullptr ? 0 : room.most_units * room.unit_bytes;
  room.out = static_cast<std::byte*>(column.out);
  if (room.place_bytes > 0) {
    made.kernels = KernelsOf(encoding);
  }
  made.missing.words = ZeroSource(encoding.ragged ? 0 : encoding.unit_words);
  made.present = column.present;
  (encoding.block ? made.block_lengths : made.lengths) = column.lengths;
  made.spans = column.spans;
  return made;
}

}  // namespace

std::vector<ColumnSink> MakeRowColumns(const View& view, std::span<const RowsColumn> columns) {
  const std::vector<Encoding>& encodings = view.store_schema->encodings;
  std::vector<ColumnSink> made;
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

std::vector<TypeId> TypesOf(std::span<const RowsColumn> columns) {
  std::vector<TypeId> types;
  types.reserve(columns.size());
  for (const RowsColumn& column : columns) {
    types.push_back(column.type);
  }
  return types;
}

void WriteBlockLengths(const ColumnSink& column, const Value* first, std::uint64_t stride,
                       std::uint64_t words, std::uint64_t rows, std::uint64_t place) {
  STREAM_STORE_ASSERT(column.block_lengths != nullptr);
  for (std::uint64_t i = 0; i < rows; ++i) {
    column.block_lengths[place + i] =
        LengthOfBlock(*column.encoding, first + i * stride, static_cast<std::int64_t>(words));
  }
}

void DecodeScattered(const ColumnSink& column, const FieldSource* sources, std::uint64_t rows,
                     std::uint64_t place) {
  if (column.kernels.scatter != nullptr) {
    column.kernels.scatter(*column.encoding, column.RoomAt(place), sources, rows);
  }
  if (column.present != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      column.present[place + i] = sources[i].units >= 0 ? 1 : 0;
    }
  }
  if (column.lengths != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      column.lengths[place + i] = std::max<std::int64_t>(sources[i].units, 0);
    }
  }
  if (column.block_lengths != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      column.block_lengths[place + i] =
          LengthOfBlock(*column.encoding, sources[i].words, sources[i].units);
    }
  }
  if (column.spans != nullptr) {
    for (std::uint64_t i = 0; i < rows; ++i) {
      const auto units = static_cast<std::uint64_t>(std::max<std::int64_t>(sources[i].units, 0));
      column.spans[place + i] = {sources[i].words, units * column.room.unit_words};
    }
  }
}

void MarkPresent(const ColumnSink& column, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 1, rows);
  }
}

void ZeroRun(const ColumnSink& column, std::uint64_t rows, std::uint64_t place) {
  if (column.present != nullptr) {
    std::memset(column.present + place, 0, rows);
  }
  if (column.lengths != nullptr) {
    std::fill_n(column.lengths + place, rows, 0);
  }
  if (column.block_lengths != nullptr) {
    std::fill_n(column.block_lengths + place, rows, 0);
  }
  if (column.spans != nullptr) {
    std::fill_n(column.spans + place, rows, std::span<const Value>());
  }
  const KernelRoom room = column.RoomAt(place);
  if (room.place_bytes > 0) {
    std::memset(room.out, 0, rows * room.place_bytes);
  }
}

}  // namespace stream_store::internal
