#include "storage/recover.h"

#include <algorithm>
#include <span>

#include "base/crc32c.h"
#include "base/str_cat.h"
#include "format/check.h"
#include "format/layout.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kVerifiedTailBytes = 64 << 10;

// The files as plain arrays, with the bounds that were there when we looked.
struct Image {
  const Value* values;
  const Record* records;
  const std::uint64_t* layouts;
  std::uint64_t value_capacity;
  std::uint64_t record_capacity;  // records with a sentinel after them
  std::uint64_t layout_capacity;
  std::uint32_t seed;
  const std::vector<Encoding>& encodings;
};

Image ImageOf(const Files& files, const Meaning& meaning) {
  const std::uint64_t records = files.records.file().Size() / sizeof(Record);
  return Image{.values = reinterpret_cast<const Value*>(files.values.data()),
               .records = reinterpret_cast<const Record*>(files.records.data()),
               .layouts = reinterpret_cast<const std::uint64_t*>(files.layouts.data()),
               .value_capacity = files.values.file().Size() / sizeof(Value),
               .record_capacity = records == 0 ? 0 : records - 1,
               .layout_capacity = files.layouts.file().Size() / sizeof(std::uint64_t),
               .seed = files.identity().check_seed,
               .encodings = meaning.encodings};
}

// One record, read once and looked through.
struct Seen {
  Record record;
  std::uint64_t fields = 0;
  std::uint64_t total = 0;
  const std::uint64_t* words = nullptr;
  const char* fault = nullptr;  // why it cannot be a record
};

// Reads record i: layout inside the file and allowed by the schema, values inside the file, check
// right. REQUIRES: i < record_capacity.
Seen Look(const Image& image, std::uint64_t i) {
  Seen seen{.record = image.records[i]};
  const Record& record = seen.record;
  if (record.layout >= image.layout_capacity) {
    seen.fault = "its layout lies beyond the layouts file";
    return seen;
  }
  seen.words = image.layouts + record.layout;
  seen.fields = WordType(seen.words[0]);
  seen.total = WordLength(seen.words[0]);
  if (record.layout + seen.fields + 1 > image.layout_capacity) {
    seen.fault = "its layout runs past the layouts file";
    return seen;
  }
  const std::span<const std::uint64_t> words(seen.words, seen.fields + 1);
  seen.fault = CheckLayout(words, image.encodings);
  if (seen.fault != nullptr) {
    return seen;
  }
  if (record.start > image.value_capacity || seen.total > image.value_capacity - record.start) {
    seen.fault = "its values run past the values file";
    return seen;
  }
  std::uint32_t state = BeginCheck(image.seed, record.start, record.step, record.row_session,
                                   record.layout, LayoutDigest(words));
  state = Crc32cExtendWords(state, image.values + record.start, seen.total);
  if (FinishCheck(state) != record.check) {
    seen.fault = "its check is wrong";
  }
  return seen;
}

// Why `seen` cannot follow `cursor`, or null. Rules of docs/format.md, "Rows and records".
const char* Continues(const Cursor& cursor, const Seen& seen) {
  const Record& record = seen.record;
  const std::uint64_t row = RowOfRecord(record.row_session);
  if (record.start != cursor.values) {
    return "it does not start where the one before ended";
  }
  if (row == cursor.rows) {
    return cursor.rows > 0 && record.step <= cursor.step
               ? "its step does not come after the row before"
               : nullptr;
  }
  if (cursor.rows == 0 || row != cursor.rows - 1 || record.step != cursor.step) {
    return "its row and step do not continue the last row";
  }
  if (seen.fields == 0 || static_cast<std::int32_t>(WordType(seen.words[1])) <= cursor.last_type) {
    return "its fields do not come after those of the row so far";
  }
  return nullptr;
}

void Advance(const Seen& seen, Cursor& cursor) {
  const std::uint64_t row = RowOfRecord(seen.record.row_session);
  const bool begins = row == cursor.rows;
  cursor.records += 1;
  cursor.values += seen.total;
  cursor.field_writes += seen.fields;
  cursor.rows = row + 1;
  cursor.step = seen.record.step;
  if (seen.fields > 0) {
    cursor.last_type = static_cast<std::int32_t>(WordType(seen.words[seen.fields]));
    cursor.layout_words = std::max(cursor.layout_words, seen.record.layout + seen.fields + 1);
  } else if (begins) {
    cursor.last_type = -1;
  }
}

[[noreturn]] void ThrowTail(const Files& files, std::uint64_t record, const char* fault) {
  throw Error(ErrorCode::kCorrupt, StrCat(files.records.file().path(), ": record ", record,
                                          ", below the last sync: ", fault,
                                          "; stream_store.repair() can salvage what is before it"));
}

// The slot's counts must fit the files: synced bytes that are gone are damage, never a reason to
// fall back.
void CheckSlotFits(const Files& files, const Image& image, const Slot& slot) {
  const auto check = [](const File& file, std::uint64_t wanted, std::uint64_t there) {
    if (wanted > there) {
      throw Error(ErrorCode::kCorrupt, StrCat(file.path(), ": the last sync left ", wanted,
                                              " entries but the file holds ", there));
    }
  };
  check(files.records.file(), slot.records, image.record_capacity);
  check(files.values.file(), slot.values, image.value_capacity);
  check(files.layouts.file(), slot.layout_words, image.layout_capacity);
}

