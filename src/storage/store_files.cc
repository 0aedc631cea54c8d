#include "storage/store_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// Address space to reserve for each kind. Mapping reserves less if there is not enough.
constexpr KindBytes kReserve = {32ULL << 30, 4ULL << 30, 4ULL << 30, 1ULL << 40, 512ULL << 30};

std::atomic<std::uint64_t> next_maps_key{1};

File CheckedControl(File file) {
  if (file.Size() < kControlBytes) {
    throw Error(ErrorCode::kCorrupt, StrCat(file.path(), ": expected at least ", kControlBytes,
                                            " bytes but found ", file.Size()));
  }
  return file;
}

// The absolute path of `control`, for a process that changes its working directory.
std::string PlaceOf(const std::filesystem::path& path) {
  return (std::filesystem::absolute(path) / kControlName).string();
}

// FindFileId(), or `otherwise` if the process may no longer inspect the path: it may have given up
// privileges since it opened the store.
std::optional<FileId> IdUnlessForbidden(const std::string& path, const FileId& otherwise) {
  try {
    return FindFileId(path);
  } catch (const Error& error) {
    if (error.system_errno() != EACCES) {
      throw;
    }
    return otherwise;
  }
}

File OpenPart(const Directory& directory, const char* name, bool writable) {
  try {
    return directory.OpenFile(name, writable);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) {
      throw;
    }
    throw Error(ErrorCode::kCorrupt, StrCat(PathText(directory.path() / name),
                                            ": expected a file of the store but it is missing"));
  }
}

}  // namespace

Control::Control(File file, bool writable, bool copies)
    : file_(CheckedControl(std::move(file))),
      mapping_(copies ? Mapping::Private(kControlBytes)
                      : Mapping(file_, kControlBytes, kControlBytes, writable)),
      writable_(writable),
      copies_(copies) {
  Refresh();
}

// Stored word by word, because other threads may be loading from the copy. `published` is last, so
// that a thread that sees it also sees the other words.
void Control::CopyLiveWords() const {
  LiveWords live{};
  file_.ReadAt(std::as_writable_bytes(std::span(&live, 1)), kLiveOffset);
  truncations().store(live.truncations, std::memory_order_relaxed);
  state().store(live.state, std::memory_order_relaxed);
  durable().store(live.durable, std::memory_order_relaxed);
  schema_revision().store(live.schema_revision, std::memory_order_relaxed);
  layout_begin().store(live.layout_begin, std::memory_order_relaxed);
  begin().store(live.begin, std::memory_order_relaxed);
  session().store(live.session, std::memory_order_release);
  published().store(live.published, std::memory_order_release);
}

std::atomic_ref<std::uint64_t> Control::Word(std::uint64_t LiveWords::* member) const noexcept {
  return std::atomic_ref<std::uint64_t>(words()->*member);
}

std::optional<Slot> Control::ReadSlot(int which, const StoreId& id) const {
  STREAM_STORE_ASSERT(which == 0 || which == 1);
  std::array<std::byte, kSlotBytes> bytes;
  const std::size_t count =
      With([&](const File& file) { return file.ReadAt(bytes, kSlotOffset[which]); });
  return DecodeSlot(std::span<const std::byte>(bytes.data(), count), id);
}

Slot Control::NewestSlot(const StoreId& id) const {
  const std::optional<Slot> slot = ChooseSlot(ReadSlot(0, id), ReadSlot(1, id));
  if (!slot) {
    throw Error(ErrorCode::kCorrupt,
                StrCat(file_.path(), ": expected a valid sync slot but found none"));
  }
  return *slot;
}

void Control::WriteSlot(const Slot& slot) const {
  With([&](const File& file) { file.WriteAt(EncodeSlot(slot), SlotOffsetOf(slot)); });
}

void Control::SyncSlots() const {
  With([](const File& file) { file.SyncData(); });
}

std::uint64_t Control::Links() const {
  return With([](const File& file) { return file.Links(); });
}

void Control::Park(const Directory& directory) {
  STREAM_STORE_ASSERT(!copies_);
  id_ = file_.Id();
  directory_ = &directory;
  file_.Close();
}

