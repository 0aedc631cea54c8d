// Truncate: removes rows at the end of a store. Numbers in comments are the steps of "Truncate" in
// docs/format.md.
#include <algorithm>
#include <span>
#include <vector>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "format/schema_since.h"
#include "storage/appender.h"
#include "storage/capacity.h"
#include "storage/durability.h"
#include "storage/store_files.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

// A binary search, because hints may be wrong, and a removal need not be fast.
std::uint64_t Appender::FirstRecordOf(std::uint64_t row) const noexcept {
  STREAM_STORE_ASSERT(row < cursor_.rows);
  const std::uint64_t begin = files_.begin().records;
  const std::span<const Record> records(data_.records + begin, cursor_.records - begin);
  const auto first = std::ranges::partition_point(
      records, [row](const Record& record) { return RowOfRecord(record.row_session) < row; });
  return begin + static_cast<std::uint64_t>(first - records.begin());
}

// Where the rows before `row` end. Sets the bits of the sessions of all later records in `removed`.
Cursor Appender::EndBefore(std::uint64_t row, std::vector<bool>& removed) const {
  Cursor end = cursor_;
  end.records = FirstRecordOf(row);
  end.values = data_.records[end.records].start;
  end.rows = row;
  for (std::uint64_t i = end.records; i < cursor_.records; ++i) {
    const Record& record = data_.records[i];
    end.field_writes -=
        WordType(LayoutHeadBefore(data_.layouts, cursor_.layout_words, record.layout));
    removed[SessionOfRecord(record.row_session)] = true;
  }
  end.step = 0;
  end.last_type = -1;
  if (end.records > files_.begin().records) {
    const Record& last = data_.records[end.records - 1];
    const std::uint64_t fields =
        WordType(LayoutHeadBefore(data_.layouts, cursor_.layout_words, last.layout));
    end.step = last.step;
    end.last_type =
        fields == 0
            ? -1
            : static_cast<std::int32_t>(WordType(
                  data_.layouts[LayoutWordBefore(cursor_.layout_words, last.layout) + fields]));
  }
  return end;
}

// The layouts of the old session are not used again: the new one writes its own, after word L.
std::uint64_t Appender::Truncate(std::uint64_t num_rows) {
  const AppendFlag::Hold hold(flag_);
  status_.RequireWritable("truncate");  // step 1
  RequireNotStaging("truncate");
  if (num_rows > cursor_.rows) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat(files_.path_text(), ": truncate to ", num_rows,
                       " rows: expected at most the ", cursor_.rows, " rows of the store"));
  }
  if (const Begin begin = files_.begin(); begin.rows > 0 && num_rows <= begin.rows) {
    throw Error(ErrorCode::kDropped,
                StrCat(files_.path_text(), ": truncate to ", num_rows, " rows: expected more than ",
                       begin.rows, ", because the rows before row ", begin.rows,
                       " were dropped and appending continues after a row"));
  }
  const std::uint64_t rows = cursor_.rows - num_rows;
  if (rows == 0) {
    return 0;
  }
  std::vector<bool> removed(std::size_t{1} << 16);
  const Cursor end = EndBefore(num_rows, removed);
  // Before the cut: a field that was added later may be in all records from the new end on.
  const Schema& schema = schema_->schema;
  if (AddsAfter(schema, end.records)) {
    UseSchema(SinceAtMost(schema, end.records, schema.revision() + 1));
  }
  session_ = durability_.CutBack(end, removed);  // steps 2 to 4
  cursor_ = end;
  ForgetLayouts();
  EnterRecordsChunk(end.records);
  durability_.ReopenSession(end);  // step 5
  return rows;
}

}  // namespace stream_store::internal
