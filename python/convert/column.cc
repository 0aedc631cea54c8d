// Columns: arrays are passed to C++ without a copy; lists are gathered into items, offsets and a
// mask of the rows with a value.

#include "convert/column.h"

#include <algorithm>
#include <cstring>

#include "convert/arrays.h"
#include "convert/assert.h"
#include "convert/widen.h"

namespace stream_store::python {
namespace {

// One number as a Python object, for a message.
nb::object NumberObject(Source source, const std::byte* item) {
  std::int64_t integer = 0;
  auto* out = reinterpret_cast<std::byte*>(&integer);
  if (ConvertItems(Source::kInt64, source, item, 1, out) == 1) {
    return Own(PyLong_FromLongLong(integer));
  }
  double real = 0;
  (void)ConvertItems(Source::kFloat64, source, item, 1, reinterpret_cast<std::byte*>(&real));
  return Own(PyFloat_FromDouble(real));
}

// Throws the error for a number of row `row` that no item of an integer field can hold.
[[noreturn]] void ThrowNumber(const FieldInfo& field, std::size_t row, Source source,
                              const std::byte* item) {
  Throw(PyExc_ValueError, "field " + field.text + ": row " + std::to_string(row) +
                              ": expected an integer within the range of the field but found " +
                              ShortRepr(NumberObject(source, item).ptr()));
}

// Throws the error that is being handled again, with the row after the name of the field:
// "field 'obs' (float32[2]): row 3: expected …". Errors other than ValueError and TypeError, such
// as MemoryError and KeyboardInterrupt, are passed on unchanged.
[[noreturn]] void ThrowInRow(const nb::python_error& error, const FieldInfo& field,
                             std::size_t row) {
  const bool is_value = error.matches(PyExc_ValueError);
  if (!is_value && !error.matches(PyExc_TypeError)) {
    throw;
  }
  const nb::object shown = Own(PyObject_Str(error.value().ptr()));
  std::string text(AsText(shown.ptr(), "a message"));
  const std::string in_row = "row " + std::to_string(row) + ": ";
  const std::size_t place = text.starts_with("field ") ? text.find("): ") : std::string::npos;
  if (place != std::string::npos) {
    text.insert(place + 3, in_row);
  } else {
    text = "field " + field.text + ": " + in_row + text;
  }
  Throw(is_value ? PyExc_ValueError : PyExc_TypeError, text);
}

// The dimensions of one row of a column. REQUIRES: PyArray_NDIM(array) > 0
std::span<const npy_intp> RowDimensions(PyArrayObject* array) {
  STREAM_STORE_ASSERT(PyArray_NDIM(array) > 0);
  return {PyArray_DIMS(array) + 1, static_cast<std::size_t>(PyArray_NDIM(array) - 1)};
}

}  // namespace

// Tries the conversions from the fastest to the slowest: an array as it is, an array made by the
// hook, a list of plain numbers, and any other list item by item.
ColumnData::ColumnData(const Conversion& conversion, TypeId type, PyObject* object) : type_(type) {
  const FieldInfo& field = conversion.fields[type];
  if (field.hidden) {
    TakeMarker(object);
    return;
  }
  nb::object given = Borrow(object);
  if (!PyArray_CheckExact(object) && !PyList_CheckExact(object) && !PyTuple_CheckExact(object)) {
    const nb::object number = Own(PyLong_FromLong(type));
    given = CallHook("column", conversion.self, number.ptr(), object);
    if (PyTuple_Check(given.ptr())) {
      TakeParts(conversion, given.ptr());
      return;
    }
  }
  if (PyArray_Check(given.ptr())) {
    if (TakeArray(conversion, given)) {
      return;
    }
    const nb::object number = Own(PyLong_FromLong(type));
    given = CallHook("array_column", conversion.self, number.ptr(), given.ptr());
    if (PyTuple_Check(given.ptr())) {
      TakeParts(conversion, given.ptr());
      return;
    }
  }
  if (!PyList_Check(given.ptr()) && !PyTuple_Check(given.ptr())) {
    Throw(PyExc_TypeError,
          "field " + field.text +
              ": a column must be an array or a list with a value for each row, not " +
              TypeName(object));
  }
  if (!TakeNumbers(conversion, given.ptr())) {
    TakeList(conversion, given.ptr());
  }
}

Column ColumnData::column() const noexcept {
  Column column;
  column.type = type_;
  column.source = source_;
  column.data = data_;
  column.row_items = row_items_;
  column.offsets = offsets_.empty() ? nullptr : offsets_.data();
  column.present = present_.empty() ? nullptr : present_.data();
  return column;
}

// Takes the presence of a marker from the hook, as bytes. Where it is present, the marker is a
// field-write without values.
void ColumnData::TakeMarker(PyObject* present) {
  TakePresent(present);
  rows_ = present_.size();
  row_items_ = 0;
}

void ColumnData::TakePresent(PyObject* present) {
  const std::string_view bytes(PyBytes_AsString(present),
                               static_cast<std::size_t>(PyBytes_Size(present)));
  present_.assign(bytes.begin(), bytes.end());
}

// Takes a column in parts from the hook, which has checked them: the values as an array of numbers;
// the rows that have one as bytes, or None for all; offsets counted in items, or None if every row
// has one value; and whether the values are stored words.
void ColumnData::TakeParts(const Conversion& conversion, PyObject* parts) {
  const nb::object values = Borrow(PyTuple_GET_ITEM(parts, 0));
  PyObject* present = PyTuple_GET_ITEM(parts, 1);
  PyObject* offsets = PyTuple_GET_ITEM(parts, 2);
  if (offsets == Py_None) {
    TakeItems(conversion.fields[type_], values);
  } else {
    const Int64s places(offsets, "offsets", PyExc_ValueError);
    offsets_.assign(places.values().begin(), places.values().end());
    owner_ = Contiguous(values.ptr());
    auto* array = reinterpret_cast<PyArrayObject*>(owner_.ptr());
    const bool stored = PyTuple_GET_ITEM(parts, 3) == Py_True;
    source_ = stored ? Source::kWords : SourceOfArray(array).value();
    data_ = PyArray_DATA(array);
    rows_ = offsets_.size() - 1;
    bytes_ = static_cast<std::uint64_t>(PyArray_NBYTES(array));
  }
  if (present != Py_None) {
    TakePresent(present);
  }
}

// Takes a whole array. Returns false if a hook must convert it first.
bool ColumnData::TakeArray(const Conversion& conversion, const nb::object& given) {
  const FieldInfo& field = conversion.fields[type_];
  auto* array = reinterpret_cast<PyArrayObject*>(given.ptr());
  const std::optional<Source> source = SourceOfArray(array);
  if (!source || !TakesPlainNumbers(field) || PyArray_NDIM(array) == 0) {
    return false;
  }
  TakeItems(field, given);
  return true;
}

// Takes the items of an array of numbers with one value for each row.
void ColumnData::TakeItems(const FieldInfo& field, const nb::object& given) {
  auto* array = reinterpret_cast<PyArrayObject*>(given.ptr());
  if (!FitsShape(field, RowDimensions(array))) {
    Throw(PyExc_ValueError, "field " + field.text + ": a column of shape " +
                                ShortRepr(Own(PyObject_GetAttrString(given.ptr(), "shape")).ptr()) +
                                " does not have one value for each row");
  }
  owner_ = Contiguous(given.ptr());
  array = reinterpret_cast<PyArrayObject*>(owner_.ptr());
  source_ = SourceOfArray(array).value();
  data_ = PyArray_DATA(array);
  rows_ = static_cast<std::size_t>(PyArray_DIM(array, 0));
  row_items_ = 1;
  for (int i = 1; i < PyArray_NDIM(array); ++i) {
    row_items_ *= static_cast<std::uint64_t>(PyArray_DIM(array, i));
  }
  bytes_ = static_cast<std::uint64_t>(PyArray_NBYTES(array));
}

// Takes a list of plain numbers for a field with one number in each row. Returns false for any
// other list.
bool ColumnData::TakeNumbers(const Conversion& conversion, PyObject* list) {
  const FieldInfo& field = conversion.fields[type_];
  if (field.dimensions() > 1 || !TakesPlainNumbers(field)) {
    return false;
  }
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
  const std::optional<Numbers> numbers =
      ConvertNumbers(conversion.scratch.arena, PySequence_Fast_ITEMS(list), count);
  if (!numbers) {
    return false;
  }
  source_ = numbers->source;
  data_ = numbers->data;
  rows_ = static_cast<std::size_t>(count);
  row_items_ = 1;
  bytes_ = 8 * rows_;
  return true;
}

// Takes a list by converting the values one by one.
void ColumnData::TakeList(const Conversion& conversion, PyObject* list) {
  rows_ = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(list));
  offsets_.reserve(rows_ + 1);
  offsets_.push_back(0);
  // This scratch holds one value at a time, whose items are copied before the next is converted.
  // The scratch of the call is in use by the other columns.
  Scratch scratch;
  const Conversion one{conversion.self, conversion.fields, scratch};
  for (std::size_t row = 0; row < rows_; ++row) {
    if (row >= static_cast<std::size_t>(PySequence_Fast_GET_SIZE(list))) {
      Throw(PyExc_ValueError, "extend: a list changed its length while its items were converted");
    }
    const nb::object value = Borrow(PySequence_Fast_GET_ITEM(list, static_cast<Py_ssize_t>(row)));
    AddRow(one, row, value.ptr());
    scratch.Reset();
  }
  data_ = items_.data();
  bytes_ = items_.size();
}

