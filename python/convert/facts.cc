// The facts that need a loop or a conversion.
#include "convert/facts.h"

#include <new>

#include "stream_store/interop.h"

#include "convert/errors.h"
#include "convert/schema.h"

namespace stream_store::python {

nb::object ContentKey(Store& store) {
  const Reader* reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_RuntimeError, "no fields are declared yet; call define_fields() first");
  }
  return Own(Py_BuildValue("(sKk)", store.id().c_str(),
                           static_cast<unsigned long long>(reader->records()),
                           static_cast<unsigned long>(interop::LastChecksum(*reader))));
}

nb::object FieldNames(Store& store) {
  store.Refresh();
  const FieldTable& fields = store.fields();
  nb::object names = Own(PyTuple_New(static_cast<Py_ssize_t>(fields.declared())));
  for (std::size_t i = 0; i < fields.declared(); ++i) {
    PyTuple_SET_ITEM(names.ptr(), static_cast<Py_ssize_t>(i),
                     Borrow(fields[static_cast<TypeId>(i)].name.ptr()).release().ptr());
  }
  return names;
}

void OpenStore(Store* where, nb::object path, const std::string& mode, std::uint64_t capacity,
               double wait, const std::tuple<double, std::uint64_t, bool>& safety) {
  new (where) Store(std::move(path), mode,
                    {.capacity = capacity,
                     .wait = wait,
                     .sync_seconds = std::get<0>(safety),
                     .sync_bytes = std::get<1>(safety),
                     .safe_reads = std::get<2>(safety)});
}

void OpenSnapshot(Store* where, Store& source, std::optional<std::uint64_t> num_rows) {
  new (where) Store(source, num_rows);
}

void OpenHandover(Store* where, nb::handle descriptors, const nb::bytes& schema) {
  interop::Handover files;
  const nb::object list = Own(PySequence_List(descriptors.ptr()));
  if (PyList_GET_SIZE(list.ptr()) != static_cast<Py_ssize_t>(files.descriptors.size())) {
    Throw(PyExc_ValueError, "a temporary store has " + std::to_string(files.descriptors.size()) +
                                " descriptors, found " + ShortRepr(list.ptr()));
  }
  for (std::size_t i = 0; i < files.descriptors.size(); ++i) {
    files.descriptors[i] = static_cast<int>(
        AsInt64(PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i)), "a descriptor"));
  }
  const auto* bytes = static_cast<const std::byte*>(schema.data());
  files.schema.assign(bytes, bytes + schema.size());
  new (where) Store(files);
}

nb::object HandOver(Store& store) {
  Reader* reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_TypeError, "declare fields before this store goes to another process");
  }
  const interop::Handover files = interop::HandOver(*reader);
  nb::list descriptors;
  for (const int descriptor : files.descriptors) {
    descriptors.append(descriptor);
  }
  return nb::make_tuple(descriptors, nb::bytes(files.schema.data(), files.schema.size()));
}

void DefineFields(Store& store, nb::handle specs) { store.DefineFields(FieldsFromSpecs(specs)); }

nb::object FieldSpecs(Store& store) {
  store.Refresh();
  return SpecArguments(store.schema());
}

}  // namespace stream_store::python
