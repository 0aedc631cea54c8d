// A foreign column as pointers, checked as far as an array can be checked: counts of buffers and
// children, lengths against each other. Offsets are looked at where rows are read.
//
// Who uses it: leaf_loader.cc. A view points into the batch it was made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "arrow/import_plan.h"

namespace stream_store::arrow {

/// A bitmap; element i is bit `shift + i`. Null: all are there.
struct Validity {
  const std::uint8_t* bits = nullptr;
  std::uint64_t shift = 0;
};

/// One array of a column. Element i of its parent's counting is at `shift + i` in its buffers.
struct ArrayView {
  Type type = {};
  Validity validity = {};
  std::uint64_t shift = 0;
  std::uint64_t length = 0;            ///< elements in the parent's counting
  const std::byte* first = nullptr;    ///< offsets, views or items
  const std::byte* second = nullptr;   ///< text, or sizes of list views
  const void* const* texts = nullptr;  ///< of views: buffers of text
  std::uint64_t text_count = 0;
  const std::byte* text_sizes = nullptr;
};

/// Where each row's struct, and those around it, are there.
struct StructView {
  std::vector<Validity> validities = {};
  std::uint64_t rows = 0;
};

struct ColumnView {
  StructView around = {};
  ArrayView index = {};               ///< of a dictionary
  std::vector<ArrayView> lists = {};  ///< from the outside in
  ArrayView item = {};

  /// The array that says whether a row is null, dictionaries aside.
  const ArrayView& top() const noexcept { return lists.empty() ? item : lists.front(); }

  /// What rows in any order can be picked from without a look at nulls: there are none.
  enum class Plain : std::uint8_t {
    kNot,
    kScalars,  ///< one fixed-width item or bool a row
    kRagged    ///< text, or lists of fixed-width items, by offsets
  };
  Plain plain = Plain::kNot;
};

/// The array at a path inside a batch. `shift`: what to add to a row to find it there. Throws
/// Error(kInvalidArgument) naming `name`.
const ArrowArray& Descend(const ArrowArray& batch, const std::vector<std::int64_t>& path,
                          const std::string& name, StructView& around, std::uint64_t& shift);

ColumnView ViewColumn(const ArrowArray& batch, const ImportLeaf& leaf);

/// The rows in which the struct at a path is there.
StructView ViewStruct(const ArrowArray& batch, const ImportMarker& marker);

/// Throws Error(kInvalidArgument) unless `batch` can be one. REQUIRES: the plan's schema is its
/// own.
void CheckBatch(const ArrowArray& batch, std::int64_t columns);

}  // namespace stream_store::arrow
