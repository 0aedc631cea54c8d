#include "convert/batch_tree.h"

#include "convert/rows_output.h"

namespace stream_store::python {
namespace {

bool NamesStruct(const FieldTable& fields, PyObject* list) {
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    if (!fields.Find(PyList_GET_ITEM(list, i))) {
      return true;
    }
  }
  return false;
}

}  // namespace

BatchTree::BatchTree(PyObject* self, const FieldTable& fields, PyObject* names, const char* call) {
  nb::object list = nb::none();
  if (names != nullptr && names != Py_None) {
    list = ListOfNames(names, PyExc_ValueError, std::string(call) + ": fields");
  }
  if (!fields.has_structs() || (!list.is_none() && !NamesStruct(fields, list.ptr()))) {
    types_ = WantedTypes(fields, list.ptr(), call);
    return;
  }
  plan_ = CallHook("batch_plan", self, list.ptr());
  const nb::object types =
      Own(PySequence_List(Own(PyObject_GetAttrString(plan_.ptr(), "types")).ptr()));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(types.ptr()); ++i) {
    types_.push_back(static_cast<TypeId>(AsInt64(PyList_GET_ITEM(types.ptr(), i), "a type id")));
  }
}

nb::object BatchTree::Flat(const char* method, PyObject* given) const {
  if (given == nullptr || given == Py_None || !plan_.is_valid()) {
    return given == nullptr ? nb::object() : Borrow(given);
  }
  const nb::object name = Own(PyUnicode_InternFromString(method));
  return Own(PyObject_CallMethodOneArg(plan_.ptr(), name.ptr(), given));
}

nb::object BatchTree::Nest(nb::object flat) const {
  if (!plan_.is_valid()) {
    return flat;
  }
  const nb::object name = Own(PyUnicode_InternFromString("nest"));
  return Own(PyObject_CallMethodOneArg(plan_.ptr(), name.ptr(), flat.ptr()));
}

}  // namespace stream_store::python
