// RowsOutput: the arrays and lists of decoded rows, whoever chooses the rows.
//
// In three steps, so that the second may run on another thread: make room (with the GIL), read
// (without), put the result together (with it again). Who uses it: read_rows.cc, sampler.cc.
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

/// The rows of one read. Its methods touch no Python object.
class RowsReader {
 public:
  virtual ~RowsReader() = default;
  virtual std::uint64_t Longest(TypeId type) const = 0;

  /// Returns what spans point into, if not into the store itself.
  virtual std::shared_ptr<const void> Read(std::span<const RowsColumn> columns,
                                           Step* steps) const = 0;
};

/// `out=` or `max_length=`: a mapping, or nothing.
class GivenMapping {
 public:
  /// Throws TypeError. `call` and `what` name it in messages; both live as long as the process.
  GivenMapping(PyObject* mapping, const char* call, const char* what);

  bool given() const { return dict_.is_valid(); }

  /// Borrowed; null if not given. What was asked for counts as known.
  PyObject* Take(PyObject* key);

  PyObject* Take(const char* key) { return Take(Own(PyUnicode_InternFromString(key)).ptr()); }

  /// Throws ValueError if something was given that nothing asked for.
  void CheckAllTaken() const;

 private:
  const char* call_;
  const char* what_;
  nb::object dict_;
  Py_ssize_t taken_ = 0;
};

/// Types of the fields named, or of all; each once. Throws ValueError, TypeError.
std::vector<TypeId> WantedTypes(const FieldTable& fields, PyObject* names, const char* call);

/// What a read of rows is asked for. Objects are borrowed.
struct RowsRequest {
  PyObject* self = nullptr;    ///< the StreamStore, for hooks
  const char* call = nullptr;  ///< for messages
  std::shared_ptr<const FieldTable> fields;
  std::vector<TypeId> types;
  Shape places;
  PyObject* out = nullptr;
  PyObject* max_length = nullptr;
};

class RowsOutput {
 public:
  /// Throws as read_rows() does, before anything is read.
  RowsOutput(std::unique_ptr<RowsReader> source, RowsRequest request);

  /// Bytes that Read() fills, about.
  std::uint64_t bytes() const noexcept { return bytes_; }

  bool has_out() const noexcept { return out_.given(); }

  /// Reads all there is. Call without the GIL or with it.
  void Read();

  /// The dict.
  nb::object Finish();

 private:
  nb::object Make(const char* name, int type_number, GivenMapping& given);
  nb::object Make(const FieldInfo& field, int type_number, GivenMapping& given, const char* prefix);
  std::uint64_t RaggedLength(TypeId type, const FieldInfo& field, PyObject* given);
  nb::object AddColumn(TypeId type);
  nb::object AddItems(TypeId type, const FieldInfo& field, RowsColumn& column);
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
  std::vector<nb::object> arrays_;                          // one per column, or invalid
  std::vector<std::vector<std::span<const Value>>> texts_;  // one per column, or empty
  std::shared_ptr<const void> texts_owner_;
  nb::object steps_;
  std::uint64_t bytes_ = 0;
  nb::object masks_ = Own(PyDict_New());
  nb::object lengths_ = Own(PyDict_New());
};

}  // namespace stream_store::python
