#include "store/segment_cuts.h"

#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
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

void CutReader::FindPlaces(const View& view, std::uint32_t layout) {
  mapping_key_ = 0;  // until all of it is known
  places_.clear();
  total_ = ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
    if (std::ranges::find(types_, type) == types_.end()) {
      return;
    }
    if (length != 1) {
      ThrowCorruptLayout(view, layout, "expected one value of a scalar field");
    }
    places_.emplace_back(begin, view.store_schema->schema[type].dtype == DType::kBool);
  });
  layout_ = layout;
  mapping_key_ = view.mapping_key;
}

RowCut CutReader::ReadRow(const View& view) {
  RowCut cut;
  std::uint64_t record = record_;
  std::uint64_t position = position_;
  for (; record < view.record_count; ++record) {
    const Record& words = view.records[record];
    const std::uint64_t start = LoadOnce(words.start);
    const std::uint64_t found_row = RowOfRecord(LoadOnce(words.row_session));
    const std::uint32_t layout = LoadOnce(words.layout);
    if (record > record_ && found_row != row_) {
      break;  // the row is over
    }
    if (layout != layout_ || view.mapping_key != mapping_key_) {
      FindPlaces(view, layout);
    }
    if (start != position || found_row != row_ || total_ > view.value_count ||
        start > view.value_count - total_) {
      ThrowCorruptRecord(view, record,
                         StrCat("expected row ", row_, " at position ", position, " but found row ",
                                found_row, " at ", start));
    }
    for (const auto& [begin, is_bool] : places_) {
      const Value value = view.values[start + begin];
      if (is_bool) {
        cut.ended = cut.ended || value != 0;
      } else {
        cut.known = true;
        cut.value = value;
      }
    }
    position = start + total_;
  }
  if (record == record_) {
    ThrowCorruptRecord(view, record, StrCat("expected row ", row_, " but there is no such record"));
  }
  record_ = record;
  position_ = position;
  ++row_;
  return cut;
}

}  // namespace stream_store::internal
