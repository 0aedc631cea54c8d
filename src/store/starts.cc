#include "store/starts.h"

#include <algorithm>
#include <mutex>
#include <optional>

#include "stream_store/error.h"

#include "base/str_cat.h"
#include "store/read_functions.h"
#include "store/search_many.h"

namespace stream_store::internal {
namespace {

enum Tail : std::uint64_t { kFinal = 0, kJoins = 1, kBegins = 2 };

StartRule RuleOf(const SamplerOptions& options) {
  if (options.unit == SampleUnit::kRow) {
    return {StartRule::Count::kRows, options.length};
  }
  return {options.align == SampleAlign::kRow ? StartRule::Count::kRowsByValues
                                             : StartRule::Count::kValues,
          options.length};
}

std::uint64_t ResolveRow(Row row, std::uint64_t rows) {
  const auto most = static_cast<Row>(rows);
  return static_cast<std::uint64_t>(std::clamp<Row>(row < 0 ? row + most : row, 0, most));
}

}  // namespace

StoreStarts::StoreStarts(Reader reader, const SamplerOptions& options)
    : reader_(std::move(reader)), options_(options), rule_(RuleOf(options)) {
  if (options_.segment_by.empty()) {
    return;
  }
  index_ = SegmentIndex::Of(reader_, options_.segment_by, options_.lanes);
  if (!padded()) {
    const std::scoped_lock lock(index_->mutex());
    counts_ = index_->CountsOf(rule_);
  }
}

const View& StoreStarts::view() const noexcept { return ReaderAccess::ViewOf(reader_); }

std::uint64_t StoreStarts::UnscannedRows() {
  if (!by_segments()) {
    return 0;
  }
  reader_.Refresh();
  const std::scoped_lock lock(index_->mutex());
  return view().row_count - std::min(index_->rows(), view().row_count);
}

void StoreStarts::Follow() {
  reader_.Refresh();
  const bool same = followed_ && view().record_count == seen_records_;
  if (same && extent_.tail == kFinal && extent_.rows == view().row_count) {
    return;
  }
  // Windows of values take what is there; rows and segments count when they cannot grow.
  const bool needs_whole_rows = !in_values() || by_segments();
  std::uint64_t final_rows = ReaderAccess::FinalRows(reader_);
  bool all = final_rows == view().row_count;
  if (!all && needs_whole_rows && !reader_.live()) {
    reader_.Refresh();  // what the writer appended before it closed
    final_rows = ReaderAccess::FinalRows(reader_);
    all = true;
  }
  EpochExtent extent;
  extent.rows = all || !needs_whole_rows ? view().row_count : final_rows;
  extent.values = EndPositionOf(extent.rows);
  if (by_segments()) {
    const std::scoped_lock lock(index_->mutex());
    if (index_->rows() < final_rows) {
      index_->Extend(reader_, final_rows);
    }
    // Another sampler may have looked at that row as a final one already.
    if (extent.rows > final_rows && index_->rows() == final_rows) {
      extent.tail = index_->NextBegins(reader_) ? kBegins : kJoins;
    }
  } else if (extent.rows > final_rows) {
    extent.tail = kJoins;
  }
  SetExtent(extent);
  seen_records_ = view().record_count;
  followed_ = true;
}

void StoreStarts::Restore(const EpochExtent& extent) {
  reader_.Refresh();
  if (extent.rows > view().row_count || extent.values > view().value_count ||
      extent.tail > kBegins || (extent.tail != kFinal && extent.rows == 0)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat("sampler state: its epoch covers ", extent.rows, " rows and ", extent.values,
               " values but the store has ", view().row_count, " and ", view().value_count));
  }
  if (by_segments()) {
    const std::uint64_t final_rows = ReaderAccess::FinalRows(reader_);
    const std::scoped_lock lock(index_->mutex());
    if (index_->rows() < final_rows) {
      index_->Extend(reader_, final_rows);
    }
    if (index_->rows() < extent.rows - (extent.tail == kFinal ? 0 : 1)) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("sampler state: its epoch covers ", extent.rows,
                         " final rows but the store has ", index_->rows()));
    }
  }
  SetExtent(extent);
  followed_ = false;
}

std::uint64_t StoreStarts::EndPositionOf(std::uint64_t row) const {
  return row < view().row_count ? PositionOfRow(reader_, row) : view().value_count;
}

void StoreStarts::SetExtent(const EpochExtent& extent) {
  extent_ = extent;
  first_row_ = ResolveRow(options_.first_row, extent.rows);
  last_row_ = options_.last_row ? ResolveRow(*options_.last_row, extent.rows) : extent.rows;
  if (by_segments() && !padded()) {
    CountSegments();
  } else {
    CountRange();
  }
}

// --- one range ---

