#include "arrow/assemble.h"

#include <bit>
#include <utility>

#include "stream_store/error.h"

#include "arrow/bits.h"
#include "base/str_cat.h"

namespace stream_store::arrow {
namespace {

// Adds the rows in which a column is present to `valid`. Returns true, and may leave `valid`
// incomplete, if that is every row.
bool AddValidity(const ColumnPlan& column, const BatchParts& parts, std::uint8_t* valid) {
  const auto add = [&](std::size_t leaf) {
    const std::uint8_t* bits = parts.leaves[leaf].validity;
    for (std::uint64_t byte = 0; bits != nullptr && byte < BitmapBytes(parts.rows); ++byte) {
      valid[byte] = static_cast<std::uint8_t>(valid[byte] | bits[byte]);
    }
    return bits == nullptr;
  };
  if (column.role == ColumnPlan::Role::kLeaf) {
    return add(column.leaf);
  }
  for (const std::size_t marker : column.markers) {
    if (add(marker)) {
      return true;
    }
  }
  for (const ColumnPlan& child : column.children) {
    if (AddValidity(child, parts, valid)) {
      return true;
    }
  }
  return false;
}

// The number of rows, or the first row in which `outer` is present and `inner` is not. Either may
// be null, which means all rows.
std::uint64_t FirstMissing(const std::uint8_t* outer, const std::uint8_t* inner,
                           std::uint64_t rows) {
  for (std::uint64_t row = 0; inner != nullptr && row < rows; ++row) {
    if (!GetBit(inner, row) && (outer == nullptr || GetBit(outer, row))) {
      return row;
    }
  }
  return rows;
}

// Makes a column that is not nullable valid in all rows. In a row without a value, the struct around
// the column must be null, which hides the value.
void MakeValid(const ColumnPlan& column, const BatchParts& parts, const std::uint8_t* parent,
               const std::uint8_t* valid, OutArray& out) {
  const std::uint64_t missing = FirstMissing(parent, valid, parts.rows);
  if (missing < parts.rows) {
    throw Error(ErrorCode::kInvalidArgument,
                internal::StrCat("exporting to Arrow: column '", column.name, "': row ",
                                 parts.first_row + static_cast<Row>(missing),
                                 ": expected a value, because the column is declared not null, but "
                                 "the row has none"));
  }
  if (!out.buffers.empty()) {  // a null array has no buffers, and all its elements stay null
    out.buffers[0] = nullptr;
    out.null_count = 0;
  }
}

// `parent` is the bitmap of the struct around the column; null if there is none or it is present in
// all rows.
OutArray Assemble(const ColumnPlan& column, BatchParts& parts, const std::uint8_t* parent) {
  if (column.role == ColumnPlan::Role::kStep) {
    OutArray steps;
    steps.length = parts.rows;
    steps.buffers = {nullptr, parts.steps};
    return steps;
  }
  if (column.role == ColumnPlan::Role::kLeaf) {
    LeafArray& leaf = parts.leaves[column.leaf];
    OutArray out = std::move(leaf.array);
    if (!column.nullable) {
      MakeValid(column, parts, parent, leaf.validity, out);
    }
    return out;
  }
  OutArray out;
  out.length = parts.rows;
  const std::uint64_t bytes = BitmapBytes(parts.rows);
  auto* valid = reinterpret_cast<std::uint8_t*>(parts.memory.MakeZeroed(bytes));
  if (AddValidity(column, parts, valid)) {
    valid = nullptr;
  } else {
    out.null_count = parts.rows;
    for (std::uint64_t byte = 0; byte < bytes; ++byte) {
      out.null_count -= static_cast<std::uint64_t>(std::popcount(valid[byte]));
    }
  }
  out.buffers = {out.null_count == 0 ? nullptr : valid};
  for (const ColumnPlan& child : column.children) {
    out.children.push_back(Assemble(child, parts, valid));
  }
  if (!column.nullable) {
    MakeValid(column, parts, parent, valid, out);
  }
  return out;
}

}  // namespace

OutArray AssembleColumn(const ColumnPlan& column, BatchParts& parts) {
  return Assemble(column, parts, nullptr);
}

}  // namespace stream_store::arrow