File Control::Reopen() const {
  STREAM_STORE_ASSERT(directory_ != nullptr);
  File file = OpenPart(*directory_, kControlName, writable_);
  if (file.Id() != id_) {
    throw Error(ErrorCode::kIo,
                StrCat(file.path(), ": the file was replaced while the store was open"));
  }
  return file;
}

std::uint64_t NewMapsKey() noexcept {
  return next_maps_key.fetch_add(1, std::memory_order_relaxed);
}

Schema ReadSchema(const Directory& directory, const StoreId& id) {
  const File file = OpenPart(directory, kSchemaName, /*writable=*/false);
  const std::uint64_t size = file.Size();
  if (size > kMaxSchemaBytes) {
    throw Error(ErrorCode::kCorrupt, StrCat(file.path(), ": expected at most ", kMaxSchemaBytes,
                                            " bytes but found ", size));
  }
  std::vector<std::byte> bytes(size);
  bytes.resize(file.ReadAt(bytes, 0));
  return DecodeSchema(bytes, id, file.path());
}

bool LooksLikeStore(const Directory& directory) {
  return std::ranges::any_of(directory.Entries(), [](const std::string& name) {
    const auto is_chunk = [&name](const char* kind) { return ChunkNumber(kind, name).has_value(); };
    return name == kControlName || name == kSchemaName || std::ranges::any_of(kKindNames, is_chunk);
  });
}

Begin ReadBegin(const File& control, const StoreId& id) {
  const auto read = [&](int which) {
    std::array<std::byte, kSlotBytes> bytes;
    const std::size_t count = control.ReadAt(bytes, kSlotOffset[which]);
    return DecodeSlot(std::span<const std::byte>(bytes.data(), count), id);
  };
  const std::optional<Slot> slot = ChooseSlot(read(0), read(1));
  return slot ? slot->begin : Begin{};  // without a slot, recovery reports that
}

namespace {

// Opens the data files, in the order of Kind. A writer may drop chunks meanwhile. Then the newest
// slot says where the rest begins, and `parts.begin` becomes that.
std::array<DataFile, kKinds> OpenData(const Directory& directory, StoreFiles::Parts& parts) {
  const auto open = [&](Kind kind) {
    return DataFile({.directory = directory,
                     .kind = KindName(kind),
                     .chunk_bytes = parts.identity.chunk_bytes,
                     .first_byte = FirstBytes(parts.begin)[Index(kind)],
                     .reserve_bytes = kReserve[Index(kind)]},
                    parts.writable);
  };
  for (;;) {
    try {
      return {open(Kind::kLayouts), open(Kind::kPositionHints), open(Kind::kRowHints),
              open(Kind::kValues), open(Kind::kRecords)};
    } catch (const Error& error) {
      const bool missing =
          error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kNotFound;
      const Begin begin = ReadBegin(parts.control, parts.identity.id);
      if (!missing || begin.records <= parts.begin.records) {
        throw;
      }
      parts.begin = begin;
    }
  }
}

}  // namespace

std::shared_ptr<StoreFiles> StoreFiles::Open(Directory directory, bool writable, bool copies,
                                             bool temporary) {
  const auto open = [&](const char* name) { return OpenPart(directory, name, writable); };
  Parts parts;
  // `control` comes first: a store of another format version must be reported as such, even if its
  // other files have other names.
  parts.control = CheckedControl(open(kControlName));
  std::array<std::byte, kIdentityBytes> bytes;
  const std::size_t count = parts.control.ReadAt(bytes, kIdentityOffset);
  parts.identity =
      DecodeIdentity(std::span<const std::byte>(bytes.data(), count), parts.control.path());
  parts.begin = ReadBegin(parts.control, parts.identity.id);
  parts.lock = open(kLockName);
  parts.writable = writable;
  parts.copies = copies;
  parts.temporary = temporary;
  parts.directory = std::move(directory);
  return std::make_shared<StoreFiles>(std::move(parts));
}

StoreFiles::StoreFiles(Parts parts)
    : directory_(*std::move(parts.directory)),
      data_(OpenData(directory_, parts)),
      control(std::move(parts.control), parts.writable, parts.copies),
      lock(std::move(parts.lock)),
      temporary_(parts.temporary),
      copies_(parts.copies),
      frees_late_(parts.writable && control.file().FreesSpaceLate()),
      tree_(std::move(parts.tree)),
      control_id_(control.file().Id()),
      path_(temporary_ ? std::filesystem::path() : directory_.path()),
      path_text_(temporary_ ? "temporary store" : PathText(path_)),
      identity_(parts.identity),
      begin_(parts.begin) {
  SetSchema(std::move(parts.schema));
  RefreshMaps();
  if (persistent()) {
    const ForkMutexLock hold(mutex_);
    place_ = PlaceOf(path_);
  }
}

