// SimulatedFile: one file of a SimulatedDisk, with the bytes that a power failure would leave of it.
//
// The real file, memory-backed if possible, stands for the page cache. This class keeps the durable
// image next to it: the bytes at the last successful sync of each page, plus those that random
// write-back has added since. Plain stores into other mappings of the file are read through a
// mapping of its own. disk.h describes the model. Thread rules: used by one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "crash/random.h"

namespace stream_store::crash {

/// Bytes [begin, end) of a file that may be nonzero.
struct Extent {
  std::uint64_t begin;
  std::uint64_t end;
};

/// The bytes of a file that a call is about. A sync of a range covers whole pages.
struct ByteRange {
  std::uint64_t begin = 0;
  std::uint64_t end = ~std::uint64_t{0};
};

class SimulatedFile {
 public:
  static constexpr std::uint64_t kPage = 4096;

  /// The common properties of the bytes of a file.
  struct Traits {
    std::vector<Extent> extents;
    std::uint64_t sector_bytes = 512;
    std::vector<std::uint64_t> slots;  ///< offsets of sync slots, which may be torn
  };

  /// Starts to model a new, empty file. Throws std::runtime_error.
  SimulatedFile(int fd, Traits traits, Random& random);
  SimulatedFile(const SimulatedFile&) = delete;
  SimulatedFile& operator=(const SimulatedFile&) = delete;
  ~SimulatedFile();

  /// Whether this is the file with that status.
  bool Is(const struct stat& status) const noexcept {
    return status.st_ino == inode_ && status.st_dev == device_;
  }

  std::uint64_t size() const noexcept { return size_; }

  /// The part of the file that the model covers.
  std::byte* view() const noexcept { return view_; }

  std::uint64_t view_bytes() const noexcept { return view_bytes_; }

  std::byte* durable() noexcept { return durable_.data(); }

  // -- Calls.
  void Resized(std::uint64_t size);      ///< the real file has this size now
  void Touch(ByteRange range) noexcept;  ///< its pages are dirty again
  void Sync(ByteRange range);            ///< makes the size and these pages durable
  void FailSync(ByteRange range);        ///< marks these pages clean, of which some are on disk
  void WriteBack();                      ///< the kernel writes some sectors and sizes to disk

  // -- Pages of a failed sync: clean, although the disk has other bytes.
  bool forgets() const noexcept;
  bool* forgotten(std::uint64_t page) noexcept;  ///< null if the page is not, or beyond the extents
  void DropForgotten();                          ///< the kernel reads them from the disk again

  // -- Deaths. Throws std::runtime_error if the real file cannot be changed.
  void Freeze();            ///< remembers the page cache
  void Thaw();              ///< makes the page cache as it was at Freeze()
  void Survive();           ///< chooses what a power failure leaves
  void MoveTo(int fd);      ///< stores the content into another, empty file, and goes on with that
  bool IsComplete() const;  ///< whether all bytes outside the extents are zero

 private:
  struct Page {
    bool forgotten = false;
  };

  void Open(int fd);
  void Close() noexcept;
  void CommitSizes(std::uint64_t count);
  void Restore(const std::vector<std::byte>& content, std::uint64_t size);
  void TearSlots();
  template <class Visit>
  void EachDirtySector(std::uint64_t limit, const Visit& visit) const;

  const Traits traits_;
  Random& random_;
  int fd_ = -1;
  ino_t inode_ = 0;
  dev_t device_ = 0;
  std::byte* view_ = nullptr;
  std::uint64_t view_bytes_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t durable_size_ = 0;
  std::vector<std::uint64_t> sizes_;  // since the last sync, in order
  std::vector<std::byte> durable_;
  std::vector<std::byte> frozen_;
  std::uint64_t frozen_size_ = 0;
  std::vector<Page> pages_;
  std::vector<Page> frozen_pages_;
  bool forgets_ = false;
};

}  // namespace stream_store::crash
