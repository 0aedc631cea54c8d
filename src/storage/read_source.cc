#include "storage/read_source.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "stream_store/interop.h"

#include "base/assert.h"
#include "base/lock.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "format/schema_codec.h"
#include "storage/record_verifier.h"
#include "storage/recover.h"

namespace stream_store::internal {

namespace {

bool Gone(const std::filesystem::path& path) {
  try {
    return !LooksLikeStore(Directory::Open(path));
  } catch (const Error&) {
    return true;
  }
}

}  // namespace

std::shared_ptr<ReadSource> ReadSource::Attach(const std::filesystem::path& path, bool copies) {
  Directory directory = OpenStoreDirectory(path);
  try {
    std::shared_ptr<ReadSource> source(
        new ReadSource(StoreFiles::Open(std::move(directory), /*writable=*/false, copies)));
    while (!source->FindPrefix()) {  // a writer has opened the store during the attempt
    }
    return source;
  } catch (const Error& error) {
    // A missing file looks like corruption. If the whole store is gone by now, it is being deleted.
    if (error.code() == ErrorCode::kCorrupt && Gone(path)) {
      throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": no such store: it was deleted"),
                  ENOENT);
    }
    throw;
  }
}

interop::Handover ReadSource::HandOver() const {
  STREAM_STORE_ASSERT(!files().persistent());
  const StoreFiles& files = *files_;
  return {{files.values.file().fd(), files.records.file().fd(), files.layouts.file().fd(),
           files.hints.file().fd(), files.control.file().fd()},
          EncodeSchema(files.store_schema()->schema, files.identity().id)};
}

std::shared_ptr<ReadSource> ReadSource::TakeOver(const interop::Handover& handover) {
  const auto file = [&](std::size_t i, const char* name) {
    return File(handover.descriptors[i], StrCat(name, " (temporary, of another process)"));
  };
  StoreFiles::Parts parts;
  parts.values = file(0, kValuesName);
  parts.records = file(1, kRecordsName);
  parts.layouts = file(2, kLayoutsName);
  parts.hints = file(3, kHintsName);
  parts.control = file(4, kControlName);
  std::array<std::byte, kIdentityBytes> bytes;
  const std::size_t count = parts.control.ReadAt(bytes, kIdentityOffset);
  parts.identity =
      DecodeIdentity(std::span<const std::byte>(bytes.data(), count), parts.control.path());
  parts.schema = DecodeSchema(handover.schema, parts.identity.id, "schema (temporary)");
  parts.writable = false;
  std::shared_ptr<ReadSource> source(
      new ReadSource(std::make_shared<StoreFiles>(std::move(parts))));
  source->truncations_ = source->files_->control.truncations().load(std::memory_order_acquire);
  return source;
}

ReadSource::ReadSource(std::shared_ptr<StoreFiles> files)
    : files_(std::move(files)), shared_(false) {}

ReadSource::ReadSource(std::shared_ptr<StoreFiles> files, Recovery recovery, const Cursor& at)
    : files_(std::move(files)),
      recovery_(std::move(recovery)),
      shared_(true),
      truncations_(files_->control.truncations().load(std::memory_order_acquire)),
      counted_records_(at.records),
      counted_writes_(at.field_writes) {
  files_->AddUser();
}

ReadSource::~ReadSource() {
  if (shared_) {
    files_->RemoveUser();
  }
}

// Decides between the two states of an attached source. Returns false if a writer opened the store
// during the recovery: the recovery may then have read a mixture of old and new words, and the
// caller tries again.
bool ReadSource::FindPrefix() {
  const Control& control = files_->control;
  control.Refresh();
  following_.store(true);
  next_writer_cuts_ = false;
  session_ = control.session().load(std::memory_order_acquire);
  truncations_ = control.truncations().load(std::memory_order_acquire);
  files_->ReloadSchema();
  if (ByteLockedElsewhere(files_->lock, kLiveLockByte)) {
    return true;
  }
  // No writer holds the live byte, so the live words are those of a writer that closed or crashed.
  const Recovered recovered = Recover(*files_);
  recovery_ = recovered.report;
  fixed_ = End{recovered.cursor.records, recovered.cursor.values};
  {
    const ForkMutexLock lock(mutex_);
    counted_records_ = recovered.cursor.records;
    counted_writes_ = recovered.cursor.field_writes;
  }
  next_writer_cuts_ = recovered.cursor.records < recovered.published;
  following_.store(false);
  control.Refresh();
  return session_ == control.session().load(std::memory_order_acquire) &&
         truncations_ == control.truncations().load(std::memory_order_acquire);
}

bool ReadSource::SharesMappings() const noexcept {
  return shared_ && files_->writer_open.load(std::memory_order_acquire);
}

