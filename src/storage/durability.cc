// Numbers in comments are the steps of "Sync" in docs/format.md.
#include "storage/durability.h"

#include <algorithm>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/encoding.h"
#include "format/layout.h"
#include "storage/capacity.h"
#include "storage/drop.h"
#include "storage/store_files.h"
#include "storage/writer_options.h"
#include "storage/writer_status.h"

namespace stream_store::internal {

Durability::Durability(StoreFiles& files, WriterStatus& status, Capacity& capacity,
                       const SessionStart& start, const WriterOptions& options)
    : files_(files),
      status_(status),
      capacity_(capacity),
      sync_interval_(options.sync_interval),
      sync_bytes_(options.sync_bytes),
      durable_rows_(start.durable_rows),
      session_(start.session),
      slot_{start.slot_sequence, start.slot_session, start.sync_interrupted},
      durable_{start.durable_records, start.cursor.values},
      counted_{start.cursor.records, start.cursor.field_writes},
      synced_(EndsOf(start.newest)),
      newest_(start.newest),
      begin_(start.newest.begin),
      retention_(start.newest.retention),
      synced_at_(std::chrono::steady_clock::now()),
      helper_(HelperThread::Kind::kSync, [this]() -> HelperThread::Pause { return SyncIfDue(); }) {}

void Durability::OpenSession(const Cursor& at) {
  STREAM_STORE_ASSERT(!session_open());
  {
    const MutexLock lock(mutex_);
    WriteOpenRecord(at);
  }
  StartHelper();
}

void Durability::OpenSessionOfRecovered(const Cursor& at) {
  const MutexLock lock(mutex_);
  if (!session_open() && at.records > durable_.records) {
    WriteOpenRecord(at);
  }
}

// Without space nothing was promised yet, so the next append tries again.
void Durability::WriteOpenRecord(const Cursor& at) {
  AllocateTails(at);
  WriteFirstSlotsOfSession(at);
  session_open_.store(true, std::memory_order_release);
}

// Allocates the space of the files from `at` on, so that stores into it cannot fail.
void Durability::AllocateTails(const Cursor& at) {
  try {
    const KindBytes content = ContentBytes(EndsOf(at));
    const KindBytes first = FirstBytes(files_.begin());
    for (const Kind kind : kAllKinds) {
      const bool hints = kind == Kind::kPositionHints || kind == Kind::kRowHints;
      DataFile& file = files_.data(kind);
      file.AllocateTail(hints ? first[Index(kind)] : content[Index(kind)]);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNoSpace) {
      capacity_.Fail(error);
    }
    throw;
  }
}

void Durability::WriteFirstSlotsOfSession(const Cursor& at) {
  if (!files_.persistent()) {
    return;
  }
  if (session_ >> 16 != 0) {
    try {
      ZeroOldRecords(at);
    } catch (const Error& error) {
      capacity_.Fail(error);
      throw;
    }
  }
  slot_.session = session_;
  WriteDurable(at, /*clean=*/false, /*both_slots=*/true);
}

// Records store only 16 bits of the session. Once those have wrapped, everything after the last
// record is zeroed, except the `start` of the sentinel, so that no old record matches a reused
// number. If the newest slot is in memory only, the one on disk may count records after `at`, which
// a truncation removed; so the newest one is written first.
void Durability::ZeroOldRecords(const Cursor& at) {
  if (slot_.sync_interrupted) {
    SyncFiles(at);
    RewriteNewestSlot();
  }
  Record& sentinel = reinterpret_cast<Record*>(files_.records.data())[at.records];
  sentinel.step = 0;  // but never `start`, which readers may be looking at
  sentinel.row_session = 0;
  sentinel.layout = 0;
  sentinel.checksum = 0;
  const std::uint64_t tail = (at.records + 1) * sizeof(Record);
  files_.records.ZeroTail(tail);
  // SyncFiles() ends at the sentinel.
  const std::shared_ptr<const Maps> maps = files_.maps();
  const std::shared_ptr<ChunkRange>& range = maps->parts[Index(Kind::kRecords)].range;
  range->Sync(tail, files_.records.bytes(), files_.records.path());
}

void Durability::StartHelper() {
  if (files_.persistent() && (sync_interval_.count() > 0 || sync_bytes_ > 0)) {
    helper_.Start();  // without a thread the next growth tries again
  }
}

// A slot that may be in memory only must be on disk before the other one is overwritten.
void Durability::RewriteNewestSlot() {
  Control& control = files_.control;
  const int which = static_cast<int>(slot_.sequence & 1);
  if (const auto newest = control.ReadSlot(which, files_.identity().id)) {
    control.WriteSlot(*newest);
  }
  control.SyncSlots();
  slot_.sync_interrupted = false;
}

// Syncs the bytes stored since the last sync, up to `at`, through the mappings: they report an error
// of the kernel's own write-back since they were made, however long ago that was. Chunk files that
// are new need their names on disk as well.
void Durability::SyncFiles(const Cursor& at) {
  const KindBytes begin = ContentBytes(synced_);
  const KindBytes end = ContentBytes(EndsOf(at));
  const std::shared_ptr<const Maps> maps = files_.maps();
  bool created = false;
  for (const Kind kind :
       {Kind::kValues, Kind::kLayouts, Kind::kPositionHints, Kind::kRowHints, Kind::kRecords}) {
    DataFile& file = files_.data(kind);
    constexpr std::uint64_t kOverlap = sizeof(Record);  // the sentinel was stored over
    const std::uint64_t from = begin[Index(kind)] - std::min(begin[Index(kind)], kOverlap);
    const std::uint64_t to = std::min(end[Index(kind)], file.bytes());
    const ChunkRange& range = *maps->parts[Index(kind)].range;
    range.Sync(std::min(std::max(from, file.files().begin()), to), to, file.path());
    created |= file.TakeCreated();
  }
  if (created) {
    files_.directory().Sync();
  }
  synced_ = EndsOf(at);
}

// Each slot is synced before the next is written, so one of them is always whole.
void Durability::WriteSlots(Slot slot, int count) {
  Control& control = files_.control;
  slot.sequence = slot_.sequence;
  slot.begin = begin_;
  slot.retention = retention_;
  if (slot_.sync_interrupted) {
    RewriteNewestSlot();
  }
  for (int written = 0; written < count; ++written) {
    slot.sequence += 1;
    control.WriteSlot(slot);
    control.SyncSlots();
  }
  slot_.sequence = slot.sequence;
  newest_ = slot;
}

// Writes the newest slot once more, with another begin or other limits. Its counts stay the same, so
// no data is synced, and the state of the store does not change.
void Durability::UpdateSlot() {
  const std::uint64_t state = files_.control.state().load(std::memory_order_acquire);
  files_.control.state().store(kLiveSyncing, std::memory_order_release);
  try {
    WriteSlots(newest_, 1);
  } catch (const Error& error) {
    capacity_.Fail(error);
    throw;
  }
  files_.control.state().store(state, std::memory_order_release);
}

// Steps 2 to 5.
void Durability::WriteDurable(const Cursor& at, bool clean, bool both_slots) {
  files_.control.state().store(kLiveSyncing, std::memory_order_release);
  try {
    SyncFiles(at);
    WriteSlots(MakeSlot(files_.identity().id, slot_.session, at, clean), both_slots ? 2 : 1);
    files_.CheckInPlace(clean ? "close" : "sync");
  } catch (const Error& error) {
    capacity_.Fail(error);
    throw;
  }
  files_.control.state().store(kLiveOpen, std::memory_order_release);
  NoteDurable(at);
}

void Durability::NoteDurable(const Cursor& at) {
  files_.control.durable().store(at.records, std::memory_order_release);
  durable_ = {at.records, at.values};
  synced_at_ = std::chrono::steady_clock::now();
  durable_rows_.store(at.rows, std::memory_order_relaxed);
}

// The slot is clean, because recovery must not walk on from it: the records after it are still
// there, and `published` still counts them. No record is stored before ReopenSession() has replaced
// both slots.
std::uint64_t Durability::CutBack(const Cursor& end, const std::vector<bool>& removed) {
  STREAM_STORE_ASSERT(removed.size() == 1 << 16);
  const MutexLock lock(mutex_);
  status_.RequireWritable("truncate");  // a sync may have failed since the caller asked
  if (begin_.records > 0 && end.records <= begin_.records) {
    throw Error(ErrorCode::kDropped,
                StrCat(files_.path_text(), ": truncate to ", end.rows,
                       " rows: rows were dropped meanwhile up to row ", begin_.rows));
  }
  if (files_.persistent()) {
    AllocateTails(end);
    files_.control.state().store(kLiveSyncing, std::memory_order_release);
    try {
      SyncFiles(end);
      WriteSlots(MakeSlot(files_.identity().id, slot_.session, end, /*clean=*/true), 1);
      files_.CheckInPlace("truncate");
    } catch (const Error& error) {
      capacity_.Fail(error);
      throw;
    }
  }
  session_ = NextSessionNumber(session_);
  while (removed[static_cast<std::uint16_t>(session_)]) {
    session_ = NextSessionNumber(session_);
  }
  capacity_.CutBack(end, session_);
  counted_ = {end.records, end.field_writes};
  if (files_.persistent()) {
    NoteDurable(end);
  }
  return session_;
}

void Durability::ReopenSession(const Cursor& at) {
  {
    const MutexLock lock(mutex_);
    WriteFirstSlotsOfSession(at);
    if (files_.persistent()) {
      session_open_.store(true, std::memory_order_release);
    }
  }
  StartHelper();
}

Retention Durability::retention() const {
  const MutexLock lock(mutex_);
  return retention_;
}

void Durability::SetRetention(const Retention& retention) {
  const MutexLock lock(mutex_);
  status_.RequireWritable("setting what is retained");
  if (retention == retention_) {
    return;
  }
  retention_ = retention;
  if (files_.persistent()) {
    UpdateSlot();
  } else {
    WriteSlotForReaders(PublishedCursor());
  }
}

// The slot of a temporary store. It is never synced: readers learn begin and limits from it.
void Durability::WriteSlotForReaders(const Cursor& at) {
  Slot slot = MakeSlot(files_.identity().id, slot_.session, at, /*clean=*/false);
  slot.sequence = ++slot_.sequence;
  slot.begin = begin_;
  slot.retention = retention_;
  files_.control.WriteSlot(slot);
}

// Makes the begin durable: step 2. The slot must count a record from there on: a power cut could
// otherwise leave a store without any row, whose next step could be any.
void Durability::WriteBegin(const Begin& begin, const Cursor& at) {
  begin_ = begin;
  if (files_.persistent() && begin.records < newest_.records) {
    UpdateSlot();
  } else if (files_.persistent()) {
    WriteDurable(at, /*clean=*/false, /*both_slots=*/false);
  } else {
    WriteSlotForReaders(at);
  }
}

// The slot comes first: a process that finds a chunk missing must find the reason in the slot. Then
// `begin`, then `layout_begin`: readers load them in the opposite order, so their `layout_begin` is
// never later than that of their `begin`. An earlier one finds the same layouts.
std::optional<std::uint64_t> Durability::Drop(std::uint64_t row) {
  const MutexLock lock(mutex_);
  status_.RequireWritable("drop_before");
  const Cursor at = PublishedCursor();  // counts the field-writes before their records are gone
  const std::shared_ptr<const Maps> maps = files_.maps();
  const Begin old = maps->begin;
  if (row < old.rows) {
    throw Error(ErrorCode::kDropped,
                StrCat(files_.path_text(), ": drop_before row ", row, ": the rows before row ",
                       old.rows, " were dropped already"));
  }
  if (row == old.rows) {
    return 0;
  }
  if (row >= at.rows) {
    throw Error(ErrorCode::kOutOfRange,
                StrCat(files_.path_text(), ": drop_before row ", row, ": expected one of the ",
                       at.rows, " rows of the store; the last one is always retained"));
  }
  const std::uint64_t chunk_records = files_.identity().chunk_bytes / sizeof(Record);
  const Begin begin = BeginAtRow(*maps, at.records, row, chunk_records);
  if (files_.persistent() && begin.records >= newest_.records && !session_open()) {
    return std::nullopt;
  }
  const FreedSpace::Coming coming(files_.freed_space());
  WriteBegin(begin, at);
  capacity_.MoveBegin(begin);
  files_.control.begin().store(begin.records, std::memory_order_release);
  files_.control.layout_begin().store(begin.layout_words, std::memory_order_release);
  files_.UnlinkBetween(old, begin);
  return row - old.rows;
}

// What an earlier sync wrote is no longer durable if its files were deleted since.
void Durability::RequireInPlace() {
  try {
    files_.CheckInPlace("sync");
  } catch (const Error& error) {
    capacity_.Fail(error);
    throw;
  }
}

// Where the published records end, as far as a slot needs it. Reading the cursor of the Appender
// would need the append flag, so the counts are taken from the last record. Only the field-writes
// are counted record by record, from where the call before stopped.
Cursor Durability::PublishedCursor() {
  const Capacity::Published published = capacity_.published();
  // NOLINTBEGIN(performance-no-int-to-ptr)
  const auto* records = reinterpret_cast<const Record*>(published.records->origin());
  const auto* layouts = reinterpret_cast<const std::uint64_t*>(published.layouts->origin());
  // NOLINTEND(performance-no-int-to-ptr)
  Cursor at;
  at.records = published.count;
  at.values = records[at.records].start;
  at.rows = at.records == files_.begin().records
                ? files_.begin().rows
                : RowOfRecord(records[at.records - 1].row_session) + 1;
  at.layout_words = files_.layout_words.load(std::memory_order_relaxed);
  for (; counted_.records < at.records; ++counted_.records) {
    counted_.field_writes +=
        WordType(LayoutHeadBefore(layouts, at.layout_words, records[counted_.records].layout));
  }
  at.field_writes = counted_.field_writes;
  return at;
}

bool Durability::Unsynced() const noexcept {
  return files_.control.published().load(std::memory_order_acquire) > durable_.records;
}

std::uint64_t Durability::Sync() {
  const MutexLock lock(mutex_);
  status_.RequireWritable("sync");
  if (!files_.persistent()) {
    return PublishedCursor().rows;
  }
  if (!session_open() || !Unsynced()) {
    RequireInPlace();
    return durable_rows();
  }
  const Cursor at = PublishedCursor();  // step 1
  WriteDurable(at, /*clean=*/false, /*both_slots=*/false);
  return at.rows;
}

// A round of the helper: syncs if enough time has passed or enough was appended. Returns how long
// to sleep until the next round. Nothing wakes the helper, so that appends need not know of it.
std::chrono::nanoseconds Durability::SyncIfDue() noexcept {
  constexpr std::chrono::nanoseconds kIdle = std::chrono::seconds(1);
  constexpr std::chrono::nanoseconds kBusy = std::chrono::milliseconds(250);
  const bool timed = sync_interval_.count() > 0;
  const auto pause = [&](std::chrono::nanoseconds most) {
    return timed ? std::min(sync_interval_, most) : most;
  };
  try {
    const MutexLock lock(mutex_);
    if (status_.closed() || status_.failed() || !Unsynced()) {
      return pause(kIdle);
    }
    const std::chrono::nanoseconds since = std::chrono::steady_clock::now() - synced_at_;
    const Cursor at = PublishedCursor();
    const std::uint64_t bytes = (at.values - durable_.values) * sizeof(Value) +
                                (at.records - durable_.records) * sizeof(Record);
    const bool due =
        (timed && since >= sync_interval_) || (sync_bytes_ > 0 && bytes >= sync_bytes_);
    if (due) {
      WriteDurable(at, /*clean=*/false, /*both_slots=*/false);
    } else if (timed) {
      return std::min(pause(kBusy), sync_interval_ - since);
    }
  } catch (const Error&) {
    // The failure is in the status: the next append or sync throws it.
  }
  return pause(kBusy);
}

void Durability::Close(const Cursor& at) {
  STREAM_STORE_ASSERT(status_.closed());
  const MutexLock lock(mutex_);
  files_.writer_open.store(false, std::memory_order_release);
  if (files_.persistent() && !status_.failed()) {
    try {
      WriteDurable(at, /*clean=*/true, /*both_slots=*/false);
      capacity_.Trim(at);
      files_.control.state().store(kLiveClosed, std::memory_order_release);
    } catch (...) {  // an Error, or no memory for its text
      files_.lock.Close();
      throw;
    }
  }
  if (!files_.persistent()) {  // its lock is kept: it protects the directory until all users left
    files_.control.state().store(kLiveClosed, std::memory_order_release);
    return;
  }
  files_.lock.Close();
}

}  // namespace stream_store::internal
