// Docstrings of Store's methods and properties, which StreamStore inherits.
//
// The first line of a fast method's docstring is its signature, in the form that Python's inspect
// module reads. The examples are run by tests/python/test_docstrings.py; they assume
// `import numpy as np` and `from stream_store import StreamStore`.
#pragma once

namespace stream_store::python {

inline constexpr char kStoreDoc[] = "The compiled base class of StreamStore. Use StreamStore.";

inline constexpr char kRecoveryClassDoc[] =
    R"(How the last writer of a store ended, as found when the store was opened.

Examples:
    >>> StreamStore("run", fields={"reward": "float32"}).close()
    >>> StreamStore("run", "r").recovery.state
    'clean'
)";

inline constexpr char kAppendDoc[] = R"(append($self, /, steps, names, values)
--

Append field-writes given as three sequences of equal length.

All or nothing: a call that raises leaves the store as it was, and readers see whole calls only.

Args:
    steps: sequence of int. Steps never decrease; a step equal to the last one continues its row.
    names: sequence of str, the field of each value. Within one step the fields come in declared
        order, each at most once. Fields may be left out.
    values: sequence of values. A scalar field takes a number or text, a list field a list or 1-D
        array, an array field an array of the field's shape, a struct a mapping. A nested field
        takes lists, mappings and leaf values as its type describes, at every level in any form
        that a flat field takes; None is a null inside the cell.

Cost:
    About 0.3 us for 4 fields of 11 numbers. Lists of floats and ints and NumPy arrays are read
    without copying them first.

Raises:
    ValueError: a step decreases; a field is unknown, repeated within its step or not in declared
        order; the lengths differ; a value is not valid for its field; or the store is closed. The
        message names the field and the value, and the place inside a nested cell, "x[3].role".
    TypeError: an argument is not a sequence, or a value has a type that its field does not take.
    io.UnsupportedOperation: the store was not opened for writing, or this is a forked child.
    StoreFullError: no space is left. A later append tries again.

Examples:
    >>> store = StreamStore(fields={"obs": "float32[]", "reward": "float32"})
    >>> store.append([0, 0, 1], ["obs", "reward", "obs"], [[0.5, 1.5], 1.0, [2.5]])
    >>> store.row(0)
    {'obs': array([0.5, 1.5], dtype=float32), 'reward': np.float32(1.0)}
)";

inline constexpr char kAppendStepDoc[] = R"(append_step($self, /, values, step=None)
--

Append one step given as a mapping.

Args:
    values: mapping of field name to value, in any order. None means that the value is missing; {}
        appends an empty row. A struct takes a mapping of its own fields.
    step: int; by default the step after the last one, 0 for the first. The last step again
        continues its row.

Returns:
    The step, an int.

Raises:
    ValueError: as for `append`.
    TypeError: as for `append`.
    io.UnsupportedOperation: as for `append`.
    StoreFullError: as for `append`.

Examples:
    >>> store = StreamStore(fields={"obs": "float32[]", "reward": "float32"})
    >>> store.append_step({"obs": [0.5, 1.5], "reward": 1.0})
    0
    >>> store.append_step({"obs": [2.5]}, step=7)
    7
    >>> chats = StreamStore(fields={"chat": "nested list<struct<role: string, text: string>>"})
    >>> chats.append_step({"chat": [{"role": "user", "text": "Hello"}, {"role": "agent"}]})
    0
    >>> chats.row(0)
    {'chat': [{'role': 'user', 'text': 'Hello'}, {'role': 'agent', 'text': None}]}
)";

inline constexpr char kExtendDoc[] = R"(extend($self, /, columns, steps=None)
--

Append n rows at once, all or nothing.

Args:
    columns: mapping of field name to column. A column is an array or tensor of shape (n, ...), an
        Arrow array, a Series, or a list of n values that `append_step` takes, None where missing.
        Masked and null rows are missing. A column of a struct is a list of n mappings or None, or
        a mapping of its fields to columns, as a vector environment with a Dict space returns it;
        also a TensorDict, a data frame, an Arrow table or array, or a structured array of NumPy.
        Instead of a mapping, `columns` may be a table, a data frame or a list of n rows.
    steps: n ints, strictly increasing and greater than the last step. By default they continue
        from the last step.

