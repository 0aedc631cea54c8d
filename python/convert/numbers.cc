// ConvertNumbers(): the numbers of a list as int64 or float64 items. It is the inner loop of
// append.
//
// It runs no foreign code: only built-in numbers and NumPy scalars are read, whose memory layout is
// known. A list with any other object is left to the hooks.

#include <cmath>
#include <cstring>

#include "convert/value.h"

namespace stream_store::python {
namespace {

constexpr std::int64_t kExactInFloat64 = std::int64_t{1} << 53;

// The kind of number that an object was parsed as; kOther if it is left to the hooks.
enum class ParsedAs : std::uint8_t { kInt, kFloat, kOther };

template <class T>
T ScalarAs(PyObject* item) {
  T value{};
  PyArray_ScalarAsCtype(item, &value);
  return value;
}

// Parses a NumPy integer. uint64 is left to the hooks, because int64 cannot hold all of its values.
ParsedAs ParseInteger(PyObject* item, std::int64_t* integer) {
  PyArray_Descr* descr = PyArray_DescrFromScalar(item);
  const int type = descr->type_num;
  const npy_intp size = PyDataType_ELSIZE(descr);
  Py_DECREF(descr);
  const bool is_signed = PyTypeNum_ISSIGNED(type) != 0;
  if (!PyTypeNum_ISINTEGER(type) || (!is_signed && size == 8)) {
    return ParsedAs::kOther;
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
  return ParsedAs::kInt;
}

// Parses a NumPy scalar other than float64, which is a subclass of the Python float.
ParsedAs ParseScalar(PyObject* item, std::int64_t* integer, double* real) {
  if (PyArray_IsScalar(item, Float)) {
    const auto value = ScalarAs<float>(item);
    *real = static_cast<double>(value);
    // The conversion to double makes a signalling NaN quiet; the hook keeps the bits of every NaN.
    return std::isnan(value) ? ParsedAs::kOther : ParsedAs::kFloat;
  }
  if (PyArray_IsScalar(item, Bool)) {
    *integer = ScalarAs<npy_bool>(item) != 0 ? 1 : 0;
    return ParsedAs::kInt;
  }
  if (PyArray_IsScalar(item, SignedInteger) || PyArray_IsScalar(item, UnsignedInteger)) {
    return ParseInteger(item, integer);
  }
  return ParsedAs::kOther;
}

inline ParsedAs Parse(PyObject* item, std::int64_t* integer, double* real) {
  if (PyFloat_Check(item)) {
    *real = PyFloat_AS_DOUBLE(item);
    return ParsedAs::kFloat;
  }
  if (PyLong_Check(item)) {
    int overflow = 0;
    *integer = PyLong_AsLongLongAndOverflow(item, &overflow);
    return overflow == 0 ? ParsedAs::kInt : ParsedAs::kOther;
  }
  return ParseScalar(item, integer, real);
}

bool IsExact(std::int64_t integer) {
  return integer >= -kExactInFloat64 && integer <= kExactInFloat64;
}

// Continues a list of ints as floats from the first float on. items[0, done) are in `words` as
// ints; converts those and the rest to floats. Returns false if an int is not exact as a float:
// such a list is left to the hooks, which know which numbers the field accepts.
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
    const ParsedAs parsed = Parse(items[i], &integer, &real);
    if (parsed == ParsedAs::kOther || (parsed == ParsedAs::kInt && !IsExact(integer))) {
      return false;
    }
    put(i, parsed == ParsedAs::kInt ? static_cast<double>(integer) : real);
  }
  return true;
}

}  // namespace

std::optional<Numbers> ConvertNumbers(Arena& arena, PyObject* const* items, Py_ssize_t count) {
  // Lists of exact floats and of ints are by far the most frequent, so each has a loop of its own.
  // A list that mixes them starts over with the loop that handles both.
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
    const ParsedAs parsed = Parse(items[i], words + i, &real);
    if (parsed == ParsedAs::kOther) {
      return std::nullopt;
    }
    if (parsed == ParsedAs::kFloat) {
      return ContinueAsFloats(words, i, items, count)
                 ? std::optional(Numbers{Source::kFloat64, words})
                 : std::nullopt;
    }
  }
  return Numbers{Source::kInt64, words};
}

}  // namespace stream_store::python
