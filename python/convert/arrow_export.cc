// Capsules that export a snapshot. Their consumers may read the stream without the GIL, so nothing
// in it is a Python object.

#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "convert/arrow.h"

namespace stream_store::python {
namespace {

constexpr const char* kStreamName = "arrow_array_stream";
constexpr const char* kSchemaName = "arrow_schema";

// Releases the struct, unless the consumer has moved it out of the capsule.
template <class Struct>
void DestroyCapsule(PyObject* capsule) {
  auto* held = static_cast<Struct*>(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
  if (held == nullptr) {
    PyErr_WriteUnraisable(capsule);
    return;
  }
  if (held->release != nullptr) {
    held->release(held);
  }
  delete held;
}

template <class Struct>
nb::object MakeCapsule(std::unique_ptr<Struct> held, const char* name) {
  PyObject* capsule = PyCapsule_New(held.get(), name, &DestroyCapsule<Struct>);
  if (capsule == nullptr) {
    held->release(held.get());
    nb::raise_python_error();
  }
  static_cast<void>(held.release());
  return nb::steal<nb::object>(capsule);
}

const ArrowSchema* RequestedSchema(nb::handle requested) {
  if (requested.is_none()) {
    return nullptr;
  }
  if (PyCapsule_IsValid(requested.ptr(), kSchemaName) == 0) {
    Throw(PyExc_TypeError, "requested_schema must be a capsule 'arrow_schema' or None, not " +
                               ShortRepr(requested.ptr()));
  }
  return static_cast<const ArrowSchema*>(PyCapsule_GetPointer(requested.ptr(), kSchemaName));
}

std::shared_ptr<Reader> ReaderOf(StoreObject& store) {
  const std::shared_ptr<Reader> reader = store.Refresh();
  if (reader == nullptr) {
    Throw(PyExc_RuntimeError,
          "exporting to Arrow: no fields are declared yet; call define_fields() first");
  }
  return reader;
}

// A type from (format, name, metadata, flags, children).
ArrowType ArrowTypeOf(PyObject* given) {
  const nb::object tuple = Own(PySequence_Tuple(given));
  const nb::object metadata = Borrow(PyTuple_GetItem(tuple.ptr(), 2));
  ArrowType type;
  type.format = AsText(PyTuple_GetItem(tuple.ptr(), 0), "a format");
  type.name = AsText(PyTuple_GetItem(tuple.ptr(), 1), "a name");
  if (PyBytes_Check(metadata.ptr())) {
    type.metadata.assign(PyBytes_AS_STRING(metadata.ptr()),
                         static_cast<std::size_t>(PyBytes_GET_SIZE(metadata.ptr())));
  }
  type.flags = AsInt64(PyTuple_GetItem(tuple.ptr(), 3), "flags");
  const nb::object children = Own(PySequence_Tuple(PyTuple_GetItem(tuple.ptr(), 4)));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(children.ptr()); ++i) {
    type.children.push_back(ArrowTypeOf(PyTuple_GET_ITEM(children.ptr(), i)));
  }
  return type;
}

// The names of the columns to export; none for None.
std::optional<std::vector<std::string>> ColumnsOf(nb::handle columns) {
  if (columns.is_none()) {
    return std::nullopt;
  }
  const nb::object list = Own(PySequence_List(columns.ptr()));
  std::vector<std::string> names;
  names.reserve(static_cast<std::size_t>(PyList_GET_SIZE(list.ptr())));
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    names.emplace_back(AsText(PyList_GET_ITEM(list.ptr(), i), "the name of a column"));
  }
  return names;
}

}  // namespace

std::vector<ArrowField> ArrowFieldsOf(nb::handle fields) {
  const nb::object list = Own(PySequence_List(fields.ptr()));
  std::vector<ArrowField> result;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list.ptr()); ++i) {
    const nb::object pair = Own(PySequence_Tuple(PyList_GET_ITEM(list.ptr(), i)));
    ArrowField field;
    field.type = ArrowTypeOf(PyTuple_GetItem(pair.ptr(), 0));
    field.classes = AsInt64(PyTuple_GetItem(pair.ptr(), 1), "classes");
    result.push_back(std::move(field));
  }
  return result;
}

nb::object ExportStream(StoreObject& store, nb::handle requested, nb::handle rows,
                        nb::handle fields, const std::string& metadata, nb::handle names) {
  ArrowExportOptions options;
  const nb::object step_column = Own(PySequence_GetItem(names.ptr(), 0));
  options.columns = ColumnsOf(Own(PySequence_GetItem(names.ptr(), 1)));
  if (const nb::object start = Own(PySequence_GetItem(rows.ptr(), 0)); !start.is_none()) {
    options.begin = AsInt64(start.ptr(), "start");
  }
  options.end = AsInt64(Own(PySequence_GetItem(rows.ptr(), 1)).ptr(), "stop");
  options.batch_bytes = static_cast<std::uint64_t>(
      AsInt64(Own(PySequence_GetItem(rows.ptr(), 2)).ptr(), "batch_bytes"));
  options.fields = ArrowFieldsOf(fields);
  options.huggingface_metadata = metadata;
  options.step_column = AsText(step_column.ptr(), "step_column");
  options.requested = RequestedSchema(requested);
  auto stream = std::make_unique<ArrowArrayStream>();
  ExportArrow(*ReaderOf(store), options, stream.get());
  return MakeCapsule(std::move(stream), kStreamName);
}

nb::object ExportSchema(StoreObject& store, nb::handle fields, const std::string& metadata,
                        nb::handle columns) {
  ArrowExportOptions options;
  options.columns = ColumnsOf(columns);
  options.fields = ArrowFieldsOf(fields);
  options.huggingface_metadata = metadata;
  auto schema = std::make_unique<ArrowSchema>();
  // Not ExportArrowSchema(), because it depends on the rows which columns are not null.
  ArrowArrayStream stream{};
  ExportArrow(*ReaderOf(store), options, &stream);
  const int code = stream.get_schema(&stream, schema.get());
  stream.release(&stream);
  if (code != 0) {
    throw std::bad_alloc();  // the only error of get_schema
  }
  return MakeCapsule(std::move(schema), kSchemaName);
}

}  // namespace stream_store::python
