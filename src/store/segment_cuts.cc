// Reading the cutting fields. The words of a record are checked as in all walks (record_cursor.h),
// since an index of segments may be built over a damaged store.
#include "store/segment_cuts.h"

#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/locate.h"
#include "store/record_cursor.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

[[noreturn]] void ThrowCannotCut(const std::string& found) {
  throw Error(
      ErrorCode::kInvalidArgument,
      StrCat("segments: expected one int field or only bool fields, one value each, but ", found));
}

}  // namespace

CutBy CheckCutFields(const Schema& schema, std::span<const TypeId> types) {
  if (types.empty()) {
    ThrowCannotCut("no field was named");
  }
  bool all_bool = true;
  for (const TypeId type : types) {
    if (type >= schema.size()) {
      ThrowCannotCut(StrCat("type id ", type, " is outside [0, ", schema.size(), ")"));
    }
    const Field& field = schema[type];
    const bool fits =
        (IsInteger(field.dtype) || field.dtype == DType::kBool) && field.shape.empty();
    if (!fits || field.packed) {
      ThrowCannotCut(StrCat("field '", field.name, "' is ", field.packed ? "packed " : "",
                            DTypeName(field.dtype), field.shape.empty() ? "" : " with a shape"));
    }
    all_bool = all_bool && field.dtype == DType::kBool;
  }
  if (all_bool) {
    return CutBy::kTrue;
  }
  if (types.size() > 1) {
    ThrowCannotCut("several were named and not all are bool");
  }
  return CutBy::kChange;
}

const CutReader::CutPlaces& CutReader::PlacesIn(const View& view, std::uint32_t layout) {
  if (const CutPlaces* found = places_.Find(view, layout); found != nullptr) [[likely]] {
    return *found;
  }
  return *places_.Insert(view, layout, [&](CutPlaces& made) {
    made.values.clear();
    made.total =
        ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
          if (std::ranges::find(types_, type) == types_.end()) {
            return;
          }
          if (length != 1) {
            ThrowCorruptLayout(view, layout, "expected one value of a scalar field");
          }
          made.values.emplace_back(begin, view.store_schema->schema[type].dtype == DType::kBool);
        });
    return true;
  });
}

void CutReader::GoTo(const View& view, std::uint64_t row) {
  STREAM_STORE_ASSERT(view.first_row <= row && row < view.row_count);
  record_ = RecordOfRow(view, static_cast<Row>(row));
  position_ = LoadOnce(view.records[record_].start);
  row_ = row;
}

// The members move on only once the whole row was read: if it is corrupt, nothing has changed.
RowCut CutReader::ReadRow(const View& view) {
  RowCut cut;
  RecordCursor cursor{&view, record_, position_, row_};
  do {
    const RecordHead head = cursor.Enter();
    const CutPlaces& places = PlacesIn(view, head.layout);
    cursor.Leave(places.total);
    for (const auto& [begin, is_bool] : places.values) {
      PrefetchValueAhead(view, cursor.record, begin);
      const Value value = view.values[head.start + begin];
      if (is_bool) {
        cut.ended = cut.ended || value != 0;
      } else {
        cut.known = true;
        cut.value = value;
      }
    }
  } while (cursor.AtSameRow());
  record_ = cursor.record;
  position_ = cursor.position;
  ++row_;
  return cut;
}

}  // namespace stream_store::internal
