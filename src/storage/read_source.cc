#include "storage/read_source.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "base/assert.h"
#include "base/lock.h"
#include "base/str_cat.h"
#include "format/layout.h"
#include "storage/record_verifier.h"
#include "storage/recover.h"

namespace stream_store::internal {

ReadSource::ReadSource(std::shared_ptr<StoreFiles> files)
    : files_(std::move(files)), shared_(false) {
  CountAttached(1);
}

ReadSource::ReadSource(std::shared_ptr<StoreFiles> files, Recovery recovery, const Cursor& at)
    : files_(std::move(files)),
      recovery_(std::move(recovery)),
      shared_(true),
      truncations_(files_->control.truncations().load(std::memory_order_acquire)),
      counted_begin_(files_->begin().records),
      counted_records_(at.records),
      counted_writes_(at.field_writes - files_->begin().field_writes) {
  files_->AddUser();
}

ReadSource::~ReadSource() {
  if (shared_) {
    files_->RemoveUser();
  } else {
    CountAttached(-1);
  }
}

namespace {

// A View of the current mappings that ends at these counts. The caller sets the rest.
View ViewOfMaps(const StoreFiles& files, std::uint64_t records, std::uint64_t values) {
  const std::shared_ptr<const Maps> maps = files.maps();
  View view;
  view.values = maps->data<Value>(Kind::kValues);
  view.records = maps->data<Record>(Kind::kRecords);
  view.layouts = maps->data<std::uint64_t>(Kind::kLayouts);
  view.position_hints = maps->data<std::uint64_t>(Kind::kPositionHints);
  view.row_hints = maps->data<std::uint64_t>(Kind::kRowHints);
  view.begin_record = maps->begin.records;
  view.first_row = maps->begin.rows;
  view.first_position = maps->begin.values;
  view.layout_begin = maps->begin.layout_words;
  view.record_count = records;
  view.value_count = values;
  const auto end_of = [&](Kind kind) {
    const ChunkRange& range = *maps->parts[Index(kind)].range;
    return std::min(files.data(kind).bytes(), range.end_byte()) / sizeof(std::uint64_t);
  };
  view.position_hint_end = std::min(end_of(Kind::kPositionHints), HintSlots(values));
  view.row_hint_end = end_of(Kind::kRowHints);
  view.store_schema = files.store_schema();
  view.mapping_key = CacheKey(maps->key, *view.store_schema);
  view.mappings = maps;
  return view;
}

}  // namespace

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
  const Begin begin = ReadBegin(control.file(), files_->identity().id);
  if (begin.records > files_->begin().records) {  // a writer has dropped rows and closed the store
    const ForkMutexLock lock(mutex_);
    MoveBeginTo(begin.records, begin.layout_words);
  }
  if (ByteLockedElsewhere(files_->lock, kLiveLockByte)) {
    return true;
  }
  // No writer holds the live byte, so the live words are those of a writer that closed or crashed.
  // It may have grown the files since they were opened here.
  {
    const ForkMutexLock lock(mutex_);
    for (const Kind kind : kAllKinds) {
      files_->data(kind).RefreshBytes(0);
    }
  }
  const Recovered recovered = Recover(*files_);
  recovery_ = recovered.report;
  fixed_ = End{recovered.cursor.records, recovered.cursor.values};
  {
    const ForkMutexLock lock(mutex_);
    FitFile(files_->records, fixed_.records * sizeof(Record), fixed_.records);
    FitFile(files_->values, fixed_.values * sizeof(Value), fixed_.records);
    counted_begin_ = recovered.slot.begin.records;
    counted_records_ = recovered.cursor.records;
    counted_writes_ = recovered.cursor.field_writes - recovered.slot.begin.field_writes;
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
// another process may have grown the files beyond their size or mapping here.
void ReadSource::FitFile(DataFile& file, std::uint64_t bytes, std::uint64_t record) {
  if (bytes > file.bytes() && bytes > file.RefreshBytes(bytes)) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(file.path(), ": expected at least ", bytes, " bytes for record ", record,
                       " but found ", file.bytes()));
  }
}

// As FitFile(), for the files whose necessary size the live words do not determine. Hints may be
// missing.
void ReadSource::FitTables(const End& end, std::uint64_t rows) {
  const ForkMutexLock lock(mutex_);
  files_->layouts.RefreshBytes();
  const KindBytes content = ContentBytes({.values = end.values, .rows = rows});
  for (const Kind kind : {Kind::kPositionHints, Kind::kRowHints}) {
    if (files_->data(kind).bytes() < content[Index(kind)]) {
      files_->data(kind).RefreshBytes(content[Index(kind)]);
    }
  }
  if (!files_->MapsAreCurrent()) {
    files_->RefreshMaps();
  }
}

// Loads a word of record i once. Of the record after the last one, the sentinel, only `start` is
// valid. With copies, a record that the file no longer has reads as zeros.
std::uint64_t ReadSource::LoadWord(const Record* records, std::uint64_t i,
                                   std::uint64_t Record::* word) const {
  if (!copies()) {
    return LoadOnce(records[i].*word);
  }
  Record record{};
  files_->records.ReadAt(std::as_writable_bytes(std::span(&record, 1)), i * sizeof(Record));
  return record.*word;
}

