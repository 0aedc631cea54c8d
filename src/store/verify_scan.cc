// The checks of Verify() and Repair(), in their order. Severities: damage is data that was lost or
// that reads would refuse; a notice is harmless, since the next writer or reader repairs or ignores
// it.
#include "store/verify_scan.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/str_cat.h"
#include "format/bytes.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kProgressBytes = 16 << 20;  // between progress reports

std::string RecordText(const Record& record) {
  return StrCat("start ", record.start, ", row ", RowOfRecord(record.row_session), ", step ",
                record.step, ", layout ", record.layout);
}

}  // namespace

// A finding of one kind of data names the chunk file, and the byte in it.
void StoreScan::Add(Finding finding) {
  const std::uint64_t chunk_bytes =
      files_.identity ? files_.identity->chunk_bytes : kDefaultChunkBytes;
  if (std::ranges::find(kKindNames, finding.file) != kKindNames.end()) {
    finding.file = ChunkName(finding.file, finding.offset / chunk_bytes);
    finding.offset %= chunk_bytes;
  }
  std::uint64_t& count =
      finding.severity == Finding::Severity::kDamage ? report_.damages : report_.notices;
  count += 1;
  if (report_.findings.size() < options_.max_findings) {
    report_.findings.push_back(std::move(finding));
  }
}

void StoreScan::Damage(const char* file, std::uint64_t offset, std::string subject,
                       std::string expected, std::string found) {
  Add({Finding::Severity::kDamage, file, offset, std::move(subject), std::move(expected),
       std::move(found)});
}

void StoreScan::Notice(const char* file, std::uint64_t offset, std::string subject,
                       std::string expected, std::string found) {
  Add({Finding::Severity::kNotice, file, offset, std::move(subject), std::move(expected),
       std::move(found)});
}

void StoreScan::Run(bool to_first_damage) {
  if (files_.control != nullptr && files_.identity) {
    try {
      CheckControl();
    } catch (const Error& error) {
      Damage(kControlName, 0, "the file", "readable bytes", error.what());
    }
  }
  if (!files_.verifiable()) {
    return;
  }
  try {
    RecordVerifier verifier(files_.verifier_parts());
    OpenHints();
    cursor_ = good_ = CursorAt(files_.begin);
    CheckSizes(verifier);
    CheckRecords(verifier, to_first_damage);
  } catch (const Error& error) {
    if (calling_progress_) {
      throw;  // an error of the caller, not of a file
    }
    Damage(KindName(Kind::kRecords), 0, "the data files", "readable bytes", error.what());
  }
}

// Checks that a kind has `wanted` entries. It had room for `there` when its files were opened: a
// writer may have made more since, and synced them before the slot was read.
void StoreScan::ExpectEnd(Kind kind, std::uint64_t wanted, std::uint64_t there,
                          std::uint64_t entry_bytes) {
  if (wanted > there && report_.live) {
    const std::uint64_t sentinel = kind == Kind::kRecords ? 1 : 0;
    there = files_.EndNow(kind) / entry_bytes;
    there -= std::min(there, sentinel);
  }
  if (wanted > there) {
    Damage(KindName(kind), there * entry_bytes, "its end",
           StrCat(wanted, " entries that were synced"), StrCat(there));
  }
}

// Ends the walk where the files that were opened end.
void StoreScan::LimitEnd(RecordVerifier& verifier) {
  if (!files_.persistent || report_.live) {
    ExpectEnd(Kind::kRecords, end_, verifier.record_capacity(), sizeof(Record));
  }
  end_ = counted_ = std::max(files_.begin.records, std::min(end_, verifier.record_capacity()));
}

