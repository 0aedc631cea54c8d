// store[indices] and windows(): raw values, with the type and step of each.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

/// The mp_subscript slot: int, slice, list or int array of any shape -> {"step", "types",
/// "values"}.
PyObject* GetItem(PyObject* self, PyObject* index) noexcept;

/// The mp_length slot: values stored.
Py_ssize_t Length(PyObject* self) noexcept;

/// windows(starts, width, *, columns=…, out=None).
PyObject* Windows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                  PyObject* names) noexcept;

}  // namespace stream_store::python
