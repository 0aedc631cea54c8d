#include "store/segment_index.h"

#include <algorithm>
#include <mutex>

#include "stream_store/error.h"

#include "base/assert.h"
#include "base/str_cat.h"
#include "storage/locate.h"
#include "store/read_functions.h"
#include "store/read_via.h"
#include "store/record_cursor.h"
#include "store/search_many.h"
#include "store/shared_indexes.h"

namespace stream_store::internal {
namespace {

struct SegmentRules {
  std::vector<TypeId> types;
  std::uint64_t lanes = 1;

  friend bool operator==(const SegmentRules&, const SegmentRules&) = default;
};

using Indexes = SharedIndexes<SegmentIndex, SegmentRules>;

[[maybe_unused]] const Indexes& kMade = Indexes::Get();

}  // namespace

std::shared_ptr<SegmentIndex> SegmentIndex::SharedFor(const Reader& reader,
                                                      const std::vector<TypeId>& types,
                                                      std::uint64_t lanes) {
  const CutBy by = CheckCutFields(reader.schema(), types);
  const auto made = std::make_shared<SegmentIndex>(by, types, lanes, reader);
  return Indexes::Get().FindOrAdd(ReaderAccess::SourceOf(reader), SegmentRules{types, lanes}, made,
                                  [&](const SegmentIndex& index) {
                                    if (index.complete_from() > reader.first_row()) {
                                      return IndexUse::kKeep;
                                    }
                                    if (!index.IsMostlyDropped(reader.first_row())) {
                                      return IndexUse::kShare;
                                    }
                                    made->CopyFrom(index, reader.first_row());
                                    return IndexUse::kReplace;
                                  });
}

SegmentIndex::SegmentIndex(CutBy by, const std::vector<TypeId>& types, std::uint64_t lanes,
                           const Reader& reader)
    : by_(by), reader_(types), lanes_(lanes) {
  BeginAt(reader);
}

// Goes on at the first row that the Reader has. In each lane, the first row from there on begins a
// segment.
void SegmentIndex::BeginAt(const Reader& reader) {
  reader_.GoToBegin(ReaderAccess::ViewOf(reader));
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    WordList& begins = lanes_[lane].begins;
    const std::uint64_t begin = RowsOfLane(lane, lanes_.size(), reader_.next_row());
    if (begins.empty() || begins[begins.size() - 1] < begin) {
      begins.Add(begin);
    }
    lanes_[lane].cutter = Cutter();
  }
  complete_from_.store(reader_.next_row(), std::memory_order_release);
}

bool SegmentIndex::IsMostlyDropped(std::uint64_t first_row) const noexcept {
  std::uint64_t dropped = 0;
  std::uint64_t count = 0;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const WordList& begins = lanes_[lane].begins;
    dropped += SearchOne(begins.data(), begins.size(),
                         std::max(begins[0], RowsOfLane(lane, lanes_.size(), first_row)));
    count += begins.size();
  }
  return dropped > kFewDropped && dropped > count / 2;
}

// Takes over what another index knows of the rows from `first_row` on. The mutex of the other one is
// held. Without such rows, this index stays as it is: new.
void SegmentIndex::CopyFrom(const SegmentIndex& other, std::uint64_t first_row) {
  if (other.rows() < first_row || other.rows() <= rows()) {
    return;
  }
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const WordList& begins = other.lanes_[lane].begins;
    WordList kept;
    for (std::size_t i =
             SearchOne(begins.data(), begins.size(), RowsOfLane(lane, lanes_.size(), first_row));
         i < begins.size(); ++i) {
      kept.Add(begins[i]);
    }
    lanes_[lane].begins = std::move(kept);
    lanes_[lane].cutter = other.lanes_[lane].cutter;
    lanes_[lane].check = other.lanes_[lane].check;
  }
  alternation_ = other.alternation_;
  reader_ = other.reader_;
  complete_from_.store(first_row, std::memory_order_release);
}

