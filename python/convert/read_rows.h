// read_rows(): decoded rows and row windows, a batch at a time.
#pragma once

#include "convert/python.h"

namespace stream_store::python {

/// read_rows(rows, length=None, *, fields=None, out=None, max_length=None) -> dict.
PyObject* ReadRows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                   PyObject* names) noexcept;

}  // namespace stream_store::python
