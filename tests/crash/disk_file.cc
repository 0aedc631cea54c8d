// The images of one file: the durable bytes, the bytes that a power failure leaves, and those that
// a failed sync loses.
#include "crash/disk_file.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/control.h"

namespace stream_store::crash {

using internal::kSlotBytes;

SimulatedFile::SimulatedFile(int fd, Traits traits, Random& random)
    : traits_(std::move(traits)),
      random_(random),
      view_bytes_((traits_.extents.back().end + kPage - 1) / kPage * kPage),
      durable_(view_bytes_),
      pages_(view_bytes_ / kPage) {
  Open(fd);
}

SimulatedFile::~SimulatedFile() { Close(); }

void SimulatedFile::Open(int fd) {
  struct stat status{};
  // Not dup(): a lock would stay until the last duplicate is closed.
  fd_ = ::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC);
  void* view = ::mmap(nullptr, view_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (fd_ < 0 || ::fstat(fd_, &status) != 0 || view == MAP_FAILED) {
    throw std::runtime_error("mapping a view of a store's file");
  }
  inode_ = status.st_ino;
  device_ = status.st_dev;
  view_ = static_cast<std::byte*>(view);
}

void SimulatedFile::Close() noexcept {
  if (view_ != nullptr) ::munmap(view_, view_bytes_);
  if (fd_ >= 0) ::close(fd_);
  view_ = nullptr;
  fd_ = -1;
}

template <class Visit>
void SimulatedFile::EachDirtySector(std::uint64_t limit, const Visit& visit) const {
  const auto differs = [this](std::uint64_t at, std::uint64_t count) {
    return std::memcmp(durable_.data() + at, view_ + at, count) != 0;
  };
  for (const Extent& extent : traits_.extents) {
    const std::uint64_t end = std::min(extent.end, limit);
    for (std::uint64_t block = extent.begin; block < end; block = (block / kPage + 1) * kPage) {
      const std::uint64_t block_end = std::min((block / kPage + 1) * kPage, end);
      if (!differs(block, block_end - block)) continue;
      for (std::uint64_t at = block; at < block_end; at += traits_.sector_bytes) {
        const std::uint64_t count = std::min(traits_.sector_bytes, block_end - at);
        if (differs(at, count)) visit(at, count);
      }
    }
  }
}

void SimulatedFile::Resized(std::uint64_t size) {
  for (std::uint64_t page = (size + kPage - 1) / kPage; page < pages_.size(); ++page) {
    pages_[page].forgotten = false;  // it is gone, and a new one has zeros
  }
  size_ = size;
  sizes_.push_back(size);
}

void SimulatedFile::Touch(ByteRange range) noexcept {
  for (std::uint64_t page = range.begin / kPage; page < pages_.size() && page * kPage < range.end;
       ++page) {
    pages_[page].forgotten = false;
  }
}

// Makes the first `count` size changes durable. Bytes that a smaller size removed read as zeros even
// if the file became larger again.
void SimulatedFile::CommitSizes(std::uint64_t count) {
  const auto last = sizes_.begin() + static_cast<std::ptrdiff_t>(count);
  for (auto size = sizes_.begin(); size != last; ++size) {
    const std::uint64_t end = std::min<std::uint64_t>(durable_size_, durable_.size());
    if (*size < end) std::memset(durable_.data() + *size, 0, end - *size);
    durable_size_ = *size;
  }
  sizes_.erase(sizes_.begin(), last);
}

void SimulatedFile::Sync(ByteRange range) {
  CommitSizes(sizes_.size());
  for (const Extent& extent : traits_.extents) {
    const std::uint64_t end = std::min(extent.end, size_);
    for (std::uint64_t at = extent.begin; at < end;) {
      const std::uint64_t page = at / kPage;
      const std::uint64_t next = std::min((page + 1) * kPage, end);
      const bool covered = page * kPage < range.end && (page + 1) * kPage > range.begin;
      if (covered && !pages_[page].forgotten) {
        std::memcpy(durable_.data() + at, view_ + at, next - at);
      }
      at = next;
    }
  }
}

void SimulatedFile::FailSync(ByteRange range) {
  CommitSizes(sizes_.size());
  EachDirtySector(size_, [&](std::uint64_t at, std::uint64_t count) {
    const std::uint64_t page = at / kPage;
    if (page * kPage >= range.end || (page + 1) * kPage <= range.begin) return;
    if (pages_[page].forgotten) return;  // nothing is written, because it is clean
    if (random_.Chance(50)) {
      std::memcpy(durable_.data() + at, view_ + at, count);
    }
  });
  EachDirtySector(size_, [&](std::uint64_t at, std::uint64_t) {
    const std::uint64_t page = at / kPage;
    if (page * kPage >= range.end || (page + 1) * kPage <= range.begin) return;
    pages_[page].forgotten = true;
    forgets_ = true;
  });
}

void SimulatedFile::WriteBack() {
  CommitSizes(random_.Below(sizes_.size() + 1));
  EachDirtySector(std::min(size_, durable_size_), [&](std::uint64_t at, std::uint64_t count) {
    if (pages_[at / kPage].forgotten || random_.Chance(50)) return;
    std::memcpy(durable_.data() + at, view_ + at, count);
  });
}

bool SimulatedFile::forgets() const noexcept {
  return forgets_ && std::ranges::any_of(pages_, &Page::forgotten);
}

bool* SimulatedFile::forgotten(std::uint64_t page) noexcept {
  return page < pages_.size() && pages_[page].forgotten ? &pages_[page].forgotten : nullptr;
}

void SimulatedFile::DropForgotten() {
  for (std::uint64_t page = 0; page < pages_.size() && forgets_; ++page) {
    const std::uint64_t end = std::min({(page + 1) * kPage, size_, view_bytes_});
    if (!pages_[page].forgotten || page * kPage >= end) continue;
    std::memcpy(view_ + page * kPage, durable_.data() + page * kPage, end - page * kPage);
  }
  std::ranges::fill(pages_, Page{});
  forgets_ = false;
}

void SimulatedFile::Freeze() {
  frozen_.resize(view_bytes_);
  frozen_size_ = size_;
  frozen_pages_ = pages_;
  for (const Extent& extent : traits_.extents) {
    const std::uint64_t end = std::min(extent.end, size_);
    if (end > extent.begin) {
      std::memcpy(frozen_.data() + extent.begin, view_ + extent.begin, end - extent.begin);
    }
  }
}

void SimulatedFile::Thaw() {
  Restore(frozen_, frozen_size_);
  pages_ = frozen_pages_;
}

void SimulatedFile::Restore(const std::vector<std::byte>& content, std::uint64_t size) {
  if (size_ != size && ::ftruncate(fd_, static_cast<off_t>(size)) != 0) {
    throw std::runtime_error("ftruncate of a store's file");
  }
  size_ = size;
  for (const Extent& extent : traits_.extents) {
    const std::uint64_t end = std::min(extent.end, size);
    if (end > extent.begin) {
      std::memcpy(view_ + extent.begin, content.data() + extent.begin, end - extent.begin);
    }
  }
}

// Chooses the bytes that survive a power failure, and makes them the durable image and the page
// cache.
void SimulatedFile::Survive() {
  CommitSizes(random_.Below(sizes_.size() + 1));
  // Some power failures lose nearly all unsynced bytes, some nearly none.
  const std::uint64_t survives = random_.Below(101);
  TearSlots();
  EachDirtySector(std::min(size_, durable_size_), [&](std::uint64_t at, std::uint64_t count) {
    if (pages_[at / kPage].forgotten || !random_.Chance(survives)) return;
    std::memcpy(durable_.data() + at, view_ + at, count);
  });
  std::ranges::fill(pages_, Page{});
  forgets_ = false;
  sizes_.clear();
  Restore(durable_, durable_size_);
}

// A slot that was being written becomes a mixture of old bytes, new bytes and noise.
void SimulatedFile::TearSlots() {
  for (const std::uint64_t slot : traits_.slots) {
    if (slot + kSlotBytes > size_) continue;
    const bool in_flight = std::memcmp(durable_.data() + slot, view_ + slot, kSlotBytes) != 0;
    if (!in_flight || pages_[slot / kPage].forgotten || !random_.Chance(25)) continue;
    for (std::uint64_t at = slot; at < slot + kSlotBytes; at += 8) {
      if (random_.Chance(50)) std::memcpy(durable_.data() + at, view_ + at, 8);
    }
    if (random_.Chance(50)) durable_[slot + random_.Below(kSlotBytes)] ^= std::byte{0x40};
    std::memcpy(view_ + slot, durable_.data() + slot, kSlotBytes);
  }
}

void SimulatedFile::MoveTo(int fd) {
  Close();
  Open(fd);
  const std::uint64_t size = std::exchange(size_, 0);
  Restore(durable_, size);
}

bool SimulatedFile::IsComplete() const {
  std::vector<char> bytes(size_);
  if (::pread(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("reading a store's file");
  }
  for (const Extent& extent : traits_.extents) {
    const std::uint64_t end = std::min(extent.end, size_);
    if (extent.begin < end) {
      std::memset(bytes.data() + extent.begin, 0, end - extent.begin);
    }
  }
  return std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
}

}  // namespace stream_store::crash