// Checks that the entries that the slot and `published` count lie inside the files.
void StoreScan::CheckSizes(RecordVerifier& verifier) {
  if (slot_) {
    ExpectEnd(Kind::kRecords, slot_->records, verifier.record_capacity(), sizeof(Record));
    ExpectEnd(Kind::kValues, slot_->values, verifier.value_capacity(), sizeof(Value));
    ExpectEnd(Kind::kLayouts, slot_->layout_words, verifier.layout_capacity(), 8);
  }
  const bool closed = slot_ && slot_->clean && !report_.live;
  end_ = !slot_ || !closed ? published_ : slot_->records;
  if (slot_ && !report_.live) {
    end_ = std::max(end_, slot_->records);
  }
  LimitEnd(verifier);
  if (verifier.has_layout_word(0) && verifier.layout_word(0) != 0) {
    Damage(KindName(Kind::kLayouts), 0, "word 0", "0, the empty layout", "something else");
  }
}

// Whether recovery would end before this record although it is valid. Records after the last sync
// count only if they are of the last session: older ones are left over from before a truncation.
bool StoreScan::OpeningEndsBefore(std::uint64_t row_session, std::uint64_t i) const {
  const std::uint16_t session = SessionOfRecord(row_session);
  if (!files_.persistent || report_.live) {
    return false;
  }
  if (slot_) {
    return i >= slot_->records && session != (slot_->session & 0xffff);
  }
  // Without a slot, the last session is the one with the highest number: its records end where the
  // numbers go back. The difference is signed because the 16 bits wrap.
  return static_cast<std::int16_t>(session - last_session_) < 0;
}

// Checks record i on its own and, if `cursor` is not null, as the next one after the cursor.
StoreScan::CheckedRecord StoreScan::CheckRecord(RecordVerifier& verifier, std::uint64_t i,
                                                const Cursor* cursor) {
  CheckedRecord checked;
  VerifiedRecord& record = checked.record;
  try {
    record = verifier.VerifyRecord(i);
    if (record.fault == nullptr && cursor != nullptr) {
      record.fault = WhyNotNext(*cursor, record);
    }
    if (record.fault == nullptr && HasLaterField(verifier, i, record.record.layout)) {
      record.fault = "it has a field that was added to the store later";
    }
    if (record.fault == nullptr) {
      return checked;
    }
  } catch (const Error& error) {
    record = VerifiedRecord{};
    checked.finding = Finding{.file = KindName(Kind::kRecords), .offset = i * sizeof(Record)};
    checked.finding->subject = StrCat("record ", i);
    checked.finding->expected = "readable bytes";
    checked.finding->found = error.what();
    return checked;
  }
  Finding finding{.file = KindName(Kind::kRecords), .offset = i * sizeof(Record)};
  finding.subject = StrCat("record ", i);
  if (record.fault == kWrongChecksum) {
    finding.offset += offsetof(Record, checksum);
    finding.expected = StrCat("checksum ", HexText(record.checksum));
    finding.found = StrCat(HexText(record.record.checksum), " (", RecordText(record.record), ")");
  } else if (record.fault == kWrongStart) {
    finding.expected = StrCat("start ", cursor->values);
    finding.found = StrCat(record.record.start);
  } else {
    finding.expected =
        cursor == nullptr || !cursor->follows_record
            ? std::string("a record of this store")
            : StrCat("a record after row ", cursor->rows - 1, ", step ", cursor->step);
    finding.found = StrCat(RecordText(record.record), ": ", record.fault);
  }
  checked.finding = std::move(finding);
  return checked;
}

// Checks all records: whole runs as long as they are valid, which is fast, and single records with
// an exact finding where a run stops.
void StoreScan::CheckRecords(RecordVerifier& verifier, bool to_first_damage) {
  const bool all = report_.live || !files_.persistent || !slot_;
  const std::uint64_t synced = all ? end_ : std::min(end_, slot_->records);
  for (std::uint64_t i = files_.begin.records; i < end_;) {
    LookAtSlot(i);
    if (cursor_is_next_) {
      const std::uint64_t stop = EndOfRun(i);
      i = CheckRun(verifier, i, stop);
      ReportProgress(i, cursor_.values);
      if (i == stop) {
        continue;
      }
    }
    i = CheckOne(verifier, i, synced);
    if (to_first_damage && !intact_) {
      break;
    }
  }
  LookAtSlot(end_);
  if (intact_) {
    CheckSentinel(verifier);
    CheckBeyondPublished(verifier);
  }
  WriteTotals();
}

