// Creates stores: builds all files in a sibling directory, syncs them, and renames the directory.
//
// Several processes may create, open and clean up at the same time. Each creator locks the `lock`
// file of its sibling before anything else, and cleaning up deletes only siblings that are not
// locked.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "base/temporary.h"
#include "storage/open.h"

namespace stream_store::internal {
namespace {

// A temporary store is built as the sibling of this name in its place, and stays there.
constexpr const char* kTemporaryName = "stream_store";

// Whether a new store is to survive a power cut.
enum class Kind { kPersistent, kTemporary };

Identity NewIdentity() {
  Identity identity;
  identity.id = RandomBytes16();
  const auto seed = RandomBytes16();
  std::memcpy(&identity.checksum_seed, seed.data(), sizeof(identity.checksum_seed));
  return identity;
}

// Writes the content of an empty store: a sentinel, the empty layout, the identity and two clean
// slots.
void WriteEmptyStore(const StoreFiles::Parts& parts) {
  const std::array<std::byte, sizeof(Record)> sentinel{};
  parts.records.WriteAt(sentinel, 0);
  const std::array<std::byte, sizeof(std::uint64_t)> empty_layout{};
  parts.layouts.WriteAt(empty_layout, 0);
  parts.control.Allocate(0, kControlBytes);
  parts.control.WriteAt(EncodeIdentity(parts.identity), kIdentityOffset);
  WriteFirstSlots(parts.control, {.id = parts.identity.id, .clean = true});
}

void WriteSchema(const Directory& directory, const char* name, const Schema& schema,
                 const StoreId& id, Kind kind) {
  const File file = directory.CreateFile(name);
  file.WriteAt(EncodeSchema(schema, id), 0);
  if (kind == Kind::kPersistent) {
    file.Sync();
  }
}

void SyncNewFiles(const StoreFiles::Parts& parts, const Directory& directory) {
  for (const File* file :
       {&parts.lock, &parts.values, &parts.records, &parts.layouts, &parts.hints, &parts.control}) {
    file->Sync();
  }
  directory.Sync();
}

// Opens the finished files for their first session.
OpenedStore Ready(StoreFiles::Parts parts) {
  OpenedStore opened;
  opened.files = std::make_shared<StoreFiles>(std::move(parts));
  opened.files->control.session().store(1, std::memory_order_release);
  opened.files->control.state().store(kLiveOpen, std::memory_order_release);
  opened.start.slot_sequence = 1;
  opened.start.session = 1;
  return opened;
}

void WriteHolder(const File& lock) {
  const std::string holder = LockHolderText() + "\n";
  lock.Truncate(0);
  lock.WriteAt(std::as_bytes(std::span(holder)), 0);
}

// Runs `step` and returns its result. If it throws, deletes the sibling; after the rename there is
// nothing under that name.
template <typename Step>
auto OrRemove(const std::filesystem::path& sibling, Step step) {
  try {
    return step();
  } catch (...) {
    RemoveTree(sibling);
    throw;
  }
}

// Builds the sibling: the locked lock file, the files with the content that `fill` writes, and the
// schema. All are synced if the store is persistent.
StoreFiles::Parts BuildOnce(const std::filesystem::path& path, const Schema& schema,
                            const std::function<void(StoreFiles::Parts&)>& fill, Kind kind) {
  Directory directory = Directory::CreateSibling(path);
  return OrRemove(directory.path(), [&] {
    StoreFiles::Parts parts;
    parts.identity = NewIdentity();
    parts.lock = directory.CreateFile(kLockName);
    if (!TryLockByte(parts.lock, kWriterLockByte) || !TryLockByte(parts.lock, kLiveLockByte)) {
      throw Error(
          ErrorCode::kLocked,
          StrCat(parts.lock.path(), ": creating: another process holds the lock of the new store"));
    }
    WriteHolder(parts.lock);
    parts.values = directory.CreateFile(kValuesName);
    parts.records = directory.CreateFile(kRecordsName);
    parts.layouts = directory.CreateFile(kLayoutsName);
    parts.hints = directory.CreateFile(kHintsName);
    parts.control = directory.CreateFile(kControlName);
    fill(parts);
    WriteSchema(directory, kSchemaName, schema, parts.identity.id, kind);
    parts.schema = schema;
    if (kind == Kind::kPersistent) {
      SyncNewFiles(parts, directory);
    }
    parts.directory = std::move(directory);
    return parts;
  });
}

// Another process that cleans up may delete our sibling before we could lock it, so this tries again.
// Many processes may create and clean up in the same directory for temporary files.
StoreFiles::Parts BuildOrRetry(const std::filesystem::path& path, const Schema& schema,
                               const std::function<void(StoreFiles::Parts&)>& fill, Kind kind) {
  constexpr int kAttempts = 100;
  RemoveLeftovers(path);
  for (int attempt = 1;; ++attempt) {
    try {
      return BuildOnce(path, schema, fill, kind);
    } catch (const Error& error) {
      const bool swept = error.code() == ErrorCode::kNotFound ||
                         error.code() == ErrorCode::kLocked || error.system_errno() == ENOENT;
      if (!swept || attempt == kAttempts) {
        throw;
      }
    }
  }
}

StoreFiles::Parts Build(const std::filesystem::path& path, const Schema& schema,
                        const std::function<void(StoreFiles::Parts&)>& fill) {
  const std::vector<std::filesystem::path> parents = CreateParents(path);
  try {
    return BuildOrRetry(path, schema, fill, Kind::kPersistent);
  } catch (...) {
    RemoveParents(parents);
    throw;
  }
}

// Deletes a sibling unless its creator is alive. A creator makes the lock file first, so a sibling
// that has files but no lock file was left by a process that died while deleting it. In a directory
// for temporary files, other users may have made entries of these names: symbolic links to
// directories of ours, for example.
void RemoveLeftover(const std::filesystem::path& sibling) {
  if (TemporaryTree::Exists(sibling)) {  // saves opening it: a process may have a thousand
    return;
  }
  const Directory directory = Directory::OpenItself(sibling);
  if (!directory.IsOurs()) {
    return;
  }
  const std::vector<std::string> names = directory.Entries();
  if (names.empty()) {
    // Its creator died, or is about to make the lock file. In that case it finds the directory gone
    // and tries again. remove() fails if the creator has made a file in the meantime, so that no
    // file of a living creator is deleted.
    std::error_code ignored;
    std::filesystem::remove(sibling, ignored);
    return;
  }
  File lock;
  if (std::ranges::find(names, kLockName) != names.end()) {
    lock = directory.OpenFile(kLockName, /*writable=*/true);
    if (!TryLockByte(lock, kWriterLockByte)) {
      return;
    }
  }
  RemoveTree(sibling);
}

}  // namespace

OpenedStore BuildStore(const std::filesystem::path& path, const Schema& schema) {
  StoreFiles::Parts parts = Build(path, schema, WriteEmptyStore);
  const std::filesystem::path sibling = parts.directory->path();
  return OrRemove(sibling, [&] { return Ready(std::move(parts)); });
}

void PublishStore(StoreFiles& files, const std::filesystem::path& path) {
  STREAM_STORE_ASSERT(files.persistent());
  files.BeginMove();
  PublishDirectory(files.directory(), path);
  files.MoveTo(path);
  SyncParent(path);
}

OpenedStore CreateStore(const std::filesystem::path& path, const Schema& schema) {
  OpenedStore opened = BuildStore(path, schema);
  const std::filesystem::path sibling = opened.files->path();
  OrRemove(sibling, [&] { PublishStore(*opened.files, path); });
  return opened;
}

void CreateClosedStore(const std::filesystem::path& path, const Schema& schema,
                       const std::function<void(StoreFiles::Parts&)>& fill) {
  const StoreFiles::Parts parts = Build(path, schema, fill);
  OrRemove(parts.directory->path(), [&] {
    PublishDirectory(*parts.directory, path);
    SyncParent(path);
  });
}

OpenedStore CreateTemporaryStore(const std::filesystem::path& directory, const Schema& schema) {
  StoreFiles::Parts parts;
  InTemporaryPlace(directory, [&](const std::filesystem::path& place) {
    parts = BuildOrRetry(place / kTemporaryName, schema, WriteEmptyStore, Kind::kTemporary);
  });
  parts.temporary = true;
  const std::filesystem::path& hidden = parts.directory->path();
  parts.tree = OrRemove(hidden, [&] { return std::make_unique<TemporaryTree>(hidden); });
  return Ready(std::move(parts));
}

void RefuseTemporaryName(const std::filesystem::path& path) {
  if (HasSiblingName(path, kTemporaryName)) {
    throw Error(ErrorCode::kInvalidArgument,
                StrCat(PathText(path),
                       ": opening for writing: directories of this name belong to temporary stores "
                       "and are deleted with them; open it for reading, or use another name"));
  }
}

void ReplaceSchema(StoreFiles& files, Schema schema) {
  const Kind kind = files.persistent() ? Kind::kPersistent : Kind::kTemporary;
  const Directory& directory = files.directory();
  directory.Unlink(kSchemaTemporaryName);
  WriteSchema(directory, kSchemaTemporaryName, schema, files.identity().id, kind);
  directory.RenameFile(kSchemaTemporaryName, kSchemaName);
  files.SetSchema(std::move(schema));
  if (kind == Kind::kPersistent) {
    directory.Sync();
  }
}

void RemoveLeftovers(const std::filesystem::path& path) noexcept {
  try {
    for (const std::filesystem::path& sibling : FindSiblings(path)) {
      try {
        RemoveLeftover(sibling);
      } catch (const Error&) {
        // Another process is cleaning up too, or we lack permission. Leftovers do no harm.
      }
    }
  } catch (...) {
    // Out of memory. The next open cleans up.
  }
}

}  // namespace stream_store::internal
