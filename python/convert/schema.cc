// Schemas between Python and C++, attribute by attribute.

#include "convert/schema.h"

#include <array>
#include <string>

#include "convert/errors.h"

namespace stream_store::python {
namespace {

nb::object Attribute(PyObject* spec, const char* name) {
  return Own(PyObject_GetAttrString(spec, name));
}

std::string Text(const nb::object& text, const char* what) {
  return std::string(AsText(text.ptr(), what));
}

bool Truth(const nb::object& object) {
  const int truth = PyObject_IsTrue(object.ptr());
  Check(truth);
  return truth != 0;
}

DType DTypeOf(const std::string& name) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (DTypeName(static_cast<DType>(i)) == name) {
      return static_cast<DType>(i);
    }
  }
  Throw(PyExc_ValueError, "unknown dtype '" + name + "'");
}

Field FieldFromSpec(PyObject* spec) {
  Field field;
  field.name = Text(Attribute(spec, "name"), "a field's name");
  field.dtype = DTypeOf(Text(Attribute(spec, "dtype"), "a field's dtype"));
  field.packed = Truth(Attribute(spec, "packed"));
  field.hidden = Truth(Attribute(spec, "hidden"));
  field.feature_json = Text(Attribute(spec, "feature_json"), "a field's feature");
  field.nested = Text(Attribute(spec, "nested"), "a field's nested type");
  const nb::object shape = Own(PySequence_Tuple(Attribute(spec, "shape").ptr()));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(shape.ptr()); ++i) {
    const std::int64_t dimension = AsInt64(PyTuple_GET_ITEM(shape.ptr(), i), "a dimension");
    if (dimension < -1 || dimension >= std::int64_t{kRagged}) {
      Throw(PyExc_ValueError,
            "field '" + field.name + "': invalid dimension " + std::to_string(dimension));
    }
    field.shape.push_back(dimension < 0 ? kRagged : static_cast<std::uint32_t>(dimension));
  }
  const nb::object path = Own(PySequence_Tuple(Attribute(spec, "path").ptr()));
  // The path of a field outside structs is its name, which C++ does not want twice.
  const bool plain = PyTuple_GET_SIZE(path.ptr()) == 1 && !field.hidden;
  for (Py_ssize_t i = 0; !plain && i < PyTuple_GET_SIZE(path.ptr()); ++i) {
    field.path.emplace_back(AsText(PyTuple_GET_ITEM(path.ptr(), i), "a part of a path"));
  }
  return field;
}

nb::object PyText(const std::string& text) {
  return Own(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

nb::object SpecArgument(const Field& field) {
  const nb::object shape = Own(PyTuple_New(static_cast<Py_ssize_t>(field.shape.size())));
  for (std::size_t i = 0; i < field.shape.size(); ++i) {
    const std::int64_t dimension = field.shape[i] == kRagged ? -1 : std::int64_t{field.shape[i]};
    PyTuple_SET_ITEM(shape.ptr(), static_cast<Py_ssize_t>(i),
                     Own(PyLong_FromLongLong(dimension)).release().ptr());
  }
  const std::vector<std::string> path = field.path.empty() ? std::vector{field.name} : field.path;
  const nb::object parts = Own(PyTuple_New(static_cast<Py_ssize_t>(path.size())));
  for (std::size_t i = 0; i < path.size(); ++i) {
    PyTuple_SET_ITEM(parts.ptr(), static_cast<Py_ssize_t>(i), PyText(path[i]).release().ptr());
  }
  const std::string_view dtype = DTypeName(field.dtype);
  return Own(Py_BuildValue("(OOs#OOOOO)", PyText(field.name).ptr(), parts.ptr(), dtype.data(),
                           static_cast<Py_ssize_t>(dtype.size()), shape.ptr(),
                           field.packed ? Py_True : Py_False, PyText(field.feature_json).ptr(),
                           field.hidden ? Py_True : Py_False, PyText(field.nested).ptr()));
}

// In the order of DTypeKind; features/dtypes.py declares the same names.
constexpr std::array kKindNames = {"null", "bool",      "int",      "uint",    "float", "date",
                                   "time", "timestamp", "duration", "decimal", "bytes", "nested"};

nb::object PyText(std::string_view text) { return PyText(std::string(text)); }

}  // namespace

nb::object DTypeTable() {
  nb::list table;
  for (int i = 0; i < kDTypeCount; ++i) {
    const DTypeInfo& info = InfoOf(static_cast<DType>(i));
    table.append(nb::make_tuple(PyText(info.name), kKindNames[static_cast<std::size_t>(info.kind)],
                                info.bits, info.item_bytes, info.item_words, PyText(info.numpy),
                                PyText(info.arrow_format), PyText(info.unit)));
  }
  return table;
}

std::vector<Field> FieldsFromSpecs(nb::handle specs) {
  const nb::object list = Own(PySequence_List(specs.ptr()));
  std::vector<Field> fields;
  fields.reserve(static_cast<std::size_t>(PyList_GET_SIZE(list.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    fields.push_back(FieldFromSpec(PyList_GET_ITEM(list.ptr(), i)));
  }
  return fields;
}

nb::object SpecArguments(const Schema& schema) {
  nb::object list = Own(PyList_New(0));
  for (const Field& field : schema.fields()) {
    Check(PyList_Append(list.ptr(), SpecArgument(field).ptr()));
  }
  return list;
}

}  // namespace stream_store::python
