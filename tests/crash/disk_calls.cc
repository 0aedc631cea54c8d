// The system calls that a SimulatedDisk replaces, and the write protection that detects stores.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>

#include "crash/disk.h"

namespace stream_store::crash {

using internal::RealSyscalls;
using internal::sys;
using internal::Syscalls;

namespace {

// Protects a page that a failed sync marked clean, so that the next store to it is detected.
struct Watched {
  std::byte* page = nullptr;
  bool* forgotten = nullptr;
};

std::array<Watched, 4096> watched{};
std::size_t watched_count = 0;
constexpr std::uint64_t kPage = SimulatedFile::kPage;
struct sigaction previous_action;

void OnProtectedStore(int signal, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kPage - 1);
  for (std::size_t i = 0; i < watched_count; ++i) {
    if (reinterpret_cast<std::uintptr_t>(watched[i].page) != address) continue;
    *watched[i].forgotten = false;
    ::mprotect(watched[i].page, kPage, PROT_READ | PROT_WRITE);
    return;
  }
  ::sigaction(signal, &previous_action, nullptr);  // not our fault: crash as usual
}

void WatchStores() {
  static bool installed = false;
  if (installed) return;
  struct sigaction action{};
  action.sa_sigaction = OnProtectedStore;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, &previous_action);
  installed = true;
}

// No longer watches the pages of [begin, begin + length).
void Unwatch(const std::byte* begin, std::size_t length) {
  const auto end = std::remove_if(
      watched.begin(), watched.begin() + static_cast<std::ptrdiff_t>(watched_count),
      [&](const Watched& entry) { return entry.page >= begin && entry.page < begin + length; });
  watched_count = static_cast<std::size_t>(end - watched.begin());
}

int Refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

SimulatedDisk* SimulatedDisk::current_ = nullptr;

void SimulatedDisk::RemoveCalls() {
  sys() = RealSyscalls();
  current_ = nullptr;
  watched_count = 0;
}

void SimulatedDisk::InstallCalls() {
  Syscalls& table = sys();
  table = RealSyscalls();
  table.open_at = OpenAt;
  table.unlink_at = UnlinkAt;
  table.mkdir_at = [](int directory_fd, const char* name, mode_t mode) {
    return Dying() ? Refuse(EIO) : RealSyscalls().mkdir_at(directory_fd, name, mode);
  };
  table.rename_at2 = RenameAt;
  table.pwrite = Write;
  table.fallocate = Allocate;
  table.ftruncate = Truncate;
  table.fdatasync = SyncFile;
  table.fsync = SyncFile;
  table.msync = SyncMapped;
  table.mmap = Map;
  table.munmap = Unmap;
  table.getrandom = GetRandom;
  table.fstatfs = [](int, struct statfs* out) {
    *out = {};  // looks like a disk, so that no memory limits are checked
    return 0;
  };
  InstallReadingCalls();
}

// The calls that change nothing, so that only a dead process makes them different.
void SimulatedDisk::InstallReadingCalls() {
  Syscalls& table = sys();
  table.lock = [](int fd, int command, struct flock* lock) {
    return Dying() ? Refuse(EIO) : RealSyscalls().lock(fd, command, lock);
  };
  table.file_stat = [](int fd, struct stat* out) {
    return Dying() ? Refuse(EIO) : RealSyscalls().file_stat(fd, out);
  };
  table.path_stat = [](const char* path, struct stat* out) {
    return Dying() ? Refuse(EIO) : RealSyscalls().path_stat(path, out);
  };
  table.stat_at = [](int directory_fd, const char* name, struct stat* out, int flags) {
    return Dying() ? Refuse(EIO) : RealSyscalls().stat_at(directory_fd, name, out, flags);
  };
  table.pread = [](int fd, void* buffer, std::size_t count, off_t offset) -> ssize_t {
    return Dying() ? Refuse(EIO) : RealSyscalls().pread(fd, buffer, count, offset);
  };
}

// Counts a call. Returns true if the process is dead, so that the call must do nothing.
bool SimulatedDisk::Dying() {
  if (current_ == nullptr) return false;
  if (current_->calls_to_death_ > 0 && --current_->calls_to_death_ == 0) current_->Die();
  return current_->dead_;
}

SimulatedFile* SimulatedDisk::Tracked(int fd) {
  struct stat status{};
  if (current_ == nullptr || fd < 0 || ::fstat(fd, &status) != 0) return nullptr;
  const auto found =
      std::ranges::find_if(current_->files_, [&](const auto& file) { return file->Is(status); });
  return found == current_->files_.end() ? nullptr : found->get();
}

