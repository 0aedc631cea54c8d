// Row plans: where the wanted columns lie in the records of a layout, found once and kept.
//
// Streams with ragged or missing fields have hundreds of layouts, and each batch meets most of them
// again, so plans outlive the call. Each thread keeps the plans of its last few sets of columns, for
// each store that it reads. They are a cache of layouts like LayoutCache (layout_cache.h), but an entry
// has one RowPart per column, and the number of slots grows with the number of layouts: a batch of a
// group reads from hundreds of stores, which mostly have one layout each. The parts of all entries
// are therefore in one vector.
//
// Used by rows.cc. Thread rules: plans belong to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "base/assert.h"
#include "storage/view.h"
#include "store/layout_cache.h"

namespace stream_store::internal {

/// Where one column lies in the records of a layout.
struct RowPart {
  std::uint64_t begin = 0;  ///< first value, counted in the record
  std::int64_t units = -1;  ///< as FieldSource::units (row_kernels.h)
};

/// Where the wanted columns lie in the records of a layout.
struct RowPlan {
  std::uint64_t total = 0;         ///< values of a record
  const RowPart* parts = nullptr;  ///< one per column
};

/// The plans for one list of wanted types in one set of mappings.
class RowPlans {
 public:
  /// This thread's plans for these columns. Valid until the next call on this thread, but also during as
  /// many calls as the last MakeRoom() was for, if all of them are for other stores.
  /// REQUIRES: each type is below the number of types of the schema.
  static RowPlans& ForThread(const View& view, std::span<const TypeId> types);

  /// Makes room for the plans of `stores` more stores, if need be by forgetting those that this thread has.
  static void MakeRoom(std::size_t stores);

  /// The plan of a layout. Valid until the next call. Throws Error(kCorrupt).
  RowPlan Find(const View& view, std::uint32_t layout) {
    std::size_t index = LayoutSlot(layout, bits_);
    if (slots_[index].layout != layout) [[unlikely]] {
      index = Insert(view, layout);
    }
    return {slots_[index].total, parts_.data() + index * types_.size()};
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  bool Fits(const View& view, std::span<const TypeId> types) const;
  void Reset(const View& view, std::span<const TypeId> types);
  void MakeSlots(std::size_t count);
  std::size_t SlotFor(std::uint32_t layout);
  std::size_t Insert(const View& view, std::uint32_t layout);

  // Marks an empty slot: the layout of a record has 32 bits.
  static constexpr std::uint64_t kNoLayout = ~std::uint64_t{0};

  struct PlanSlot {
    std::uint64_t layout = kNoLayout;
    std::uint64_t total = 0;
  };

  std::uint64_t mapping_key_ = 0;
  std::vector<TypeId> types_;                  // of the columns
  std::vector<std::uint32_t> first_of_type_;   // the first column of each type, or kNone
  std::vector<std::uint32_t> next_same_type_;  // the next column of the same type, or kNone
  std::vector<PlanSlot> slots_;
  std::vector<RowPart> parts_;  // for each slot, one per column
  std::uint32_t bits_ = 0;      // slots_.size() is 2^bits_
};

}  // namespace stream_store::internal
