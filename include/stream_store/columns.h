// The columns that reads fill: of values, of rows decoded field by field, and of one row.
//
// The memory is always the caller's. A null pointer means that the caller does not want that
// column. The columns of one call must not overlap each other or the store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "stream_store/types.h"

namespace stream_store {

class Reader;

/// Where Reader::ReadWindows(), Reader::Gather() and WindowBatch::ReadWindows() write.
///
/// Each wanted column has room for one element per position that is read. The names and the meaning
/// are those of Python's `windows()`.
struct WindowsOut {
  /// The stored words, as they are in the flat buffer.
  Value* values = nullptr;

  /// The type id of the field that each value belongs to.
  std::int64_t* types = nullptr;

  /// The step that each value was written at.
  Step* step = nullptr;

  /// Each value decoded by its own field, as float32. A word of a packed or nested field and a byte
  /// of a text field give the number that the word has as an integer.
  float* number = nullptr;

  /// The index of each value within its field-write, from 0.
  std::int64_t* offset = nullptr;

  /// The row of each value.
  Row* row = nullptr;

  /// Returns the same columns from element `index` on. Columns that are null stay null.
  WindowsOut From(std::uint64_t index) const noexcept {
    const auto from = [index](auto* column) {
      return column == nullptr ? nullptr : column + index;
    };
    return {from(values), from(types), from(step), from(number), from(offset), from(row)};
  }
};

/// A run of rows, and where Reader::ReadRows() writes them: row `row + i` goes to place `place + i`
/// of every column, for i in [0, count). A place has the room of one row.
struct RowRun {
  Row row = 0;
  std::uint64_t count = 0;
  std::uint64_t place = 0;
};

/// One column of Reader::ReadRows(): a field, and the memory that takes its decoded items.
///
/// A call reads P places, rows.size() * length of them. With S items in the field's shape, `out`
/// has room for P × S items, or for P × max_length × S items if the field is ragged.
///
/// The size of an item follows from the dtype: 1 byte for bool, int8 and uint8; 2, 4 or 8 bytes for
/// the other integers and floats; an int64 in the field's own unit for dates, times and durations;
/// 1 byte per byte of text or of a nested block; 2 or 4 words for decimals, the lowest first. It is the same for a
/// packed field.
struct RowsColumn {
  /// The field, by its type id.
  TypeId type = 0;

  /// The decoded items, place after place. Missing fields and padding become zeros.
  void* out = nullptr;

  /// P bytes: 1 where the field was written, 0 where it is missing.
  std::uint8_t* present = nullptr;

  /// P lengths of a ragged field, in items, as they are stored: before a cut to max_length. Those of
  /// strings, binaries and nested fields are in bytes.
  std::int64_t* lengths = nullptr;

  /// Ragged fields only: the room for each place, in items. Longer field-writes are cut; a nested
  /// block that was cut cannot be decoded.
  std::uint64_t max_length = 0;

  /// P spans of stored words, in place of or beside `out`; empty where the field is missing. Those
  /// of packed fields of varying length and of nested fields include the word with the number of
  /// items; PackedBytes() returns the bytes after it.
  ///
  /// They point into the store and stay valid as long as the snapshot. With
  /// ReaderOptions::safe_reads they point into a copy, which is kept by the owner that ReadRows()
  /// returns.
  std::span<const Value>* spans = nullptr;
};

/// The field-writes of one row, as stored words, without a copy:
///
///     for (const auto& [type, values] : reader.row(7)) { … }
///
/// PackedBytes() (nested.h) returns the bytes of a packed field, also of a packed string or binary,
/// and the block of a nested one.
///
/// The spans stay valid as long as the Reader that returned the view, or any copy of that Reader
/// made before its next Refresh(). With ReaderOptions::safe_reads the view owns a copy of the
/// values, and the spans live as long as the view.
class RowView {
 public:
  /// One field-write: its field and its words.
  struct Entry {
    TypeId type;
    std::span<const Value> values;
  };

  /// The step of the row.
  Step step() const noexcept { return step_; }

  /// The entries, by rising type id.
  auto begin() const noexcept { return entries_.begin(); }

  auto end() const noexcept { return entries_.end(); }

  /// How many fields the row has.
  std::size_t size() const noexcept { return entries_.size(); }

 private:
  friend class Reader;
  Step step_ = 0;
  std::vector<Entry> entries_;
  std::shared_ptr<const void> owner_;  // of the values, when they are a copy
};

}  // namespace stream_store
