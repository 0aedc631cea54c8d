// A directory held open: everything inside a store is opened relative to it, never through a path
// again.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"

namespace stream_store::internal {

class Directory {
 public:
  /// Opens an existing directory. Throws Error(kNotFound) if nothing is there,
  /// Error(kAlreadyExists) "is not a directory" for anything else than a directory, Error(kIo).
  static Directory Open(const std::filesystem::path& path);

  /// Creates `parent/.name.tmp-<128 random bits in hex>` with mode 0700 and opens it. Throws
  /// Error(kNoSpace, kIo).
  static Directory CreateSibling(const std::filesystem::path& final_path);

  const std::filesystem::path& path() const noexcept { return path_; }

  /// The path for messages from now on: it was renamed.
  void MovedTo(std::filesystem::path path) {
    file_.MovedTo(path.string());
    path_ = std::move(path);
  }

  int fd() const noexcept { return file_.fd(); }

  bool InMemory() const noexcept { return file_.InMemory(); }  ///< on tmpfs or the like

  /// Opens a regular file inside: O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, then fstat. Throws
  /// Error(kNotFound) if it is missing, Error(kCorrupt) if it is anything but a regular file
  /// ("expected a regular file but found a directory / symbolic link / …"), Error(kIo).
  File OpenFile(const char* name, bool writable) const;

  /// Creates a new regular file, mode 0600 whatever the umask, O_EXCL.
  File CreateFile(const char* name) const;

  bool Contains(const char* name) const;     ///< any kind of entry
  std::vector<std::string> Entries() const;  ///< names but "." and ".."
  void Unlink(const char* name) const;       ///< missing is fine
  void RenameFile(const char* from, const char* to) const;
  void Sync() const;  ///< fsync of the directory

 private:
  explicit Directory(File file, std::filesystem::path path);
  File file_;
  std::filesystem::path path_;
};

/// Renames a sibling made by CreateSibling() to its final name, never replacing anything but an
/// empty directory. Throws Error(kAlreadyExists).
void PublishDirectory(const Directory& sibling, const std::filesystem::path& final_path);

/// fsync of the directory that holds `path`.
void SyncParent(const std::filesystem::path& path);

/// Deletes a sibling and the plain files in it; errors are ignored.
void RemoveTree(const std::filesystem::path& sibling) noexcept;

/// Names of leftover siblings of `final_path` (".name.tmp-…" in its parent).
std::vector<std::filesystem::path> FindSiblings(const std::filesystem::path& final_path);

/// An unlinked file, mode 0600, on a disk file system: tries `preferred` (alone if not empty), else
/// $TMPDIR, /var/tmp, /tmp, skipping memory-backed file systems while another place is left;
/// O_TMPFILE, or create + unlink. Throws Error(kIo, kNotFound) naming the places tried.
File CreateUnlinkedFile(const std::filesystem::path& preferred, const std::string& name);

}  // namespace stream_store::internal
