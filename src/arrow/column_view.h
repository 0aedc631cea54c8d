// A foreign column as typed pointers, after the checks that need no pass over its values.
//
// Used by import.cc, which makes one view for each column of a batch, and by leaf_loader.cc and
// leaf_gather.cc, which read rows through it. ViewColumn() checks the counts of buffers and
// children and the lengths of the arrays against each other. Offsets are checked where rows are
// read, because that reads them anyway. A view points into its batch and is valid while the batch
// is not released.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "arrow/array_view.h"
#include "arrow/import_plan.h"
#include "arrow/nested_view.h"

namespace stream_store::arrow {

/// One leaf column of a batch.
struct ColumnView {
  StructView around = {};             ///< the structs that the column is inside of
  ArrayView index = {};               ///< of a dictionary: the indices into the arrays below
  std::vector<ArrayView> lists = {};  ///< from the outside in
  ArrayView item = {};
  NestedView nested = {};  ///< if leaf.nested; then the arrays above are not used

  /// The array whose validity decides whether a row is null. Of a dictionary, that of its values.
  const ArrayView& top() const noexcept { return lists.empty() ? item : lists.front(); }

  /// Columns without nulls, whose rows can be gathered by one loop without a branch for each row.
  enum class FastGather : std::uint8_t {
    kNone,     ///< not such a column
    kScalars,  ///< one fixed-width item or bool in each row
    kRagged    ///< text, or lists of fixed-width items, with offsets
  };
  FastGather fast_gather = FastGather::kNone;
};

/// Makes the view of the column of `leaf` in a batch that passed CheckBatch(). Throws
/// Error(kInvalidArgument) naming the column if its arrays contradict each other or the schema.
ColumnView ViewColumn(const ArrowArray& batch, const ImportLeaf& leaf);

/// The validity of a struct column with a marker.
struct MarkerView {
  StructView around = {};
  NestedView nested = {};  ///< if the struct is behind layers: it is present if IsPresent() says so
};

/// Makes the view of the validity of the struct column at marker.path, in the same way.
MarkerView ViewMarker(const ArrowArray& batch, const ImportMarker& marker);

/// Checks that a struct column is null only in rows in which a struct around it is null, too.
/// Messages number the rows from `first` on. Throws Error(kInvalidArgument) naming column and row.
void CheckNotNull(const ArrowArray& batch, const ImportNotNull& column, std::uint64_t first);

/// Checks the outermost array of a batch: not released, lengths and offsets in range, `columns`
/// children. Throws Error(kInvalidArgument).
void CheckBatch(const ArrowArray& batch, std::int64_t columns);

}  // namespace stream_store::arrow
