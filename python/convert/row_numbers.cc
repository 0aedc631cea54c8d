#include "convert/row_numbers.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "stream_store/error.h"

#include "convert/assert.h"
#include "convert/errors.h"

namespace stream_store::python {

RowNumbers::RowNumbers(PyObject* given) : slice_(SliceOf(given)) {
  if (!slice_) {
    rows_.emplace(given, "rows");
  }
}

std::optional<RowNumbers::Slice> RowNumbers::SliceOf(PyObject* given) {
  if (!PySlice_Check(given)) {
    return std::nullopt;
  }
  Slice slice;
  Check(PySlice_Unpack(given, &slice.start, &slice.stop, &slice.step));
  const auto* object = reinterpret_cast<PySliceObject*>(given);
  slice.from_front = (slice.step > 0 ? object->start : object->stop) == Py_None;
  return slice;
}

// Writes the rows of the slice out, since they are few for a read that returns all of them.
void RowNumbers::ListSlice(std::int64_t first, std::int64_t end) {
  Slice slice = *slice_;
  if (slice.from_front && slice.step > 0) {
    slice.start = first;
  } else if (slice.from_front && first > 0) {
    slice.stop = first - 1;
  }
  const Py_ssize_t count = PySlice_AdjustIndices(end, &slice.start, &slice.stop, slice.step);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = slice.start + static_cast<std::int64_t>(i) * slice.step;
  }
  rows_.emplace(std::move(rows));
}

// The first loop finds out without a branch for each row whether there is anything to do. Numbers
// below -end stay, for the check that follows.
void RowNumbers::Wrap(std::int64_t end) {
  std::int64_t signs = 0;
  for (const std::int64_t row : rows_->values()) {
    signs |= row;
  }
  if (signs >= 0) {
    return;
  }
  std::int64_t* own = rows_->MakePrivate();
  std::transform(own, own + rows_->size(), own,
                 [end](std::int64_t row) { return row < 0 && row >= -end ? row + end : row; });
}

void RowNumbers::Resolve(std::int64_t first, std::int64_t end, std::int64_t length) {
  STREAM_STORE_ASSERT(length > 0);
  if (slice_) {
    ListSlice(first, end);
  } else {
    Wrap(end);
  }
  for (const std::int64_t row : rows_->values()) {
    if (row >= 0 && row < first) {
      throw Error(ErrorCode::kDropped, "row " + std::to_string(row) + " is before row " +
                                           std::to_string(first) +
                                           ", the first that the store still has: the rows before "
                                           "it were dropped");
    }
    if (row < 0 || row > end - length) {
      const std::int64_t stop = std::max<std::int64_t>(end - length + 1, 0);
      throw Error(ErrorCode::kOutOfRange,
                  "row " + std::to_string(row) + " is outside [" + std::to_string(-end) + ", " +
                      std::to_string(stop) + ")" +
                      (length > 1 ? ": windows of " + std::to_string(length) + " in " +
                                        std::to_string(end) + " rows"
                                  : ""));
    }
  }
}

}  // namespace stream_store::python