// A source that is fixed at its own recovered prefix tolerates one truncation: the next writer
// recovers the same prefix, so it removes only records that no View of this source has contained.
//
// The fence keeps the loads of the read before this one: if one of them saw a word of an append
// after a truncation, the load here sees that truncation.
void ReadSource::CheckNotTruncated() const {
  std::atomic_thread_fence(std::memory_order_acquire);
  files_->control.Refresh();
  const std::uint64_t truncations = files_->control.truncations().load(std::memory_order_acquire);
  const std::uint64_t ours = truncations_.load(std::memory_order_relaxed);
  if (truncations == ours || (next_writer_cuts_ && truncations == ours + 1)) [[likely]] {
    return;
  }
  ThrowCutBack();
}

void ReadSource::ThrowCutBack() const {
  throw Error(ErrorCode::kCutBack,
              StrCat(files_->path_text(),
                     ": the store was cut back, by truncate() or by recovery, after it was opened "
                     "here: open it again"));
}

// Whether the end is still that of our own recovery. If a writer has opened the store since,
// changes the state to following.
bool ReadSource::StillFixed() {
  if (following_.load(std::memory_order_acquire)) {
    return false;
  }
  const ForkMutexLock lock(mutex_);
  if (!following_.load() && files_->control.session().load(std::memory_order_acquire) != session_) {
    following_.store(true);
  }
  return !following_.load();
}

// Makes sure that `bytes` of a file exist and are mapped, before anything in them is loaded:
// another process may have grown the file beyond its size or mapping here.
void ReadSource::FitFile(DataFile& file, std::uint64_t bytes, std::uint64_t record) {
  if (bytes > file.bytes() && bytes > file.RefreshBytes()) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(file.file().path(), ": expected at least ", bytes, " bytes for record ",
                       record, " but found ", file.bytes()));
  }
  if (bytes > file.reserved()) {
    file.Remap(bytes);
    files_->RefreshMaps();
  }
}

// As FitFile(), for the files whose necessary size the live words do not determine.
void ReadSource::RefreshTables() {
  const ForkMutexLock lock(mutex_);
  for (DataFile* file : {&files_->layouts, &files_->hints}) {
    if (file->RefreshBytes() > file->reserved()) {
      file->Remap(file->bytes());
      files_->RefreshMaps();
    }
  }
}

// Loads a word of record i once. Of the record after the last one, the sentinel, only `start` is
// valid. With copies, a record that the file no longer has reads as zeros.
std::uint64_t ReadSource::LoadWord(const Maps& maps, std::uint64_t i,
                                   std::uint64_t Record::* word) const {
  if (!copies()) {
    return LoadOnce(reinterpret_cast<const Record*>(maps.records->data())[i].*word);
  }
  Record record{};
  files_->records.file().ReadAt(std::as_writable_bytes(std::span(&record, 1)), i * sizeof(Record));
  return record.*word;
}

// Finds the current end and checks it against `view` and the files. The words may be hostile, so
// each is loaded once and checked before it is used as a size.
ReadSource::End ReadSource::FindEnd(const View& view) {
  if (StillFixed()) {
    return fixed_;
  }
  End end;
  end.records = files_->control.published().load(std::memory_order_acquire);
  if (end.records == view.record_count) {
    end.values = view.value_count;
    return end;
  }
  if (end.records < view.record_count || end.records > kMaxRows) {
    CheckNotTruncated();
    // The source was attached while truncate() was lowering the word.
    if (files_->control.state().load(std::memory_order_acquire) == kLiveSyncing) {
      ThrowCutBack();
    }
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->path_text(), "/control: expected at least ", view.record_count,
                       " published records but found ", end.records));
  }
  if (!SharesMappings()) {
    const ForkMutexLock lock(mutex_);
    FitFile(files_->records, (end.records + 1) * sizeof(Record), end.records);
  }
  end.values = LoadWord(*files_->maps(), end.records, &Record::start);
  if (end.values < view.value_count || end.values > kLengthMask) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->path_text(), "/records: record ", end.records,
                       ": expected the end of the values but found ", end.values));
  }
  if (!SharesMappings()) {
    const ForkMutexLock lock(mutex_);
    FitFile(files_->values, end.values * sizeof(Value), end.records);
  }
  return end;
}

// Whether the schema of a view is the newest. The word of a writer that died proves nothing, and
// FindPrefix() has read the schema then.
bool ReadSource::KnowsSchemaOf(const View& view) const noexcept {
  return files_->control.schema_revision().load(std::memory_order_acquire) <=
             view.store_schema->schema.revision() ||
         !following_.load(std::memory_order_acquire);
}

// Reads the schema again if the writer has announced a newer one. The word is loaded after
// `published`, so that the schema has the fields of all records of the view that is being made.
// `empty`: the view has no records yet; until there are some, any fields may have changed.
void ReadSource::RefreshSchema(bool empty) {
  if (!files_->persistent()) {
    return;
  }
  const ForkMutexLock lock(mutex_);  // an older schema must not replace a newer one
  const std::uint64_t newest = files_->control.schema_revision().load(std::memory_order_acquire);
  const auto known = [&] { return files_->store_schema()->schema.revision(); };
  const bool behind = known() < newest && following_.load(std::memory_order_acquire);
  if (!empty && !behind) {
    return;
  }
  files_->ReloadSchema();
  if (behind && known() < newest) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->path_text(), "/schema: expected at least revision ", newest,
                       " but found ", known()));
  }
}

