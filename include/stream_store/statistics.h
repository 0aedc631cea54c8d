// Statistics of the fields of a store: counts, ranges, means, deviations, quantiles and lengths.
//
//     Statistics statistics(reader.schema());
//     for (const FieldStatistics& field : statistics.Read(reader, std::array{0.01, 0.99})) { … }
//
// A Statistics object reads every row once. When it is asked again later, it reads only the rows
// that were appended since. Thread rules: an object belongs to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "stream_store/export.h"
#include "stream_store/reader.h"
#include "stream_store/schema.h"
#include "stream_store/types.h"

namespace stream_store {

/// The statistics of one item of a field, over all rows that have it.
///
/// Quantiles are estimated from a uniform random sample of the rows: 65,536 of a field with up to
/// 16 items, at least 256 of a larger one. They are exact as long as the sample has all rows. The
/// sample is the same in every run.
struct ItemStatistics {
  std::uint64_t count = 0;  ///< items that are numbers, infinities included
  std::uint64_t nan = 0;    ///< items that are not a number; they count nowhere else

  /// The least and the greatest item as a double; exact for floats. NaN if `count` is 0.
  double min = 0;
  double max = 0;

  /// The same as an integer, exact for all fields that are not floats; of uint64 fields the bits.
  std::int64_t integer_min = 0;
  std::int64_t integer_max = 0;

  double mean = 0;  ///< NaN if `count` is 0
  double std = 0;   ///< the square root of the mean squared distance from the mean; NaN as above

  /// The quantiles that were asked for, between the two nearest items by linear interpolation.
  std::vector<double> quantiles = {};
};

/// The statistics of one field.
struct FieldStatistics {
  TypeId type = 0;
  std::uint64_t rows = 0;     ///< rows that have the field
  std::uint64_t missing = 0;  ///< rows that lack it

  /// The lengths of a ragged field: in items of its outermost dimension; in bytes for text, binary
  /// and nested fields. 0 for a field of fixed shape.
  std::uint64_t least_length = 0;
  std::uint64_t most_length = 0;
  std::uint64_t total_length = 0;

  /// One entry for each item of a fixed shape, in C order; one entry over all items of a ragged
  /// field. Empty for text, binary, decimal, null and nested fields.
  std::vector<ItemStatistics> items = {};
};

/// Collects the statistics of the fields of one store. See the top of this file.
class STREAM_STORE_API Statistics {
 public:
  /// Prepares the statistics of the fields `types`, or of all declared fields if it is empty.
  ///
  /// schema  the fields of the store whose readers will be given.
  /// Throws  Error(kInvalidArgument) for a type id that does not exist or is hidden.
  explicit Statistics(const Schema& schema, std::span<const TypeId> types = {});
  ~Statistics();
  Statistics(Statistics&&) noexcept;
  Statistics& operator=(Statistics&&) noexcept;

  /// Reads at most `most_rows` of the rows that were not read yet. Returns whether some are left.
  ///
  /// If rows that were read have been dropped or truncated since, reading starts over.
  /// Cost    one pass over the records and values of those rows.
  /// Throws  Error as Reader::ReadRows(); kInvalidArgument if the store has another schema.
  bool Advance(const Reader& reader, std::uint64_t most_rows);

  /// Returns the statistics of all rows of the snapshot, in the order of `types`, after reading the
  /// rows that were not read yet.
  ///
  /// quantiles  each in [0, 1].
  /// Cost       that of Advance(), and sorting the samples if quantiles are asked for.
  /// Throws     as Advance(); Error(kInvalidArgument) for a quantile outside [0, 1].
  std::vector<FieldStatistics> Read(const Reader& reader, std::span<const double> quantiles = {});

  /// The rows that Read() described last or Advance() has reached: [first_row(), end_row()).
  Row first_row() const noexcept;
  Row end_row() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stream_store
