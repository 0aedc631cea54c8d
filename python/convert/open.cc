// Opening stores; see open.h.

#include "convert/open.h"

#include <new>

#include "stream_store/interop.h"

#include "convert/group.h"
#include "convert/schema.h"

namespace stream_store::python {

void OpenStore(StoreObject* where, nb::object path, const std::string& mode,
               const std::tuple<std::uint64_t, std::uint64_t>& sizes, double wait,
               const std::tuple<double, std::uint64_t, bool>& safety) {
  new (where) StoreObject(std::move(path), mode,
                          {.capacity = std::get<0>(sizes),
                           .chunk_bytes = std::get<1>(sizes),
                           .wait = wait,
                           .sync_seconds = std::get<0>(safety),
                           .sync_bytes = std::get<1>(safety),
                           .safe_reads = std::get<2>(safety)});
}

void OpenSnapshot(StoreObject* where, StoreObject& source, std::optional<std::uint64_t> num_rows) {
  new (where) StoreObject(source, num_rows);
}

void OpenHandover(StoreObject* where, nb::handle directory) {
  new (where) StoreObject(interop::TakeOver(NativePath(directory)), nb::none());
}

void OpenMember(StoreObject* where, const GroupObject& group, nb::handle name) {
  std::optional<Reader> reader = group.ReaderOf(name);
  if (!reader) {
    PyErr_SetObject(PyExc_KeyError, name.ptr());
    throw nb::python_error();
  }
  reader->Refresh();
  new (where) StoreObject(std::move(*reader), group.StorePath(name));
}

nb::object HandOver(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_TypeError, "declare fields before this store is sent to another process");
  }
  const std::string directory = interop::HandOver(*reader).string();
  return Own(PyUnicode_DecodeFSDefaultAndSize(directory.data(),
                                              static_cast<Py_ssize_t>(directory.size())));
}

void DefineFields(StoreObject& store, nb::handle specs) {
  store.DefineFields(FieldsFromSpecs(specs));
}

void AddFields(StoreObject& store, nb::handle specs) { store.AddFields(FieldsFromSpecs(specs)); }

}  // namespace stream_store::python