// A segment of the lane begins with the row.
void SegmentIndex::EnterBegin(std::uint64_t lane, std::uint64_t row, const RowCut& cut) {
  const std::uint64_t count = lanes_.size();
  Lane& in = lanes_[lane];
  in.begins.Add(row / count);
  if (count == 1 || by_ != CutBy::kChange) {
    return;
  }
  if (in.check.Enter(row / count, in.cutter.last(), cut.value)) {
    if (!alternation_) {
      alternation_ = {.first_row = row - 3 * count, .one = in.cutter.last(), .other = cut.value};
    }
    alternation_->last_row = row;
  }
}

void SegmentIndex::Extend(const Reader& reader, std::uint64_t final_rows) {
  STREAM_STORE_ASSERT(final_rows <= reader.num_rows());
  if (reader_.next_row() >= final_rows) {
    return;
  }
  if (reader_.next_row() < reader.first_row()) {
    BeginAt(reader);
  }
  // The lane is counted along, since a division per row would cost more than reading the row.
  const std::uint64_t count = lanes_.size();
  std::uint64_t lane = reader_.next_row() % count;
  ReadInParts(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
              static_cast<Row>(reader_.next_row()), static_cast<Row>(final_rows),
              [&](const View& view, Row, Row end) {
                reader_.ReadTo(view, static_cast<std::uint64_t>(end),
                               [&](std::uint64_t row, const RowCut& cut) {
                                 if (lanes_[lane].cutter.Begins(by_, cut)) [[unlikely]] {
                                   EnterBegin(lane, row, cut);
                                 }
                                 lanes_[lane].cutter.Move(cut);
                                 lane = lane + 1 == count ? 0 : lane + 1;
                               });
                return true;
              });
}

bool SegmentIndex::NextBegins(const Reader& reader) const {
  STREAM_STORE_ASSERT(reader.first_row() <= rows() && rows() < reader.num_rows());
  CutReader cuts = reader_;  // a copy, so that the row is read again once it is final
  const std::uint64_t row = cuts.next_row();
  const auto begin = static_cast<Row>(row);
  bool begins = false;
  ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
          FetchRange(begin, begin + 1, /*values=*/true), [&](const View& view) {
            cuts.ReadTo(view, row + 1, [&](std::uint64_t, const RowCut& cut) {
              begins = lanes_[row % lanes_.size()].cutter.Begins(by_, cut);
            });
          });
  return begins;
}

bool SegmentIndex::AnyKnown(const Reader& reader, std::uint64_t lane, std::uint64_t begin,
                            std::uint64_t end) const {
  STREAM_STORE_ASSERT(begin >= end || (end - 1) * lanes_.size() + lane < reader.num_rows());
  bool known = false;
  for (std::uint64_t at = begin; at < end && !known; ++at) {
    const std::uint64_t row = at * lanes_.size() + lane;
    const auto wanted = static_cast<Row>(row);
    ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
            FetchRange(wanted, wanted + 1, /*values=*/true), [&](const View& view) {
              CutReader cuts(reader_.types());
              cuts.GoTo(view, row);
              cuts.ReadTo(view, row + 1,
                          [&](std::uint64_t, const RowCut& cut) { known = cut.known; });
            });
  }
  return known;
}

std::uint64_t SegmentIndex::SegmentsFrom(std::uint64_t first_row) const noexcept {
  std::uint64_t count = 0;
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const WordList& begins = lanes_[lane].begins;
    count += begins.size() -
             SearchOne(begins.data(), begins.size(), RowsOfLane(lane, lanes_.size(), first_row));
  }
  return count;
}

std::shared_ptr<StartCounts> SegmentIndex::CountsOf(const StartRule& rule,
                                                    std::uint64_t first_row) {
  std::erase_if(counts_, [](const auto& counts) { return counts.expired(); });
  for (const auto& known : counts_) {
    std::shared_ptr<StartCounts> counts = known.lock();
    if (counts != nullptr && counts->rule() == rule && counts->complete_from() <= first_row) {
      return counts;
    }
  }
  auto made = std::make_shared<StartCounts>(rule, lanes_.size());
  counts_.push_back(made);
  return made;
}

