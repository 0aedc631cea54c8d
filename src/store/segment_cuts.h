// What rows say of segments: the fields that cut a stream, read row by row.
//
// An int field cuts where its value changes (missing is "as before"); bool fields cut after a row
// in which one is true (missing is false). Who uses it: segments.cc, segment_index.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "storage/view.h"

namespace stream_store::internal {

enum class CutBy : std::uint8_t { kChange, kTrue };

/// Throws Error(kInvalidArgument) unless `types` are one int field or bool fields, scalars all.
CutBy CheckCutFields(const Schema& schema, std::span<const TypeId> types);

/// What one row says.
struct RowCut {
  bool known = false;  ///< an int is there: `value`
  Value value = 0;
  bool ended = false;  ///< a bool is true
};

/// Decides row by row, of one lane, where segments begin.
class Cutter {
 public:
  /// Whether this row begins a segment, and remembers what it says. False for a first row.
  bool Enter(CutBy by, const RowCut& row) noexcept {
    const bool begins = Begins(by, row);
    ended_ = row.ended;
    if (row.known) {
      known_ = true;
      last_ = row.value;
    }
    return begins;
  }

  /// The same without remembering.
  bool Begins(CutBy by, const RowCut& row) const noexcept {
    return by == CutBy::kTrue ? ended_ : row.known && known_ && row.value != last_;
  }

 private:
  bool ended_ = false;  // the row before ended its segment
  bool known_ = false;  // an int was seen
  Value last_ = 0;
};

/// Reads the cuts of rows in order, each record once.
class CutReader {
 public:
  explicit CutReader(std::vector<TypeId> types) : types_(std::move(types)) {}

  std::uint64_t next_row() const noexcept { return row_; }

  /// Calls visit(row, RowCut) for the rows from next_row() to `end`. REQUIRES: end <= row_count.
  /// Throws Error(kCorrupt).
  template <class Visit>
  void ReadTo(const View& view, std::uint64_t end, const Visit& visit) {
    while (row_ < end) {
      const std::uint64_t row = row_;
      visit(row, ReadRow(view));
    }
  }

  const std::vector<TypeId>& types() const noexcept { return types_; }

 private:
  RowCut ReadRow(const View& view);
  void FindPlaces(const View& view, std::uint32_t layout);

  std::vector<TypeId> types_;
  std::uint64_t record_ = 0;    // the next one
  std::uint64_t position_ = 0;  // where it must start
  std::uint64_t row_ = 0;       // the row it must begin
  // Where the fields lie in the records of the last layout met.
  std::uint64_t mapping_key_ = 0;
  std::uint32_t layout_ = 0;
  std::uint64_t total_ = 0;
  std::vector<std::pair<std::uint64_t, bool>> places_;  // value of the record; whether it is a bool
};

}  // namespace stream_store::internal
