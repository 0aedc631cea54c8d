#include "store/paged_slots.h"

#include <algorithm>

namespace stream_store::internal {

void PagedSlots::Cover(SlotRange range) {
  STREAM_STORE_ASSERT(range.begin < range.end);
  if (pages_.empty()) {
    first_page_ = range.begin >> kPageBits;
  }
  STREAM_STORE_ASSERT(range.begin >> kPageBits >= first_page_);
  const std::uint64_t last_page = (range.end - 1) >> kPageBits;
  while (first_page_ + pages_.size() <= last_page) {
    pages_.push_back(std::make_unique<Page>());
  }
}

void PagedSlots::Restrict(SlotRange old, SlotRange kept) noexcept {
  STREAM_STORE_ASSERT(kept.begin < kept.end && old.begin <= kept.begin && kept.end <= old.end);
  STREAM_STORE_ASSERT(Covers(old.begin) && Covers(old.end - 1));
  const std::uint64_t first_page = kept.begin >> kPageBits;
  const std::uint64_t end_page = ((kept.end - 1) >> kPageBits) + 1;
  pages_.erase(pages_.begin() + static_cast<std::ptrdiff_t>(end_page - first_page_), pages_.end());
  pages_.erase(pages_.begin(),
               pages_.begin() + static_cast<std::ptrdiff_t>(first_page - first_page_));
  first_page_ = first_page;
  Fill({std::max(old.begin, first_page << kPageBits), kept.begin}, 0);
  Fill({kept.end, std::min(old.end, end_page << kPageBits)}, 0);
}

void PagedSlots::Fill(SlotRange range, double value) noexcept {
  STREAM_STORE_ASSERT(range.begin >= range.end || (Covers(range.begin) && Covers(range.end - 1)));
  while (range.begin < range.end) {
    const std::uint64_t end = std::min(range.end, ((range.begin >> kPageBits) + 1) << kPageBits);
    std::fill_n(&Slot(range.begin), end - range.begin, value);
    range.begin = end;
  }
}

std::uint64_t PagedSlots::memory_bytes() const noexcept {
  return pages_.size() * sizeof(Page) + pages_.capacity() * sizeof(pages_[0]);
}

}  // namespace stream_store::internal
