#include "storage/recover.h"

#include <algorithm>

#include "base/str_cat.h"
#include "storage/record_verifier.h"
#include "storage/tail_walk.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kVerifiedTailBytes = 64 << 10;  // below the slot, in each of two files

[[noreturn]] void ThrowTail(const StoreFiles& files, std::uint64_t record, const char* fault) {
  throw Error(ErrorCode::kCorrupt,
              StrCat(files.records.path(), ": record ", record, ", below the last sync: ", fault,
                     "; stream_store.repair() can salvage the rows that are intact"));
}

// The slot's counts must fit the files. Synced bytes that are missing are damage: falling back to
// the older slot would silently drop data that was reported as durable.
void CheckSlotFits(const StoreFiles& files, const RecordVerifier& verifier, const Slot& slot) {
  const auto check = [](const DataFile& file, std::uint64_t wanted, std::uint64_t there) {
    if (wanted > there) {
      const bool missing = file.files().end() % file.files().chunk_bytes() == 0;
      throw Error(ErrorCode::kCorrupt, StrCat(file.files().end_path(), ": expected at least the ",
                                              wanted, " entries of the last sync but found ", there,
                                              missing ? ": the file is missing" : ""));
    }
  };
  check(files.records, slot.records, verifier.record_capacity());
  check(files.values, slot.values, verifier.value_capacity());
  check(files.layouts, slot.layout_words, verifier.layout_capacity());
}

// Checks the last record that the slot counts, after which the walk begins: its end must be the
// slot's number of values, and its row the slot's last row. Sets the step and the last type of
// `cursor`, which slots do not store.
void CheckBase(const StoreFiles& files, RecordVerifier& verifier, const Slot& slot,
               Cursor& cursor) {
  if (slot.records == slot.begin.records) {
    if (slot.values != slot.begin.values || slot.rows != slot.begin.rows) {
      ThrowTail(files, slot.records, "the slot counts values but no record");
    }
    return;
  }
  const Record record = verifier.record(slot.records - 1);
  const LayoutFacts& layout = verifier.Layout(record.layout);
  if (layout.fault != nullptr) {
    ThrowTail(files, slot.records - 1, layout.fault);
  }
  if (record.start + layout.total != slot.values || record.start > slot.values ||
      RowOfRecord(record.row_session) + 1 != slot.rows) {
    ThrowTail(files, slot.records - 1, "it does not end where the last sync ended");
  }
  cursor.step = record.step;
  cursor.last_type = layout.last_type;
  cursor.follows_record = true;
}

// Verifies all records of the last 64 KiB of records and of the last 64 KiB of values below the
// slot. A disk that loses writes it had acknowledged loses the latest ones.
void VerifyTail(const StoreFiles& files, RecordVerifier& verifier, const Slot& slot) {
  if (slot.records == slot.begin.records) {
    return;
  }
  constexpr std::uint64_t kTailRecords = kVerifiedTailBytes / sizeof(Record);
  constexpr std::uint64_t kTailValues = kVerifiedTailBytes / sizeof(Value);
  const std::uint64_t first = slot.records > kTailRecords ? slot.records - kTailRecords : 0;
  const std::uint64_t low = slot.values > kTailValues ? slot.values - kTailValues : 0;
  // Walk backwards until both tails are covered: the last 64 KiB of records (down to `first`) and
  // the last 64 KiB of values (down to `low`). Records have no gaps between them, so this checks
  // every record of either tail.
  std::uint64_t end = slot.values;
  for (std::uint64_t i = slot.records; i-- > slot.begin.records;) {
    if (i < first && end <= low) {
      break;
    }
    const VerifiedRecord verified = verifier.VerifyRecord(i);
    if (verified.fault != nullptr) {
      ThrowTail(files, i, verified.fault);
    }
    if (verified.record.start + verified.layout.total != end) {
      ThrowTail(files, i, "it does not end where the next one starts");
    }
    end = verified.record.start;
  }
}

// Describes the result for the user. `claimed_rows` is the number of rows according to the record
// that `published` counts last, which may be garbage; `stopped` is the reason why the walk ended.
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
    // Each row has at least one record, so more lost rows than lost records cannot be true.
    const bool plausible =
        claimed_rows > rows && claimed_rows - rows <= recovered.published - found;
    report.rows_cut = plausible ? claimed_rows - rows : 1;
    report.reason = StrCat("record ", found, " of ", recovered.published, ": ", stopped,
                           "; synced up to record ", recovered.slot.records);
  } else {
    report.reason =
        StrCat("expected at least the ", found, " synced records but the live words count ",
               recovered.published, ": the machine went down");
  }
  return report;
}

}  // namespace

Recovered Recover(const StoreFiles& files) {
  const std::shared_ptr<const StoreSchema> store_schema = files.store_schema();
  RecordVerifier verifier(files, *store_schema);
  Recovered result;
  result.published = files.control.published().load(std::memory_order_acquire);
  result.slot = files.control.NewestSlot(files.identity().id);
  const Slot& slot = result.slot;
  CheckSlotFits(files, verifier, slot);
  result.cursor = Cursor{.records = slot.records,
                         .values = slot.values,
                         .layout_words = slot.layout_words,
                         .rows = slot.rows,
                         .field_writes = slot.field_writes};
  CheckBase(files, verifier, slot, result.cursor);
  if (slot.clean) {
    return result;
  }
  VerifyTail(files, verifier, slot);
  const std::uint64_t limit = std::min(result.published, verifier.record_capacity());
  const char* stopped =
      WalkTail({files, *store_schema, static_cast<std::uint16_t>(slot.session), limit}, verifier,
               result.cursor);
  // The row of the last published record, if that survived, gives the number of lost rows.
  std::uint64_t claimed_rows = 0;
  if (result.published > slot.begin.records && result.published <= verifier.record_capacity()) {
    claimed_rows = RowOfRecord(verifier.record(result.published - 1).row_session) + 1;
  }
  result.report =
      Report(result, claimed_rows, stopped != nullptr ? stopped : "the records file ends");
  return result;
}

}  // namespace stream_store::internal
