// Page advice by madvise(), waits by getrusage().
#include "base/paging.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/syscalls.h"

namespace stream_store::internal {
namespace {

int AdviceFor(PageUse use) noexcept {
  switch (use) {
    case PageUse::kScattered:
      return MADV_RANDOM;
    case PageUse::kSoon:
      return MADV_WILLNEED;
    case PageUse::kLarge:
      return MADV_HUGEPAGE;
    case PageUse::kSequential:
      break;
  }
  return MADV_NORMAL;  // not MADV_SEQUENTIAL, which evicts pages soon after they were read
}

}  // namespace

void AdvisePages(const void* begin, const void* end, PageUse use) noexcept {
  STREAM_STORE_ASSERT(begin <= end);
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(begin) & ~(page - 1);
  const auto bytes = reinterpret_cast<std::uintptr_t>(end) - first;
  if (bytes > 0) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    sys().madvise(reinterpret_cast<void*>(first), bytes, AdviceFor(use));
  }
}

PageWaits WaitsOfThread() noexcept {
  struct rusage usage{};
  sys().getrusage(RUSAGE_THREAD, &usage);
  return {static_cast<std::uint64_t>(usage.ru_majflt), static_cast<std::uint64_t>(usage.ru_nvcsw)};
}

}  // namespace stream_store::internal
