// Exchange with every program that speaks Arrow: a store as a stream of record batches, and back.
//
//     ArrowArrayStream stream;                       // rows of a store for an Arrow consumer
//     ExportArrow(reader, {}, &stream);
//
//     StagedRows rows = store.Stage();               // and from an Arrow producer into a store
//     ImportArrow(rows, &stream);
//     rows.Commit();
//
// The Arrow C data and C stream interfaces
// (https://arrow.apache.org/docs/format/CDataInterface.html) are declared here, so neither side
// needs a library. One row of the store is one row of a batch. The leaves of a struct (Field::path)
// become a struct column. A field that is missing from a row is null.
//
// Ownership has the meaning of the specification: the owner of a struct calls its `release` when it
// is done, and a function that takes ownership of a struct sets `release` to null in the caller's
// copy.
// Thread rules: a stream may be read from any thread, by one at a time. Schemas and arrays from a
// stream stay valid after the stream, the Reader and the store are gone.
#pragma once

#ifdef STREAM_STORE_WITHOUT_ARROW
#error "This StreamStore was built with STREAMSTORE_WITH_ARROW=OFF: it has no exchange with Arrow."
#endif

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/export.h"
#include "stream_store/types.h"

// The names and the guards are the specification's, so that several libraries can define them.
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

extern "C" {

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};

}  // extern "C"

#endif  // ARROW_C_DATA_INTERFACE

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

extern "C" {

struct ArrowArrayStream {
  int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
  int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
  const char* (*get_last_error)(struct ArrowArrayStream*);
  void (*release)(struct ArrowArrayStream*);
  void* private_data;
};

}  // extern "C"

#endif  // ARROW_C_STREAM_INTERFACE

namespace stream_store {

class Reader;      // reader.h
class Schema;      // schema.h
class StagedRows;  // store.h

/// An ArrowSchema as a value, without dictionaries.
struct ArrowType {
  /// The format string, such as "+l" or "tsu:UTC".
  std::string format = {};

  std::string name = {};

  /// The metadata as the specification encodes it, or "" for no metadata. It names extension
  /// types: "ARROW:extension:name" and "ARROW:extension:metadata".
  std::string metadata = {};

  std::int64_t flags = ARROW_FLAG_NULLABLE;

  std::vector<ArrowType> children = {};

  friend bool operator==(const ArrowType&, const ArrowType&) = default;
};

/// The parts of a field's Arrow type that its dtype and shape leave open: time zones, precision and
/// scale of decimals, large and view variants, fixed-size lists, metadata, and whether it is
/// nullable.
struct ArrowField {
  /// The type: one list level for each entry of Field::shape, then the item; of a nested field the
  /// type of its cells. Of the hidden field of a struct only metadata and flags are used.
  ///
  /// With an empty format the field has its default type: 32-bit offsets, no time zone, decimals of
  /// full precision and scale 0, and fixed-size lists for shapes of one dimension only. The name is
  /// not used.
  ArrowType type = {};

  /// The number of names of a ClassLabel, or -1 for any other field. An import refuses numbers
  /// from `classes` on; negative ones stand for labels that are missing or ignored.
  std::int64_t classes = -1;
};

/// Options of ExportArrow() and ExportArrowSchema().
struct ArrowExportOptions {
  /// The rows [begin, end) to export. Without `begin`, from the first row that is retained on;
  /// without `end`, up to the last row of the snapshot.
  std::optional<Row> begin = {};
  std::optional<Row> end = {};

  /// The names of the columns to export, in this order: fields, and structs as a whole. Without it,
  /// all columns in the order of their declaration. The values of other fields are not read.
  std::optional<std::vector<std::string>> columns = {};

  /// The name of an additional first column of int64 with the steps; if empty there is none.
  std::string step_column = {};

  /// The Arrow types of the fields, by type id; missing entries are defaults.
  std::vector<ArrowField> fields = {};

  /// The value of the schema's metadata key "huggingface"; if empty there is no such key.
  std::string huggingface_metadata = {};

  /// The schema that the consumer asks for, or null. Columns are matched by name, and come out with
  /// the names, flags and metadata asked for; integers, floats, offsets, views and time zones are
  /// converted where no value changes, offsets, views and time zones inside nested fields, too. It
  /// is read during the call only; the caller keeps its ownership.
  const ArrowSchema* requested = nullptr;

