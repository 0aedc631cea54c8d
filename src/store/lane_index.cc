#include "store/lane_index.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>

#include "stream_store/error.h"

#include "base/block_pipe.h"
#include "base/str_cat.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/segment_index.h"
#include "store/shared_indexes.h"

namespace stream_store::internal {
namespace {

using Indexes = SharedIndexes<LaneIndex, LaneRules>;

[[maybe_unused]] const Indexes& kMade = Indexes::Get();

}  // namespace

// Each step of the search is a conditional move, as in SearchOne(): draws are random, and a processor
// that guesses takes twice as long.
std::uint64_t SegmentAt(std::span<const LaneSegment> segments, std::uint64_t at) noexcept {
  STREAM_STORE_ASSERT(!segments.empty() && segments[0].begin <= at);
  const LaneSegment* base = segments.data();
  for (std::size_t left = segments.size(); left > 1;) {
    const std::size_t half = left / 2;
    base += base[half].begin <= at ? half : 0;
    left -= half;
  }
  return static_cast<std::uint64_t>(base - segments.data());
}

bool HasEnded(std::span<const LaneSegment> segments, std::uint64_t number,
              std::uint64_t rows) noexcept {
  if (number + 1 >= segments.size()) {
    return false;
  }
  const LaneSegment next = segments[number + 1];
  return next.begin < rows || (next.begin == rows && next.ended != 0);
}

std::shared_ptr<LaneIndex> LaneIndex::SharedFor(const Reader& reader, const LaneRules& rules) {
  const auto made = std::make_shared<LaneIndex>(reader, rules);
  return Indexes::Get().FindOrAdd(
      ReaderAccess::SourceOf(reader), rules, made, [&](const LaneIndex& index) {
        return index.Fits(reader.first_row()) ? IndexUse::kShare : IndexUse::kKeep;
      });
}

LaneIndex::LaneIndex(const Reader& reader, LaneRules rules)
    : rules_(std::move(rules)),
      scanner_(rules_.fields),
      table_(scanner_.key_width()),
      lanes_(by_key() ? 0 : rules_.lanes),
      first_row_(reader.first_row()) {
  CheckScanFields(reader.schema(), rules_.fields);
  if (rules_.fields.time) {
    time_dtype_ = reader.schema()[*rules_.fields.time].dtype;
  }
  if (!rules_.fields.segment_by.empty()) {
    by_ = CheckCutFields(reader.schema(), rules_.fields.segment_by);
  }
  scanner_.GoToBegin(ReaderAccess::ViewOf(reader));
  rows_ = scanner_.next_row();
}

bool LaneIndex::Fits(std::uint64_t first_row) const noexcept {
  if (first_row < first_row_ || first_row > rows()) {
    return false;
  }
  if (wrong_time_ && wrong_time_->row < first_row) {
    return false;
  }
  const std::uint64_t dropped = first_row - first_row_;
  return dropped <= kFewDropped || dropped <= (rows() - first_row_) / 2;
}

std::uint64_t LaneIndex::RowsBefore(std::uint64_t lane, std::uint64_t row) const noexcept {
  STREAM_STORE_ASSERT(lane < lanes_.size() && first_row() <= row);
  if (!by_key()) {
    return RowsOfLane(lane, rules_.lanes, row);
  }
  const std::span<const std::uint32_t> rows = lanes_[lane].rows.all();
  if (row >= this->rows()) {
    return rows.size();
  }
  return static_cast<std::uint64_t>(std::ranges::lower_bound(rows, row - first_row_) -
                                    rows.begin());
}

void LaneIndex::ReadRowsAround(const LanePlace& place, std::span<const std::int64_t> offsets,
                               std::span<Row> rows) const noexcept {
  STREAM_STORE_ASSERT(rows.size() == offsets.size());
  const auto at = static_cast<std::int64_t>(place.at);
  if (!by_key()) {
    const auto lanes = static_cast<std::int64_t>(rules_.lanes);
    for (std::size_t k = 0; k < offsets.size(); ++k) {
      rows[k] = (at + offsets[k]) * lanes + static_cast<std::int64_t>(place.lane);
    }
    return;
  }
  const std::uint32_t* anchor = lanes_[place.lane].rows.data() + at;
  for (std::size_t k = 0; k < offsets.size(); ++k) {
    rows[k] = static_cast<Row>(first_row_ + anchor[offsets[k]]);
  }
}

bool LaneIndex::IsExcluded(std::uint64_t row) noexcept {
  const std::vector<RowRange>& exclude = rules_.exclude;
  while (excluded_ < exclude.size() && static_cast<std::uint64_t>(exclude[excluded_].end) <= row) {
    ++excluded_;
  }
  return excluded_ < exclude.size() && static_cast<std::uint64_t>(exclude[excluded_].begin) <= row;
}

// Reads the next rows before row `end`, a block of them, and finds their lanes. Returns whether there are
// more. This does not look at what EnterAll() changes, so both can run at the same time.
bool LaneIndex::ReadSome(const View& view, std::uint64_t end, std::vector<ReadRow>& block) {
  constexpr std::uint64_t kRowsOfBlock = 1024;
  const std::uint64_t block_end = std::min(end, scanner_.next_row() + kRowsOfBlock);
  block.clear();
  block.reserve(block_end - scanner_.next_row());  // so that no row is lost for lack of memory
  scanner_.ReadTo(view, block_end, [&](std::uint64_t row, const RowFacts& facts) {
    const std::uint64_t lane = by_key() ? table_.Number(scanner_.key()) : row % rules_.lanes;
    block.push_back({row, lane, facts});
  });
  return block_end < end;
}

// Enters rows that were read. With many lanes, each row waits for the memory of its lane, so that of some
// rows is fetched before the first of them is entered.
void LaneIndex::EnterAll(std::span<const ReadRow> block) {
  constexpr std::size_t kTogether = 32;
  for (; !block.empty(); block = block.subspan(std::min(block.size(), kTogether))) {
    const std::span<const ReadRow> some = block.first(std::min(block.size(), kTogether));
    const std::span<const ReadRow> later = block.subspan(some.size());
    for (const ReadRow& row : later.first(std::min(later.size(), kTogether))) {
      if (row.lane < lanes_.size()) {
        __builtin_prefetch(&lanes_[row.lane]);
      }
    }
    for (const ReadRow& row : some) {
      if (row.lane == lanes_.size()) {
        lanes_.emplace_back();
      }
      const Lane& lane = lanes_[row.lane];
      __builtin_prefetch(lane.rows.data() + lane.rows.size(), 1);
      __builtin_prefetch(lane.segments.data() + lane.segments.size());
    }
    for (const ReadRow& row : some) {
      Enter(row);
    }
  }
}

std::uint64_t LaneIndex::AddToLane(std::uint64_t row, std::uint64_t lane) {
  if (!by_key()) {
    return row / rules_.lanes;
  }
  const std::uint64_t at = lanes_[lane].rows.size();
  lanes_[lane].rows.Add(static_cast<std::uint32_t>(row - first_row_));
  places_.Add(lane << 32 | at);
  return at;
}

void LaneIndex::Enter(const ReadRow& read) {
  constexpr std::uint64_t kMostAt = (std::uint64_t{1} << 62) - 1;  // rows are below 2^48
  const auto& [row, lane_number, facts] = read;
  const std::uint64_t at = AddToLane(row, lane_number);
  Lane& lane = lanes_[lane_number];
  const bool cuts = !rules_.fields.segment_by.empty();
  const Value last = lane.cutter.last();
  const bool begins = cuts && lane.cutter.Enter(by_, facts.cut);
  const bool dead = !facts.kept || IsExcluded(row);
  if (begins && !dead && by_ == CutBy::kChange && rules_.lanes > 1) {
    CheckLane(lane, row, last, facts.cut.value);
  }
  const std::size_t count = lane.segments.size();
  if (count > 0 && lane.segments[count - 1].begin == at) {
    lane.segments.at(count - 1).dead = dead ? 1 : 0;
  } else if (count == 0 || begins || (lane.segments[count - 1].dead != 0) != dead) {
    lane.segments.Add({.begin = at & kMostAt, .dead = dead ? 1U : 0U, .ended = 0});
  }
  if (rules_.fields.time) {
    AddTime(read, at, lane.segments[lane.segments.size() - 1]);
  }
  if (cuts && by_ == CutBy::kTrue && facts.cut.ended) {
    lane.segments.Add({.begin = (at + 1) & kMostAt, .dead = 0, .ended = 1});
  }
  if (!rules_.fields.require.empty()) {
    const std::uint64_t bit = row - first_row_;
    if (bit % 64 == 0) {
      required_.Add(0);
    }
    required_.at(bit / 64) |= std::uint64_t{facts.has_required} << bit % 64;
  }
  rows_ = row + 1;
}

// A segment of the lane begins with the row.
void LaneIndex::CheckLane(Lane& lane, std::uint64_t row, Value last, Value value) noexcept {
  if (!lane.check.Enter(row / rules_.lanes, last, value)) {
    return;
  }
  if (!alternation_) {
    alternation_ = {.first_row = row - 3 * rules_.lanes, .one = last, .other = value};
  }
  alternation_->last_row = row;
}

// A row that must not be in a window needs no time.
void LaneIndex::AddTime(const ReadRow& read, std::uint64_t at, const LaneSegment& segment) {
  const bool continues = segment.begin < at;
  const std::int64_t before = continues ? TimeAt(read.lane, at - 1) : 0;
  const std::optional<std::int64_t> known =
      read.facts.time ? NanosecondsOf(time_dtype_, *read.facts.time) : std::nullopt;
  const std::int64_t time = known.value_or(before);
  if (!wrong_time_ && segment.dead == 0) {
    if (!known) {
      wrong_time_ = {.row = read.row, .missing = !read.facts.time};
    } else if (continues && time < before) {
      wrong_time_ = {.row = read.row, .before = RowAt(read.lane, at - 1), .fell_by = before - time};
    }
  }
  times_.Add(static_cast<std::uint64_t>(time));
}

void LaneIndex::RequireTimes(std::uint64_t rows) const {
  if (wrong_time_ && wrong_time_->row < rows) {
    ThrowWrongTime(*wrong_time_);
  }
}

void LaneIndex::Extend(const Reader& reader, std::uint64_t rows) {
  STREAM_STORE_ASSERT(Fits(reader.first_row()) && rows <= reader.num_rows());
  if (rows_ >= rows) {
    return;
  }
  constexpr std::uint64_t kManyRows = std::uint64_t{1} << 18;  // a thread costs less than these
  constexpr std::uint64_t kMostRows = std::uint64_t{1} << 32;
  if (by_key() && rows - first_row_ > kMostRows) {
    throw Error(ErrorCode::kState,
                StrCat("lane_by: expected at most 2^32 rows but the sampler has seen rows ",
                       first_row_, " to ", rows - 1, "; bound the store with retain_rows"));
  }
  const auto read = [&](const View& view, Row, Row part_end) {
    const auto end = static_cast<std::uint64_t>(part_end);
    const bool many = end - scanner_.next_row() >= kManyRows;
    BlockPipe<std::vector<ReadRow>> pipe(
        [&](std::vector<ReadRow>& block) { return ReadSome(view, end, block); },
        [&](const std::vector<ReadRow>& block) { EnterAll(block); });
    if (many && std::thread::hardware_concurrency() > 1) {
      pipe.Run();
    } else {
      pipe.RunAlone();
    }
    return true;
  };
  ReadInParts(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
              static_cast<Row>(scanner_.next_row()), static_cast<Row>(rows), read);
}

}  // namespace stream_store::internal
