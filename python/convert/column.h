// One column of extend(): an array, or a list of one value a row, as a C++ Column.
#pragma once

#include <cstdint>
#include <vector>

#include "stream_store/store.h"

#include "convert/value.h"

namespace stream_store::python {

/// Owns what its Column points at.
class ColumnData {
 public:
  /// Reads `object`: an array (n, …), a list of n scalars, arrays, lists, texts or None, or
  /// (through the hook) whatever NumPy or Arrow makes of it. Throws ValueError or TypeError naming
  /// the field and the row.
  ColumnData(const Conversion& conversion, TypeId type, PyObject* object);

  std::size_t rows() const noexcept { return rows_; }

  std::uint64_t bytes() const noexcept { return bytes_; }

  Column column() const noexcept;

 private:
  void TakeMarker(PyObject* present);
  bool TakeArray(const Conversion& conversion, const nb::object& given);
  bool TakeNumbers(const Conversion& conversion, PyObject* list);
  void TakeList(const Conversion& conversion, PyObject* list);
  void AddRow(const Conversion& one, std::size_t row, PyObject* value);
  void AddItems(const FieldWrite& write, const FieldInfo& field, std::size_t row);
  void Widen(Source to, const FieldInfo& field, std::size_t row);

  TypeId type_ = 0;
  std::size_t rows_ = 0;
  std::uint64_t bytes_ = 0;
  Source source_ = Source::kWords;
  bool source_known_ = false;
  const void* data_ = nullptr;
  std::uint64_t row_items_ = 0;
  std::vector<std::byte> items_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::uint8_t> present_;
  nb::object owner_;
};

}  // namespace stream_store::python
