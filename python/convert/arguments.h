// Arguments of functions in CPython's fast calling convention (METH_FASTCALL | METH_KEYWORDS).
#pragma once

#include <array>
#include <cstddef>

#include "convert/python.h"
#include "convert/store.h"

namespace stream_store::python {

/// The StoreObject of a StreamStore. Throws RuntimeError if its __init__ has failed or not run yet.
inline StoreObject& StoreOf(PyObject* self) {
  if (!nb::inst_ready(self)) {
    Throw(PyExc_RuntimeError,
          "this StreamStore was not opened: its __init__ failed or was not called");
  }
  return *nb::inst_ptr<StoreObject>(self);
}

/// The parameters of a function: the first `required` must be given, and the first `positional` may
/// be given by position.
template <std::size_t N>
struct Parameters {
  const char* function;
  std::array<const char*, N> parameters;
  std::size_t required;
  std::size_t positional;

  /// Returns the argument for each parameter, borrowed; null if it was not given. Throws TypeError
  /// with the messages of Python itself.
  std::array<PyObject*, N> Sort(PyObject* const* args, Py_ssize_t count, PyObject* names) const {
    std::array<PyObject*, N> result{};
    if (static_cast<std::size_t>(count) > positional) {
      Throw(PyExc_TypeError, std::string(function) + "() takes at most " +
                                 std::to_string(positional) + " positional arguments but " +
                                 std::to_string(count) + " were given");
    }
    for (Py_ssize_t i = 0; i < count; ++i) {
      result[static_cast<std::size_t>(i)] = args[i];
    }
    if (names != nullptr) {
      TakeKeywords(args + count, names, result);
    }
    for (std::size_t i = 0; i < required; ++i) {
      if (result[i] == nullptr) {
        Throw(PyExc_TypeError,
              std::string(function) + "() is missing its argument '" + parameters[i] + "'");
      }
    }
    return result;
  }

 private:
  void TakeKeywords(PyObject* const* args, PyObject* names,
                    std::array<PyObject*, N>& result) const {
    for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(names); ++k) {
      PyObject* name = PyTuple_GET_ITEM(names, k);
      std::size_t place = 0;
      while (place < N && PyUnicode_CompareWithASCIIString(name, parameters[place]) != 0) {
        ++place;
      }
      if (place == N) {
        Throw(PyExc_TypeError,
              std::string(function) + "() got an unexpected keyword argument " + ShortRepr(name));
      }
      if (result[place] != nullptr) {
        Throw(PyExc_TypeError,
              std::string(function) + "() got the argument '" + parameters[place] + "' twice");
      }
      result[place] = args[k];
    }
  }
};

}  // namespace stream_store::python
