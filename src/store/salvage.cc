#include "store/salvage.h"

#include <algorithm>
#include <new>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/record.h"

namespace stream_store::internal {
namespace {

constexpr char kOtherSession[] = "it was written by another session";

}  // namespace

void GapList::Add(const Gap& gap) {
  if (gap.rows == 0) {
    return;
  }
  rows_ += gap.rows;
  const bool extends = count_ > 0 && gap.first_row == end_;
  end_ = gap.first_row + gap.rows;
  if (extends) {
    if (count_ == gaps_.size()) {
      gaps_.back().rows += gap.rows;
    }
    return;
  }
  count_ += 1;
  if (gaps_.size() < most_) {
    gaps_.push_back(gap);
  }
}

Salvage::Salvage(const DamagedFiles& files, const SalvageExtent& extent, GapList& gaps)
    : files_(files),
      extent_(extent),
      gaps_(gaps),
      verifier_(files.verifier_parts()),
      blocks_(files.encodings),
      cursor_(CursorAt(files.begin)) {
  STREAM_STORE_ASSERT(files.verifiable());
}

void Salvage::Run(RecordCopier& copier) {
  const std::uint64_t end = std::min(extent_.records, verifier_.record_capacity());
  for (std::uint64_t i = files_.begin.records; i < end; ++i) {
    VerifiedRecord verified;
    const std::string fault = Fault(i, verified);
    if (fault.empty()) {
      Take(i, verified, copier);
    } else if (gap_reason_.empty()) {
      gap_reason_ = StrCat("record ", i, ": ", fault);
    }
  }
  EndWithGap(copier);
  CloseRow(copier);
}

// Verifies record i. Returns the reason why it does not count, or an empty text.
std::string Salvage::Fault(std::uint64_t i, VerifiedRecord& verified) {
  try {
    verified = verifier_.VerifyRecord(i);
  } catch (const Error& error) {
    only_older_ = false;
    return error.what();
  }
  const char* fault = verified.fault != nullptr ? verified.fault : WhyNot(i, verified);
  if (fault == nullptr) {
    return {};
  }
  only_older_ = only_older_ && fault == kOtherSession;
  return fault;
}

// Whether a valid record may follow the last one that counted. Directly after that one, it must be
// exactly the next.
const char* Salvage::WhyNot(std::uint64_t i, const VerifiedRecord& verified) const {
  if (OtherSession(i, verified.record)) {
    return kOtherSession;
  }
  return i == cursor_.records ? WhyNotNext(cursor_, verified) : WhyNotAfterGap(i, verified);
}

// The rules of WhyNotNext(), with room for the records of the gap: each lost row had at least one.
const char* Salvage::WhyNotAfterGap(std::uint64_t i, const VerifiedRecord& verified) const {
  const Record& record = verified.record;
  const std::uint64_t row = RowOfRecord(record.row_session);
  if (record.start < cursor_.values) {
    return "it starts before the end of the record before the damage";
  }
  if (cursor_.follows_record && row == cursor_.rows - 1) {
    const bool continues = record.step == cursor_.step && verified.layout.fields > 0 &&
                           verified.layout.first_type > cursor_.last_type;
    return continues ? nullptr : "its row and step do not continue the row before the damage";
  }
  if (row < cursor_.rows || row - cursor_.rows > i - cursor_.records) {
    return "its row does not come after the row before the damage";
  }
  return cursor_.follows_record && record.step <= cursor_.step
             ? "its step does not come after the row before the damage"
             : nullptr;
}

// Session numbers never go back. After the last sync, opening accepts only the session of the slot:
// other records there were removed by a recovery. The difference is signed because 16 bits wrap.
bool Salvage::OtherSession(std::uint64_t i, const Record& record) const {
  const std::uint16_t session = SessionOfRecord(record.row_session);
  if (extent_.slot && i >= extent_.slot->records) {
    return session != static_cast<std::uint16_t>(extent_.slot->session);
  }
  return cursor_.follows_record && static_cast<std::int16_t>(session - session_) < 0;
}

void Salvage::Take(std::uint64_t i, const VerifiedRecord& verified, RecordCopier& copier) {
  const std::uint64_t row = RowOfRecord(verified.record.row_session);
  if (i != cursor_.records) {
    EndGap(i, verified, copier);
  } else if (!row_ || row != row_->row) {
    CloseRow(copier);
    row_ = OpenRow{.row = row, .records = {}, .lost = {}};
  }
  if (row_->lost.empty()) {
    CheckBlocks(verified.record);
    row_->records.push_back(verified);
  }
  cursor_.records = i;
  cursor_.values = verified.record.start;
  Advance(verified, cursor_);
  session_ = SessionOfRecord(verified.record.row_session);
  gap_reason_.clear();
  only_older_ = true;
}

// Ends a gap at record i, the first that counts again, and opens its row.
void Salvage::EndGap(std::uint64_t i, const VerifiedRecord& verified, RecordCopier& copier) {
  const std::uint64_t row = RowOfRecord(verified.record.row_session);
  const Incomplete incomplete = FindIncomplete(
      verifier_, {.before = cursor_,
                  .end = i,
                  .row_limit = row,
                  .after = AfterGap{row, verified.record.step, verified.record.start}});
  if (row_ && incomplete.before && row_->lost.empty()) {
    row_->lost = gap_reason_;
  }
  if (row_ && row == row_->row) {
    return;
  }
  CloseRow(copier);
  Lose(cursor_.rows, row - cursor_.rows, gap_reason_, copier);
  row_ = OpenRow{.row = row, .records = {}, .lost = incomplete.after ? gap_reason_ : ""};
}

// A record may be what was written and still have a block field that is not valid.
void Salvage::CheckBlocks(const Record& record) {
  std::string reason;
  try {
    if (const std::optional<BlockFault> fault = blocks_.Check(verifier_, record)) {
      reason = StrCat("field '", (*files_.schema)[fault->type].name, "': ", fault->reason);
    }
  } catch (const Error& error) {
    reason = error.what();
  } catch (const std::bad_alloc&) {
    reason = "too little memory to check a nested cell";
  }
  if (!reason.empty()) {
    row_->lost = StrCat("row ", row_->row, ": ", reason);
  }
}

void Salvage::CloseRow(RecordCopier& copier) {
  if (!row_) {
    return;
  }
  if (row_->lost.empty()) {
    const std::uint64_t row = copier.rows();
    for (const VerifiedRecord& verified : row_->records) {
      copier.Append(verified, row);
    }
  } else {
    Lose(row_->row, 1, row_->lost, copier);
  }
  row_.reset();
}

// Ends the walk. Damage after the last sync ends the store, as opening it would: what was not
// synced may be lost, and the last row may lack its last appends. Before it, the slot says how many
// rows there were. Without a slot, at least one row is lost.
void Salvage::EndWithGap(RecordCopier& copier) {
  const std::optional<Slot>& slot = extent_.slot;
  const std::uint64_t end = slot ? slot->records : extent_.records;
  if (cursor_.records >= end || (!slot && !gap_reason_.empty() && only_older_)) {
    return;
  }
  if (gap_reason_.empty()) {
    gap_reason_ = StrCat("record ", cursor_.records, ": the records file ends");
  }
  // Without a slot, nobody knows the number of rows: it is taken to be too large for all of them.
  const std::uint64_t rows =
      slot ? std::max(slot->rows, cursor_.rows) : cursor_.rows + (end - cursor_.records) + 1;
  const Incomplete incomplete = FindIncomplete(
      verifier_, {.before = cursor_, .end = end, .row_limit = rows, .after = std::nullopt});
  if (row_ && incomplete.before && row_->lost.empty()) {
    row_->lost = gap_reason_;
  }
  const bool kept = !row_ || row_->lost.empty();
  CloseRow(copier);
  const std::uint64_t lost = slot ? rows - cursor_.rows : kept ? 1 : 0;
  Lose(cursor_.rows, lost, gap_reason_, copier);
}

void Salvage::Lose(std::uint64_t first_row, std::uint64_t rows, const std::string& reason,
                   const RecordCopier& copier) {
  gaps_.Add({.first_row = first_row, .rows = rows, .new_row = copier.rows(), .reason = reason});
}

}  // namespace stream_store::internal
