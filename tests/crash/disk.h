// SimulatedDisk: knows which bytes would be on disk if the machine failed now.
//
// The store's files lie in a real directory, memory-backed if possible, which stands for the page
// cache. For each file this class also keeps the durable image: the bytes at the last successful
// fdatasync or fsync, plus those that random write-back has added since. It observes syncs, writes
// and size changes through the table of system calls. The writer's plain stores into a mapping are
// read from a second mapping of the same file.
//
// Model of a power failure: the size changes since the last sync survive up to a random one of
// them. Then every sector that differs from the durable image is on disk or not, each chosen at
// random. A sector has 512, 32 or 8 bytes. A slot that was being written may be torn.
//
// Model of a failed sync (as on ext4, XFS and Btrfs): a random part of the dirty pages is on disk,
// and all of them count as clean. Later syncs skip such "forgotten" pages until something stores to
// them again, which write protection detects. The kernel may also drop them and read them from the
// disk.
//
// Model of a dying process: from a chosen system call on, no call has any effect.
//
// Thread rules: one SimulatedDisk at a time, used by one thread.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/syscalls.h"
#include "crash/random.h"

namespace stream_store::crash {

enum FileId : int { kValues, kRecords, kLayouts, kHints, kControl, kFileIds, kOther = kFileIds };

/// Bytes [begin, end) of a file that may be nonzero.
struct Extent {
  std::uint64_t begin;
  std::uint64_t end;
};

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
  }  ///< the count-th sync from now

  bool dead() const noexcept { return dead_; }

  std::uint64_t sector_bytes() const noexcept { return sector_bytes_; }

  /// Ends the process: no call has any effect from now on, and the page cache stays as it is.
  void Die();

  /// The kernel writes some sectors back, as it may at any time.
  void WriteBack();

  // -- After the store object was destroyed.
  void Revive();         ///< a new process: the page cache is as it was at Die()
  void CutPower();       ///< Revive() with the bytes that a power failure leaves
  void DropForgotten();  ///< the kernel reads pages of a failed sync from the disk again
  bool forgets() const noexcept;

  /// Advances the session number as if ten thousands of sessions without appends had passed, so
  /// that the 16 bits stored in records repeat.
  void ExhaustSessions();

  /// Throws std::runtime_error if a byte outside the extents is nonzero, because the model ignores
  /// it.
  void CheckExtents() const;

 private:
  static constexpr std::uint64_t kPage = 4096;
  static constexpr std::uint64_t kPages = 512;

  struct File {
    int fd = -1;
    std::byte* view = nullptr;
    std::uint64_t view_bytes = 0;
    std::uint64_t size = 0;
    std::uint64_t durable_size = 0;
    std::vector<std::uint64_t> sizes;  // since the last sync, in order
    std::vector<std::byte> durable;
    std::vector<std::byte> frozen;
    std::uint64_t frozen_size = 0;
    std::array<bool, kPages> forgotten{};  // clean, although the disk has other bytes
    std::array<bool, kPages> frozen_forgotten{};
    bool forgets = false;
  };

  // disk_calls.cc: the table.
  static SimulatedDisk* current_;
  static void InstallCalls();
  static void RemoveCalls();
  static bool Dying();
  static int OpenAt(int directory_fd, const char* name, int flags, mode_t mode);
  static int Close(int fd);
  static ssize_t Write(int fd, const void* buffer, std::size_t count, off_t offset);
  static int Allocate(int fd, int mode, off_t offset, off_t length);
  static int Truncate(int fd, off_t length);
  static int SyncData(int fd);
  static void* Map(void* address, std::size_t length, int protection, int flags, int fd, off_t at);
  static int Unmap(void* address, std::size_t length);
  static ssize_t GetRandom(void* buffer, std::size_t count, unsigned flags);
  static File* Tracked(int fd);

  void Adopt(FileId id, int fd);
  void Release(File& file) noexcept;
  void Resize(File& file, std::uint64_t size);
  void SetRealSize(File& file, std::uint64_t size);
  void Sync(File& file);
  void FailedSync(File& file);
  void Touch(File& file, std::uint64_t begin, std::uint64_t end);
  void ProtectForgotten(File& file, std::byte* address, std::size_t length);
  void Surviving(FileId id, File& file);
  void TearSlot(File& file, std::vector<std::byte>& image);
  template <class Visit>
  void EachDirtySector(FileId id, std::uint64_t limit, const Visit& visit) const;
  void Restore(File& file, const std::vector<std::byte>& content, std::uint64_t size);

  Random& random_;
  const std::uint64_t sector_bytes_;
  const bool wide_;
  std::array<std::vector<Extent>, kFileIds> extents_;
  std::array<File, kFileIds> files_;
  std::uint64_t calls_to_death_ = 0;
  std::uint64_t syncs_to_failure_ = 0;
  bool dead_ = false;
};

}  // namespace stream_store::crash
