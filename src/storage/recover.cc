#include "storage/recover.h"

#include <algorithm>

#include "base/str_cat.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kVerifiedTailBytes = 64 << 10;

[[noreturn]] void ThrowTail(const StoreFiles& files, std::uint64_t record, const char* fault) {
  throw Error(ErrorCode::kCorrupt, StrCat(files.records.file().path(), ": record ", record,
                                          ", below the last sync: ", fault,
                                          "; stream_store.repair() can salvage what is before it"));
}

// The slot's counts must fit the files: synced bytes that are gone are damage, never a reason to
// fall back.
void CheckSlotFits(const StoreFiles& files, const RecordVerifier& image, const Slot& slot) {
  const auto check = [](const File& file, std::uint64_t wanted, std::uint64_t there) {
    if (wanted > there) {
      throw Error(ErrorCode::kCorrupt, StrCat(file.path(), ": the last sync left ", wanted,
                                              " entries but the file holds ", there));
    }
  };
  check(files.records.file(), slot.records, image.record_capacity());
  check(files.values.file(), slot.values, image.value_capacity());
  check(files.layouts.file(), slot.layout_words, image.layout_capacity());
}

// Record N-1 as the base of the walk: its end must be the slot's D, its row the slot's R - 1.
void CheckBase(const StoreFiles& files, RecordVerifier& image, const Slot& slot, Cursor& cursor) {
  if (slot.records == 0) {
    if (slot.values != 0 || slot.rows != 0) {
      ThrowTail(files, 0, "the slot counts values but no record");
    }
    return;
  }
  const Record record = image.record(slot.records - 1);
  const LayoutFacts& layout = image.Layout(record.layout);
  if (layout.fault != nullptr) {
    ThrowTail(files, slot.records - 1, layout.fault);
  }
  if (record.start + layout.total != slot.values || record.start > slot.values ||
      RowOfRecord(record.row_session) + 1 != slot.rows) {
    ThrowTail(files, slot.records - 1, "it does not end where the last sync ended");
  }
  cursor.step = record.step;
  cursor.last_type = layout.last_type;
}

// Verifies the records that hold the last 64 KiB of records and of values below the slot.
void VerifyTail(const StoreFiles& files, RecordVerifier& image, const Slot& slot) {
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
    const VerifiedRecord seen = image.VerifyRecord(i);
    if (seen.fault != nullptr) {
      ThrowTail(files, i, seen.fault);
    }
    if (seen.record.start + seen.layout.total != end) {
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

Recovered Recover(const StoreFiles& files) {
  const std::shared_ptr<const StoreSchema> store_schema = files.store_schema();
  RecordVerifier image(files, *store_schema);
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
  const std::uint64_t limit = std::min(result.published, image.record_capacity());
  const char* stopped = "the records file ends";
  const auto session = static_cast<std::uint16_t>(slot.session);
  const auto of_session = [session](std::uint64_t, const Record& record, std::uint64_t, bool) {
    return SessionOfRecord(record.row_session) == session;
  };
  while (result.cursor.records < limit) {
    const std::uint64_t i =
        image.VerifyRun(result.cursor.records, limit, result.cursor, of_session);
    if (i == limit) {
      break;
    }
    const VerifiedRecord seen = image.VerifyRecord(i);
    const char* fault = seen.fault;
    if (fault == nullptr && SessionOfRecord(seen.record.row_session) != session) {
      fault = "it was written by another session";
    }
    if (fault == nullptr) {
      fault = WhyNotNext(result.cursor, seen);
    }
    if (fault != nullptr) {
      stopped = fault;
      break;
    }
    Advance(seen, result.cursor);
  }
  std::uint64_t claimed_rows = 0;
  if (result.published > 0 && result.published <= image.record_capacity()) {
    claimed_rows = RowOfRecord(image.record(result.published - 1).row_session) + 1;
  }
  result.report = Report(result, claimed_rows, stopped);
  return result;
}

}  // namespace stream_store::internal