void StoreStarts::CountRange() {
  const std::uint64_t length = options_.length;
  const std::uint64_t rows = extent_.rows;
  std::uint64_t end = 0;
  first_ = first_row_;
  if (padded()) {
    end = last_row_;
  } else if (!in_values()) {
    // The last row of a window is (length - 1) * lanes behind its first.
    const std::uint64_t reach = (length - 1) * options_.lanes;  // both are below 2^32
    end = reach >= rows ? 0 : std::min(last_row_, rows - reach);
  } else if (extent_.values >= length) {
    const std::uint64_t last = extent_.values - length;
    if (rows_by_values()) {
      end = std::min(last_row_, RowOfPosition(reader_, last) + 1);
    } else {
      first_ = first_row_ == 0      ? 0
               : first_row_ == rows ? extent_.values
                                    : PositionOfRow(reader_, first_row_);
      end = last_row_ == rows ? last + 1 : std::min(last + 1, PositionOfRow(reader_, last_row_));
    }
  }
  count_ = end > first_ ? end - first_ : 0;
}

void StoreStarts::ResolveRange(std::span<const std::uint64_t> numbers,
                               std::span<const std::uint64_t> places, WindowBatch& batch) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    batch.starts_[places[i]] = static_cast<std::int64_t>(first_ + numbers[i]);
  }
}

// --- segments ---

std::uint64_t StoreStarts::RowsOfLane(std::uint64_t lane, std::uint64_t rows) const {
  return rows > lane ? (rows - lane - 1) / options_.lanes + 1 : 0;
}

StoreStarts::LaneShape StoreStarts::ShapeOf(std::uint64_t lane) const {
  const WordList& begins = index_->begins(lane);
  LaneShape shape;
  shape.rows = RowsOfLane(lane, extent_.rows);
  const bool has_tail = extent_.tail != kFinal && (extent_.rows - 1) % options_.lanes == lane;
  const std::uint64_t known = shape.rows - (has_tail ? 1 : 0);
  // The last segment that begins before row `known`: mostly the last there is.
  shape.last = begins.size() - 1;
  if (begins[shape.last] >= std::max<std::uint64_t>(known, 1)) {
    shape.last = known == 0 ? 0 : SearchOne(begins.data(), begins.size(), known - 1);
  }
  shape.extra = has_tail && extent_.tail == kBegins && known > 0;
  shape.last_end = shape.extra ? known : shape.rows;
  return shape;
}

std::uint64_t StoreStarts::StartsOf(std::uint64_t begin, std::uint64_t end) const {
  const bool by_rows = rule_.count == StartRule::Count::kRows;
  const std::uint64_t end_position = by_rows               ? 0
                                     : end == extent_.rows ? extent_.values
                                                           : PositionOfRow(reader_, end);
  return StartsIn(reader_, rule_, begin, end, end_position);
}

// Starts of the lane in rows below `row`.
std::uint64_t StoreStarts::StartsBefore(std::uint64_t lane, const LaneShape& shape,
                                        std::uint64_t row) const {
  const WordList& begins = index_->begins(lane);
  const WordList& sums = counts_->of(lane);
  const auto in_last = [&] { return StartsOf(begins[shape.last], shape.last_end); };
  if (row >= shape.rows) {
    return sums[shape.last] + in_last() + (shape.extra ? StartsOf(shape.last_end, shape.rows) : 0);
  }
  if (row >= shape.last_end) {
    return sums[shape.last] + in_last();
  }
  const std::uint64_t segment = SearchOne(begins.data(), shape.last + 1, row);
  const std::uint64_t end = segment == shape.last ? shape.last_end : begins[segment + 1];
  std::uint64_t before = row - begins[segment];
  if (rule_.count == StartRule::Count::kValues) {
    before = PositionOfRow(reader_, row) - PositionOfRow(reader_, begins[segment]);
  }
  return sums[segment] + std::min(before, StartsOf(begins[segment], end));
}

void StoreStarts::CountSegments() {
  const std::scoped_lock lock(index_->mutex());
  index_->ExtendCounts(reader_, *counts_);
  lanes_.resize(options_.lanes);
  lane_begins_.resize(options_.lanes);
  count_ = 0;
  for (std::uint64_t lane = 0; lane < options_.lanes; ++lane) {
    LaneShape shape = ShapeOf(lane);
    const std::uint64_t first = RowsOfLane(lane, first_row_);
    const std::uint64_t last = RowsOfLane(lane, last_row_);
    shape.skipped = first == 0 ? 0 : StartsBefore(lane, shape, first);
    const std::uint64_t before_last = StartsBefore(lane, shape, last);
    lanes_[lane] = shape;
    lane_begins_[lane] = count_;
    count_ += before_last > shape.skipped ? before_last - shape.skipped : 0;
  }
}

