// Converts one column of extend(), an array or a list with a value for each row, to a C++ Column.
//
// Used by extend.cc. As in value.h, foreign code runs only while a column is converted.
#pragma once

#include <cstdint>
#include <vector>

#include "stream_store/store.h"

#include "convert/value.h"

namespace stream_store::python {

/// A converted column. Owns the memory that column() points to.
class ColumnData {
 public:
  /// Converts `object`: an array of shape (n, …), a list of n values or None, or an object that the
  /// hook turns into one of these or into parts (see TakeParts). Throws ValueError or TypeError
  /// naming the field and the row.
  ColumnData(const Conversion& conversion, TypeId type, PyObject* object);

  /// Number of rows.
  std::size_t rows() const noexcept { return rows_; }

  /// Bytes of the items, approximately.
  std::uint64_t bytes() const noexcept { return bytes_; }

  /// The Column, valid as long as this object.
  Column column() const noexcept;

 private:
  void TakeMarker(PyObject* present);
  void TakePresent(PyObject* present);
  void TakeParts(const Conversion& conversion, PyObject* parts);
  void TakeItems(const FieldInfo& field, const nb::object& given);
  bool TakeArray(const Conversion& conversion, const nb::object& given);
  bool TakeNumbers(const Conversion& conversion, PyObject* list);
  void TakeList(const Conversion& conversion, PyObject* list);
  void AddRow(const Conversion& one, std::size_t row, PyObject* value);
  void AddItems(const FieldWrite& write, const FieldInfo& field, std::size_t row);
  void ConvertToCommon(const FieldInfo& field);

  TypeId type_ = 0;
  std::size_t rows_ = 0;
  std::uint64_t bytes_ = 0;
  Source source_ = Source::kWords;
  bool source_known_ = false;  // whether source_ is set, by the first row with a value
  const void* data_ = nullptr;
  std::uint64_t row_items_ = 0;
  std::vector<std::byte> items_;  // of a list, all of type source_
  std::vector<std::int64_t> offsets_;
  std::vector<std::uint8_t> present_;
  nb::object owner_;  // of an array: keeps data_ alive
};

}  // namespace stream_store::python
