// C++ errors -> Python exceptions, in this one place.
#pragma once

#include <utility>

#include "stream_store/error.h"

#include "convert/python.h"

namespace stream_store::python {

/// Sets the Python exception that stands for `error`: the table of docs/design.md.
void SetPythonError(const Error& error) noexcept;

/// Sets the Python exception for the C++ exception being handled; call inside `catch (...)`.
void SetPythonErrorFromCurrent() noexcept;

/// Runs a function written for CPython's own calling convention: its C++ exceptions become Python
/// ones.
template <class Body>
PyObject* Guarded(Body&& body) noexcept {
  try {
    return std::forward<Body>(body)();
  } catch (...) {
    SetPythonErrorFromCurrent();
    return nullptr;
  }
}

}  // namespace stream_store::python
