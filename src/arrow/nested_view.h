// A nested column of one batch as typed pointers: one view for each node of its plan.
//
// Made by ViewNested() for each batch; read by nested_writer.cc. A view points into its batch and
// is valid while the batch is not released. Thread rules: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "arrow/array_view.h"
#include "arrow/nested_source.h"

namespace stream_store::arrow {

/// The indices of one dictionary, or the ends of the runs of one run-end encoded array.
struct LayerView {
  bool is_runs = false;
  /// Of a dictionary: the indices, one for each element. Of runs: their ends, as many as there are
  /// runs.
  ArrayView index = {};
  std::uint64_t shift = 0;   ///< of runs: added to an element to compare it with the ends
  std::uint64_t values = 0;  ///< elements of the values
};

struct NestedView {
  const NestedSource* source = nullptr;
  std::vector<LayerView> layers = {};
  ArrayView array = {};
  std::uint64_t items = 0;                ///< of a list: the elements of its child
  std::vector<NestedView> children = {};  ///< as in `source`; none if source->only_nulls
};

/// Makes the view of `elements` elements of an array, from index `shift` of its buffers on. The
/// array must have passed CheckArray(). `name` is that of the column, for messages.
///
/// Cost    proportional to the number of nodes and of runs, not to that of elements.
/// Throws  Error(kInvalidArgument) naming the column if its arrays contradict each other or the
///         schema.
NestedView ViewNested(const ArrowArray& array, const NestedSource& source, std::uint64_t shift,
                      std::uint64_t elements, const std::string& name);

/// Returns the element of the values that element `at` of a layer refers to, or nothing if it is
/// null. Sets `bad` if the index is outside the values; the result is unspecified then.
std::optional<std::uint64_t> FollowLayer(const LayerView& layer, std::uint64_t at,
                                         bool& bad) noexcept;

}  // namespace stream_store::arrow
