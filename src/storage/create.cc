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
#include "storage/copy_range.h"
#include "storage/open.h"

namespace stream_store::internal {
namespace {

// A temporary store is built as the sibling of this name in its place, and stays there.
constexpr const char* kTemporaryName = "stream_store";

// Whether a new store is to survive a power cut.
enum class Lifetime { kPersistent, kTemporary };

// The slot of a store that has nothing from `begin` on.
Slot EmptySlot(const StoreId& id, const Begin& begin) {
  Slot slot = MakeSlot(id, /*session=*/0, CursorAt(begin), /*clean=*/true);
  slot.begin = begin;
  return slot;
}

// Writes the content of an empty store: a sentinel, the empty layout, the identity and two clean
// slots.
void WriteEmptyStore(const StoreFiles::Parts& parts, ChunkSet& files) {
  const Begin& begin = parts.begin;
  STREAM_STORE_ASSERT(begin.layout_words == 0);
  const Record sentinel{
      .start = begin.values, .step = 0, .row_session = 0, .layout = 0, .checksum = 0};
  files[Kind::kRecords].WriteAt(std::as_bytes(std::span(&sentinel, 1)),
                                begin.records * sizeof(Record));
  const std::array<std::byte, sizeof(std::uint64_t)> empty_layout{};
  files[Kind::kLayouts].WriteAt(empty_layout, 0);
  parts.control.Allocate(0, kControlBytes);
  parts.control.WriteAt(EncodeIdentity(parts.identity), kIdentityOffset);
  if (begin.records > 0) {
    PrepareFirstChunks(files, begin);
  }
  LiveWords live{};
  live.published = live.begin = live.durable = begin.records;
  live.schema_revision = parts.schema.revision();
  parts.control.WriteAt(std::as_bytes(std::span(&live, 1)), kLiveOffset);
  WriteFirstSlots(parts.control, EmptySlot(parts.identity.id, begin));
}

void WriteSchema(const Directory& directory, const char* name, const Schema& schema,
                 const StoreId& id, Lifetime lifetime) {
  const File file = directory.CreateFile(name);
  file.WriteAt(EncodeSchema(schema, id), 0);
  if (lifetime == Lifetime::kPersistent) {
    file.Sync();
  }
}

void SyncNewFiles(const StoreFiles::Parts& parts, const ChunkSet& files,
                  const Directory& directory) {
  parts.lock.Sync();
  parts.control.Sync();
  for (const Kind kind : kAllKinds) {
    files[kind].Sync();
  }
  directory.Sync();
}

// Opens the finished files for their first session.
OpenedStore Ready(StoreFiles::Parts parts) {
  OpenedStore opened;
  opened.files = std::make_shared<StoreFiles>(std::move(parts));
  opened.files->control.session().store(1, std::memory_order_release);
  opened.files->control.state().store(kLiveOpen, std::memory_order_release);
  const Begin begin = opened.files->begin();
  opened.start = {.cursor = CursorAt(begin),
                  .session = 1,
                  .slot_sequence = 1,
                  .durable_records = begin.records,
                  .durable_rows = begin.rows,
                  .newest = EmptySlot(opened.files->identity().id, begin)};
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
StoreFiles::Parts BuildOnce(const std::filesystem::path& path, const NewStore& store,
                            const FillStore& fill, Lifetime lifetime) {
  Directory directory = Directory::CreateSibling(path);
  return OrRemove(directory.path(), [&] {
    StoreFiles::Parts parts;
    parts.identity = store.identity;
    parts.begin = store.begin;
    parts.lock = directory.CreateFile(kLockName);
    if (!TryLockByte(parts.lock, kWriterLockByte) || !TryLockByte(parts.lock, kLiveLockByte)) {
      throw Error(
          ErrorCode::kLocked,
          StrCat(parts.lock.path(), ": creating: another process holds the lock of the new store"));
    }
    WriteHolder(parts.lock);
    ChunkSet files(directory, store.identity.chunk_bytes, store.begin);
    for (const Kind kind : kAllKinds) {
      files[kind].CreateFirst();
    }
    parts.control = directory.CreateFile(kControlName);
    parts.schema = store.schema;
    fill(parts, files);
    WriteSchema(directory, kSchemaName, parts.schema, parts.identity.id, lifetime);
    if (lifetime == Lifetime::kPersistent) {
      SyncNewFiles(parts, files, directory);
    }
    parts.directory = std::move(directory);
    return parts;
  });
}

// Another process that cleans up may delete our sibling before we could lock it, so this tries again.
// Many processes may create and clean up in the same directory for temporary files.
StoreFiles::Parts BuildOrRetry(const std::filesystem::path& path, const NewStore& store,
                               const FillStore& fill, Lifetime lifetime) {
  constexpr int kAttempts = 100;
  RemoveLeftovers(path);
  for (int attempt = 1;; ++attempt) {
    try {
      return BuildOnce(path, store, fill, lifetime);
    } catch (const Error& error) {
      const bool swept = error.code() == ErrorCode::kNotFound ||
                         error.code() == ErrorCode::kLocked || error.system_errno() == ENOENT;
      if (!swept || attempt == kAttempts) {
        throw;
      }
    }
  }
}

StoreFiles::Parts Build(const std::filesystem::path& path, const NewStore& store,
                        const FillStore& fill) {
  const std::vector<std::filesystem::path> parents = CreateParents(path);
  try {
    return BuildOrRetry(path, store, fill, Lifetime::kPersistent);
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

Identity NewIdentity(std::uint64_t chunk_bytes) {
  STREAM_STORE_ASSERT(IsChunkSize(chunk_bytes));
  Identity identity;
  identity.id = RandomBytes16();
  const auto seed = RandomBytes16();
  std::memcpy(&identity.checksum_seed, seed.data(), sizeof(identity.checksum_seed));
  identity.chunk_bytes = chunk_bytes;
  return identity;
}

OpenedStore BuildStore(const std::filesystem::path& path, const NewStore& store) {
  StoreFiles::Parts parts = Build(path, store, WriteEmptyStore);
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

OpenedStore CreateStore(const std::filesystem::path& path, const NewStore& store) {
  OpenedStore opened = BuildStore(path, store);
  const std::filesystem::path sibling = opened.files->path();
  OrRemove(sibling, [&] { PublishStore(*opened.files, path); });
  return opened;
}

void CreateClosedStore(const std::filesystem::path& path, const NewStore& store,
                       const FillStore& fill) {
  const StoreFiles::Parts parts = Build(path, store, fill);
  OrRemove(parts.directory->path(), [&] {
    PublishDirectory(*parts.directory, path);
    SyncParent(path);
  });
}

OpenedStore CreateTemporaryStore(const std::filesystem::path& directory, const NewStore& store) {
  StoreFiles::Parts parts;
  InTemporaryPlace(directory, [&](const std::filesystem::path& place) {
    parts = BuildOrRetry(place / kTemporaryName, store, WriteEmptyStore, Lifetime::kTemporary);
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
  const std::uint64_t revision = schema.revision();
  const Lifetime lifetime = files.persistent() ? Lifetime::kPersistent : Lifetime::kTemporary;
  const Directory& directory = files.directory();
  directory.Unlink(kSchemaTemporaryName);
  WriteSchema(directory, kSchemaTemporaryName, schema, files.identity().id, lifetime);
  directory.RenameFile(kSchemaTemporaryName, kSchemaName);
  files.SetSchema(std::move(schema));
  if (lifetime == Lifetime::kPersistent) {
    directory.Sync();
  }
  // Only now: a reader that sees the word finds the schema, also after a power failure.
  files.control.schema_revision().store(revision, std::memory_order_release);
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
