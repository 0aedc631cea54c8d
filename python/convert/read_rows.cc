// read_rows(): one C++ ReadRows for all fields of numbers, then text and decimals made into
// objects.

#include "convert/read_rows.h"

#include <algorithm>
#include <optional>

#include "convert/arguments.h"
#include "convert/arrays.h"
#include "convert/decode.h"
#include "convert/errors.h"
#include "convert/store.h"

namespace stream_store::python {
namespace {

// `out=` or `max_length=`: a mapping, or nothing.
class Given {
 public:
  Given(PyObject* mapping, const char* what) : what_(what) {
    if (mapping == nullptr || mapping == Py_None) {
      return;
    }
    if (PyObject_HasAttrString(mapping, "keys") == 0) {
      Throw(PyExc_TypeError,
            std::string("read_rows: ") + what + " must be a mapping, not " + TypeName(mapping));
    }
    dict_ = Own(PyDict_New());
    Check(PyDict_Update(dict_.ptr(), mapping));
  }

  bool given() const { return dict_.is_valid(); }

  // Borrowed; null if not given. What was asked for counts as known.
  PyObject* Take(PyObject* key) {
    PyObject* value = dict_.is_valid() ? PyDict_GetItemWithError(dict_.ptr(), key) : nullptr;
    if (value == nullptr && PyErr_Occurred() != nullptr) {
      nb::raise_python_error();
    }
    taken_ += value != nullptr ? 1 : 0;
    return value;
  }

  PyObject* Take(const char* key) { return Take(Own(PyUnicode_InternFromString(key)).ptr()); }

  // Throws ValueError if something was given that nothing asked for.
  void CheckAllTaken() const {
    if (dict_.is_valid() && PyDict_Size(dict_.ptr()) != taken_) {
      const nb::object keys = Own(PyDict_Keys(dict_.ptr()));
      Throw(PyExc_ValueError, std::string("read_rows: ") + what_ +
                                  " names something that is not read: " + ShortRepr(keys.ptr()));
    }
  }

 private:
  const char* what_;
  nb::object dict_;
  Py_ssize_t taken_ = 0;
};

struct Arguments {
  Int64s rows;
  std::optional<std::int64_t> length;
  std::vector<TypeId> types;
};

class RowsCall {
 public:
  RowsCall(PyObject* self, const Reader& reader, std::shared_ptr<const FieldTable> fields,
           Arguments& arguments, PyObject* out, PyObject* max_length)
      : self_(self),
        reader_(reader),
        fields_(std::move(fields)),
        rows_(arguments.rows),
        length_(arguments.length ? static_cast<std::uint64_t>(*arguments.length) : 1),
        types_(arguments.types),
        out_(out, "out"),
        masks_out_(out_.Take("_mask"), "out['_mask']"),
        lengths_out_(out_.Take("_length"), "out['_length']"),
        max_length_(max_length, "max_length") {
    places_ = rows_.shape();
    if (arguments.length) {
      places_ += static_cast<npy_intp>(length_);
    }
  }

  nb::object Run() {
    CheckRows();
    std::vector<nb::object> values;
    values.reserve(types_.size());
    for (const TypeId type : types_) {
      values.push_back(AddColumn(type));
    }
    const nb::object steps = Make("_step", NPY_INT64, places_, out_);
    out_.CheckAllTaken();
    masks_out_.CheckAllTaken();
    lengths_out_.CheckAllTaken();
    max_length_.CheckAllTaken();
    Read(DataAs<Step>(steps));
    for (std::size_t i = 0; i < types_.size(); ++i) {
      FinishColumn(types_[i], std::move(values[i]));
    }
    Check(PyDict_SetItemString(result_.ptr(), "_step", steps.ptr()));
    Check(PyDict_SetItemString(result_.ptr(), "_mask", masks_.ptr()));
    Check(PyDict_SetItemString(result_.ptr(), "_length", lengths_.ptr()));
    return result_;
  }

 private:
  void CheckRows() const {
    const auto rows = static_cast<std::int64_t>(reader_.rows());
    const auto last = rows - static_cast<std::int64_t>(length_);
    for (const std::int64_t row : rows_.values()) {
      if (row < 0 || row > last) {
        throw Error(ErrorCode::kOutOfRange,
                    "row " + std::to_string(row) + " is outside [0, " +
                        std::to_string(std::max<std::int64_t>(last + 1, 0)) + ")" +
                        (length_ > 1 ? ": windows of " + std::to_string(length_) + " in " +
                                           std::to_string(rows) + " rows"
                                     : ""));
      }
    }
  }

