// The system calls that a SimulatedDisk replaces, and the write protection that detects stores.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include <sys/mman.h>

#include "crash/disk.h"

namespace stream_store::crash {

using internal::RealSyscalls;
using internal::sys;
using internal::Syscalls;

namespace {

constexpr int kMaxDescriptors = 1024;
constexpr std::array<const char*, kFileIds> kNames = {"values", "records", "layouts", "hints",
                                                      "control"};

int file_of[kMaxDescriptors] = {};  // descriptor -> FileId + 1, 0 for all others

// Protects a page that a failed sync marked clean, so that the next store to it is detected.
struct Watched {
  std::byte* page = nullptr;
  bool* forgotten = nullptr;
};

std::array<Watched, 4096> watched{};
std::size_t watched_count = 0;
constexpr std::uintptr_t kWatchedPage = 4096;
struct sigaction previous_action;

void OnProtectedStore(int signal, siginfo_t* info, void* /*context*/) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kWatchedPage - 1);
  for (std::size_t i = 0; i < watched_count; ++i) {
    if (reinterpret_cast<std::uintptr_t>(watched[i].page) != address) continue;
    *watched[i].forgotten = false;
    ::mprotect(watched[i].page, kWatchedPage, PROT_READ | PROT_WRITE);
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

int Refuse(int error) {
  errno = error;
  return -1;
}

}  // namespace

SimulatedDisk* SimulatedDisk::current_ = nullptr;

void SimulatedDisk::RemoveCalls() {
  sys() = RealSyscalls();
  current_ = nullptr;
  std::fill(std::begin(file_of), std::end(file_of), 0);
  watched_count = 0;
}

void SimulatedDisk::InstallCalls() {
  Syscalls& table = sys();
  table = RealSyscalls();
  table.open_at = OpenAt;
  table.close = Close;
  table.pwrite = Write;
  table.fallocate = Allocate;
  table.ftruncate = Truncate;
  table.fdatasync = SyncData;
  table.fsync = SyncData;
  table.mmap = Map;
  table.munmap = Unmap;
  table.getrandom = GetRandom;
  table.fstatfs = [](int, struct statfs* out) {
    *out = {};  // looks like a disk, so that no memory limits are checked
    return 0;
  };
  table.unlink_at = [](int directory_fd, const char* name, int flags) {
    return Dying() ? Refuse(EIO) : RealSyscalls().unlink_at(directory_fd, name, flags);
  };
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

SimulatedDisk::File* SimulatedDisk::Tracked(int fd) {
  if (current_ == nullptr || fd < 0 || fd >= kMaxDescriptors || file_of[fd] == 0) return nullptr;
  return &current_->files_[static_cast<std::size_t>(file_of[fd] - 1)];
}

int SimulatedDisk::OpenAt(int directory_fd, const char* name, int flags, mode_t mode) {
  if (Dying()) return Refuse(EIO);
  const int fd = RealSyscalls().open_at(directory_fd, name, flags, mode);
  if (fd < 0 || fd >= kMaxDescriptors || current_ == nullptr) return fd;
  file_of[fd] = 0;
  for (int id = 0; id < kFileIds; ++id) {
    if (std::strcmp(name, kNames[static_cast<std::size_t>(id)]) != 0) continue;
    file_of[fd] = id + 1;
    if ((flags & O_CREAT) != 0) current_->Adopt(static_cast<FileId>(id), fd);
  }
  return fd;
}

int SimulatedDisk::Close(int fd) {
  if (fd >= 0 && fd < kMaxDescriptors) file_of[fd] = 0;
  return RealSyscalls().close(fd);
}

ssize_t SimulatedDisk::Write(int fd, const void* buffer, std::size_t count, off_t offset) {
  if (Dying()) return Refuse(EIO);
  const ssize_t put = RealSyscalls().pwrite(fd, buffer, count, offset);
  File* file = Tracked(fd);
  if (put > 0 && file != nullptr) {
    const auto begin = static_cast<std::uint64_t>(offset);
    const std::uint64_t end = begin + static_cast<std::uint64_t>(put);
    current_->Touch(*file, begin, end);
    if (end > file->size) current_->Resize(*file, end);
  }
  return put;
}

// Sets the size only, without allocating: holes in memory-backed files cost no time.
int SimulatedDisk::Allocate(int fd, int mode, off_t offset, off_t length) {
  if (Dying()) return Refuse(EIO);
  File* file = Tracked(fd);
  if (file == nullptr) return RealSyscalls().fallocate(fd, mode, offset, length);
  const auto end = static_cast<std::uint64_t>(offset + length);
  if (mode != 0) {
    current_->Touch(*file, static_cast<std::uint64_t>(offset), end);
    return RealSyscalls().fallocate(fd, mode, offset, length);
  }
  if (end <= file->size) return 0;
  current_->Resize(*file, end);
  return RealSyscalls().ftruncate(fd, offset + length);
}

int SimulatedDisk::Truncate(int fd, off_t length) {
  if (Dying()) return Refuse(EIO);
  const int result = RealSyscalls().ftruncate(fd, length);
  File* file = Tracked(fd);
  if (result == 0 && file != nullptr) current_->Resize(*file, static_cast<std::uint64_t>(length));
  return result;
}

// Memory-backed files need no real sync.
int SimulatedDisk::SyncData(int fd) {
  if (Dying()) return Refuse(EIO);
  File* file = Tracked(fd);
  if (file == nullptr) return 0;
  if (current_->syncs_to_failure_ > 0 && --current_->syncs_to_failure_ == 0) {
    current_->FailedSync(*file);
    return Refuse(EIO);
  }
  current_->Sync(*file);
  return 0;
}

void* SimulatedDisk::Map(void* address, std::size_t length, int protection, int flags, int fd,
                         off_t at) {
  if (Dying()) {
    errno = EIO;
    return MAP_FAILED;
  }
  void* mapped = RealSyscalls().mmap(address, length, protection, flags, fd, at);
  File* file = Tracked(fd);
  if (mapped != MAP_FAILED && file != nullptr && file->forgets && (protection & PROT_WRITE) != 0) {
    current_->ProtectForgotten(*file, static_cast<std::byte*>(mapped), length);
  }
  return mapped;
}

int SimulatedDisk::Unmap(void* address, std::size_t length) {
  const auto begin = static_cast<std::byte*>(address);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < watched_count; ++i) {
    const bool gone = watched[i].page >= begin && watched[i].page < begin + length;
    if (!gone) watched[kept++] = watched[i];
  }
  watched_count = kept;
  return RealSyscalls().munmap(address, length);
}

void SimulatedDisk::ProtectForgotten(File& file, std::byte* address, std::size_t length) {
  WatchStores();
  for (std::uint64_t page = 0; page < kPages && page * kPage < length; ++page) {
    if (!file.forgotten[page]) continue;
    if (watched_count == watched.size()) throw std::runtime_error("too many watched pages");
    watched[watched_count++] = Watched{address + page * kPage, &file.forgotten[page]};
    ::mprotect(address + page * kPage, kPage, PROT_READ);
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
