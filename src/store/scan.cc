// Walks over records in order, and reports neighbours of one layout as one run. Exports read
// through this walk: the columns of a run lie at equal distances, so they copy them without looking
// at single records.
#include "base/assert.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "store/layout_cache.h"
#include "store/read_functions.h"
#include "store/record_cursor.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

// The field-writes of the records of one layout.
struct RunLayout {
  std::uint64_t total = 0;
  std::vector<interop::RecordRun::Part> parts = {};
};

// Cuts rows [begin, end) into runs. REQUIRES: begin < end <= view.row_count.
class RunScan {
 public:
  RunScan(const View& view, Row begin, Row end)
      : view_(view),
        cursor_(
            RecordCursor::At(view, RecordOfRow(view, begin), static_cast<std::uint64_t>(begin))),
        end_row_(static_cast<std::uint64_t>(end)) {
    STREAM_STORE_ASSERT(begin < end && static_cast<std::uint64_t>(end) <= view.row_count);
  }

  // Finds the next run. Returns false at the end of the rows.
  bool Next(interop::RecordRun& run) {
    if (cursor_.AtEnd() || cursor_.RowHere() >= end_row_) {
      return false;
    }
    const bool begins_row = !in_row_ || !cursor_.AtSameRow();
    if (in_row_ && begins_row) {
      cursor_.row += 1;
    }
    in_row_ = true;
    const std::uint64_t first = cursor_.record;
    const RecordHead head = cursor_.Enter();
    const RunLayout& layout = LayoutOf(head.layout);
    cursor_.Leave(layout.total);
    run.row = static_cast<Row>(head.row);
    // A further record of a row is a run of its own: the record after it is not of the next row.
    run.count = 1 + (begins_row ? LeaveEqual(head.layout, layout.total) : 0);
    run.begins_row = begins_row;
    run.values = view_.values + head.start;
    run.stride = layout.total;
    run.parts = layout.parts;
    run.steps = reinterpret_cast<const std::byte*>(view_.records + first) + offsetof(Record, step);
    run.step_stride_bytes = sizeof(Record);
    return true;
  }

 private:
  const RunLayout& LayoutOf(std::uint32_t layout) {
    if (const RunLayout* found = layouts_.Find(view_, layout); found != nullptr) [[likely]] {
      return *found;
    }
    return *layouts_.Insert(view_, layout, [&](RunLayout& made) {
      made.parts.clear();
      made.total =
          ForEachField(view_, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
            if (!view_.store_schema->encodings[type].AllowsLength(length)) {
              ThrowCorruptLayout(view_, layout, "expected a length that its field can have");
            }
            made.parts.push_back({type, begin, length});
          });
      return true;
    });
  }

  // Moves the cursor past the records that follow one of the same layout, each the next row. Stops
  // without an error where a record differs: Next() enters that record and checks it.
  std::uint64_t LeaveEqual(std::uint32_t layout, std::uint64_t total) {
    std::uint64_t most = std::min(view_.record_count - cursor_.record, end_row_ - cursor_.row - 1);
    if (total > 0) {
      most = std::min(most, (view_.value_count - cursor_.position) / total);
    }
    // The loop works on copies of the cursor's members, which stay in registers.
    const Record* next = view_.records + cursor_.record;
    std::uint64_t position = cursor_.position;
    std::uint64_t row = cursor_.row + 1;
    std::uint64_t count = 0;
    for (; count < most; ++count, ++next, ++row, position += total) {
      if (LoadOnce(next->layout) != layout || RowOfRecord(LoadOnce(next->row_session)) != row ||
          LoadOnce(next->start) != position) {
        break;
      }
    }
    cursor_.record += count;
    cursor_.row += count;
    cursor_.position = position;
    return count;
  }

  const View& view_;
  RecordCursor cursor_;
  const std::uint64_t end_row_;
  bool in_row_ = false;  // a record of row cursor_.row was visited
  GrowingLayoutCache<RunLayout, 4, 10> layouts_;
};

}  // namespace

bool ScanRows(const View& view, Row begin, Row end,
              const std::function<bool(const interop::RecordRun&)>& visit) {
  CheckRowRange(view, begin, end);
  if (begin == end) {
    return true;
  }
  ReadAhead::Sequential(view);
  RunScan scan(view, begin, end);
  interop::RecordRun run;
  while (scan.Next(run)) {
    if (!visit(run)) {
      return false;
    }
  }
  return true;
}

}  // namespace stream_store::internal
