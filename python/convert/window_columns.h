// The columns of windows and of single values: their names, and the arrays they go to.
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

/// A column by its name. Throws ValueError, TypeError; `call` names the caller.
ColumnId FindColumn(PyObject* name, const char* call);

/// The columns named, each once; null: values, types and step. Throws ValueError, TypeError.
std::vector<ColumnId> WantedColumns(PyObject* columns, const char* call);

/// The dict a read returns, and where C++ is to write.
struct WindowsOutput {
  nb::object dict = Own(PyDict_New());
  WindowsOut out;
  std::uint64_t bytes = 0;

  /// Adds a column of `places` items: a new array of that shape, or `given` if it fits.
  void Add(ColumnId id, const Shape& shape, std::uint64_t places, PyObject* given);

  /// step, types and values, in this order.
  void AddItemColumns(const Shape& shape, std::uint64_t places);
};

}  // namespace stream_store::python
