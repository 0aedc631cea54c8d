// The statistics of one field. Rows of fixed shape are read into one array; those of a ragged field are
// decoded where they lie, row by row.
#include "store/field_column.h"

#include <algorithm>
#include <cstring>

#include "stream_store/nested.h"
#include "stream_store/reader.h"

#include "format/encoding.h"

namespace stream_store::internal {
namespace {

// Items of a ragged field that are decoded together.
constexpr std::uint64_t kDecodedItems = 4096;

}  // namespace

FieldColumn::FieldColumn(const Field& field, TypeId type) : field_(field) {
  const Encoding encoding = MakeEncoding(field);
  ragged_ = encoding.ragged;
  width_ = ragged_ ? 1 : encoding.items;
  item_bytes_ = encoding.item_bytes;
  statistics_.type = type;
  statistics_.least_length = ragged_ ? ~std::uint64_t{0} : 0;
  if (HasMoments(field.dtype)) {
    moments_ = MakeMoments(field.dtype, width_);
  }
}

FieldColumn::FieldColumn(const FieldColumn& other)
    : field_(other.field_),
      ragged_(other.ragged_),
      width_(other.width_),
      item_bytes_(other.item_bytes_),
      statistics_(other.statistics_),
      moments_(other.moments_ == nullptr ? nullptr : other.moments_->Clone()) {}

std::uint64_t FieldColumn::RowBytes() const noexcept {
  return 1 + (ragged_ ? sizeof(std::span<const Value>) + 8
                      : (moments_ == nullptr ? 0 : width_ * item_bytes_));
}

RowsColumn FieldColumn::Prepare(std::uint64_t rows) {
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

void FieldColumn::Add(const Reader& reader, std::uint64_t rows) {
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

FieldStatistics FieldColumn::Result(std::span<const double> quantiles) const {
  FieldStatistics result = statistics_;
  if (result.rows == 0) {
    result.least_length = 0;
  }
  if (moments_ != nullptr) {
    result.items = moments_->Results(quantiles);
  }
  return result;
}

std::uint64_t FieldColumn::MovePresentRowsTogether(std::uint64_t rows) {
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

void FieldColumn::AddLengths(std::uint64_t rows) {
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
void FieldColumn::AddSpans(const Reader& reader, std::uint64_t rows) {
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

}  // namespace stream_store::internal
