// Opens a store for writing: locks it, recovers, repairs the files and sets the live words. Numbers
// in comments are the steps of docs/format.md, "Open for writing".
//
// Readers of other processes may have the store open meanwhile. Until the live byte is locked they
// do not trust the live words; they learn of the new writer from the session word, which is stored
// last.
#include "storage/open.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <system_error>
#include <utility>

#include "base/lock.h"
#include "base/str_cat.h"
#include "format/schema_since.h"
#include "storage/fork_guard.h"
#include "storage/growth.h"
#include "storage/recover.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kGiveBackGrain = 64 << 10;

// The text that the holder of the lock wrote, if it is printable.
std::string ReadHolder(const File& lock) {
  std::array<std::byte, 256> bytes;
  const std::size_t count = lock.ReadAt(bytes, 0);
  std::string text(reinterpret_cast<const char*>(bytes.data()), count);
  text.erase(std::ranges::find(text, '\n'), text.end());
  const bool plain = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
  return plain && !text.empty() ? text : "unknown holder";
}

// Says how to release the lock if that is up to this process.
[[noreturn]] void ThrowLocked(const StoreFiles& files) {
  const std::string holder = StrCat(" (", ReadHolder(files.lock), ")");
  std::string text;
  switch (FindLockHolder(files.control_id())) {
    case LockHolder::kThisProcess:
      text = StrCat("this process already has it open for writing", holder,
                    ": close() that StreamStore or delete it");
      break;
    case LockHolder::kParent:
      text = StrCat("the parent of this forked process has it open for writing", holder,
                    ": close() that StreamStore in the parent");
      break;
    case LockHolder::kUnknown:
      text = StrCat("another writer has it open", holder);
      break;
  }
  throw Error(ErrorCode::kLocked, StrCat(files.path_text(), ": ", text));
}

void TakeWriterLock(const StoreFiles& files) {
  if (!TryLockByte(files.lock, kWriterLockByte)) {
    ThrowLocked(files);
  }
  const std::string holder = LockHolderText() + "\n";
  files.lock.Truncate(0);
  files.lock.WriteAt(std::as_bytes(std::span(holder)), 0);
}

