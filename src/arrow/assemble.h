// Assembles the columns of an exported batch from the arrays of its fields.
//
// Used by export.cc at the end of each batch. A struct of the batch has no memory of its own in a
// store: it is present in the rows in which its marker or any of its members is.
#pragma once

#include <cstdint>
#include <vector>

#include "arrow/buffers.h"
#include "arrow/export_plan.h"
#include "arrow/out_array.h"

namespace stream_store::arrow {

/// A field of a batch.
struct LeafArray {
  OutArray array = {};
  const std::uint8_t* validity = nullptr;  ///< a bit for each row; null if all rows are present
};

/// The batch that columns are assembled for.
struct BatchParts {
  BatchMemory& memory;
  Row first_row = 0;  ///< of the store, for messages
  std::uint64_t rows = 0;
  const Step* steps = nullptr;  ///< of the rows, if a column holds them
  std::vector<LeafArray> leaves = {};
};

/// Assembles one column. Moves the arrays of its leaves out of `parts`.
///
/// Throws Error(kInvalidArgument) naming column and row if a column that is not nullable lacks a
/// row in which the struct around it is present.
OutArray AssembleColumn(const ColumnPlan& column, BatchParts& parts);

}  // namespace stream_store::arrow
