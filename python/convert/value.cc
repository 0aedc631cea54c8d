// Chooses the conversion of each Python value by its type and that of the field; see value.h.

#include "convert/value.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "convert/arrays.h"
#include "convert/errors.h"

namespace stream_store::python {
namespace {

std::string DimensionsText(PyArrayObject* array) {
  std::string text = "(";
  for (int i = 0; i < PyArray_NDIM(array); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(PyArray_DIM(array, i));
  }
  return text + (PyArray_NDIM(array) == 1 ? ",)" : ")");
}

std::span<const npy_intp> DimensionsOf(PyArrayObject* array) {
  return {PyArray_DIMS(array), static_cast<std::size_t>(PyArray_NDIM(array))};
}

[[noreturn]] void ThrowShape(const FieldInfo& field, PyArrayObject* array) {
  std::string expected;
  if (field.dimensions() == 0) {
    expected = "() or (1,)";
  } else {
    expected = field.ragged ? "(any length" : "(";
    for (std::size_t i = 0; i < field.shape.size(); ++i) {
      expected += (i > 0 || field.ragged ? ", " : "") + std::to_string(field.shape[i]);
    }
    expected += field.dimensions() == 1 ? ",)" : ")";
  }
  Throw(PyExc_ValueError, "field " + field.text + ": expected shape " + expected +
                              " but found an array of shape " + DimensionsText(array));
}

nb::object Encode(const Conversion& conversion, TypeId type, PyObject* value) {
  const nb::object hold = Borrow(value);  // the hook may remove it from the list it came from
  const nb::object number = Own(PyLong_FromLong(type));
  return CallHook("encode", conversion.self, number.ptr(), value);
}

FieldWrite ThroughHook(const Conversion& conversion, TypeId type, PyObject* value) {
  return ConvertPlain(conversion, type, Encode(conversion, type, value));
}

// An array of numbers is passed on where it lies, unless it must be made contiguous.
FieldWrite ConvertArray(const Conversion& conversion, TypeId type, PyObject* value) {
  const FieldInfo& field = conversion.fields[type];
  auto* array = reinterpret_cast<PyArrayObject*>(value);
  const std::optional<Source> source = SourceOfArray(array);
  if (!source || !TakesPlainNumbers(field)) {
    return ThroughHook(conversion, type, value);
  }
  if (!FitsShape(field, DimensionsOf(array))) {
    ThrowShape(field, array);
  }
  nb::object items = Contiguous(value);
  auto* contiguous = reinterpret_cast<PyArrayObject*>(items.ptr());
  const FieldWrite write(type, *source, PyArray_DATA(contiguous),
                         static_cast<std::uint64_t>(PyArray_SIZE(contiguous)));
  conversion.scratch.kept.push_back(std::move(items));
  return write;
}

FieldWrite ConvertList(const Conversion& conversion, TypeId type, PyObject* list) {
  const FieldInfo& field = conversion.fields[type];
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  if (field.dimensions() <= 1 && TakesPlainNumbers(field)) {
    const std::optional<Numbers> numbers =
        ConvertNumbers(conversion.scratch.arena, PySequence_Fast_ITEMS(list), count);
    if (numbers && (field.dimensions() == 1 || count == 1)) {
      return {type, numbers->source, numbers->data, static_cast<std::uint64_t>(count)};
    }
  }
  return ThroughHook(conversion, type, list);
}

// A str or bytes that needs no conversion. Subclasses go to the hook, because they may override
// methods. The object is kept alive, because the FieldWrite points into it.
std::optional<FieldWrite> ConvertText(const Conversion& conversion, TypeId type, PyObject* value) {
  const FieldInfo& field = conversion.fields[type];
  if (field.kind == ValueKind::kText && PyUnicode_CheckExact(value)) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == nullptr) {
      PyErr_Clear();  // a lone surrogate, which the hook reports better
      return std::nullopt;
    }
    conversion.scratch.kept.push_back(Borrow(value));
    return FieldWrite(type, Source::kBytes, text, static_cast<std::uint64_t>(size));
  }
  if (field.kind == ValueKind::kBytes && PyBytes_CheckExact(value) &&
      field.dtype == DType::kBinary) {
    conversion.scratch.kept.push_back(Borrow(value));
    return FieldWrite(type, Source::kBytes, PyBytes_AS_STRING(value),
                      static_cast<std::uint64_t>(PyBytes_GET_SIZE(value)));
  }
  return std::nullopt;
}

// The block of a nested cell.
FieldWrite ConvertCell(const Conversion& conversion, TypeId type, PyObject* value) {
  const FieldInfo& field = conversion.fields[type];
  nb::object stored = Borrow(value);
  if (field.encodes) {
    const nb::object number = Own(PyLong_FromLong(type));
    stored = CallHook("encode_feature", conversion.self, number.ptr(), value);
  }
  const std::string_view block = field.nested->Encode(stored.ptr(), conversion.scratch.arena);
  return {type, Source::kBytes, block.data(), block.size()};
}

// A single number: float, int, bool or NumPy scalar. The most frequent values come first.
std::optional<FieldWrite> ConvertNumber(const Conversion& conversion, TypeId type,
                                        PyObject* value) {
  if (PyFloat_CheckExact(value)) {
    return FieldWrite(type, PyFloat_AS_DOUBLE(value));
  }
  if (PyBool_Check(value)) {
    return FieldWrite(type, value == Py_True);
  }
  if (!PyLong_Check(value) && !PyArray_IsScalar(value, Number) && !PyArray_IsScalar(value, Bool)) {
    return std::nullopt;
  }
  const std::optional<Numbers> number = ConvertNumbers(conversion.scratch.arena, &value, 1);
  if (!number) {
    return std::nullopt;
  }
  return FieldWrite(type, number->source, number->data, 1);
}

