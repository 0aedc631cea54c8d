#include "storage/copy_update.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/str_cat.h"
#include "format/schema_since.h"
#include "storage/copy.h"
#include "storage/copy_parts.h"
#include "storage/copy_range.h"
#include "storage/drop.h"
#include "storage/open.h"
#include "storage/record_verifier.h"

namespace stream_store::internal {
namespace {

// The bytes of records, values and layouts between two places.
std::uint64_t BytesBetween(const Cursor& from, const Cursor& to) {
  return (to.records - from.records) * sizeof(Record) + (to.values - from.values) * sizeof(Value) +
         (to.layout_words - from.layout_words) * sizeof(std::uint64_t);
}

bool Same(const Record& a, const Record& b) noexcept {
  return a.start == b.start && a.step == b.step && a.row_session == b.row_session &&
         a.layout == b.layout && a.checksum == b.checksum;
}

// Whether two schemas have the same fields, added at the same records.
bool SameSince(const Schema& a, const Schema& b) {
  bool same = a == b;
  for (std::size_t type = 0; same && type < a.size(); ++type) {
    same = a.since(static_cast<TypeId>(type)) == b.since(static_cast<TypeId>(type));
  }
  return same;
}

// Refuses a store that is not a copy of the source.
void CheckIdentity(const DamagedFiles& source, const Identity& copy, const std::string& path) {
  const Identity& ours = *source.identity;
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    throw Error(ErrorCode::kAlreadyExists,
                StrCat(path, ": updating it from ", source.path,
                       ": expected a checkpoint of that store, ", expected, ", but found ", found));
  };
  if (copy.id == ours.id) {
    refuse("with an id of its own", "the store itself, or its files copied in another way");
  }
  if (copy.parent != ours.id) {
    refuse(StrCat("made of the store ", IdText(ours.id)),
           copy.parent == StoreId{} ? "a store that is no copy"
                                    : StrCat("a copy of the store ", IdText(copy.parent)));
  }
  if (copy.chunk_bytes != ours.chunk_bytes || copy.checksum_seed != ours.checksum_seed) {
    refuse(StrCat("in chunks of ", ours.chunk_bytes, " bytes and with the same checksum seed"),
           StrCat("chunks of ", copy.chunk_bytes, " bytes",
                  copy.checksum_seed == ours.checksum_seed ? "" : " and another seed"));
  }
}

// Looks before the copy is opened for writing, which changes it.
void CheckBeforeOpening(const DamagedFiles& source, const std::filesystem::path& path) {
  std::optional<Finding> finding;
  const DamagedFiles copy = DamagedFiles::Open(path, [&](Finding found) {
    if (!finding) {
      finding = std::move(found);
    }
  });
  if (!copy.identity) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(copy.path, ": updating it from ", source.path,
                       ": expected a checkpoint but found: ", FindingText(*finding)));
  }
  CheckIdentity(source, *copy.identity, copy.path);
}

// One update. Each step is a function, in the order of the calls in Run().
class CopyUpdate {
 public:
  CopyUpdate(const DamagedFiles& source, std::uint64_t records, const std::filesystem::path& path,
             const Progress& progress)
      : source_(source),
        verifier_(source.verifier_parts()),
        records_(records),
        opened_(OpenForWriting(path)),
        files_(*opened_.files),
        slot_(opened_.start.newest),
        from_(opened_.start.cursor),
        begin_(slot_.begin),
        certain_(slot_.clean && !opened_.start.sync_interrupted),
        meter_(progress, 0) {}

  CopyUpdate(const CopyUpdate&) = delete;
  CopyUpdate& operator=(const CopyUpdate&) = delete;

  // The state says whether the newest slot is certain to be on disk.
  ~CopyUpdate() {
    if (certain_) {
      files_.control.state().store(kLiveClosed, std::memory_order_release);
    }
  }

