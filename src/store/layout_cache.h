// LayoutCache: keeps, for the layouts met last, whatever a read derived from them.
//
// A stream has few layouts and a read meets the same ones again and again, while checking the words
// of a layout costs far more than copying a record of it. Each cache is direct-mapped: a layout can
// be in one slot only, and takes it from the layout that was there.
//
// Used by template_cache.h, scan.cc and segment_cuts.h. RowPlans (row_plans.h) use the hash only:
// the number of their slots and the size of an entry depend on the wanted columns. The writer has
// caches of its own, which find a layout by its shape, and so has RecordVerifier, which works
// without a View.
// Thread rules: a cache belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

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

/// 2^kBits entries, each of one layout: of its 32 bits in a record, in one set of mappings
/// (View::mapping_key). Mappings begin where their store does, and retain less than 2^32 words of
/// layouts, so no two layouts of them have the same bits.
template <class Entry, std::uint32_t kBits>
class LayoutCache {
 public:
  /// The entry of a layout, or null if the cache does not hold it. Valid until the next Insert().
  Entry* Find(const View& view, std::uint32_t layout) noexcept {
    Slot& slot = slots_[LayoutSlot(layout, kBits)];
    if (slot.used && slot.layout == layout && slot.mapping_key == view.mapping_key) [[likely]] {
      return &slot.entry;
    }
    return nullptr;
  }

  /// Overwrites the entry in the layout's slot with fill(entry), which returns whether the entry
  /// may be kept. Returns null if not. If fill() throws, the slot is empty.
  template <class Fill>
  Entry* Insert(const View& view, std::uint32_t layout, const Fill& fill) {
    Slot& slot = slots_[LayoutSlot(layout, kBits)];
    slot.used = false;  // until the entry is complete
    if (!fill(slot.entry)) {
      return nullptr;
    }
    slot.mapping_key = view.mapping_key;
    slot.layout = layout;
    slot.used = true;
    return &slot.entry;
  }

 private:
  struct Slot {
    std::uint64_t mapping_key = 0;
    std::uint32_t layout = 0;
    bool used = false;
    Entry entry = {};
  };

  std::array<Slot, std::size_t{1} << kBits> slots_{};
};

}  // namespace stream_store::internal
