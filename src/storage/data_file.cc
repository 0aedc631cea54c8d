#include "storage/data_file.h"

#include <algorithm>
#include <utility>

#include "base/str_cat.h"

namespace stream_store::internal {

DataFile::DataFile(File file, std::uint64_t reserve_bytes, bool writable)
    : file_(std::move(file)), writable_(writable) {
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

void DataFile::GrowTo(std::uint64_t bytes, std::uint64_t needed) {
  const std::uint64_t old_bytes = this->bytes();
  if (bytes <= old_bytes) {
    return;
  }
  try {
    file_.Allocate(old_bytes, bytes);
  } catch (const Error& error) {
    const std::uint64_t reached = RefreshBytes();
    if (error.code() != ErrorCode::kNoSpace || (needed >= bytes && reached < needed)) {
      throw;
    }
    if (reached < needed) {
      file_.Allocate(reached, needed);
    }
  }
  RefreshBytes();
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
