// Python objects to nested blocks.
//
// Values of exact built-in types and NumPy scalars are converted here if they are valid. Every other
// value goes to the Python function of the node, which converts it or explains what is wrong. Foreign
// code may run there, so lists are read by index, and their items are held meanwhile.

#include <cmath>
#include <cstring>
#include <limits>

#include <nanobind/stl/string.h>

#include "convert/arrays.h"
#include "convert/nested.h"
#include "convert/value.h"

namespace stream_store::python {
namespace {

constexpr double kFloat16Limit = 65520;  // rounds to infinity, as all that is larger
constexpr std::int64_t kExactFloat = std::int64_t{1} << 53;

// Whether a float of `bytes` bytes can hold the number: it may be rounded, but not to infinity.
bool FitsFloat(double real, std::uint32_t bytes) {
  if (bytes == 8 || !std::isfinite(real)) {
    return true;
  }
  return bytes == 4 ? std::isfinite(static_cast<float>(real)) : std::fabs(real) < kFloat16Limit;
}

// Replaces int64s by the items of an integer or bool leaf, in place: item i is never after int64 i.
// Little-endian, so the item is the first bytes of the int64. Returns false if one is out of range.
bool NarrowInts(const CellNode& node, std::byte* words, Py_ssize_t count) {
  for (Py_ssize_t i = 0; i < count; ++i) {
    std::int64_t integer = 0;
    std::memcpy(&integer, words + 8 * i, sizeof(integer));
    if (integer < node.lowest || integer > node.highest) {
      return false;
    }
    std::memcpy(words + i * static_cast<Py_ssize_t>(node.size), &integer, node.size);
  }
  return true;
}

// The number at place i as a float; NaN if it is an int that no float holds exactly.
double RealAt(Source source, const std::byte* words, Py_ssize_t i) {
  double real = 0;
  if (source == Source::kFloat64) {
    std::memcpy(&real, words + 8 * i, sizeof(real));
    return real;
  }
  std::int64_t integer = 0;
  std::memcpy(&integer, words + 8 * i, sizeof(integer));
  const bool exact = integer <= kExactFloat && integer >= -kExactFloat;
  return exact ? static_cast<double>(integer) : std::numeric_limits<double>::quiet_NaN();
}

// The same for the items of float32 and float64. NaN and float16 are left to the encoder, which
// keeps the bits of a NaN.
bool NarrowFloats(const CellNode& node, Source source, std::byte* words, Py_ssize_t count) {
  if (node.size == 8 && source == Source::kFloat64) {
    return true;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    const double real = RealAt(source, words, i);
    if (node.size == 2 || std::isnan(real) || !FitsFloat(real, node.size)) {
      return false;
    }
    if (node.size == 8) {
      std::memcpy(words + 8 * i, &real, sizeof(real));
    } else {
      const auto narrow = static_cast<float>(real);
      std::memcpy(words + 4 * i, &narrow, sizeof(narrow));
    }
  }
  return true;
}

bool IsNumber(CellKind kind) {
  return kind == CellKind::kBool || kind == CellKind::kInt || kind == CellKind::kUInt64 ||
         kind == CellKind::kFloat;
}

}  // namespace

std::string CellWriter::Place() const {
  return cell.title() + ": " + cell.name() + encoder.Place();
}

void CellWriter::Refuse(PyObject* type, const char* expected, PyObject* value) const {
  // Not ShortRepr(), which would write the whole of a large cell.
  const nb::object found = CallHook("short_text", value);
  Throw(type, Place() + ": expected " + expected + " but found " +
                  std::string(AsText(found.ptr(), "a text")));
}

void CellWriter::Write(const CellNode& node, PyObject* value) const {
  if (value == Py_None) {
    if (!node.nullable) {
      Refuse(PyExc_ValueError, "a value, because the type says \"not null\",", value);
    }
    encoder.Null();
    return;
  }
  switch (node.kind) {
    case CellKind::kList:
      WriteList(node, value);
      break;
    case CellKind::kMap:
      WriteMap(node, value);
      break;
    case CellKind::kStruct:
      WriteStruct(node, value);
      break;
    case CellKind::kNull:
      Refuse(PyExc_ValueError, "None", value);
    default:
      if (!WriteFast(node, value)) {
        WriteThroughHook(node, value);
      }
  }
}

// --- lists ---

void CellWriter::WriteList(const CellNode& node, PyObject* value) const {
  const CellNode& item = node.children[0];
  nb::object items = Borrow(value);
  if (!PyList_CheckExact(value) && !PyTuple_CheckExact(value) && !PyArray_CheckExact(value)) {
    const nb::object place = nb::cast(Place());
    items = CallHook("nested_items", value, place.ptr());
    if (items.is_none()) {
      return Write(node, Py_None);
    }
  }
  if (!PyArray_Check(items.ptr())) {
    return WriteItems(item, items.ptr());
  }
  auto* array = reinterpret_cast<PyArrayObject*>(items.ptr());
  if (PyArray_NDIM(array) == 0) {
    Refuse(PyExc_TypeError, "a list", value);
  }
  WriteArray(item, array);
}

void CellWriter::WriteItems(const CellNode& item, PyObject* list) const {
  encoder.BeginList();
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  const bool written = IsNumber(item.kind) && WriteNumbers(item, list);
  for (Py_ssize_t i = 0; i < count && !written; ++i) {
    if (i >= PySequence_Fast_GET_SIZE(list)) {
      Throw(PyExc_ValueError,
            Place() + ": the list changed its length while its items were converted");
    }
    const nb::object value = Borrow(PySequence_Fast_GET_ITEM(list, i));
    Write(item, value.ptr());
  }
  encoder.EndList();
}

// Writes a list of plain numbers at once. Returns false, and writes nothing, if it has any other
// item or a number out of range.
bool CellWriter::WriteNumbers(const CellNode& item, PyObject* list) const {
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  if (count < 2) {
    return false;
  }
  const std::optional<Numbers> numbers = ConvertNumbers(arena, PySequence_Fast_ITEMS(list), count);
  if (!numbers) {
    return false;
  }
  // The numbers are in memory of the arena that nothing else uses.
  auto* words = static_cast<std::byte*>(const_cast<void*>(numbers->data));
  const bool fits = item.kind == CellKind::kFloat
                        ? NarrowFloats(item, numbers->source, words, count)
                        : numbers->source == Source::kInt64 && NarrowInts(item, words, count);
  if (fits) {
    encoder.Items(words, static_cast<std::uint64_t>(count));
  }
  return fits;
}

// The first dimension of an array is this list; the others are the lists inside it.
void CellWriter::WriteArray(const CellNode& item, PyArrayObject* array) const {
  encoder.BeginList();
  if (PyArray_NDIM(array) > 1 || !WriteArrayItems(item, array)) {
    auto* sequence = reinterpret_cast<PyObject*>(array);
    for (npy_intp i = 0; i < PyArray_DIM(array, 0); ++i) {
      const nb::object value = Own(PySequence_GetItem(sequence, i));
      Write(item, value.ptr());
    }
  }
  encoder.EndList();
}

// Writes a one-dimensional array at once if its items have the layout of the leaf, or the leaf's
// function converts them. Returns false, and writes nothing, if neither is so.
bool CellWriter::WriteArrayItems(const CellNode& item, PyArrayObject* array) const {
  if (!item.is_leaf() || item.descr.is_none() || PyArray_TYPE(array) == NPY_OBJECT) {
    return false;
  }
  nb::object items;
  if (item.kind != CellKind::kCount &&
      PyArray_EquivTypes(PyArray_DESCR(array),
                         reinterpret_cast<PyArray_Descr*>(item.descr.ptr())) != 0) {
    items = Contiguous(reinterpret_cast<PyObject*>(array));
  } else {
    items = Own(PyObject_CallOneArg(item.convert.ptr(), reinterpret_cast<PyObject*>(array)));
    if (items.is_none()) {
      return false;  // an item is not valid, which is reported with its place
    }
  }
  auto* converted = reinterpret_cast<PyArrayObject*>(items.ptr());
  encoder.Items(PyArray_DATA(converted), static_cast<std::uint64_t>(PyArray_SIZE(converted)));
  return true;
}

// --- maps and structs ---

// A map is a dict, or a list of entries: pairs of a key and a value.
void CellWriter::WriteMap(const CellNode& node, PyObject* value) const {
  const CellNode& entry = node.children[0];
  const nb::object place = nb::cast(Place());
  const nb::object pairs = CallHook("nested_entries", value, place.ptr());
  if (pairs.is_none()) {
    return Write(node, Py_None);
  }
  encoder.BeginList();
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pairs.ptr()); ++i) {
    const nb::object pair = Borrow(PyList_GET_ITEM(pairs.ptr(), i));
    if (PyDict_Check(pair.ptr()) || pair.is_none()) {
      Write(entry, pair.ptr());
      continue;
    }
    if (!PyTuple_Check(pair.ptr()) || PyTuple_GET_SIZE(pair.ptr()) != 2) {
      Refuse(PyExc_TypeError, "a pair of a key and a value", pair.ptr());
    }
    encoder.BeginStruct();
    Write(entry.children[0], PyTuple_GET_ITEM(pair.ptr(), 0));
    Write(entry.children[1], PyTuple_GET_ITEM(pair.ptr(), 1));
    encoder.EndStruct();
  }
  encoder.EndList();
}

