// Docstrings of Store's methods, which StreamStore inherits; the first line of the fast ones is
// their signature.
#pragma once

namespace stream_store::python {

inline constexpr char kStoreDoc[] = "What StreamStore is made of; open a StreamStore instead.";

inline constexpr char kAppendDoc[] = R"(append($self, /, steps, names, values)
--

Append field-writes: one for each item of three sequences of equal length.

All or nothing: a call that raises leaves the store as it was, and readers see whole calls only.

Args:
    steps: ints that never decrease. A step equal to the last one continues its row.
    names: str; within a step in declared order, each field at most once. Fields may be left out.
    values: what each field takes: a number or text for a scalar field, a list or 1-D array for a list field, an
        array of the field's shape for an array field. The field's feature decides how it is kept. A struct takes a
        mapping.

Cost:
    About 0.3 us for 4 fields of 11 numbers. Lists of floats and ints and NumPy arrays are read where they lie.

Raises:
    ValueError: the message contains "Unknown field", "order", "equal length" or "duplicate" where they apply; or it
        names field, value and feature of a value that does not belong. Also on a closed store.
    TypeError: an argument is no sequence, or a value is an object that the field does not take.
    io.UnsupportedOperation: the store was not opened for writing, or this is a forked child.
    StoreFullError: no space is left; a later append tries again.
)";

inline constexpr char kAppendStepDoc[] = R"(append_step($self, /, values, step=None)
--

Append one step from a mapping and return the step.

Args:
    values: field name -> value, in any order; None is missing, {} an empty row. A struct takes a mapping of its own.
    step: the step; by default the one after the last, 0 for the first. The last step again continues its row.

Raises:
    As append().
)";

inline constexpr char kExtendDoc[] = R"(extend($self, /, columns, steps=None)
--

Append n rows at once, all or nothing, and return n.

Args:
    columns: field name -> column: an array of shape (n, ...), a list of n scalars, arrays, lists, texts or None
        (missing), or an Arrow array.
    steps: n ints, strictly increasing and past the last step; by default they continue from it.

Cost:
    NumPy columns are read where they lie: below 0.1 us a row.

Raises:
    As append(); "equal length" if columns or steps differ in length.
)";

inline constexpr char kWindowsDoc[] =
    R"(windows($self, /, starts, width, *, columns=('values', 'types', 'step'), out=None)
--

Read windows of consecutive values.

Args:
    starts: int, list or int array of any shape S; each in [0, len(store) - width].
    width: values a window, at least 1.
    columns: any of "values" (raw bits, int64), "types" (type id, int64), "step" (int64), "number" (the value decoded
        by its own field, float32), "offset" (place within its field-write, int64), "row" (int64).
    out: column -> array to fill: of that dtype, shape S + (width,), C-contiguous, writable.

Returns:
    {column: array of shape S + (width,)}. Arrays own their memory; large ones reuse that of arrays that died.

Cost:
    One look-up a window, then block copies, whatever the size of the store.

Raises:
    IndexError: a start is out of range; the message names it. ValueError: width, a column or an `out` array is wrong.
)";

inline constexpr char kReadRowsDoc[] =
    R"(read_rows($self, /, rows, length=None, *, fields=None, out=None, max_length=None)
--

Read decoded rows, or windows of `length` consecutive rows.

Args:
    rows: int, list or int array of any shape S; each in [0, num_rows), with `length` in [0, num_rows - length].
    length: rows a window.
    fields: names to read; all by default.
    out: field -> array to fill, also "_step", and "_mask" and "_length" with mappings of their own. A tensor in host
        memory, pinned or not, does as well: its memory is filled, an array over it is returned.
    max_length: ragged field -> items to pad or cut to; by default the longest there is.

Returns:
    {field: array of shape S + item shape, with `length` S + (length,) + item shape}, in the field's own dtype; text
    and bytes as nested lists, decimals as arrays of Decimal. Missing is 0 (or ""); lists of varying length are padded
    with 0. Three more keys: "_step" int64; "_mask" {field: bool, True where present}; "_length" {ragged field: int64,
    the stored length, also of one that was cut}.

