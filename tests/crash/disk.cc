// The images of a SimulatedDisk: the durable bytes, the bytes that a power failure leaves, and
// those that a failed sync loses.
#include "crash/disk.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include <sys/mman.h>
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
  const std::uint64_t kib = wide ? 64 << 10 : 1 << 10;
  extents_[kValues] = {{0, (wide ? 16 : 8) * kib}};
  extents_[kRecords] = {{0, (wide ? 1 : 8) * kib}};
  extents_[kLayouts] = {{0, (wide ? 1 : 16) * kib}};
  extents_[kHints] = {{0, kib}};
  extents_[kControl] = {{kIdentityOffset, kIdentityOffset + kIdentityBytes},
                        {kLiveOffset, kLiveOffset + 512},
                        {kSlotOffset[0], kSlotOffset[0] + kSlotBytes},
                        {kSlotOffset[1], kSlotOffset[1] + kSlotBytes}};
  InstallCalls();
  current_ = this;
}

SimulatedDisk::~SimulatedDisk() {
  RemoveCalls();
  for (File& file : files_) Release(file);
}

void SimulatedDisk::Release(File& file) noexcept {
  if (file.view != nullptr) ::munmap(file.view, file.view_bytes);
  if (file.fd >= 0) ::close(file.fd);
  file.view = nullptr;
  file.fd = -1;
}