int SimulatedDisk::OpenAt(int directory_fd, const char* name, int flags, mode_t mode) {
  if (Dying()) return Refuse(EIO);
  const int fd = RealSyscalls().open_at(directory_fd, name, flags, mode);
  const bool in_a_directory = directory_fd >= 0 && std::strchr(name, '/') == nullptr;
  if (fd >= 0 && (flags & O_CREAT) != 0 && in_a_directory && current_ != nullptr &&
      Tracked(fd) == nullptr) {
    current_->Created(directory_fd, name, fd);
  }
  return fd;
}

int SimulatedDisk::UnlinkAt(int directory_fd, const char* name, int flags) {
  if (Dying()) return Refuse(EIO);
  const int result = RealSyscalls().unlink_at(directory_fd, name, flags);
  SimulatedDirectory* directory =
      current_ == nullptr ? nullptr : current_->DirectoryOf(directory_fd);
  if (result == 0 && directory != nullptr && (flags & AT_REMOVEDIR) == 0) {
    directory->Changed({{name, nullptr}});
  }
  return result;
}

int SimulatedDisk::RenameAt(int old_fd, const char* old_name, int new_fd, const char* new_name,
                            unsigned flags) {
  if (Dying()) return Refuse(EIO);
  const int result = RealSyscalls().rename_at2(old_fd, old_name, new_fd, new_name, flags);
  SimulatedDirectory* directory = current_ == nullptr ? nullptr : current_->DirectoryOf(old_fd);
  if (result == 0 && directory != nullptr && directory == current_->DirectoryOf(new_fd)) {
    directory->Changed({{new_name, directory->Find(old_name)}, {old_name, nullptr}});
  }
  return result;
}

ssize_t SimulatedDisk::Write(int fd, const void* buffer, std::size_t count, off_t offset) {
  if (Dying()) return Refuse(EIO);
  const ssize_t put = RealSyscalls().pwrite(fd, buffer, count, offset);
  SimulatedFile* file = Tracked(fd);
  if (put > 0 && file != nullptr) {
    const auto begin = static_cast<std::uint64_t>(offset);
    const std::uint64_t end = begin + static_cast<std::uint64_t>(put);
    file->Touch({begin, end});
    if (end > file->size()) file->Resized(end);
  }
  return put;
}

// Growing without allocation does the same in memory, and is fast.
int SimulatedDisk::Allocate(int fd, int mode, off_t offset, off_t length) {
  if (Dying()) return Refuse(EIO);
  SimulatedFile* file = Tracked(fd);
  if (file == nullptr) return RealSyscalls().fallocate(fd, mode, offset, length);
  const auto end = static_cast<std::uint64_t>(offset + length);
  if (mode != 0) {
    file->Touch({static_cast<std::uint64_t>(offset), end});
    return RealSyscalls().fallocate(fd, mode, offset, length);
  }
  if (end <= file->size()) return 0;
  file->Resized(end);
  return RealSyscalls().ftruncate(fd, offset + length);
}

int SimulatedDisk::Truncate(int fd, off_t length) {
  if (Dying()) return Refuse(EIO);
  const int result = RealSyscalls().ftruncate(fd, length);
  SimulatedFile* file = Tracked(fd);
  if (result == 0 && file != nullptr) file->Resized(static_cast<std::uint64_t>(length));
  return result;
}

// Memory-backed files need no real sync.
int SimulatedDisk::SyncFile(int fd) {
  if (Dying()) return Refuse(EIO);
  if (SimulatedDirectory* directory = current_ == nullptr ? nullptr : current_->DirectoryOf(fd)) {
    return SyncDirectory(*directory);
  }
  SimulatedFile* file = Tracked(fd);
  return file == nullptr ? 0 : SyncPart(*file, {});
}

int SimulatedDisk::SyncDirectory(SimulatedDirectory& directory) {
  const bool fails = current_->syncs_to_failure_ > 0 && --current_->syncs_to_failure_ == 0;
  directory.Commit(current_->random_, fails ? 50 : 100);
  current_->RemoveUnnamed();
  return fails ? Refuse(EIO) : 0;
}

int SimulatedDisk::SyncPart(SimulatedFile& file, ByteRange range) {
  if (current_->syncs_to_failure_ > 0 && --current_->syncs_to_failure_ == 0) {
    file.FailSync(range);
    return Refuse(EIO);
  }
  file.Sync(range);
  return 0;
}

