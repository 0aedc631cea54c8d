// Records in order, neighbours of one layout as one run: what exports read through.
#include <array>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/locate.h"
#include "store/reads.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

struct Shape {
  bool used = false;
  std::uint32_t layout = 0;
  std::uint64_t total = 0;
  std::vector<RecordRun::Part> parts = {};
};

// The shapes met last. Streams have few.
class Shapes {
 public:
  explicit Shapes(const View& view) : view_(view) {}

  const Shape& Of(std::uint32_t layout) {
    Shape& shape = shapes_[layout * 0x9e3779b1U >> 28];
    if (shape.used && shape.layout == layout) {
      return shape;
    }
    shape.used = false;
    shape.parts.clear();
    shape.total =
        ForEachField(view_, layout, [&](TypeId type, std::uint64_t begin, std::uint64_t length) {
          if (!view_.meaning->encodings[type].AllowsLength(length)) {
            ThrowCorruptLayout(view_, layout, "a length is none that its field can have");
          }
          shape.parts.push_back({type, begin, length});
        });
    shape.layout = layout;
    shape.used = true;
    return shape;
  }

 private:
  const View& view_;
  std::array<Shape, 16> shapes_{};
};

// One record, each word loaded once.
struct Head {
  std::uint64_t start;
  std::uint64_t row;
  std::uint32_t layout;
};

Head HeadOf(const View& view, std::uint64_t record) {
  const Record& words = view.records[record];
  return {LoadOnce(words.start), RowOfRecord(LoadOnce(words.row_session)), LoadOnce(words.layout)};
}

}  // namespace

void ScanRows(const View& view, Row begin, Row end,
              const std::function<bool(const RecordRun&)>& visit) {
  const auto rows = static_cast<Row>(view.row_count);
  if (begin < 0 || begin > end || end > rows) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("rows [", begin, ", ", end, ") are outside [0, ", rows, ")"));
  }
  if (begin == end) {
    return;
  }
  Shapes shapes(view);
  std::uint64_t record = RecordOfRow(view, begin);
  std::uint64_t start = LoadOnce(view.records[record].start);
  auto next_row = static_cast<std::uint64_t>(begin);
  const auto end_row = static_cast<std::uint64_t>(end);
  while (record < view.record_count) {
    const Head head = HeadOf(view, record);
    if (head.row >= end_row) {
      return;
    }
    const bool begins_row = head.row == next_row;
    const bool continues =
        head.row + 1 == next_row && head.row >= static_cast<std::uint64_t>(begin);
    if (head.start != start || (!begins_row && !continues)) {
      ThrowCorruptRecord(view, record,
                         StrCat("expected row ", next_row, " or the one before at position ", start,
                                " but found row ", head.row, " at ", head.start));
    }
    const Shape& shape = shapes.Of(head.layout);
    std::uint64_t count = 1;
    if (begins_row) {
      const std::uint64_t most = std::min(view.record_count - record, end_row - head.row);
      std::uint64_t at = start + shape.total;
      for (; count < most; ++count, at += shape.total) {
        const Head next = HeadOf(view, record + count);
        if (next.layout != head.layout || next.row != head.row + count || next.start != at) {
          break;
        }
      }
      next_row = head.row + count;
    }
    const std::uint64_t left = view.value_count - std::min(start, view.value_count);
    if (shape.total > 0 && count > left / shape.total) {
      ThrowCorruptRecord(view, record,
                         StrCat("expected to end at or before position ", view.value_count));
    }
    RecordRun run;
    run.row = static_cast<Row>(head.row);
    run.count = count;
    run.begins_row = begins_row;
    run.values = view.values + start;
    run.stride = shape.total;
    run.parts = shape.parts;
    run.steps = reinterpret_cast<const std::byte*>(view.records + record) + offsetof(Record, step);
    run.step_stride_bytes = sizeof(Record);
    if (!visit(run)) {
      return;
    }
    record += count;
    start += count * shape.total;
  }
}

}  // namespace stream_store::internal