// Called when a file of the store was created: starts to model it.
void SimulatedDisk::Adopt(FileId id, int fd) {
  File& file = files_[static_cast<std::size_t>(id)];
  Release(file);
  file.fd = ::dup(fd);
  file.view_bytes = (extents_[static_cast<std::size_t>(id)].back().end + kPage - 1) / kPage * kPage;
  void* view = ::mmap(nullptr, file.view_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
  if (view == MAP_FAILED) throw std::runtime_error("mapping a view of a store's file");
  file.view = static_cast<std::byte*>(view);
  file.durable.assign(file.view_bytes, std::byte{0});
}

template <class Visit>
void SimulatedDisk::EachDirtySector(FileId id, std::uint64_t limit, const Visit& visit) const {
  const File& file = files_[static_cast<std::size_t>(id)];
  const auto differs = [&file](std::uint64_t at, std::uint64_t count) {
    return std::memcmp(file.durable.data() + at, file.view + at, count) != 0;
  };
  for (const Extent& extent : extents_[static_cast<std::size_t>(id)]) {
    const std::uint64_t end = std::min(extent.end, limit);
    for (std::uint64_t block = extent.begin; block < end; block += kPage) {
      const std::uint64_t block_end = std::min(block + kPage, end);
      if (!differs(block, block_end - block)) continue;
      for (std::uint64_t at = block; at < block_end; at += sector_bytes_) {
        const std::uint64_t count = std::min(sector_bytes_, block_end - at);
        if (differs(at, count)) visit(at, count);
      }
    }
  }
}

void SimulatedDisk::Resize(File& file, std::uint64_t size) {
  file.size = size;
  file.sizes.push_back(size);
}

void SimulatedDisk::Sync(File& file) {
  const auto id = static_cast<FileId>(&file - files_.data());
  for (const Extent& extent : extents_[static_cast<std::size_t>(id)]) {
    const std::uint64_t end = std::min(extent.end, file.size);
    for (std::uint64_t at = extent.begin; at < end;) {
      const std::uint64_t next = std::min((at / kPage + 1) * kPage, end);
      if (!file.forgotten[at / kPage]) {
        std::memcpy(file.durable.data() + at, file.view + at, next - at);
      }
      at = next;
    }
    if (end < extent.end) {
      const std::uint64_t from = std::max(end, extent.begin);
      std::memset(file.durable.data() + from, 0, extent.end - from);
    }
  }
  file.durable_size = file.size;
  file.sizes.clear();
}

// A failed sync: some of the dirty pages are on disk, and the kernel marks all of them clean.
void SimulatedDisk::FailedSync(File& file) {
  const auto id = static_cast<FileId>(&file - files_.data());
  file.durable_size = file.size;
  file.sizes.clear();
  EachDirtySector(id, file.size, [&](std::uint64_t at, std::uint64_t count) {
    if (random_.Chance(50)) {
      std::memcpy(file.durable.data() + at, file.view + at, count);
    } else {
      file.forgotten[at / kPage] = true;
      file.forgets = true;
    }
  });
}

// Marks the pages of [begin, end) dirty, after a store or write to them.
void SimulatedDisk::Touch(File& file, std::uint64_t begin, std::uint64_t end) {
  for (std::uint64_t page = begin / kPage; page < kPages && page * kPage < end; ++page) {
    file.forgotten[page] = false;
  }
}

bool SimulatedDisk::forgets() const noexcept {
  return std::ranges::any_of(files_, [](const File& file) {
    return file.forgets && std::ranges::find(file.forgotten, true) != file.forgotten.end();
  });
}

void SimulatedDisk::DropForgotten() {
  for (File& file : files_) {
    for (std::uint64_t page = 0; page < kPages && file.forgets; ++page) {
      if (!file.forgotten[page] || page * kPage >= std::min(file.size, file.view_bytes)) continue;
      const std::uint64_t end = std::min({(page + 1) * kPage, file.size, file.view_bytes});
      std::memcpy(file.view + page * kPage, file.durable.data() + page * kPage, end - page * kPage);
    }
    file.forgotten.fill(false);
    file.forgets = false;
  }
}

void SimulatedDisk::WriteBack() {
  for (std::size_t id = 0; id < kFileIds; ++id) {
    File& file = files_[id];
    for (std::uint64_t kept = random_.Below(file.sizes.size() + 1); kept > 0; --kept) {
      const std::uint64_t size = file.sizes.front();
      const std::uint64_t end = std::min<std::uint64_t>(file.durable_size, file.durable.size());
      if (size < end) std::memset(file.durable.data() + size, 0, end - size);
      file.durable_size = size;
      file.sizes.erase(file.sizes.begin());
    }
    EachDirtySector(static_cast<FileId>(id), std::min(file.size, file.durable_size),
                    [&](std::uint64_t at, std::uint64_t count) {
                      if (file.forgotten[at / kPage] || random_.Chance(50)) return;
                      std::memcpy(file.durable.data() + at, file.view + at, count);
                    });
  }
}

void SimulatedDisk::Die() {
  if (dead_) return;
  dead_ = true;
  for (std::size_t id = 0; id < kFileIds; ++id) {
    File& file = files_[id];
    if (file.view == nullptr) continue;
    file.frozen.resize(file.view_bytes);
    file.frozen_size = file.size;
    file.frozen_forgotten = file.forgotten;
    for (const Extent& extent : extents_[id]) {
      const std::uint64_t end = std::min(extent.end, file.size);
      if (end > extent.begin) {
        std::memcpy(file.frozen.data() + extent.begin, file.view + extent.begin,
                    end - extent.begin);
      }
    }
  }
}

void SimulatedDisk::SetRealSize(File& file, std::uint64_t size) {
  if (::ftruncate(file.fd, static_cast<off_t>(size)) != 0) {
    throw std::runtime_error("ftruncate of a store's file");
  }
}

void SimulatedDisk::Restore(File& file, const std::vector<std::byte>& content, std::uint64_t size) {
  const auto id = static_cast<std::size_t>(&file - files_.data());
  if (file.size != size) SetRealSize(file, size);
  file.size = size;
  for (const Extent& extent : extents_[id]) {
    const std::uint64_t end = std::min(extent.end, size);
    if (end > extent.begin) {
      std::memcpy(file.view + extent.begin, content.data() + extent.begin, end - extent.begin);
    }
  }
}

void SimulatedDisk::Revive() {
  for (File& file : files_) {
    if (!dead_ || file.view == nullptr) continue;
    Restore(file, file.frozen, file.frozen_size);
    file.forgotten = file.frozen_forgotten;
  }
  dead_ = false;
  calls_to_death_ = 0;
  syncs_to_failure_ = 0;
}

void SimulatedDisk::CutPower() {
  Revive();
  for (std::size_t id = 0; id < kFileIds; ++id) {
    if (files_[id].view != nullptr) Surviving(static_cast<FileId>(id), files_[id]);
  }
}

// Chooses the bytes that survive a power failure, and makes them the durable image and the page
// cache.
void SimulatedDisk::Surviving(FileId id, File& file) {
  std::uint64_t kept = random_.Below(file.sizes.size() + 1);
  for (const std::uint64_t size : file.sizes) {
    if (kept-- == 0) break;
    const std::uint64_t end = std::min<std::uint64_t>(file.durable_size, file.durable.size());
    if (size < end) std::memset(file.durable.data() + size, 0, end - size);
    file.durable_size = size;
  }
  // Some power failures lose nearly all unsynced bytes, some nearly none.
  const std::uint64_t survives = random_.Below(101);
  if (id == kControl) TearSlot(file, file.durable);
  const std::uint64_t limit = std::min(file.size, file.durable_size);
  EachDirtySector(id, limit, [&](std::uint64_t at, std::uint64_t count) {
    if (file.forgotten[at / kPage] || !random_.Chance(survives)) return;
    std::memcpy(file.durable.data() + at, file.view + at, count);
  });
  file.forgotten.fill(false);
  file.forgets = false;
  file.sizes.clear();
  Restore(file, file.durable, file.durable_size);
}

// A slot that was being written becomes a mixture of old bytes, new bytes and noise.
void SimulatedDisk::TearSlot(File& file, std::vector<std::byte>& image) {
  for (const std::uint64_t slot : kSlotOffset) {
    const bool in_flight = std::memcmp(image.data() + slot, file.view + slot, kSlotBytes) != 0;
    if (!in_flight || file.forgotten[slot / kPage] || !random_.Chance(25)) continue;
    for (std::uint64_t at = slot; at < slot + kSlotBytes; at += 8) {
      if (random_.Chance(50)) std::memcpy(image.data() + at, file.view + at, 8);
    }
    if (random_.Chance(50)) image[slot + random_.Below(kSlotBytes)] ^= std::byte{0x40};
    std::memcpy(file.view + slot, image.data() + slot, kSlotBytes);
  }
}

void SimulatedDisk::ExhaustSessions() {
  File& control = files_[kControl];
  auto* live = reinterpret_cast<LiveWords*>(control.view + kLiveOffset);
  // To a number whose low 16 bits are those of the next session, or to just below the next multiple
  // of 2^16.
  const std::uint64_t same = live->session + 0xffff;
  live->session = random_.Chance(70) ? same : std::max(live->session, (live->session | 0xffff) - 1);
  auto* durable = reinterpret_cast<LiveWords*>(control.durable.data() + kLiveOffset);
  if (random_.Chance(80)) durable->session = live->session;
}

void SimulatedDisk::CheckExtents() const {
  for (std::size_t id = 0; id < kFileIds; ++id) {
    const File& file = files_[id];
    std::vector<char> bytes(file.size);
    if (::pread(file.fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      throw std::runtime_error("reading a store's file");
    }
    for (const Extent& extent : extents_[id]) {
      if (extent.begin >= file.size) continue;
      const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(extent.begin);
      const std::uint64_t end = std::min(extent.end, file.size);
      std::fill(begin, bytes.begin() + static_cast<std::ptrdiff_t>(end), 0);
    }
    if (std::ranges::any_of(bytes, [](char byte) { return byte != 0; })) {
      throw std::runtime_error("file " + std::to_string(id) +
                               " of the store outgrew the simulated disk");
    }
  }
}

}  // namespace stream_store::crash
