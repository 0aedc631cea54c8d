"""A store and a model of plain lists agree after any sequence of appends.

The model (model_rows.py, model_fields.py) shares no code with the package. Values are compared by
their bits. `--hypothesis-profile=deep` runs many more and longer lives.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from model_fields import Field, catalogue, shown
from model_rows import Row, Rows, Schema, Tree, flattened
from stream_store import StreamStore

CATALOGUE = catalogue()
STRUCT: Tree = {
    "a": Field("int32", "int32"),
    "inner": {"t": Field("string", "string"), "u": Field("float32[]", "float32", (-1,))},
}
NAMES = ["x", "y", "z", "w", "a.b", "ünïcode"]
COLUMNS = ("values", "types", "step", "row", "offset", "number")

places = st.integers(0, 2**31)  # taken modulo the number of rows or values


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    features = draw(st.lists(st.sampled_from(CATALOGUE), min_size=1, max_size=5))
    tree: Tree = dict(zip(draw(st.permutations(NAMES)), features, strict=False))
    if draw(st.booleans()):
        tree = {"first": tree.pop(next(iter(tree))), "s": STRUCT, **tree}
    if draw(st.booleans()):
        tree |= {"episode": Field("int64", "int64"), "done": Field("bool", "bool")}
    return Schema(tree)


class StoreMachine(RuleBasedStateMachine):
    """One store, temporary or on disk, its model, and views of it taken on the way."""

    @initialize(
        schema=schemas(), persistent=st.booleans(), capacity=st.sampled_from([1, 50, 10**6])
    )
    def declare(self, schema: Schema, persistent: bool, capacity: int) -> None:
        self.schema, self.capacity = schema, capacity
        self.model = Rows(schema)
        self.views: list[tuple[StreamStore, Rows]] = []
        self.directory = Path(tempfile.mkdtemp(prefix="model-")) if persistent else None
        self.path = self.directory / "run" if self.directory else None
        self.reader: StreamStore | None = None
        self.store = StreamStore(self.path, capacity=capacity, fields=schema.declaration())

    # --- appends ---

    def _write(self, data: st.DataObject, type_id: int) -> tuple[Any, list[int]]:
        return self.schema.fields[type_id].draw(data.draw)

    def _some_types(self, data: st.DataObject, after: int = -1) -> list[int]:
        count = len(self.schema.names)
        wanted = st.sets(st.integers(after + 1, count - 1)) if after + 1 < count else st.just(set())
        return sorted(data.draw(wanted))

    def _steps_on(self, data: st.DataObject) -> tuple[int, int]:
        """A step to go on with, and the last type id that it has."""
        if self.model.rows and data.draw(st.booleans()):
            return self.model.rows[-1].step, self.model.last_type
        return self.model.next_step + data.draw(st.sampled_from([0, 0, 1, 10**6])), -1

    @rule(data=st.data())
    def append_step(self, data: st.DataObject) -> None:
        step, last = self._steps_on(data)
        writes = {i: self._write(data, i) for i in self._some_types(data, last)}
        given = {self.schema.names[i]: value for i, (value, _) in writes.items()}
        given |= {name: None for name in data.draw(st.sets(st.sampled_from(self.schema.names)))
                  if name not in given}  # fmt: skip
        given = dict(data.draw(st.permutations(list(given.items()))))
        default = step == self.model.next_step and data.draw(st.booleans())
        after = self.model.append_step(step, {i: words for i, (_, words) in writes.items()})
        assert self.store.append_step(given, None if default else step) == step
        self.model = after

    @precondition(lambda self: self.schema.markers)
    @rule(data=st.data(), marked=st.booleans(), inner=st.sampled_from(["none", "empty", "full"]))
    def append_struct(self, data: st.DataObject, marked: bool, inner: str) -> None:
        leaf = self.schema.names.index
        writes: dict[int, list[int]] = {}
        value: dict[str, Any] = {}
        if not marked:
            value["a"], writes[leaf("s.a")] = self._write(data, leaf("s.a"))
        if inner == "full":
            text, writes[leaf("s.inner.t")] = self._write(data, leaf("s.inner.t"))
            value["inner"] = {"t": text, "u": None}
        elif inner == "empty":
            value["inner"] = data.draw(st.sampled_from([{}, {"t": None}]))
            writes[self.schema.markers["s.inner"]] = []
        if marked and inner == "none":
            writes[self.schema.markers["s"]] = []
            value["a"] = None
        after = self.model.append_step(None, writes)
        self.store.append_step({"s": value})
        self.model = after

    @rule(data=st.data(), steps=st.integers(1, 4))
    def append(self, data: st.DataObject, steps: int) -> None:
        step, last = self._steps_on(data)
        calls: list[tuple[int, int, Any, list[int]]] = []
        for _ in range(steps):
            for type_id in self._some_types(data, last):
                calls.append((step, type_id, *self._write(data, type_id)))
            step, last = step + data.draw(st.integers(1, 3)), -1
        after = self.model.append([(at, type_id, words) for at, type_id, _, words in calls])
        arrays = data.draw(st.booleans())
        given_steps: Any = [call[0] for call in calls]
        self.store.append(
            np.array(given_steps, np.int64) if arrays else given_steps,
            [self.schema.names[call[1]] for call in calls],
            tuple(call[2] for call in calls),
        )
        self.model = after

    @rule(data=st.data(), count=st.integers(1, 6))
    def extend(self, data: st.DataObject, count: int) -> None:
        first = self.model.next_step
        steps = [first + i for i in range(count)]
        gaps = data.draw(st.booleans())
        if gaps:
            steps = [first + 3 * i + 1 for i in range(count)]
        columns: dict[str, Any] = {}
        after = self.model.copy()
        rows = [Row(step) for step in steps]
        for type_id in self._some_types(data):
            cells = [
                self._write(data, type_id) if data.draw(st.integers(0, 4)) else (None, None)
                for _ in range(count)
            ]
            columns[self.schema.names[type_id]] = self._column(data, cells)
            for row, (_, words) in zip(rows, cells, strict=True):
                if words is not None:
                    row.writes[type_id] = words
        if not columns and not gaps:
            return
        after.rows += rows
        columns = dict(data.draw(st.permutations(list(columns.items()))))
        assert self.store.extend(columns, steps if gaps else None) == count
        self.model = after

    @staticmethod
    def _column(data: st.DataObject, cells: list[tuple[Any, Any]]) -> Any:
        """The cells as one array where their shapes allow it, else as a list."""
        values = [value for value, _ in cells]
        if all(isinstance(value, (np.ndarray, np.generic)) for value in values):
            kinds = {(value.dtype, value.shape) for value in values}
            if len(kinds) == 1 and values[0].dtype.kind != "U" and data.draw(st.booleans()):
                return np.stack(values)
        return values

    # --- calls that must change nothing ---

    @precondition(lambda self: len(self.schema.names) > 1)
    @rule(data=st.data(), kind=st.sampled_from(["unknown", "duplicate", "step", "length", "order"]))
    def refused_call(self, data: st.DataObject, kind: str) -> None:
        count = len(self.schema.names)
        types = data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=3, unique=True))
        types.sort()
        writes = [self._write(data, i)[0] for i in types]
        names = [self.schema.names[i] for i in types]
        steps = [self.model.next_step] * len(types)
        words = {"unknown": "Unknown", "length": "equal length", "duplicate": "duplicate|order"}
        message = words.get(kind, kind)
        if kind == "unknown":
            names[-1] = "nope"
        elif kind == "duplicate":
            names[-1], writes[-1] = names[0], writes[0]
        elif kind == "order":
            names.reverse()
            writes.reverse()
        elif kind == "length":
            steps.append(steps[0])
        else:
            steps[-1] -= 1
        before = self._everything()
        with pytest.raises(ValueError, match=f"(?i){message}"):
            self.store.append(steps, names, writes)
        assert self._everything() == before

    @rule(data=st.data(), how=st.sampled_from(["append", "append_step", "extend"]))
    def refused_value(self, data: st.DataObject, how: str) -> None:
        count = len(self.schema.names)
        types = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=3)))
        bad = data.draw(st.sampled_from(types))
        values = {i: self._write(data, i)[0] for i in types}
        values[bad] = data.draw(wrong_values(self.schema.fields[bad]))
        names = [self.schema.names[i] for i in types]
        before = self._everything()
        given = dict(zip(names, values.values(), strict=True))
        steps = [self.model.next_step] * len(types)
        call: Callable[[], Any] = {
            "append": lambda: self.store.append(steps, names, list(given.values())),
            "append_step": lambda: self.store.append_step(given),
            "extend": lambda: self.store.extend({name: [value] for name, value in given.items()}),
        }[how]
        with pytest.raises((ValueError, TypeError), match=self.schema.names[bad]):
            call()
        assert self._everything() == before

    def _everything(self) -> Any:
        read = self.store[:]
        return len(self.store), self.store.num_rows, self.store.last_step, {
            name: array.tobytes() for name, array in read.items()
        }  # fmt: skip

    # --- lives of the store ---

    @precondition(lambda self: self.path)
    @rule(look=st.booleans())
    def reopen(self, look: bool) -> None:
        self.store.close()
        if look:
            assert self.path is not None
            with StreamStore(self.path, "r") as closed:
                check_all(closed, self.model, live=False)
        self.store = StreamStore(
            self.path, capacity=self.capacity, fields=self.schema.declaration()
        )
        assert self.store.recovery.state == "clean"

    @precondition(lambda self: self.path)
    @rule()
    def sync(self) -> None:
        assert self.store.sync() == len(self.model.rows)

    @precondition(lambda self: self.path)
    @rule()
    def look_from_a_reader(self) -> None:
        if self.reader is None:
            self.reader = StreamStore(self.path, "r")
        check_all(self.reader, self.model)

    @precondition(lambda self: not self.path)
    @rule()
    def clear(self) -> None:
        self.store.clear()
        self.model = Rows(self.schema)

    @rule(part=st.floats(0, 1))
    def snapshot(self, part: float) -> None:
        rows = int(part * len(self.model.rows))
        view = self.store.snapshot(rows) if part < 1 else self.store.snapshot()
        self.views.append((view, Rows(self.schema, self.model.copy().rows[:rows])))

    # --- reads ---

    @rule(data=st.data())
    def read_values(self, data: st.DataObject) -> None:
        if len(self.store):
            check_positions(data, self.store, self.model)
            check_windows(data, self.store, self.model)

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data())
    def read_rows(self, data: st.DataObject) -> None:
        check_read_rows(data, self.store, self.model)

    @rule(data=st.data())
    def look_up(self, data: st.DataObject) -> None:
        check_look_ups(data, self.store, self.model)

    @invariant()
    def facts_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        rows = self.model.rows
        assert self.store.num_rows == len(rows)
        assert len(self.store) == sum(len(words) for row in rows for words in row.writes.values())
        assert self.store.last_step == (rows[-1].step if rows else None)
        assert (self.store.complete_rows, rows[-1:]) == (self.model.complete, rows[-1:])

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        check_all(self.store, self.model)
        if self.reader is not None:
            check_all(self.reader, self.model)
        self.store.close()
        for view, model in self.views:
            check_all(view, model, live=None)
        if self.directory:
            shutil.rmtree(self.directory)


def wrong_values(item: Field) -> st.SearchStrategy[Any]:
    """Values that the field must refuse."""
    wrong: list[Any] = [object(), {}, 1j, np.zeros((1, 2, 1, 2))]
    kind = item.item.kind
    if kind != "text":
        wrong += ["text", np.str_("text"), ["a"]]
    if kind in ("text", "bytes"):
        wrong += [3, 1.5, ["a", "b"], [1]]
    if kind in ("int", "bool"):
        one = [1.5, math.nan, math.inf, 2**64, -(2**63) - 1, np.float32(0.5), np.array([2.5])]
        wrong += one if not item.shape else [[value] for value in one]
    if kind == "bool" and not item.shape:
        wrong += [2, -1, np.int8(2)]
    if item.shape:
        wrong += [[None], [[[[1]]]]]
    if item.shape and not item.ragged:
        wrong += [[], np.zeros(7), [0] * 8]
    if not item.shape and kind != "text":
        wrong += [[], [1, 2], np.zeros(2), np.zeros((1, 1))]
    return st.sampled_from(wrong)


def check_all(store: StreamStore, model: Rows, *, live: bool | None = True) -> None:
    """Compare every read of all rows with the model."""
    values = list(model.values())
    read = store[:]
    assert read["values"].tolist() == [value[0] for value in values]
    assert read["types"].tolist() == [value[1] for value in values]
    assert read["step"].tolist() == [value[2] for value in values]
    assert [tuple(map(int, entry)) for entry in store.index_table()] == model.entries()
    assert store.num_field_writes == len(model.entries())
    assert [shown(row) for row in store.rows()] == [model.row(i) for i in range(len(model.rows))]
    if live is not None:
        assert store.complete_rows == (model.complete if live else len(model.rows))


def check_positions(data: st.DataObject, store: StreamStore, model: Rows) -> None:
    values = list(model.values())
    count = len(values)
    shape = data.draw(st.sampled_from([(), (1,), (5,), (2, 3), (0,), (2, 0), (2, 1, 2)]))
    flat = [data.draw(st.integers(-count, count - 1)) for _ in range(math.prod(shape))]
    dtype = data.draw(st.sampled_from([np.int64, np.int32, np.int16, ">i8"]))
    index: Any = np.array(flat, dtype).reshape(shape)
    if not shape and data.draw(st.booleans()):
        index = flat[0]
    read = store[index]
    for column, place in (("values", 0), ("types", 1), ("step", 2)):
        assert read[column].shape == shape  # type: ignore[literal-required]
        assert read[column].ravel().tolist() == [values[i][place] for i in flat]  # type: ignore[literal-required]
    bounds = st.none() | st.integers(-count - 2, count + 2)
    strides = st.sampled_from([None, 1, 2, -1, -3])
    cut = slice(data.draw(bounds), data.draw(bounds), data.draw(strides))
    assert store[cut]["values"].tolist() == [value[0] for value in values][cut]
    for outside in (count, -count - 1):
        with pytest.raises(IndexError):
            store[[0, outside]]


def check_windows(data: st.DataObject, store: StreamStore, model: Rows) -> None:
    values = list(model.values())
    width = data.draw(st.integers(1, len(values)))
    shape = data.draw(st.sampled_from([(), (1,), (3,), (2, 2), (0,)]))
    starts = [data.draw(st.integers(0, len(values) - width)) for _ in range(math.prod(shape))]
    columns = data.draw(st.lists(st.sampled_from(COLUMNS), unique=True))
    out = {"values": np.empty((*shape, width), np.int64)} if "values" in columns else None
    read = store.windows(np.array(starts, np.int64).reshape(shape), width, columns=columns, out=out)
    assert list(read) == columns
    order = {"values": 0, "types": 1, "step": 2, "row": 3, "offset": 4}
    for column in columns:
        assert read[column].shape == (*shape, width)
        wanted = [value for start in starts for value in values[start : start + width]]
        if column == "number":
            assert read[column].tobytes() == b"".join(value[5] for value in wanted)
        else:
            assert read[column].ravel().tolist() == [value[order[column]] for value in wanted]
    for start in (-1, len(values) - width + 1):
        with pytest.raises(IndexError):
            store.windows([start], width)


def check_read_rows(data: st.DataObject, store: StreamStore, model: Rows) -> None:
    count = len(model.rows)
    length = data.draw(st.none() | st.integers(1, count))
    shape = data.draw(st.sampled_from([(), (3,), (2, 2), (0,)]))
    last = count - (length or 1)
    rows = [data.draw(st.integers(0, last)) for _ in range(math.prod(shape))]
    schema = model.schema
    known = [*schema.names, *schema.markers]
    names = data.draw(st.none() | st.lists(st.sampled_from(known), unique=True))
    wanted = schema.names if names is None else schema.leaves(names)
    ragged = [n for n in wanted if schema.fields[schema.names.index(n)].ragged]
    most = {name: data.draw(st.integers(0, 4)) for name in ragged if data.draw(st.booleans())}
    spelled = [row - count if data.draw(st.booleans()) else row for row in rows]
    given: Any = np.array(spelled, np.int64).reshape(shape) if shape else spelled[0]
    read = store.read_rows(given, length, fields=names, max_length=most or None)
    assert [name for name in read if not name.startswith("_")] == (
        list(schema.tree) if names is None else names
    )
    assert set(flattened(read)) - {"_step", "_mask", "_length"} == set(wanted)
    flat = [row + i for row in rows for i in range(length or 1)]
    model.check_read_rows(
        flattened(read), flat, shape if length is None else (*shape, length), most
    )
    for row in (-count - 1, last + 1):
        with pytest.raises(IndexError):
            store.read_rows([row], length)


def check_look_ups(data: st.DataObject, store: StreamStore, model: Rows) -> None:
    starts, values = model.starts(), list(model.values())
    rows = [data.draw(places) % len(starts) for _ in range(3)] if starts else []
    assert store.position_of(rows).tolist() == [starts[row] for row in rows]
    positions = [data.draw(places) % len(values) for _ in range(4)] if values else []
    assert store.row_of(positions).tolist() == [values[p][3] for p in positions]
    side = data.draw(st.sampled_from(["left", "right"]))
    steps = [data.draw(st.integers(-2, model.next_step + 2)) for _ in range(3)]
    steps += [-(2**63), 2**63 - 1] + ([model.rows[rows[0]].step] if rows else [])
    assert store.row_at(steps, side).tolist() == [model.row_at(step, side) for step in steps]
    bounds = st.none() | st.integers(-len(starts) - 1, len(starts) + 1)
    first, last = data.draw(bounds) or 0, data.draw(bounds)
    begin, end, _ = slice(first, last).indices(len(starts))
    found = store.index_table(first, last)
    assert [tuple(map(int, entry)) for entry in found] == model.entries(begin, end)
    if rows:
        row = rows[0] - data.draw(st.sampled_from([0, len(starts)]))
        assert shown(store.row(row)) == model.row(rows[0])
    decoded = [shown(row) for row in store.rows(first, last)]
    assert decoded == [model.row(i) for i in range(begin, end)]
    if "done" in model.schema.names:
        for by in ("episode", "done", ["done"]):
            names = [by] if isinstance(by, str) else by
            assert store.segments(by).tolist() == model.segments(names)


_many = settings.default.max_examples if settings.default else 100
TestStoreAgainstModel = StoreMachine.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=_many, stateful_step_count=25 if _many <= 100 else 60
)
