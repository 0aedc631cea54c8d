// extend(): columns of many rows -> one C++ Extend.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

/// extend(columns, steps=None) -> number of rows.
PyObject* Extend(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) noexcept;

}  // namespace stream_store::python
