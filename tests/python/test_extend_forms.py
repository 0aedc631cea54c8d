"""For every feature and every form of a column, extend() and append_step() store equal rows: equal
words in equal field-writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from feature_table import ROWS, Row
from model_fields import Field, catalogue
from store_helpers import stored
from stream_store import StreamStore


def one_by_one(fields: Any, rows: Sequence[Any]) -> StreamStore:
    """A store whose rows are appended one by one; each is the value of field "x"."""
    store = StreamStore(fields=fields)
    for value in rows:
        store.append_step({} if value is None else {"x": value})
    return store


def check_extend(fields: Any, rows: list[Any], columns: Any) -> None:
    """extend(columns) stores the words of the rows appended one by one, or fails as they do."""
    store = StreamStore(fields=fields)
    try:
        expected = one_by_one(fields, rows)
    except ValueError:
        with pytest.raises(ValueError, match="x"):
            store.extend(columns)
        assert store.num_rows == 0
        return
    assert store.extend(columns) == len(rows)
    assert stored(store) == stored(expected)


#: The features and types that can be declared, and their fields.
DECLARED = [row for row in ROWS if row.declared() != ""]


def fields_of(row: Row) -> dict[str, Any]:
    """A declaration that takes all values of the row: its feature may be a list without nulls."""
    return {"x": row.text if row.name == "list_with_nulls" else row.declared()}


def objects(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


class Foreign(Sequence[Any]):
    """A sequence of an unknown class."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __len__(self) -> int:
        return len(self.items)


PYTHON_FORMS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "objects": objects,
    "sequence": Foreign,
}


@pytest.mark.parametrize("form", list(PYTHON_FORMS))
@pytest.mark.parametrize("row", DECLARED, ids=lambda row: row.name)
def test_sequences_of_values_store_their_rows(row: Row, form: str) -> None:
    check_extend(fields_of(row), row.values, {"x": PYTHON_FORMS[form](row.values)})


def arrow_forms(array: pa.Array) -> dict[str, Any]:
    """The same values as Arrow data of different layouts."""
    doubled = pa.concat_arrays([array, array])
    half = len(array) // 2
    return {
        "array": array,
        "slice": doubled.slice(len(array)),
        "chunks": pa.chunked_array([array.slice(0, half), array.slice(half)], array.type),
    }


@pytest.mark.parametrize("form", ["array", "slice", "chunks"])
@pytest.mark.parametrize("row", DECLARED, ids=lambda row: row.name)
def test_arrow_columns_store_their_rows(row: Row, form: str) -> None:
    check_extend(fields_of(row), row.values, {"x": arrow_forms(row.array())[form]})


@pytest.mark.parametrize("row", DECLARED, ids=lambda row: row.name)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_any_order_of_values_stores_its_rows(row: Row, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.sampled_from(range(len(row.values))), max_size=12))
    rows = [row.values[place] for place in places]
    form = data.draw(st.sampled_from(list(PYTHON_FORMS)))
    check_extend(fields_of(row), rows, {"x": PYTHON_FORMS[form](rows)})


@st.composite
def flat_rows(draw: st.DrawFn, field: Field) -> list[Any]:
    """Values of a field in the forms that append_step takes, some missing."""
    present = draw(st.lists(st.booleans(), max_size=6))
    return [field.draw(draw)[0] if there else None for there in present]


@pytest.mark.parametrize("field", catalogue(), ids=lambda field: field.feature)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_lists_of_any_values_store_their_rows(field: Field, data: st.DataObject) -> None:
    rows = data.draw(flat_rows(field))
    check_extend({"x": field.feature}, rows, {"x": rows})


LEAVES = [field for field in catalogue() if field.dtype in ("int8", "float32", "string", "bool")]
STRUCT = {"a": LEAVES[0], "inner": {"b": LEAVES[-1], "c": LEAVES[1]}, "d": LEAVES[2]}


def struct_value(draw: st.DrawFn, tree: dict[str, Any]) -> Any:
    """A value of a struct, in which anything may be missing."""
    value = {}
    for name, node in tree.items():
        kind = draw(st.sampled_from(["value", "value", "none", "absent"]))
        if kind == "value":
            is_struct = isinstance(node, dict)
            value[name] = struct_value(draw, node) if is_struct else node.draw(draw)[0]
        elif kind == "none":
            value[name] = None
    return value


@st.composite
def struct_rows(draw: st.DrawFn) -> list[Any]:
    present = draw(st.lists(st.booleans(), min_size=1, max_size=6))
    return [struct_value(draw, STRUCT) if there else None for there in present]


def declaration(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        name: declaration(node) if isinstance(node, dict) else node.feature
        for name, node in tree.items()
    }


def columns_of(rows: list[Any], tree: dict[str, Any]) -> dict[str, Any]:
    """Rows of a struct, none of them missing, as a mapping of columns."""
    columns: dict[str, Any] = {}
    for name, node in tree.items():
        values = [row.get(name) for row in rows]
        all_there = isinstance(node, dict) and None not in values
        columns[name] = columns_of(values, node) if all_there else values
    return columns


@settings(max_examples=40, deadline=None)
@given(rows=struct_rows())
def test_rows_and_columns_of_a_struct_store_its_rows(rows: list[Any]) -> None:
    fields = {"x": declaration(STRUCT)}
    whole: list[Any] = [{} if row is None else {"x": row} for row in rows]
    for columns in ({"x": rows}, {"x": objects(rows)}, whole):
        check_extend(fields, rows, columns)
    there = [row for row in rows if row is not None]
    if there:
        check_extend(fields, there, {"x": columns_of(there, STRUCT)})


def is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return not isinstance(kind, pa.BaseExtensionType) and any(
        check(kind)
        for check in (types.is_boolean, types.is_integer, types.is_floating, types.is_timestamp)
    )


def typed(row: Row) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The values of a row as an array of their dtype, 0 where missing, and a mask."""
    kind: Any = row.arrow.to_pandas_dtype()
    if pa.types.is_timestamp(row.arrow):
        kind = np.dtype(f"M8[{row.arrow.unit}]")
    values = np.array([0 if value is None else value for value in row.values], kind)
    return values, np.array([value is None for value in row.values])


NUMBERS = [row for row in DECLARED if is_number(row.arrow)]


def array_form(form: str, row: Row) -> tuple[list[Any], Any]:
    """The values of a row, without missing ones if the form has none, and their column."""
    values, mask = typed(row)
    if form == "masked":
        return row.values, np.ma.masked_array(values, mask)
    if form == "pandas":
        pandas = pytest.importorskip("pandas")
        return row.values, pandas.Series(np.where(mask, None, values.astype(object)), dtype=object)
    if form == "polars":
        return row.values, pytest.importorskip("polars").from_arrow(row.array())
    rows, values = [value for value in row.values if value is not None], values[~mask]
    if form == "torch":
        torch = pytest.importorskip("torch")
        return rows, torch.from_numpy(values.view(np.int64) if values.dtype.kind == "M" else values)
    if form == "swapped":
        return rows, values.byteswap().view(values.dtype.newbyteorder())
    return rows, values[:, None] if form == "column" else values


@pytest.mark.parametrize(
    "form", ["numpy", "column", "swapped", "masked", "pandas", "polars", "torch"]
)
@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row.name)
def test_arrays_of_numbers_store_their_rows(row: Row, form: str) -> None:
    rows, column = array_form(form, row)
    check_extend(fields_of(row), rows, {"x": column})
