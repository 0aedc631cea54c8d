// Where temporary directories are created, and when they are deleted.
//
// A temporary store is a hidden directory in a directory for temporary files. Its name is that of a
// sibling (directory.h), so a directory whose process was killed is found and deleted by the next
// process that creates one there. Used by storage (create, store_files). Thread rules: any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace stream_store::internal {

/// Calls `create` with one directory for temporary files after another, until one call succeeds.
///
/// preferred  the only directory that is tried, unless it is empty. Then $TMPDIR, /var/tmp and /tmp
///            are tried, memory-backed file systems last: their pages count against the memory
///            limit.
/// create     creates what is wanted in that directory, or throws an Error and leaves nothing.
/// Throws the Error of `preferred`: Error(kNotFound) if it does not exist, or that of `create`.
/// Without `preferred`, throws an Error with the reason for each directory that was tried, which is
/// kNoSpace if one of them was full, else kIo. Throws at once if there are no more descriptors.
void InTemporaryPlace(const std::filesystem::path& preferred,
                      const std::function<void(const std::filesystem::path&)>& create);

/// Deletes a directory and the plain files in it when the object is destroyed, or when the process
/// exits normally before that. A forked child never deletes the directory of its parent, and a
/// process that is killed leaves it.
class TemporaryTree {
 public:
  /// Takes over the directory `path`, which was created by this process.
  /// REQUIRES: path.is_absolute().
  explicit TemporaryTree(std::filesystem::path path);
  TemporaryTree(const TemporaryTree&) = delete;
  TemporaryTree& operator=(const TemporaryTree&) = delete;
  ~TemporaryTree();

  /// Whether there is a TemporaryTree of this process for that directory. Cost: one look-up.
  static bool Exists(const std::filesystem::path& path);

 private:
  friend struct TemporaryTrees;
  void Remove() const noexcept;
  const std::filesystem::path path_;
  const std::int64_t process_;
};

}  // namespace stream_store::internal
