// What Verify() and Repair() look at, in order: control, sizes, records with all they stand for,
// hints on the way, the sentinel.
#include "store/verify_scan.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"
#include "format/bytes.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kTellBytes = 16 << 20;
constexpr std::uint64_t kRecordsATime = 1 << 16;

std::string RecordText(const VerifiedRecord& seen) {
  return StrCat("start ", seen.record.start, ", row ", RowOfRecord(seen.record.row_session),
                ", step ", seen.record.step, ", layout ", seen.record.layout);
}

}  // namespace

void Scan::Add(Finding finding) {
  std::uint64_t& count =
      finding.severity == Finding::Severity::kDamage ? report_.damages : report_.notices;
  count += 1;
  if (report_.findings.size() < options_.max_findings) {
    report_.findings.push_back(std::move(finding));
  }
}

void Scan::Damage(const char* file, std::uint64_t offset, std::string subject, std::string expected,
                  std::string found) {
  Add({Finding::Severity::kDamage, file, offset, std::move(subject), std::move(expected),
       std::move(found)});
}

void Scan::Notice(const char* file, std::uint64_t offset, std::string subject, std::string expected,
                  std::string found) {
  Add({Finding::Severity::kNotice, file, offset, std::move(subject), std::move(expected),
       std::move(found)});
}

void Scan::Run(bool to_first_damage) {
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
    RecordVerifier image({.values = files_.values,
                          .records = files_.records,
                          .layouts = files_.layouts,
                          .seed = files_.identity->checksum_seed,
                          .encodings = files_.encodings});
    if (files_.hints != nullptr) {
      position_hints_.emplace(*files_.hints);
      row_hints_.emplace(*files_.hints);
    }
    CheckSizes(image);
    Walk(image, to_first_damage);
  } catch (const Error& error) {
    if (telling_) {
      throw;  // the caller's own
    }
    Damage(kRecordsName, 0, "the data files", "readable bytes", error.what());
  }
}

void Scan::ReadSlots() {
  for (const int which : {0, 1}) {
    std::array<std::byte, kSlotBytes> bytes{};
    const auto at = static_cast<std::size_t>(which);
    const std::size_t count = files_.control->ReadAt(bytes, kSlotOffset[which]);
    const auto there = std::span<const std::byte>(bytes).first(count);
    slots_[at] = DecodeSlot(there, files_.identity->id);
    // A sync under way, or a power cut in one, leaves one slot torn; that is what the other is for.
    if (!slots_[at]) {
      Notice(kControlName, kSlotOffset[which], StrCat("slot ", which), "a valid sync slot",
             SlotProblem(there, files_.identity->id));
    } else if ((slots_[at]->sequence & 1) != at) {
      Notice(kControlName, kSlotOffset[which] + 24, StrCat("slot ", which),
             "a sequence number of this place", StrCat(slots_[at]->sequence));
    }
  }
  slot_ = ChooseSlot(slots_[0], slots_[1]);
  if (!slot_) {
    Damage(kControlName, kSlotOffset[0], "both slots", "a valid sync slot", "none");
  }
}

void Scan::ExpectZeros(std::uint64_t begin, std::uint64_t end, const char* subject) {
  std::vector<std::byte> bytes(end - begin);
  bytes.resize(files_.control->ReadAt(bytes, begin));
  const auto bad = std::ranges::find_if(bytes, [](std::byte byte) { return byte != std::byte{0}; });
  if (bad != bytes.end()) {
    Notice(kControlName, begin + static_cast<std::uint64_t>(bad - bytes.begin()), subject, "zeros",
           HexText(static_cast<std::uint32_t>(*bad)));
  }
}

void Scan::CheckControl() {
  published_ = files_.published;
  ReadSlots();
  ExpectZeros(kIdentityBytes, kLiveOffset, "after the identity");
  ExpectZeros(kLiveOffset + 8, kLiveOffset + 64, "beside `published`");
  ExpectZeros(kLiveOffset + 96, kSlotOffset[0], "after the live words");
  ExpectZeros(kSlotOffset[0] + kSlotBytes, kSlotOffset[1], "after slot 0");
  ExpectZeros(kSlotOffset[1] + kSlotBytes, kControlBytes, "after slot 1");
  if (const std::uint64_t size = files_.control->Size(); size != kControlBytes) {
    const auto severity =
        size < kControlBytes ? Finding::Severity::kDamage : Finding::Severity::kNotice;
    Add({severity, kControlName, std::min(size, kControlBytes), "its end",
         StrCat(kControlBytes, " bytes"), StrCat(size)});
  }
  if (!report_.live && files_.persistent) {
    CheckLiveWords();
  }
  report_.bytes += kControlBytes;
}