// The number of a class. It is checked here, because the number of classes is known only to Python.
// Negative numbers stand for a label that is missing or ignored.
std::optional<FieldWrite> ConvertLabel(const Conversion& conversion, TypeId type, PyObject* value) {
  const FieldInfo& field = conversion.fields[type];
  if (field.class_count < 0 || !PyLong_CheckExact(value) || field.dimensions() > 1) {
    return std::nullopt;
  }
  int overflow = 0;
  const long long label = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow != 0 || label >= field.class_count) {
    return std::nullopt;
  }
  return FieldWrite(type, std::int64_t{label});
}

}  // namespace

// The frequent types are tested first, and only exact types: a subclass may override methods, so it
// is left to the hook.
FieldWrite ConvertValue(const Conversion& conversion, TypeId type, PyObject* value) {
  const FieldInfo& field = conversion.fields[type];
  if (field.hidden) {
    return {type, Source::kWords, nullptr, 0};  // a marker has no values, it is only present
  }
  if (field.kind == ValueKind::kNested) {
    return ConvertCell(conversion, type, value);
  }
  if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
    return ConvertList(conversion, type, value);
  }
  if (TakesPlainNumbers(field)) {
    if (field.dimensions() <= 1) {
      if (const std::optional<FieldWrite> write = ConvertNumber(conversion, type, value)) {
        return *write;
      }
    }
    if (PyArray_CheckExact(value)) {
      return ConvertArray(conversion, type, value);
    }
  } else if (field.is_text() && !field.encodes) {
    if (const std::optional<FieldWrite> write = ConvertText(conversion, type, value)) {
      return *write;
    }
  } else if (const std::optional<FieldWrite> write = ConvertLabel(conversion, type, value)) {
    return *write;
  }
  return ThroughHook(conversion, type, value);
}

FieldWrite ConvertPlain(const Conversion& conversion, TypeId type, const nb::object& plain) {
  const FieldInfo& field = conversion.fields[type];
  conversion.scratch.kept.push_back(plain);
  if (PyBytes_Check(plain.ptr())) {
    return {type, Source::kBytes, PyBytes_AS_STRING(plain.ptr()),
            static_cast<std::uint64_t>(PyBytes_GET_SIZE(plain.ptr()))};
  }
  std::optional<Source> source;
  if (PyArray_Check(plain.ptr())) {
    source = SourceOfArray(reinterpret_cast<PyArrayObject*>(plain.ptr()));
  }
  if (!source) {
    Throw(PyExc_TypeError,
          "field " + field.text +
              ": expected its encoding as an array of numbers or bytes but found " +
              TypeName(plain.ptr()));
  }
  conversion.scratch.kept.push_back(Contiguous(plain.ptr()));
  auto* array = reinterpret_cast<PyArrayObject*>(conversion.scratch.kept.back().ptr());
  return {type, field.kind == ValueKind::kDecimal ? Source::kWords : *source, PyArray_DATA(array),
          static_cast<std::uint64_t>(PyArray_SIZE(array))};
}

bool FitsShape(const FieldInfo& field, std::span<const npy_intp> dimensions) noexcept {
  if (field.dimensions() <= 1) {
    return dimensions.empty() ||
           (dimensions.size() == 1 && (field.dimensions() == 1 || dimensions[0] == 1));
  }
  return dimensions.size() == field.dimensions() &&
         std::equal(field.shape.begin(), field.shape.end(),
                    dimensions.data() + (field.ragged ? 1 : 0));
}

std::optional<Source> SourceOfArray(PyArrayObject* array) {
  const int type = PyArray_TYPE(array);
  const bool is_signed = PyTypeNum_ISSIGNED(type) != 0;
  if (PyTypeNum_ISBOOL(type)) {
    return Source::kBool;
  }
  if (PyTypeNum_ISINTEGER(type)) {
    switch (PyArray_ITEMSIZE(array)) {
      case 1:
        return is_signed ? Source::kInt8 : Source::kUInt8;
      case 2:
        return is_signed ? Source::kInt16 : Source::kUInt16;
      case 4:
        return is_signed ? Source::kInt32 : Source::kUInt32;
      case 8:
        return is_signed ? Source::kInt64 : Source::kUInt64;
      default:
        return std::nullopt;
    }
  }
  switch (type) {
    case NPY_HALF:
      return Source::kFloat16;
    case NPY_FLOAT:
      return Source::kFloat32;
    case NPY_DOUBLE:
      return Source::kFloat64;
    default:
      return std::nullopt;
  }
}

nb::object Contiguous(PyObject* value) {
  auto* array = reinterpret_cast<PyArrayObject*>(value);
  if (PyArray_ISCARRAY_RO(array)) {
    return Borrow(value);
  }
  PyArray_Descr* native = PyArray_DescrNewByteorder(PyArray_DESCR(array), NPY_NATIVE);
  if (native == nullptr) {
    nb::raise_python_error();
  }
  return Own(PyArray_FromArray(array, native,
                               NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED | NPY_ARRAY_NOTSWAPPED));
}

}  // namespace stream_store::python
