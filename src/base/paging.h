// What a thread waited for pages, and what the kernel is told of how they will be used.
#pragma once

#include <cstdint>

namespace stream_store::internal {

/// How pages of a mapping will be used; the kernel's own guess is kSequential.
enum class PageUse : std::uint8_t {
  kSequential,  ///< from front to back: it reads ahead
  kScattered,   ///< here and there: it reads no page but those that are touched
  kSoon,        ///< now: it begins to read those that are not in memory
};

/// Tells the kernel about the pages that hold [begin, end), which must be mapped. It may not listen.
void AdvisePages(const void* begin, const void* end, PageUse use) noexcept;

struct PageWaits {
  std::uint64_t major_faults = 0;  ///< pages that were read when they were touched
  std::uint64_t sleeps = 0;        ///< for a page that was on its way already, or for anything else
};

/// Of the calling thread since it began. A system call.
PageWaits WaitsOfThread() noexcept;

}  // namespace stream_store::internal
