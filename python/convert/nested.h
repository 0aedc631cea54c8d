// Cells of nested fields: between Python objects and nested blocks (stream_store/nested.h).
//
// Used by value.cc (append), decode.cc (row) and rows_output.cc (read_rows). The common types are
// converted in C++; all others by the Python functions of stream_store.values.nested, which apply
// the rules of flat fields.
//
// nested.cc         the nodes of a type, and the entry points
// nested_encode.cc  Python objects -> block
// nested_decode.cc  block -> Python objects
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stream_store/nested.h"

#include "convert/python.h"
#include "convert/scratch.h"

namespace stream_store::python {

/// The conversion of the values of one node.
enum class CellKind : std::uint8_t {
  kList,    ///< of varying or fixed length
  kMap,     ///< a list of entries, each a struct of a key and a value
  kStruct,  ///< a dict
  kBool,    ///< bool
  kInt,     ///< int
  kUInt64,  ///< int
  kFloat,   ///< float
  kText,    ///< str
  kBytes,   ///< bytes, of varying or fixed length
  kCount,   ///< dates and times: a number of units of time; read as NumPy scalars
  kOther,   ///< bytes of fixed size that Python converts: decimals and intervals
  kNull,    ///< None
};

/// One node of a nested type.
struct CellNode {
  explicit CellNode(const NestedType& type);

  bool is_leaf() const noexcept { return kind > CellKind::kStruct; }

  CellKind kind = CellKind::kNull;
  bool nullable = true;
  std::uint32_t size = 0;   ///< bytes of an item
  std::int64_t lowest = 0;  ///< of bools and integers: the range within int64
  std::int64_t highest = 0;
  std::vector<nb::object> keys;  ///< of kStruct: the names of the children
  std::vector<CellNode> children;

  // Of leaves, from stream_store.values.nested.
  nb::object descr;    ///< the NumPy dtype whose items have the layout of this leaf's; else None.
                       ///< Of kCount the dtype that its int64 values are read as
  nb::object encode;   ///< (value, place) -> int, float, bytes or None
  nb::object decode;   ///< of kOther: (bytes) -> value
  nb::object convert;  ///< (array) -> array whose items have the layout of this leaf's
};

/// The conversions of one nested field. Immutable apart from memory that the GIL guards.
class NestedCell {
 public:
  /// title  "field 'x' (nested list<string>)", which begins the message of each error.
  /// name   the name of the field, with which the place inside a cell begins: "x[3].role".
  NestedCell(const NestedType& type, std::string title, std::string name);

  /// Converts a Python object to a block. The block is in the memory of the arena.
  ///
  /// Throws ValueError or TypeError naming the field, the place inside the cell and the value. May
  /// run foreign code.
  std::string_view Encode(PyObject* value, Arena& arena) const;

  /// Converts a block to Python objects: dict, list, str, bytes, int, float, bool and None; NumPy
  /// scalars for dates and times, Decimal, and tuples for intervals and the entries of maps.
  ///
  /// Throws Error(kCorrupt) for bytes that are not a block of this type.
  nb::object Decode(std::span<const std::byte> block) const;

  const std::string& title() const noexcept { return title_; }

  const std::string& name() const noexcept { return name_; }

 private:
  NestedType type_;
  CellNode root_;
  std::string title_;
  std::string name_;
  // Encoders and decoders that no call uses, kept for their memory. A call takes one out, because a
  // conversion may run foreign code that converts another cell of this field.
  mutable std::vector<std::unique_ptr<NestedEncoder>> encoders_;
  mutable std::vector<std::unique_ptr<NestedDecoder>> decoders_;
};

/// The state of one conversion to a block.
struct CellWriter {
  const NestedCell& cell;
  NestedEncoder& encoder;
  Arena& arena;  ///< for numbers of lists

  /// "field 'x' (nested …): x[3].role", the place of the next value.
  std::string Place() const;

  /// Throws `type` with "<place>: expected <expected> but found <value>".
  [[noreturn]] void Refuse(PyObject* type, const char* expected, PyObject* value) const;

  /// Writes one value and everything inside it.
  void Write(const CellNode& node, PyObject* value) const;

 private:
  void WriteList(const CellNode& node, PyObject* value) const;
  void WriteItems(const CellNode& item, PyObject* list) const;
  bool WriteNumbers(const CellNode& item, PyObject* list) const;
  void WriteArray(const CellNode& item, PyArrayObject* array) const;
  bool WriteArrayItems(const CellNode& item, PyArrayObject* array) const;
  void WriteMap(const CellNode& node, PyObject* value) const;
  void WriteStruct(const CellNode& node, PyObject* value) const;
  void WriteDict(const CellNode& node, PyObject* dict) const;
  bool WriteFast(const CellNode& node, PyObject* value) const;
  bool WriteNumber(const CellNode& node, PyObject* value) const;
  bool WriteInteger(const CellNode& node, const std::byte* word) const;
  void WriteThroughHook(const CellNode& node, PyObject* value) const;
};

/// Reads one value and everything inside it.
nb::object ReadCell(const CellNode& node, NestedDecoder& decoder);

}  // namespace stream_store::python
