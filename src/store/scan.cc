// Records in order, neighbours of one layout as one run: what exports read through.
#include <array>

#include "stream_store/error.h"
#include "stream_store/interop.h"

#include "base/str_cat.h"
#include "storage/locate.h"
#include "storage/read_ahead.h"
#include "store/read_functions.h"
#include "store/template_cache.h"

namespace stream_store::internal {
namespace {

struct Shape {
  bool used = false;
  std::uint32_t layout = 0;
  std::uint64_t total = 0;
  std::vector<interop::RecordRun::Part> parts = {};
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
          if (!view_.store_schema->encodings[type].AllowsLength(length)) {
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

class Scan {
 public:
  Scan(const View& view, Row begin, Row end)
      : view_(view),
        shapes_(view),
        first_row_(static_cast<std::uint64_t>(begin)),
        end_row_(static_cast<std::uint64_t>(end)),
        next_row_(first_row_),
        record_(RecordOfRow(view, begin)),
        start_(LoadOnce(view.records[record_].start)) {}

  // The next run; false at the end of the rows.
  bool Next(interop::RecordRun& run) {
    if (record_ >= view_.record_count) {
      return false;
    }
    const Head head = HeadOf(view_, record_);
    if (head.row >= end_row_) {
      return false;
    }
    const bool begins_row = head.row == next_row_;
    const bool continues = head.row + 1 == next_row_ && head.row >= first_row_;
    if (head.start != start_ || (!begins_row && !continues)) {
      ThrowCorruptRecord(view_, record_,
                         StrCat("expected row ", next_row_, " or the one before at position ",
                                start_, " but found row ", head.row, " at ", head.start));
    }
    const Shape& shape = shapes_.Of(head.layout);
    const std::uint64_t count = begins_row ? CountLike(head, shape.total) : 1;
    const bool inside = start_ <= view_.value_count;
    if (!inside || (shape.total > 0 && count > (view_.value_count - start_) / shape.total)) {
      ThrowCorruptRecord(view_, record_,
                         StrCat("expected to end at or before position ", view_.value_count));
    }
    run.row = static_cast<Row>(head.row);
    run.count = count;
    run.begins_row = begins_row;
    run.values = view_.values + start_;
    run.stride = shape.total;
    run.parts = shape.parts;
    run.steps =
        reinterpret_cast<const std::byte*>(view_.records + record_) + offsetof(Record, step);
    run.step_stride_bytes = sizeof(Record);
    next_row_ = begins_row ? head.row + count : next_row_;
    record_ += count;
    start_ += count * shape.total;
    return true;
  }

 private:
  // How many records from record_ on are like it, each the next row.
  std::uint64_t CountLike(const Head& head, std::uint64_t total) const {
    const std::uint64_t most = std::min(view_.record_count - record_, end_row_ - head.row);
    std::uint64_t at = start_ + total;
    std::uint64_t count = 1;
    for (; count < most; ++count, at += total) {
      const Head next = HeadOf(view_, record_ + count);
      if (next.layout != head.layout || next.row != head.row + count || next.start != at) {
        break;
      }
    }
    return count;
  }

  const View& view_;
  Shapes shapes_;
  const std::uint64_t first_row_;
  const std::uint64_t end_row_;
  std::uint64_t next_row_;
  std::uint64_t record_;
  std::uint64_t start_;
};

}  // namespace

bool ScanRows(const View& view, Row begin, Row end,
              const std::function<bool(const interop::RecordRun&)>& visit) {
  const auto rows = static_cast<Row>(view.row_count);
  if (begin < 0 || begin > end || end > rows) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat("rows [", begin, ", ", end, ") are outside [0, ", rows, ")"));
  }
  if (begin == end) {
    return true;
  }
  ReadAhead::Sequential(view);
  Scan scan(view, begin, end);
  interop::RecordRun run;
  while (scan.Next(run)) {
    if (!visit(run)) {
      return false;
    }
  }
  return true;
}

}  // namespace stream_store::internal
