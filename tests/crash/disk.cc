// The files and directories of a SimulatedDisk, and the failures of the whole machine.
#include "crash/disk.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include <sys/stat.h>

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

SimulatedDisk::~SimulatedDisk() { RemoveCalls(); }

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

// The directory that is open as `fd`; null if it is not modelled.
SimulatedDirectory* SimulatedDisk::DirectoryOf(int fd) const {
  struct stat status{};
  if (fd < 0 || ::fstat(fd, &status) != 0) return nullptr;
  const auto found = std::ranges::find_if(
      directories_, [&](const auto& directory) { return directory->Is(status); });
  return found == directories_.end() ? nullptr : found->get();
}

// Starts to model a new file, and its directory.
void SimulatedDisk::Created(int directory_fd, const std::string& name, int fd) {
  SimulatedDirectory* directory = DirectoryOf(directory_fd);
  if (directory == nullptr) {
    RemoveDeleted();
    directories_.push_back(std::make_unique<SimulatedDirectory>(directory_fd));
    directory = directories_.back().get();
  }
  files_.push_back(std::make_unique<SimulatedFile>(fd, TraitsOf(name), random_));
  directory->Changed({{name, files_.back().get()}});
}

void SimulatedDisk::RemoveDeleted() {
  std::erase_if(directories_, [](const auto& directory) { return directory->Deleted(); });
  RemoveUnnamed();
}

// Ends the model of files that no power failure can bring back. A process may still have them mapped.
void SimulatedDisk::RemoveUnnamed() {
  std::set<const SimulatedFile*> named;
  for (const auto& directory : directories_) directory->Collect(named);
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
  for (const auto& directory : directories_) directory->Commit(random_, 50);
  RemoveUnnamed();
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
  RemoveDeleted();
  const std::uint64_t survives = random_.Below(101);
  for (const auto& directory : directories_) {
    directory->Commit(random_, survives);
    directory->ForgetChanges();
  }
  RemoveUnnamed();
  for (const auto& file : files_) file->Survive();
  for (const auto& directory : directories_) directory->Restore();
  RemoveUnnamed();
}

void SimulatedDisk::ExhaustSessions() {
  for (const auto& directory : directories_) {
    SimulatedFile* control = directory->Find("control");
    if (control == nullptr || control->size() <= kSlotOffset[1]) continue;  // half a store
    if (directory != directories_.front() && random_.Chance(50)) continue;
    auto* live = reinterpret_cast<LiveWords*>(control->view() + kLiveOffset);
    // To a number whose low 16 bits are those of the next session, or to just below the next
    // multiple of 2^16.
    const std::uint64_t same = live->session + 0xffff;
    live->session =
        random_.Chance(70) ? same : std::max(live->session, (live->session | 0xffff) - 1);
    auto* durable = reinterpret_cast<LiveWords*>(control->durable() + kLiveOffset);
    if (random_.Chance(80)) durable->session = live->session;
  }
}

void SimulatedDisk::CheckExtents() const {
  for (const auto& directory : directories_) {
    for (const auto& [name, file] : directory->names()) {
      if (file != nullptr && !file->IsComplete()) {
        throw std::runtime_error(name + " of the store outgrew the simulated disk");
      }
    }
  }
}

}  // namespace stream_store::crash