// The kernel syncs the files of the range one after the other, and stops at the first that fails.
int SimulatedDisk::SyncMapped(void* address, std::size_t length, int flags) {
  if (Dying()) return Refuse(EIO);
  if (RealSyscalls().msync(address, length, flags) != 0) return -1;  // not mapped, or not aligned
  if (current_ == nullptr) return 0;
  std::byte* const begin = static_cast<std::byte*>(address);
  std::byte* const end = begin + length;
  for (const auto& [start, mapped] : current_->mappings_) {
    std::byte* const from = std::max(start, begin);
    std::byte* const to = std::min(start + mapped.bytes, end);
    if (from >= to) continue;
    const ByteRange range = {mapped.offset + static_cast<std::uint64_t>(from - start),
                             mapped.offset + static_cast<std::uint64_t>(to - start)};
    if (SyncPart(*mapped.file, range) != 0) return -1;
  }
  return 0;
}

void* SimulatedDisk::Map(void* address, std::size_t length, int protection, int flags, int fd,
                         off_t at) {
  if (Dying()) {
    errno = EIO;
    return MAP_FAILED;
  }
  void* mapped = RealSyscalls().mmap(address, length, protection, flags, fd, at);
  if (mapped == MAP_FAILED || current_ == nullptr) return mapped;
  auto* const begin = static_cast<std::byte*>(mapped);
  current_->ForgetMappings(begin, length);  // MAP_FIXED replaces them
  SimulatedFile* file = Tracked(fd);
  if (file != nullptr && (flags & MAP_TYPE) == MAP_SHARED) {
    const Mapped part = {length, file, static_cast<std::uint64_t>(at)};
    current_->mappings_.emplace(begin, part);
    if ((protection & PROT_WRITE) != 0) current_->ProtectForgotten(part, begin);
  }
  return mapped;
}

int SimulatedDisk::Unmap(void* address, std::size_t length) {
  if (current_ != nullptr) current_->ForgetMappings(static_cast<std::byte*>(address), length);
  return RealSyscalls().munmap(address, length);
}

// Removes [address, address + length) from the known mappings. The mappings around it remain.
void SimulatedDisk::ForgetMappings(std::byte* address, std::size_t length) {
  std::byte* const end = address + length;
  std::map<std::byte*, Mapped> kept;
  for (const auto& [start, mapped] : mappings_) {
    std::byte* const stop = start + mapped.bytes;
    if (stop <= address || start >= end) {
      kept.emplace(start, mapped);
      continue;
    }
    if (start < address) {
      kept.emplace(start,
                   Mapped{static_cast<std::uint64_t>(address - start), mapped.file, mapped.offset});
    }
    if (stop > end) {
      kept.emplace(end, Mapped{static_cast<std::uint64_t>(stop - end), mapped.file,
                               mapped.offset + static_cast<std::uint64_t>(end - start)});
    }
  }
  mappings_ = std::move(kept);
  Unwatch(address, length);
}

// A file that has no name on any disk is no longer modelled, but the process may still use it.
void SimulatedDisk::ForgetMappings(const SimulatedFile& file) {
  for (const auto& [start, mapped] : mappings_) {
    if (mapped.file != &file) continue;
    for (std::size_t i = 0; i < watched_count; ++i) {
      std::byte* const page = watched[i].page;
      if (page >= start && page < start + mapped.bytes) {
        ::mprotect(page, kPage, PROT_READ | PROT_WRITE);
      }
    }
    Unwatch(start, mapped.bytes);
  }
  std::erase_if(mappings_, [&](const auto& entry) { return entry.second.file == &file; });
}

void SimulatedDisk::ProtectForgotten(const Mapped& mapped, std::byte* address) {
  if (!mapped.file->forgets()) return;
  WatchStores();
  const std::uint64_t end = std::min(mapped.bytes, mapped.file->view_bytes());
  for (std::uint64_t at = 0; at < end; at += kPage) {
    bool* const forgotten = mapped.file->forgotten((mapped.offset + at) / kPage);
    if (forgotten == nullptr) continue;
    if (watched_count == watched.size()) throw std::runtime_error("too many watched pages");
    watched[watched_count++] = Watched{address + at, forgotten};
    ::mprotect(address + at, kPage, PROT_READ);
  }
}

ssize_t SimulatedDisk::GetRandom(void* buffer, std::size_t count, unsigned flags) {
  if (current_ == nullptr) return RealSyscalls().getrandom(buffer, count, flags);
  auto* bytes = static_cast<unsigned char*>(buffer);
  for (std::size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<unsigned char>(current_->random_.Next());
  }
  return static_cast<ssize_t>(count);
}

}  // namespace stream_store::crash
