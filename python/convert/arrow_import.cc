// Imports of rows from capsules.

#include <optional>
#include <utility>

#include "convert/arrow.h"
#include "convert/schema.h"

namespace stream_store::python {
namespace {

constexpr const char* kImportStreamName = "arrow_array_stream";
constexpr int kMaxDepth = 256;  // Describe() recurses; Python refuses more than 64 by name

ArrowArrayStream* StreamOf(nb::handle capsule, const char* what) {
  if (PyCapsule_IsValid(capsule.ptr(), kImportStreamName) == 0) {
    Throw(PyExc_TypeError, std::string(what) + " must be a capsule 'arrow_array_stream', not " +
                               ShortRepr(capsule.ptr()));
  }
  auto* stream =
      static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), kImportStreamName));
  if (stream->release == nullptr) {
    Throw(PyExc_ValueError, std::string(what) + ": the Arrow stream was read already");
  }
  return stream;
}

// Releases a schema when it is destroyed.
struct SchemaHolder {
  ArrowSchema schema{};

  SchemaHolder() = default;
  SchemaHolder(const SchemaHolder&) = delete;
  SchemaHolder& operator=(const SchemaHolder&) = delete;

  ~SchemaHolder() {
    if (schema.release != nullptr) {
      schema.release(&schema);
    }
  }
};

nb::object Describe(const ArrowSchema& schema, int depth);

nb::object DescribeOrNone(const ArrowSchema* schema, int depth) {
  return schema == nullptr ? nb::none() : Describe(*schema, depth);
}

nb::object TextOf(const char* text) {
  return Own(PyUnicode_DecodeUTF8(text == nullptr ? "" : text,
                                  text == nullptr ? 0 : static_cast<Py_ssize_t>(strlen(text)),
                                  "surrogateescape"));
}

// The metadata of a schema as a dict of bytes; None if there is none.
nb::object DescribeMetadata(const char* metadata) {
  if (metadata == nullptr) {
    return nb::none();
  }
  const auto number = [&metadata] {
    std::int32_t value{};
    std::memcpy(&value, metadata, sizeof(value));
    metadata += sizeof(value);
    if (value < 0) {
      Throw(PyExc_ValueError, "the metadata of the Arrow schema has a negative length");
    }
    return value;
  };
  const auto bytes = [&metadata, &number] {
    const Py_ssize_t size = number();
    nb::object made = Own(PyBytes_FromStringAndSize(metadata, size));
    metadata += size;
    return made;
  };
  nb::object dict = Own(PyDict_New());
  const std::int32_t pairs = number();
  for (std::int32_t pair = 0; pair < pairs; ++pair) {
    const nb::object key = bytes();
    const nb::object value = bytes();
    Check(PyDict_SetItem(dict.ptr(), key.ptr(), value.ptr()));
  }
  return dict;
}

nb::object Describe(const ArrowSchema& schema, int depth) {
  if (depth > kMaxDepth || schema.n_children < 0 ||
      (schema.n_children > 0 && schema.children == nullptr)) {
    Throw(PyExc_ValueError, "the Arrow schema is nested too deeply or lacks its children");
  }
  const nb::object children = Own(PyList_New(0));
  for (std::int64_t i = 0; i < schema.n_children; ++i) {
    Check(PyList_Append(children.ptr(), DescribeOrNone(schema.children[i], depth + 1).ptr()));
  }
  return Own(PyTuple_Pack(6, TextOf(schema.format).ptr(), TextOf(schema.name).ptr(),
                          DescribeMetadata(schema.metadata).ptr(), children.ptr(),
                          DescribeOrNone(schema.dictionary, depth + 1).ptr(),
                          Own(PyLong_FromLongLong(schema.flags)).ptr()));
}

}  // namespace

nb::object DescribeStream(nb::handle capsule) {
  ArrowArrayStream* stream = StreamOf(capsule, "stream");
  SchemaHolder holder;
  int code = 0;
  {
    const MaybeWithoutGil released(true);
    code = stream->get_schema(stream, &holder.schema);
  }
  if (code != 0) {
    const char* text = stream->get_last_error(stream);
    Throw(PyExc_ValueError, std::string("the Arrow stream failed: ") +
                                (text == nullptr ? std::to_string(code) : text));
  }
  return Describe(holder.schema, 0);
}

std::uint64_t ImportStreams(StoreObject& store, nb::handle streams, nb::handle specs,
                            nb::handle fields, const std::string& step_column,
                            nb::handle progress) {
  static_cast<void>(store.Writer("import"));  // throws if the store is not open for writing
  const nb::object stream = Own(PySequence_GetItem(streams.ptr(), 0));
  const nb::object picks = Own(PySequence_GetItem(streams.ptr(), 1));
  ArrowArrayStream* rows = StreamOf(stream, "stream");
  ArrowArrayStream* numbers = picks.is_none() ? nullptr : StreamOf(picks, "picks");
  std::optional<std::vector<Field>> new_fields;
  if (!specs.is_none()) {
    new_fields = FieldsFromSpecs(specs);
  }
  ArrowImportOptions options;
  options.fields = ArrowFieldsOf(fields);
  options.step_column = step_column;
  // The import runs without the GIL, so a signal is noticed only here.
  options.progress = [&](std::uint64_t done) {
    const nb::gil_scoped_acquire acquired;
    Check(PyErr_CheckSignals());
    if (!progress.is_none()) {
      Own(PyObject_CallFunction(progress.ptr(), "K", static_cast<unsigned long long>(done)));
    }
  };
  return store.Import(std::move(new_fields), [&](StagedRows& staged) {
    if (numbers == nullptr) {
      ImportArrow(staged, rows, options);
    } else {
      ImportArrowRows(staged, rows, numbers, options);
    }
  });
}

}  // namespace stream_store::python
