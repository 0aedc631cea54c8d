// Row plans: where the wanted columns lie in the records of a layout, looked up once and kept.
//
// Streams with ragged or missing fields have hundreds of layouts, and a batch meets most of them
// again: so plans outlive the call. Each thread keeps those of its last few sets of columns.
// Who uses it: rows.cc. Thread rules: plans belong to one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stream_store/types.h"

#include "storage/view.h"

namespace stream_store::internal {

/// What one layout holds of one column.
struct RowPart {
  std::uint64_t begin = 0;  ///< first value, counted in the record
  std::int64_t units = -1;  ///< items of a ragged field, 1 of a fixed one, -1: it is missing
};

/// What one layout holds of the wanted columns.
struct RowPlan {
  std::uint64_t total = 0;         ///< values of a record
  const RowPart* parts = nullptr;  ///< one per column
};

/// The plans for one list of wanted types in one set of mappings.
class RowPlans {
 public:
  /// This thread's plans for these columns. Valid until the next call on this thread.
  /// REQUIRES: every type exists.
  static RowPlans& ForThread(const View& view, std::span<const TypeId> types);

  /// Valid until the next call. Throws Error(kCorrupt).
  RowPlan Of(const View& view, std::uint32_t layout) {
    const std::size_t index = layout * 0x9e3779b1U >> shift_;
    if (slots_[index].layout != layout) [[unlikely]] {
      Insert(view, layout, index);
    }
    return {slots_[index].total, parts_.data() + index * types_.size()};
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  bool Fit(const View& view, std::span<const TypeId> types) const;
  void Reset(const View& view, std::span<const TypeId> types);
  void Insert(const View& view, std::uint32_t layout, std::size_t index);

  struct Slot {
    std::uint64_t layout = ~std::uint64_t{0};  // none: offsets have 32 bits
    std::uint64_t total = 0;
  };

  std::uint64_t mapping_key_ = 0;
  std::vector<TypeId> types_;                  // of the columns
  std::vector<std::uint32_t> first_of_type_;   // the first column of each type, or kNone
  std::vector<std::uint32_t> next_same_type_;  // the next column of the same type, or kNone
  std::vector<Slot> slots_;
  std::vector<RowPart> parts_;  // of each slot one per column
  std::uint32_t shift_ = 0;
};

}  // namespace stream_store::internal
