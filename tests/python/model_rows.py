"""The model of a store: a plain list of rows, each a step and its field-writes.

Used by test_model.py. `Rows` knows the rules of the stream (steps never decrease, fields come in
declared order) and the right result of every read. It shares no code with the package under test.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_fields import Field, int_as_float32, shown

#: A declared struct: name -> Field or struct.
Tree = dict[str, Any]


class Refused(Exception):
    """Raised by the model where a store must refuse the call."""


@dataclass
class Row:
    step: int
    writes: dict[int, list[int]] = field(default_factory=dict)  # type id -> words, ids rising


@dataclass
class Schema:
    """Declared fields, structs flattened: leaves first, then the hidden marker of each struct."""

    tree: Tree

    def __post_init__(self) -> None:
        self.names: list[str] = []
        self.fields: list[Field] = []
        self.markers: dict[str, int] = {}
        structs: list[str] = []
        self._walk(self.tree, "", structs)
        for name in structs:
            self.markers[name] = len(self.names) + len(self.markers)

    def _walk(self, tree: Tree, prefix: str, structs: list[str]) -> None:
        for name, node in tree.items():
            if isinstance(node, dict):
                structs.append(prefix + name)
                self._walk(node, f"{prefix}{name}.", structs)
            else:
                self.names.append(prefix + name)
                self.fields.append(node)

    def leaves(self, names: list[str]) -> list[str]:
        """The leaves of structs and leaves that are asked for by name."""
        found = [
            leaf
            for name in names
            for leaf in self.names
            if leaf == name or (name in self.markers and leaf.startswith(f"{name}."))
        ]
        return list(dict.fromkeys(found))

    def declaration(self, tree: Tree | None = None) -> dict[str, Any]:
        nodes = (self.tree if tree is None else tree).items()
        return {
            name: self.declaration(node) if isinstance(node, dict) else node.feature
            for name, node in nodes
        }

    def collect(self, writes: Mapping[int, list[int]]) -> dict[str, Any]:
        """A row as row() shows it."""
        return {name: self._node(name, node, writes) for name, node in self.tree.items()}

    def _node(self, name: str, node: Any, writes: Mapping[int, list[int]]) -> Any:
        if not isinstance(node, dict):
            type_id = self.names.index(name)
            return self.fields[type_id].decode(writes[type_id]) if type_id in writes else None
        inner = {key: self._node(f"{name}.{key}", child, writes) for key, child in node.items()}
        alive = self.markers[name] in writes or any(item is not None for item in inner.values())
        return inner if alive else None


class Rows:
    """The stored rows, and the results of reads."""

    def __init__(self, schema: Schema, rows: list[Row] | None = None) -> None:
        self.schema = schema
        self.rows: list[Row] = rows or []

    def copy(self) -> Rows:
        return Rows(self.schema, [Row(row.step, dict(row.writes)) for row in self.rows])

    # --- appends: each returns the rows of the store after the call, or raises Refused ---

    def append(self, writes: list[tuple[int, int, list[int]]]) -> Rows:
        after = self.copy()
        for step, type_id, words in writes:
            after._put(step, type_id, words)
        return after

    def append_step(self, step: int | None, writes: dict[int, list[int]]) -> Rows:
        step = self.next_step if step is None else step
        after = self.copy()
        after._row_of_step(step)
        for type_id in sorted(writes):
            after._put(step, type_id, writes[type_id])
        return after

    def _put(self, step: int, type_id: int, words: list[int]) -> None:
        row = self._row_of_step(step)
        if row.writes and type_id <= max(row.writes):
            raise Refused("order")
        row.writes[type_id] = words

    def _row_of_step(self, step: int) -> Row:
        if not self.rows or step > self.rows[-1].step:
            self.rows.append(Row(step))
        if step < self.rows[-1].step:
            raise Refused("step")
        return self.rows[-1]

    # --- facts ---

    @property
    def next_step(self) -> int:
        return self.rows[-1].step + 1 if self.rows else 0

    @property
    def last_type(self) -> int:
        """Type id of the last field-write of the last row; -1 if the row has none."""
        return max(self.rows[-1].writes, default=-1) if self.rows else -1

    @property
    def complete(self) -> int:
        """Complete rows while a writer lives."""
        if not self.rows:
            return 0
        last_declared = len(self.schema.names) - 1
        return len(self.rows) - (last_declared not in self.rows[-1].writes)

    def entries(self, start: int = 0, stop: int | None = None) -> list[tuple[int, int, int]]:
        """index_table(): (start, type, step) of every field-write of those rows."""
        found, position = [], 0
        for number, row in enumerate(self.rows):
            for type_id, words in row.writes.items():
                if start <= number < (len(self.rows) if stop is None else stop):
                    found.append((position, type_id, row.step))
                position += len(words)
        return found

    def values(self) -> Iterator[tuple[int, int, int, int, int, bytes]]:
        """(value, type, step, row, offset, number as float32) of every position."""
        for number, row in enumerate(self.rows):
            for type_id, words in row.writes.items():
                for offset, word in enumerate(words):
                    single = self._number(self.schema.fields[type_id], word)
                    yield word, type_id, row.step, number, offset, single

    @staticmethod
    def _number(item: Field, word: int) -> bytes:
        plain = not (item.packed or item.is_text or item.item.kind == "decimal")
        return item.item.number(word) if plain else int_as_float32(word)

    def starts(self) -> list[int]:
        """First position of every row."""
        found, position = [], 0
        for row in self.rows:
            found.append(position)
            position += sum(map(len, row.writes.values()))
        return found

    def row_at(self, step: int, side: str) -> int:
        steps = [row.step for row in self.rows]
        find = bisect.bisect_left if side == "left" else bisect.bisect_right
        return find(steps, step)

    def row(self, number: int) -> dict[str, Any]:
        return self.schema.collect(self.rows[number].writes)

    def segments(self, names: list[str]) -> list[list[int]]:
        """Rows cut by an int field (a new value begins one) or by bool fields (true ends one)."""
        types = [self.schema.names.index(name) for name in names]
        ends = self.schema.fields[types[0]].dtype == "bool"
        cuts, seen = [0], None
        for number, row in enumerate(self.rows):
            words = [row.writes[type_id][0] for type_id in types if type_id in row.writes]
            if ends and any(words):
                cuts.append(number + 1)
            elif not ends and words:
                if seen is not None and words[0] != seen:
                    cuts.append(number)
                seen = words[0]
        cuts = [cut for cut in cuts if cut < len(self.rows)] + [len(self.rows)]
        return [[a, b] for a, b in itertools.pairwise(cuts)] if self.rows else []

    # --- read_rows ---

    def check_read_rows(
        self, read: dict[str, Any], rows: list[int], shape: tuple[int, ...], most: dict[str, int]
    ) -> None:
        """Compare all results of read_rows() for `rows`, the flattened places of `shape`."""
        writes = [self.rows[row].writes for row in rows]
        assert read["_step"].shape == shape
        assert read["_step"].ravel().tolist() == [self.rows[row].step for row in rows]
        for name in read:
            if name.startswith("_"):
                continue
            type_id = self.schema.names.index(name)
            words = [write.get(type_id) for write in writes]
            mask = read["_mask"][name]
            assert mask.shape == shape
            assert mask.ravel().tolist() == [word is not None for word in words]
            self._check_column(self.schema.fields[type_id], read, name, words, shape, most)

    def _check_column(
        self, item: Field, read: dict[str, Any], name: str, words: list[list[int] | None],
        shape: tuple[int, ...], most: dict[str, int],
    ) -> None:  # fmt: skip
        found = read[name]
        if item.is_text or item.item.kind == "decimal":
            zero = {"text": "", "bytes": b"", "decimal": ("decimal", 0)}[item.item.kind]
            expected = [zero if word is None else item.decode(word) for word in words]
            assert [shown(value) for value in _flat(found, len(shape))] == expected
            return
        dtype = np.dtype(item.item.numpy)
        unit = dtype.itemsize * int(np.prod(item.inner))
        parts = [b"" if word is None else item.items(word) for word in words]
        count = 1
        if item.ragged:
            lengths = [len(part) // unit for part in parts]
            assert read["_length"][name].ravel().tolist() == lengths
            count = most.get(name, max(lengths, default=0))
        expected_bytes = b"".join(part[: count * unit].ljust(count * unit, b"\0") for part in parts)
        assert found.dtype == dtype
        assert found.shape == (*shape, *([count] if item.ragged else []), *item.inner)
        assert found.tobytes() == expected_bytes


def flattened(read: Mapping[str, Any]) -> dict[str, Any]:
    """A result of read_rows() with the leaves of structs under their own names."""
    flat = dict(_leaves("", {name: item for name, item in read.items() if name[0] != "_"}))
    inner = {name: dict(_leaves("", read[name])) for name in ("_mask", "_length")}
    return {**flat, **inner, "_step": read["_step"]}


def _leaves(prefix: str, nested: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, item in nested.items():
        if isinstance(item, dict):
            yield from _leaves(f"{prefix}{name}.", item)
        else:
            yield f"{prefix}{name}", item


def _flat(nested: Any, depth: int) -> Iterator[Any]:
    if isinstance(nested, np.ndarray):
        yield from nested.ravel().tolist()
    elif depth == 0:
        yield nested
    else:
        for inner in nested:
            yield from _flat(inner, depth - 1)
