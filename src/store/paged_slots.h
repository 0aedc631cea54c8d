// A long array of float64 numbers ("slots") that grows at its end and is released at its front.
//
// It consists of pages of 4,096 slots, found through a list of pointers. So growth copies pointers
// only, and memory at the front is given back page by page while the slots keep their numbers.
// Eight slots whose first number is a multiple of 8 are a node; a node is one cache line.
//
// Used by tree_levels.cc. Thread rules: those of a vector.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/assert.h"

namespace stream_store::internal {

/// Slots [begin, end).
struct SlotRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class PagedSlots {
 public:
  static constexpr unsigned kNodeBits = 3;
  static constexpr std::uint64_t kNodeSlots = 1U << kNodeBits;
  static constexpr unsigned kPageBits = 12;
  static constexpr std::uint64_t kPageSlots = 1U << kPageBits;

  /// Allocates the pages of these slots. Slots of new pages are 0. The first call decides where the
  /// array begins. If this throws std::bad_alloc, a part of the pages may have been added.
  /// REQUIRES: the range is not empty and begins no earlier than the first call's.
  void Cover(SlotRange range);

  /// Releases the pages that have no slot in `kept`, and sets the slots of `old` that are outside
  /// `kept` to 0. REQUIRES: `kept` is not empty and is a part of `old`, which is covered.
  void Restrict(SlotRange old, SlotRange kept) noexcept;

  /// The 8 slots of a node. REQUIRES: they are covered.
  double* Node(std::uint64_t node) noexcept {
    STREAM_STORE_ASSERT(Covers(node << kNodeBits));
    return PageOf(node).slots.data() + ((node << kNodeBits) & (kPageSlots - 1));
  }

  const double* Node(std::uint64_t node) const noexcept {
    STREAM_STORE_ASSERT(Covers(node << kNodeBits));
    return PageOf(node).slots.data() + ((node << kNodeBits) & (kPageSlots - 1));
  }

  /// One slot. REQUIRES: it is covered.
  double& Slot(std::uint64_t slot) noexcept {
    STREAM_STORE_ASSERT(Covers(slot));
    return Node(slot >> kNodeBits)[slot & (kNodeSlots - 1)];
  }

  double Slot(std::uint64_t slot) const noexcept {
    STREAM_STORE_ASSERT(Covers(slot));
    return Node(slot >> kNodeBits)[slot & (kNodeSlots - 1)];
  }

  /// Sets slots to a value. REQUIRES: they are covered.
  void Fill(SlotRange range, double value) noexcept;

  std::uint64_t memory_bytes() const noexcept;

 private:
  struct alignas(64) Page {
    std::array<double, kPageSlots> slots;
  };

  bool Covers(std::uint64_t slot) const noexcept {
    const std::uint64_t page = slot >> kPageBits;
    return page >= first_page_ && page - first_page_ < pages_.size();
  }

  Page& PageOf(std::uint64_t node) const noexcept {
    return *pages_[(node >> (kPageBits - kNodeBits)) - first_page_];
  }

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t first_page_ = 0;  // pages_[i] is page first_page_ + i
};

}  // namespace stream_store::internal
