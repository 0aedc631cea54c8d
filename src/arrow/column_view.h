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

#include "arrow/import_plan.h"

namespace stream_store::arrow {

/// A validity bitmap: element i is present if bit `shift + i` is set, or if `bits` is null.
struct Validity {
  const std::uint8_t* bits = nullptr;
  std::uint64_t shift = 0;
};

/// One array of a column. Its parent counts elements from 0; element i is at index `shift + i` of
/// the buffers, because `shift` includes the offsets of this array and of the structs around it.
struct ArrayView {
  Type type = {};
  Validity validity = {};
  std::uint64_t shift = 0;
  std::uint64_t length = 0;            ///< elements, as the parent counts them
  const std::byte* first = nullptr;    ///< buffer 1: offsets, string views, or items
  const std::byte* second = nullptr;   ///< buffer 2: text after offsets, or sizes of list views
  const void* const* texts = nullptr;  ///< of string views: the text buffers
  std::uint64_t text_count = 0;
  const std::byte* text_sizes = nullptr;  ///< of string views: int64 size of each text buffer
};

/// The validity of a struct column: row i is present if all `validities` say so.
struct StructView {
  std::vector<Validity> validities = {};  ///< of the struct and those around it that have nulls
  std::uint64_t rows = 0;
};

/// One leaf column of a batch.
struct ColumnView {
  StructView around = {};             ///< the structs that the column is inside of
  ArrayView index = {};               ///< of a dictionary: the indices into the arrays below
  std::vector<ArrayView> lists = {};  ///< from the outside in
  ArrayView item = {};

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

/// Makes the view of the validity of the struct column at marker.path, in the same way.
StructView ViewStruct(const ArrowArray& batch, const ImportMarker& marker);

/// Checks the outermost array of a batch: not released, lengths and offsets in range, `columns`
/// children. Throws Error(kInvalidArgument).
void CheckBatch(const ArrowArray& batch, std::int64_t columns);

}  // namespace stream_store::arrow
