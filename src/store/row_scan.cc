// Reading the facts of rows. The words of a record are checked as in all walks (record_cursor.h),
// since an index may be built over a damaged store.
#include "store/row_scan.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/schema.h"

#include "base/str_cat.h"
#include "store/record_cursor.h"
#include "store/row_times.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

// Throws unless `type` exists and has one value of the right kind.
void CheckScalar(const Schema& schema, TypeId type, const char* option, bool is_bool) {
  const char* expected = is_bool ? "a bool field of one value" : "int fields of one value each";
  if (type >= schema.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(option, ": expected ", expected, ", but type id ", type, " is outside [0, ",
                       schema.size(), ")"));
  }
  const Field& field = schema[type];
  const bool fits = is_bool ? field.dtype == DType::kBool : IsInteger(field.dtype);
  if (!fits || !field.shape.empty() || field.packed) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(option, ": expected ", expected, ", but field '", field.name, "' is ",
                       field.packed ? "packed " : "", DTypeName(field.dtype),
                       field.shape.empty() ? "" : " with a shape"));
  }
}

void CheckDistinct(const Schema& schema, const char* option, std::vector<TypeId> types) {
  std::ranges::sort(types);
  const auto twice = std::ranges::adjacent_find(types);
  if (twice != types.end()) {
    throw Error(ErrorCode::kInvalidArgument, StrCat(option, ": expected different fields, but '",
                                                    schema[*twice].name, "' is given twice"));
  }
}

}  // namespace

void CheckScanFields(const Schema& schema, const ScanFields& fields) {
  constexpr std::size_t kMostKeys = 64;  // the bits of the last word of a key
  if (fields.lane_by.size() > kMostKeys) {
    throw Error(ErrorCode::kInvalidArgument, StrCat("lane_by: expected at most ", kMostKeys,
                                                    " fields, found ", fields.lane_by.size()));
  }
  for (const TypeId type : fields.lane_by) {
    CheckScalar(schema, type, "lane_by", /*is_bool=*/false);
  }
  if (fields.where) {
    CheckScalar(schema, *fields.where, "where", /*is_bool=*/true);
  }
  if (fields.time) {
    CheckTimeField(schema, *fields.time);
  }
  for (const TypeId type : fields.require) {
    if (type >= schema.size()) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("require: type id ", type, " is outside [0, ", schema.size(), ")"));
    }
  }
  CheckDistinct(schema, "lane_by", fields.lane_by);
  CheckDistinct(schema, "require", fields.require);
}

RowScanner::RowScanner(ScanFields fields)
    : fields_(std::move(fields)), key_(fields_.lane_by.size() + 1) {}

// A field can be used for several things.
void RowScanner::AddPlaces(const View& view, std::uint32_t layout, TypeId type, const Place& place,
                           std::uint64_t length, Places& made) const {
  const std::size_t before = made.values.size();
  const auto add = [&](Use use, std::size_t key) {
    made.values.push_back(
        {.begin = place.begin, .use = use, .key = static_cast<std::uint32_t>(key)});
  };
  for (std::size_t i = 0; i < fields_.lane_by.size(); ++i) {
    if (fields_.lane_by[i] == type) {
      add(Use::kKey, i);
    }
  }
  if (std::ranges::find(fields_.segment_by, type) != fields_.segment_by.end()) {
    const bool is_bool = view.store_schema->schema[type].dtype == DType::kBool;
    add(is_bool ? Use::kCutBool : Use::kCutInt, 0);
  }
  if (fields_.where == type) {
    add(Use::kWhere, 0);
  }
  if (fields_.time == type) {
    add(Use::kTime, 0);
  }
  if (made.values.size() > before && length != 1) {
    ThrowCorruptLayout(view, layout, "expected one value of a scalar field");
  }
  if (std::ranges::find(fields_.require, type) != fields_.require.end()) {
    made.required += 1;
  }
}

const RowScanner::Places& RowScanner::FindPlaces(const View& view, std::uint32_t layout) {
  return *places_.Insert(view, layout, [&](Places& made) {
    made = Places{};
    made.total =
        ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
          AddPlaces(view, layout, type, {.begin = begin}, length, made);
        });
    return true;
  });
}

// Completes the key of a row: the words that it lacks are those of an earlier row until here.
void RowScanner::SetPresent(std::uint64_t present) noexcept {
  key_.back() = static_cast<Value>(present);
  const std::size_t words = key_.size() - 1;
  if (static_cast<std::size_t>(std::popcount(present)) == words) [[likely]] {
    return;
  }
  for (std::size_t word = 0; word < words; ++word) {
    if ((present >> word & 1) == 0) {
      key_[word] = 0;
    }
  }
}

// The members move on only once the whole row was read: if it is corrupt, the row is read again by
// the next call. The types of a row rise, so a field that is required is counted once.
RowFacts RowScanner::ReadRow(const View& view) {
  RowFacts facts;
  facts.kept = !fields_.where;
  std::uint64_t required = 0;
  std::uint64_t present = 0;  // words of the key
  RecordCursor cursor{&view, record_, position_, row_};
  do {
    const RecordHead head = cursor.Enter();
    const Places& places = PlacesIn(view, head.layout);
    cursor.Leave(places.total);
    required += places.required;
    for (const Place& place : places.values) {
      PrefetchValueAhead(view, cursor.record, place.begin);
      const Value value = view.values[head.start + place.begin];
      switch (place.use) {
        case Use::kKey:
          key_[place.key] = value;
          present |= std::uint64_t{1} << place.key;
          break;
        case Use::kCutInt:
          facts.cut.known = true;
          facts.cut.value = value;
          break;
        case Use::kCutBool:
          facts.cut.ended = facts.cut.ended || value != 0;
          break;
        case Use::kWhere:
          facts.kept = value != 0;
          break;
        case Use::kTime:
          facts.time = value;
          break;
      }
    }
  } while (cursor.AtSameRow());
  SetPresent(present);
  facts.has_required = required == fields_.require.size();
  record_ = cursor.record;
  position_ = cursor.position;
  ++row_;
  return facts;
}

}  // namespace stream_store::internal