  nb::object Make(const char* name, int type_number, const Shape& shape, Given& given) {
    PyObject* array = given.Take(name);
    const auto descr =
        nb::steal<nb::object>(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type_number)));
    if (array == nullptr) {
      return NewArray(type_number, shape);
    }
    return CheckOut(array, reinterpret_cast<PyArray_Descr*>(descr.ptr()), shape,
                    std::string("read_rows: out['") + name + "']");
  }

  nb::object Make(const FieldInfo& field, int type_number, Given& given, const char* prefix) {
    PyObject* array = given.Take(field.name.ptr());
    const auto descr =
        nb::steal<nb::object>(reinterpret_cast<PyObject*>(PyArray_DescrFromType(type_number)));
    if (array == nullptr) {
      return NewArray(type_number, places_);
    }
    return CheckOut(array, reinterpret_cast<PyArray_Descr*>(descr.ptr()), places_,
                    std::string("read_rows: ") + prefix + " for field " + field.text);
  }

  // Room for the padded length of a ragged field: asked for, given by `out`, or the longest there
  // is.
  std::uint64_t RaggedLength(TypeId type, const FieldInfo& field, PyObject* given) {
    if (PyObject* most = max_length_.Take(field.name.ptr())) {
      const std::int64_t length = AsInt64(most, "read_rows: max_length");
      if (length < 0) {
        Throw(PyExc_ValueError,
              "read_rows: max_length of field " + field.text + " must not be negative");
      }
      return static_cast<std::uint64_t>(length);
    }
    if (given != nullptr && PyArray_Check(given)) {
      auto* array = reinterpret_cast<PyArrayObject*>(given);
      const auto axis = static_cast<int>(places_.size());
      if (PyArray_NDIM(array) > axis) {
        return static_cast<std::uint64_t>(PyArray_DIM(array, axis));
      }
    }
    const MaybeWithoutGil released(rows_.size() * length_ >= kReleaseBytes / 8);
    return reader_.LongestInRows(rows_.values(), length_, type);
  }

  // Makes room for one field and says where C++ is to write; text and nulls get their places later.
  nb::object AddColumn(TypeId type) {
    const FieldInfo& field = (*fields_)[type];
    const nb::object mask = Make(field, NPY_BOOL, masks_out_, "out['_mask']");
    Check(PyDict_SetItem(masks_.ptr(), field.name.ptr(), mask.ptr()));
    RowsColumn column;
    column.type = type;
    column.present = DataAs<std::uint8_t>(mask);
    nb::object array;
    if (field.kind == ValueKind::kNumber || field.kind == ValueKind::kDecimal) {
      array = AddItems(type, field, column);
    }
    columns_.push_back(column);
    bytes_ += places_.places();
    return array;
  }

  nb::object AddItems(TypeId type, const FieldInfo& field, RowsColumn& column) {
    Shape shape = places_;
    PyObject* given = field.kind == ValueKind::kDecimal ? nullptr : out_.Take(field.name.ptr());
    if (field.ragged) {
      column.max_length = RaggedLength(type, field, given);
      shape += static_cast<npy_intp>(column.max_length);
      const nb::object lengths = Make(field, NPY_INT64, lengths_out_, "out['_length']");
      Check(PyDict_SetItem(lengths_.ptr(), field.name.ptr(), lengths.ptr()));
      column.lengths = DataAs<std::int64_t>(lengths);
    }
    shape += std::span<const npy_intp>(field.shape);
    if (field.kind == ValueKind::kDecimal) {
      shape += static_cast<npy_intp>(field.item_words);
    }
    nb::object array = given == nullptr
                           ? NewArray(field.NewDescr(), shape)
                           : CheckOut(given, reinterpret_cast<PyArray_Descr*>(field.descr.ptr()),
                                      shape, "read_rows: out for field " + field.text);
    column.out = DataOf(array);
    bytes_ +=
        static_cast<std::uint64_t>(PyArray_NBYTES(reinterpret_cast<PyArrayObject*>(array.ptr())));
    return array;
  }

  void Read(Step* steps) {
    if (places_.places() == 0) {
      return;
    }
    const bool release = bytes_ >= kReleaseBytes;
    if (release || out_.given()) {
      rows_.MakePrivate();  // also where `out` shares memory with the rows asked for
    }
    const MaybeWithoutGil released(release);
    reader_.ReadRows(rows_.values(), length_, columns_, steps);
  }