void CellWriter::WriteStruct(const CellNode& node, PyObject* value) const {
  if (PyDict_CheckExact(value)) {
    return WriteDict(node, value);
  }
  const nb::object place = nb::cast(Place());
  const nb::object dict = CallHook("nested_mapping", value, place.ptr());
  if (dict.is_none()) {
    return Write(node, Py_None);
  }
  WriteDict(node, dict.ptr());
}

// Missing keys are null. Foreign code in the conversion of a value may change the dict, so every
// value is held meanwhile.
void CellWriter::WriteDict(const CellNode& node, PyObject* dict) const {
  std::vector<nb::object> values(node.children.size());
  Py_ssize_t found = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    PyObject* value = PyDict_GetItemWithError(dict, node.keys[i].ptr());
    if (value == nullptr && PyErr_Occurred() != nullptr) {
      nb::raise_python_error();
    }
    found += value != nullptr ? 1 : 0;
    values[i] = Borrow(value == nullptr ? Py_None : value);
  }
  if (found < PyDict_Size(dict)) {
    const nb::object names = Own(PyTuple_New(static_cast<Py_ssize_t>(node.keys.size())));
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
      PyTuple_SET_ITEM(names.ptr(), static_cast<Py_ssize_t>(i),
                       Borrow(node.keys[i].ptr()).release().ptr());
    }
    const nb::object place = nb::cast(Place());
    CallHook("nested_keys", dict, names.ptr(), place.ptr());  // raises for an unknown key
  }
  encoder.BeginStruct();
  for (std::size_t i = 0; i < values.size(); ++i) {
    Write(node.children[i], values[i].ptr());
  }
  encoder.EndStruct();
}

