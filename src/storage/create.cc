// Creates stores: builds all files in a sibling directory, syncs them, and renames the directory.
//
// Several processes may create, open and clean up at the same time. Each creator locks the `lock`
// file of its sibling before anything else, and cleaning up deletes only siblings that are not
// locked.
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/lock.h"
#include "base/random.h"
#include "base/str_cat.h"
#include "storage/open.h"

namespace stream_store::internal {
namespace {

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
                 const StoreId& id) {
  const File file = directory.CreateFile(name);
  file.WriteAt(EncodeSchema(schema, id), 0);
  file.Sync();
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
// schema, all synced.
StoreFiles::Parts BuildOnce(const std::filesystem::path& path, const Schema& schema,
                            const std::function<void(StoreFiles::Parts&)>& fill) {
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
    parts.schema = schema;
    fill(parts);
    WriteSchema(directory, kSchemaName, parts.schema, parts.identity.id);
    for (const File* file : {&parts.lock, &parts.values, &parts.records, &parts.layouts,
                             &parts.hints, &parts.control}) {
      file->Sync();
    }
    directory.Sync();
    parts.directory = std::move(directory);
    return parts;
  });
}

StoreFiles::Parts Build(const std::filesystem::path& path, const Schema& schema,
                        const std::function<void(StoreFiles::Parts&)>& fill) {
  constexpr int kAttempts = 5;
  const std::vector<std::filesystem::path> parents = CreateParents(path);
  for (int attempt = 1;; ++attempt) {
    RemoveLeftovers(path);
    try {
      return BuildOnce(path, schema, fill);
    } catch (const Error& error) {
      // Another process that cleans up may have deleted our sibling before we could lock it.
      const bool swept = error.code() == ErrorCode::kNotFound ||
                         error.code() == ErrorCode::kLocked || error.system_errno() == ENOENT;
      if (!swept || attempt == kAttempts) {
        RemoveParents(parents);
        throw;
      }
    } catch (...) {
      RemoveParents(parents);
      throw;
    }
  }
}

// Deletes a sibling unless its creator is alive. A creator makes the lock file first, so a sibling
// that has files but no lock file was left by a process that died while deleting it.
void RemoveLeftover(const std::filesystem::path& sibling) {
  const Directory directory = Directory::Open(sibling);
  if (directory.Entries().empty()) {
    // Its creator died, or is about to make the lock file. In that case it finds the directory gone
    // and tries again. remove() fails if the creator has made a file in the meantime, so that no
    // file of a living creator is deleted.
    std::error_code ignored;
    std::filesystem::remove(sibling, ignored);
    return;
  }
  File lock;
  if (directory.Contains(kLockName)) {
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

OpenedStore CreateTemporaryStore(const std::filesystem::path& directory, Schema schema) {
  StoreFiles::Parts parts;
  parts.identity = NewIdentity();
  parts.values = CreateUnlinkedFile(directory, kValuesName);
  parts.records = CreateUnlinkedFile(directory, kRecordsName);
  parts.layouts = CreateUnlinkedFile(directory, kLayoutsName);
  parts.hints = CreateUnlinkedFile(directory, kHintsName);
  parts.control = CreateUnlinkedFile(directory, kControlName);
  WriteEmptyStore(parts);
  parts.schema = std::move(schema);
  return Ready(std::move(parts));
}

void ReplaceSchema(StoreFiles& files, Schema schema) {
  const std::uint64_t revision = schema.revision();
  if (files.persistent()) {
    const Directory& directory = files.directory();
    directory.Unlink(kSchemaTemporaryName);
    WriteSchema(directory, kSchemaTemporaryName, schema, files.identity().id);
    directory.RenameFile(kSchemaTemporaryName, kSchemaName);
    files.SetSchema(std::move(schema));
    directory.Sync();
  } else {
    files.SetSchema(std::move(schema));
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
