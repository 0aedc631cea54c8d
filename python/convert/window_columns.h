// The columns of windows() and store[...]: their names, and the arrays that they are read into.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "stream_store/columns.h"

#include "convert/arrays.h"
#include "convert/python.h"

namespace stream_store::python {

enum class ColumnId : std::uint8_t { kValues, kTypes, kStep, kNumber, kOffset, kRow };

inline constexpr std::size_t kColumnIds = 6;

/// The column with the name `name`. Throws ValueError, TypeError; `call` names the caller in
/// messages.
ColumnId FindColumn(PyObject* name, const char* call);

/// The named columns, each once; values, types and step if `columns` is null. Throws ValueError,
/// TypeError.
std::vector<ColumnId> WantedColumns(PyObject* columns, const char* call);

/// The dict that a read returns, with the pointers through which C++ fills it.
struct WindowsOutput {
  nb::object dict = Own(PyDict_New());
  WindowsOut out;
  std::uint64_t bytes = 0;  ///< of all columns, approximately

  /// Adds a column of shape `shape` with `places` items: a new array, or `given` unless that is
  /// null. Throws if `given` does not have the dtype and the shape.
  void Add(ColumnId id, const Shape& shape, std::uint64_t places, PyObject* given);

  /// Adds step, types and values, in this order, which is that of the keys of the dict.
  void AddItemColumns(const Shape& shape, std::uint64_t places);
};

}  // namespace stream_store::python
