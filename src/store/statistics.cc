// Statistics: reads the rows block by block and passes the items of each field to its ItemMoments.
#include "stream_store/statistics.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "stream_store/error.h"
#include "stream_store/interop.h"
#include "stream_store/nested.h"

#include "base/str_cat.h"
#include "store/item_moments.h"

namespace stream_store {

using internal::ItemMoments;
using internal::StrCat;

namespace {

// A block of rows is read, then added; both fit into the second-level cache.
constexpr std::uint64_t kBlockBytes = std::uint64_t{1} << 18U;
constexpr std::uint64_t kMostBlockRows = 2048;

// Items of a ragged field that are decoded together.
constexpr std::uint64_t kDecodedItems = 4096;

std::uint64_t ItemsOfShape(const Field& field) {
  std::uint64_t items = 1;
  for (const std::uint32_t size : field.shape) {
    items *= size == kRagged ? 1 : size;
  }
  return items;
}

bool IsRagged(const Field& field) {
  return (!field.shape.empty() && field.shape[0] == kRagged) || field.dtype == DType::kString ||
         field.dtype == DType::kBinary || field.dtype == DType::kNested;
}

// One field: where the rows of a block go, and the statistics so far.
class FieldColumn {
 public:
  FieldColumn(const Field& field, TypeId type)
      : field_(field),
        ragged_(IsRagged(field)),
        width_(ragged_ ? 1 : ItemsOfShape(field)),
        item_bytes_(InfoOf(field.dtype).item_bytes) {
    statistics_.type = type;
    statistics_.least_length = ragged_ ? ~std::uint64_t{0} : 0;
    if (internal::HasMoments(field.dtype)) {
      moments_ = internal::MakeMoments(field.dtype, width_);
    }
  }

  FieldColumn(const FieldColumn& other)
      : field_(other.field_),
        ragged_(other.ragged_),
        width_(other.width_),
        item_bytes_(other.item_bytes_),
        statistics_(other.statistics_),
        moments_(other.moments_ == nullptr ? nullptr : other.moments_->Clone()) {}

  FieldColumn(FieldColumn&&) = default;
  FieldColumn& operator=(FieldColumn&&) = default;
  FieldColumn& operator=(const FieldColumn&) = delete;
  ~FieldColumn() = default;

  // Bytes of a row in the memory of a block. At least 1, for the flag.
  std::uint64_t RowBytes() const {
    return 1 + (ragged_ ? sizeof(std::span<const Value>) + 8
                        : (moments_ == nullptr ? 0 : width_ * item_bytes_));
  }

  // Where Reader::ReadRows() writes `rows` rows.
  RowsColumn Prepare(std::uint64_t rows) {
    present_.resize(rows);
    RowsColumn column{.type = statistics_.type, .present = present_.data()};
    if (ragged_) {
      lengths_.resize(rows);
      column.lengths = lengths_.data();
      if (moments_ != nullptr) {
        spans_.resize(rows);
        column.spans = spans_.data();
      }
    } else if (moments_ != nullptr) {
      items_.resize(rows * width_ * item_bytes_);
      column.out = items_.data();
    }
    return column;
  }

  // Adds the rows that were read to the memory of Prepare().
  void Add(const Reader& reader, std::uint64_t rows) {
    const auto missing =
        static_cast<std::uint64_t>(std::count(present_.begin(), present_.end(), std::uint8_t{0}));
    statistics_.rows += rows - missing;
    statistics_.missing += missing;
    if (ragged_) {
      AddLengths(rows);
      AddSpans(reader, rows);
    } else if (moments_ != nullptr) {
      moments_->Add(items_.data(), missing == 0 ? rows : MovePresentRowsTogether(rows));
    }
  }

  FieldStatistics Result(std::span<const double> quantiles) const {
    FieldStatistics result = statistics_;
    if (result.rows == 0) {
      result.least_length = 0;
    }
    if (moments_ != nullptr) {
      result.items = moments_->Results(quantiles);
    }
    return result;
  }

 private:
  std::uint64_t MovePresentRowsTogether(std::uint64_t rows) {
    const std::uint64_t row_bytes = width_ * item_bytes_;
    std::uint64_t kept = 0;
    for (std::uint64_t row = 0; row < rows; ++row) {
      if (present_[row] != 0) {
        std::memmove(items_.data() + kept * row_bytes, items_.data() + row * row_bytes, row_bytes);
        kept += 1;
      }
    }
    return kept;
  }

  void AddLengths(std::uint64_t rows) {
    for (std::uint64_t row = 0; row < rows; ++row) {
      if (present_[row] != 0) {
        const auto length = static_cast<std::uint64_t>(lengths_[row]);
        statistics_.least_length = std::min(statistics_.least_length, length);
        statistics_.most_length = std::max(statistics_.most_length, length);
        statistics_.total_length += length;
      }
    }
  }

  // The items of a ragged field, decoded row by row, piece by piece.
  void AddSpans(const Reader& reader, std::uint64_t rows) {
    for (std::uint64_t row = 0; moments_ != nullptr && row < rows; ++row) {
      std::span<const Value> words = spans_[row];
      if (present_[row] == 0 || words.empty()) {
        continue;
      }
      if (field_.packed) {
        const std::span<const std::byte> bytes = PackedBytes(field_, words);
        moments_->Add(bytes.data(), bytes.size() / item_bytes_);
        continue;
      }
      while (!words.empty()) {
        const std::uint64_t count = std::min<std::uint64_t>(words.size(), kDecodedItems);
        items_.resize(count * item_bytes_);
        reader.Decode(words.first(count), statistics_.type, items_.data());
        moments_->Add(items_.data(), count);
        words = words.subspan(count);
      }
    }
  }

  Field field_;
  bool ragged_;
  std::uint64_t width_;  // items of a row; 1 if ragged
  std::uint64_t item_bytes_;
  FieldStatistics statistics_;
  std::unique_ptr<ItemMoments> moments_;
  // The rows of one block.
  std::vector<std::byte> items_;
  std::vector<std::uint8_t> present_;
  std::vector<std::int64_t> lengths_;
  std::vector<std::span<const Value>> spans_;
};

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
