// The properties of facts.h that need a loop or a conversion.
#include "convert/facts.h"

#include "stream_store/interop.h"

#include "convert/errors.h"
#include "convert/schema.h"

namespace stream_store::python {

nb::object ContentKey(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_RuntimeError, "no fields are declared yet; call define_fields() first");
  }
  return Own(Py_BuildValue("(sKkK)", store.id().c_str(),
                           static_cast<unsigned long long>(reader->records()),
                           static_cast<unsigned long>(interop::LastChecksum(*reader)),
                           static_cast<unsigned long long>(reader->first_row())));
}

RetentionTuple RetentionOf(StoreObject& store) {
  const Retention limits = store.retention();
  return {limits.rows, limits.bytes, limits.segments, limits.segment_by};
}

void SetRetention(StoreObject& store, const RetentionTuple& limits) {
  store.SetRetention({.rows = std::get<0>(limits),
                      .bytes = std::get<1>(limits),
                      .segments = std::get<2>(limits),
                      .segment_by = std::get<3>(limits)});
}

nb::object FieldNames(StoreObject& store) {
  store.Refresh();
  const FieldTable& fields = store.fields();
  nb::object names = Own(PyTuple_New(static_cast<Py_ssize_t>(fields.declared().size())));
  Py_ssize_t place = 0;
  for (const TypeId type : fields.declared()) {
    PyTuple_SET_ITEM(names.ptr(), place++, Borrow(fields[type].name.ptr()).release().ptr());
  }
  return names;
}

nb::object FieldSpecs(StoreObject& store) {
  store.Refresh();
  const Schema schema = store.schema();  // a copy, since making objects may run foreign code
  return SpecArguments(schema);
}

}  // namespace stream_store::python
