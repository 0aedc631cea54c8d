#include "convert/rows_output.h"

#include <algorithm>

#include "convert/decode.h"
#include "convert/errors.h"
#include "convert/store.h"

namespace stream_store::python {

GivenMapping::GivenMapping(PyObject* mapping, const char* call, const char* what)
    : call_(call), what_(what) {
  if (mapping == nullptr || mapping == Py_None) {
    return;
  }
  if (PyObject_HasAttrString(mapping, "keys") == 0) {
    Throw(PyExc_TypeError,
          std::string(call) + ": " + what + " must be a mapping, not " + TypeName(mapping));
  }
  dict_ = Own(PyDict_New());
  Check(PyDict_Update(dict_.ptr(), mapping));
}

PyObject* GivenMapping::Take(PyObject* key) {
  PyObject* value = dict_.is_valid() ? PyDict_GetItemWithError(dict_.ptr(), key) : nullptr;
  if (value == nullptr && PyErr_Occurred() != nullptr) {
    nb::raise_python_error();
  }
  taken_ += value != nullptr ? 1 : 0;
  return value;
}

void GivenMapping::CheckAllTaken() const {
  if (dict_.is_valid() && PyDict_Size(dict_.ptr()) != taken_) {
    const nb::object keys = Own(PyDict_Keys(dict_.ptr()));
    Throw(PyExc_ValueError, std::string(call_) + ": " + what_ +
                                " has keys that are not read: " + ShortRepr(keys.ptr()));
  }
}

std::vector<TypeId> WantedTypes(const FieldTable& fields, PyObject* names, const char* call) {
  std::vector<TypeId> types;
  if (names == nullptr || names == Py_None) {
    return fields.declared();
  }
  const nb::object list = ListOfNames(names, PyExc_ValueError, std::string(call) + ": fields");
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    const TypeId type = fields.Require(PyList_GET_ITEM(list.ptr(), i));
    if (std::ranges::find(types, type) == types.end()) {
      types.push_back(type);
    }
  }
  return types;
}

RowsOutput::RowsOutput(std::unique_ptr<RowsReader> source, RowsRequest request)
    : self_(Borrow(request.self)),
      call_(request.call),
      source_(std::move(source)),
      fields_(std::move(request.fields)),
      types_(std::move(request.types)),
      places_(request.places),
      out_(request.out, call_, "out"),
      masks_out_(out_.Take("_mask"), call_, "out['_mask']"),
      lengths_out_(out_.Take("_length"), call_, "out['_length']"),
      max_length_(request.max_length, call_, "max_length") {
  texts_.resize(types_.size());
  arrays_.reserve(types_.size());
  for (const TypeId type : types_) {
    arrays_.push_back(AddColumn(type));
  }
  if (request.with_steps) {
    steps_ = Make("_step", NPY_INT64, out_);
  }
  out_.CheckAllTaken();
  masks_out_.CheckAllTaken();
  lengths_out_.CheckAllTaken();
  max_length_.CheckAllTaken();
}

nb::object RowsOutput::Make(const char* name, int type_number, GivenMapping& given) {
  PyObject* array = given.Take(name);
  if (array == nullptr) {
    return NewArray(type_number, places_);
  }
  const auto descr =
      nb::steal<nb::object>(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type_number)));
  return CheckOut(array, reinterpret_cast<PyArray_Descr*>(descr.ptr()), places_,
                  std::string(call_) + ": out['" + name + "']");
}

nb::object RowsOutput::Make(const FieldInfo& field, int type_number, GivenMapping& given,
                            const char* prefix) {
  PyObject* array = given.Take(field.key.ptr());
  if (array == nullptr) {
    return NewArray(type_number, places_);
  }
  const auto descr =
      nb::steal<nb::object>(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type_number)));
  return CheckOut(array, reinterpret_cast<PyArray_Descr*>(descr.ptr()), places_,
                  std::string(call_) + ": " + prefix + " for field " + field.text);
}

// The padded length of a ragged field: `max_length` if given, else the length of the array in
// `out`, else that of the longest row, which takes a pass over the rows.
std::uint64_t RowsOutput::RaggedLength(TypeId type, const FieldInfo& field, PyObject* given) {
  if (PyObject* most = max_length_.Take(field.name.ptr())) {
    const std::int64_t length = AsInt64(most, "max_length");
    if (length < 0) {
      Throw(PyExc_ValueError, std::string(call_) + ": max_length of field " + field.text +
                                  " must not be negative but is " + std::to_string(length));
    }
    return static_cast<std::uint64_t>(length);
  }
  if (given != nullptr && PyObject_HasAttrString(given, "shape") != 0) {
    // The axis after those of the rows. CheckOut() reports anything else that is wrong.
    const nb::object shape = Own(PyObject_GetAttrString(given, "shape"));
    const nb::object sizes = Own(PySequence_Tuple(shape.ptr()));
    const auto axis = static_cast<Py_ssize_t>(places_.size());
    if (PyTuple_GET_SIZE(sizes.ptr()) > axis) {
      return static_cast<std::uint64_t>(
          std::max<std::int64_t>(AsInt64(PyTuple_GET_ITEM(sizes.ptr(), axis), "a dimension"), 0));
    }
  }
  const MaybeWithoutGil released(places_.places() >= kReleaseBytes / 8);
  return source_->Longest(type);
}

