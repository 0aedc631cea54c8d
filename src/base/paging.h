// Advice to the kernel about pages of a mapping, and how often a thread had to wait for pages.
//
// Used by storage/read_ahead, which asks for the pages of a batch before it reads them, and by
// arrow/buffers, which allocates large blocks. Thread rules: any thread.
#pragma once

#include <cstdint>

namespace stream_store::internal {

/// How pages of a mapping will be used. Without advice the kernel assumes kSequential.
enum class PageUse : std::uint8_t {
  kSequential,  ///< from front to back; the kernel reads ahead
  kScattered,   ///< at random; the kernel reads only the pages that are touched
  kSoon,        ///< now; the kernel starts to read those that are not in memory
  kLarge,       ///< all of them soon, for the first time; the kernel uses huge pages if it can
};

/// Gives the kernel advice about the pages that hold [begin, end). The kernel is free to ignore it.
/// REQUIRES: begin <= end, and all of these pages are mapped.
void AdvisePages(const void* begin, const void* end, PageUse use) noexcept;

/// How often the calling thread had to wait, since it began.
struct PageWaits {
  std::uint64_t major_faults = 0;  ///< page faults that had to read the page from disk
  std::uint64_t sleeps = 0;  ///< voluntary context switches: waits for a page that was already
                             ///< being read, or for anything else
};

/// Returns the waits of the calling thread. Cost: a system call.
PageWaits WaitsOfThread() noexcept;

}  // namespace stream_store::internal
