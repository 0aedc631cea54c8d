// RowsOutput: the arrays and lists of a batch of decoded rows.
//
// Used by read_rows.cc, where the caller names the rows, and by sampler.cc, where a sampler chooses
// them. There are three steps, so that the second can run without the GIL and on another thread:
//   1. The constructor allocates the outputs (with the GIL).
//   2. Read() fills them (with or without the GIL).
//   3. Finish() builds the dict that Python gets (with the GIL).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "stream_store/reader.h"

#include "convert/arrays.h"
#include "convert/field_table.h"
#include "convert/python.h"

namespace stream_store::python {

/// The rows of one read. Its methods touch no Python object, so they may run without the GIL.
class RowsReader {
 public:
  virtual ~RowsReader() = default;

  /// The largest number of items that a ragged field has in any of the rows.
  virtual std::uint64_t Longest(TypeId type) const = 0;

  /// Fills the columns and the steps. Returns the owner of the memory that RowsColumn::spans point
  /// into; null if that is the store itself.
  virtual std::shared_ptr<const void> Read(std::span<const RowsColumn> columns,
                                           Step* steps) const = 0;
};

/// The mapping given as `out=` or `max_length=`, or none.
class GivenMapping {
 public:
  /// Throws TypeError if `mapping` is not a mapping, None or null. `call` and `what` name it in
  /// messages and must be string literals.
  GivenMapping(PyObject* mapping, const char* call, const char* what);

  bool given() const { return dict_.is_valid(); }

  /// The value of a key, borrowed; null if there is none. Marks the key as used.
  PyObject* Take(PyObject* key);

  PyObject* Take(const char* key) { return Take(Own(PyUnicode_InternFromString(key)).ptr()); }

  /// Throws ValueError if the mapping has keys that were not used.
  void CheckAllTaken() const;

 private:
  const char* call_;
  const char* what_;
  nb::object dict_;
  Py_ssize_t taken_ = 0;
};

/// The type ids of the named fields, each once; of all declared fields if `names` is null or None.
/// Throws ValueError, TypeError.
std::vector<TypeId> WantedTypes(const FieldTable& fields, PyObject* names, const char* call);

/// The arguments of a read of rows. Python objects are borrowed.
struct RowsRequest {
  PyObject* self = nullptr;    ///< the StreamStore, for hooks
  const char* call = nullptr;  ///< for messages
  std::shared_ptr<const FieldTable> fields;
  std::vector<TypeId> types;
  Shape places;  ///< shape of the rows: that of the requested rows, plus the length of windows
  PyObject* out = nullptr;
  PyObject* max_length = nullptr;
  bool with_steps = true;  ///< whether the batch has "_step"
};

class RowsOutput {
 public:
  /// Allocates the outputs, or checks those given as `out`. Throws the errors of read_rows().
  RowsOutput(std::unique_ptr<RowsReader> source, RowsRequest request);

  /// Bytes that Read() fills, approximately.
  std::uint64_t bytes() const noexcept { return bytes_; }

  bool has_out() const noexcept { return out_.given(); }

  /// Reads the rows. Touches no Python object.
  void Read();

  /// Returns the dict of all outputs.
  nb::object Finish();

 private:
  nb::object Make(const char* name, int type_number, GivenMapping& given);
  nb::object Make(const FieldInfo& field, int type_number, GivenMapping& given, const char* prefix);
  std::uint64_t RaggedLength(TypeId type, const FieldInfo& field, PyObject* given);
  nb::object AddColumn(TypeId type);
  nb::object AddItems(TypeId type, const FieldInfo& field, RowsColumn& column);
  nb::object FinishCells(std::size_t column);
  nb::object FinishObjects(std::size_t column);
  nb::object Nest(std::size_t axis, std::vector<nb::object>& items, std::size_t& next);

  nb::object self_;
  const char* call_;
  std::unique_ptr<RowsReader> source_;
  std::shared_ptr<const FieldTable> fields_;
  std::vector<TypeId> types_;
  Shape places_;
  GivenMapping out_;
  GivenMapping masks_out_;
  GivenMapping lengths_out_;
  GivenMapping max_length_;
  std::vector<RowsColumn> columns_;
  std::vector<nb::object> arrays_;                          // by column; invalid for texts, nulls
  std::vector<std::vector<std::span<const Value>>> texts_;  // by column; empty for other kinds
  std::shared_ptr<const void> texts_owner_;                 // keeps the memory of texts_ alive
  nb::object steps_;                                        // invalid if they are not wanted
  std::uint64_t bytes_ = 0;
  nb::object masks_ = Own(PyDict_New());
  nb::object lengths_ = Own(PyDict_New());
};

}  // namespace stream_store::python
