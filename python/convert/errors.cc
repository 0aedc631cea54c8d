// The table from ErrorCode to exception type, and the small functions of python.h that raise.

#include "convert/errors.h"

#include <cerrno>
#include <exception>
#include <filesystem>
#include <new>
#include <stdexcept>

namespace stream_store::python {
namespace {

// A class of stream_store.errors; falls back to Exception so that an error is never lost.
nb::object PackageError(const char* name) {
  PyObject* module = PyImport_ImportModule("stream_store.errors");
  PyObject* found = module == nullptr ? nullptr : PyObject_GetAttrString(module, name);
  Py_XDECREF(module);
  if (found == nullptr) {
    PyErr_Clear();
    return Borrow(PyExc_Exception);
  }
  return nb::steal<nb::object>(found);
}

nb::object UnsupportedOperation() {
  PyObject* module = PyImport_ImportModule("io");
  PyObject* found =
      module == nullptr ? nullptr : PyObject_GetAttrString(module, "UnsupportedOperation");
  Py_XDECREF(module);
  if (found == nullptr) {
    PyErr_Clear();
    return Borrow(PyExc_OSError);
  }
  return nb::steal<nb::object>(found);
}

void SetText(PyObject* type, const char* message) {
  PyObject* text = PyUnicode_DecodeUTF8(
      message, static_cast<Py_ssize_t>(std::char_traits<char>::length(message)),
      "backslashreplace");
  if (text != nullptr) {
    PyErr_SetObject(type, text);
    Py_DECREF(text);
  }
}

// An OSError or one of its children, with errno; OSError itself picks PermissionError and its kind.
void SetOsError(PyObject* type, int number, const char* message) {
  PyObject* arguments = Py_BuildValue("(is)", number, message);
  if (arguments == nullptr) {
    PyErr_Clear();
    SetText(type, message);
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
      return SetText(PyExc_ValueError, text);
    case ErrorCode::kInvalidType:
      return SetText(PyExc_TypeError, text);
    case ErrorCode::kOutOfRange:
      return SetText(PyExc_IndexError, text);
    case ErrorCode::kState:
      return SetText(PyExc_RuntimeError, text);
    case ErrorCode::kNotFound:
      return SetOsError(PyExc_FileNotFoundError, ErrnoOr(error, ENOENT), text);
    case ErrorCode::kAlreadyExists:
      return SetOsError(PyExc_FileExistsError, ErrnoOr(error, EEXIST), text);
    case ErrorCode::kIo:
      return SetOsError(PyExc_OSError, ErrnoOr(error, EIO), text);
    case ErrorCode::kNoSpace:
      return SetOsError(PackageError("StoreFullError").ptr(), ErrnoOr(error, ENOSPC), text);
    case ErrorCode::kReadOnly:
      return SetText(UnsupportedOperation().ptr(), text);
    case ErrorCode::kLocked:
      return SetText(PackageError("LockedError").ptr(), text);
    case ErrorCode::kCorrupt:
      return SetText(PackageError("CorruptStoreError").ptr(), text);
    case ErrorCode::kVersion:
      return SetText(PackageError("VersionError").ptr(), text);
    case ErrorCode::kCutBack:
    case ErrorCode::kOk:
      break;
  }
  SetText(PackageError("Error").ptr(), text);
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
    SetText(PyExc_ValueError, error.what());
  } catch (const std::exception& error) {
    SetText(PyExc_RuntimeError, error.what());
  } catch (...) {
    SetText(PyExc_RuntimeError, "stream_store: unknown C++ exception");
  }
}

void Throw(PyObject* type, const std::string& message) {
  SetText(type, message.c_str());
  nb::raise_python_error();
}

nb::object ListOfNames(PyObject* names, PyObject* error, const std::string& what) {
  if (!PyUnicode_Check(names) && !PyBytes_Check(names)) {
    if (PyObject* items = PyObject_GetIter(names)) {
      return Own(PySequence_List(Own(items).ptr()));
    }
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) {
      nb::raise_python_error();
    }
    PyErr_Clear();
  }
  Throw(error, what + " must be a list of names, not " + ShortRepr(names));
}

std::string TypeName(PyObject* object) { return Py_TYPE(object)->tp_name; }

std::string ShortRepr(PyObject* object) {
  constexpr std::size_t kLongest = 60;
  PyObject* text = PyObject_Repr(object);
  const char* utf8 = text == nullptr ? nullptr : PyUnicode_AsUTF8(text);
  std::string result = utf8 == nullptr ? TypeName(object) + " object" : std::string(utf8);
  Py_XDECREF(text);
  PyErr_Clear();
  if (result.size() > kLongest) {
    std::size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(result[end]) & 0xc0U) == 0x80U) {
      --end;
    }
    result = result.substr(0, end) + "…";
  }
  return result;
}

std::int64_t AsInt64(PyObject* object, const char* what) {
  if (PyBool_Check(object) || (!PyLong_Check(object) && !PyIndex_Check(object))) {
    Throw(PyExc_TypeError, std::string(what) + " must be an int, not " + ShortRepr(object) + " (" +
                               TypeName(object) + ")");
  }
  const nb::object number = Own(PyNumber_Index(object));
  int overflow = 0;
  const long long result = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
  if (overflow != 0) {
    Throw(PyExc_ValueError, std::string(what) + " must fit in int64, found " + ShortRepr(object));
  }
  if (result == -1 && PyErr_Occurred() != nullptr) {
    nb::raise_python_error();
  }
  return result;
}

std::string_view AsText(PyObject* object, const char* what) {
  if (!PyUnicode_Check(object)) {
    Throw(PyExc_TypeError, std::string(what) + " must be a str, not " + ShortRepr(object) + " (" +
                               TypeName(object) + ")");
  }
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text == nullptr) {
    nb::raise_python_error();
  }
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace stream_store::python