// Allocates the outputs of one field and adds the column that points to them. Texts and nested cells
// are read as spans of stored words and become Python objects in Finish(); null fields have a mask only.
nb::object RowsOutput::AddColumn(TypeId type) {
  const FieldInfo& field = (*fields_)[type];
  const nb::object mask = Make(field, NPY_BOOL, masks_out_, "out['_mask']");
  Check(PyDict_SetItem(masks_.ptr(), field.key.ptr(), mask.ptr()));
  RowsColumn column;
  column.type = type;
  column.present = DataAs<std::uint8_t>(mask);
  nb::object array;
  if (field.kind == ValueKind::kNumber || field.kind == ValueKind::kDecimal) {
    array = AddItems(type, field, column);
  } else if (field.is_text() || field.kind == ValueKind::kNested) {
    std::vector<std::span<const Value>>& texts = texts_[columns_.size()];
    texts.resize(places_.places());
    column.spans = texts.data();
    bytes_ += 16 * texts.size();
  }
  columns_.push_back(column);
  bytes_ += places_.places();
  return array;
}

// The array of a field of numbers or decimals. Decimals are read as words, with one more dimension,
// and the hook converts them in Finish(); so they cannot be read into an array of `out`.
nb::object RowsOutput::AddItems(TypeId type, const FieldInfo& field, RowsColumn& column) {
  Shape shape = places_;
  PyObject* given = field.kind == ValueKind::kDecimal ? nullptr : out_.Take(field.key.ptr());
  if (field.ragged) {
    column.max_length = RaggedLength(type, field, given);
    shape += static_cast<npy_intp>(column.max_length);
    const nb::object lengths = Make(field, NPY_INT64, lengths_out_, "out['_length']");
    Check(PyDict_SetItem(lengths_.ptr(), field.key.ptr(), lengths.ptr()));
    column.lengths = DataAs<std::int64_t>(lengths);
  }
  shape += std::span<const npy_intp>(field.shape);
  if (field.kind == ValueKind::kDecimal) {
    shape += static_cast<npy_intp>(field.item_words);
  }
  nb::object array = given == nullptr
                         ? NewArray(field.NewDescr(), shape)
                         : CheckOut(given, reinterpret_cast<PyArray_Descr*>(field.descr.ptr()),
                                    shape, std::string(call_) + ": out for field " + field.text);
  column.out = DataOf(array);
  bytes_ +=
      static_cast<std::uint64_t>(PyArray_NBYTES(reinterpret_cast<PyArrayObject*>(array.ptr())));
  return array;
}

void RowsOutput::Read() {
  if (places_.places() > 0) {
    texts_owner_ = source_->Read(columns_, steps_.is_valid() ? DataAs<Step>(steps_) : nullptr);
  }
}

// The order of the keys is that of the requested fields, then the three that begin with "_".
nb::object RowsOutput::Finish() {
  nb::object result = Own(PyDict_New());
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const FieldInfo& field = (*fields_)[types_[i]];
    nb::object value = arrays_[i];
    if (field.kind == ValueKind::kDecimal) {
      const nb::object number = Own(PyLong_FromLong(types_[i]));
      value = CallHook("decode_decimals", self_.ptr(), number.ptr(), value.ptr());
    } else if (field.kind == ValueKind::kNested) {
      value = FinishCells(i);
    } else if (field.kind != ValueKind::kNumber) {
      value = FinishObjects(i);
    }
    Check(PyDict_SetItem(result.ptr(), field.key.ptr(), value.ptr()));
  }
  if (steps_.is_valid()) {
    Check(PyDict_SetItemString(result.ptr(), "_step", steps_.ptr()));
  }
  Check(PyDict_SetItemString(result.ptr(), "_mask", masks_.ptr()));
  Check(PyDict_SetItemString(result.ptr(), "_length", lengths_.ptr()));
  return result;
}

// The array of objects of a nested field, with None where a cell is missing.
nb::object RowsOutput::FinishCells(std::size_t column) {
  const FieldInfo& field = (*fields_)[types_[column]];
  // Not NewArray(), whose recycled memory would hold invalid references.
  nb::object array = Own(PyArray_SimpleNew(static_cast<int>(places_.size()),
                                           const_cast<npy_intp*>(places_.data()), NPY_OBJECT));
  auto** items = DataAs<PyObject*>(array);
  for (std::size_t i = 0; i < texts_[column].size(); ++i) {
    const std::span<const Value> cell = texts_[column][i];
    try {
      nb::object value = cell.empty() ? nb::object(nb::none()) : DecodeCell(field, cell);
      Py_XSETREF(items[i], value.release().ptr());
    } catch (const Error& error) {
      const std::string where =
          steps_.is_valid() ? "step " + std::to_string(DataAs<Step>(steps_)[i]) : field.text;
      throw Error(error.code(), std::string(call_) + ": " + where + ": " + error.what());
    }
  }
  return array;
}

// The nested lists of a text field, with "" or b"" where a text is missing, or of a null field.
nb::object RowsOutput::FinishObjects(std::size_t column) {
  const FieldInfo& field = (*fields_)[types_[column]];
  std::vector<nb::object> items;
  if (field.is_text()) {
    const nb::object empty = DecodeText(field, {});
    items.reserve(texts_[column].size());
    for (const std::span<const Value> text : texts_[column]) {
      items.push_back(text.empty() ? empty : DecodeText(field, text));
    }
  } else {
    items.assign(places_.places(), nb::object(nb::none()));
  }
  std::size_t next = 0;
  return Nest(0, items, next);
}

// Nested lists of the items from `next` on, in the shape of the rows; the item itself if that is
// ().
nb::object RowsOutput::Nest(std::size_t axis, std::vector<nb::object>& items, std::size_t& next) {
  if (axis == places_.size()) {
    return std::move(items[next++]);
  }
  nb::object list = Own(PyList_New(places_[axis]));
  for (npy_intp i = 0; i < places_[axis]; ++i) {
    PyList_SET_ITEM(list.ptr(), i, Nest(axis + 1, items, next).release().ptr());
  }
  return list;
}

}  // namespace stream_store::python
