// Opening for writing: lock, recover, make the live words true. Numbers in comments are the steps
// of docs/format.md, "Open for writing".
#include "storage/open.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <system_error>
#include <utility>

#include "base/lock.h"
#include "base/str_cat.h"
#include "storage/recover.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kPage = 4096;

std::string ReadHolder(const File& lock) {
  std::array<std::byte, 256> bytes;
  const std::size_t count = lock.ReadAt(bytes, 0);
  std::string text(reinterpret_cast<const char*>(bytes.data()), count);
  text.erase(std::ranges::find(text, '\n'), text.end());
  const bool plain = std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
  return plain && !text.empty() ? text : "unknown holder";
}

void TakeWriterLock(const StoreFiles& files) {
  if (!TryLockByte(files.lock, kWriterLockByte)) {
    throw Error(ErrorCode::kLocked, StrCat(files.path_text(), ": another writer has it open (",
                                           ReadHolder(files.lock), ")"));
  }
  const std::string holder = LockHolderText() + "\n";
  files.lock.Truncate(0);
  files.lock.WriteAt(std::as_bytes(std::span(holder)), 0);
}

// Step 4: a kernel forgets pages it failed to write. Storing a word of each page onto itself makes
// them dirty again, so that the next fdatasync is honest.
void DirtyAgain(const DataFile& file, std::uint64_t begin, std::uint64_t end) {
  end = std::min(end, file.bytes() / sizeof(std::uint64_t) * sizeof(std::uint64_t));
  for (std::uint64_t at = begin / kPage * kPage; at < end; at += kPage) {
    auto* word = reinterpret_cast<std::uint64_t*>(file.data() + at);
    const std::atomic_ref<std::uint64_t> same(*word);
    same.store(same.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

void DirtyUnsynced(const StoreFiles& files, const Slot& slot, const Cursor& cursor) {
  DirtyAgain(files.values, slot.values * sizeof(Value), cursor.values * sizeof(Value));
  DirtyAgain(files.records, slot.records * sizeof(Record), (cursor.records + 1) * sizeof(Record));
  DirtyAgain(files.layouts, slot.layout_words * 8, cursor.layout_words * 8);
  DirtyAgain(files.hints, std::max(slot.values, slot.rows) / kHintStride * sizeof(Hint),
             (std::max(cursor.values, cursor.rows) / kHintStride + 1) * sizeof(Hint));
}

void GrowToHold(DataFile& file, std::uint64_t bytes) {
  if (bytes > file.reserved()) {
    file.Remap(bytes);
  }
  file.GrowTo(bytes, bytes);
}

// Step 5: what the walk recovered gets its sentinel and hints.
void CompleteTail(StoreFiles& files, const Slot& slot, const Cursor& cursor) {
  GrowToHold(files.records, (cursor.records + 1) * sizeof(Record));
  GrowToHold(files.hints, (std::max(cursor.values, cursor.rows) / kHintStride + 1) * sizeof(Hint));
  files.RefreshMaps();
  auto* records = reinterpret_cast<Record*>(files.records.data());
  auto* hints = reinterpret_cast<Hint*>(files.hints.data());
  std::uint64_t rows = slot.rows;
  records[cursor.records].start = cursor.values;
  for (std::uint64_t i = slot.records; i < cursor.records; ++i) {
    const std::uint64_t end = records[i + 1].start;
    ForEachHintSlot(records[i].start, end,
                    [=](std::uint64_t slot) { hints[slot].position_record = i; });
    const std::uint64_t row = RowOfRecord(records[i].row_session);
    if (row == rows && row % kHintStride == 0) {
      hints[row / kHintStride].row_record = i;
    }
    rows = row + 1;
  }
}

std::uint64_t NextSession(const StoreFiles& files, const Slot& newest) {
  std::uint64_t session =
      std::max(files.control.session().load(std::memory_order_acquire), newest.session);
  for (const int which : {0, 1}) {
    if (const auto slot = files.control.ReadSlot(which, files.identity().id)) {
      session = std::max(session, slot->session);
    }
  }
  session += 1;
  return session % (1 << 16) == 0 ? session + 1 : session;  // 0 marks nobody
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

Opened OpenForWriting(const std::filesystem::path& path) {
  RemoveLeftovers(path);
  Opened opened;
  opened.files = StoreFiles::Open(Directory::Open(path), /*writable=*/true);  // step 1
  StoreFiles& files = *opened.files;
  TakeWriterLock(files);
  // What was opened before the lock was ours may have changed since.
  for (DataFile* file : {&files.values, &files.records, &files.layouts, &files.hints}) {
    if (file->RefreshBytes() > file->reserved()) {
      file->Remap(file->bytes());
    }
  }
  files.directory().Unlink(kSchemaTemporaryName);
  files.ReloadSchema();
  const Recovered recovered = Recover(files);  // steps 2 and 3
  Control& control = files.control;
  // Step 4. A sync that did not end: neither pages nor the newest slot need be on disk.
  const bool doubtful = control.state().load(std::memory_order_acquire) == kLiveSyncing;
  if (doubtful) {
    DirtyUnsynced(files, recovered.slot, recovered.cursor);
  }
  if (recovered.cursor.records < recovered.published) {
    control.truncations().fetch_add(1, std::memory_order_release);
  }
  CompleteTail(files, recovered.slot, recovered.cursor);
  const std::uint64_t session = NextSession(files, recovered.slot);
  control.published().store(recovered.cursor.records, std::memory_order_release);
  control.durable().store(doubtful ? 0 : recovered.slot.records, std::memory_order_relaxed);
  if (!doubtful) {
    control.state().store(kLiveOpen, std::memory_order_release);
  }
  if (!TryLockByte(files.lock, kLiveLockByte)) {
    throw Error(ErrorCode::kLocked,
                StrCat(files.path_text(), ": somebody holds the live byte of its lock"));
  }
  // Last: a reader that saw the live byte free waits for another session than it saw.
  control.session().store(session, std::memory_order_release);
  opened.recovery = recovered.report;
  opened.start = {.cursor = recovered.cursor,
                  .session = session,
                  .slot_sequence = recovered.slot.sequence,
                  .slot_session = recovered.slot.session,
                  .durable_records = doubtful ? 0 : recovered.slot.records,
                  .durable_rows = doubtful ? 0 : recovered.slot.rows,
                  .slot_doubtful = doubtful};
  return opened;
}

}  // namespace stream_store::internal