// The first record that is retained, as this source should know it. The live word counts only
// while a writer is known to maintain it.
bool ReadSource::IsCurrent(const View& view) const {
  return view.mappings != nullptr && view.record_count > view.begin_record && KnowsSchemaOf(view) &&
         (!following_.load(std::memory_order_acquire) ||
          files_->control.begin().load(std::memory_order_acquire) == view.begin_record);
}

// The writer stores `begin` before `layout_begin`, so in this order the layouts begin early enough.
ReadSource::BeginWords ReadSource::LoadBegin() const noexcept {
  const Control& control = files_->control;
  BeginWords words;
  words.layouts = control.layout_begin().load(std::memory_order_acquire);
  words.records = control.begin().load(std::memory_order_acquire);
  return words;
}

// Whether an error only means that files were missing because a writer has dropped rows since `seen` was
// loaded. With copies, the words are from before the files were opened, so they are copied again.
bool ReadSource::IsFromDrop(const Error& error, const BeginWords& seen) const {
  if (error.code() != ErrorCode::kCorrupt && error.code() != ErrorCode::kNotFound) {
    return false;
  }
  files_->control.Refresh();
  return LoadBegin() != seen;
}

// Moves the begin of an attached source to that of the live words, if rows were dropped.
void ReadSource::FollowBegin() {
  const BeginWords begin = LoadBegin();
  const ForkMutexLock lock(mutex_);
  if (begin.records > files_->begin().records) {
    MoveBeginTo(begin.records, begin.layouts);
  }
}

// Maps what begins at `record`, which may be far after all that is mapped here. The words may be
// hostile: a file that they lead to is missing or too short then.
void ReadSource::MoveBeginTo(std::uint64_t record, std::uint64_t layout_begin) {
  const auto fit = [&](DataFile& file, std::uint64_t first, std::uint64_t bytes)
                       REQUIRES_LOCK(mutex_) {
                         if (bytes > file.bytes()) {
                           file.Restart(first);  // all chunks that are known here may be gone
                         }
                         FitFile(file, bytes, record);
                       };
  fit(files_->records, record * sizeof(Record), (record + 1) * sizeof(Record));
  Begin begin{.records = record, .layout_words = layout_begin};
  const auto* records = reinterpret_cast<const Record*>(files_->records.data());
  begin.values = LoadWord(records, record, &Record::start);
  begin.rows = RowOfRecord(LoadWord(records, record, &Record::row_session));
  if (begin.values > kMaxValues || begin.rows > record || begin.values < files_->begin().values) {
    throw Error(ErrorCode::kCorrupt, StrCat(files_->records.path(), ": record ", record,
                                            ": expected the first record that is retained"));
  }
  const KindBytes first = FirstBytes(begin);
  for (const Kind kind : {Kind::kValues, Kind::kLayouts, Kind::kPositionHints, Kind::kRowHints}) {
    fit(files_->data(kind), first[Index(kind)], first[Index(kind)]);
  }
  files_->MoveBegin(begin);
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
    if (!files_->MapsAreCurrent()) {
      files_->RefreshMaps();
    }
  }
  const std::shared_ptr<const Maps> maps = files_->maps();
  const auto* records = maps->data<Record>(Kind::kRecords);
  end.values = LoadWord(records, end.records, &Record::start);
  if (end.values < view.value_count || end.values > kMaxValues) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->records.path(), ": record ", end.records,
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

// Reads the schema again if the writer has announced a newer one; without a writer, FindPrefix() has
// read it. The word is loaded after `published`, so that the schema has the fields of all records of
// the view that is being made. `empty`: the view has no records yet; until there are some, any fields
// may have changed. A temporary store that was closed may have been deleted: its schema is then the
// one known here.
void ReadSource::RefreshSchema(bool empty) {
  const ForkMutexLock lock(mutex_);  // an older schema must not replace a newer one
  const std::uint64_t newest = files_->control.schema_revision().load(std::memory_order_acquire);
  const auto known = [&] { return files_->store_schema()->schema.revision(); };
  const bool outdated = known() < newest;
  if (!following_.load(std::memory_order_acquire) || (!empty && !outdated)) {
    return;
  }
  if (!files_->persistent() && !files_->directory().Contains(kSchemaName)) {
    return;
  }
  files_->ReloadSchema();
  if (outdated && known() < newest) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->path_text(), "/schema: expected at least revision ", newest,
                       " but found ", known()));
  }
}

// Files may be missing because rows were dropped since the words were loaded. Then there are newer
// ones.
void ReadSource::Advance(View& view) {
  for (;;) {
    const BeginWords seen = LoadBegin();
    try {
      AdvanceOnce(view);
      return;
    } catch (const Error& error) {
      if (!IsFromDrop(error, seen)) {
        throw;
      }
    }
  }
}