void ReadSource::Advance(View& view) {
  CheckNotTruncated();
  const End end = FindEnd(view);
  if (end.records == view.record_count && view.mappings != nullptr && end.records > 0 &&
      KnowsSchemaOf(view)) {
    return;
  }
  // With a writer in this process, files and schema are already as the published records need them.
  const bool alone = !SharesMappings();
  if (alone) {
    RefreshTables();
    RefreshSchema(/*empty=*/view.record_count == 0);
  }
  View next;
  const std::shared_ptr<const Maps> maps = files_->maps();
  next.values = reinterpret_cast<const Value*>(maps->values->data());
  next.records = reinterpret_cast<const Record*>(maps->records->data());
  next.layouts = reinterpret_cast<const std::uint64_t*>(maps->layouts->data());
  next.hints = reinterpret_cast<const Hint*>(maps->hints->data());
  next.value_count = end.values;
  next.record_count = end.records;
  next.row_count = end.records == 0
                       ? 0
                       : RowOfRecord(LoadWord(*maps, end.records - 1, &Record::row_session)) + 1;
  // Each row has at least one record. Row counts become sizes of outputs, so a hostile one must be
  // refused here.
  if (next.row_count > next.record_count) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->path_text(), "/records: record ", end.records - 1,
                       ": expected a row below ", end.records, " but found ", next.row_count - 1));
  }
  const std::uint64_t layout_bytes = std::min(files_->layouts.bytes(), maps->layouts->size());
  next.layout_words =
      alone ? layout_bytes / 8 : files_->layout_words.load(std::memory_order_relaxed);
  const std::uint64_t reach = std::max(next.value_count, next.row_count);
  next.hint_slots = std::min(
      {files_->hints.bytes() / sizeof(Hint), maps->hints->size() / sizeof(Hint), HintSlots(reach)});
  next.store_schema = files_->store_schema();
  next.mapping_key = CacheKey(maps->key, *next.store_schema);
  next.mappings = maps;
  CheckNotTruncated();  // again: the words above may have been loaded during a truncation
  view = std::move(next);
}

bool ReadSource::live() const {
  if (SharesMappings()) {
    return true;
  }
  if (!files_->persistent()) {  // it has no lock file; its writer stores when it closes
    return files_->control.state().load(std::memory_order_acquire) != kLiveClosed;
  }
  if (!shared_) {
    return ByteLockedElsewhere(files_->lock, kLiveLockByte);
  }
  // The writer has closed its descriptor of the lock, or this is a forked child: open another one.
  try {
    return ByteLockedElsewhere(files_->directory().OpenFile(kLockName, /*writable=*/false),
                               kLiveLockByte);
  } catch (const Error&) {
    return false;  // the directory was deleted
  }
}

// A slot is certain only when it is on disk. While a sync is running, or after one was interrupted,
// the newest slot may be in memory only. Then the word `durable` says which slot was synced; if
// that is not the newest one, it is the other one.
std::uint64_t ReadSource::durable_rows() const {
  if (!files_->persistent()) {
    return 0;
  }
  const Control& control = files_->control;
  control.Refresh();
  const bool sync_interrupted = control.state().load(std::memory_order_acquire) == kLiveSyncing;
  const std::uint64_t durable = control.durable().load(std::memory_order_acquire);
  std::optional<Slot> newest = control.NewestSlot(files_->identity().id);
  if (sync_interrupted && newest->records != durable) {
    newest = control.ReadSlot(static_cast<int>(~newest->sequence & 1), files_->identity().id);
  }
  return newest ? newest->rows : 0;
}

std::uint64_t ReadSource::CountFieldWrites(const View& view) {
  const ForkMutexLock lock(mutex_);
  if (copies()) {
    RecordVerifier verifier(*files_, *view.store_schema);
    std::uint64_t writes = 0;
    for (std::uint64_t i = 0; i < view.record_count && i < verifier.record_capacity(); ++i) {
      writes += verifier.Layout(verifier.record(i).layout).fields;
    }
    return writes;
  }
  if (view.record_count < counted_records_) {  // an older snapshot: subtract the later records
    View later = view;
    later.layout_words = files_->layouts.bytes() / sizeof(std::uint64_t);
    later.store_schema = files_->store_schema();  // the later records may have fields added since
    std::uint64_t writes = counted_writes_;
    for (std::uint64_t i = view.record_count; i < counted_records_; ++i) {
      writes -= LayoutAt(later, LoadOnce(view.records[i].layout)).fields;
    }
    return writes;
  }
  for (; counted_records_ < view.record_count; ++counted_records_) {
    counted_writes_ += LayoutAt(view, LoadOnce(view.records[counted_records_].layout)).fields;
  }
  return counted_writes_;
}

}  // namespace stream_store::internal
