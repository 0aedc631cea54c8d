// FieldColumn: the statistics of one field, and the memory that takes the rows of a block.
//
// Used by statistics.cc. Thread rules: an object belongs to one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "stream_store/columns.h"
#include "stream_store/schema.h"
#include "stream_store/statistics.h"

#include "store/item_moments.h"

namespace stream_store::internal {

class FieldColumn {
 public:
  FieldColumn(const Field& field, TypeId type);

  /// A copy has the same statistics and goes on independently.
  FieldColumn(const FieldColumn& other);
  FieldColumn(FieldColumn&&) = default;
  FieldColumn& operator=(FieldColumn&&) = default;
  FieldColumn& operator=(const FieldColumn&) = delete;
  ~FieldColumn() = default;

  /// Bytes of a row in the memory of a block, at least 1.
  std::uint64_t RowBytes() const noexcept;

  /// Where Reader::ReadRows() writes `rows` rows. Valid until the next call.
  RowsColumn Prepare(std::uint64_t rows);

  /// Adds the rows that were read to the memory of Prepare().
  void Add(const Reader& reader, std::uint64_t rows);

  FieldStatistics Result(std::span<const double> quantiles) const;

 private:
  std::uint64_t MovePresentRowsTogether(std::uint64_t rows);
  void AddLengths(std::uint64_t rows);
  void AddSpans(const Reader& reader, std::uint64_t rows);

  Field field_;
  bool ragged_ = false;
  std::uint64_t width_ = 1;  // items of a row; 1 if ragged
  std::uint64_t item_bytes_ = 0;
  FieldStatistics statistics_;
  std::unique_ptr<ItemMoments> moments_;  // null for text, bytes, decimals and nested fields
  // The rows of one block.
  std::vector<std::byte> items_;
  std::vector<std::uint8_t> present_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::span<const Value>> spans_;
};

}  // namespace stream_store::internal