void StoreFiles::BeginMove() noexcept {
  const ForkMutexLock hold(mutex_);
  place_.clear();
}

void StoreFiles::MoveTo(std::filesystem::path path) {
  STREAM_STORE_ASSERT(persistent());
  path_ = std::move(path);
  path_text_ = PathText(path_);
  directory_.MovedTo(path_);
  control.MovedTo(PathText(path_ / kControlName));
  lock.MovedTo(PathText(path_ / kLockName));
  {
    const ForkMutexLock hold(mutex_);
    place_ = PlaceOf(path_);
  }
  SetSchema(store_schema()->schema);  // a StoreSchema has the path too, for messages
}

// A file that was deleted or replaced has no name any more. The path cannot tell that of the data
// files, and not of `control` where it may not be inspected.
void StoreFiles::RequireLinked(const char* operation) const {
  const auto fail = [&](const std::string& path) {
    throw Error(ErrorCode::kIo, StrCat(path_text_, ": ", operation, ": ", path,
                                       " was deleted or replaced while the store was open for "
                                       "writing: its content is lost when it is closed"));
  };
  if (control.Links() == 0) {
    fail(PathText(path_ / kControlName));
  }
  for (const DataFile& file : data_) {
    if (!file.InPlace()) {
      fail(file.path());
    }
  }
}

// One inode number at the path of `control` tells most of it: whether that name leads to the file
// that is open here. The place is read again after a difference: the store may have moved since.
void StoreFiles::CheckInPlace(const char* operation) const {
  std::string place;
  std::string again;
  do {
    {
      const ForkMutexLock hold(mutex_);
      place = place_;
    }
    if (place.empty()) {
      return;
    }
    const std::optional<FileId> found = IdUnlessForbidden(place, control_id_);
    RequireLinked(operation);  // comes first, because files that were deleted are not at their path
    if (found == control_id_) {
      return;
    }
    const ForkMutexLock hold(mutex_);
    again = place_;
  } while (again != place);
  throw Error(ErrorCode::kIo,
              StrCat(path_text_, ": ", operation,
                     ": the store is no longer at its path: its directory was moved or replaced "
                     "while it was open for writing"));
}

void StoreFiles::Park() {
  control.Park(directory_);
  for (DataFile& file : data_) {
    file.Park();
  }
  if (!data_.front().writable()) {
    lock.Close();
  }
  directory_.Park();
}

void StoreFiles::RemoveUser() noexcept {
  const auto users = users_.fetch_sub(1, std::memory_order_acq_rel);
  STREAM_STORE_ASSERT(users > 0);
  if (users > 1) {
    return;
  }
  for (DataFile& file : data_) {
    file.Release();
  }
  control.Release();
  tree_.reset();  // before the lock is released, so that no other process cleans up meanwhile
  lock.Close();
  directory_.Close();
  std::shared_ptr<const Maps> maps;  // unmapped after the lock is released
  const ForkMutexLock hold(mutex_);
  maps.swap(maps_);
}

std::shared_ptr<const StoreSchema> StoreFiles::store_schema() const {
  const ForkMutexLock hold(mutex_);
  return store_schema_;
}

void StoreFiles::SetSchema(Schema schema) {
  auto store_schema = std::make_shared<StoreSchema>();
  store_schema->encodings = MakeEncodings(schema);
  store_schema->schema = std::move(schema);
  store_schema->path = path_text_;
  std::shared_ptr<const StoreSchema> old;  // destroyed after the lock is released
  const ForkMutexLock hold(mutex_);        // only now: the lock is held as briefly as possible
  if (store_schema_ != nullptr) {
    store_schema->number = store_schema_->number + 1;
    if (store_schema->number == kMaxSchemas) {
      throw Error(ErrorCode::kCorrupt,
                  StrCat(path_text_, "/schema: expected it to be replaced less than ", kMaxSchemas,
                         " times while the store is open"));
    }
  }
  old = std::move(store_schema_);
  store_schema_ = std::move(store_schema);
}