void StoreScan::WriteTotals() {
  report_.records = end_;
  report_.values = cursor_.values;
  report_.rows = std::max(cursor_.rows, slot_ && !report_.live ? slot_->rows : 0);
  report_.good_records = good_.records;
  report_.good_rows = good_.rows;
  report_.good_values = good_.values;
  report_.bytes += (cursor_.values - files_.begin.values) * sizeof(Value) +
                   (end_ - files_.begin.records) * sizeof(Record);
}

// Moves cursor_ over the records [i, stop) as long as they are valid. Returns the record where it
// stopped.
std::uint64_t StoreScan::CheckRun(RecordVerifier& verifier, std::uint64_t i, std::uint64_t stop) {
  const auto pass = [&](std::uint64_t record, const Record& words, std::uint64_t total,
                        bool begins_row) {
    if (OpeningEndsBefore(words.row_session, record) || CheckBlocks(verifier, record, words) ||
        HasLaterField(verifier, record, words.layout)) {
      return false;
    }
    CheckHints(record, words, total, begins_row);
    last_session_ = SessionOfRecord(words.row_session);
    return true;
  };
  try {
    i = verifier.VerifyRun(i, stop, cursor_, pass);
  } catch (const Error&) {
    i = cursor_.records;  // CheckRecord() will report the bytes that cannot be read
  }
  if (intact_) {
    good_ = cursor_;
  }
  return i;
}

// Checks a record at which a run stopped, because it is invalid or long, or one that comes after
// damage. After damage the place of the next record is unknown, so the next record that is valid on
// its own sets the cursor. Returns the record to check next.
std::uint64_t StoreScan::CheckOne(RecordVerifier& verifier, std::uint64_t i, std::uint64_t synced) {
  CheckedRecord checked = CheckRecord(verifier, i, cursor_is_next_ ? &cursor_ : nullptr);
  const Record& words = checked.record.record;
  std::optional<Finding> fault_of_block;
  if (!checked.finding) {
    fault_of_block = CheckBlocks(verifier, i, words);
  }
  if (checked.finding || fault_of_block) {
    if (const std::optional<std::uint64_t> next = SkipDropped(verifier, i)) {
      return *next;
    }
  }
  const bool valid = !checked.finding;
  if (valid && !OpeningEndsBefore(words.row_session, i)) {
    const std::uint64_t row = RowOfRecord(words.row_session);
    CheckHints(i, words, checked.record.layout.total, cursor_is_next_ && row == cursor_.rows);
    if (!cursor_is_next_) {
      cursor_ = Cursor{};
      cursor_.records = i;
      cursor_.values = words.start;
      cursor_.rows = row;
    }
    Advance(checked.record, cursor_);
    cursor_is_next_ = true;
    last_session_ = SessionOfRecord(words.row_session);
    if (fault_of_block) {
      Add(std::move(*fault_of_block));
      intact_ = false;
    }
    if (intact_) {
      good_ = cursor_;
    }
  } else if (i >= synced || valid) {
    AddUnsyncedEnd(i, checked);
  } else {
    Add(std::move(*checked.finding));
    intact_ = cursor_is_next_ = false;
  }
  return i + 1;
}

