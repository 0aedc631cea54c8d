// The table from ErrorCode to exception type.

#include "convert/errors.h"

#include <cerrno>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>

namespace stream_store::python {
namespace {

// The exception class `name` of a Python module; `fallback` if it cannot be imported, for example
// while the interpreter shuts down, so that an error is never lost.
nb::object ImportedError(const char* module_name, const char* name, PyObject* fallback) {
  PyObject* module = PyImport_ImportModule(module_name);
  PyObject* found = module == nullptr ? nullptr : PyObject_GetAttrString(module, name);
  Py_XDECREF(module);
  if (found == nullptr) {
    PyErr_Clear();
    return Borrow(fallback);
  }
  return nb::steal<nb::object>(found);
}

nb::object PackageError(const char* name) {
  return ImportedError("stream_store.errors", name, PyExc_Exception);
}

// Sets an OSError or one of its subclasses, with errno. The constructor of OSError itself chooses
// PermissionError and the like from the number, so the type of the object is set, not `type`.
void SetOsError(PyObject* type, int number, const char* message) {
  PyObject* arguments = Py_BuildValue("(is)", number, message);
  if (arguments == nullptr) {
    PyErr_Clear();
    SetError(type, message);
    return;
  }
  PyObject* exception = PyObject_Call(type, arguments, nullptr);
  Py_DECREF(arguments);
  if (exception != nullptr) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
    Py_DECREF(exception);
  }
}

int ErrnoOr(const Error& error, int otherwise) {
  return error.system_errno() != 0 ? error.system_errno() : otherwise;
}

}  // namespace

void SetPythonError(const Error& error) noexcept {
  const char* text = error.what();
  switch (error.code()) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kClosed:
      return SetError(PyExc_ValueError, text);
    case ErrorCode::kInvalidType:
      return SetError(PyExc_TypeError, text);
    case ErrorCode::kOutOfRange:
      return SetError(PyExc_IndexError, text);
    case ErrorCode::kState:
      return SetError(PyExc_RuntimeError, text);
    case ErrorCode::kNotFound:
      return SetOsError(PyExc_FileNotFoundError, ErrnoOr(error, ENOENT), text);
    case ErrorCode::kAlreadyExists:
      return SetOsError(PyExc_FileExistsError, ErrnoOr(error, EEXIST), text);
    case ErrorCode::kIo:
      return SetOsError(PyExc_OSError, ErrnoOr(error, EIO), text);
    case ErrorCode::kNoSpace:
      return SetOsError(PackageError("StoreFullError").ptr(), ErrnoOr(error, ENOSPC), text);
    case ErrorCode::kReadOnly:
      return SetError(ImportedError("io", "UnsupportedOperation", PyExc_OSError).ptr(), text);
    case ErrorCode::kLocked:
      return SetError(PackageError("LockedError").ptr(), text);
    case ErrorCode::kCorrupt:
      return SetError(PackageError("CorruptStoreError").ptr(), text);
    case ErrorCode::kVersion:
      return SetError(PackageError("VersionError").ptr(), text);
    case ErrorCode::kDropped:
      return SetError(PackageError("DroppedError").ptr(), text);
    case ErrorCode::kCutBack:
    case ErrorCode::kOk:
      break;
  }
  SetError(PackageError("Error").ptr(), text);
}

void SetPythonErrorFromCurrent() noexcept {
  try {
    throw;
  } catch (const Error& error) {
    SetPythonError(error);
  } catch (nb::python_error& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::filesystem::filesystem_error& error) {
    SetOsError(PyExc_OSError, error.code().value(), error.what());
  } catch (const std::length_error& error) {
    SetError(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    SetError(PyExc_RuntimeError, error.what());
  } catch (...) {
    SetError(PyExc_RuntimeError, "stream_store: unknown C++ exception");
  }
}

}  // namespace stream_store::python