  void FinishColumn(TypeId type, nb::object array) {
    const FieldInfo& field = (*fields_)[type];
    if (field.kind == ValueKind::kDecimal) {
      const nb::object number = Own(PyLong_FromLong(type));
      array = CallHook("decode_decimals", self_, number.ptr(), array.ptr());
    } else if (field.kind != ValueKind::kNumber) {
      std::vector<nb::object> items = ReadObjects(type, field);
      std::size_t next = 0;
      array = Nest(0, items, next);
    }
    Check(PyDict_SetItem(result_.ptr(), field.name.ptr(), array.ptr()));
  }

  // The text of every place; "" or b"" where it is missing, None for a field that has no values.
  std::vector<nb::object> ReadObjects(TypeId type, const FieldInfo& field) {
    if (field.kind == ValueKind::kNull) {
      return std::vector<nb::object>(places_.places(), nb::object(nb::none()));
    }
    std::vector<std::span<const Value>> words(places_.places());
    RowsColumn column;
    column.type = type;
    column.spans = words.data();
    if (!words.empty()) {
      const MaybeWithoutGil released(words.size() >= kReleaseBytes / sizeof(words[0]));
      reader_.ReadRows(rows_.values(), length_, std::span<const RowsColumn>(&column, 1));
    }
    const nb::object empty = DecodeText(field, {});
    std::vector<nb::object> items;
    items.reserve(words.size());
    for (const std::span<const Value> text : words) {
      items.push_back(text.empty() ? empty : DecodeText(field, text));
    }
    return items;
  }

  // Nested lists in the shape of the places; the item itself where that is ().
  nb::object Nest(std::size_t axis, std::vector<nb::object>& items, std::size_t& next) {
    if (axis == places_.size()) {
      return std::move(items[next++]);
    }
    nb::object list = Own(PyList_New(places_[axis]));
    for (npy_intp i = 0; i < places_[axis]; ++i) {
      PyList_SET_ITEM(list.ptr(), i, Nest(axis + 1, items, next).release().ptr());
    }
    return list;
  }

  PyObject* self_;
  const Reader& reader_;
  std::shared_ptr<const FieldTable> fields_;
  Int64s& rows_;
  std::uint64_t length_;
  const std::vector<TypeId>& types_;
  Given out_;
  Given masks_out_;
  Given lengths_out_;
  Given max_length_;
  Shape places_;
  std::vector<RowsColumn> columns_;
  std::uint64_t bytes_ = 0;
  nb::object result_ = Own(PyDict_New());
  nb::object masks_ = Own(PyDict_New());
  nb::object lengths_ = Own(PyDict_New());
};

std::vector<TypeId> WantedTypes(const FieldTable& fields, PyObject* names) {
  std::vector<TypeId> types;
  if (names == nullptr || names == Py_None) {
    for (std::size_t i = 0; i < fields.declared(); ++i) {
      types.push_back(static_cast<TypeId>(i));
    }
    return types;
  }
  if (PyUnicode_Check(names)) {
    Throw(PyExc_TypeError,
          "read_rows: fields must be a list of names, as in fields=[" + ShortRepr(names) + "]");
  }
  const nb::object list = Own(PySequence_List(names));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    const TypeId type = fields.Require(PyList_GET_ITEM(list.ptr(), i));
    if (std::ranges::find(types, type) == types.end()) {
      types.push_back(type);
    }
  }
  return types;
}

nb::object ReadAll(PyObject* self, const std::array<PyObject*, 5>& given) {
  Store& store = StoreOf(self);
  store.Look();
  std::shared_ptr<const FieldTable> fields = store.shared_fields();
  Arguments arguments{Int64s(given[0], "rows"), std::nullopt, WantedTypes(*fields, given[2])};
  if (given[1] != nullptr && given[1] != Py_None) {
    arguments.length = AsInt64(given[1], "length");
    if (*arguments.length < 1) {
      Throw(PyExc_ValueError,
            "read_rows: length must be at least 1, found " + std::to_string(*arguments.length));
    }
  }
  Reader* reader = store.Look();
  if (reader == nullptr) {
    Throw(PyExc_IndexError, "read_rows: no fields are declared yet, there are no rows");
  }
  store.RequireFields(*fields);
  const Reader copy(*reader);
  return RowsCall(self, copy, std::move(fields), arguments, given[3], given[4]).Run();
}

}  // namespace

PyObject* ReadRows(PyObject* self, PyObject* const* args, Py_ssize_t count,
                   PyObject* names) noexcept {
  return Guarded([&] {
    static constexpr Parameters<5> kParameters{
        "read_rows", {"rows", "length", "fields", "out", "max_length"}, 1, 2};
    return ReadAll(self, kParameters.Sort(args, count, names)).release().ptr();
  });
}

}  // namespace stream_store::python