void StoreFiles::ReloadSchema() {
  Schema schema = ReadSchema(directory(), identity_.id);
  const std::shared_ptr<const StoreSchema> known = store_schema();
  if (schema.revision() != known->schema.revision() || !(schema == known->schema)) {
    SetSchema(std::move(schema));
  }
}

std::shared_ptr<const Maps> StoreFiles::maps() const {
  const ForkMutexLock hold(mutex_);
  return maps_;
}

bool StoreFiles::MapsAreCurrent() const {
  const std::shared_ptr<const Maps> maps = this->maps();
  return std::ranges::all_of(
      kAllKinds, [&](Kind kind) { return maps->parts[Index(kind)].range == data(kind).range(); });
}

void StoreFiles::RefreshMaps() {
  auto maps = std::make_shared<Maps>();
  maps->begin = begin();
  maps->key = NewMapsKey();
  const KindBytes first = FirstBytes(maps->begin);
  for (const Kind kind : kAllKinds) {
    Maps::Part& part = maps->parts[Index(kind)];
    part.range = data(kind).range();
    part.hold = part.range->HoldFrom(FirstChunk(first[Index(kind)], identity_.chunk_bytes));
  }
  // The old mappings are destroyed after the lock is released.
  std::shared_ptr<const Maps> current = std::move(maps);
  const ForkMutexLock hold(mutex_);
  maps_.swap(current);
}

void StoreFiles::UnlinkBetween(const Begin& old, const Begin& begin) noexcept {
  for (const Kind kind : kAllKinds) {
    const std::uint64_t end = FirstChunk(FirstBytes(begin)[Index(kind)], identity_.chunk_bytes);
    std::uint64_t chunk = FirstChunk(FirstBytes(old)[Index(kind)], identity_.chunk_bytes);
    try {
      for (; chunk < end; ++chunk) {
        data(kind).files().Unlink(chunk);
        freed_.Note();
      }
    } catch (...) {  // an Error, or no memory for a name
    }
  }
}

void StoreFiles::UnlinkLeftovers(const Begin& begin) {
  const KindBytes first = FirstBytes(begin);
  for (const Kind kind : kAllKinds) {
    if (data(kind).UnlinkLeftovers(first[Index(kind)])) {
      freed_.Note();
    }
  }
}

Begin StoreFiles::begin() const {
  const ForkMutexLock hold(mutex_);
  return begin_;
}

void StoreFiles::MoveBegin(const Begin& begin) {
  STREAM_STORE_ASSERT(begin.records >= this->begin().records);
  {
    const ForkMutexLock hold(mutex_);
    begin_ = begin;
  }
  for (const Kind kind : kAllKinds) {
    data(kind).DropBefore(FirstBytes(begin)[Index(kind)]);
  }
  RefreshMaps();
}

Directory OpenStoreDirectory(const std::filesystem::path& path) {
  std::optional<Directory> directory;
  try {
    directory = Directory::Open(path);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) {
      throw Error(ErrorCode::kNotFound, StrCat(PathText(path), ": no such store"), ENOENT);
    }
    if (error.code() == ErrorCode::kAlreadyExists) {
      throw Error(
          ErrorCode::kIo,
          StrCat(PathText(path), ": expected the directory of a store but found something else"),
          ENOTDIR);
    }
    throw;
  }
  if (!LooksLikeStore(*directory)) {
    throw Error(ErrorCode::kNotFound,
                StrCat(PathText(path), ": no such store: the directory has no file of a store"));
  }
  return *std::move(directory);
}

Slot MakeSlot(const StoreId& id, std::uint64_t session, const Cursor& end, bool clean) {
  Slot slot;
  slot.id = id;
  slot.session = session;
  slot.records = end.records;
  slot.values = end.values;
  slot.layout_words = end.layout_words;
  slot.rows = end.rows;
  slot.field_writes = end.field_writes;
  slot.clean = clean;
  slot.unix_nanoseconds = UnixNanoseconds();
  return slot;
}

void WriteFirstSlots(const File& control, Slot slot) {
  for (const std::uint64_t sequence : {0U, 1U}) {
    slot.sequence = sequence;
    control.WriteAt(EncodeSlot(slot), SlotOffsetOf(slot));
  }
}

}  // namespace stream_store::internal