// Checks the block fields of a record that is valid otherwise. A fault does not end the walk, since
// the place of the next record is known, and opening the store does not look at blocks.
std::optional<Finding> StoreScan::CheckBlocks(RecordVerifier& verifier, std::uint64_t i,
                                              const Record& record) {
  const auto finding = [&](std::uint64_t position, const std::string& field, std::string expected,
                           std::string found) {
    return Finding{
        .file = KindName(Kind::kValues),
        .offset = position * sizeof(Value),
        .subject = StrCat("record ", i, ", row ", RowOfRecord(record.row_session), field),
        .expected = std::move(expected),
        .found = std::move(found)};
  };
  try {
    const std::optional<BlockFault> fault = blocks_.Check(verifier, record);
    if (!fault) {
      return std::nullopt;
    }
    const Field& field = (*files_.schema)[fault->type];
    return finding(fault->position, StrCat(", field '", field.name, "'"), FieldText(field),
                   fault->reason);
  } catch (const Error& error) {
    return finding(record.start, "", "readable bytes", error.what());
  } catch (const std::bad_alloc&) {
    return finding(record.start, "", "a nested cell that can be checked", "too little memory");
  }
}

// Ends the walk at record i, which was never synced: recovery stops at the first such record that
// is invalid or of another session, so its end is not damage.
void StoreScan::AddUnsyncedEnd(std::uint64_t i, const CheckedRecord& checked) {
  Finding finding = checked.finding.value_or(Finding{.file = KindName(Kind::kRecords),
                                                     .offset = i * sizeof(Record),
                                                     .subject = StrCat("record ", i),
                                                     .expected = "a record of the last session"});
  if (!checked.finding) {
    finding.found = StrCat("one of session ", SessionOfRecord(checked.record.record.row_session));
  }
  finding.severity = Finding::Severity::kNotice;
  finding.found += "; the records from here on were never synced";
  Add(std::move(finding));
  end_ = i;
}

// The sentinel after the last record holds the end of the values. Readers use it while a writer is
// live. Otherwise the next writer writes it again, so a wrong one is only a notice.
void StoreScan::CheckSentinel(RecordVerifier& verifier) {
  if (cursor_.records != end_) {
    return;
  }
  if (files_.records->end() < (end_ + 1) * sizeof(Record)) {
    Notice(KindName(Kind::kRecords), files_.records->end(), "the sentinel", "32 bytes",
           "the end of the file");
    return;
  }
  const std::uint64_t found = verifier.record(end_).start;
  if (found == cursor_.values || files_.RowsWereDropped()) {
    return;  // the sentinel of dropped rows says nothing
  }
  const bool used = report_.live || !files_.persistent;
  Add({used ? Finding::Severity::kDamage : Finding::Severity::kNotice, KindName(Kind::kRecords),
       end_ * sizeof(Record), "the sentinel", StrCat("start ", cursor_.values), StrCat(found)});
}

// After a crash only `published` says where the appends ended. A valid record beyond it is either
// an append that was interrupted before it was published, or a sign that `published` itself is
// damaged.
void StoreScan::CheckBeyondPublished(RecordVerifier& verifier) {
  const bool crashed = files_.persistent && !report_.live && slot_ && !slot_->clean;
  if (!crashed || end_ != published_ || end_ >= verifier.record_capacity()) {
    return;
  }
  const CheckedRecord checked = CheckRecord(verifier, end_, &cursor_);
  if (checked.finding ||
      SessionOfRecord(checked.record.record.row_session) != (slot_->session & 0xffff)) {
    return;
  }
  Notice(
      kControlName, kLiveOffset, "`published`", "no valid record after it",
      StrCat("record ", end_, ": either an append that was not published yet, or a damaged word"));
}

void StoreScan::ReportProgress(std::uint64_t records, std::uint64_t values) {
  const std::uint64_t done = records * sizeof(Record) + values * sizeof(Value);
  if (done < reported_bytes_ + kProgressBytes || !options_.progress) {
    return;
  }
  reported_bytes_ = done;
  const std::uint64_t total = std::max(
      done, end_ * sizeof(Record) + (slot_ && !report_.live ? slot_->values * 8 : values * 8));
  calling_progress_ = true;
  options_.progress(done, total);
  calling_progress_ = false;
}

}  // namespace stream_store::internal
