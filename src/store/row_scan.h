// RowScanner: reads, row by row and each record once, what decides the windows of a row: its lane,
// where segments end, whether it may be in a window, and whether it has the required fields.
//
// Used by lane_index.cc and time_index.cc. segment_cuts.h reads only the fields that cut, for samplers that need no
// more. Thread rules: an object belongs to its owner.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "base/assert.h"
#include "storage/view.h"
#include "store/layout_cache.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

/// The fields that are read, by their type ids.
struct ScanFields {
  std::vector<TypeId> lane_by = {};     ///< int fields of one value
  std::vector<TypeId> segment_by = {};  ///< as CheckCutFields() takes them, or none
  std::optional<TypeId> where = {};     ///< a bool field of one value
  std::vector<TypeId> require = {};     ///< any fields
  std::optional<TypeId> time = {};      ///< as CheckTimeField() takes it

  friend bool operator==(const ScanFields&, const ScanFields&) = default;
};

/// Throws Error(kInvalidArgument) unless the fields are of these types. Does not check segment_by.
void CheckScanFields(const Schema& schema, const ScanFields& fields);

/// What a row says about itself.
struct RowFacts {
  RowCut cut;
  bool kept = true;          ///< its `where` field is true, or there is none
  bool has_required = true;  ///< it has all fields of `require`
  std::optional<Value> time = {};
};

class RowScanner {
 public:
  explicit RowScanner(ScanFields fields);

  std::uint64_t next_row() const noexcept { return row_; }

  /// Goes to the first row of a View.
  void GoToBegin(const View& view) noexcept {
    record_ = view.begin_record;
    position_ = view.first_position;
    row_ = view.first_row;
  }

  /// Calls visit(row, RowFacts) for the rows from next_row() to `end`; key() is that of the row
  /// meanwhile. REQUIRES: view.first_row <= next_row() && end <= view.row_count. Throws
  /// Error(kCorrupt).
  template <class Visit>
  void ReadTo(const View& view, std::uint64_t end, const Visit& visit) {
    STREAM_STORE_ASSERT(view.first_row <= row_ && end <= view.row_count);
    while (row_ < end) {
      const std::uint64_t row = row_;
      visit(row, ReadRow(view));
    }
  }

  /// The words of a key: one for each field of lane_by, 0 where the row lacks it, and one whose bits
  /// say which of them the row has.
  std::size_t key_width() const noexcept { return key_.size(); }

  std::span<const Value> key() const noexcept { return key_; }

  const ScanFields& fields() const noexcept { return fields_; }

 private:
  enum class Use : std::uint8_t { kKey, kCutInt, kCutBool, kWhere, kTime };

  struct Place {
    std::uint64_t begin = 0;  // in the record
    Use use = Use::kKey;
    std::uint32_t key = 0;  // with kKey: the word of the key
  };

  // What the records of one layout hold.
  struct Places {
    std::uint64_t total = 0;
    std::vector<Place> values = {};
    std::uint64_t required = 0;  // how many fields of `require`
  };

  RowFacts ReadRow(const View& view);
  void SetPresent(std::uint64_t present) noexcept;

  const Places& PlacesIn(const View& view, std::uint32_t layout) {
    const Places* found = places_.Find(view, layout);
    return found != nullptr ? *found : FindPlaces(view, layout);
  }

  const Places& FindPlaces(const View& view, std::uint32_t layout);
  void AddPlaces(const View& view, std::uint32_t layout, TypeId type, const Place& place,
                 std::uint64_t length, Places& made) const;

  ScanFields fields_;
  std::vector<Value> key_;
  // A RecordCursor between calls, which may come with different Views of one store.
  std::uint64_t record_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t row_ = 0;
  GrowingLayoutCache<Places, 3, 10> places_;
};

}  // namespace stream_store::internal