void SegmentIndex::ExtendCounts(const Reader& reader, StartCounts& counts) const {
  for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
    const WordList& begins = lanes_[lane].begins;
    WordList& sums = counts.lanes_[lane];
    if (sums.empty()) {
      sums.Add(0);
    }
    // The last segment is open and has no sum after it. An index that a newer Reader has extended
    // can hold segments that end beyond this one.
    const std::uint64_t rows = reader.num_rows();
    while (sums.size() < begins.size() && begins[sums.size()] < rows) {
      const std::size_t segment = sums.size() - 1;
      const std::uint64_t end = begins[segment + 1];
      const bool by_rows = counts.rule().count == StartRule::Count::kRows;
      if (!by_rows && begins[segment] < reader.first_row()) {
        counts.complete_from_ = std::max(counts.complete_from_, reader.first_row());
        sums.Add(sums[segment]);
        continue;
      }
      const std::uint64_t end_position = by_rows ? 0 : PositionOfRow(reader, end);
      sums.Add(sums[segment] + StartsIn(reader, counts.rule(), begins[segment], end, end_position));
    }
  }
}

std::uint64_t PositionOfRow(const Reader& reader, std::uint64_t row) {
  STREAM_STORE_ASSERT(reader.first_row() <= row && row < reader.num_rows());
  const auto wanted = static_cast<Row>(row);
  return ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
                 FetchRange(wanted, wanted + 1, /*values=*/false), [&](const View& view) {
                   const std::uint64_t record = RecordOfRow(view, wanted);
                   const std::uint64_t start = LoadOnce(view.records[record].start);
                   if (start < view.first_position || start > view.value_count) {
                     ThrowStartsOutside(view, record, start);
                   }
                   return start;
                 });
}

std::uint64_t RowOfPosition(const Reader& reader, std::uint64_t position) {
  STREAM_STORE_ASSERT(reader.first_position() <= position && position < reader.size());
  const auto wanted = static_cast<Position>(position);
  return ReadVia(*ReaderAccess::SourceOf(reader), ReaderAccess::ViewOf(reader),
                 FetchWindows(std::span<const Position>(&wanted, 1), 1), [&](const View& view) {
                   const std::uint64_t record = RecordOfPosition(view, wanted);
                   const std::uint64_t row =
                       RowOfRecord(LoadOnce(view.records[record].row_session));
                   if (row < view.first_row || row >= view.row_count) {
                     ThrowCorruptRecord(view, record,
                                        StrCat("expected a row in [", view.first_row, ", ",
                                               view.row_count, ") but found ", row));
                   }
                   return row;
                 });
}

std::uint64_t StartsIn(const Reader& reader, const StartRule& rule, std::uint64_t begin,
                       std::uint64_t end, std::uint64_t end_position) {
  if (begin >= end) {
    return 0;
  }
  if (rule.count == StartRule::Count::kRows) {
    return end - begin >= rule.length ? end - begin - rule.length + 1 : 0;
  }
  const std::uint64_t begin_position = PositionOfRow(reader, begin);
  if (end_position < begin_position || end_position - begin_position < rule.length) {
    return 0;
  }
  const std::uint64_t last = end_position - rule.length;  // the last position where one fits
  if (rule.count == StartRule::Count::kValues) {
    return last - begin_position + 1;
  }
  // Rows whose first value is at `last` or before it are starts. Without windows that begin in the
  // middle of a row, the row that holds `last` is the last of them.
  const std::uint64_t last_row = RowOfPosition(reader, last);
  return last_row < begin || last_row >= end ? 0 : last_row - begin + 1;
}

}  // namespace stream_store::internal
