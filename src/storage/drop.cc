#include "storage/drop.h"

#include <algorithm>
#include <span>

#include "base/assert.h"
#include "format/layout.h"
#include "format/record.h"
#include "storage/store_files.h"

namespace stream_store::internal {
namespace {

// The layouts of the records from `record` on. Those of its chunk were written after all that the
// chunk before uses, because the writer forgets its layouts between the two. So any layout of that
// chunk, or of an earlier one, is a bound; the nearest one is the best.
std::uint64_t FirstLayout(std::span<const Record> records, const Begin& old, std::uint64_t record,
                          std::uint64_t chunk_records) {
  const std::uint64_t chunk_begin = record / chunk_records * chunk_records;
  for (std::uint64_t i = chunk_begin; i > old.records; --i) {
    if (const std::uint32_t layout = records[i - 1 - old.records].layout; layout != 0) {
      return LayoutWordFrom(old.layout_words, layout);
    }
  }
  return old.layout_words;
}

}  // namespace

Begin BeginAtRow(const Maps& maps, std::uint64_t end, std::uint64_t row,
                 std::uint64_t chunk_records) {
  const Begin& old = maps.begin;
  STREAM_STORE_ASSERT(old.rows <= row && old.records < end);
  const std::span<const Record> records(maps.data<Record>(Kind::kRecords) + old.records,
                                        end - old.records);
  const auto* layouts = maps.data<std::uint64_t>(Kind::kLayouts);
  const auto first = std::ranges::partition_point(
      records, [row](const Record& record) { return RowOfRecord(record.row_session) < row; });
  STREAM_STORE_ASSERT(first != records.end() && RowOfRecord(first->row_session) == row);
  Begin begin;
  begin.records = old.records + static_cast<std::uint64_t>(first - records.begin());
  begin.values = first->start;
  begin.rows = row;
  begin.field_writes = old.field_writes;
  std::for_each(records.begin(), first, [&](const Record& record) {
    begin.field_writes +=
        WordType(record.layout == 0 ? 0 : layouts[LayoutWordFrom(old.layout_words, record.layout)]);
  });
  begin.layout_words = FirstLayout(records, old, begin.records, chunk_records);
  return begin;
}

}  // namespace stream_store::internal
