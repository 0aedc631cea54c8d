// Segments of a whole View, found in one pass over its records. Samplers, which need them again and
// again, keep them in a SegmentIndex instead.
#include <utility>
#include <vector>

#include "store/read_functions.h"
#include "store/segment_cuts.h"

namespace stream_store::internal {

std::vector<std::pair<Row, Row>> Segments(const View& view, std::span<const TypeId> types) {
  const CutBy by = CheckCutFields(view.store_schema->schema, types);
  CutReader reader({types.begin(), types.end()});
  reader.GoToBegin(view);
  Cutter cutter;
  std::vector<std::pair<Row, Row>> segments;
  auto begin = static_cast<Row>(view.first_row);
  reader.ReadTo(view, view.row_count, [&](std::uint64_t number, const RowCut& cut) {
    const auto row = static_cast<Row>(number);
    if (cutter.Enter(by, cut)) {
      segments.emplace_back(begin, row);
      begin = row;
    }
  });
  const auto rows = static_cast<Row>(view.row_count);
  if (rows > begin) {
    segments.emplace_back(begin, rows);
  }
  return segments;
}

}  // namespace stream_store::internal
