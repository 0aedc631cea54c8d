// Decoding of single field-writes.

#include "convert/decode.h"

#include <algorithm>
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

nb::object MakeText(const FieldInfo& field, std::string_view bytes) {
  const char* data = bytes.data();
  const auto size = static_cast<Py_ssize_t>(bytes.size());
  return Own(field.kind == ValueKind::kBytes ? PyBytes_FromStringAndSize(data, size)
                                             : PyUnicode_DecodeUTF8(data, size, "surrogateescape"));
}

// The items of a field-write that begins with their number. `item_bytes` is the size of one.
std::span<const std::byte> BlockItems(const FieldInfo& field, std::size_t item_bytes,
                                      std::span<const Value> words) {
  const std::uint64_t count = words.empty() ? 0 : static_cast<std::uint64_t>(words[0]);
  const std::uint64_t most = words.empty() ? 0 : (words.size() - 1) * sizeof(Value) / item_bytes;
  if (words.empty() || count > most ||
      words.size() - 1 != (count * item_bytes + sizeof(Value) - 1) / sizeof(Value)) {
    throw Error(
        ErrorCode::kCorrupt,
        "field " + field.text + ": expected the number of items and their bytes but found " +
            std::to_string(words.size()) + " words for " + std::to_string(count) + " items");
  }
  return std::as_bytes(words.subspan(1)).first(count * item_bytes);
}

// A packed list of varying length: a new array of its items.
nb::object DecodePackedList(const FieldInfo& field, std::span<const Value> words) {
  const auto item_bytes = static_cast<std::size_t>(
      PyDataType_ELSIZE(reinterpret_cast<PyArray_Descr*>(field.descr.ptr())));
  const std::span<const std::byte> bytes = BlockItems(field, item_bytes, words);
  const std::size_t unit = item_bytes * field.items;
  if (unit == 0 || bytes.size() % unit != 0) {
    throw Error(ErrorCode::kCorrupt, "field " + field.text + ": expected a multiple of " +
                                         std::to_string(field.items) + " items but found " +
                                         std::to_string(bytes.size() / item_bytes));
  }
  Shape shape{static_cast<npy_intp>(bytes.size() / unit)};
  shape += std::span<const npy_intp>(field.shape);
  nb::object array = NewArray(field.NewDescr(), shape);
  std::ranges::copy(bytes, DataAs<std::byte>(array));
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
    case ValueKind::kNested:
      return DecodeCell(field, words);
    case ValueKind::kNumber:
      break;
  }
  if (field.block) {
    return DecodePackedList(field, words);
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
  if (field.block && !words.empty()) {
    const std::span<const std::byte> bytes = BlockItems(field, 1, words);
    return MakeText(field, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  std::string bytes(words.size(), '\0');
  for (std::size_t i = 0; i < words.size(); ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(words[i]));
  }
  return MakeText(field, bytes);
}

nb::object DecodeCell(const FieldInfo& field, std::span<const Value> words) {
  return field.nested->Decode(BlockItems(field, 1, words));
}

}  // namespace stream_store::python
