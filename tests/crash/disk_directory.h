// SimulatedDirectory: one directory of a SimulatedDisk, with the names that a power failure would leave.
//
// disk.h describes the model. Thread rules: used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

#include "crash/disk_file.h"
#include "crash/random.h"

namespace stream_store::crash {

class SimulatedDirectory {
 public:
  using Names = std::map<std::string, SimulatedFile*>;  // null: no file of that name

  /// One call that changed names, such as a rename: all of it survives or nothing.
  using Change = std::vector<std::pair<std::string, SimulatedFile*>>;

  /// Keeps a duplicate of the descriptor. Nothing of the directory is known to be durable.
  explicit SimulatedDirectory(int fd);
  SimulatedDirectory(const SimulatedDirectory&) = delete;
  SimulatedDirectory& operator=(const SimulatedDirectory&) = delete;
  ~SimulatedDirectory();

  /// Whether this is the directory with that status.
  bool Is(const struct stat& status) const noexcept {
    return status.st_ino == inode_ && status.st_dev == device_;
  }

  bool Deleted() const noexcept;

  const Names& names() const noexcept { return names_; }  ///< in the page cache

  SimulatedFile* Find(const std::string& name) const;
  void Changed(Change change);

  /// Makes each change durable with this probability, unless an earlier one of the same name is not.
  /// The others remain to be made.
  void Commit(Random& random, std::uint64_t percent);

  void ForgetChanges() noexcept { changes_.clear(); }

  /// Makes the real directory have exactly the durable names. Throws std::runtime_error.
  void Restore();

  /// Adds the files that have a name, or may have one after a power failure.
  void Collect(std::set<const SimulatedFile*>& named) const;

 private:
  int fd_ = -1;
  ino_t inode_ = 0;
  dev_t device_ = 0;
  Names names_;
  Names durable_;                // at the last sync of the directory
  std::vector<Change> changes_;  // since then, in order
};

}  // namespace stream_store::crash
