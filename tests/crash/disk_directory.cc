// The directories of a SimulatedDisk: which names are durable, and which of them survive.
#include "crash/disk_directory.h"

#include <algorithm>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

namespace stream_store::crash {

SimulatedDirectory::SimulatedDirectory(int fd) : fd_(::fcntl(fd, F_DUPFD_CLOEXEC, 0)) {
  struct stat status{};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) throw std::runtime_error("opening a directory again");
  inode_ = status.st_ino;
  device_ = status.st_dev;
}

SimulatedDirectory::~SimulatedDirectory() { ::close(fd_); }

bool SimulatedDirectory::Deleted() const noexcept {
  struct stat status{};
  return ::fstat(fd_, &status) != 0 || status.st_nlink == 0;
}

SimulatedFile* SimulatedDirectory::Find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

void SimulatedDirectory::Changed(Change change) {
  for (const auto& [name, file] : change) names_[name] = file;
  changes_.push_back(std::move(change));
}

void SimulatedDirectory::Commit(Random& random, std::uint64_t percent) {
  std::set<std::string> waiting;
  std::vector<Change> left;
  for (const Change& change : changes_) {
    const bool waits = std::ranges::any_of(
        change, [&](const auto& entry) { return waiting.contains(entry.first); });
    if (!waits && random.Chance(percent)) {
      for (const auto& [name, file] : change) durable_[name] = file;
      continue;
    }
    for (const auto& entry : change) waiting.insert(entry.first);
    left.push_back(change);
  }
  changes_ = std::move(left);
}

// A deleted file cannot get a name again, so its content moves to a new one.
void SimulatedDirectory::Restore() {
  for (const auto& [name, file] : names_) {
    const auto survivor = durable_.find(name);
    const bool same = survivor != durable_.end() && survivor->second == file;
    if (!same && file != nullptr) ::unlinkat(fd_, name.c_str(), 0);
  }
  for (const auto& [name, file] : durable_) {
    if (file == nullptr || Find(name) == file) continue;
    const int fd = ::openat(fd_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) throw std::runtime_error("creating " + name + " again");
    file->MoveTo(fd);
    ::close(fd);
  }
  std::erase_if(durable_, [](const auto& entry) { return entry.second == nullptr; });
  names_ = durable_;
}

void SimulatedDirectory::Collect(std::set<const SimulatedFile*>& named) const {
  for (const Names* names : {&names_, &durable_}) {
    for (const auto& [name, file] : *names) named.insert(file);
  }
  for (const Change& change : changes_) {
    for (const auto& [name, file] : change) named.insert(file);
  }
}

}  // namespace stream_store::crash
