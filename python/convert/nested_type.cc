// Types of nested cells as tuples and as text, and single cells outside stores.

#include "convert/nested_type.h"

#include "stream_store/nested.h"

#include "convert/errors.h"
#include "convert/nested.h"

namespace stream_store::python {
namespace {

constexpr const char* kWhat = "a nested type";

nb::object TypeText(std::string_view text) {
  return Own(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "surrogateescape"));
}

const char* KindName(NestedType::Kind kind) {
  switch (kind) {
    case NestedType::Kind::kItem:
      return "item";
    case NestedType::Kind::kBytes:
      return "bytes";
    case NestedType::Kind::kList:
      return "list";
    case NestedType::Kind::kFixedList:
      return "fixed_list";
    default:
      return "struct";
  }
}

nb::object TreeOf(const NestedType& type) {
  const nb::object children = Own(PyTuple_New(static_cast<Py_ssize_t>(type.children.size())));
  for (std::size_t i = 0; i < type.children.size(); ++i) {
    PyTuple_SET_ITEM(children.ptr(), static_cast<Py_ssize_t>(i),
                     TreeOf(type.children[i]).release().ptr());
  }
  return nb::make_tuple(KindName(type.kind), TypeText(type.format), TypeText(type.name),
                        type.nullable, type.size, children);
}

NestedType TypeOf(PyObject* tree, int depth) {
  if (depth > kMaxNestedDepth) {
    Throw(PyExc_ValueError, "a nested type: expected at most " + std::to_string(kMaxNestedDepth) +
                                " levels but found more");
  }
  if (!PyTuple_Check(tree) || PyTuple_GET_SIZE(tree) < 6) {
    Throw(PyExc_TypeError,
          "a nested type: expected a tuple (kind, format, name, nullable, size, children) but "
          "found " +
              ShortRepr(tree));
  }
  std::vector<NestedType> children;
  const nb::object list = Own(PySequence_Tuple(PyTuple_GET_ITEM(tree, 5)));
  children.reserve(static_cast<std::size_t>(PyTuple_GET_SIZE(list.ptr())));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(list.ptr()); ++i) {
    children.push_back(TypeOf(PyTuple_GET_ITEM(list.ptr(), i), depth + 1));
  }
  NestedType type =
      MakeNestedType(AsText(PyTuple_GET_ITEM(tree, 1), "a format"), std::move(children));
  type.name = AsText(PyTuple_GET_ITEM(tree, 2), "a name");
  type.nullable = PyObject_IsTrue(PyTuple_GET_ITEM(tree, 3)) == 1;
  return type;
}

NestedType Given(nb::handle type) {
  return PyUnicode_Check(type.ptr()) ? ParseNestedType(AsText(type.ptr(), kWhat))
                                     : TypeOf(type.ptr(), 1);
}

NestedCell CellOf(nb::handle type, nb::handle name) {
  const NestedType parsed = Given(type);
  const std::string text(AsText(name.ptr(), "a name"));
  return {parsed, "field '" + text + "' (nested " + NestedTypeText(parsed) + ")", text};
}

}  // namespace

nb::object NestedTypeTree(nb::handle text) {
  return TreeOf(ParseNestedType(AsText(text.ptr(), kWhat)));
}

nb::object NestedTypeCanonical(nb::handle type) { return TypeText(NestedTypeText(Given(type))); }

nb::object EncodeNested(nb::handle type, nb::handle name, nb::handle value) {
  Arena arena;
  const std::string_view block = CellOf(type, name).Encode(value.ptr(), arena);
  return Own(PyBytes_FromStringAndSize(block.data(), static_cast<Py_ssize_t>(block.size())));
}

nb::object DecodeNested(nb::handle type, nb::handle name, nb::handle block) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  Check(PyBytes_AsStringAndSize(block.ptr(), &data, &size));
  return CellOf(type, name)
      .Decode(std::as_bytes(std::span<const char>(data, static_cast<std::size_t>(size))));
}

}  // namespace stream_store::python
