// Creating and opening stores for writing: from a path to Files and a Cursor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "stream_store/options.h"
#include "stream_store/recovery.h"

#include "storage/store_files.h"
#include "storage/writer_options.h"

namespace stream_store::internal {

/// A store ready for a Writer.
struct Opened {
  std::shared_ptr<StoreFiles> files;
  SessionStart start;
  Recovery recovery;
};

/// What is at a path, before anything is touched.
enum class PathState { kNothing, kEmptyDirectory, kStore, kSomethingElse };
PathState InspectPath(const std::filesystem::path& path);

/// Creates a store with those fields, complete in one rename. Throws Error(kAlreadyExists,
/// kNoSpace, kIo).
Opened CreateStore(const std::filesystem::path& path, const Schema& schema);

/// The two halves of CreateStore(): a store in a hidden sibling directory of `path`, which
/// RemoveTree() takes away again, and the rename that lets it appear.
Opened BuildStore(const std::filesystem::path& path, const Schema& schema);
void PublishStore(StoreFiles& files, const std::filesystem::path& path);

/// Creates a closed store whose data files and control `fill` writes; complete in one rename.
/// `fill` finds empty files and a new identity. Throws as CreateStore(), and what `fill` throws.
void CreateClosedStore(const std::filesystem::path& path, const Schema& schema,
                       const std::function<void(StoreFiles::Parts&)>& fill);

/// A store on unlinked files.
Opened CreateTemporaryStore(const std::filesystem::path& directory, Schema schema);

/// Takes the writer's lock, recovers and makes the live words true, as docs/format.md numbers the
/// steps.
///
/// Throws Error(kLocked) naming the holder, Error(kCorrupt, kVersion, kNoSpace, kIo).
Opened OpenForWriting(const std::filesystem::path& path);

/// Replaces the schema of a store that holds nothing yet. If it throws with the new schema in
/// place, what is on disk is unknown.
void ReplaceSchema(StoreFiles& files, Schema schema);

/// Deletes what creations that died left beside `path`.
void RemoveLeftovers(const std::filesystem::path& path) noexcept;

}  // namespace stream_store::internal
