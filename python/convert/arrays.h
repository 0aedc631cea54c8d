// NumPy arrays as outputs of a dtype and shape, and as int64 inputs of any shape.
//
// Used by all reads. Outputs own their memory, always.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "convert/assert.h"
#include "convert/python.h"

namespace stream_store::python {

/// Loads NumPy's function table; once, when the extension is imported.
void ImportNumpy();

/// A shape under construction: S, S + (width,), S + (length,) + item shape. Stored inside the
/// object, so that building one allocates nothing.
class Shape {
 public:
  // dimensions_ is not initialised, because most of its 64 entries are never used.
  // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init, modernize-use-equals-default)
  Shape() noexcept {}

  Shape(std::initializer_list<npy_intp> dimensions) {
    *this += std::span(dimensions.begin(), dimensions.size());
  }

  explicit Shape(std::span<const npy_intp> dimensions) { *this += dimensions; }

  // NOLINTEND(cppcoreguidelines-pro-type-member-init, modernize-use-equals-default)

  Shape& operator+=(npy_intp dimension) { return *this += std::span(&dimension, 1); }

  /// Throws ValueError if there would be more dimensions than NumPy supports.
  Shape& operator+=(std::span<const npy_intp> more);

  std::size_t size() const noexcept { return size_; }

  /// REQUIRES: axis < size()
  npy_intp operator[](std::size_t axis) const noexcept {
    STREAM_STORE_ASSERT(axis < size());
    return dimensions_[axis];
  }

  const npy_intp* data() const noexcept { return dimensions_.data(); }

  std::span<const npy_intp> dimensions() const noexcept { return {dimensions_.data(), size_}; }

  /// Product of the dimensions. Throws ValueError if an array of that many 8-byte items could not
  /// exist.
  std::uint64_t places() const;

 private:
  std::array<npy_intp, NPY_MAXDIMS> dimensions_;
  std::size_t size_ = 0;
};

/// A new array that owns its memory, not initialised. Takes ownership of a reference to `descr`.
/// Large arrays get recycled memory (block_pool.h).
nb::object NewArray(PyArray_Descr* descr, const Shape& shape);

/// The same for a NumPy type number such as NPY_INT64.
nb::object NewArray(int type_number, const Shape& shape);

inline void* DataOf(const nb::object& array) {
  return PyArray_DATA(reinterpret_cast<PyArrayObject*>(array.ptr()));
}

template <class T>
T* DataAs(const nb::object& array) {
  return static_cast<T*>(DataOf(array));
}

/// Returns the array `given` after the check that it can be filled in place of NewArray(descr,
/// shape): dtype, shape, C order, alignment, writable. A tensor is replaced by its numpy(), which
/// shares its memory, also if that is pinned. Throws ValueError or TypeError; `what` names the
/// argument.
nb::object CheckOut(PyObject* given, PyArray_Descr* descr, const Shape& shape,
                    const std::string& what);

/// Int64 inputs of any shape: positions, rows, starts, steps.
class Int64s {
 public:
  /// Reads an int, a list, an array of ints of any width and byte order, or any object that NumPy
  /// converts to such an array. Throws `error` for floats, masks and ints that int64 cannot hold,
  /// and TypeError for tuples, None, text and other objects; `what` names the argument.
  Int64s(PyObject* object, const char* what, PyObject* error = PyExc_IndexError);

  /// A list of these values.
  explicit Int64s(std::vector<std::int64_t> values);

  Int64s(const Int64s&) = delete;  // data_ may point into the object
  Int64s& operator=(const Int64s&) = delete;
  ~Int64s() = default;

  std::span<const std::int64_t> values() const noexcept { return {data_, size_}; }

  const std::int64_t* data() const noexcept { return data_; }

  std::size_t size() const noexcept { return size_; }

  Shape shape() const;

  /// Copies the values to private memory, so that no other thread can change them while the GIL is
  /// released. Returns that memory, which may be written to.
  std::int64_t* MakePrivate();

 private:
  void TakeScalar(std::int64_t value);
  bool TakeList(PyObject* list);
  void TakeArray(nb::object given, const char* what, PyObject* error);

  nb::object array_;               // the array that data_ points into, if it does
  std::vector<std::int64_t> own_;  // the memory that data_ points to otherwise
  std::int64_t one_ = 0;           // a single int, for which nothing is allocated
  const std::int64_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool scalar_ = false;
};

}  // namespace stream_store::python
