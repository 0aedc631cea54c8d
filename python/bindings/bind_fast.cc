// The methods of Store that programs call in loops, added to the type by hand: nanobind's own
// dispatch costs more than an append.

#include "bindings/bind.h"
#include "bindings/docs.h"
#include "convert/methods.h"

namespace stream_store::python {
namespace {

using FastFunction = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*) noexcept;

void Add(nb::handle type, const char* name, FastFunction function, const char* doc) {
  // Python keeps the pointer, and the type is never destroyed, so the definition is not either.
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

void DocumentGetItem(nb::handle store_type) {
  // A method of that name would have a docstring too, but subclasses would then look it up and
  // call it for each store[i]. Python calls the slot directly only while the attribute is a slot
  // wrapper of its own kind, so this replaces the wrapper by a copy that differs in its text only.
  const nb::object current = Own(PyObject_GetAttrString(store_type.ptr(), "__getitem__"));
  const auto* wrapper = reinterpret_cast<PyWrapperDescrObject*>(current.ptr());
  static wrapperbase documented = *wrapper->d_base;
  documented.doc = kGetItemDoc;
  const nb::object replacement = Own(PyDescr_NewWrapper(
      reinterpret_cast<PyTypeObject*>(store_type.ptr()), &documented, wrapper->d_wrapped));
  Check(PyObject_SetAttrString(store_type.ptr(), "__getitem__", replacement.ptr()));
}

}  // namespace stream_store::python