// --- leaves ---

bool CellWriter::WriteFast(const CellNode& node, PyObject* value) const {
  if (node.kind == CellKind::kText && PyUnicode_CheckExact(value)) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(value, &size);
    if (text == nullptr) {
      PyErr_Clear();  // a lone surrogate, which the hook reports better
      return false;
    }
    encoder.Text({text, static_cast<std::size_t>(size)});
    return true;
  }
  if (node.kind == CellKind::kBytes && PyBytes_CheckExact(value)) {
    const auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(value));
    if (node.size != 0 && size != node.size) {
      return false;
    }
    encoder.Text({PyBytes_AS_STRING(value), size});
    return true;
  }
  return IsNumber(node.kind) && WriteNumber(node, value);
}

bool CellWriter::WriteNumber(const CellNode& node, PyObject* value) const {
  if (!PyFloat_Check(value) && !PyLong_Check(value) && !PyArray_IsScalar(value, Number) &&
      !PyArray_IsScalar(value, Bool)) {
    return false;
  }
  const std::optional<Numbers> number = ConvertNumbers(arena, &value, 1);
  if (!number) {
    return false;
  }
  const auto* word = static_cast<const std::byte*>(number->data);
  if (node.kind == CellKind::kFloat) {
    const bool integer = number->source == Source::kInt64;  // NaN if it is not exact
    const double real = RealAt(number->source, word, 0);
    if ((integer && std::isnan(real)) || !FitsFloat(real, node.size)) {
      return false;
    }
    encoder.Float(real);
    return true;
  }
  return number->source == Source::kInt64 && WriteInteger(node, word);
}

bool CellWriter::WriteInteger(const CellNode& node, const std::byte* word) const {
  std::int64_t integer = 0;
  std::memcpy(&integer, word, sizeof(integer));
  if (integer < node.lowest || integer > node.highest) {
    return false;
  }
  if (node.kind == CellKind::kBool) {
    encoder.Bool(integer != 0);
  } else if (node.kind == CellKind::kUInt64) {
    encoder.UInt(static_cast<std::uint64_t>(integer));
  } else {
    encoder.Int(integer);
  }
  return true;
}

// The function of the leaf returns an int, a float or bytes, or None for a null of another library.
void CellWriter::WriteThroughHook(const CellNode& node, PyObject* value) const {
  const nb::object place = nb::cast(Place());
  const nb::object made =
      Own(PyObject_CallFunctionObjArgs(node.encode.ptr(), value, place.ptr(), nullptr));
  if (made.is_none()) {
    Write(node, Py_None);
  } else if (PyBytes_Check(made.ptr())) {
    const std::string_view bytes(PyBytes_AS_STRING(made.ptr()),
                                 static_cast<std::size_t>(PyBytes_GET_SIZE(made.ptr())));
    if (node.kind == CellKind::kOther || node.kind == CellKind::kFloat) {
      encoder.Item(std::as_bytes(std::span(bytes)));
    } else {
      encoder.Text(bytes);
    }
  } else if (node.kind == CellKind::kBool) {
    encoder.Bool(PyObject_IsTrue(made.ptr()) == 1);
  } else if (node.kind == CellKind::kUInt64) {
    encoder.UInt(nb::cast<std::uint64_t>(made));
  } else {
    encoder.Int(nb::cast<std::int64_t>(made));
  }
}

}  // namespace stream_store::python
