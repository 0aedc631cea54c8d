// SimulatedDisk: knows which files and bytes would be on disk if the machine failed now.
//
// The files of a store and of its copies lie in real directories, memory-backed if possible, which
// stand for the page cache. It observes syncs, writes, size changes, mappings and changes of names
// through the table of system calls, and keeps a SimulatedFile for each file that is created, and a
// SimulatedDirectory for each directory in which one is. The directories themselves are durable.
//
// Model of a power failure:
//   - Names. Files created, renamed and deleted since the last fsync of the directory: each change
//     survives or not, chosen at random, except that the changes of one name happen in order. A
//     file whose name does not survive is lost, synced or not; a deleted file may be there again.
//   - Sizes. The size changes since the last sync of the file survive up to a random one of them.
//   - Bytes. Every sector that differs from the durable image is on disk or not, each chosen at
//     random. A sector has 512, 32 or 8 bytes. A slot that was being written may be torn.
// fsync and fdatasync make all pages of a file durable, msync those of its range that are mapped;
// each makes the size durable, none the name.
//
// Model of a failed sync (as on ext4, XFS and Btrfs): a random part of the dirty pages is on disk,
// and all of them count as clean. Later syncs skip such "forgotten" pages until something stores to
// them again, which write protection detects. The kernel may also drop them and read them from the
// disk. If the sync of a directory fails, some changes of its names are on disk; a later sync makes
// the others durable.
//
// Model of a dying process: from a chosen system call on, no call has any effect.
//
// Thread rules: one SimulatedDisk at a time, used by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/syscalls.h"
#include "crash/disk_directory.h"
#include "crash/disk_file.h"
#include "crash/random.h"

namespace stream_store::crash {

class SimulatedDisk {
 public:
  /// Replaces the table of system calls. `wide`: for stores beyond a few KiB.
  SimulatedDisk(Random& random, std::uint64_t sector_bytes, bool wide);
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;
  ~SimulatedDisk();  ///< restores the real calls

  // -- Faults in the future.
  void DieAtCall(std::uint64_t count) noexcept { calls_to_death_ = count; }  ///< 0: never

  void FailSync(std::uint64_t count) noexcept {
    syncs_to_failure_ = count;
  }  ///< the count-th sync of a file or directory from now

  bool dead() const noexcept { return dead_; }

  std::uint64_t sector_bytes() const noexcept { return sector_bytes_; }

  /// Ends the process: no call has any effect from now on, and the page cache stays as it is.
  void Die();

  /// The kernel writes some sectors and names back, as it may at any time.
  void WriteBack();

  // -- After the store object was destroyed.
  void Revive();         ///< a new process: the page cache is as it was at Die()
  void CutPower();       ///< Revive() with the files and bytes that a power failure leaves
  void DropForgotten();  ///< the kernel reads pages of a failed sync from the disk again
  bool forgets() const noexcept;

  /// Advances the session number as if ten thousands of sessions without appends had passed, so
  /// that the 16 bits stored in records repeat. Of the copies of a store, in some.
  void ExhaustSessions();

  /// Throws std::runtime_error if a byte outside the extents is nonzero, because the model ignores
  /// it.
  void CheckExtents() const;

 private:
  /// A part of a file that the process has mapped.
  struct Mapped {
    std::uint64_t bytes = 0;
    SimulatedFile* file = nullptr;
    std::uint64_t offset = 0;
  };

  // disk_calls.cc: the table.
  static SimulatedDisk* current_;
  static void InstallCalls();
  static void InstallReadingCalls();
  static void RemoveCalls();
  static bool Dying();
  static int OpenAt(int directory_fd, const char* name, int flags, mode_t mode);
  static int UnlinkAt(int directory_fd, const char* name, int flags);
  static int RenameAt(int old_fd, const char* old_name, int new_fd, const char* new_name,
                      unsigned flags);
  static ssize_t Write(int fd, const void* buffer, std::size_t count, off_t offset);
  static int Allocate(int fd, int mode, off_t offset, off_t length);
  static int Truncate(int fd, off_t length);
  static int SyncFile(int fd);
  static int SyncMapped(void* address, std::size_t length, int flags);
  static int SyncDirectory(SimulatedDirectory& directory);
  static int SyncPart(SimulatedFile& file, ByteRange range);
  static void* Map(void* address, std::size_t length, int protection, int flags, int fd, off_t at);
  static int Unmap(void* address, std::size_t length);
  static ssize_t GetRandom(void* buffer, std::size_t count, unsigned flags);
  static SimulatedFile* Tracked(int fd);
  void ProtectForgotten(const Mapped& mapped, std::byte* address);
  void ForgetMappings(std::byte* address, std::size_t length);
  void ForgetMappings(const SimulatedFile& file);

  // disk.cc: the directories.
  SimulatedFile::Traits TraitsOf(const std::string& name) const;
  SimulatedDirectory* DirectoryOf(int fd) const;
  void Created(int directory_fd, const std::string& name, int fd);
  void RemoveDeleted();
  void RemoveUnnamed();

  Random& random_;
  const std::uint64_t sector_bytes_;
  const bool wide_;
  std::vector<std::unique_ptr<SimulatedDirectory>>
      directories_;  // in the order of their first files
  std::vector<std::unique_ptr<SimulatedFile>> files_;
  std::map<std::byte*, Mapped> mappings_;
  std::uint64_t calls_to_death_ = 0;
  std::uint64_t syncs_to_failure_ = 0;
  bool dead_ = false;
};

}  // namespace stream_store::crash
