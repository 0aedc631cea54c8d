// The passes of Extend() for rows that all have the same shape, which is then checked once.
//
// Rows are encoded in blocks: one call encodes a column of a block into scratch memory, from which
// it is scattered to its place in every row. A block stays in the first-level cache. Only the
// checksum of a row is kept until its record is stored; all else follows from the row's number.
#include <algorithm>
#include <cstring>

#include "storage/appender_inline.h"
#include "storage/view.h"

namespace stream_store::internal {
namespace {

constexpr std::uint64_t kBlockRows = 64;
constexpr std::uint64_t kLongRow = 256;  // values; longer rows are encoded in place, one by one

// Copies rows of `words` words from `in` to every `stride`-th place of `out`. A memcpy() of known
// size is a load and a store; of a size known at run time it would be a call for every row.
inline void Scatter(const void* in, std::uint64_t words, std::uint64_t rows, Value* out,
                    std::uint64_t stride) noexcept {
  const auto* from = static_cast<const unsigned char*>(in);
  if (words == 1) {
    for (std::uint64_t i = 0; i < rows; ++i, from += sizeof(Value), out += stride) {
      std::memcpy(out, from, sizeof(Value));
    }
    return;
  }
  for (std::uint64_t i = 0; i < rows; ++i, from += words * sizeof(Value), out += stride) {
    std::uint64_t k = 0;
    for (; k + 4 <= words; k += 4) {
      std::memcpy(out + k, from + k * sizeof(Value), 4 * sizeof(Value));
    }
    for (; k < words; ++k) {
      std::memcpy(out + k, from + k * sizeof(Value), sizeof(Value));
    }
  }
}

}  // namespace

// Pass 1: the places of the rows, and their one layout.
Refusal Appender::DecideRegular(std::span<const Step> steps, std::span<const Column> columns,
                                Cursor& at) {
  const auto refuse = [](std::uint64_t row) {
    return Refuse(Refusal::Rule::kStepNotAfter, 0, row);
  };
  if (at.rows > 0 && steps[0] <= at.step) {
    return refuse(0);
  }
  ShapeCache& shape = shapes_[0];
  regular_layouts_.clear();
  const std::uint64_t last_chunk = (at.records + steps.size() - 1) / chunk_records_;
  for (std::uint64_t chunk = at.records / chunk_records_; chunk <= last_chunk; ++chunk) {
    EnterRecordsChunk(chunk * chunk_records_);
    if (const Refusal refusal = ShapeRow(columns, 0, shape); refusal.code != ErrorCode::kOk) {
      return refusal;
    }
    regular_layouts_.push_back(shape.offset);
  }
  for (std::size_t row = 1; row < steps.size(); ++row) {
    if (steps[row] <= steps[row - 1]) {
      return refuse(row);
    }
  }
  const std::uint64_t rows = steps.size();
  if (at.rows > kMaxRows - std::min(rows, kMaxRows) || rows > kMaxRows) {
    return RefusePlace(steps.back(), /*continues=*/false, at);
  }
  at.records += rows;
  at.values += rows * shape.total;
  at.field_writes += rows * shape.fields;
  at.rows += rows;
  at.step = steps.back();
  at.last_type = shape.last_type;
  return {};
}

// How one column of the call is encoded.
struct Appender::ColumnPlan {
  EncodeLoop loop;  // null: the items are stored as they are
  const Encoding* encoding;
  const unsigned char* data;
  std::uint64_t row_bytes;
  std::uint64_t count;  // items a row
  std::uint64_t words;
  std::size_t column;
};

std::vector<Appender::ColumnPlan> Appender::PlanColumns(std::span<const Column> columns) const {
  std::vector<ColumnPlan> plans;
  plans.reserve(columns.size());
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const Column& column = columns[c];
    const Encoding& encoding = schema_->encodings[column.type];
    const std::uint64_t words = EncodedWords(encoding, column.source, column.row_items);
    if (words == 0) {
      continue;
    }
    const bool as_it_is = KeepsWord(encoding, column.source);
    plans.push_back({as_it_is ? nullptr : FindEncodeLoop(encoding, column.source), &encoding,
                     static_cast<const unsigned char*>(column.data),
                     column.row_items * SourceBytes(column.source), column.row_items, words, c});
  }
  return plans;
}

// Encodes the values of `rows` rows from `first` on to `out`. After an invalid item the remaining
// columns are still checked, but only up to that row, so that the reported row is the first bad row
// of the call rather than of one column.
Refusal Appender::EncodeBlock(std::span<const ColumnPlan> plans, std::uint64_t first,
                              std::uint64_t rows, Value* out) {
  const std::uint64_t total = shapes_[0].total;
  Refusal refusal;
  for (const ColumnPlan& plan : plans) {
    const unsigned char* items = plan.data + first * plan.row_bytes;
    if (plan.loop == nullptr) {
      Scatter(items, plan.words, rows, out, total);
    }
    // Packed and nested rows are padded per row and UTF-8 must be valid per row, so they are encoded
    // one row at a time.
    const bool alone =
        plan.encoding->packed || plan.encoding->block || plan.encoding->kind == WordKind::kText;
    const std::uint64_t together = alone ? 1 : rows;
    for (std::uint64_t row = 0; plan.loop != nullptr && row < rows; row += together) {
      Value* const place = out + row * total;
      Value* const encoded = together == 1 ? place : encoded_.data();
      const std::uint64_t bad =
          plan.loop(*plan.encoding, items + row * plan.row_bytes, together * plan.count, encoded);
      if (bad != kEncodedAll) {
        // A row without items can be invalid, too, so only rows that are together are counted.
        const std::uint64_t bad_row = together == 1 ? 0 : bad / plan.count;
        rows = row + bad_row;
        refusal =
            Refuse(Refusal::Rule::kValue, plan.column, first + rows, bad - bad_row * plan.count);
      } else if (together > 1) {
        Scatter(encoded, plan.words, together, place, total);
      }
    }
    out += plan.words;
  }
  return refusal;
}

// Pass 2: encodes the values, and computes the checksums of their records into checksums_.
Refusal Appender::EncodeRegular(std::span<const Step> steps, std::span<const Column> columns,
                                const Cursor& begin) {
  const std::vector<ColumnPlan> plans = PlanColumns(columns);
  const std::uint64_t total = shapes_[0].total;
  const std::uint64_t block_rows = total > kLongRow ? 1 : kBlockRows;
  checksums_.resize(steps.size());
  encoded_.resize(block_rows == 1 ? 0 : kBlockRows * total);
  std::uint64_t rows = 0;
  for (std::uint64_t first = 0; first < steps.size(); first += rows) {
    rows = std::min<std::uint64_t>(block_rows,
                                   RowsOfChunk(begin.records + first, steps.size() - first));
    STREAM_STORE_ASSERT(first + rows <= steps.size());
    const std::uint32_t layout = RegularLayout(begin, first);
    Value* const values = data_.values + begin.values + first * total;
    if (const Refusal refusal = EncodeBlock(plans, first, rows, values);
        refusal.code != ErrorCode::kOk) {
      return refusal;
    }
    DecidedRecord decided = RegularRow(begin, first, layout);
    for (std::uint64_t row = 0; kChecksums && row < rows; ++row, MoveToNextRow(decided)) {
      decided.step = steps[first + row];
      checksums_[first + row] = FinishChecksum(
          ExtendChecksum(BeginDecidedChecksum(decided), values + row * total, total));
    }
  }
  return {};
}

}  // namespace stream_store::internal
