#include "convert/window_columns.h"

#include <algorithm>

namespace stream_store::python {
namespace {

struct OutputColumn {
  const char* name;
  int type_number;
  void (*set)(WindowsOut&, void*);
};

// In the order of ColumnId.
constexpr std::array<OutputColumn, 6> kColumns = {{
    {"values", NPY_INT64,
     [](WindowsOut& out, void* data) { out.values = static_cast<Value*>(data); }},
    {"types", NPY_INT64,
     [](WindowsOut& out, void* data) { out.types = static_cast<std::int64_t*>(data); }},
    {"step", NPY_INT64, [](WindowsOut& out, void* data) { out.step = static_cast<Step*>(data); }},
    {"number", NPY_FLOAT32,
     [](WindowsOut& out, void* data) { out.number = static_cast<float*>(data); }},
    {"offset", NPY_INT64,
     [](WindowsOut& out, void* data) { out.offset = static_cast<std::int64_t*>(data); }},
    {"row", NPY_INT64, [](WindowsOut& out, void* data) { out.row = static_cast<Row*>(data); }},
}};

constexpr std::array<ColumnId, 3> kItemColumns = {ColumnId::kStep, ColumnId::kTypes,
                                                  ColumnId::kValues};
constexpr std::array<ColumnId, 3> kWindowColumns = {ColumnId::kValues, ColumnId::kTypes,
                                                    ColumnId::kStep};

const OutputColumn& Spec(ColumnId id) { return kColumns[static_cast<std::size_t>(id)]; }

// The name of a column as a str, which is created once and never freed: it is needed in every call.
PyObject* NameOf(ColumnId id) {
  static std::array<PyObject*, kColumns.size()> names{};
  PyObject*& name = names[static_cast<std::size_t>(id)];
  if (name == nullptr) {
    name = Own(PyUnicode_InternFromString(Spec(id).name)).release().ptr();
  }
  return name;
}

}  // namespace

void WindowsOutput::Add(ColumnId id, const Shape& shape, std::uint64_t places, PyObject* given) {
  const OutputColumn& column = Spec(id);
  nb::object array;
  if (given == nullptr) {
    array = NewArray(column.type_number, shape);
  } else {
    const auto descr = nb::steal<nb::object>(
        reinterpret_cast<PyObject*>(PyArray_DescrFromType(column.type_number)));
    array = CheckOut(given, reinterpret_cast<PyArray_Descr*>(descr.ptr()), shape,
                     std::string("windows: out['") + column.name + "']");
  }
  column.set(out, DataOf(array));
  bytes += places * 8;
  Check(PyDict_SetItem(dict.ptr(), NameOf(id), array.ptr()));
}

void WindowsOutput::AddItemColumns(const Shape& shape, std::uint64_t places) {
  for (const ColumnId id : kItemColumns) {
    Add(id, shape, places, nullptr);
  }
}

ColumnId FindColumn(PyObject* name, const char* call) {
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, kColumns[i].name) == 0) {
      return static_cast<ColumnId>(i);
    }
  }
  std::string known;
  for (const OutputColumn& column : kColumns) {
    known += (known.empty() ? "'" : ", '") + std::string(column.name) + "'";
  }
  Throw(PyUnicode_Check(name) ? PyExc_ValueError : PyExc_TypeError,
        std::string(call) + ": unknown column " + ShortRepr(name) + "; the columns are " + known);
}

std::vector<ColumnId> WantedColumns(PyObject* columns, const char* call) {
  if (columns == nullptr) {
    return {kWindowColumns.begin(), kWindowColumns.end()};
  }
  const nb::object list = ListOfNames(columns, PyExc_TypeError, std::string(call) + ": columns");
  std::vector<ColumnId> wanted;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    const ColumnId id = FindColumn(PyList_GET_ITEM(list.ptr(), i), call);
    if (std::ranges::find(wanted, id) == wanted.end()) {
      wanted.push_back(id);
    }
  }
  return wanted;
}

}  // namespace stream_store::python
