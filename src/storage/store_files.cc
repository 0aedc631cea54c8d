#include "storage/store_files.h"

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// Address space to reserve per file. Mapping reserves less if there is not enough.
constexpr std::uint64_t kReserveValues = 1ULL << 40;
constexpr std::uint64_t kReserveRecords = 512ULL << 30;
constexpr std::uint64_t kReserveLayouts = 32ULL << 30;
constexpr std::uint64_t kReserveHints = 8ULL << 30;

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
  session().store(live.session, std::memory_order_release);
  published().store(live.published, std::memory_order_release);
}

std::atomic_ref<std::uint64_t> Control::Word(std::uint64_t LiveWords::* member) const noexcept {
  auto* live = reinterpret_cast<LiveWords*>(mapping_.data() + kLiveOffset);
  return std::atomic_ref<std::uint64_t>(live->*member);
}

std::optional<Slot> Control::ReadSlot(int which, const StoreId& id) const {
  STREAM_STORE_ASSERT(which == 0 || which == 1);
  std::array<std::byte, kSlotBytes> bytes;
  const std::size_t count = file_.ReadAt(bytes, kSlotOffset[which]);
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
  file_.WriteAt(EncodeSlot(slot), SlotOffsetOf(slot));
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
  for (const char* name : {kControlName, kSchemaName, kValuesName, kRecordsName, kLayoutsName}) {
    if (directory.Contains(name)) {
      return true;
    }
  }
  return false;
}

std::shared_ptr<StoreFiles> StoreFiles::Open(Directory directory, bool writable, bool copies) {
  const auto open = [&](const char* name) { return OpenPart(directory, name, writable); };
  Parts parts;
  // `control` comes first: a store of another format version must be reported as such, even if its
  // other files have other names.
  parts.control = CheckedControl(open(kControlName));
  std::array<std::byte, kIdentityBytes> bytes;
  const std::size_t count = parts.control.ReadAt(bytes, kIdentityOffset);
  parts.identity =
      DecodeIdentity(std::span<const std::byte>(bytes.data(), count), parts.control.path());
  parts.lock = open(kLockName);
  parts.values = open(kValuesName);
  parts.records = open(kRecordsName);
  parts.layouts = open(kLayoutsName);
  parts.hints = open(kHintsName);
  parts.writable = writable;
  parts.copies = copies;
  parts.directory = std::move(directory);
  return std::make_shared<StoreFiles>(std::move(parts));
}

StoreFiles::StoreFiles(Parts parts)
    : values(std::move(parts.values), kReserveValues, parts.writable),
      records(std::move(parts.records), kReserveRecords, parts.writable),
      layouts(std::move(parts.layouts), kReserveLayouts, parts.writable),
      hints(std::move(parts.hints), kReserveHints, parts.writable),
      control(std::move(parts.control), parts.writable, parts.copies),
      lock(std::move(parts.lock)),
      directory_(std::move(parts.directory)),
      copies_(parts.copies),
      control_id_(control.file().Id()),
      path_(directory_ ? directory_->path() : std::filesystem::path()),
      path_text_(directory_ ? PathText(path_) : "temporary store"),
      identity_(parts.identity) {
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
  directory_->MovedTo(path_);
  for (DataFile* file : {&values, &records, &layouts, &hints}) {
    file->file().MovedTo(PathText(path_ / std::filesystem::path(file->file().path()).filename()));
  }
  control.file().MovedTo(PathText(path_ / kControlName));
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
  for (const File* file :
       {&control.file(), &values.file(), &records.file(), &layouts.file(), &hints.file()}) {
    if (file->Links() == 0) {
      throw Error(ErrorCode::kIo,
                  StrCat(path_text_, ": ", operation, ": ", file->path(),
                         " was deleted or replaced while the store was open for writing: its "
                         "content is lost when it is closed"));
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

void StoreFiles::RemoveUser() noexcept {
  const auto users = users_.fetch_sub(1, std::memory_order_acq_rel);
  STREAM_STORE_ASSERT(users > 0);
  if (users > 1) {
    return;
  }
  for (DataFile* file : {&values, &records, &layouts, &hints}) {
    file->Release();
  }
  control.Release();
  lock.Close();
  if (directory_) {
    directory_->Close();
  }
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
  STREAM_STORE_ASSERT(persistent());
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

void StoreFiles::RefreshMaps() {
  auto maps = std::make_shared<Maps>();
  maps->values = values.mapping();
  maps->records = records.mapping();
  maps->layouts = layouts.mapping();
  maps->hints = hints.mapping();
  maps->key = NewMapsKey();
  const ForkMutexLock hold(mutex_);
  maps_ = std::move(maps);
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
  return {.id = id,
          .session = session,
          .records = end.records,
          .values = end.values,
          .layout_words = end.layout_words,
          .rows = end.rows,
          .field_writes = end.field_writes,
          .clean = clean,
          .unix_nanoseconds = UnixNanoseconds()};
}

void WriteFirstSlots(const File& control, Slot slot) {
  for (const std::uint64_t sequence : {0U, 1U}) {
    slot.sequence = sequence;
    control.WriteAt(EncodeSlot(slot), SlotOffsetOf(slot));
  }
}

}  // namespace stream_store::internal
