// Creates and opens stores for writing: turns a path into open files, and the state from which a
// Writer starts.
//
// Used by StreamStore and StagedRows (src/store), CopyStore() and Appender::Redeclare(). create.cc
// has the functions that create and replace, open.cc those that open. Thread rules: the functions
// may be called from any thread; processes exclude each other with the locks of base/lock.h.
// Invariant: a store appears under its path complete or not at all. It is built in a sibling
// directory and renamed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "stream_store/options.h"
#include "stream_store/recovery.h"

#include "storage/chunk_set.h"
#include "storage/store_files.h"
#include "storage/writer_options.h"

namespace stream_store::internal {

/// A store that is ready for a Writer.
struct OpenedStore {
  std::shared_ptr<StoreFiles> files;
  SessionStart start;  ///< the state of the store, from which the new session continues
  Recovery recovery;
};

/// What exists at a path.
enum class PathState { kNothing, kEmptyDirectory, kStore, kSomethingElse };

/// Returns an identity with a random id and a random seed. REQUIRES: IsChunkSize(chunk_bytes).
Identity NewIdentity(std::uint64_t chunk_bytes);

/// The content of a new store before anything is appended: its fields, its identity, and the numbers of
/// the first items that it will have.
struct NewStore {
  Schema schema;
  Identity identity = NewIdentity(kDefaultChunkBytes);
  Begin begin{};
};

/// Writes the content of a new store.
using FillStore = std::function<void(StoreFiles::Parts&, ChunkSet&)>;

/// Inspects a path without changing anything. Throws Error(kIo).
PathState InspectPath(const std::filesystem::path& path);

/// Creates an empty store at `path`, where nothing or an empty
/// directory must be. Throws Error(kAlreadyExists, kNotFound, kNoSpace, kIo); nothing is left then.
OpenedStore CreateStore(const std::filesystem::path& path, const NewStore& store);

/// The first half of CreateStore(): builds the store in a hidden sibling directory of `path`. Until
/// PublishStore(), RemoveTree() undoes it.
OpenedStore BuildStore(const std::filesystem::path& path, const NewStore& store);

/// The second half of CreateStore(): renames the store to `path` and syncs the parent directory.
/// REQUIRES: files.persistent().
void PublishStore(StoreFiles& files, const std::filesystem::path& path);

/// Creates a closed store whose content is written by `fill`.
///
/// fill  is called once or more with the files of an empty store and its schema, which it may change.
///       It writes the data files and `control`. Its exceptions are passed on.
/// Throws as CreateStore().
void CreateClosedStore(const std::filesystem::path& path, const NewStore& store,
                       const FillStore& fill);

/// Creates a temporary store in a hidden directory, which is deleted with it. Before that, deletes
/// those that were left in the same place by processes that were killed.
///
/// directory  the place of the hidden directory, or empty: see InTemporaryPlace() for the choice.
/// Throws Error(kNotFound, kNoSpace, kIo).
OpenedStore CreateTemporaryStore(const std::filesystem::path& directory, const NewStore& store);

/// Throws Error(kInvalidArgument) if `path` has a name that only temporary stores use. A store of
/// that name must not be written, because the next temporary store would delete it.
void RefuseTemporaryName(const std::filesystem::path& path);

/// Opens an existing store: takes the writer's lock, recovers and sets the live words, by the steps
/// of docs/format.md, "Open for writing".
///
/// Throws Error(kLocked) naming the process that has the store open, Error(kCorrupt, kVersion) if
/// it cannot be recovered, and Error(kNoSpace, kIo).
OpenedStore OpenForWriting(const std::filesystem::path& path);

/// Replaces the schema of a store by one with a higher revision, and announces it to readers: by
/// any fields while the store has no records, then by one with more fields, or with other numbers of
/// first records. If it throws, either schema may be on disk.
void ReplaceSchema(StoreFiles& files, Schema schema);

/// Deletes the siblings of `path` that were left by creations whose process died. Siblings whose
/// creator is alive are kept, by their lock. Ignores errors, because leftovers do no harm.
void RemoveLeftovers(const std::filesystem::path& path) noexcept;

}  // namespace stream_store::internal
