#include "storage/data_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "base/cgroup.h"
#include "base/str_cat.h"

namespace stream_store::internal {
namespace {

// On a memory-backed file system the kernel kills the process at the limit of its control group,
// where a full disk would return ENOSPC. So the limit is checked before the file grows.
void CheckMemory(const File& file, std::uint64_t more) {
  static constinit CgroupBudget budget;  // one for all stores: they share the control group
  std::uint64_t headroom = 0;
  if (!budget.Take(more, &headroom)) {
    throw Error(ErrorCode::kNoSpace,
                StrCat(file.path(), ": growing by ", more,
                       " bytes of memory: the control group has ", headroom, " left"),
                ENOMEM);
  }
}

}  // namespace

DataFile::DataFile(File file, std::uint64_t reserve_bytes, bool writable)
    : file_(std::move(file)), writable_(writable), in_memory_(writable && file_.InMemory()) {
  bytes_.store(file_.Size(), std::memory_order_relaxed);
  const std::uint64_t minimum = std::max<std::uint64_t>(bytes(), 64 << 10);
  mapping_ =
      std::make_shared<const Mapping>(file_, std::max(reserve_bytes, minimum), minimum, writable_);
}

std::uint64_t DataFile::RefreshBytes() {
  const std::uint64_t size = file_.Size();
  bytes_.store(size, std::memory_order_relaxed);
  return size;
}

// A failed fallocate of ext4 has allocated all that was free. Kept, it would be missing in the other
// files of the call.
void DataFile::GrowTo(std::uint64_t bytes) {
  const std::uint64_t old_bytes = this->bytes();
  if (bytes <= old_bytes) {
    return;
  }
  if (in_memory_) {
    CheckMemory(file_, bytes - old_bytes);
  }
  try {
    file_.Allocate(old_bytes, bytes);
  } catch (const Error&) {
    if (RefreshBytes() > old_bytes) {
      ShortenTo(old_bytes);
    }
    throw;
  }
  RefreshBytes();
}

bool DataFile::ShortenTo(std::uint64_t bytes) noexcept try {
  STREAM_STORE_ASSERT(bytes <= this->bytes());
  Truncate(bytes);
  return true;
} catch (const Error&) {
  return false;
}

void DataFile::AllocateTail(std::uint64_t begin) {
  if (begin < bytes()) {
    file_.Allocate(begin, bytes());
  }
}

void DataFile::Remap(std::uint64_t bytes) {
  const std::uint64_t wanted = std::max(bytes, reserved() * 2);
  mapping_ = std::make_shared<const Mapping>(file_, wanted, bytes, writable_);
}

void DataFile::Truncate(std::uint64_t bytes) {
  file_.Truncate(bytes);
  bytes_.store(bytes, std::memory_order_relaxed);
}

}  // namespace stream_store::internal
