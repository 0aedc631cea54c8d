// The directory of a SimulatedDisk: which names are durable, and which of them survive.
#include "crash/disk.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/control.h"

namespace stream_store::crash {

using internal::kIdentityBytes;
using internal::kIdentityOffset;
using internal::kLiveOffset;
using internal::kSlotBytes;
using internal::kSlotOffset;
using internal::LiveWords;

SimulatedDisk::SimulatedDisk(Random& random, std::uint64_t sector_bytes, bool wide)
    : random_(random), sector_bytes_(sector_bytes), wide_(wide) {
  InstallCalls();
  current_ = this;
}

SimulatedDisk::~SimulatedDisk() {
  RemoveCalls();
  CloseDirectory();
}

void SimulatedDisk::CloseDirectory() noexcept {
  if (directory_ >= 0) ::close(directory_);
  directory_ = -1;
}

// Each kind of file has data near its beginning only, so that comparing images is fast. The number of
// a chunk follows the kind: `values.000000000003`.
SimulatedFile::Traits SimulatedDisk::TraitsOf(const std::string& name) const {
  if (name == "control") {
    return {.extents = {{kIdentityOffset, kIdentityOffset + kIdentityBytes},
                        {kLiveOffset, kLiveOffset + 512},
                        {kSlotOffset[0], kSlotOffset[0] + kSlotBytes},
                        {kSlotOffset[1], kSlotOffset[1] + kSlotBytes}},
            .sector_bytes = sector_bytes_,
            .slots = {kSlotOffset[0], kSlotOffset[1]}};
  }
  const std::string kind = name.substr(0, name.find('.'));
  const std::uint64_t kib = wide_ ? 64 << 10 : 1 << 10;
  std::uint64_t bytes = kib;  // hints
  if (kind == "values") bytes = (wide_ ? 16 : 8) * kib;
  if (kind == "records") bytes = (wide_ ? 1 : 8) * kib;
  if (kind == "layouts" || kind == "schema") bytes = (wide_ ? 1 : 16) * kib;
  return {.extents = {{0, bytes}}, .sector_bytes = sector_bytes_, .slots = {}};
}

bool SimulatedDisk::IsDirectory(int fd) const {
  struct stat own{};
  struct stat other{};
  return directory_ >= 0 && ::fstat(directory_, &own) == 0 && ::fstat(fd, &other) == 0 &&
         own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

// Starts to model a new file. The directory of the newest `control` is that of the store.
void SimulatedDisk::Created(int directory_fd, const std::string& name, int fd) {
  if (!IsDirectory(directory_fd) && (directory_ < 0 || name == "control")) {
    CloseDirectory();
    directory_ = ::fcntl(directory_fd, F_DUPFD_CLOEXEC, 0);
    names_.clear();
    durable_names_.clear();
    changes_.clear();
    RemoveUnnamed();
  }
  if (!IsDirectory(directory_fd)) return;
  files_.push_back(std::make_unique<SimulatedFile>(fd, TraitsOf(name), random_));
  Changed({{name, files_.back().get()}});
}

void SimulatedDisk::Changed(NameChange change) {
  for (const auto& [name, file] : change) names_[name] = file;
  changes_.push_back(std::move(change));
}

SimulatedFile* SimulatedDisk::Find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

// Makes each change of names durable with this probability, unless an earlier one of the same name
// is not. The others remain to be made.
void SimulatedDisk::CommitNames(std::uint64_t percent) {
  std::set<std::string> waiting;
  std::vector<NameChange> left;
  for (const NameChange& change : changes_) {
    const bool waits = std::ranges::any_of(
        change, [&](const auto& entry) { return waiting.contains(entry.first); });
    if (!waits && random_.Chance(percent)) {
      for (const auto& [name, file] : change) durable_names_[name] = file;
      continue;
    }
    for (const auto& entry : change) waiting.insert(entry.first);
    left.push_back(change);
  }
  changes_ = std::move(left);
  RemoveUnnamed();
}

// Ends the model of files that no power failure can bring back. A process may still have them mapped.
void SimulatedDisk::RemoveUnnamed() {
  std::set<const SimulatedFile*> named;
  for (const Names* names : {&names_, &durable_names_}) {
    for (const auto& [name, file] : *names) named.insert(file);
  }
  for (const NameChange& change : changes_) {
    for (const auto& [name, file] : change) named.insert(file);
  }
  for (const auto& file : files_) {
    if (!named.contains(file.get())) ForgetMappings(*file);
  }
  std::erase_if(files_, [&](const auto& file) { return !named.contains(file.get()); });
}

bool SimulatedDisk::forgets() const noexcept {
  return std::ranges::any_of(files_, [](const auto& file) { return file->forgets(); });
}

void SimulatedDisk::DropForgotten() {
  for (const auto& file : files_) file->DropForgotten();
}

void SimulatedDisk::WriteBack() {
  CommitNames(50);
  for (const auto& file : files_) file->WriteBack();
}

void SimulatedDisk::Die() {
  if (dead_) return;
  dead_ = true;
  for (const auto& file : files_) file->Freeze();
}

void SimulatedDisk::Revive() {
  for (const auto& file : files_) {
    if (dead_) file->Thaw();
  }
  dead_ = false;
  calls_to_death_ = 0;
  syncs_to_failure_ = 0;
}

void SimulatedDisk::CutPower() {
  Revive();
  CommitNames(random_.Below(101));
  changes_.clear();
  for (const auto& file : files_) file->Survive();
  RestoreNames();
}

// Makes the real directory have exactly the durable names. A deleted file cannot get a name again,
// so its content moves to a new one.
void SimulatedDisk::RestoreNames() {
  for (const auto& [name, file] : names_) {
    const auto survivor = durable_names_.find(name);
    const bool same = survivor != durable_names_.end() && survivor->second == file;
    if (!same && file != nullptr) ::unlinkat(directory_, name.c_str(), 0);
  }
  for (const auto& [name, file] : durable_names_) {
    if (file == nullptr || Find(name) == file) continue;
    const int fd = ::openat(directory_, name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) throw std::runtime_error("creating " + name + " again");
    file->MoveTo(fd);
    ::close(fd);
  }
  std::erase_if(durable_names_, [](const auto& entry) { return entry.second == nullptr; });
  names_ = durable_names_;
  RemoveUnnamed();
}

void SimulatedDisk::ExhaustSessions() {
  SimulatedFile* control = Find("control");
  auto* live = reinterpret_cast<LiveWords*>(control->view() + kLiveOffset);
  // To a number whose low 16 bits are those of the next session, or to just below the next multiple
  // of 2^16.
  const std::uint64_t same = live->session + 0xffff;
  live->session = random_.Chance(70) ? same : std::max(live->session, (live->session | 0xffff) - 1);
  auto* durable = reinterpret_cast<LiveWords*>(control->durable() + kLiveOffset);
  if (random_.Chance(80)) durable->session = live->session;
}

void SimulatedDisk::CheckExtents() const {
  for (const auto& [name, file] : names_) {
    if (file != nullptr && !file->IsComplete()) {
      throw std::runtime_error(name + " of the store outgrew the simulated disk");
    }
  }
}

}  // namespace stream_store::crash
