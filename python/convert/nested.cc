// The nodes of nested types, and the entry points of the conversions.

#include "convert/nested.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "stream_store/error.h"

namespace stream_store::python {
namespace {

constexpr std::size_t kKept = 4;                          // encoders or decoders of a field
constexpr std::size_t kKeptBytes = std::size_t{1} << 20;  // an encoder of a larger cell is freed

CellKind KindOfFormat(std::string_view format) {
  switch (format.front()) {
    case 'n':
      return CellKind::kNull;
    case 'b':
      return CellKind::kBool;
    case 'e':
    case 'f':
    case 'g':
      return CellKind::kFloat;
    case 'L':
      return CellKind::kUInt64;
    case 'u':
    case 'U':
      return CellKind::kText;
    case 'z':
    case 'Z':
    case 'w':
      return CellKind::kBytes;
    case 'v':
      return format == "vu" ? CellKind::kText : CellKind::kBytes;
    case 'd':
      return CellKind::kOther;
    case 't':
      return format.starts_with("ti") ? CellKind::kOther : CellKind::kCount;
    default:
      return CellKind::kInt;
  }
}

CellKind KindOf(const NestedType& type) {
  switch (type.kind) {
    case NestedType::Kind::kList:
      return type.format == "+m" ? CellKind::kMap : CellKind::kList;
    case NestedType::Kind::kFixedList:
      return CellKind::kList;
    case NestedType::Kind::kStruct:
      return CellKind::kStruct;
    default:
      return KindOfFormat(type.format);
  }
}

// The range of a bool or integer type, as far as int64 reaches.
std::pair<std::int64_t, std::int64_t> RangeOf(char format, std::uint32_t bytes) {
  const bool is_unsigned = format == 'C' || format == 'S' || format == 'I' || format == 'L';
  const unsigned bits = format == 'b' ? 1 : 8 * bytes - (is_unsigned ? 0 : 1);
  const std::int64_t highest = bits >= 63 ? INT64_MAX : (std::int64_t{1} << bits) - 1;
  return {is_unsigned || format == 'b' ? 0 : -highest - 1, highest};
}

nb::object Interned(const std::string& text) {
  PyObject* object = Own(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()),
                                              "surrogateescape"))
                         .release()
                         .ptr();
  PyUnicode_InternInPlace(&object);
  return nb::steal<nb::object>(object);
}

// Takes an object out of a pool, or makes one.
template <class T>
std::unique_ptr<T> TakeFrom(std::vector<std::unique_ptr<T>>& pool, const NestedType& type) {
  if (pool.empty()) {
    return std::make_unique<T>(type);
  }
  std::unique_ptr<T> taken = std::move(pool.back());
  pool.pop_back();
  return taken;
}

template <class T>
void GiveBack(std::vector<std::unique_ptr<T>>& pool, std::unique_ptr<T> taken) {
  if (pool.size() < kKept) {
    pool.push_back(std::move(taken));
  }
}

}  // namespace

CellNode::CellNode(const NestedType& type)
    : kind(KindOf(type)), nullable(type.nullable), size(type.size) {
  children.reserve(type.children.size());
  for (const NestedType& child : type.children) {
    children.emplace_back(child);
    if (kind == CellKind::kStruct) {
      keys.push_back(Interned(child.name));
    }
  }
  if (kind == CellKind::kInt || kind == CellKind::kUInt64 || kind == CellKind::kBool) {
    std::tie(lowest, highest) = RangeOf(type.format.front(), type.size);
  }
  if (is_leaf() && kind != CellKind::kNull) {
    const nb::object format = Interned(type.format);
    const nb::object leaf = CallHook("nested_leaf", format.ptr());
    descr = Own(PyObject_GetAttrString(leaf.ptr(), "dtype"));
    encode = Own(PyObject_GetAttrString(leaf.ptr(), "encode"));
    decode = Own(PyObject_GetAttrString(leaf.ptr(), "decode"));
    convert = Own(PyObject_GetAttrString(leaf.ptr(), "convert"));
  }
}

NestedCell::NestedCell(const NestedType& type, std::string title, std::string name)
    : type_(type), root_(type), title_(std::move(title)), name_(std::move(name)) {}

// The encoder is given back only after success, so that no other cell begins with the rest of one
// that failed.
std::string_view NestedCell::Encode(PyObject* value, Arena& arena) const {
  std::unique_ptr<NestedEncoder> encoder = TakeFrom(encoders_, type_);
  std::byte* copy = nullptr;
  std::size_t size = 0;
  try {
    const CellWriter writer{*this, *encoder, arena};
    if (value == Py_None) {
      writer.Refuse(PyExc_ValueError, "a value (leave a missing field out of the step)", value);
    }
    writer.Write(root_, value);
    const std::string_view block = encoder->Finish();
    size = block.size();
    copy = arena.Take<std::byte>(size);
    std::copy_n(reinterpret_cast<const std::byte*>(block.data()), size, copy);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) {
      throw;
    }
    const std::string text = error.what();
    const bool placed = text.starts_with('[') || text.starts_with('.');
    Throw(PyExc_ValueError, title_ + ": " + name_ + (placed ? "" : ": ") + text);
  }
  if (size <= kKeptBytes) {
    GiveBack(encoders_, std::move(encoder));
  }
  return {reinterpret_cast<const char*>(copy), size};
}

nb::object NestedCell::Decode(std::span<const std::byte> block) const {
  std::unique_ptr<NestedDecoder> decoder = TakeFrom(decoders_, type_);
  try {
    decoder->Open(block);
  } catch (const Error& error) {
    throw Error(error.code(), title_ + ": " + error.what());
  }
  nb::object value = ReadCell(root_, *decoder);
  GiveBack(decoders_, std::move(decoder));
  return value;
}

}  // namespace stream_store::python
