// ItemMoments: count, range, mean and deviation of the items of one field, and a sample of them.
//
// Sums are taken relative to the mean so far, block by block, and joined as in Chan, Golub and
// LeVeque, "Algorithms for computing the sample variance", The American Statistician 37 (1983), so
// that large offsets, as those of times, cost no precision.
//
// Used by field_column.cc. Thread rules: an object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "stream_store/dtype.h"
#include "stream_store/statistics.h"

namespace stream_store::internal {

class ItemMoments {
 public:
  virtual ~ItemMoments() = default;
  ItemMoments() = default;
  ItemMoments& operator=(const ItemMoments&) = delete;
  ItemMoments& operator=(ItemMoments&&) = delete;

  /// Adds `rows` rows that all have the field: `rows` times `width` items of the type that
  /// Reader::ReadRows() decodes them to.
  virtual void Add(const void* items, std::uint64_t rows) = 0;

  virtual std::unique_ptr<ItemMoments> Clone() const = 0;

  /// One entry for each item of a row, with the quantiles asked for.
  virtual std::vector<ItemStatistics> Results(std::span<const double> quantiles) const = 0;

 protected:
  ItemMoments(const ItemMoments&) = default;
  ItemMoments(ItemMoments&&) = default;
};

/// Whether there are statistics of the items of a type: it is a number, a bool, a date or a time.
bool HasMoments(DType dtype) noexcept;

/// Statistics of rows of `width` items. REQUIRES: HasMoments(dtype).
std::unique_ptr<ItemMoments> MakeMoments(DType dtype, std::uint64_t width);

}  // namespace stream_store::internal