Returns:
    n, the number of rows appended. They are those that `append_step` would store one by one.

Cost:
    Below 0.1 us a row for NumPy columns, which are read without copying them first. Lists, and
    structs given as rows, take about 1 us a value.

Raises:
    ValueError: as for `append`, naming field and row; also if columns or steps differ in length.
    TypeError: as for `append`.
    io.UnsupportedOperation: as for `append`.
    StoreFullError: as for `append`.

Examples:
    >>> store = StreamStore(fields={"obs": "float32[2]", "reward": "float32"})
    >>> store.extend({"obs": np.zeros((3, 2)), "reward": [1.0, None, 2.0]})
    3
    >>> store.extend([{"obs": [1, 2]}, {"reward": 3.0}])
    2
)";

inline constexpr char kGetItemDoc[] = R"(__getitem__($self, indices, /)
--

Read raw values at flat positions, or give the column of a field.

Args:
    indices: int, slice, or list or int array of any shape S; each in [-len(self), len(self)); or
        the name of a field.

Returns:
    For positions {"step", "types", "values"}, three int64 arrays of shape S that own their memory:
    the step, the type id of the field and the raw bits of each value. `decode` turns raw bits into
    the field's own dtype. For a name a `Column`, as `column` returns it.

Raises:
    IndexError: a position is out of range; the message names it.
    KeyError: there is no field of that name.
    TypeError: `indices` is of another type.
    ValueError: the store is closed.

Examples:
    >>> store = StreamStore(fields={"action": "int64[]", "reward": "int64"})
    >>> store.append_step({"action": [7, 8], "reward": 1})
    0
    >>> store[1:]
    {'step': array([0, 0]), 'types': array([0, 1]), 'values': array([8, 1])}
)";

inline constexpr char kWindowsDoc[] =
    R"(windows($self, /, starts, width, *, columns=('values', 'types', 'step'), out=None)
--

Read windows of consecutive raw values.

Args:
    starts: int, list or int array of any shape S; each in [0, len(store) - width].
    width: int, values in each window, at least 1.
    columns: sequence of column names: "values" (raw bits, int64), "types" (type id, int64), "step"
        (int64), "number" (the value decoded by its own field, float32), "offset" (position within
        its field-write, int64), "row" (int64).
    out: mapping of column to the array to fill, of that dtype and of shape S + (width,),
        C-contiguous and writable.

Returns:
    {column: array of shape S + (width,)}. Arrays own their memory; large ones reuse the memory of
    arrays that were deleted.

Cost:
    One look-up and one block copy per window, whatever the size of the store.

Raises:
    IndexError: a start is out of range; the message names it.
    ValueError: width, a column or an array in `out` is not valid; or the store is closed.

Examples:
    >>> store = StreamStore(fields={"action": "int64"})
    >>> store.extend({"action": [10, 20, 30, 40]})
    4
    >>> store.windows([0, 2], 2)["values"]
    array([[10, 20],
           [30, 40]])
)";

inline constexpr char kReadRowsDoc[] =
    R"(read_rows($self, /, rows, length=None, *, fields=None, out=None, max_length=None)
--

Read decoded rows, or windows of `length` consecutive rows.

Args:
    rows: int, list or int array of any shape S, or a slice. Each is in [first_row, num_rows), with
        `length` in [first_row, num_rows - length]; a negative number counts from num_rows. A slice
        begins at first_row by default, and S is its number of rows.
    length: int, rows in each window; None reads single rows.
    fields: sequence of names to read, those of structs or of single leaves ("obs.pos"); None reads
        all fields.
    out: mapping of field to the array to fill, nested as the result is; also "_step", and "_mask"
        and "_length" with mappings of their own. A tensor in host memory, pinned or not, is
        accepted too: its memory is filled, and an array over that memory is returned.
    max_length: mapping of ragged field to the number of items to pad or cut to; by default the
        longest list that was read. A number for a struct is for all lists inside.

