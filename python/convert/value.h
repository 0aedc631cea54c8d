// Converts one Python value to one FieldWrite.
//
// Used by append.cc for every value and by column.cc for lists. Exact ints, floats and bools, lists
// of them, NumPy scalars and arrays, str and bytes are converted here. Any other object goes to the
// Python hook (stream_store._hooks.encode), which returns an array or bytes.
//
// Invariants:
//   1. Foreign code (__array__, __index__, hooks) runs only inside ConvertValue(), never later. It
//      may change any list, or append to the same store.
//   2. A FieldWrite points into the arena of the scratch or into an object in scratch.kept, so it
//      is valid until the scratch is reset.
#pragma once

#include <optional>
#include <span>

#include "stream_store/store.h"

#include "convert/field_table.h"
#include "convert/python.h"
#include "convert/scratch.h"

namespace stream_store::python {

/// The context of the conversions of one append call.
struct Conversion {
  PyObject* self;            ///< the StreamStore, for hooks
  const FieldTable& fields;  ///< kept alive by the caller
  Scratch& scratch;
};

/// Converts `value` for field `type`.
///
/// Throws ValueError or TypeError naming field, value and feature for a wrong shape or a value of
/// the wrong kind, and any exception of foreign code. The C++ append checks the ranges of numbers.
FieldWrite ConvertValue(const Conversion& conversion, TypeId type, PyObject* value);

/// Converts the result of the hook, an array or bytes, by taking its items in C order.
FieldWrite ConvertPlain(const Conversion& conversion, TypeId type, const nb::object& plain);

/// The Source of the items of an array, whatever its byte order and alignment. None if C++ cannot
/// read them.
std::optional<Source> SourceOfArray(PyArrayObject* array);

/// The array itself if it is C-contiguous, aligned and in native byte order, else a copy that is.
nb::object Contiguous(PyObject* value);

/// Numbers in the memory of an Arena.
struct Numbers {
  Source source;  ///< kInt64 or kFloat64
  const void* data;
};

/// Converts ints, floats, bools and NumPy scalars. None if there is any other object among the
/// items, or if they mix floats with ints that float64 does not hold exactly.

std::optional<Numbers> ConvertNumbers(Arena& arena, PyObject* const* items, Py_ssize_t count);

/// Whether a value of shape `dimensions` has a shape that the field accepts:
///   - a scalar field accepts () and (1,);
///   - a list field accepts one dimension, and a scalar as a list of one item;
///   - an array field accepts its own shape.
/// The C++ append checks the lengths of lists.
bool FitsShape(const FieldInfo& field, std::span<const npy_intp> dimensions) noexcept;

/// Whether plain numbers are valid for the field without any rule of Python: bool, int, float, date
/// and time fields, other than class labels.
inline bool TakesPlainNumbers(const FieldInfo& field) noexcept {
  return field.kind == ValueKind::kNumber && field.class_count < 0;
}

}  // namespace stream_store::python
