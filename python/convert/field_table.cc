// Derives the table from a schema: names, shapes, and the NumPy dtype each field decodes to.

#include "convert/field_table.h"

#include "convert/errors.h"

namespace stream_store::python {
namespace {

ValueKind KindOf(DType dtype) {
  switch (dtype) {
    case DType::kNull:
      return ValueKind::kNull;
    case DType::kDecimal128:
    case DType::kDecimal256:
      return ValueKind::kDecimal;
    case DType::kString:
      return ValueKind::kText;
    case DType::kBinary:
    case DType::kFixedBinary:
      return ValueKind::kBytes;
    default:
      return ValueKind::kNumber;
  }
}

// In the order of DType; docs/design.md, decoded types.
const char* NumpyName(DType dtype) {
  static constexpr const char* kNames[kDTypeCount] = {
      "O",      "?",      "i1",     "i2",    "i4",     "i8",     "u1",     "u2",
      "u4",     "u8",     "f2",     "f4",    "f8",     "M8[D]",  "M8[ms]", "m8[s]",
      "m8[ms]", "m8[us]", "m8[ns]", "M8[s]", "M8[ms]", "M8[us]", "M8[ns]", "m8[s]",
      "m8[ms]", "m8[us]", "m8[ns]", "i8",    "i8",     "u1",     "u1",     "u1"};
  return kNames[static_cast<int>(dtype)];
}

nb::object MakeDescr(const char* name) {
  PyArray_Descr* descr = nullptr;
  const nb::object text = Own(PyUnicode_FromString(name));
  if (PyArray_DescrConverter(text.ptr(), &descr) != NPY_SUCCEED) {
    nb::raise_python_error();
  }
  return nb::steal<nb::object>(reinterpret_cast<PyObject*>(descr));
}

std::string Describe(const Field& field) {
  std::string text = "'" + field.name + "' (";
  if (field.hidden) {
    return text + "struct)";
  }
  text += field.packed ? "packed " : "";
  text += DTypeName(field.dtype);
  if (!field.shape.empty()) {
    text += '[';
    for (std::size_t i = 0; i < field.shape.size(); ++i) {
      const bool alone = field.shape.size() == 1 && field.shape[i] == kRagged;
      text += i == 0 ? "" : ",";
      text += alone ? "" : field.shape[i] == kRagged ? "None" : std::to_string(field.shape[i]);
    }
    text += ']';
  }
  return text + ")";
}

std::int64_t ClassCount(const Field& field) {
  if (field.dtype != DType::kInt64 || field.feature_json.find("ClassLabel") == std::string::npos) {
    return -1;
  }
  const nb::object json = Own(PyUnicode_FromStringAndSize(
      field.feature_json.data(), static_cast<Py_ssize_t>(field.feature_json.size())));
  return AsInt64(CallHook("class_count", json.ptr()).ptr(), "number of classes");
}

FieldInfo MakeInfo(const Field& field) {
  FieldInfo info;
  PyObject* name = Own(PyUnicode_FromStringAndSize(field.name.data(),
                                                   static_cast<Py_ssize_t>(field.name.size())))
                       .release()
                       .ptr();
  PyUnicode_InternInPlace(&name);
  info.name = nb::steal<nb::object>(name);
  info.text = Describe(field);
  info.dtype = field.dtype;
  info.kind = KindOf(field.dtype);
  info.packed = field.packed;
  info.hidden = field.hidden;
  info.item_words = field.dtype == DType::kDecimal128   ? 2
                    : field.dtype == DType::kDecimal256 ? 4
                                                        : 1;
  if (!info.is_text()) {
    info.ragged = !field.shape.empty() && field.shape[0] == kRagged;
    info.shape.assign(field.shape.begin() + (info.ragged ? 1 : 0), field.shape.end());
    for (const npy_intp dimension : info.shape) {
      info.items *= static_cast<std::uint64_t>(dimension);
    }
  }
  info.class_count = ClassCount(field);
  info.descr = MakeDescr(NumpyName(field.dtype));
  return info;
}

}  // namespace

FieldTable::FieldTable(const Schema& schema)
    : declared_(schema.declared()), by_name_(Own(PyDict_New())) {
  fields_.reserve(schema.size());
  for (const Field& field : schema.fields()) {
    fields_.push_back(MakeInfo(field));
    if (!field.hidden) {
      const nb::object type = Own(PyLong_FromSize_t(fields_.size() - 1));
      Check(PyDict_SetItem(by_name_.ptr(), fields_.back().name.ptr(), type.ptr()));
    }
  }
}

std::optional<TypeId> FieldTable::Find(PyObject* name) const {
  if (!PyUnicode_Check(name)) {
    Throw(PyExc_TypeError,
          "a field name must be a str, not " + ShortRepr(name) + " (" + TypeName(name) + ")");
  }
  PyObject* type = by_name_.is_valid() ? PyDict_GetItemWithError(by_name_.ptr(), name) : nullptr;
  if (type == nullptr) {
    if (PyErr_Occurred() != nullptr) {
      nb::raise_python_error();
    }
    return std::nullopt;
  }
  return static_cast<TypeId>(PyLong_AsLong(type));
}

TypeId FieldTable::Require(PyObject* name) const {
  if (const std::optional<TypeId> type = Find(name)) {
    return *type;
  }
  if (fields_.empty()) {
    Throw(PyExc_ValueError, "Unknown field " + ShortRepr(name) +
                                ": no fields are declared yet; call define_fields() first");
  }
  Throw(PyExc_ValueError, "Unknown field " + ShortRepr(name) + "; the fields are " + NamesText());
}

std::string FieldTable::NamesText() const {
  constexpr std::size_t kMost = 12;
  std::string text;
  for (std::size_t i = 0; i < declared_ && i < kMost; ++i) {
    text += i == 0 ? "" : ", ";
    text += PyUnicode_AsUTF8(fields_[i].name.ptr());
  }
  if (declared_ > kMost) {
    text += ", … (" + std::to_string(declared_) + " in all)";
  }
  return text;
}

}  // namespace stream_store::python
