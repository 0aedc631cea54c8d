// A shared mapping of a file, reserved beyond its end.

#include "base/mapping.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/retry.h"
#include "base/str_cat.h"
#include "base/syscalls.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older C libraries do not name it
#endif

namespace stream_store::internal {
namespace {

std::uint64_t PageBytes() noexcept {
  static const auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

std::uint64_t PageUp(std::uint64_t bytes) noexcept {
  const std::uint64_t mask = PageBytes() - 1;
  return bytes > ~mask ? bytes & ~mask : (bytes + mask) & ~mask;
}

// The most that all reservations together may take. A process has 128 TiB of address space (less
// under RLIMIT_AS); the rest is left to malloc, stacks and the host program.
constexpr std::uint64_t kMostReserved = 32ULL << 40;

std::atomic<std::uint64_t> reserved_bytes{0};

// 1/32 of the free part, so that hundreds of stores can be open together, each with a smaller
// reservation than the one before. With full reservations for each, the ninetieth store and malloc
// would find no address space.
std::uint64_t ShareOfAddressSpace() noexcept {
  std::uint64_t most = kMostReserved;
  struct rlimit limit{};
  if (sys().getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    most = std::min<std::uint64_t>(most, limit.rlim_cur / 4);
  }
  const std::uint64_t taken = reserved_bytes.load(std::memory_order_relaxed);
  return taken < most ? (most - taken) / 32 : 0;
}

// How many mappings this process has; 0 if that cannot be found out.
std::uint64_t CountMappings() {
  std::ifstream file("/proc/self/maps");
  std::uint64_t count = 0;
  for (std::string line; std::getline(file, line);) {
    ++count;
  }
  return count;
}

// Why the kernel returned ENOMEM: it does so for too many mappings as well as for too little
// address space. The list of mappings has up to two lines that do not count, and other threads may
// have unmapped something since.
std::string NoMappingReason(const char* otherwise) {
  constexpr std::uint64_t kUncertain = 64;
  std::uint64_t most = 0;
  if (!(std::ifstream("/proc/sys/vm/max_map_count") >> most)) {
    return otherwise;
  }
  const std::uint64_t count = CountMappings();
  if (count + kUncertain < most) {
    return otherwise;
  }
  return StrCat("vm.max_map_count is ", most, ", and this process has ", count,
                " mappings: raise it with `sysctl -w vm.max_map_count=", 4 * most,
                "`, or close stores");
}

}  // namespace

// What all mappings of files and reservations ask of the kernel.
struct Mapping::Request {
  std::uint64_t reserve_bytes = 0;
  std::uint64_t minimum_bytes = 0;
  int protection = 0;
  int flags = 0;
  int fd = -1;
  bool leaves_room = false;  // where address space is scarce, takes a part of what there is
};

// The largest size that the kernel grants is up to all the address space that a process under an
// emulator or a limit still has. A store has five reservations, so each takes an eighth of it.
constexpr std::uint64_t kRoom = 8;

Mapping::Mapping(const std::string& path, const Request& request) {
  const std::uint64_t least = std::max(PageUp(request.minimum_bytes), PageBytes());
  std::uint64_t bytes =
      std::max(PageUp(std::min(request.reserve_bytes, ShareOfAddressSpace())), least);
  bool refused = false;
  for (;;) {
    void* address = sys().mmap(nullptr, bytes, request.protection, request.flags, request.fd, 0);
    if (address != MAP_FAILED && refused && request.leaves_room && bytes > least) {
      sys().munmap(address, bytes);
      bytes = std::max(PageUp(bytes / kRoom), least);
      refused = false;
      continue;
    }
    if (address != MAP_FAILED) {
      data_ = static_cast<std::byte*>(address);
      size_ = bytes;
      reserved_bytes.fetch_add(size_, std::memory_order_relaxed);
      return;
    }
    const int error = errno;
    const std::string doing = StrCat("mapping ", bytes, " bytes of address space");
    // Valgrind and other emulators return EINVAL for more than they can map.
    if (error != ENOMEM && error != EINVAL) {
      ThrowErrno(path, doing, error);
    }
    if (bytes == least) {
      throw Error(ErrorCode::kNoSpace,
                  StrCat(path, ": ", doing, ": ", NoMappingReason("no address space is left")),
                  error);
    }
    bytes = std::max(PageUp(bytes / 2), least);
    refused = true;
  }
}

Mapping::Mapping(const File& file, std::uint64_t reserve_bytes, std::uint64_t minimum_bytes,
                 bool writable)
    : Mapping(file.path(), Request{.reserve_bytes = reserve_bytes,
                                   .minimum_bytes = minimum_bytes,
                                   .protection = writable ? PROT_READ | PROT_WRITE : PROT_READ,
                                   .flags = MAP_SHARED | MAP_NORESERVE,
                                   .fd = file.fd()}) {}

Mapping Mapping::Reserve(const std::string& path, std::uint64_t reserve_bytes,
                         std::uint64_t minimum_bytes) {
  return {path, Request{.reserve_bytes = reserve_bytes,
                        .minimum_bytes = minimum_bytes,
                        .protection = PROT_NONE,
                        .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        .fd = -1,
                        .leaves_room = true}};
}

Mapping Mapping::Private(std::uint64_t bytes) {
  Mapping mapping;
  const std::uint64_t size = std::max(PageUp(bytes), PageBytes());
  void* address = sys().mmap(nullptr, size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    const int error = errno;
    throw Error(
        ErrorCode::kNoSpace,
        StrCat("mapping ", size, " bytes for copies: ", NoMappingReason("no memory is left")),
        error);
  }
  mapping.data_ = static_cast<std::byte*>(address);
  mapping.size_ = size;
  reserved_bytes.fetch_add(size, std::memory_order_relaxed);
  return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {  // `other` unmaps the old memory
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ == nullptr) {
    return;
  }
  sys().munmap(data_, size_);
  reserved_bytes.fetch_sub(size_, std::memory_order_relaxed);
}

bool Mapping::Populate(std::uint64_t begin, std::uint64_t end) const noexcept {
  begin &= ~(PageBytes() - 1);
  end = std::min(PageUp(end), size_);
  if (begin >= end) {
    return true;
  }
  return RetryInterrupted(
             [&] { return sys().madvise(data_ + begin, end - begin, MADV_POPULATE_WRITE); }) == 0;
}

void Mapping::MapFile(const File& file, Part part, bool writable) const {
  STREAM_STORE_ASSERT(part.begin <= size_ && part.bytes <= size_ - part.begin);
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* address = sys().mmap(data_ + part.begin, part.bytes, protection,
                             MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file.fd(), 0);
  if (address != MAP_FAILED) {
    return;
  }
  const int error = errno;
  if (error != ENOMEM) {
    ThrowErrno(file.path(), StrCat("mapping ", part.bytes, " bytes"), error);
  }
  throw Error(ErrorCode::kNoSpace,
              StrCat(file.path(), ": mapping ", part.bytes,
                     " bytes: ", NoMappingReason("the kernel has no memory for it")),
              error);
}

// A failed sync is kIo for every errno, as that of a file: data may be lost. The kernel reports an
// error of a write-back once for each open file, and a mapping keeps its own open file, so an error
// since the file was mapped or last synced here is never missed.
void Mapping::Sync(Part part, const std::string& path) const {
  STREAM_STORE_ASSERT(part.begin <= size_ && part.bytes <= size_ - part.begin);
  if (part.bytes == 0) {
    return;
  }
  const std::uint64_t begin = part.begin & ~(PageBytes() - 1);
  const std::uint64_t end = std::min(PageUp(part.begin + part.bytes), size_);
  if (RetryInterrupted([&] { return sys().msync(data_ + begin, end - begin, MS_SYNC); }) == 0) {
    return;
  }
  const int error = errno;
  throw Error(ErrorCode::kIo, StrCat(path, ": msync: ", std::generic_category().message(error)),
              error);
}

// A failure leaves the part mapped, which costs space but never a wrong byte.
void Mapping::Unmap(Part part) const noexcept {
  STREAM_STORE_ASSERT(part.begin <= size_ && part.bytes <= size_ - part.begin);
  sys().mmap(data_ + part.begin, part.bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void Mapping::ProtectReadOnly(Part part) const noexcept {
  STREAM_STORE_ASSERT(part.begin <= size_ && part.bytes <= size_ - part.begin);
  if (part.bytes > 0) {
    sys().mprotect(data_ + part.begin, part.bytes, PROT_READ);
  }
}

void Mapping::ProtectReadOnly() const noexcept {
  if (data_ != nullptr) {
    sys().mprotect(data_, size_, PROT_READ);
  }
}

}  // namespace stream_store::internal
