// What every file of convert/ starts from: Python, nanobind's owning handles and the NumPy C API.
//
// Thread rule of the room: everything here runs with the GIL held, but for the few blocks that
// release it around a call of the C++ library and touch no Python object meanwhile.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <string>
#include <string_view>

#include <nanobind/nanobind.h>

// One table of NumPy's functions for the whole extension, filled by ImportNumpy() (arrays.cc).
#define PY_ARRAY_UNIQUE_SYMBOL stream_store_numpy_api
#ifndef STREAM_STORE_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>

namespace stream_store::python {

namespace nb = nanobind;

/// Takes over a new reference; throws the Python error that is set if there is none.
inline nb::object Own(PyObject* made) {
  if (made == nullptr) {
    nb::raise_python_error();
  }
  return nb::steal<nb::object>(made);
}

inline nb::object Borrow(PyObject* object) { return nb::borrow<nb::object>(object); }

/// Throws the Python error that is set if `status` says so.
inline void Check(int status) {
  if (status < 0) {
    nb::raise_python_error();
  }
}

/// Throws a Python exception of that type.
[[noreturn]] void Throw(PyObject* type, const std::string& message);

/// What `object` is, for messages: "float", "numpy.ndarray".
std::string TypeName(PyObject* object);

/// repr(object), cut to about 60 characters; never throws.
std::string ShortRepr(PyObject* object);

/// The int64 of an int, of a NumPy integer or of anything with __index__ (bool is refused); `what`
/// names it in the TypeError or, past int64, ValueError.
std::int64_t AsInt64(PyObject* object, const char* what);

/// The items of a list, tuple or other iterable of names, as a new list. A single str or what has
/// no items is no such list: throws `error`, "<what> must be a list of names, not 'x'".
nb::object ListOfNames(PyObject* names, PyObject* error, const std::string& what);

/// The UTF-8 of a str, valid while it lives. Throws TypeError: `what` must be a str.
std::string_view AsText(PyObject* object, const char* what);

/// Calls stream_store._hooks.<name>(arguments…): the conversions that are better written in Python.
template <class... Arguments>
nb::object CallHook(const char* name, Arguments... arguments) {
  const nb::object module = Own(PyImport_ImportModule("stream_store._hooks"));
  return Own(PyObject_CallMethodObjArgs(module.ptr(), Own(PyUnicode_InternFromString(name)).ptr(),
                                        arguments..., nullptr));
}

}  // namespace stream_store::python
