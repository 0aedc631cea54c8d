// The functions of python.h that are not templates.

#include "convert/python.h"

namespace stream_store::python {

void SetError(PyObject* type, const char* message) noexcept {
  PyObject* text = PyUnicode_DecodeUTF8(
      message, static_cast<Py_ssize_t>(std::char_traits<char>::length(message)),
      "backslashreplace");
  if (text != nullptr) {
    PyErr_SetObject(type, text);
    Py_DECREF(text);
  }
}

void Throw(PyObject* type, const std::string& message) {
  SetError(type, message.c_str());
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
    Throw(PyExc_ValueError, std::string(what) + " must fit in int64, not " + ShortRepr(object));
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
