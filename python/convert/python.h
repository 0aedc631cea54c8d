// Included first by every file of convert/: Python, nanobind's owning handles, the NumPy C API, and
// small helpers for errors and arguments (python.cc).
//
// Thread rules: all code of convert/ runs with the GIL held, except for the blocks that release it
// around a call of the C++ library. Those blocks touch no Python object.
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

/// Takes ownership of a new reference. If it is null, throws the Python error that is set.
inline nb::object Own(PyObject* made) {
  if (made == nullptr) {
    nb::raise_python_error();
  }
  return nb::steal<nb::object>(made);
}

/// A new reference to an object.
inline nb::object Borrow(PyObject* object) { return nb::borrow<nb::object>(object); }

/// Throws the Python error that is set if `status` is negative, as C API functions return it.
inline void Check(int status) {
  if (status < 0) {
    nb::raise_python_error();
  }
}

/// Sets a Python exception of type `type`. Bytes of `message` that are not UTF-8 are escaped.
void SetError(PyObject* type, const char* message) noexcept;

/// The same, thrown as a C++ exception that nanobind and Guarded() turn back into it.
[[noreturn]] void Throw(PyObject* type, const std::string& message);

/// The name of the type of `object`, for messages: "float", "numpy.ndarray".
std::string TypeName(PyObject* object);

/// repr(object), cut to about 60 characters; never throws.
std::string ShortRepr(PyObject* object);

/// The value of an int, a NumPy integer or any object with __index__, other than a bool. Throws
/// TypeError, or ValueError if int64 cannot hold it; `what` names the argument.
std::int64_t AsInt64(PyObject* object, const char* what);

/// The items of a list, tuple or other iterable of names, as a new list. Throws `error`, "<what>
/// must be a list of names, not 'x'", for a single str or bytes and for an object that is not
/// iterable.
nb::object ListOfNames(PyObject* names, PyObject* error, const std::string& what);

/// The UTF-8 text of a str, valid while the str is alive. Throws TypeError; `what` names the
/// argument.
std::string_view AsText(PyObject* object, const char* what);

/// Calls stream_store._hooks.<name>(arguments…), one of the conversions that are written in Python
/// because they are rare or easier there. May run any code of the user.
template <class... Arguments>
nb::object CallHook(const char* name, Arguments... arguments) {
  const nb::object module = Own(PyImport_ImportModule("stream_store._hooks"));
  return Own(PyObject_CallMethodObjArgs(module.ptr(), Own(PyUnicode_InternFromString(name)).ptr(),
                                        arguments..., nullptr));
}

}  // namespace stream_store::python
