// One Python value -> one FieldWrite.
//
// Exact ints, floats, bools, lists of them, NumPy scalars and arrays, str and bytes are understood
// here; anything else goes to the Python hook (stream_store._hooks.encode), which gives an array or
// bytes back. Invariants: 1. foreign code (__array__, __index__, hooks) runs only inside
// ConvertValue(), never later; it may change any list or append to the same store. 2. A FieldWrite
// points into the scratch's arena or into an object in scratch.kept.
#pragma once

#include <optional>

#include "stream_store/store.h"

#include "convert/field_table.h"
#include "convert/python.h"
#include "convert/scratch.h"

namespace stream_store::python {

/// What one append call converts with.
struct Conversion {
  PyObject* self;            ///< the StreamStore, for hooks
  const FieldTable& fields;  ///< kept alive by the caller
  Scratch& scratch;
};

/// Converts `value` for field `type`.
///
/// Throws ValueError or TypeError naming field, value and feature: a shape that is not the field's,
/// a value that is no number, or whatever foreign code raises. Ranges are checked by the C++
/// append.
FieldWrite ConvertValue(const Conversion& conversion, TypeId type, PyObject* value);

/// The hook's answer, or any array that needs no more questions: its items in C order.
FieldWrite ConvertPlain(const Conversion& conversion, TypeId type, const nb::object& plain);

/// The Source of an array's items, if C++ can read them; byte order and alignment aside.
std::optional<Source> SourceOfArray(PyArrayObject* array);

/// The same array C-contiguous, aligned and in native byte order: itself, or a copy.
nb::object Contiguous(PyObject* value);

/// Numbers of a list or tuple of exact ints, floats, bools and NumPy scalars; none if anything else
/// is inside.
struct Numbers {
  Source source;  ///< kInt64 or kFloat64
  const void* data;
};

std::optional<Numbers> ConvertNumbers(Arena& arena, PyObject* const* items, Py_ssize_t count);

/// Whether numbers need no Python rules: bool, int, float, date and time fields that are not class
/// labels.
inline bool TakesPlainNumbers(const FieldInfo& field) noexcept {
  return field.kind == ValueKind::kNumber && field.class_count < 0;
}

}  // namespace stream_store::python
