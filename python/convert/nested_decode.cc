// Nested blocks to Python objects. Only creates objects of built-in types, NumPy scalars, and what
// the function of a decimal or interval returns.

#include "convert/nested.h"

namespace stream_store::python {
namespace {

nb::object ReadLeaf(const CellNode& node, NestedDecoder& decoder) {
  switch (node.kind) {
    case CellKind::kBool:
      return Borrow(decoder.Bool() ? Py_True : Py_False);
    case CellKind::kInt:
      return Own(PyLong_FromLongLong(decoder.Int()));
    case CellKind::kUInt64:
      return Own(PyLong_FromUnsignedLongLong(decoder.UInt()));
    case CellKind::kFloat:
      return Own(PyFloat_FromDouble(decoder.Float()));
    case CellKind::kText: {
      const std::string_view text = decoder.Text();
      return Own(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()),
                                      "surrogateescape"));
    }
    case CellKind::kBytes: {
      const std::string_view bytes = decoder.Text();
      return Own(PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
    }
    case CellKind::kCount: {
      std::int64_t count = decoder.Int();
      return Own(
          PyArray_Scalar(&count, reinterpret_cast<PyArray_Descr*>(node.descr.ptr()), nullptr));
    }
    case CellKind::kNull:
      decoder.Item();
      return nb::none();
    default: {
      const std::span<const std::byte> item = decoder.Item();
      const nb::object bytes = Own(PyBytes_FromStringAndSize(
          reinterpret_cast<const char*>(item.data()), static_cast<Py_ssize_t>(item.size())));
      return Own(PyObject_CallOneArg(node.decode.ptr(), bytes.ptr()));
    }
  }
}

nb::object ReadValue(const CellNode& node, NestedDecoder& decoder);

nb::object ReadList(const CellNode& node, NestedDecoder& decoder) {
  const std::uint64_t count = decoder.BeginList();
  nb::object list = Own(PyList_New(static_cast<Py_ssize_t>(count)));
  for (std::uint64_t i = 0; i < count; ++i) {
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i),
                    ReadValue(node.children[0], decoder).release().ptr());
  }
  return list;
}

// A list of (key, value), because the keys of a map may repeat, and may be of any type.
nb::object ReadMap(const CellNode& node, NestedDecoder& decoder) {
  const CellNode& entry = node.children[0];
  const std::uint64_t count = decoder.BeginList();
  nb::object list = Own(PyList_New(static_cast<Py_ssize_t>(count)));
  for (std::uint64_t i = 0; i < count; ++i) {
    nb::object pair = nb::none();
    if (!decoder.Null()) {
      decoder.BeginStruct();
      const nb::object key = ReadValue(entry.children[0], decoder);
      const nb::object value = ReadValue(entry.children[1], decoder);
      pair = Own(PyTuple_Pack(2, key.ptr(), value.ptr()));
    }
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), pair.release().ptr());
  }
  return list;
}

nb::object ReadStruct(const CellNode& node, NestedDecoder& decoder) {
  decoder.BeginStruct();
  nb::object dict = Own(PyDict_New());
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const nb::object value = ReadValue(node.children[i], decoder);
    Check(PyDict_SetItem(dict.ptr(), node.keys[i].ptr(), value.ptr()));
  }
  return dict;
}

nb::object ReadPresent(const CellNode& node, NestedDecoder& decoder) {
  switch (node.kind) {
    case CellKind::kList:
      return ReadList(node, decoder);
    case CellKind::kMap:
      return ReadMap(node, decoder);
    case CellKind::kStruct:
      return ReadStruct(node, decoder);
    default:
      return ReadLeaf(node, decoder);
  }
}

nb::object ReadValue(const CellNode& node, NestedDecoder& decoder) {
  return decoder.Null() ? nb::object(nb::none()) : ReadPresent(node, decoder);
}

}  // namespace

// The root is never null.
nb::object ReadCell(const CellNode& node, NestedDecoder& decoder) {
  return ReadPresent(node, decoder);
}

}  // namespace stream_store::python
