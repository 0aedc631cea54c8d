// Lists of numbers -> int64 or float64 items: the inner loop of append.
//
// Nothing here runs foreign code: exact types and NumPy scalars are read where they lie.

#include <cmath>
#include <cstring>

#include "convert/value.h"

namespace stream_store::python {
namespace {

constexpr std::int64_t kExactInFloat64 = std::int64_t{1} << 53;

enum class Taken : std::uint8_t { kInt, kFloat, kNeither };

template <class T>
T ScalarAs(PyObject* item) {
  T value{};
  PyArray_ScalarAsCtype(item, &value);
  return value;
}

// A NumPy integer; one that int64 may not hold is left to others.
Taken TakeInteger(PyObject* item, std::int64_t* integer) {
  PyArray_Descr* descr = PyArray_DescrFromScalar(item);
  const int type = descr->type_num;
  const npy_intp size = PyDataType_ELSIZE(descr);
  Py_DECREF(descr);
  const bool is_signed = PyTypeNum_ISSIGNED(type) != 0;
  if (!PyTypeNum_ISINTEGER(type) || (!is_signed && size == 8)) {
    return Taken::kNeither;
  }
  switch (size) {
    case 8:
      *integer = ScalarAs<std::int64_t>(item);
      break;
    case 4:
      *integer = is_signed ? std::int64_t{ScalarAs<std::int32_t>(item)}
                           : std::int64_t{ScalarAs<std::uint32_t>(item)};
      break;
    case 2:
      *integer = is_signed ? std::int64_t{ScalarAs<std::int16_t>(item)}
                           : std::int64_t{ScalarAs<std::uint16_t>(item)};
      break;
    default:
      *integer = is_signed ? std::int64_t{ScalarAs<std::int8_t>(item)}
                           : std::int64_t{ScalarAs<std::uint8_t>(item)};
  }
  return Taken::kInt;
}

// A NumPy scalar other than float64, which is a Python float.
Taken TakeScalar(PyObject* item, std::int64_t* integer, double* real) {
  if (PyArray_IsScalar(item, Float)) {
    const auto value = ScalarAs<float>(item);
    *real = static_cast<double>(value);
    return std::isnan(value) ? Taken::kNeither
                             : Taken::kFloat;  // the hook keeps the bits of every NaN
  }
  if (PyArray_IsScalar(item, Bool)) {
    *integer = ScalarAs<npy_bool>(item) != 0 ? 1 : 0;
    return Taken::kInt;
  }
  if (PyArray_IsScalar(item, SignedInteger) || PyArray_IsScalar(item, UnsignedInteger)) {
    return TakeInteger(item, integer);
  }
  return Taken::kNeither;
}

inline Taken Take(PyObject* item, std::int64_t* integer, double* real) {
  if (PyFloat_Check(item)) {
    *real = PyFloat_AS_DOUBLE(item);
    return Taken::kFloat;
  }
  if (PyLong_Check(item)) {
    int overflow = 0;
    *integer = PyLong_AsLongLongAndOverflow(item, &overflow);
    return overflow == 0 ? Taken::kInt : Taken::kNeither;
  }
  return TakeScalar(item, integer, real);
}

bool IsExact(std::int64_t integer) {
  return integer >= -kExactInFloat64 && integer <= kExactInFloat64;
}

// items[0, done) are in `words` as ints; turns them and the rest into floats. False where that
// would lose bits.
bool ContinueAsFloats(std::int64_t* words, Py_ssize_t done, PyObject* const* items,
                      Py_ssize_t count) {
  const auto put = [words](Py_ssize_t place, double real) {
    std::memcpy(words + place, &real, sizeof(real));
  };
  for (Py_ssize_t i = 0; i < done; ++i) {
    if (!IsExact(words[i])) {
      return false;
    }
    put(i, static_cast<double>(words[i]));
  }
  for (Py_ssize_t i = done; i < count; ++i) {
    std::int64_t integer = 0;
    double real = 0;
    const Taken taken = Take(items[i], &integer, &real);
    if (taken == Taken::kNeither || (taken == Taken::kInt && !IsExact(integer))) {
      return false;
    }
    put(i, taken == Taken::kInt ? static_cast<double>(integer) : real);
  }
  return true;
}

}  // namespace

std::optional<Numbers> ConvertNumbers(Arena& arena, PyObject* const* items, Py_ssize_t count) {
  auto* words = arena.Take<std::int64_t>(static_cast<std::size_t>(count));
  Py_ssize_t i = 0;
  for (; i < count && PyFloat_CheckExact(items[i]); ++i) {
    const double real = PyFloat_AS_DOUBLE(items[i]);
    std::memcpy(words + i, &real, sizeof(real));
  }
  if (i == count && count > 0) {
    return Numbers{Source::kFloat64, words};
  }
  if (i > 0) {
    return ContinueAsFloats(words, 0, items, count)
               ? std::optional(Numbers{Source::kFloat64, words})
               : std::nullopt;
  }
  for (; i < count; ++i) {
    double real = 0;
    const Taken taken = Take(items[i], words + i, &real);
    if (taken == Taken::kNeither) {
      return std::nullopt;
    }
    if (taken == Taken::kFloat) {
      return ContinueAsFloats(words, i, items, count)
                 ? std::optional(Numbers{Source::kFloat64, words})
                 : std::nullopt;
    }
  }
  return Numbers{Source::kInt64, words};
}

}  // namespace stream_store::python
