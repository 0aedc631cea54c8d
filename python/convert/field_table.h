// What the conversions must know of each field, derived once from the store's schema.
//
// Made by Store (store.h) when fields are declared or a store is opened; read by append, extend and
// the reads. A table never changes; new fields make a new one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "stream_store/schema.h"

#include "convert/python.h"

namespace stream_store::python {

/// How the values of a field look from Python.
enum class ValueKind : std::uint8_t {
  kNumber,   ///< bool, ints, floats, dates and times: arrays of numbers
  kText,     ///< str
  kBytes,    ///< bytes, of varying or fixed length
  kDecimal,  ///< decimal.Decimal
  kNull,     ///< never a value
};

struct FieldInfo {
  nb::object name;   ///< interned str
  std::string text;  ///< "'obs' (float32[84,84])", for messages
  DType dtype = DType::kInt64;
  ValueKind kind = ValueKind::kNumber;
  bool packed = false;
  bool ragged = false;  ///< a list whose length varies; text is not meant
  bool hidden = false;  ///< marker of a struct
  std::vector<npy_intp>
      shape;  ///< of one item group: without the ragged dimension; empty for text and bytes
  std::uint64_t items = 1;        ///< product of `shape`
  std::size_t item_words = 1;     ///< stored words per item (decimals: 2 and 4)
  std::int64_t class_count = -1;  ///< names of a ClassLabel; -1: it is none
  nb::object descr;  ///< NumPy dtype of decoded items; uint8 for text, int64 words for decimals

  /// Dimensions a value may have: 0 a scalar, 1 a list, more an array.
  std::size_t dimensions() const noexcept { return shape.size() + (ragged ? 1 : 0); }

  bool is_text() const noexcept { return kind == ValueKind::kText || kind == ValueKind::kBytes; }

  /// A new reference to the dtype, for functions that take one over.
  PyArray_Descr* NewDescr() const noexcept {
    Py_INCREF(descr.ptr());
    return reinterpret_cast<PyArray_Descr*>(descr.ptr());
  }
};

class FieldTable {
 public:
  FieldTable() = default;
  explicit FieldTable(const Schema& schema);

  std::size_t size() const noexcept { return fields_.size(); }

  std::size_t declared() const noexcept { return declared_; }

  bool has_structs() const noexcept { return declared_ < fields_.size(); }

  const FieldInfo& operator[](TypeId type) const noexcept { return fields_[type]; }

  /// The declared field of that name, an exact or derived str; none if there is no such field.
  std::optional<TypeId> Find(PyObject* name) const;

  /// Find(), or TypeError (no str), ValueError "Unknown field".
  TypeId Require(PyObject* name) const;

  /// "action, observation, reward", cut after a dozen.
  std::string NamesText() const;

 private:
  std::vector<FieldInfo> fields_;
  std::size_t declared_ = 0;
  nb::object by_name_;  // dict: str -> int
};

}  // namespace stream_store::python