// Step 4: after a failed write-back the kernel marks pages clean although they are not on disk, so
// a later fdatasync would skip them and report success. Storing a word of each page onto itself
// marks it dirty again.
void DirtyAgain(const DataFile& file, std::uint64_t begin, std::uint64_t end) {
  end = std::min(end, file.bytes() / sizeof(std::uint64_t) * sizeof(std::uint64_t));
  for (std::uint64_t at = begin / kPage * kPage; at < end; at += kPage) {
    auto* word = reinterpret_cast<std::uint64_t*>(file.data() + at);
    const std::atomic_ref<std::uint64_t> same(*word);
    same.store(same.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

// Marks the pages dirty that the interrupted sync was to write: those after the slot.
void DirtyUnsynced(const StoreFiles& files, const Slot& slot, const Cursor& cursor) {
  const KindBytes begin = ContentBytes(EndsOf(slot));
  const KindBytes end = ContentBytes(EndsOf(cursor));
  for (const Kind kind : kAllKinds) {
    constexpr std::uint64_t kOverlap = sizeof(Record);  // the sentinel was stored over
    const std::uint64_t from = begin[Index(kind)] - std::min(begin[Index(kind)], kOverlap);
    DirtyAgain(files.data(kind), std::max(from, files.data(kind).files().begin()),
               end[Index(kind)]);
  }
}

void GrowToHold(DataFile& file, std::uint64_t bytes) {
  if (bytes > file.reserved()) {
    file.Remap(file.files().begin() + 1, bytes);
  }
  file.GrowTo(bytes);
}

// The files were opened and mapped before the lock was ours, so another writer may have changed them
// since, and may have dropped rows.
void RefreshFiles(StoreFiles& files) {
  const Begin begin = ReadBegin(files.control.file(), files.identity().id);
  const bool dropped = begin.records > files.begin().records;
  const KindBytes first = FirstBytes(begin);
  for (const Kind kind : kAllKinds) {
    if (dropped) {
      files.data(kind).Restart(first[Index(kind)]);
    } else {
      files.data(kind).RefreshBytes();
    }
  }
  if (dropped) {
    files.MoveBegin(begin);
  }
}

// Part of step 5: removes the chunks that do not count. If the newest slot is in memory only, the one
// on disk may count on chunks before the begin of the newest.
void RemoveUncounted(StoreFiles& files, const Slot& newest, bool sync_interrupted) {
  if (sync_interrupted) {
    files.control.WriteSlot(newest);
    files.control.SyncSlots();
  }
  files.UnlinkLeftovers(newest.begin);
}

// Part of step 5: gives back the space that a writer which died had allocated ahead. Readers of
// other processes may have the files mapped, but use only what was published; so everything stays if
// records that were published did not survive.
void GiveBackUnused(StoreFiles& files, const Recovered& recovered) {
  const Cursor& end = recovered.cursor;
  if (end.records < recovered.published || !files.MayShorten()) {
    return;
  }
  const auto shorten = [](DataFile& file, std::uint64_t content) {
    const std::uint64_t kept = (content / kGiveBackGrain + 1) * kGiveBackGrain;
    if (kept < file.bytes()) {
      file.ShortenTo(kept);
    }
  };
  const KindBytes content = ContentBytes(EndsOf(end));
  for (const Kind kind : kAllKinds) {
    shorten(files.data(kind), content[Index(kind)]);
  }
  files.NoteShortened();
}

// Part of step 5: writes the sentinel and the hints of the records that the walk recovered. The
// files may be too short for that, if the store was copied or its files were trimmed.
void CompleteTail(StoreFiles& files, const Slot& slot, const Cursor& cursor) {
  const KindBytes content = ContentBytes(EndsOf(cursor));
  for (const Kind kind : {Kind::kRecords, Kind::kPositionHints, Kind::kRowHints}) {
    GrowToHold(files.data(kind), content[Index(kind)]);
  }
  files.RefreshMaps();
  auto* records = reinterpret_cast<Record*>(files.records.data());
  auto* position_hints = reinterpret_cast<std::uint64_t*>(files.position_hints.data());
  auto* row_hints = reinterpret_cast<std::uint64_t*>(files.row_hints.data());
  std::uint64_t rows = slot.rows;
  records[cursor.records].start = cursor.values;
  for (std::uint64_t i = slot.records; i < cursor.records; ++i) {
    const std::uint64_t end = records[i + 1].start;
    ForEachHintSlot(records[i].start, end, [=](std::uint64_t at) { position_hints[at] = i; });
    const std::uint64_t row = RowOfRecord(records[i].row_session);
    if (row == rows && row % kHintStride == 0) {
      row_hints[row / kHintStride] = i;
    }
    rows = row + 1;
  }
}

// Part of step 5. If the last writer did not announce its schema, the name of that file may be in
// memory only, also because the sync of the directory failed: then it is written again. Records that
// were there when fields were added may be lost: then later records may have these fields earlier.
void AnnounceSchema(StoreFiles& files, std::uint64_t records) {
  const std::shared_ptr<const StoreSchema> known = files.store_schema();
  const Schema& schema = known->schema;
  const std::uint64_t announced = files.control.schema_revision().load(std::memory_order_acquire);
  if (announced != schema.revision() || AddsAfter(schema, records)) {
    ReplaceSchema(files, SinceAtMost(schema, records, schema.revision() + 1));
  }
}

// A session number that no earlier writer used: higher than all in the control file.
std::uint64_t NextSession(const StoreFiles& files, const Slot& newest) {
  std::uint64_t session =
      std::max(files.control.session().load(std::memory_order_acquire), newest.session);
  for (const int which : {0, 1}) {
    if (const auto slot = files.control.ReadSlot(which, files.identity().id)) {
      session = std::max(session, slot->session);
    }
  }
  return NextSessionNumber(session);
}

}  // namespace

PathState InspectPath(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return PathState::kNothing;
  }
  if (!std::filesystem::is_directory(status)) {
    return PathState::kSomethingElse;
  }
  const Directory directory = Directory::Open(path);
  if (LooksLikeStore(directory)) {
    return PathState::kStore;
  }
  return directory.Entries().empty() ? PathState::kEmptyDirectory : PathState::kSomethingElse;
}

OpenedStore OpenForWriting(const std::filesystem::path& path) {
  RemoveLeftovers(path);
  OpenedStore opened;
  opened.files = StoreFiles::Open(Directory::Open(path), /*writable=*/true);  // step 1
  StoreFiles& files = *opened.files;
  TakeWriterLock(files);
  RefreshFiles(files);
  files.directory().Unlink(kSchemaTemporaryName);
  files.ReloadSchema();
  const Recovered recovered = Recover(files);  // steps 2 and 3
  Control& control = files.control;
  // Step 4. If a sync was interrupted, its pages and even the newest slot may not be on disk.
  const bool sync_interrupted = control.state().load(std::memory_order_acquire) == kLiveSyncing;
  if (sync_interrupted) {
    DirtyUnsynced(files, recovered.slot, recovered.cursor);
  }
  if (recovered.cursor.records < recovered.published) {
    control.truncations().fetch_add(1, std::memory_order_release);
  }
  if (!recovered.slot.clean || sync_interrupted) {
    for (const Kind kind : kAllKinds) {
      files.data(kind).NoteCreated();  // the names of new files may not be on disk yet
    }
  }
  RemoveUncounted(files, recovered.slot, sync_interrupted);
  AnnounceSchema(files, recovered.cursor.records);
  GiveBackUnused(files, recovered);
  CompleteTail(files, recovered.slot, recovered.cursor);
  const std::uint64_t session = NextSession(files, recovered.slot);
  control.begin().store(recovered.slot.begin.records, std::memory_order_release);
  control.layout_begin().store(recovered.slot.begin.layout_words, std::memory_order_release);
  control.published().store(recovered.cursor.records, std::memory_order_release);
  // After an interrupted sync, both words stay as they are until a sync has finished: readers go on
  // using the slot that the last writer knew to be on disk.
  if (!sync_interrupted) {
    control.durable().store(recovered.slot.records, std::memory_order_relaxed);
    control.state().store(kLiveOpen, std::memory_order_release);
  }
  if (!TryLockByte(files.lock, kLiveLockByte)) {
    throw Error(
        ErrorCode::kLocked,
        StrCat(files.path_text(), ": opening: another process holds the live byte of its lock"));
  }
  // This is stored last, because a reader that found the live byte free stays at its own prefix
  // until this word changes.
  control.session().store(session, std::memory_order_release);
  opened.recovery = recovered.report;
  opened.start = {.cursor = recovered.cursor,
                  .session = session,
                  .slot_sequence = recovered.slot.sequence,
                  .slot_session = recovered.slot.session,
                  .durable_records = sync_interrupted ? 0 : recovered.slot.records,
                  .durable_rows = sync_interrupted ? 0 : recovered.slot.rows,
                  .newest = recovered.slot,
                  .sync_interrupted = sync_interrupted};
  return opened;
}

}  // namespace stream_store::internal
