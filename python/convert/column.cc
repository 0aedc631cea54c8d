// Columns: arrays are passed to C++ without a copy; lists are gathered into items, offsets and a
// mask of the rows with a value.

#include "convert/column.h"

#include <algorithm>
#include <cstring>

#include "convert/assert.h"
#include "convert/widen.h"

namespace stream_store::python {
namespace {

[[noreturn]] void ThrowMixed(const FieldInfo& field, std::size_t row) {
  Throw(PyExc_ValueError,
        "field " + field.text + ": row " + std::to_string(row) +
            " has another kind of number than the rows before it, and no type holds both exactly; "
            "pass a column of one dtype");
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
    given = CallHook("column", conversion.self, number.ptr(), object);  // an array or a list
  }
  if (PyArray_Check(given.ptr())) {
    if (TakeArray(conversion, given)) {
      return;
    }
    const nb::object number = Own(PyLong_FromLong(type));
    given = CallHook("array_column", conversion.self, number.ptr(), given.ptr());
    if (PyArray_Check(given.ptr()) && TakeArray(conversion, given)) {
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
  const std::string_view bytes(PyBytes_AsString(present),
                               static_cast<std::size_t>(PyBytes_Size(present)));
  present_.assign(bytes.begin(), bytes.end());
  rows_ = present_.size();
  row_items_ = 0;
}

// Takes a whole array. Returns false if a hook must convert it first.
bool ColumnData::TakeArray(const Conversion& conversion, const nb::object& given) {
  const FieldInfo& field = conversion.fields[type_];
  auto* array = reinterpret_cast<PyArrayObject*>(given.ptr());
  const std::optional<Source> source = SourceOfArray(array);
  if (!source || !TakesPlainNumbers(field) || PyArray_NDIM(array) == 0) {
    return false;
  }
  if (!FitsShape(field, RowDimensions(array))) {
    Throw(PyExc_ValueError, "field " + field.text + ": a column of shape " +
                                ShortRepr(Own(PyObject_GetAttrString(given.ptr(), "shape")).ptr()) +
                                " does not have one value for each row");
  }
  owner_ = Contiguous(given.ptr());
  array = reinterpret_cast<PyArrayObject*>(owner_.ptr());
  source_ = *source;
  data_ = PyArray_DATA(array);
  rows_ = static_cast<std::size_t>(PyArray_DIM(array, 0));
  row_items_ = 1;
  for (int i = 1; i < PyArray_NDIM(array); ++i) {
    row_items_ *= static_cast<std::uint64_t>(PyArray_DIM(array, i));
  }
  bytes_ = static_cast<std::uint64_t>(PyArray_NBYTES(array));
  return true;
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
  const FieldWrite write = ConvertValue(one, type_, value);
  AddItems(write, one.fields[type_], row);
  offsets_.push_back(offsets_.back() + static_cast<std::int64_t>(write.count()));
}

// Copies the items of one row. The type of the first row with a value is kept as long as all rows
// have it; the first other type widens the items so far.
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
    Widen(CommonSource(write.source(), source_), field, row);
  }
  const std::size_t old = items_.size();
  items_.resize(old + count * BytesOf(source_));
  if (write.source() == source_) {
    std::memcpy(items_.data() + old, items, count * BytesOf(source_));
  } else if (!WidenItems(source_, write.source(), items, count, items_.data() + old)) {
    ThrowMixed(field, row);
  }
}

// Converts the items of the rows before to a wider type. An int64 column thus becomes float64 when
// the first float appears; floats stay float64, whatever follows.
void ColumnData::Widen(Source to, const FieldInfo& field, std::size_t row) {
  if (source_ == to || source_ == Source::kFloat64) {
    return;
  }
  const auto count = static_cast<std::size_t>(offsets_.back());
  std::vector<std::byte> wide(count * BytesOf(to));
  if (!WidenItems(to, source_, items_.data(), count, wide.data())) {
    ThrowMixed(field, row);
  }
  items_ = std::move(wide);
  source_ = to;
}

}  // namespace stream_store::python
