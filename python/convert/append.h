// append() and append_step(): Python sequences and mappings -> one C++ Append.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

/// append(steps, names, values), CPython's fast calling convention.
PyObject* Append(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) noexcept;

/// append_step(values, step=None) -> int.
PyObject* AppendStep(PyObject* self, PyObject* const* args, Py_ssize_t count,
                     PyObject* names) noexcept;

}  // namespace stream_store::python