  std::uint64_t Run() {
    CheckIdentity(source_, files_.identity(), files_.path_text());
    CheckSource();
    CheckSchema();
    CheckPrefix();
    FindBegin();
    if (certain_ && from_.records == records_ && begin_ == slot_.begin && !NewSchema()) {
      return 0;
    }
    Plan();
    BeginSession();
    const Cursor end = CopyOrGiveBack();
    Commit(end);
    return BytesBetween(from_, end);
  }

 private:
  [[noreturn]] void Refuse(const std::string& found) const {
    throw Error(
        ErrorCode::kInvalidArgument,
        StrCat(files_.path_text(), ": updating it from ", source_.path, ": expected all of its ",
               from_.rows, " rows to be rows of that store, but ", found));
  }

  void CheckSource() {
    if (records_ > verifier_.record_capacity() || records_ < source_.begin.records) {
      throw Error(ErrorCode::kCorrupt, StrCat(source_.path, "/records: expected ", records_,
                                              " records but found ", verifier_.record_capacity()));
    }
  }

  // Fields are only ever added, except while a store is empty.
  void CheckSchema() const {
    const std::shared_ptr<const StoreSchema> known = files_.store_schema();
    if (from_.records > 0 && !source_.schema->Extends(known->schema)) {
      Refuse(StrCat("it has ", known->schema.size(), " fields that are not the first of the ",
                    source_.schema->size(), " fields there"));
    }
  }

  // The records of the source and of the copy that have the same number.
  std::uint64_t FirstShared() const { return std::max(source_.begin.records, slot_.begin.records); }

  // Records carry their row, step, session and checksum. So if two have the same number and are
  // equal, all before them are, and the first difference can be searched for.
  void CheckPrefix() {
    apart_ = source_.begin.records > 0 && from_.records <= source_.begin.records;
    if (apart_) {
      CheckPlaces();
    }
    if (apart_ || from_.records == 0) {
      return;
    }
    if (from_.records == slot_.begin.records) {
      RefuseDifferent(std::nullopt);
    }
    const std::shared_ptr<const StoreSchema> known = files_.store_schema();
    RecordVerifier copy(files_, *known);
    const std::uint64_t first = FirstShared();
    const std::uint64_t end = std::max(first, std::min(records_, from_.records));
    const auto same = [&](std::uint64_t i) { return Same(copy.record(i), verifier_.record(i)); };
    if (end == from_.records && same(end - 1)) {
      CompareValues(copy);
      return;
    }
    std::uint64_t common = first;
    for (std::uint64_t different = end; common < different;) {
      const std::uint64_t middle = common + (different - common) / 2;
      if (same(middle)) {
        common = middle + 1;
      } else {
        different = middle;
      }
    }
    RefuseDifferent(common == first && first > 0
                        ? std::nullopt
                        : std::optional(RowOfRecord(copy.record(common).row_session)));
  }

  [[noreturn]] void RefuseDifferent(const std::optional<std::uint64_t>& rows) const {
    constexpr const char* kCause =
        ": rows were removed from the store after the checkpoint, or written to the checkpoint; ";
    if (!rows) {
      Refuse(StrCat("none is equal", kCause, "make a checkpoint at another path"));
    }
    Refuse(
        StrCat("only the rows before row ", *rows, " are equal", kCause,
               "use an older checkpoint, make one at another path, or give up its other rows with "
               "truncate(",
               *rows, ")"));
  }

  // All records of the copy were dropped from the source, and the new ones come after them. So do their
  // values, and layouts that both count are equal, if the records of the copy were ever those of the
  // source. If not, the new bytes would be written over some that the copy counts until the end.
  void CheckPlaces() const {
    constexpr std::uint64_t kWord = sizeof(std::uint64_t);
    bool apart = source_.begin.values >= from_.values;
    std::vector<std::byte> ours(kCopyBlockBytes);
    std::vector<std::byte> theirs(kCopyBlockBytes);
    const std::uint64_t end = from_.layout_words * kWord;
    std::uint64_t at = std::max(source_.begin.layout_words, slot_.begin.layout_words) * kWord;
    while (apart && at < end) {
      const std::size_t count = std::min(end - at, kCopyBlockBytes);
      const auto mine = std::span(ours).first(count);
      const auto other = std::span(theirs).first(count);
      apart = files_.layouts.files().ReadAt(mine, at) == count &&
              source_.layouts->ReadAt(other, at) == count && std::ranges::equal(mine, other);
      at += count;
    }
    if (!apart) {
      RefuseDifferent(std::nullopt);
    }
  }