// Record N-1 as the base of the walk: its end must be the slot's D, its row the slot's R - 1.
void CheckBase(const Files& files, const Image& image, const Slot& slot, Cursor& cursor) {
  if (slot.records == 0) {
    if (slot.values != 0 || slot.rows != 0) {
      ThrowTail(files, 0, "the slot counts values but no record");
    }
    return;
  }
  const Record record = image.records[slot.records - 1];
  if (record.layout >= image.layout_capacity) {
    ThrowTail(files, slot.records - 1, "its layout lies beyond the layouts file");
  }
  const std::uint64_t* words = image.layouts + record.layout;
  const std::uint64_t fields = WordType(words[0]);
  if (record.layout + fields + 1 > image.layout_capacity) {
    ThrowTail(files, slot.records - 1, "its layout runs past the layouts file");
  }
  if (const char* fault = CheckLayout({words, fields + 1}, image.encodings)) {
    ThrowTail(files, slot.records - 1, fault);
  }
  if (record.start + WordLength(words[0]) != slot.values || record.start > slot.values ||
      RowOfRecord(record.row_session) + 1 != slot.rows) {
    ThrowTail(files, slot.records - 1, "it does not end where the last sync ended");
  }
  cursor.step = record.step;
  cursor.last_type = fields == 0 ? -1 : static_cast<std::int32_t>(WordType(words[fields]));
}

// Verifies the records that hold the last 64 KiB of records and of values below the slot.
void VerifyTail(const Files& files, const Image& image, const Slot& slot) {
  if (slot.records == 0) {
    return;
  }
  constexpr std::uint64_t kTailRecords = kVerifiedTailBytes / sizeof(Record);
  constexpr std::uint64_t kTailValues = kVerifiedTailBytes / sizeof(Value);
  const std::uint64_t first = slot.records > kTailRecords ? slot.records - kTailRecords : 0;
  const std::uint64_t low = slot.values > kTailValues ? slot.values - kTailValues : 0;
  // Records tile the values without gaps, so the tail ends when both are covered. Going down, a
  // record of the last 64 KiB of values may lie below `first` when records are long: never, since
  // then `first` is further down.
  std::uint64_t end = slot.values;
  for (std::uint64_t i = slot.records; i-- > 0;) {
    if (i < first && end <= low) {
      break;
    }
    const Seen seen = Look(image, i);
    if (seen.fault != nullptr) {
      ThrowTail(files, i, seen.fault);
    }
    if (seen.record.start + seen.total != end) {
      ThrowTail(files, i, "it does not end where the next one starts");
    }
    end = seen.record.start;
  }
}

Recovery Report(const Recovered& recovered, std::uint64_t claimed_rows, const char* stopped) {
  Recovery report;
  const std::uint64_t found = recovered.cursor.records;
  if (recovered.slot.clean) {
    return report;
  }
  if (found == recovered.published) {
    report.state = Recovery::State::kProcessCrash;
    return report;
  }
  report.state = Recovery::State::kTruncated;
  if (found < recovered.published) {
    const std::uint64_t rows = recovered.cursor.rows;
    const bool plausible =
        claimed_rows > rows && claimed_rows - rows <= recovered.published - found;
    report.rows_cut = plausible ? claimed_rows - rows : 1;
    report.reason = StrCat("record ", found, " of ", recovered.published, ": ", stopped,
                           "; synced up to record ", recovered.slot.records);
  } else {
    report.reason = StrCat("the live words say ", recovered.published, " records but ", found,
                           " were synced: the machine went down");
  }
  return report;
}

}  // namespace

Recovered Recover(const Files& files) {
  const std::shared_ptr<const Meaning> meaning = files.meaning();
  const Image image = ImageOf(files, *meaning);
  Recovered result;
  result.published = files.control.published().load(std::memory_order_acquire);
  result.slot = files.control.NewestSlot(files.identity().id);
  const Slot& slot = result.slot;
  CheckSlotFits(files, image, slot);
  result.cursor = Cursor{.records = slot.records,
                         .values = slot.values,
                         .layout_words = slot.layout_words,
                         .rows = slot.rows,
                         .field_writes = slot.field_writes};
  CheckBase(files, image, slot, result.cursor);
  if (slot.clean) {
    return result;
  }
  VerifyTail(files, image, slot);
  const std::uint64_t limit = std::min(result.published, image.record_capacity);
  const char* stopped = "the records file ends";
  while (result.cursor.records < limit) {
    const Seen seen = Look(image, result.cursor.records);
    const char* fault = seen.fault;
    if (fault == nullptr && SessionOfRecord(seen.record.row_session) != (slot.session & 0xffff)) {
      fault = "it was written by another session";
    }
    if (fault == nullptr) {
      fault = Continues(result.cursor, seen);
    }
    if (fault != nullptr) {
      stopped = fault;
      break;
    }
    Advance(seen, result.cursor);
  }
  std::uint64_t claimed_rows = 0;
  if (result.published > 0 && result.published <= image.record_capacity) {
    claimed_rows = RowOfRecord(image.records[result.published - 1].row_session) + 1;
  }
  result.report = Report(result, claimed_rows, stopped);
  return result;
}

}  // namespace stream_store::internal
