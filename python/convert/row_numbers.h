// RowNumbers: the rows that a caller asks for, as ints of any shape or as a slice.
//
// Used by read_rows() and position_of(). Converting the argument may run foreign code, which may
// append rows, so there are two steps: the constructor converts, and Resolve() looks at the store.
#pragma once

#include <cstdint>
#include <optional>

#include "convert/arrays.h"

namespace stream_store::python {

class RowNumbers {
 public:
  /// Converts a slice, or ints as Int64s does. Throws as that, and TypeError for a slice whose
  /// bounds are not ints.
  explicit RowNumbers(PyObject* given);

  /// Turns negative numbers, which count from `end`, and the rows of a slice into rows of a store
  /// that has rows [first, end), and checks that windows of `length` rows fit there. A
  /// slice without a bound at its front begins with the first row. A slice ends at the last row, as
  /// everywhere.
  ///
  /// Throws Error(kDropped) for rows before `first`, and Error(kOutOfRange).
  /// REQUIRES: length > 0
  void Resolve(std::int64_t first, std::int64_t end, std::int64_t length);

  /// The rows, after Resolve().
  Int64s& rows() noexcept { return *rows_; }

 private:
  struct Slice {
    Py_ssize_t start = 0;
    Py_ssize_t stop = 0;
    Py_ssize_t step = 1;
    bool from_front = false;  // the slice has no bound at its front
  };

  static std::optional<Slice> SliceOf(PyObject* given);
  void ListSlice(std::int64_t first, std::int64_t end);
  void Wrap(std::int64_t end);

  std::optional<Slice> slice_;
  std::optional<Int64s> rows_;
};

}  // namespace stream_store::python
