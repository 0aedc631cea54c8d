// The small reads. Each converts its input, makes one C++ call and wraps the result.

#include <algorithm>
#include <utility>

#include "stream_store/interop.h"

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/decode.h"
#include "convert/errors.h"
#include "convert/methods.h"
#include "convert/row_numbers.h"

namespace stream_store::python {
namespace {

[[noreturn]] void ThrowOutside(const char* what, std::int64_t found, std::uint64_t size) {
  throw Error(ErrorCode::kOutOfRange, std::string(what) + " " + std::to_string(found) +
                                          " is outside [0, " + std::to_string(size) + ")");
}

void CheckInside(const Int64s& input, const char* what, std::uint64_t size) {
  for (const std::int64_t value : input.values()) {
    if (value < 0 || static_cast<std::uint64_t>(value) >= size) {
      ThrowOutside(what, value, size);
    }
  }
}

// Converts an array of shape () to a scalar, as the functions of NumPy do.
nb::object Returned(nb::object array) {
  return Own(PyArray_Return(reinterpret_cast<PyArrayObject*>(array.release().ptr())));
}

// A copy of the reader that no other call refreshes or closes; none before fields are declared.
std::optional<Reader> Private(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  return reader == nullptr ? std::nullopt : std::optional<Reader>(*reader);
}

// Maps inputs that were checked to int64s of the same shape.
template <class LookUp>
nb::object Map(const std::optional<Reader>& reader, Int64s& input, LookUp look_up) {
  const nb::object output = NewArray(NPY_INT64, input.shape());
  if (input.size() > 0) {
    const bool release = input.size() * 8 >= kReleaseBytes;
    if (release) {
      input.MakePrivate();
    }
    const MaybeWithoutGil released(release);
    look_up(*reader, input.values(), std::span(DataAs<std::int64_t>(output), input.size()));
  }
  return Returned(output);
}

Side SideOf(PyObject* side) {
  const std::string_view name = AsText(side, "row_at: side");
  constexpr std::pair<std::string_view, Side> kSides[] = {{"left", Side::kLeft},
                                                          {"right", Side::kRight},
                                                          {"backward", Side::kBackward},
                                                          {"nearest", Side::kNearest}};
  for (const auto& [known, found] : kSides) {
    if (name == known) {
      return found;
    }
  }
  Throw(PyExc_ValueError,
        "row_at: side must be 'left', 'right', 'backward' or 'nearest', not " + ShortRepr(side));
}

// The type id of a field whose values can be decoded one by one.
TypeId RequireNumber(const FieldTable& fields, PyObject* name) {
  const TypeId type = fields.Require(name);
  const ValueKind kind = fields[type].kind;
  if (fields[type].packed || kind == ValueKind::kDecimal || kind == ValueKind::kNull ||
      kind == ValueKind::kNested) {
    Throw(PyExc_ValueError,
          "decode: field " + fields[type].text +
              " does not have one item for each value; row() and read_rows() decode whole rows");
  }
  return type;
}

// Any ints as int64. A uint64 is taken by its bits, because that is how it is stored.
nb::object RawValues(PyObject* values) {
  const nb::object array = Own(PyArray_FromAny(values, nullptr, 0, 0, 0, nullptr));
  auto* given = reinterpret_cast<PyArrayObject*>(array.ptr());
  if (!PyArray_ISINTEGER(given) && PyArray_SIZE(given) > 0) {
    Throw(PyExc_TypeError, "decode: values must be raw int64 values, not " +
                               ShortRepr(Own(PyObject_GetAttrString(array.ptr(), "dtype")).ptr()));
  }
  return Own(PyArray_FromArray(given, PyArray_DescrFromType(NPY_INT64),
                               NPY_ARRAY_CARRAY_RO | NPY_ARRAY_FORCECAST));
}

}  // namespace

nb::object RowOf(StoreObject& store, nb::handle positions) {
  Int64s input(positions.ptr(), "positions");
  const std::optional<Reader> reader = Private(store);
  CheckInside(input, "position", reader ? reader->size() : 0);
  return Map(reader, input, [](const Reader& from, auto in, auto out) { from.RowOf(in, out); });
}

nb::object PositionOf(StoreObject& store, nb::handle rows) {
  RowNumbers numbers(rows.ptr());
  const std::optional<Reader> reader = Private(store);
  numbers.Resolve(reader ? static_cast<std::int64_t>(reader->first_row()) : 0,
                  reader ? static_cast<std::int64_t>(reader->num_rows()) : 0, 1);
  return Map(reader, numbers.rows(),
             [](const Reader& from, auto in, auto out) { from.PositionOf(in, out); });
}

nb::object RowAt(StoreObject& store, nb::handle steps, nb::handle side) {
  const Side wanted = SideOf(side.ptr());
  const Int64s asked(steps.ptr(), "steps");
  const nb::object output = NewArray(NPY_INT64, asked.shape());
  const std::optional<Reader> reader = Private(store);
  std::transform(asked.values().begin(), asked.values().end(), DataAs<Row>(output),
                 [&](Step step) { return !reader ? Row{0} : reader->RowAt(step, wanted); });
  return Returned(output);
}

// _times.py makes the arrays, so they are in C order, of native byte order, and not shared.
nb::object RowAtTimes(StoreObject& store, nb::handle times, nb::handle rests, nb::handle field,
                      nb::handle side) {
  const Side wanted = SideOf(side.ptr());
  const std::optional<Reader> reader = Private(store);
  const TypeId type = store.shared_fields()->Require(field.ptr());
  auto* array = reinterpret_cast<PyArrayObject*>(times.ptr());
  const auto count = static_cast<std::size_t>(PyArray_SIZE(array));
  const nb::object output = NewArray(
      NPY_INT64,
      Shape(std::span(PyArray_DIMS(array), static_cast<std::size_t>(PyArray_NDIM(array)))));
  const std::span<Row> out(DataAs<Row>(output), count);
  const int number = PyArray_TYPE(array);
  const void* data = PyArray_DATA(array);
  const std::uint8_t* rest = rests.is_none() ? nullptr
                                             : static_cast<const std::uint8_t*>(PyArray_DATA(
                                                   reinterpret_cast<PyArrayObject*>(rests.ptr())));
  {
    const MaybeWithoutGil released(true);
    if (rest != nullptr) {
      interop::FindTimes(*reader, {static_cast<const std::int64_t*>(data), count}, {rest, count},
                         type, wanted, out);
    } else if (number == NPY_DOUBLE) {
      reader->RowAt(std::span(static_cast<const double*>(data), count), type, wanted, out);
    } else if (number == NPY_ULONG) {
      reader->RowAt(std::span(static_cast<const std::uint64_t*>(data), count), type, wanted, out);
    } else {
      reader->RowAt(std::span(static_cast<const std::int64_t*>(data), count), type, wanted, out);
    }
  }
  return Returned(output);
}

nb::object ItemDtype(StoreObject& store, nb::handle field) {
  store.Refresh();
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  return (*fields)[fields->Require(field.ptr())].descr;
}

nb::object Decode(StoreObject& store, nb::handle values, nb::handle field) {
  store.Refresh();
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  const TypeId type = RequireNumber(*fields, field.ptr());
  const Int64s words(RawValues(values.ptr()).ptr(), "values");
  const nb::object output = NewArray((*fields)[type].NewDescr(), words.shape());
  if (words.size() > 0) {
    const std::optional<Reader> reader = Private(store);
    store.RequireFields(*fields);
    reader->Decode(words.values(), type, DataOf(output));
  }
  return output;
}

nb::object DecodeRow(nb::handle self, std::int64_t row) {
  StoreObject& store = StoreOf(self.ptr());
  const std::optional<Reader> reader = Private(store);
  const std::uint64_t rows = reader ? reader->num_rows() : 0;
  if (row < 0 || static_cast<std::uint64_t>(row) >= rows) {
    ThrowOutside("row", row, rows);
  }
  const std::shared_ptr<const FieldTable> fields = store.shared_fields();
  nb::object dict = Own(PyDict_New());
  for (const TypeId type : fields->declared()) {
    Check(PyDict_SetItem(dict.ptr(), (*fields)[type].name.ptr(), Py_None));
  }
  for (const auto& [type, words] : reader->row(row)) {
    const FieldInfo& field = (*fields)[type];
    if (field.hidden) {
      Check(PyDict_SetItem(dict.ptr(), Own(PyLong_FromLong(type)).ptr(), Py_True));
      continue;
    }
    try {
      const nb::object value = DecodeValue(self.ptr(), *reader, field, type, words);
      Check(PyDict_SetItem(dict.ptr(), field.name.ptr(), value.ptr()));
    } catch (const Error& error) {
      throw Error(error.code(), "row " + std::to_string(row) + ": " + error.what());
    }
  }
  return dict;
}

nb::object Segments(StoreObject& store, nb::handle names) {
  const nb::object list =
      PyUnicode_Check(names.ptr()) ? Own(PyList_New(0)) : Own(PySequence_List(names.ptr()));
  if (PyUnicode_Check(names.ptr())) {
    Check(PyList_Append(list.ptr(), names.ptr()));
  }
  const std::optional<Reader> reader = Private(store);
  std::vector<TypeId> types;
  types.reserve(static_cast<std::size_t>(PyList_GET_SIZE(list.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    types.push_back(store.fields().Require(PyList_GET_ITEM(list.ptr(), i)));
  }
  if (types.empty()) {
    Throw(PyExc_ValueError,
          "segments: expected a field name or a list of them but the list is empty");
  }
  std::vector<std::pair<Row, Row>> segments;
  {
    const MaybeWithoutGil released(true);
    segments = reader->Segments(types);
  }
  nb::object output = NewArray(NPY_INT64, Shape{static_cast<npy_intp>(segments.size()), 2});
  auto* out = DataAs<std::int64_t>(output);
  for (const auto& [begin, end] : segments) {
    *out++ = begin;
    *out++ = end;
  }
  return output;
}

// The number of entries of a range is known only after a search, so there are two C++ calls, on the
// same copy of the reader.
nb::object IndexTable(StoreObject& store, std::optional<std::int64_t> first, std::int64_t stop) {
  PyArray_Descr* descr = nullptr;
  const nb::object fields =
      Own(Py_BuildValue("[(ss)(ss)(ss)]", "start", "<i8", "type", "<i8", "step", "<i8"));
  if (PyArray_DescrConverter(fields.ptr(), &descr) != NPY_SUCCEED) {
    nb::raise_python_error();
  }
  const auto owner = nb::steal<nb::object>(reinterpret_cast<PyObject*>(descr));
  const std::optional<Reader> reader = Private(store);
  const std::int64_t start =
      first.value_or(reader ? static_cast<std::int64_t>(reader->first_row()) : 0);
  std::uint64_t count = 0;
  if (reader && start < stop) {
    const MaybeWithoutGil released(true);
    count = interop::CountIndex(*reader, start, stop);
  }
  Py_INCREF(descr);
  nb::object output = NewArray(descr, Shape{static_cast<npy_intp>(count)});
  if (count > 0) {
    static_assert(sizeof(IndexEntry) == 24);
    const std::span<IndexEntry> entries(DataAs<IndexEntry>(output), count);
    const MaybeWithoutGil released(true);
    interop::ReadIndex(*reader, start, stop, entries);
  }
  return output;
}

}  // namespace stream_store::python