Returns:
    {field: array of shape S + item shape}, with `length` of shape S + (length,) + item shape, in
    the field's own dtype. Text and bytes are nested lists, decimals are arrays of Decimal.
    Nested cells are arrays of objects, as `row` returns them, and None where missing. Any other
    missing value is 0 (or ""); lists of varying length are padded with 0. Three more keys: "_step",
    int64; "_mask", {field: bool array, True where the value is present}; "_length", {ragged field:
    int64 array of stored lengths, also of lists that were cut}. A struct that is named, or read
    because `fields` is None, is a nested dict of its fields, in "_mask" and "_length" as well; a
    leaf that is named itself has its own name as key. A field called "_step", "_mask" or another
    key of batches has one more underscore.

Raises:
    IndexError: a row is out of range; the message names it.
    DroppedError: a row was dropped.
    ValueError: a field is unknown; a length or an array in `out` is not valid; or the store is
        closed.

Examples:
    >>> store = StreamStore(fields={"obs": "float32[]", "reward": "float32"})
    >>> store.extend({"obs": [[1, 2, 3], [4]], "reward": [1.0, None]})
    2
    >>> rows = store.read_rows([0, 1])
    >>> rows["obs"]
    array([[1., 2., 3.],
           [4., 0., 0.]], dtype=float32)
    >>> rows["_mask"]["reward"], rows["_length"]["obs"]
    (array([ True, False]), array([3, 1]))
    >>> store.read_rows(-1)["_step"], store.read_rows(slice(-2, None))["_step"]
    (array(1), array([0, 1]))
    >>> store = StreamStore(fields={"arm": {"pos": "int8", "grip": "bool"}})
    >>> store.extend({"arm": {"pos": [1, 2], "grip": [True, False]}})
    2
    >>> store.read_rows([0, 1], fields=["arm"])["arm"]["pos"]
    array([1, 2], dtype=int8)
    >>> store.read_rows([0, 1], fields=["arm.pos"])["arm.pos"]
    array([1, 2], dtype=int8)
)";

inline constexpr char kFieldsDoc[] =
    "Names of the declared fields in order, a tuple of str; () before they are declared. The "
    "fields "
    "of a struct are called \"outer.inner\".";
inline constexpr char kNumRowsDoc[] =
    "Number of rows that were ever appended, complete or not. Rows that are dropped at the front "
    "still count, because no row ever changes its number.";
inline constexpr char kFirstRowDoc[] =
    "The first row that is retained: all rows before it were dropped.";
inline constexpr char kFirstPositionDoc[] =
    "The position of the first value that is retained: where row first_row begins.";
inline constexpr char kKeptRowsDoc[] = "Number of rows that are retained: num_rows - first_row.";
inline constexpr char kCompleteRowsDoc[] =
    "Number of complete rows: all rows, except a last one that lacks the last field that was "
    "declared "
    "when it was written, while a writer has the store open.";
inline constexpr char kNumFieldWritesDoc[] =
    "Number of field-writes of the retained rows, which is the number of entries of index_table().";
inline constexpr char kLastStepDoc[] = "Step of the last row; None if the store has no rows.";
inline constexpr char kNumBytesDoc[] = "Bytes on disk in use.";
inline constexpr char kModeDoc[] =
    R"(The mode the store was opened with, "a", "x" or "r"; "r" for a snapshot.)";
inline constexpr char kClosedDoc[] = "Whether close() was called.";
inline constexpr char kIdDoc[] =
    "The store's id as hexadecimal text, the same for every process that opens the store; \"\" "
    "before fields are declared.";
inline constexpr char kLiveDoc[] =
    "Whether a writer, in this process or another, has the store open.";
inline constexpr char kDurableRowsDoc[] =
    "Number of rows that survive a power cut: the rows of the last sync; 0 for a temporary store.";
inline constexpr char kRecoveryDoc[] =
    "The `Recovery` report of opening the store: how its last writer ended.";

}  // namespace stream_store::python
