// Columns of decoded rows: what to do with one field's words, and doing it for a run of equal
// records at once.
//
// Who uses it: rows.cc. Working column by column over a run keeps the choice of conversion out of
// the inner loops.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "stream_store/reader.h"

#include "storage/view.h"

namespace stream_store::internal {

/// How stored words become items.
enum class DecodeOp : std::uint8_t {
  kNothing,  ///< no items: a field without values, or nobody wants them
  kWords,    ///< 8-byte items and decimals, as they are
  kBytes,    ///< packed: the bytes of the words
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kFloat32,
  kOther,  ///< DecodeWords()
};

/// One RowsColumn, ready to be filled. Counts of words are stored words.
struct RowColumn {
  DecodeOp op = DecodeOp::kNothing;
  bool ragged = false;
  const Encoding* encoding = nullptr;
  std::uint64_t unit_words = 1;   ///< of one item of a ragged field, or of a whole fixed write
  std::uint64_t unit_bytes = 0;   ///< the same, decoded
  std::uint64_t most_words = 0;   ///< more are cut off
  std::uint64_t place_bytes = 0;  ///< room in `out` per place
  std::byte* out = nullptr;
  std::uint8_t* present = nullptr;
  std::int64_t* lengths = nullptr;
};

RowColumn MakeRowColumn(const Encoding& encoding, const RowsColumn& column);

/// Writes places [place, place + rows): row i from the `words` words at `first + i * stride`.
/// REQUIRES: words are a multiple of unit_words, equal to it in a fixed field.
void DecodeRun(const RowColumn& column, const Value* first, std::uint64_t stride,
               std::uint64_t words, std::uint64_t rows, std::uint64_t place);

/// Writes places [place, place + rows) as missing.
void ZeroRun(const RowColumn& column, std::uint64_t rows, std::uint64_t place);

/// What one layout holds of the wanted columns.
struct RowPlan {
  struct Part {
    std::uint32_t column;
    std::uint64_t begin;  // first value, counted in the record
    std::uint64_t words;
  };

  bool used = false;
  std::uint32_t layout = 0;
  std::uint64_t total = 0;
  std::vector<Part> parts = {};
  std::vector<std::uint32_t> missing = {};  // columns it does not have
};

/// The columns of one call and the plans of the layouts it met.
class RowPlanner {
 public:
  /// Throws Error(kInvalidArgument) for a type that does not exist.
  RowPlanner(const View& view, std::span<const RowsColumn> columns);

  const std::vector<RowColumn>& columns() const noexcept { return columns_; }

  /// Valid until the next call. Throws Error(kCorrupt).
  const RowPlan& PlanOf(std::uint32_t layout) {
    RowPlan& plan = plans_[layout * 0x9e3779b1U >> 28];
    if (plan.used && plan.layout == layout) [[likely]] {
      return plan;
    }
    return Insert(layout, plan);
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  const RowPlan& Insert(std::uint32_t layout, RowPlan& plan);

  const View& view_;
  std::vector<RowColumn> columns_;
  std::vector<std::uint32_t> first_of_type_;   // the first column of each type, or kNone
  std::vector<std::uint32_t> next_same_type_;  // the next column of the same type, or kNone
  std::vector<RowPlan> plans_{16};
};

}  // namespace stream_store::internal
