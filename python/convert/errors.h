// Turns C++ exceptions into Python exceptions. No other file does so.
#pragma once

#include <utility>

#include "stream_store/error.h"

#include "convert/python.h"

namespace stream_store::python {

/// Sets the Python exception for `error`, as the table in stream_store/error.h says.
void SetPythonError(const Error& error) noexcept;

/// Sets the Python exception for the C++ exception being handled. Call it inside `catch (...)`.
void SetPythonErrorFromCurrent() noexcept;

/// Runs the body of a function that CPython calls directly: returns its result, or null with a
/// Python exception set for the C++ exception it threw.
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
