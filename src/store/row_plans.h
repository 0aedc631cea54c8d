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

/// What one layout holds of the wanted columns.
struct RowPlan {
  struct Part {
    std::uint32_t column;
    std::uint64_t begin;  // first value, counted in the record
    std::uint64_t units;  // items of a ragged field, 1 of a fixed one
  };

  bool used = false;
  std::uint32_t layout = 0;
  std::uint64_t total = 0;
  std::vector<Part> parts = {};
  std::vector<std::uint32_t> missing = {};  // columns it does not have
};

/// The plans for one list of wanted types in one set of mappings.
class RowPlans {
 public:
  /// This thread's plans for these columns. Valid until the next call on this thread.
  /// REQUIRES: every type exists.
  static RowPlans& ForThread(const View& view, std::span<const TypeId> types);

  /// Valid until the next call. Throws Error(kCorrupt).
  const RowPlan& Of(const View& view, std::uint32_t layout) {
    RowPlan& plan = plans_[layout * 0x9e3779b1U >> shift_];
    if (plan.used && plan.layout == layout) [[likely]] {
      return plan;
    }
    return Insert(view, layout, plan);
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  bool Fit(const View& view, std::span<const TypeId> types) const;
  void Reset(const View& view, std::span<const TypeId> types);
  const RowPlan& Insert(const View& view, std::uint32_t layout, RowPlan& plan);

  std::uint64_t mapping_key_ = 0;
  std::vector<TypeId> types_;                  // of the columns
  std::vector<std::uint32_t> first_of_type_;   // the first column of each type, or kNone
  std::vector<std::uint32_t> next_same_type_;  // the next column of the same type, or kNone
  std::vector<RowPlan> plans_;
  std::uint32_t shift_ = 0;
};

}  // namespace stream_store::internal
