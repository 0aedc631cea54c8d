// NumPy arrays in and out: outputs of a dtype and shape, and int64 inputs of any shape.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "convert/python.h"

namespace stream_store::python {

/// Loads NumPy's function table; once, when the extension is imported.
void ImportNumpy();

/// A shape under construction: S, S + (width,), S + (length,) + item shape. Kept in place: making
/// one allocates nothing.
class Shape {
 public:
  // dimensions_ stays uninitialised: most of its 64 places are never used.
  // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init, modernize-use-equals-default)
  Shape() noexcept {}

  Shape(std::initializer_list<npy_intp> dimensions) {
    *this += std::span(dimensions.begin(), dimensions.size());
  }

  explicit Shape(std::span<const npy_intp> dimensions) { *this += dimensions; }

  // NOLINTEND(cppcoreguidelines-pro-type-member-init, modernize-use-equals-default)

  Shape& operator+=(npy_intp dimension) { return *this += std::span(&dimension, 1); }

  /// Throws ValueError past the dimensions that NumPy takes.
  Shape& operator+=(std::span<const npy_intp> more);

  std::size_t size() const noexcept { return size_; }

  npy_intp operator[](std::size_t axis) const noexcept { return dimensions_[axis]; }

  const npy_intp* data() const noexcept { return dimensions_.data(); }

  std::span<const npy_intp> dimensions() const noexcept { return {dimensions_.data(), size_}; }

  /// Product of the dimensions. Throws ValueError if an array of that many 8-byte items could not
  /// exist.
  std::uint64_t places() const;

 private:
  std::array<npy_intp, NPY_MAXDIMS> dimensions_;
  std::size_t size_ = 0;
};

/// A new uninitialised array that owns its memory; `descr` is taken over. Large ones get recycled
/// memory.
nb::object NewArray(PyArray_Descr* descr, const Shape& shape);

/// The same for 8-byte ints and for the other plain types.
nb::object NewArray(int type_number, const Shape& shape);

inline void* DataOf(const nb::object& array) {
  return PyArray_DATA(reinterpret_cast<PyArrayObject*>(array.ptr()));
}

template <class T>
T* DataAs(const nb::object& array) {
  return static_cast<T*>(DataOf(array));
}

/// Checks that `given` may be filled in place of NewArray(descr, shape) and returns it: dtype,
/// shape, C order, alignment, writable. `what` names it in the ValueError or TypeError. A tensor is
/// taken by its numpy(), which shares its memory (also pinned memory).
nb::object CheckOut(PyObject* given, PyArray_Descr* descr, const Shape& shape,
                    const std::string& what);

/// Int64 inputs of any shape: positions, rows, starts, steps.
class Int64s {
 public:
  /// Takes an int, a list, an array of ints of any width and order, or anything NumPy makes one of.
  /// `what` names it in errors: `error` for floats, masks and ints past 64 bits, TypeError for
  /// tuples, None, text and other objects.
  Int64s(PyObject* object, const char* what, PyObject* error = PyExc_IndexError);

  std::span<const std::int64_t> values() const noexcept { return {data_, size_}; }

  const std::int64_t* data() const noexcept { return data_; }

  std::size_t size() const noexcept { return size_; }

  Shape shape() const;

  bool is_scalar() const noexcept { return scalar_; }

  /// Makes the values private memory, so that no other thread can change them while the GIL is
  /// released, and gives them to write to.
  std::int64_t* MakePrivate();

 private:
  void TakeScalar(std::int64_t value);
  bool TakeList(PyObject* list);
  void TakeArray(nb::object given, const char* what, PyObject* error);

  nb::object array_;               // owns data_, if it is NumPy's
  std::vector<std::int64_t> own_;  // owns data_, if it is ours
  std::int64_t one_ = 0;
  const std::int64_t* data_ = nullptr;
  std::size_t size_ = 0;
  bool scalar_ = false;
};

}  // namespace stream_store::python
