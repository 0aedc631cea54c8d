"""Messages for names that users of other libraries try first, such as store.keys()."""

from __future__ import annotations

#: Attributes that a StreamStore does not have, and what to use instead.
_INSTEAD = {
    "keys": "store.fields has the names of the fields",
    "columns": "store.fields has the names of the fields",
    "column_names": "store.fields has the names of the fields",
    "dtypes": "store.features and repr(store) show the fields and their types",
    "dtype": "store['field'].dtype is the dtype of a field",
    "shape": "store.num_rows is the number of rows; store['field'].shape is the shape of a field",
    "info": "print(store) or `stream-store info` describes a store",
    "describe": "store.stats() describes the fields",
    "head": "store.to_pandas(stop=5), or list(store.rows(stop=5)) from row 0 on",
    "tail": "store.to_pandas(-5) or list(store.rows(-5))",
    "items": "store.rows() iterates over rows; store['field'][:] reads a field",
    "values": "store['field'][:] reads a field; store[:]['values'] reads the stored words",
    "get": "store['field'][:] reads a field; store.row(i) reads a row",
    "iloc": "store.row(i) reads a row; store.read_rows(rows) reads several",
    "loc": "store.row(i) reads a row; store.read_rows(rows) reads several",
    "take": "store.read_rows(rows) reads rows by number",
    "add": "store.append_step({...}) appends a row; store.extend({...}) appends several",
    "push": "store.append_step({...}) appends a row; store.extend({...}) appends several",
    "insert": "store.append_step({...}) appends a row; store.extend({...}) appends several",
    "write": "store.append_step({...}) appends a row; store.extend({...}) appends several",
    "sample": "stream_store.WindowSampler(store, length) samples windows",
    "flush": "store.sync() makes the rows durable",
    "save": "rows are on disk already; store.sync() makes them durable, checkpoint() copies them",
    "to_numpy": "store['field'][:] reads a field as an array; store.read_rows(slice(None)) all",
    "to_pylist": "list(store.rows()) has a dict for each row",
    "to_table": "store.to_arrow().read_all() is a pyarrow.Table",
    "to_df": "store.to_pandas() or store.to_polars()",
    "to_parquet": "store.to_pandas().to_parquet(path), or `stream-store export`",
    "delete": "store.truncate(n) removes rows at the end, store.drop_before(row) at the start",
    "remove": "store.truncate(n) removes rows at the end, store.drop_before(row) at the start",
}


def missing_attribute(kind: str, name: str) -> AttributeError:
    """The error for an attribute that does not exist, with the right call where one is known."""
    hint = _INSTEAD.get(name)
    text = f"{kind!r} object has no attribute {name!r}"
    return AttributeError(f"{text}: {hint}" if hint else text)