  void CompareValues(RecordVerifier& copy) {
    constexpr std::uint64_t kCompared = (64 << 10) / sizeof(Value);
    const std::uint64_t first = std::max(source_.begin.values, slot_.begin.values);
    const std::uint64_t count = std::min(from_.values - first, kCompared);
    const std::uint64_t at = from_.values - count;
    if (count > 0 && std::memcmp(copy.values(at, count), verifier_.values(at, count),
                                 count * sizeof(Value)) != 0) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(files_.path_text(), ": updating it from ", source_.path, ": the last ",
                         count, " values before position ", from_.values,
                         " differ, although their records are equal: one of the two stores is "
                         "damaged; verify() says which"));
    }
  }

  void FindBegin() {
    if (apart_) {
      begin_ = source_.begin;
      from_ = CursorAt(begin_);
    } else if (source_.begin.records > slot_.begin.records) {
      begin_ = BeginAtRow(*files_.maps(), from_.records, source_.begin.rows,
                          files_.identity().chunk_bytes / sizeof(Record));
    }
  }

  // The total of the progress. Its last record may be damaged.
  void Plan() {
    const std::uint64_t values = std::clamp(verifier_.record(records_).start, from_.values,
                                            std::max(from_.values, verifier_.value_capacity()));
    meter_.SetTotal(2 * ((records_ - from_.records) * sizeof(Record) +
                         (values - from_.values) * sizeof(Value)));
  }

  // The schema that the copy must get; nothing if it has that.
  std::optional<Schema> NewSchema() const {
    const std::shared_ptr<const StoreSchema> known = files_.store_schema();
    Schema schema = SinceAtMost(*source_.schema, records_, known->schema.revision() + 1);
    return SameSince(schema, known->schema) ? std::nullopt : std::optional(std::move(schema));
  }

  // Makes a session number durable that no record has which is about to be copied. If the update
  // fails, such records lie after the end, and a later writer must not take them for its own.
  void BeginSession() {
    const Control& control = files_.control;
    session_ = std::max(opened_.start.session, SessionOf(source_));
    control.session().store(session_, std::memory_order_release);
    if (opened_.start.sync_interrupted) {
      control.WriteSlot(slot_);
      control.file().SyncData();
    }
    if (!certain_) {
      SyncKinds(ContentBytes(EndsOf(slot_)));
    }
    WriteSlot(opened_.start.cursor, slot_.begin);
  }

  Cursor CopyOrGiveBack() {
    try {
      return Copy();
    } catch (...) {
      GiveBack();
      throw;
    }
  }

  Cursor Copy() {
    ChunkSet chunks(files_.directory(), files_.identity().chunk_bytes, begin_);
    if (apart_) {
      PrepareFirstChunks(chunks, begin_);
    }
    const Cursor end = CopyRecords(source_, verifier_, from_, records_, {chunks, meter_});
    CopyBytes(*source_.values, chunks[Kind::kValues], from_.values * sizeof(Value),
              end.values * sizeof(Value), meter_);
    constexpr std::uint64_t kWord = sizeof(std::uint64_t);
    CopyBytes(*source_.layouts, chunks[Kind::kLayouts], from_.layout_words * kWord,
              end.layout_words * kWord, meter_);
    VerifyCopy(source_, from_, records_, chunks, meter_,
               [&](std::uint64_t record, const char* fault) {
                 ThrowDamagedRecord(source_, record, records_, fault);
               });
    meter_.Finish();  // the caller's last look at the source, after everything was read
    SyncKinds(apart_ ? FirstBytes(begin_) : ContentBytes(EndsOf(from_)));
    if (std::optional<Schema> schema = NewSchema()) {
      ReplaceSchema(files_, *std::move(schema));
    }
    return end;
  }

  // The space of an update that failed, and the sentinel that a new record may have replaced. What
  // cannot be given back is left to the next writer.
  void GiveBack() noexcept try {
    const Cursor& end = opened_.start.cursor;
    const Record sentinel{
        .start = end.values, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
    files_.records.files().WriteAt(std::as_bytes(std::span(&sentinel, 1)),
                                   end.records * sizeof(Record));
    if (!files_.MayShorten()) {
      return;
    }
    const KindBytes content = ContentBytes(EndsOf(end));
    for (const Kind kind : kAllKinds) {
      DataFile& file = files_.data(kind);
      file.ShortenTo(std::min(content[Index(kind)], file.RefreshBytes()));
    }
    files_.UnlinkLeftovers(slot_.begin);
  } catch (...) {
  }

  // From here on an error leaves it open which of the two slots a power cut would leave.
  void Commit(const Cursor& end) {
    const Control& control = files_.control;
    const Begin old = slot_.begin;
    WriteSlot(end, begin_);
    // Readers that have no row of the new copy are told to open it again.
    control.truncations().fetch_add(apart_ ? 1 : 0, std::memory_order_release);
    control.begin().store(begin_.records, std::memory_order_release);
    control.layout_begin().store(begin_.layout_words, std::memory_order_release);
    control.published().store(end.records, std::memory_order_release);
    control.durable().store(end.records, std::memory_order_release);
    control.truncations().fetch_add(apart_ ? 1 : 0, std::memory_order_release);
    files_.UnlinkBetween(old, begin_);
  }

  // The part of the kinds from these bytes on, which may be in new files.
  void SyncKinds(const KindBytes& from) const {
    const ChunkSet chunks(files_.directory(), files_.identity().chunk_bytes, begin_);
    for (const Kind kind : kAllKinds) {
      constexpr std::uint64_t kOverlap = sizeof(Record);  // the sentinel was stored over
      chunks[kind].SyncFrom(from[Index(kind)] - std::min(from[Index(kind)], kOverlap));
    }
    files_.directory().Sync();
  }

  void WriteSlot(const Cursor& end, const Begin& begin) {
    const Control& control = files_.control;
    Slot slot = MakeSlot(files_.identity().id, session_, end, /*clean=*/true);
    slot.sequence = slot_.sequence + 1;
    slot.begin = begin;
    slot.retention = slot_.retention;
    certain_ = false;
    control.state().store(kLiveSyncing, std::memory_order_release);
    control.WriteSlot(slot);
    control.file().SyncData();
    control.state().store(kLiveOpen, std::memory_order_release);
    certain_ = true;
    slot_ = slot;
  }

  const DamagedFiles& source_;
  RecordVerifier verifier_;  // of the source
  const std::uint64_t records_;
  const OpenedStore opened_;
  StoreFiles& files_;
  Slot slot_;           // the newest of the copy
  Cursor from_;         // where copying begins
  Begin begin_;         // of the copy, when it is up to date
  bool certain_;        // the newest slot is clean and on disk
  bool apart_ = false;  // all records of the copy were dropped from the source
  std::uint64_t session_ = 0;
  ProgressMeter meter_;
};

}  // namespace

std::uint64_t UpdateCopy(const DamagedFiles& source, std::uint64_t records,
                         const std::filesystem::path& path, const Progress& progress) {
  STREAM_STORE_ASSERT(source.verifiable());
  if (InspectPath(path) != PathState::kStore) {
    return BytesBetween(CursorAt(source.begin), CopyStore(source, records, path, progress));
  }
  CheckBeforeOpening(source, path);
  return CopyUpdate(source, records, path, progress).Run();
}

}  // namespace stream_store::internal
