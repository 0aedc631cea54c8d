"""C++ reads every feature of `datasets` and every Arrow type through the public headers.

print_rows.cc prints the rows of stores as JSON. Each store has the samples of one
row of feature_table.py, from Arrow or by `append`.
"""

from __future__ import annotations

import json
import struct
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from feature_table import ROWS, Row, canonical
from library import compile_program
from stream_store import StreamStore

SOURCE = Path(__file__).with_name("print_rows.cc")

every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """The rows that C++ prints of every store, by the name of the row and how it was written."""
    folder = tmp_path_factory.mktemp("stores")
    stores = {}
    for number, row in enumerate(ROWS):
        stores[row.name, "arrow"] = folder / f"{number}-arrow"
        with StreamStore(stores[row.name, "arrow"]) as store:
            store.from_arrow(row.table())
        if row.declared() is not None:
            stores[row.name, "append"] = folder / f"{number}-append"
            with StreamStore(stores[row.name, "append"], fields={"x": row.declared()}) as store:
                for value in row.values:
                    store.append_step({} if value is None else {"x": value})
    program = folder / "print_rows"
    compile_program(SOURCE, program)
    done = subprocess.run([program, *stores.values()], check=False, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return {key: json.loads(line) for key, line in zip(stores, lines, strict=True)}


@every
def test_cpp_reads_the_values_of_an_arrow_column(
    row: Row, printed: dict[tuple[str, str], Any]
) -> None:
    assert_samples(printed[row.name, "arrow"], row)


@every
def test_cpp_reads_the_values_that_were_appended(
    row: Row, printed: dict[tuple[str, str], Any]
) -> None:
    if row.declared() is not None:
        assert_samples(printed[row.name, "append"], row)


def assert_samples(rows: list[dict[str, Any]], row: Row) -> None:
    found = [canonical(from_json(one.get("x"), row.arrow), row.arrow) for one in rows]
    assert found == [canonical(value, row.arrow) for value in row.values]


def from_json(value: Any, kind: pa.DataType) -> Any:
    """A value that print_rows.cc printed, in the form of the samples."""
    if isinstance(kind, pa.BaseExtensionType):
        return from_json(value, kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return from_json(value, kind.value_type)
    if value is None:
        return None
    if pa.types.is_map(kind):
        return [
            (from_json(key, kind.key_type), from_json(item, kind.item_type))
            for key, item in (entry.values() for entry in value)
        ]
    if pa.types.is_struct(kind):
        return {part.name: from_json(value.get(part.name), part.type) for part in kind}
    if hasattr(kind, "value_type"):  # every kind of list
        return [from_json(item, kind.value_type) for item in value]
    return _item_from_json(value, kind)


def _item_from_json(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind):
        return np.frombuffer(bytes.fromhex(value), kind.to_pandas_dtype())[0]
    if pa.types.is_decimal(kind):
        number = int.from_bytes(bytes.fromhex(value), "little", signed=True)
        return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -kind.scale))
    if pa.types.is_interval(kind):
        return struct.unpack("<iiq", bytes.fromhex(value))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        assert isinstance(value, str)
        return value
    if isinstance(value, str):
        return bytes.fromhex(value)
    return value