  /// About how many bytes a batch has. A batch has at least one row, however long.
  std::uint64_t batch_bytes = std::uint64_t{64} << 20;
};

/// Initialises `out` as a stream of the rows of `reader`, of which it keeps a copy. The caller owns
/// the stream.
///
/// A field or struct that is declared not null in options.fields is nullable in the schema of the
/// stream if one of the rows lacks it, because rows may lack any field. A requested schema is not
/// changed in this way: a row that contradicts it is an error.
///
/// Cost    batches are made when the consumer asks for them; memory for at most two is kept. If a
///         field or struct is declared not null, one pass over the layouts of the records, which
///         ends early once a row lacks each of them.
/// Throws  Error: kOutOfRange (rows), kInvalidArgument (options.columns names a column that does not
///         exist, or one twice; the requested schema has other columns, or a type that the field
///         cannot be converted to; the message names both).
/// The stream itself reports errors by errno and get_last_error: EINVAL for a value that its
/// requested type cannot hold, for a null where the type is not nullable, or for a row that is too
/// large for 32-bit offsets, naming field and row; ENOMEM; EIO, also for a damaged field-write.
STREAM_STORE_API void ExportArrow(const Reader& reader, const ArrowExportOptions& options,
                                  ArrowArrayStream* out);

/// Initialises `out` as the schema of such a stream, with `not null` as declared, because no rows
/// are known. The caller owns it. Throws as ExportArrow().
STREAM_STORE_API void ExportArrowSchema(const Schema& schema, const ArrowExportOptions& options,
                                        ArrowSchema* out);

/// Options of ArrowImporter, ImportArrow() and ImportArrowRows().
struct ArrowImportOptions {
  /// The Arrow types of the fields, by type id; missing entries are defaults.
  std::vector<ArrowField> fields = {};

  /// The int column that has the steps. If empty, each row gets the step after the last one.
  std::string step_column = {};

  /// Called now and then with the number of rows staged so far, if it is not empty. If it throws,
  /// the import ends and the exception is passed on.
  std::function<void(std::uint64_t)> progress = {};
};

/// Adds the rows of Arrow batches to StagedRows.
///
/// A column goes to the field of its name, and a struct column to the leaves of that struct. Other
/// columns are ignored; fields without a column are missing in every row. A column must have the
/// type of its field, or one that converts without a change of any value: integers, floats and
/// decimals of any width, lists and texts of any layout, and dictionaries and run-end encodings of
/// those at any level, of which the values are taken. A nested field accepts a column of any type
/// that fits its own; the children of structs are found by name. Unions cannot be stored. Foreign
/// arrays are checked as far as possible: lengths against each other, and offsets against lengths;
/// a null in a column that its own schema declares not null is refused.
/// Use it from one thread at a time.
class STREAM_STORE_API ArrowImporter {
 public:
  /// `rows` must outlive the importer; `schema` is read during the call only.
  ///
  /// Throws Error(kInvalidArgument): no column belongs to a field, a column has a type that its
  /// field does not accept (the message names all of them, with both types), or the step column is
  /// missing or not an integer.
  ArrowImporter(StagedRows& rows, const ArrowSchema& schema,
                const ArrowImportOptions& options = {});
  ArrowImporter(const ArrowImporter&) = delete;
  ArrowImporter& operator=(const ArrowImporter&) = delete;
  ~ArrowImporter();

  /// Stages all rows of a batch. Takes ownership of the batch and releases it.
  ///
  /// Cost    values are converted straight from the batch's buffers.
  /// Throws  Error(kInvalidArgument) naming column and row, and of a nested field the place in the
  ///         cell, such as messages[3].role: a null inside a list of a flat field, a null where the
  ///         type of a nested field excludes it, a value outside the field's range, text that is
  ///         not UTF-8, a list of the wrong length, a cell of more than 2 GiB, an array that
  ///         contradicts itself; and the errors of StagedRows::Extend().
  void Append(ArrowArray* batch);

  /// Takes ownership of a batch and keeps it, for AppendKept(). Its buffers are not copied.
  void Keep(ArrowArray* batch);

  /// The number of rows in all kept batches, which are numbered from 0 in the order of Keep().
  std::uint64_t kept_rows() const noexcept;

  /// Stages kept rows in any order, repeats allowed.
  ///
  /// rows    each in [0, kept_rows()).
  /// Throws  as Append(); also Error(kOutOfRange).
  void AppendKept(std::span<const std::uint64_t> rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Stages all rows of a stream, and returns how many. Takes ownership of the stream: reads it to
/// the end and releases it.
///
/// Throws as ArrowImporter; also Error(kInvalidArgument for EINVAL, else kIo) with the stream's own
/// message if the stream fails.
STREAM_STORE_API std::uint64_t ImportArrow(StagedRows& rows, ArrowArrayStream* stream,
                                           const ArrowImportOptions& options = {});

/// Stages chosen rows of a stream, in any order and with repeats, and returns how many.
///
/// picks   a stream of one uint64 column with the numbers of the rows. Takes ownership of it.
/// Cost    every batch of `stream` is kept until the end, which suits streams whose buffers are
///         mapped files.
/// Throws  as ImportArrow(); also Error(kOutOfRange).
STREAM_STORE_API std::uint64_t ImportArrowRows(StagedRows& rows, ArrowArrayStream* stream,
                                               ArrowArrayStream* picks,
                                               const ArrowImportOptions& options = {});

}  // namespace stream_store
