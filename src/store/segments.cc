// Segments: runs of rows that belong together, cut by an int field that changes or by bool fields
// that are true.
//
// One pass over all records; the places of the fields in a record are remembered for the last
// layout met.
#include <algorithm>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/reads.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

enum class CutBy { kChange, kTrue };

bool IsInteger(DType dtype) { return dtype >= DType::kInt8 && dtype <= DType::kUInt64; }

[[noreturn]] void ThrowCannotCut(const std::string& found) {
  throw Error(
      ErrorCode::kInvalidArgument,
      StrCat("segments: expected one int field or only bool fields, one value each, but ", found));
}

CutBy CheckFields(const Schema& schema, std::span<const TypeId> types) {
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

// Where the fields that cut lie in the records of one layout.
struct CutPlaces {
  std::uint32_t layout = 0;
  std::uint64_t total = 0;
  std::vector<std::uint64_t> begins = {};
};

void FindPlaces(const View& view, std::uint32_t layout, std::span<const TypeId> types,
                CutPlaces& places) {
  places.begins.clear();
  places.total =
      ForEachField(view, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
        if (std::ranges::find(types, type) == types.end()) {
          return;
        }
        if (length != 1) {
          ThrowCorruptLayout(view, layout, "expected one value of a scalar field");
        }
        places.begins.push_back(begin);
      });
  places.layout = layout;
}

// Takes rows in order and notes where segments end.
class Cutter {
 public:
  explicit Cutter(CutBy by) : by_(by) {}

  void Enter(Row row) {
    if (by_ == CutBy::kTrue && ended_ && row > begin_) {
      Cut(row);
    }
    ended_ = false;
    row_ = row;
  }

  void Take(Value value) {
    if (by_ == CutBy::kTrue) {
      ended_ = ended_ || value != 0;
      return;
    }
    if (known_ && value != last_ && row_ > begin_) {
      Cut(row_);
    }
    known_ = true;
    last_ = value;
  }

  std::vector<std::pair<Row, Row>> Finish(Row rows) {
    if (rows > begin_) {
      Cut(rows);
    }
    return std::move(segments_);
  }

 private:
  void Cut(Row row) {
    segments_.emplace_back(begin_, row);
    begin_ = row;
  }

  CutBy by_;
  Row row_ = 0;
  Row begin_ = 0;
  bool ended_ = false;  // a bool of this row was true
  bool known_ = false;  // an int was seen
  Value last_ = 0;
  std::vector<std::pair<Row, Row>> segments_;
};

}  // namespace

std::vector<std::pair<Row, Row>> Segments(const View& view, std::span<const TypeId> types) {
  Cutter cutter(CheckFields(view.meaning->schema, types));
  CutPlaces places;
  std::uint64_t expected = 0;
  std::uint64_t row = 0;
  for (std::uint64_t record = 0; record < view.record_count; ++record) {
    const Record& words = view.records[record];
    const std::uint64_t start = LoadOnce(words.start);
    const std::uint64_t found_row = RowOfRecord(LoadOnce(words.row_session));
    const std::uint32_t layout = LoadOnce(words.layout);
    if (layout != places.layout) {
      FindPlaces(view, layout, types, places);
    }
    const bool begins_row = record == 0 || found_row == row + 1;
    const bool row_fits = begins_row ? found_row == (record == 0 ? 0 : row + 1) : found_row == row;
    if (start != expected || !row_fits || places.total > view.value_count ||
        start > view.value_count - places.total) {
      ThrowCorruptRecord(view, record,
                         StrCat("expected row ", row, " or the next at position ", expected,
                                " but found row ", found_row, " at ", start));
    }
    if (begins_row) {
      cutter.Enter(static_cast<Row>(found_row));
    }
    for (const std::uint64_t begin : places.begins) {
      cutter.Take(view.values[start + begin]);
    }
    expected = start + places.total;
    row = found_row;
  }
  return cutter.Finish(static_cast<Row>(view.row_count));
}

}  // namespace stream_store::internal
