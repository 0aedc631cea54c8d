// Exchange with anything that speaks Arrow: a store as a stream of record batches, and back.
//
// The Arrow C data and C stream interfaces
// (https://arrow.apache.org/docs/format/CDataInterface.html) written out by hand: no library is
// needed on either side. One row of the store is one row of a batch; a struct's leaves
// (Field::path) become a struct column; a field left out is null. Thread rules: a stream may be
// read from any thread, one at a time. What it hands out stays valid after the stream, the Reader
// and the store are gone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "stream_store/export.h"
#include "stream_store/reader.h"
#include "stream_store/schema.h"
#include "stream_store/store.h"
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

/// What a field is in Arrow, where its dtype and shape leave it open: time zones, decimals'
/// precision and scale, large and view variants, fixed-size lists.
///
/// levels   format strings from the outside in, the item last: {"+l", "f"}, {"tsu:UTC"}, {"+w:3",
///          "i"}. One list level per entry of Field::shape. Empty: the default, which has 32-bit
///          offsets, no zone, decimals of full precision and scale 0, and fixed-size lists for
///          shapes of one dimension only.
/// classes  of a ClassLabel: how many names; an import refuses numbers outside [-1, classes).
///          -1: it is not a ClassLabel.
struct ArrowField {
  std::vector<std::string> levels = {};
  std::int64_t classes = -1;
};

/// Options of ExportArrow() and ExportArrowSchema().
struct ArrowExportOptions {
  Row begin = 0;
  std::optional<Row> end = {};            ///< half-open; none: all rows of the snapshot
  std::string step_column = {};           ///< name of a first int64 column with the steps; "": none
  std::vector<ArrowField> fields = {};    ///< by type id; missing ones are default
  std::string huggingface_metadata = {};  ///< value of the schema's key "huggingface"; "": none

  /// The columns and types a consumer asks for, by name; not taken over, read during the call only.
  /// Names, flags and metadata come out as asked; integers, floats, offsets and zones are converted
  /// where no value changes.
  const ArrowSchema* requested = nullptr;

  std::uint64_t batch_bytes = std::uint64_t{64} << 20;  ///< about; a batch has at least one row
};

/// Makes `out` a stream of the rows of `reader`, which it keeps a copy of. Batches are made when
/// asked for; memory for at most two is kept.
///
/// Throws Error: kOutOfRange (rows), kInvalidArgument (the requested schema has other columns, or a
/// type that the field cannot be shown as; the message names both). The stream itself reports by
/// errno and get_last_error: EINVAL for a value that its requested type cannot hold, or a row too
/// large for 32-bit offsets, naming field and row; ENOMEM; EIO.
STREAM_STORE_API void ExportArrow(const Reader& reader, const ArrowExportOptions& options,
                                  ArrowArrayStream* out);

/// The schema that such a stream has.
STREAM_STORE_API void ExportArrowSchema(const Schema& schema, const ArrowExportOptions& options,
                                        ArrowSchema* out);

/// Options of ArrowImporter.
struct ArrowImportOptions {
  std::vector<ArrowField> fields = {};  ///< by type id; missing ones are default
  std::string step_column = {};         ///< int column with the steps; "": counted on from the last
  std::function<void(std::uint64_t)> progress = {};  ///< called with the rows staged so far, now
                                                     ///< and then; what it throws ends the import
};

/// Rows of Arrow batches on their way into a store.
///
/// Columns go to the fields of their name, a struct's to its leaves; others are ignored, and fields
/// without a column are missing in every row. Types must be those of the fields, or convert without
/// a change of any value: integers of any width, floats of any width, offsets of any kind,
/// dictionaries of such. What a foreign array says of itself is checked as far as it can be
/// checked: lengths against each other, offsets against lengths. Only one thread at a time.
class STREAM_STORE_API ArrowImporter {
 public:
  /// `rows` must outlive it; `schema` is read during the call only.
  ///
  /// Throws Error(kInvalidArgument): no column is a field, a column has a type that its field does
  /// not take (all are named, with both types), the step column is missing or no integer.
  ArrowImporter(StagedRows& rows, const ArrowSchema& schema,
                const ArrowImportOptions& options = {});
  ArrowImporter(const ArrowImporter&) = delete;
  ArrowImporter& operator=(const ArrowImporter&) = delete;
  ~ArrowImporter();

  /// Stages all rows of a batch, which it takes over and releases.
  ///
  /// Cost: values are read where they lie. Throws Error(kInvalidArgument) naming column and row: a
  /// null inside a list, a value out of the field's range, text that is no UTF-8, a list of another
  /// length, an array that contradicts itself; and as StagedRows::Extend().
  void Append(ArrowArray* batch);

  /// Takes a batch over and keeps it for AppendKept(): its buffers stay where they are.
  void Keep(ArrowArray* batch);

  /// Rows of all kept batches; their numbers go on from batch to batch.
  std::uint64_t kept_rows() const noexcept;

  /// Stages kept rows in any order, repeats allowed. Throws also Error(kOutOfRange).
  void AppendKept(std::span<const std::uint64_t> rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Stages all rows of a stream, which it reads to the end and releases; returns how many.
///
/// Throws as ArrowImporter, and Error(kIo, for EINVAL kInvalidArgument) with the stream's own text
/// when it fails.
STREAM_STORE_API std::uint64_t ImportArrow(StagedRows& rows, ArrowArrayStream* stream,
                                           const ArrowImportOptions& options = {});

/// The same for chosen rows in any order: `picks` is a stream of one uint64 column of row numbers.
/// Keeps every batch of `stream` until the end: for streams whose buffers are mapped files.
STREAM_STORE_API std::uint64_t ImportArrowRows(StagedRows& rows, ArrowArrayStream* stream,
                                               ArrowArrayStream* picks,
                                               const ArrowImportOptions& options = {});

}  // namespace stream_store