void StoreStarts::ResolveSegments(std::span<const std::uint64_t> numbers,
                                  std::span<const std::uint64_t> places, WindowBatch& batch) {
  const std::scoped_lock lock(index_->mutex());
  const auto finish = [&](std::uint64_t lane, std::uint64_t key, std::uint64_t found,
                          std::uint64_t place) {
    const LaneShape& shape = lanes_[lane];
    const std::uint64_t begin = index_->begins(lane)[found];
    const std::uint64_t into = key - counts_->of(lane)[found];
    std::uint64_t start = begin + into;
    if (rule_.count == StartRule::Count::kValues) {
      start = PositionOfRow(reader_, begin) + into;
    }
    if (shape.extra && found == shape.last &&
        into >= StartsOf(begin, shape.last_end)) {  // in the segment of the last row alone
      const std::uint64_t rest = into - StartsOf(begin, shape.last_end);
      start = shape.last_end + rest;
      if (rule_.count == StartRule::Count::kValues) {
        start = PositionOfRow(reader_, shape.last_end) + rest;
      }
    }
    batch.starts_[place] = static_cast<std::int64_t>(
        rule_.count == StartRule::Count::kValues ? start : start * options_.lanes + lane);
  };
  if (options_.lanes == 1) {
    keys_.resize(numbers.size());
    found_.resize(numbers.size());
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      keys_[i] = numbers[i] + lanes_[0].skipped;
    }
    SearchMany(counts_->of(0).data(), lanes_[0].last + 1, keys_, found_);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      finish(0, keys_[i], found_[i], places[i]);
    }
    return;
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::uint64_t lane = SearchOne(lane_begins_.data(), lane_begins_.size(), numbers[i]);
    const std::uint64_t key = numbers[i] - lane_begins_[lane] + lanes_[lane].skipped;
    const std::uint64_t found = SearchOne(counts_->of(lane).data(), lanes_[lane].last + 1, key);
    finish(lane, key, found, places[i]);
  }
}

// --- padding ---

// Turns the row a padded window starts (ends) at into its first stored row, lead and count.
void StoreStarts::Pad(std::span<const std::uint64_t> places, WindowBatch& batch) {
  std::optional<std::scoped_lock<ForkMutex>> lock;
  if (by_segments()) {
    lock.emplace(index_->mutex());
  }
  const std::uint64_t lanes = options_.lanes;
  std::uint64_t shaped = lanes;  // the lane of `shape`; none yet
  LaneShape shape;
  for (const std::uint64_t place : places) {
    const auto row = static_cast<std::uint64_t>(batch.starts_[place]);
    const std::uint64_t lane = row % lanes;
    const std::uint64_t at = row / lanes;
    std::uint64_t begin = 0;
    std::uint64_t end = RowsOfLane(lane, extent_.rows);
    if (by_segments()) {
      if (lane != shaped) {
        shape = ShapeOf(lane);
        shaped = lane;
      }
      if (shape.extra && at == shape.last_end) {
        begin = at;
      } else {
        const WordList& begins = index_->begins(lane);
        const std::uint64_t segment = SearchOne(begins.data(), shape.last + 1, at);
        begin = begins[segment];
        end = segment == shape.last ? shape.last_end : begins[segment + 1];
      }
    }
    std::uint64_t count = std::min(options_.length, end - at);
    if (options_.pad == SamplePad::kLeft) {
      count = std::min(options_.length, at - begin + 1);
      batch.starts_[place] = static_cast<std::int64_t>(row - (count - 1) * lanes);
    }
    batch.count_[place] = static_cast<std::uint32_t>(count);
    batch.lead_[place] =
        static_cast<std::uint32_t>(options_.pad == SamplePad::kLeft ? options_.length - count : 0);
  }
}

void StoreStarts::ToPositions(std::span<const std::uint64_t> places, WindowBatch& batch) {
  std::vector<Row> rows(places.size());
  std::vector<Position> positions(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    rows[i] = batch.starts_[places[i]];
  }
  reader_.PositionOf(rows, positions);
  for (std::size_t i = 0; i < places.size(); ++i) {
    batch.starts_[places[i]] = positions[i];
  }
}

void StoreStarts::Resolve(std::span<const std::uint64_t> numbers,
                          std::span<const std::uint64_t> places, WindowBatch& batch) {
  if (numbers.empty()) {
    return;
  }
  if (by_segments() && !padded()) {
    ResolveSegments(numbers, places, batch);
  } else {
    ResolveRange(numbers, places, batch);
  }
  if (rows_by_values()) {
    ToPositions(places, batch);
  } else if (padded()) {
    Pad(places, batch);
  }
}

std::string StoreStarts::Describe() {
  std::string text = StrCat(view().row_count, " rows");
  if (extent_.rows != view().row_count) {
    text += StrCat(" (", extent_.rows, " complete)");
  }
  if (in_values()) {
    text += StrCat(", ", view().value_count, " values");
  }
  if (by_segments()) {
    const std::scoped_lock lock(index_->mutex());
    text += StrCat(" in ", extent_.rows == 0 ? 0 : index_->segments(), " segments");
  }
  return text;
}

}  // namespace stream_store::internal