// Of a store that nobody writes. Opening believes none of them, so nothing here is damage.
void Scan::CheckLiveWords() {
  const auto expect = [&](std::uint64_t LiveWords::* word, std::uint64_t offset, const char* name,
                          std::uint64_t expected) {
    if (const std::uint64_t found = files_.Live(word); found != expected) {
      Notice(kControlName, kLiveOffset + offset, name, StrCat(expected), StrCat(found));
    }
  };
  if (!slot_) {
    return;
  }
  if (slot_->clean) {
    expect(&LiveWords::published, 0, "`published` of a closed store", slot_->records);
    expect(&LiveWords::state, 80, "`state` of a closed store", kLiveClosed);
    expect(&LiveWords::durable, 88, "`durable` of a closed store", slot_->records);
  } else if (files_.Live(&LiveWords::state) > kLiveSyncing) {
    expect(&LiveWords::state, 80, "`state`", kLiveOpen);
  }
  if (const std::uint64_t session = files_.Live(&LiveWords::session); session < slot_->session) {
    Notice(kControlName, kLiveOffset + 64, "`session`", StrCat("at least ", slot_->session),
           StrCat(session));
  }
}

// What the store says it holds must lie inside the files.
void Scan::CheckSizes(RecordVerifier& image) {
  const auto fits = [&](const char* name, std::uint64_t wanted, std::uint64_t there,
                        std::uint64_t bytes) {
    if (wanted > there) {
      Damage(name, there * bytes, "its end", StrCat(wanted, " entries that were synced"),
             StrCat(there));
    }
  };
  if (slot_) {
    fits(kRecordsName, slot_->records, image.record_capacity(), sizeof(Record));
    fits(kValuesName, slot_->values, image.value_capacity(), sizeof(Value));
    fits(kLayoutsName, slot_->layout_words, image.layout_capacity(), 8);
  }
  const bool closed = slot_ && slot_->clean && !report_.live;
  end_ = !slot_ || !closed ? published_ : slot_->records;
  if (slot_ && !report_.live) {
    end_ = std::max(end_, slot_->records);
  }
  if (!files_.persistent || report_.live) {
    fits(kRecordsName, end_, image.record_capacity(), sizeof(Record));
  }
  end_ = std::min(end_, image.record_capacity());
  if (image.layout_capacity() > 0 && image.layout_word(0) != 0) {
    Damage(kLayoutsName, 0, "word 0", "0, the empty layout", "something else");
  }
}

// Whether opening would end its walk here, behind the last sync, without a fault of the record.
bool Scan::WalkEndsBefore(std::uint64_t row_session, std::uint64_t i) const {
  const std::uint16_t session = SessionOfRecord(row_session);
  if (!files_.persistent || report_.live) {
    return false;
  }
  if (slot_) {
    return i >= slot_->records && session != (slot_->session & 0xffff);
  }
  // No slot says where the last session began; its records are those before the numbers go back.
  return static_cast<std::int16_t>(session - last_session_) < 0;
}

// False, and why in `finding`, if record i is not what it should be.
bool Scan::Prove(RecordVerifier& image, std::uint64_t i, const Cursor* cursor, VerifiedRecord& seen,
                 Finding& finding) {
  try {
    seen = image.VerifyRecord(i);
    if (seen.fault == nullptr && cursor != nullptr) {
      seen.fault = WhyNotNext(*cursor, seen);
    }
    if (seen.fault == nullptr) {
      return true;
    }
  } catch (const Error& error) {
    seen = VerifiedRecord{};
    finding = {.file = kRecordsName,
               .offset = i * sizeof(Record),
               .subject = StrCat("record ", i),
               .expected = "readable bytes",
               .found = error.what()};
    return false;
  }
  finding = Finding{.file = kRecordsName, .offset = i * sizeof(Record)};
  finding.subject = StrCat("record ", i);
  if (seen.fault == kWrongChecksum) {
    finding.offset += offsetof(Record, checksum);
    finding.expected = StrCat("checksum ", HexText(seen.checksum));
    finding.found = StrCat(HexText(seen.record.checksum), " (", RecordText(seen), ")");
  } else if (seen.fault == kWrongStart) {
    finding.expected = StrCat("start ", cursor->values);
    finding.found = StrCat(seen.record.start);
  } else {
    finding.expected = i == 0 || cursor == nullptr ? std::string("a record of this store")
                                                   : StrCat("a record after row ", cursor->rows - 1,
                                                            ", step ", cursor->step);
    finding.found = StrCat(RecordText(seen), ": ", seen.fault);
  }
  return false;
}

