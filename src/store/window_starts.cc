#include "store/window_starts.h"

#include <algorithm>
#include <utility>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "storage/read_source.h"
#include "store/indexed_starts.h"
#include "store/read_functions.h"
#include "store/segment_index.h"
#include "store/starts.h"

namespace stream_store::internal {

namespace {

// Whether two Readers of one source show the same rows through the same mappings and schema.
bool ShowTheSame(const Reader& one, const Reader& other) {
  const View& a = ReaderAccess::ViewOf(one);
  const View& b = ReaderAccess::ViewOf(other);
  return a.mapping_key == b.mapping_key && a.begin_record == b.begin_record &&
         a.record_count == b.record_count;
}

}  // namespace

// Batches call this for each store, so a store that has not changed costs as little as possible.
void Starts::Follow() {
  if (watch_.Unchanged()) {
    return;
  }
  const LiveWatch watch(ReaderAccess::SourceOf(reader())->files().control);
  watch_ = {};
  // A batch that is no longer needed must not keep rows that were dropped.
  std::shared_ptr<const Reader> shared = std::move(shared_);
  const bool settled = MoveToEnd();
  if (shared != nullptr && ShowTheSame(*shared, reader())) {
    shared_ = std::move(shared);
  }
  if (settled) {
    watch_ = watch;
  }
}

std::shared_ptr<const Reader> Starts::SharedReader() {
  if (shared_ == nullptr) {
    shared_ = std::make_shared<const Reader>(reader());
  }
  return shared_;
}

bool NeedsIndex(const SamplerOptions& options) noexcept {
  return !options.lane_by.empty() || options.where || !options.exclude.empty() ||
         !options.require.empty() || !options.offsets.empty() || options.whole_segments ||
         options.priorities;
}

std::unique_ptr<Starts> MakeStarts(Reader reader, const SamplerOptions& options) {
  if (NeedsIndex(options)) {
    return std::make_unique<IndexedStarts>(std::move(reader), options);
  }
  return std::make_unique<StoreStarts>(std::move(reader), options);
}

std::uint64_t ResolveRow(Row row, const EpochExtent& extent) {
  const auto most = static_cast<Row>(extent.rows);
  return static_cast<std::uint64_t>(
      std::clamp<Row>(row < 0 ? row + most : row, static_cast<Row>(extent.first_row), most));
}

std::uint64_t EndPositionOf(const Reader& reader, std::uint64_t row) {
  const View& view = ReaderAccess::ViewOf(reader);
  if (row == view.first_row) {
    return view.first_position;
  }
  return row < view.row_count ? PositionOfRow(reader, row) : view.value_count;
}

ExtentNow FindExtent(Reader& reader, bool whole_rows) {
  std::uint64_t final_rows = ReaderAccess::FinalRows(reader);
  bool all = final_rows == reader.num_rows();
  if (!all && whole_rows && !reader.live()) {
    // The writer may have appended between the last refresh and its end: look again, now that it is
    // known to be gone.
    reader.Refresh();
    final_rows = ReaderAccess::FinalRows(reader);
    all = true;
  }
  ExtentNow now;
  now.final_rows = final_rows;
  now.extent.first_row = reader.first_row();
  now.extent.rows = all || !whole_rows ? reader.num_rows() : final_rows;
  now.extent.values = EndPositionOf(reader, now.extent.rows);
  now.extent.last_row = now.extent.rows > final_rows ? LastRow::kJoins : LastRow::kFinal;
  return now;
}

EpochExtent CheckExtent(const Reader& reader, const EpochExtent& extent) {
  const bool empty = extent.rows == extent.first_row;
  if (extent.last_row > LastRow::kBegins || extent.first_row > extent.rows ||
      (extent.last_row != LastRow::kFinal && empty)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("sampler state: expected a last row of kind 0 to 2, and 0 without rows, but "
                       "found kind ",
                       static_cast<std::uint64_t>(extent.last_row), " with rows [",
                       extent.first_row, ", ", extent.rows, ")"));
  }
  const std::uint64_t first = reader.first_row();
  if (extent.first_row < first && empty) {  // nothing is missing
    return {.rows = first, .values = reader.first_position(), .first_row = first};
  }
  if (extent.first_row < first) {
    throw Error(ErrorCode::kDropped,
                StrCat("sampler state: its epoch covers rows [", extent.first_row, ", ",
                       extent.rows, ") but rows [", extent.first_row, ", ",
                       std::min(first, extent.rows), ") were dropped"));
  }
  if (extent.rows > reader.num_rows() || extent.values > reader.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat("sampler state: its epoch covers ", extent.rows, " rows and ", extent.values,
                       " values but the store has ", reader.num_rows(), " and ", reader.size()));
  }
  if (const std::uint64_t begin = EndPositionOf(reader, extent.first_row); extent.values < begin) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("sampler state: its epoch covers ", extent.values, " values but its first row, row ",
               extent.first_row, ", is at position ", begin));
  }
  return extent;
}

}  // namespace stream_store::internal
