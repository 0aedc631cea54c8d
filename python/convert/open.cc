// Opening stores; see open.h.

#include "convert/open.h"

#include <new>

#include "stream_store/interop.h"

#include "convert/schema.h"

namespace stream_store::python {

void OpenStore(StoreObject* where, nb::object path, const std::string& mode, std::uint64_t capacity,
               double wait, const std::tuple<double, std::uint64_t, bool>& safety) {
  new (where) StoreObject(std::move(path), mode,
                          {.capacity = capacity,
                           .wait = wait,
                           .sync_seconds = std::get<0>(safety),
                           .sync_bytes = std::get<1>(safety),
                           .safe_reads = std::get<2>(safety)});
}

void OpenSnapshot(StoreObject* where, StoreObject& source, std::optional<std::uint64_t> num_rows) {
  new (where) StoreObject(source, num_rows);
}

void OpenHandover(StoreObject* where, nb::handle descriptors, const nb::bytes& schema) {
  interop::Handover files;
  const nb::object list = Own(PySequence_List(descriptors.ptr()));
  if (PyList_GET_SIZE(list.ptr()) != static_cast<Py_ssize_t>(files.descriptors.size())) {
    Throw(PyExc_ValueError, "expected the " + std::to_string(files.descriptors.size()) +
                                " descriptors of a temporary store but found " +
                                ShortRepr(list.ptr()));
  }
  for (std::size_t i = 0; i < files.descriptors.size(); ++i) {
    files.descriptors[i] = static_cast<int>(
        AsInt64(PyList_GET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i)), "a descriptor"));
  }
  const auto* bytes = static_cast<const std::byte*>(schema.data());
  files.schema.assign(bytes, bytes + schema.size());
  new (where) StoreObject(files);
}

nb::object HandOver(StoreObject& store) {
  Reader* reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_TypeError, "declare fields before this store is sent to another process");
  }
  const interop::Handover files = interop::HandOver(*reader);
  nb::list descriptors;
  for (const int descriptor : files.descriptors) {
    descriptors.append(descriptor);
  }
  return nb::make_tuple(descriptors, nb::bytes(files.schema.data(), files.schema.size()));
}

void DefineFields(StoreObject& store, nb::handle specs) {
  store.DefineFields(FieldsFromSpecs(specs));
}

void AddFields(StoreObject& store, nb::handle specs) { store.AddFields(FieldsFromSpecs(specs)); }

}  // namespace stream_store::python
