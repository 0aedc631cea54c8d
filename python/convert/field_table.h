// The properties of each field that the conversions need, derived once from the schema of a store.
//
// Made by StoreObject when fields are declared or a store is opened; read by append, extend and the
// reads. A table never changes; declaring new fields creates a new one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/schema.h"

#include "convert/assert.h"
#include "convert/nested.h"
#include "convert/python.h"

namespace stream_store::python {

/// The kind of Python objects that a field stores.
enum class ValueKind : std::uint8_t {
  kNumber,   ///< bool, ints, floats, dates and times: arrays of numbers
  kText,     ///< str
  kBytes,    ///< bytes, of varying or fixed length
  kDecimal,  ///< decimal.Decimal
  kNull,     ///< no values
  kNested,   ///< any object that its type describes
};

struct FieldInfo {
  nb::object name;   ///< interned str
  nb::object key;    ///< of batches: the name, unless that is one of their own keys
  std::string text;  ///< "'obs' (float32[84,84])", for messages
  DType dtype = DType::kInt64;
  ValueKind kind = ValueKind::kNumber;
  bool packed = false;
  bool ragged = false;            ///< a list of varying length; false for text
  bool block = false;             ///< a field-write is a word with the number of items, then their
                                  ///< bytes: packed fields of varying length, and nested ones
  bool encodes = false;           ///< text or nested: the feature encodes its values first
  bool hidden = false;            ///< marker of a struct
  std::vector<npy_intp> shape;    ///< without the ragged dimension; empty for text and bytes
  std::uint64_t items = 1;        ///< product of `shape`
  std::size_t item_words = 1;     ///< stored words per item (decimals: 2 and 4)
  std::int64_t class_count = -1;  ///< number of names of a ClassLabel; -1 for other fields
  nb::object descr;  ///< NumPy dtype of decoded items; uint8 for text, int64 for words of decimals
  std::shared_ptr<const NestedCell> nested;  ///< the conversions of a nested field, else null

  /// Number of dimensions of a value: 0 for a scalar, 1 for a list, more for an array.
  std::size_t dimensions() const noexcept { return shape.size() + (ragged ? 1 : 0); }

  bool is_text() const noexcept { return kind == ValueKind::kText || kind == ValueKind::kBytes; }

  /// A new reference to the dtype, for functions that take ownership of one.
  PyArray_Descr* NewDescr() const noexcept {
    Py_INCREF(descr.ptr());
    return reinterpret_cast<PyArray_Descr*>(descr.ptr());
  }
};

class FieldTable {
 public:
  /// The table before fields are declared.
  FieldTable() = default;

  /// `declaration` changes when other fields are declared, and stays when fields are added.
  FieldTable(const Schema& schema, std::uint64_t declaration);

  /// Type ids of one declaration mean the same in all its tables that have them.
  std::uint64_t declaration() const noexcept { return declaration_; }

  std::size_t size() const noexcept { return fields_.size(); }

  /// The type ids of the declared fields. Hidden ones may stand between them.
  const std::vector<TypeId>& declared() const noexcept { return declared_; }

  bool has_structs() const noexcept { return declared_.size() < fields_.size(); }

  /// REQUIRES: type < size()
  const FieldInfo& operator[](TypeId type) const noexcept {
    STREAM_STORE_ASSERT(type < size());
    return fields_[type];
  }

  /// The declared field with that name; none if there is none. Throws TypeError if `name` is not a
  /// str.
  std::optional<TypeId> Find(PyObject* name) const;

  /// As Find(), but throws ValueError "Unknown field" if there is none.
  TypeId Require(PyObject* name) const;

  /// The type id in an int that a hook returned. Throws RuntimeError if this table has no such type:
  /// the hook ran after fields were declared that this table does not have yet.
  TypeId FromHook(PyObject* type) const;

  /// The names of the fields for messages: "action, observation, reward". At most a dozen.
  std::string NamesText() const;

 private:
  std::vector<FieldInfo> fields_;
  std::vector<TypeId> declared_;
  std::uint64_t declaration_ = 0;
  nb::object by_name_;  // dict: str -> int
};

}  // namespace stream_store::python
