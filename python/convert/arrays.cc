// Creates outputs, checks `out=` arrays, and reads int64 inputs.

#define STREAM_STORE_IMPORTS_NUMPY
#include "convert/arrays.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "convert/block_pool.h"
#include "convert/errors.h"

namespace stream_store::python {
namespace {

std::string ShapeText(int count, const npy_intp* dimensions) {
  std::string text = "(";
  for (int i = 0; i < count; ++i) {
    text += std::to_string(dimensions[i]) + (count == 1 ? "," : i + 1 < count ? ", " : "");
  }
  return text + ")";
}

std::string DescrText(PyArray_Descr* descr) {
  PyObject* text = PyObject_Str(reinterpret_cast<PyObject*>(descr));
  const char* utf8 = text == nullptr ? nullptr : PyUnicode_AsUTF8(text);
  std::string result = utf8 == nullptr ? "?" : utf8;
  Py_XDECREF(text);
  PyErr_Clear();
  return result;
}

[[noreturn]] void RefuseInput(PyObject* object, const char* what) {
  const std::string name(what);
  const bool takes_slices = name == "positions";  // store[...] is the only call that does
  if (object == Py_None || object == Py_Ellipsis) {
    Throw(PyExc_TypeError, name + " must be ints, not " + ShortRepr(object) +
                               (takes_slices ? "; store[:] reads everything" : ""));
  }
  Throw(PyExc_TypeError, name + " must be an int" + (takes_slices ? ", a slice" : "") +
                             " or an array of ints, not " + ShortRepr(object) + " (" +
                             TypeName(object) + ")");
}

// Refuses an input that NumPy could convert only to an object array: its ints exceed 64 bits, or it
// has other objects.
[[noreturn]] void RefuseObjects(PyArrayObject* array, PyObject* object, const char* what,
                                PyObject* error) {
  if (PyArray_SIZE(array) > 0) {
    PyObject* first = *static_cast<PyObject**>(PyArray_DATA(array));
    if (first != nullptr && PyLong_Check(first)) {
      Throw(error, std::string(what) + " must be ints that fit in int64, not " + ShortRepr(object));
    }
  }
  RefuseInput(object, what);
}

[[noreturn]] void RefuseDtype(PyArrayObject* array, const char* what, PyObject* error) {
  const std::string name(what);
  if (PyArray_ISBOOL(array) && error == PyExc_IndexError) {
    Throw(PyExc_IndexError,
          name + " cannot be a mask: convert it to positions with np.flatnonzero(mask)");
  }
  Throw(error, name + " must be ints, not " + DescrText(PyArray_DESCR(array)));
}

}  // namespace

void ImportNumpy() {
  if (_import_array() < 0) {
    nb::raise_python_error();
  }
}

Shape& Shape::operator+=(std::span<const npy_intp> more) {
  if (more.size() > dimensions_.size() - size_) {
    Throw(PyExc_ValueError, "an output would have " + std::to_string(size_ + more.size()) +
                                " dimensions; NumPy supports at most " +
                                std::to_string(NPY_MAXDIMS));
  }
  std::ranges::copy(more, dimensions_.data() + size_);
  size_ += more.size();
  return *this;
}

std::uint64_t Shape::places() const {
  std::uint64_t product = 1;
  for (const npy_intp dimension : dimensions()) {
    if (__builtin_mul_overflow(product, static_cast<std::uint64_t>(dimension), &product) ||
        product > (std::uint64_t{1} << 59)) {
      if (std::find(data(), data() + size_, 0) != data() + size_) {
        return 0;
      }
      Throw(PyExc_ValueError, "an output of shape " + ShapeText(static_cast<int>(size_), data()) +
                                  " would not fit into memory");
    }
  }
  return product;
}

nb::object NewArray(PyArray_Descr* descr, const Shape& shape) {
  const auto owner = nb::steal<nb::object>(reinterpret_cast<PyObject*>(descr));
  const std::uint64_t bytes = shape.places() * static_cast<std::uint64_t>(PyDataType_ELSIZE(descr));
  std::optional<PooledArrays> pooled;
  if (bytes >= kPooledBytes && !PyDataType_REFCHK(descr)) {
    pooled.emplace();
  }
  Py_INCREF(descr);  // PyArray_NewFromDescr takes ownership of a reference
  return Own(PyArray_NewFromDescr(&PyArray_Type, descr, static_cast<int>(shape.size()),
                                  shape.data(), nullptr, nullptr, 0, nullptr));
}

nb::object NewArray(int type_number, const Shape& shape) {
  return NewArray(PyArray_DescrFromType(type_number), shape);
}

nb::object CheckOut(PyObject* given, PyArray_Descr* descr, const Shape& shape,
                    const std::string& what) {
  nb::object owner = Borrow(given);
  if (!PyArray_Check(given) && PyObject_HasAttrString(given, "__dlpack__") != 0 &&
      PyObject_HasAttrString(given, "numpy") != 0) {
    owner = Own(PyObject_CallMethod(given, "numpy", nullptr));  // shares the memory of a tensor
  }
  if (!PyArray_Check(owner.ptr())) {
    Throw(PyExc_TypeError, what + " must be a NumPy array, not " + TypeName(given));
  }
  auto* array = reinterpret_cast<PyArrayObject*>(owner.ptr());
  if (PyArray_EquivTypes(PyArray_DESCR(array), descr) == 0) {
    Throw(PyExc_ValueError, what + ": expected dtype " + DescrText(descr) + " but found " +
                                DescrText(PyArray_DESCR(array)));
  }
  const int count = static_cast<int>(shape.size());
  if (PyArray_NDIM(array) != count ||
      !std::equal(shape.data(), shape.data() + count, PyArray_DIMS(array))) {
    Throw(PyExc_ValueError, what + ": expected shape " + ShapeText(count, shape.data()) +
                                " but found " +
                                ShapeText(PyArray_NDIM(array), PyArray_DIMS(array)));
  }
  if (!PyArray_ISCARRAY(array)) {
    Throw(PyExc_ValueError, what + ": expected a writable, C-contiguous array");
  }
  return owner;
}

// Arrays, ints and flat lists, the frequent inputs, are read without NumPy's conversion. That
// conversion also accepts objects that are certainly mistakes here, such as text, sets and bools,
// so these are refused before it.
Int64s::Int64s(PyObject* object, const char* what, PyObject* error) {
  if (PyArray_CheckExact(object)) {
    TakeArray(Borrow(object), what, error);
    return;
  }
  if (PyLong_Check(object) && !PyBool_Check(object)) {
    int overflow = 0;
    const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
    if (overflow != 0) {
      Throw(error, std::string(what) + " must fit in int64, not " + ShortRepr(object));
    }
    TakeScalar(value);
    return;
  }
  if (PyList_CheckExact(object) && TakeList(object)) {
    return;
  }
  if (object == Py_None || object == Py_Ellipsis || PyUnicode_Check(object) ||
      PyBytes_Check(object) || PyDict_Check(object) || PyAnySet_Check(object)) {
    RefuseInput(object, what);
  }
  if (PyBool_Check(object)) {
    Throw(PyExc_TypeError, std::string(what) + " must be ints, not a bool");
  }
  if (PyFloat_Check(object)) {
    Throw(error, std::string(what) + " must be ints, not the float " + ShortRepr(object));
  }
  nb::object array = Own(PyArray_FromAny(object, nullptr, 0, 0, 0, nullptr));
  if (PyArray_TYPE(reinterpret_cast<PyArrayObject*>(array.ptr())) == NPY_OBJECT) {
    if (PyIndex_Check(object)) {
      TakeScalar(AsInt64(object, what));
      return;
    }
    RefuseObjects(reinterpret_cast<PyArrayObject*>(array.ptr()), object, what, error);
  }
  if (PyArray_SIZE(reinterpret_cast<PyArrayObject*>(array.ptr())) == 0 && !PyArray_Check(object)) {
    array = Own(PyArray_Cast(reinterpret_cast<PyArrayObject*>(array.ptr()),
                             NPY_INT64));  // NumPy makes float64 of []
  }
  TakeArray(std::move(array), what, error);
}

Int64s::Int64s(std::vector<std::int64_t> values)
    : own_(std::move(values)), data_(own_.data()), size_(own_.size()) {}

void Int64s::TakeScalar(std::int64_t value) {
  one_ = value;
  data_ = &one_;
  size_ = 1;
  scalar_ = true;
}

// Reads a flat list of ints. Returns false for any other list, which is left to NumPy.
bool Int64s::TakeList(PyObject* list) {
  const Py_ssize_t count = PyList_GET_SIZE(list);
  own_.resize(static_cast<std::size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PyList_GET_ITEM(list, i);
    int overflow = 0;
    if (!PyLong_CheckExact(item)) {
      return false;
    }
    own_[static_cast<std::size_t>(i)] = PyLong_AsLongLongAndOverflow(item, &overflow);
    if (overflow != 0) {
      return false;
    }
  }
  data_ = own_.data();
  size_ = own_.size();
  return true;
}

void Int64s::TakeArray(nb::object given, const char* what, PyObject* error) {
  auto* array = reinterpret_cast<PyArrayObject*>(given.ptr());
  if (!PyArray_ISINTEGER(array)) {
    RefuseDtype(array, what, error);
  }
  // The conversion to int64 keeps the bits, so a uint64 from 2**63 on becomes negative.
  const bool wide_unsigned = PyArray_ISUNSIGNED(array) && PyArray_ITEMSIZE(array) == 8;
  if (PyArray_TYPE(array) != NPY_INT64 || !PyArray_ISCARRAY_RO(array)) {
    given = Own(PyArray_FromArray(
        array, PyArray_DescrFromType(NPY_INT64),
        NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED | NPY_ARRAY_FORCECAST));
    array = reinterpret_cast<PyArrayObject*>(given.ptr());
  }
  array_ = std::move(given);
  data_ = static_cast<const std::int64_t*>(PyArray_DATA(array));
  size_ = static_cast<std::size_t>(PyArray_SIZE(array));
  if (wide_unsigned &&
      std::any_of(data_, data_ + size_, [](std::int64_t value) { return value < 0; })) {
    Throw(error, std::string(what) + " must fit in int64 but one is larger than 2**63 - 1");
  }
}

Shape Int64s::shape() const {
  if (array_.is_valid()) {
    auto* array = reinterpret_cast<PyArrayObject*>(array_.ptr());
    return Shape(std::span<const npy_intp>(PyArray_DIMS(array),
                                           static_cast<std::size_t>(PyArray_NDIM(array))));
  }
  if (scalar_) {
    return Shape{};
  }
  return Shape{static_cast<npy_intp>(size_)};
}

std::int64_t* Int64s::MakePrivate() {
  if (scalar_) {
    return &one_;
  }
  if (data_ != own_.data()) {
    own_.assign(data_, data_ + size_);
    data_ = own_.data();
  }
  return own_.data();
}

}  // namespace stream_store::python
