// The methods that are called in loops. They are added to the type by hand, because the argument
// dispatch of nanobind costs more than a whole append.

#include "bindings/bind.h"
#include "bindings/docs.h"
#include "convert/methods.h"

namespace stream_store::python {
namespace {

using FastFunction = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*) noexcept;

void Add(nb::handle type, const char* name, FastFunction function, const char* doc) {
  // Python keeps the pointer, so a definition must live as long as the type: until the process
  // ends.
  auto* definition =
      new PyMethodDef{name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
                      METH_FASTCALL | METH_KEYWORDS, doc};
  const nb::object method =
      Own(PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), definition));
  Check(PyObject_SetAttrString(type.ptr(), name, method.ptr()));
}

}  // namespace

void BindFastMethods(nb::handle store_type) {
  Add(store_type, "append", &Append, kAppendDoc);
  Add(store_type, "append_step", &AppendStep, kAppendStepDoc);
  Add(store_type, "extend", &Extend, kExtendDoc);
  Add(store_type, "windows", &Windows, kWindowsDoc);
  Add(store_type, "read_rows", &ReadRows, kReadRowsDoc);
}

}  // namespace stream_store::python
