// Derives the table from a schema.

#include "convert/field_table.h"

#include "convert/errors.h"

namespace stream_store::python {
namespace {

ValueKind KindOf(DType dtype) {
  switch (InfoOf(dtype).kind) {
    case DTypeKind::kNull:
      return ValueKind::kNull;
    case DTypeKind::kDecimal:
      return ValueKind::kDecimal;
    case DTypeKind::kNested:
      return ValueKind::kNested;
    case DTypeKind::kBytes:
      return dtype == DType::kString ? ValueKind::kText : ValueKind::kBytes;
    default:
      return ValueKind::kNumber;
  }
}

nb::object MakeDescr(std::string_view name) {
  PyArray_Descr* descr = nullptr;
  const nb::object text =
      Own(PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
  if (PyArray_DescrConverter(text.ptr(), &descr) != NPY_SUCCEED) {
    nb::raise_python_error();
  }
  return nb::steal<nb::object>(reinterpret_cast<PyObject*>(descr));
}

nb::object NameText(const std::string& text) {
  return Own(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

// The number of names of a ClassLabel, which only the JSON of the feature records. The search for
// the word avoids parsing the JSON of all other int64 fields.
std::int64_t ClassCount(const Field& field) {
  if (field.dtype != DType::kInt64 || field.feature_json.find("ClassLabel") == std::string::npos) {
    return -1;
  }
  return AsInt64(CallHook("class_count", NameText(field.feature_json).ptr()).ptr(),
                 "number of classes");
}

// Whether the feature encodes values before they are stored, as Json and media inside lists do.
bool Encodes(const Field& field) {
  const bool text = field.dtype == DType::kString;
  if (field.feature_json.empty() || (!text && field.dtype != DType::kNested) ||
      (text && field.feature_json.find("\"Json\"") == std::string::npos)) {
    return false;
  }
  return CallHook("feature_encodes", NameText(field.feature_json).ptr()).is(nb::handle(Py_True));
}

FieldInfo MakeInfo(const Field& field) {
  FieldInfo info;
  PyObject* name = Own(PyUnicode_FromStringAndSize(field.name.data(),
                                                   static_cast<Py_ssize_t>(field.name.size())))
                       .release()
                       .ptr();
  PyUnicode_InternInPlace(&name);
  info.name = nb::steal<nb::object>(name);
  info.key = field.name.starts_with('_') ? CallHook("batch_key", name) : info.name;
  info.text = "'" + field.name + "' (" + FieldText(field) + ")";
  info.dtype = field.dtype;
  info.kind = KindOf(field.dtype);
  info.packed = field.packed;
  info.hidden = field.hidden;
  info.item_words = InfoOf(field.dtype).item_words;
  info.encodes = Encodes(field);
  if (info.kind == ValueKind::kNested) {
    info.nested = std::make_shared<NestedCell>(ParseNestedType(field.nested), "field " + info.text,
                                               field.name);
  }
  if (!info.is_text()) {
    info.ragged = !field.shape.empty() && field.shape[0] == kRagged;
    info.shape.assign(field.shape.begin() + (info.ragged ? 1 : 0), field.shape.end());
    for (const npy_intp dimension : info.shape) {
      info.items *= static_cast<std::uint64_t>(dimension);
    }
  }
  info.block = info.kind == ValueKind::kNested ||
               (info.packed &&
                (info.ragged || field.dtype == DType::kString || field.dtype == DType::kBinary));
  info.class_count = ClassCount(field);
  // The words of decimals are read as int64; Python makes decimal.Decimal objects of them.
  info.descr = MakeDescr(info.kind == ValueKind::kDecimal  ? "i8"
                         : info.kind == ValueKind::kNested ? "O"
                                                           : InfoOf(field.dtype).numpy);
  return info;
}

}  // namespace

FieldTable::FieldTable(const Schema& schema, std::uint64_t declaration)
    : declared_(schema.declared_types()), declaration_(declaration), by_name_(Own(PyDict_New())) {
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

TypeId FieldTable::FromHook(PyObject* type) const {
  const std::int64_t number = AsInt64(type, "a type id");
  if (number < 0 || static_cast<std::size_t>(number) >= size()) {
    Throw(PyExc_RuntimeError, "new fields were declared while the arguments were converted");
  }
  return static_cast<TypeId>(number);
}

std::string FieldTable::NamesText() const {
  constexpr std::size_t kMost = 12;
  std::string text;
  for (std::size_t i = 0; i < declared_.size() && i < kMost; ++i) {
    text += i == 0 ? "" : ", ";
    text += PyUnicode_AsUTF8(fields_[declared_[i]].name.ptr());
  }
  if (declared_.size() > kMost) {
    text += ", … (" + std::to_string(declared_.size()) + " in all)";
  }
  return text;
}

}  // namespace stream_store::python