void Scan::Walk(RecordVerifier& image, bool to_first_damage) {
  const bool all = report_.live || !files_.persistent || !slot_;
  const std::uint64_t synced = all ? end_ : std::min(end_, slot_->records);
  for (std::uint64_t i = 0; i < end_;) {
    if (slot_ && i == slot_->records) {
      AtBase();
    }
    if (aligned_) {
      const std::uint64_t stop = NextStop(i);
      i = RunAhead(image, i, stop);
      Tell(i, cursor_.values);
      if (i == stop) {
        continue;
      }
    }
    TakeRecord(image, i, synced);
    if (to_first_damage && !whole_) {
      break;
    }
    ++i;
  }
  if (slot_ && slot_->records == end_) {
    AtBase();
  }
  if (whole_) {
    CheckSentinel(image);
    CheckBeyondPublished(image);
  }
  report_.records = end_;
  report_.values = cursor_.values;
  report_.rows = std::max(cursor_.rows, slot_ && !report_.live ? slot_->rows : 0);
  report_.good_records = good_.records;
  report_.good_rows = good_.rows;
  report_.good_values = good_.values;
  report_.bytes += cursor_.values * sizeof(Value) + end_ * sizeof(Record);
}

// Where the next run ends: at the base of the walk, at the end, or to tell how far it is.
std::uint64_t Scan::NextStop(std::uint64_t i) const {
  const bool below = slot_ && i < slot_->records;
  return std::min({end_, i + kRecordsATime, below ? slot_->records : end_});
}

// As far as all is right; returns the record it stopped at.
std::uint64_t Scan::RunAhead(RecordVerifier& image, std::uint64_t i, std::uint64_t stop) {
  const auto pass = [this](std::uint64_t record, const Record& seen, std::uint64_t total,
                           bool begins) {
    if (WalkEndsBefore(seen.row_session, record)) {
      return false;
    }
    Hints(record, seen, total, begins);
    last_session_ = SessionOfRecord(seen.row_session);
    return true;
  };
  try {
    i = image.VerifyRun(i, stop, cursor_, pass);
  } catch (const Error&) {
    i = cursor_.records;  // Prove() says what cannot be read
  }
  if (whole_) {
    good_ = cursor_;
  }
  return i;
}

// A record that is not right, or long, or behind damage.
void Scan::TakeRecord(RecordVerifier& image, std::uint64_t i, std::uint64_t synced) {
  VerifiedRecord seen;
  Finding finding;
  const bool right = Prove(image, i, aligned_ ? &cursor_ : nullptr, seen, finding);
  if (right && !WalkEndsBefore(seen.record.row_session, i)) {
    const std::uint64_t row = RowOfRecord(seen.record.row_session);
    Hints(i, seen.record, seen.layout.total, aligned_ && row == cursor_.rows);
    if (!aligned_) {
      cursor_ = Cursor{.records = i, .values = seen.record.start, .rows = row};
    }
    Advance(seen, cursor_);
    aligned_ = true;
    last_session_ = SessionOfRecord(seen.record.row_session);
    if (whole_) {
      good_ = cursor_;
    }
  } else if (i >= synced || right) {
    EndWalk(i, right, seen, std::move(finding));
  } else {
    Add(std::move(finding));
    whole_ = aligned_ = false;
  }
}

// Behind the last sync opening stops here, and so do we.
void Scan::EndWalk(std::uint64_t i, bool right, const VerifiedRecord& seen, Finding finding) {
  finding.severity = Finding::Severity::kNotice;
  if (right) {
    finding.expected = "a record of the last session";
    finding.found = StrCat("one of session ", SessionOfRecord(seen.record.row_session));
  }
  finding.found += StrCat("; what follows was never synced");
  Add(std::move(finding));
  end_ = i;
}