Raises:
    IndexError: a row is out of range; the message names it. ValueError: unknown field, wrong length or `out` array.
)";

inline constexpr char kFieldsDoc[] =
    "Names of the declared fields in order, () before they are declared; a struct's leaves as "
    "\"outer.inner\".";
inline constexpr char kNumRowsDoc[] = "Number of rows, complete or not.";
inline constexpr char kCompleteRowsDoc[] =
    "Rows that cannot grow any more: all but a last row that lacks its last declared field while a "
    "writer lives.";
inline constexpr char kNumFieldWritesDoc[] = "Number of field-writes: entries of index_table().";
inline constexpr char kLastStepDoc[] = "Step of the last row, None when there is none.";
inline constexpr char kNumBytesDoc[] = "Bytes on disk in use.";
inline constexpr char kModeDoc[] =
    R"("a", "x" or "r", as the store was opened; a snapshot's is "r".)";
inline constexpr char kClosedDoc[] = "Whether close() was called.";
inline constexpr char kIdDoc[] =
    "Hex text of the store's id: the same for all who open it; \"\" before fields are declared.";
inline constexpr char kLiveDoc[] = "Whether a writer has the store open, here or elsewhere.";
inline constexpr char kDurableRowsDoc[] =
    "Rows that survive a power cut: those of the last sync; 0 for a temporary store.";
inline constexpr char kRecoveryDoc[] = "What opening found: `state`, `rows_cut`, `reason`.";

inline constexpr char kRowOfDoc[] = R"(Number of the row that holds each position.

Args:
    positions: int, list or int array of any shape; each in [0, len(store)).

Returns:
    int64 of that shape. Cost: one look-up each, flat in store size.

Raises:
    IndexError: a position is out of range (negative ones are).
)";

inline constexpr char kPositionOfDoc[] =
    R"(First position of each row; an empty row stands where the next one starts.

Args:
    rows: int, list or int array of any shape; each in [0, num_rows).

Returns:
    int64 of that shape.

Raises:
    IndexError: a row is out of range (negative ones are).
)";

inline constexpr char kRowAtDoc[] =
    R"(Row at which each step belongs, as np.searchsorted over the steps of all rows.

Args:
    steps: int, list or int array of any shape.
    side: "left": the first row with step >= the one asked; "right": with step > it.

Returns:
    int64 of that shape, in [0, num_rows].
)";

inline constexpr char kDecodeDoc[] = R"(Raw values as the field's own dtype.

Args:
    values: int64 of any shape, as store[...] and windows() give them.
    field: a name.

Returns:
    A new array of the same shape; uint8 for text and bytes.

Raises:
    ValueError: unknown field, or one that is packed or decimal: a value alone is none of its items.
)";

inline constexpr char kSegmentsDoc[] = R"(Segments (episodes) as half-open ranges of rows.

Args:
    by: name of an int field (a new value begins a segment, missing is as before) or of one or several bool fields
        (true on the last row of a segment, missing is False).

Returns:
    (n, 2) int64, [start, stop) of each; the last one may still grow.

Raises:
    ValueError: unknown field, or one of another dtype.
)";

inline constexpr char kWaitDoc[] =
    R"(Wait until there are `num_rows` rows; return whether there are.

Sleeps between looks and lets other threads run; Ctrl-C ends it. On a snapshot it never waits.

Args:
    num_rows: how many rows, complete or not.
    timeout: seconds; None waits for ever.

Raises:
    Error: recovery cut the store back meanwhile; open it again. ValueError: it was closed.
)";

inline constexpr char kSyncDoc[] =
    R"(Make everything appended so far durable; return the number of rows that are.

Appends go on meanwhile. On a temporary store it does nothing.

Raises:
    OSError: the disk refused. This store never syncs or appends again; close it and open it anew.
)";

inline constexpr char kCloseDoc[] =
    "Sync, trim the files, let go of the store. Idempotent; everything but repr, closed, path and "
    "mode then raises "
    "ValueError.\n\nArrays, snapshots and iterators made before stay valid.";

inline constexpr char kClearDoc[] = R"(Empty a temporary store; its fields stay.

Raises:
    io.UnsupportedOperation: the store is persistent.
)";

}  // namespace stream_store::python