void ReadSource::AdvanceOnce(View& view) {
  CheckNotTruncated();
  // With a writer in this process, files and schema are already as the published records need them.
  const bool alone = !SharesMappings();
  if (alone && !StillFixed()) {
    FollowBegin();
  }
  const End end = FindEnd(view);
  if (end.records == view.record_count && IsCurrent(view)) {
    return;
  }
  if (alone) {
    RefreshSchema(/*empty=*/view.record_count == 0);
  }
  const Begin begin = files_->begin();
  const std::shared_ptr<const Maps> maps = files_->maps();
  const auto* records = maps->data<Record>(Kind::kRecords);
  const std::uint64_t rows =
      end.records <= begin.records
          ? begin.rows
          : RowOfRecord(LoadWord(records, end.records - 1, &Record::row_session)) + 1;
  // Each row has at least one record. Row counts become sizes of outputs, so a hostile one must be
  // refused here.
  if (end.records < begin.records || end.values < begin.values || rows < begin.rows ||
      rows - begin.rows > end.records - begin.records) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(files_->records.path(), ": record ", end.records - 1,
                       ": expected a row below ", end.records, " but found ", rows - 1));
  }
  if (alone) {
    FitTables(end, rows);
  }
  View next = ViewOfMaps(*files_, end.records, end.values);
  next.row_count = rows;
  next.row_hint_end = std::min(next.row_hint_end, HintSlots(rows));
  next.layout_words = alone ? std::min(files_->layouts.bytes(), files_->layouts.reserved()) / 8
                            : files_->layout_words.load(std::memory_order_relaxed);
  CheckNotTruncated();  // again: the words above may have been loaded during a truncation
  view = std::move(next);
}

bool ReadSource::live() const {
  if (SharesMappings()) {
    return true;
  }
  if (!files_->persistent() &&
      files_->control.state().load(std::memory_order_acquire) == kLiveClosed) {
    return false;  // although the lock is held, until the directory is deleted
  }
  if (!shared_ && files_->lock.is_open()) {
    return ByteLockedElsewhere(files_->lock, kLiveLockByte);
  }
  // The writer has closed its descriptor of the lock, or the files are parked, or this is a forked child:
  // open another one.
  try {
    return ByteLockedElsewhere(files_->directory().OpenFile(kLockName, /*writable=*/false),
                               kLiveLockByte);
  } catch (const Error& error) {
    if (error.system_errno() == EMFILE || error.system_errno() == ENFILE) {
      throw;
    }
    return false;  // the directory was deleted
  }
}

// A slot is certain only when it is on disk. While a sync is running, or after one was interrupted,
// the newest slot may be in memory only. Then the word `durable` says which slot was synced; if
// that is not the newest one, it is the other one.
//
// The slot is read before the state: a sync that is not running any more has ended after it wrote
// that slot. The other slot may be overwritten meanwhile, but then there is a newer one. If it is not
// valid, it is being written, or was when the power failed; both happen only after the newest one was
// synced.
Slot ReadSource::DurableSlot() const {
  if (!files_->persistent()) {
    return {};
  }
  const Control& control = files_->control;
  const StoreId& id = files_->identity().id;
  for (;;) {
    const Slot newest = control.NewestSlot(id);
    control.Refresh();
    const bool syncing = control.state().load(std::memory_order_acquire) == kLiveSyncing;
    if (!syncing || newest.records == control.durable().load(std::memory_order_acquire)) {
      return newest;
    }
    const std::optional<Slot> other = control.ReadSlot(static_cast<int>(~newest.sequence & 1), id);
    if (control.NewestSlot(id).sequence == newest.sequence) {
      return other.value_or(newest);
    }
  }
}

std::uint64_t ReadSource::durable_rows() const { return DurableSlot().rows; }

std::shared_ptr<void> ReadSource::Kept(std::uint64_t number) {
  const ForkMutexLock lock(mutex_);
  const auto found = kept_.find(number);
  return found == kept_.end() ? nullptr : found->second;
}

// The object that was kept before is destroyed after the mutex is released: it may have one itself.
void ReadSource::Keep(std::uint64_t number, std::shared_ptr<void> object) {
  const ForkMutexLock lock(mutex_);
  kept_[number].swap(object);
}

std::uint64_t ReadSource::CountFieldWrites(const View& view) {
  const ForkMutexLock lock(mutex_);
  if (copies()) {
    RecordVerifier verifier(*files_, *view.store_schema);
    std::uint64_t writes = 0;
    const std::uint64_t end = std::min(view.record_count, verifier.record_capacity());
    for (std::uint64_t i = std::max(view.begin_record, verifier.first_record()); i < end; ++i) {
      writes += verifier.Layout(verifier.record(i).layout).fields;
    }
    return writes;
  }
  if (view.begin_record != counted_begin_ || counted_records_ < view.begin_record) {
    counted_begin_ = counted_records_ = view.begin_record;  // rows were dropped: count again
    counted_writes_ = 0;
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
