// Decoding of single field-writes.

#include "convert/decode.h"

#include <cstring>

#include "convert/arrays.h"
#include "convert/errors.h"

namespace stream_store::python {
namespace {

nb::object WordsArray(std::span<const Value> words) {
  nb::object array = NewArray(NPY_INT64, Shape{static_cast<npy_intp>(words.size())});
  if (!words.empty()) {
    std::memcpy(DataOf(array), words.data(), words.size_bytes());
  }
  return array;
}

nb::object DecodeScalar(const Reader& reader, const FieldInfo& field, TypeId type,
                        std::span<const Value> words) {
  if (words.size() != 1) {
    throw Error(ErrorCode::kCorrupt, "field " + field.text + ": expected one value but found " +
                                         std::to_string(words.size()));
  }
  std::uint64_t item = 0;
  reader.Decode(words, type, &item);
  return Own(PyArray_Scalar(&item, reinterpret_cast<PyArray_Descr*>(field.descr.ptr()), nullptr));
}

}  // namespace

// The lengths are checked although appends guarantee them: with a damaged file, a wrong one would
// write outside the array.
nb::object DecodeValue(PyObject* self, const Reader& reader, const FieldInfo& field, TypeId type,
                       std::span<const Value> words) {
  switch (field.kind) {
    case ValueKind::kNull:
      return nb::none();
    case ValueKind::kText:
    case ValueKind::kBytes:
      return DecodeText(field, words);
    case ValueKind::kDecimal: {
      const nb::object number = Own(PyLong_FromLong(type));
      return CallHook("decode", self, number.ptr(), WordsArray(words).ptr());
    }
    case ValueKind::kNumber:
      break;
  }
  if (field.dimensions() == 0) {
    return DecodeScalar(reader, field, type, words);
  }
  Shape shape;
  if (field.ragged) {
    shape += static_cast<npy_intp>(field.items == 0 ? 0 : words.size() / field.items);
  }
  shape += std::span<const npy_intp>(field.shape);
  nb::object array = NewArray(field.NewDescr(), shape);
  const auto bytes =
      static_cast<std::size_t>(PyArray_NBYTES(reinterpret_cast<PyArrayObject*>(array.ptr())));
  if (field.packed) {
    if (words.size_bytes() < bytes) {
      throw Error(ErrorCode::kCorrupt, "field " + field.text + ": expected " +
                                           std::to_string(bytes) + " packed bytes but found " +
                                           std::to_string(words.size_bytes()));
    }
    std::memcpy(DataOf(array), words.data(), bytes);
  } else if (shape.places() != words.size()) {
    throw Error(ErrorCode::kCorrupt, "field " + field.text + ": expected " +
                                         std::to_string(shape.places()) + " values but found " +
                                         std::to_string(words.size()));
  } else {
    reader.Decode(words, type, DataOf(array));
  }
  return array;
}

nb::object DecodeText(const FieldInfo& field, std::span<const Value> words) {
  std::string bytes(words.size(), '\0');
  for (std::size_t i = 0; i < words.size(); ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(words[i]));
  }
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  if (field.kind == ValueKind::kBytes) {
    return Own(PyBytes_FromStringAndSize(bytes.data(), size));
  }
  return Own(PyUnicode_DecodeUTF8(bytes.data(), size, "surrogateescape"));
}

}  // namespace stream_store::python
