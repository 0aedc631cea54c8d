// The facts that need a loop or a conversion.

#include "convert/facts.h"

#include <new>

#include "convert/errors.h"
#include "convert/schema.h"

namespace stream_store::python {

nb::object FieldNames(Store& store) {
  store.Look();
  const FieldTable& fields = store.fields();
  nb::object names = Own(PyTuple_New(static_cast<Py_ssize_t>(fields.declared())));
  for (std::size_t i = 0; i < fields.declared(); ++i) {
    PyTuple_SET_ITEM(names.ptr(), static_cast<Py_ssize_t>(i),
                     Borrow(fields[static_cast<TypeId>(i)].name.ptr()).release().ptr());
  }
  return names;
}

void OpenStore(Store* where, nb::object path, const std::string& mode, std::uint64_t capacity,
               double wait) {
  new (where) Store(std::move(path), mode, capacity, wait);
}

void OpenSnapshot(Store* where, Store& source, std::optional<std::uint64_t> num_rows) {
  new (where) Store(source, num_rows);
}

void DefineFields(Store& store, nb::handle specs) { store.DefineFields(FieldsFromSpecs(specs)); }

nb::object FieldSpecs(Store& store) {
  store.Look();
  return SpecArguments(store.schema());
}

}  // namespace stream_store::python