// Record N-1 of the slot was reached: all that the slot counts must be what was counted.
void Scan::AtBase() {
  if (!whole_ || std::exchange(base_seen_, true)) {
    return;
  }
  const std::uint64_t which = slot_->sequence & 1;
  const auto expect = [&](std::uint64_t offset, const char* what, std::uint64_t counted,
                          std::uint64_t said) {
    if (counted != said) {
      Damage(kControlName, kSlotOffset[which] + offset, StrCat("slot ", which, ", ", what),
             StrCat(counted), StrCat(said));
    }
  };
  expect(48, "values", cursor_.values, slot_->values);
  expect(64, "rows", cursor_.rows, slot_->rows);
  expect(72, "field-writes", cursor_.field_writes, slot_->field_writes);
  if (cursor_.layout_words > slot_->layout_words) {
    expect(56, "layout words", cursor_.layout_words, slot_->layout_words);
  }
}

// The hints of record `record`. Nothing is decided by a hint, so a wrong one is told once.
void Scan::Hints(std::uint64_t record, const Record& seen, std::uint64_t total, bool begins) {
  const std::uint64_t end = seen.start + total;
  ForEachHintSlot(seen.start, end,
                  [&](std::uint64_t slot) { ExpectHint(slot, /*of_row=*/false, record); });
  const std::uint64_t row = RowOfRecord(seen.row_session);
  if (begins && row % kHintStride == 0) {
    ExpectHint(row / kHintStride, /*of_row=*/true, record);
  }
}

void Scan::ExpectHint(std::uint64_t slot, bool of_row, std::uint64_t record) {
  std::optional<WordFile<Hint>>& hints = of_row ? row_hints_ : position_hints_;
  if (hint_told_ || !hints) {
    return;
  }
  std::uint64_t found = ~std::uint64_t{0};
  if (slot < hints->size()) {
    try {
      const Hint hint = *hints->At(slot, 1);
      found = of_row ? hint.row_record : hint.position_record;
    } catch (const Error&) {
      found = ~std::uint64_t{0};
    }
  }
  if (found == record) {
    return;
  }
  hint_told_ = true;
  Notice(kHintsName, slot * sizeof(Hint) + (of_row ? 8 : 0),
         StrCat("hint of ", of_row ? "row " : "position ", slot * kHintStride),
         StrCat("record ", record), slot < hints->size() ? StrCat(found) : std::string("nothing"));
}

// Asked only while a writer lives; else the next writer stores it anew.
void Scan::CheckSentinel(RecordVerifier& image) {
  if (cursor_.records != end_) {
    return;
  }
  if (files_.records->Size() < (end_ + 1) * sizeof(Record)) {
    Notice(kRecordsName, files_.records->Size(), "the sentinel", "32 bytes", "the end of the file");
    return;
  }
  const std::uint64_t found = image.record(end_).start;
  if (found == cursor_.values) {
    return;
  }
  const bool asked = report_.live || !files_.persistent;
  Add({asked ? Finding::Severity::kDamage : Finding::Severity::kNotice, kRecordsName,
       end_ * sizeof(Record), "the sentinel", StrCat("start ", cursor_.values), StrCat(found)});
}

// A dead writer's `published` is the only word for where its appends ended. A right record behind it is
// an append that was about to be published, or the word is damaged.
void Scan::CheckBeyondPublished(RecordVerifier& image) {
  const bool believed = files_.persistent && !report_.live && slot_ && !slot_->clean;
  if (!believed || end_ != published_ || end_ >= image.record_capacity()) {
    return;
  }
  VerifiedRecord seen;
  Finding finding;
  if (!Prove(image, end_, &cursor_, seen, finding)) {
    return;
  }
  if (SessionOfRecord(seen.record.row_session) != (slot_->session & 0xffff)) {
    return;
  }
  Notice(kControlName, kLiveOffset, "`published`", "no right record behind it",
         StrCat("record ", end_, ": an append that was not published yet, or the word is damaged"));
}

void Scan::Tell(std::uint64_t records, std::uint64_t values) {
  const std::uint64_t done = records * sizeof(Record) + values * sizeof(Value);
  if (done < told_bytes_ + kTellBytes || !options_.progress) {
    return;
  }
  told_bytes_ = done;
  const std::uint64_t total = std::max(
      done, end_ * sizeof(Record) + (slot_ && !report_.live ? slot_->values * 8 : values * 8));
  telling_ = true;
  options_.progress(done, total);
  telling_ = false;
}

}  // namespace stream_store::internal
