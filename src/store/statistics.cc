// Statistics: reads the rows block by block and passes the items of each field to its ItemMoments.
#include "stream_store/statistics.h"

#include <algorithm>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/interop.h"

#include "base/str_cat.h"
#include "store/field_column.h"

namespace stream_store {

using internal::FieldColumn;
using internal::StrCat;

namespace {

// A block of rows is read, then added; both fit into the second-level cache.
constexpr std::uint64_t kBlockBytes = std::uint64_t{1} << 18U;
constexpr std::uint64_t kMostBlockRows = 2048;

void AddRows(const Reader& reader, Row begin, Row end, std::vector<FieldColumn>& columns) {
  std::uint64_t row_bytes = 1;
  for (const FieldColumn& column : columns) {
    row_bytes += column.RowBytes();
  }
  const std::uint64_t block = std::clamp<std::uint64_t>(kBlockBytes / row_bytes, 1, kMostBlockRows);
  std::vector<RowsColumn> out(columns.size());
  while (begin < end) {
    const auto rows = std::min<std::uint64_t>(block, static_cast<std::uint64_t>(end - begin));
    std::transform(columns.begin(), columns.end(), out.begin(),
                   [rows](FieldColumn& column) { return column.Prepare(rows); });
    const RowRun run{.row = begin, .count = rows, .place = 0};
    const auto owner = reader.ReadRows(std::span(&run, 1), out);
    for (FieldColumn& column : columns) {
      column.Add(reader, rows);
    }
    begin += static_cast<Row>(rows);
  }
}

std::vector<FieldColumn> MakeColumns(const Schema& schema, std::span<const TypeId> types) {
  std::vector<FieldColumn> columns;
  columns.reserve(types.size());
  for (const TypeId type : types) {
    if (type >= schema.size() || schema[type].hidden) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat("statistics: type id ", type, " is not that of a declared field"));
    }
    columns.emplace_back(schema[type], type);
  }
  return columns;
}

}  // namespace

class Statistics::Impl {
 public:
  Impl(const Schema& schema, std::span<const TypeId> types)
      : schema_(schema),
        types_(types.empty() ? schema.declared_types()
                             : std::vector<TypeId>(types.begin(), types.end())),
        columns_(MakeColumns(schema, types_)) {}

  bool Advance(const Reader& reader, std::uint64_t most_rows) {
    CheckSchema(reader);
    Follow(reader);
    // The last row may still grow, so it is read again each time.
    const auto settled = static_cast<Row>(std::max(reader.num_rows(), reader.first_row() + 1) - 1);
    const auto left = static_cast<std::uint64_t>(std::max<Row>(settled - end_, 0));
    const Row end = end_ + static_cast<Row>(std::min(left, most_rows));
    if (end > end_) {
      AddRows(reader, end_, end, columns_);
      end_ = end;
      checksum_ = interop::LastChecksum(reader.Snapshot(static_cast<std::uint64_t>(end)));
    }
    return end_ < settled;
  }

  std::vector<FieldStatistics> Read(const Reader& reader, std::span<const double> quantiles) {
    for (const double quantile : quantiles) {
      if (!(quantile >= 0 && quantile <= 1)) {
        throw Error(ErrorCode::kInvalidArgument,
                    StrCat("statistics: expected quantiles in [0, 1] but found ", quantile));
      }
    }
    Advance(reader, ~std::uint64_t{0});
    const auto rows = static_cast<Row>(reader.num_rows());
    std::vector<FieldStatistics> results;
    results.reserve(columns_.size());
    const auto add_result = [&](const FieldColumn& column) {
      results.push_back(column.Result(quantiles));
    };
    if (end_ < rows) {
      std::vector<FieldColumn> with_last_row = columns_;
      AddRows(reader, end_, rows, with_last_row);
      std::for_each(with_last_row.begin(), with_last_row.end(), add_result);
    } else {
      std::for_each(columns_.begin(), columns_.end(), add_result);
    }
    return results;
  }

  Row first_row() const { return first_; }

  Row end_row() const { return end_; }

 private:
  void CheckSchema(const Reader& reader) const {
    if (!reader.schema().Extends(schema_)) {
      throw Error(ErrorCode::kInvalidArgument,
                  StrCat(reader.path().string(),
                         ": statistics: expected a store with the fields that they were made for "
                         "but found others"));
    }
  }

  // Starts over unless the reader still has the rows that were read.
  void Follow(const Reader& reader) {
    const auto first = static_cast<Row>(reader.first_row());
    if (first == first_ && end_ <= static_cast<Row>(reader.num_rows()) &&
        (end_ == first_ ||
         interop::LastChecksum(reader.Snapshot(static_cast<std::uint64_t>(end_))) == checksum_)) {
      return;
    }
    columns_ = MakeColumns(schema_, types_);
    first_ = end_ = first;
  }

  Schema schema_;
  std::vector<TypeId> types_;
  std::vector<FieldColumn> columns_;
  Row first_ = 0;  // the rows [first_, end_) are in the columns
  Row end_ = 0;
  std::uint32_t checksum_ = 0;  // of the last record of these rows
};

Statistics::Statistics(const Schema& schema, std::span<const TypeId> types)
    : impl_(std::make_unique<Impl>(schema, types)) {}

Statistics::~Statistics() = default;
Statistics::Statistics(Statistics&&) noexcept = default;
Statistics& Statistics::operator=(Statistics&&) noexcept = default;

bool Statistics::Advance(const Reader& reader, std::uint64_t most_rows) {
  return impl_->Advance(reader, most_rows);
}

std::vector<FieldStatistics> Statistics::Read(const Reader& reader,
                                              std::span<const double> quantiles) {
  return impl_->Read(reader, quantiles);
}

Row Statistics::first_row() const noexcept { return impl_->first_row(); }

Row Statistics::end_row() const noexcept { return impl_->end_row(); }

}  // namespace stream_store