void ColumnData::AddRow(const Conversion& one, std::size_t row, PyObject* value) {
  if (value == Py_None) {
    if (present_.empty()) {
      present_.assign(rows_, 1);
    }
    present_[row] = 0;
    offsets_.push_back(offsets_.back());
    return;
  }
  const FieldInfo& field = one.fields[type_];
  FieldWrite write;
  try {
    write = ConvertValue(one, type_, value);
  } catch (const nb::python_error& error) {
    ThrowInRow(error, field, row);
  }
  AddItems(write, field, row);
  offsets_.push_back(offsets_.back() + static_cast<std::int64_t>(write.count()));
}

// Copies the items of one row. The type of the first row with a value is kept as long as all rows
// have it. From the first other type on, all items are converted to the common type of the field.
void ColumnData::AddItems(const FieldWrite& write, const FieldInfo& field, std::size_t row) {
  const auto* items = static_cast<const std::byte*>(write.data());
  const auto count = static_cast<std::size_t>(write.count());
  if (!source_known_) {
    source_ = write.source();
    source_known_ = count > 0;
  }
  if (count == 0) {
    return;
  }
  if (write.source() != source_) {
    ConvertToCommon(field);
  }
  const std::size_t old = items_.size();
  items_.resize(old + count * BytesOf(source_));
  std::byte* out = items_.data() + old;
  if (write.source() == source_) {
    std::memcpy(out, items, count * BytesOf(source_));
    return;
  }
  const std::size_t done = ConvertItems(source_, write.source(), items, count, out);
  if (done < count) {
    ThrowNumber(field, row, write.source(), items + done * BytesOf(write.source()));
  }
}

void ColumnData::ConvertToCommon(const FieldInfo& field) {
  const Source common = CommonSource(field.dtype);
  if (source_ == common) {
    return;
  }
  const auto count = static_cast<std::size_t>(offsets_.back());
  std::vector<std::byte> converted(count * BytesOf(common));
  const std::size_t done = ConvertItems(common, source_, items_.data(), count, converted.data());
  if (done < count) {
    const auto after = std::ranges::upper_bound(offsets_, static_cast<std::int64_t>(done));
    ThrowNumber(field, static_cast<std::size_t>(after - offsets_.begin()) - 1, source_,
                items_.data() + done * BytesOf(source_));
  }
  items_ = std::move(converted);
  source_ = common;
}

}  // namespace stream_store::python
