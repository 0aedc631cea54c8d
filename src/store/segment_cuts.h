// Decides row by row which rows begin a segment, from the values of the cutting fields: the fields
// that SamplerOptions::segment_by or Reader::Segments() names.
//
// An int field cuts where its value changes; a row without the field counts as unchanged. Bool
// fields cut after a row in which one of them is true; a missing one counts as false.
//
// Used by segments.cc and segment_index.cc. Thread rules: objects belong to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "base/assert.h"
#include "storage/view.h"
#include "store/layout_cache.h"

namespace stream_store::internal {

/// How the cutting fields mark segments: one int field by a change, bool fields by being true.
enum class CutBy : std::uint8_t { kChange, kTrue };

/// How the fields cut. Throws Error(kInvalidArgument) unless `types` are one int field or only bool
/// fields, each of one value per row.
CutBy CheckCutFields(const Schema& schema, std::span<const TypeId> types);

/// The cutting fields of one row.
struct RowCut {
  bool known = false;  ///< the row has the int field: `value`
  Value value = 0;
  bool ended = false;  ///< a bool field is true
};

/// Decides for the rows of one lane, in order, which of them begin a segment.
class Cutter {
 public:
  /// Whether the row begins a segment; moves on to the next row. False for the first row.
  bool Enter(CutBy by, const RowCut& row) noexcept {
    const bool begins = Begins(by, row);
    Move(row);
    return begins;
  }

  /// Moves on to the next row.
  void Move(const RowCut& row) noexcept {
    ended_ = row.ended;
    if (row.known) {
      known_ = true;
      last_ = row.value;
    }
  }

  /// The last value of the int field that is known.
  Value last() const noexcept { return last_; }

  /// The same without moving on.
  bool Begins(CutBy by, const RowCut& row) const noexcept {
    return by == CutBy::kTrue ? ended_ : row.known && known_ && row.value != last_;
  }

 private:
  bool ended_ = false;  // the row before ended its segment
  bool known_ = false;  // a row before had the int field: `last_`
  Value last_ = 0;
};

/// Reads the cutting fields of rows in order, each record once.
class CutReader {
 public:
  explicit CutReader(std::vector<TypeId> types) : types_(std::move(types)) {}

  std::uint64_t next_row() const noexcept { return row_; }

  /// Goes to the first row of a View. To be called before the first ReadTo(), and again if rows were
  /// dropped before they were read.
  void GoToBegin(const View& view) noexcept {
    record_ = view.begin_record;
    position_ = view.first_position;
    row_ = view.first_row;
  }

  /// Goes to any row of a View, by a search. REQUIRES: view.first_row <= row && row <
  /// view.row_count. Throws Error(kCorrupt).
  void GoTo(const View& view, std::uint64_t row);

  /// Calls visit(row, RowCut) for the rows from next_row() to `end`. REQUIRES: view.first_row <=
  /// next_row() && end <= view.row_count. Throws Error(kCorrupt).
  template <class Visit>
  void ReadTo(const View& view, std::uint64_t end, const Visit& visit) {
    STREAM_STORE_ASSERT(view.first_row <= row_ && end <= view.row_count);
    while (row_ < end) {
      const std::uint64_t row = row_;
      visit(row, ReadRow(view));
    }
  }

  const std::vector<TypeId>& types() const noexcept { return types_; }

 private:
  // Where the fields lie in the records of one layout.
  struct CutPlaces {
    std::uint64_t total = 0;
    std::vector<std::pair<std::uint64_t, bool>> values = {};  // place in the record; is it a bool
  };

  RowCut ReadRow(const View& view);
  const CutPlaces& PlacesIn(const View& view, std::uint32_t layout);

  std::vector<TypeId> types_;
  // A RecordCursor between calls, which may come with different Views of one store.
  std::uint64_t record_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t row_ = 0;
  LayoutCache<CutPlaces, 0> places_;  // of one layout only, because NextBegins() copies CutReaders
};

}  // namespace stream_store::internal
