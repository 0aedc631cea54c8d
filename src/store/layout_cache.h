// LayoutCache: keeps, for the layouts met last, whatever a read derived from them.
//
// A stream has few layouts and a read meets the same ones again and again, while checking the words
// of a layout costs far more than copying a record of it. Each cache is direct-mapped: a layout can
// be in one slot only, and takes it from the layout that was there. Texts and lists of any length
// make hundreds of layouts, for which GrowingLayoutCache takes more slots as it meets them.
//
// Used by template_cache.h, scan.cc, row_scan.h and segment_cuts.h. RowPlans (row_plans.h) use the hash only:
// the number of their slots and the size of an entry depend on the wanted columns. The writer has
// caches of its own, which find a layout by its shape, and so has RecordVerifier, which works
// without a View.
// Thread rules: a cache belongs to one thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "storage/view.h"

namespace stream_store::internal {

/// A slot in [0, 2^bits) for a layout, by the 32 bits of it in a record. Those of different layouts
/// differ by a few only, so the multiplication (by 2^32 over the golden ratio) spreads them.
/// REQUIRES: bits <= 32.
constexpr std::size_t LayoutSlot(std::uint32_t layout, std::uint32_t bits) noexcept {
  STREAM_STORE_ASSERT(bits <= 32);
  const std::uint32_t spread = layout * 0x9e3779b1U;
  return static_cast<std::size_t>(std::uint64_t{spread} >> (32 - bits));
}

/// One slot of a cache: an entry for one layout, identified by its 32 bits in a record, in one set of
/// mappings (View::mapping_key). Mappings begin where their store does, and retain less than 2^32
/// words of layouts, so no two layouts of them have the same bits.
template <class Entry>
struct LayoutCacheSlot {
  std::uint64_t mapping_key = 0;
  std::uint32_t layout = 0;
  bool used = false;
  Entry entry = {};

  bool Holds(const View& view, std::uint32_t wanted) const noexcept {
    return used && layout == wanted && mapping_key == view.mapping_key;
  }

  /// Overwrites the entry with fill(entry), which returns whether the entry may be kept. Returns
  /// null if not. If fill() throws, the slot is empty.
  template <class Fill>
  Entry* Refill(const View& view, std::uint32_t made_for, const Fill& fill) {
    used = false;  // until the entry is complete
    if (!fill(entry)) {
      return nullptr;
    }
    mapping_key = view.mapping_key;
    layout = made_for;
    used = true;
    return &entry;
  }
};

/// 2^kBits entries.
template <class Entry, std::uint32_t kBits>
class LayoutCache {
 public:
  /// The entry of a layout, or null if the cache does not hold it. Valid until the next Insert().
  Entry* Find(const View& view, std::uint32_t layout) noexcept {
    LayoutCacheSlot<Entry>& slot = slots_[LayoutSlot(layout, kBits)];
    return slot.Holds(view, layout) ? &slot.entry : nullptr;
  }

  /// As LayoutCacheSlot::Refill(), for the layout's slot.
  template <class Fill>
  Entry* Insert(const View& view, std::uint32_t layout, const Fill& fill) {
    return slots_[LayoutSlot(layout, kBits)].Refill(view, layout, fill);
  }

 private:
  std::array<LayoutCacheSlot<Entry>, std::size_t{1} << kBits> slots_{};
};

/// 2^kFewestBits entries, and up to 2^kMostBits once layouts take the slots of others.
template <class Entry, std::uint32_t kFewestBits, std::uint32_t kMostBits>
class GrowingLayoutCache {
 public:
  /// The entry of a layout, or null if the cache does not hold it. Valid until the next Insert().
  Entry* Find(const View& view, std::uint32_t layout) noexcept {
    LayoutCacheSlot<Entry>& slot = slots_[LayoutSlot(layout, bits_)];
    return slot.Holds(view, layout) ? &slot.entry : nullptr;
  }

  /// As LayoutCacheSlot::Refill(), for the layout's slot. If another layout is in the way, there are
  /// four times as many slots from now on, up to the most: the entries are made again as they are
  /// needed.
  template <class Fill>
  Entry* Insert(const View& view, std::uint32_t layout, const Fill& fill) {
    if (slots_[LayoutSlot(layout, bits_)].used && bits_ < kMostBits) {
      bits_ = std::min(bits_ + 2, kMostBits);
      slots_ = std::vector<LayoutCacheSlot<Entry>>(std::size_t{1} << bits_);
    }
    return slots_[LayoutSlot(layout, bits_)].Refill(view, layout, fill);
  }

 private:
  std::uint32_t bits_ = kFewestBits;
  std::vector<LayoutCacheSlot<Entry>> slots_{std::size_t{1} << kFewestBits};
};

}  // namespace stream_store::internal
