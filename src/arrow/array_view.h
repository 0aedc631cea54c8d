// One foreign array as typed pointers, after the checks that need no pass over its values.
//
// Used by column_view.cc and nested_view.cc, which make views of whole columns. ViewArray() checks
// the counts of buffers and children. Offsets are checked where elements are read, because that
// reads them anyway. A view points into its batch and is valid while the batch is not released.
// Thread rules: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "stream_store/arrow.h"

#include "arrow/type.h"

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

/// Whether row `row` is present.
bool IsPresentIn(const StructView& structs, std::uint64_t row);

/// Throws Error(kInvalidArgument) that names the column.
[[noreturn]] void RefuseColumn(const std::string& name, const std::string& problem);

/// The checks that do not depend on the type of an array: lengths, offsets and counts are in range.
void CheckArray(const ArrowArray& array, const std::string& name);

/// Checks that an array has at least `elements` elements, its offset not included.
void CheckLength(const ArrowArray& array, std::uint64_t elements, const std::string& name);

/// Returns child i of an array, which has passed CheckArray().
const ArrowArray& ChildOf(const ArrowArray& array, std::int64_t i, const std::string& name);

/// Returns the validity of the elements from index `shift` of the buffers on. A null count of 0
/// makes the bitmap irrelevant, so it is not read.
Validity ValidityOf(const ArrowArray& array, std::uint64_t shift, const std::string& name);

/// Makes the view of `elements` elements of an array, from index `shift` of its buffers on. The
/// array must have passed CheckArray().
ArrayView ViewArray(const ArrowArray& array, const Type& type, std::uint64_t shift,
                    std::uint64_t elements, const std::string& name);

/// Checks that `elements` fixed-size lists from index `shift` on have all of their items in a child
/// of `items` items.
void CheckFixedLists(const Type& list, std::uint64_t shift, std::uint64_t elements,
                     std::uint64_t items, const std::string& name);

/// Finds the array at `path` inside a batch. Collects the validities of the structs on the way in
/// `around`, and in `shift` the number to add to a row to find it in the array: slicing a struct
/// sets only its own offset, so the offsets of all structs on the way add up.
const ArrowArray& Descend(const ArrowArray& batch, std::span<const std::int64_t> path,
                          const std::string& name, StructView& around, std::uint64_t& shift);

}  // namespace stream_store::arrow
