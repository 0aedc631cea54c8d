// Directory: an open directory, and the functions that create a directory atomically.
//
// A store keeps its directory open and opens every file relative to it, so that renaming or
// replacing a directory on the path cannot mix the files of two stores. Used by storage (create,
// open, read_source, damaged_files). Thread rules: const functions from any thread.
//
// A new store is built in a sibling directory, `.name.tmp-<32 hex digits>`, and renamed to its
// final name when it is complete (sibling.cc).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace stream_store::internal {

class Directory {
 public:
  /// Opens an existing directory. Throws Error(kNotFound) if the path does not exist,
  /// Error(kAlreadyExists) "is not a directory" if it is something else, or Error(kIo).
  static Directory Open(const std::filesystem::path& path);

  /// As Open(), but does not follow a symbolic link at the end of the path: that is refused with
  /// Error(kAlreadyExists), too.
  static Directory OpenItself(const std::filesystem::path& path);

  /// Creates the hidden sibling of `final_path` with mode 0700 and opens it. The caller publishes
  /// it with PublishDirectory() or deletes it with RemoveTree(). Throws Error(kNotFound) if the
  /// parent directory does not exist, or Error(kNoSpace, kIo).
  static Directory CreateSibling(const std::filesystem::path& final_path);

  const std::filesystem::path& path() const noexcept { return path_; }

  /// Changes the path used in messages, after the directory was renamed.
  void MovedTo(std::filesystem::path path);

  /// Closes the descriptor. Afterwards only path() and the destructor may be called.
  void Close() noexcept {
    file_.Close();
    parked_.reset();
  }

  /// Closes the descriptor until a call needs it. From then on each call opens the directory again by
  /// its absolute path, and throws Error(kIo) if it is not the same directory any more. Must not run
  /// beside another call.
  void Park();

  /// The descriptor, or -1 while it is parked. Stays owned by this object.
  int fd() const noexcept { return file_.fd(); }

  /// Whether the directory was deleted since it was opened. Throws Error(kIo).
  bool Deleted() const;

  /// Whether the directory belongs to the user that this process runs as. Throws Error(kIo).
  bool IsOurs() const;

  /// Whether the directory is on a memory-backed file system, such as tmpfs.
  bool InMemory() const noexcept { return file_.InMemory(); }

  /// Opens the regular file `name`. Symbolic links are not followed, and pipes or devices of that
  /// name are refused without blocking. Throws Error(kNotFound) if it is missing, Error(kCorrupt)
  /// "expected a regular file but found …" if it is anything else, or Error(kIo).
  File OpenFile(const char* name, bool writable) const;

  /// Creates the regular file `name` with mode 0600, regardless of the umask. Throws
  /// Error(kAlreadyExists) if an entry of that name exists, or Error(kNoSpace, kIo).
  File CreateFile(const char* name) const;

  /// The size in bytes of the regular file `name`, without opening it; nothing if there is no entry
  /// of that name. Throws Error(kCorrupt) "expected a regular file but found …" if it is anything
  /// else, a symbolic link included, or Error(kIo).
  std::optional<std::uint64_t> FileSize(const char* name) const;

  /// Whether an entry of that name exists, of any kind. Throws Error(kIo).
  bool Contains(const char* name) const;

  /// The names of all entries except "." and "..", sorted. Throws Error(kIo).
  std::vector<std::string> Entries() const;

  /// Deletes a file; a missing one is not an error. Throws Error(kIo).
  void Unlink(const char* name) const;

  /// Renames a file, replacing an existing `to`. Throws Error(kNoSpace, kIo).
  void RenameFile(const char* from, const char* to) const;

  /// Makes created, renamed and deleted entries durable (fsync). Throws Error(kIo).
  void Sync() const;

 private:
  // The descriptor for one call: the one that is kept, or another one that is closed afterwards.
  class Handle {
   public:
    explicit Handle(const Directory& directory);

    int fd() const noexcept { return fd_; }

   private:
    File opened_;
    int fd_;
  };

  // Where to find the directory again.
  struct Parked {
    std::string place;
    FileId id;
  };

  explicit Directory(File file, std::filesystem::path path);
  File file_;
  std::filesystem::path path_;
  std::optional<Parked> parked_;
};

/// Renames a sibling made by CreateSibling() to its final name. Replaces nothing except an empty
/// directory. Throws Error(kAlreadyExists), Error(kNoSpace, kIo).
void PublishDirectory(const Directory& sibling, const std::filesystem::path& final_path);

/// Syncs the directory that contains `path`, which makes a rename durable. Throws Error(kIo).
void SyncParent(const std::filesystem::path& path);

/// Creates the missing directories above `path`, and makes each durable by a sync of its parent.
/// Returns those that it created, outermost first.
///
/// Throws Error(kNotFound) if a parent is something else than a directory, or Error(kNoSpace, kIo);
/// the directories that it created are removed then.
std::vector<std::filesystem::path> CreateParents(const std::filesystem::path& path);

/// Removes those of the directories that are empty, innermost first. Ignores errors: an empty
/// directory does no harm.
void RemoveParents(const std::vector<std::filesystem::path>& created) noexcept;

/// Deletes a sibling and the plain files in it, but not what a symbolic link of that name leads to.
/// Ignores errors: the next open tries again.
void RemoveTree(const std::filesystem::path& sibling) noexcept;

/// Returns the paths of all siblings of `final_path` (`.name.tmp-…`): stores that are being created
/// and leftovers of creations that died. Empty if the parent cannot be listed.
std::vector<std::filesystem::path> FindSiblings(const std::filesystem::path& final_path);

/// Whether `path` has the name of a sibling of a directory that is called `name`.
bool HasSiblingName(const std::filesystem::path& path, const std::string& name);

}  // namespace stream_store::internal
