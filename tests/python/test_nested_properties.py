"""Cells of random nested types up to depth 4 compared with pyarrow, in every form of a list."""

from __future__ import annotations

import datetime as dt
from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store_helpers import facts, new_store
from stream_store import _core

pa = pytest.importorskip("pyarrow")

INTS = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
STAMPS = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))


def leaves() -> dict[Any, st.SearchStrategy[Any]]:
    """The values of each leaf type, as Python objects that pyarrow takes, too."""
    table: dict[Any, st.SearchStrategy[Any]] = {
        pa.null(): st.none(),
        pa.bool_(): st.booleans(),
        pa.float16(): st.floats(width=16),
        pa.float32(): st.floats(width=32),
        pa.float64(): st.floats(),
        pa.string(): TEXT,
        pa.large_string(): TEXT,
        pa.string_view(): TEXT,
        pa.binary(): st.binary(max_size=5),
        pa.large_binary(): st.binary(max_size=5),
        pa.binary(3): st.binary(min_size=3, max_size=3),
        pa.date32(): st.dates(),
        pa.date64(): st.dates(),
        pa.time32("s"): st.times().map(lambda time: time.replace(microsecond=0)),
        pa.time64("us"): st.times(),
        pa.timestamp("us"): STAMPS,
        pa.timestamp("us", tz="Europe/Berlin"): STAMPS.map(
            lambda at: at.replace(tzinfo=dt.timezone.utc)
        ),
        pa.duration("us"): st.timedeltas(dt.timedelta(-(10**5)), dt.timedelta(10**5)),
        pa.month_day_nano_interval(): st.tuples(
            st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9)
        ).map(pa.MonthDayNano),
    }
    for name, (sign, bits) in INTS.items():
        low = 0 if sign else -(2 ** (bits - 1))
        table[getattr(pa, name)()] = st.integers(low, low + 2**bits - 1)
    for make, digits in ((pa.decimal32, 9), (pa.decimal128, 38), (pa.decimal256, 76)):
        for scale in (0, 3):
            limit = 10**digits - 1
            table[make(digits, scale)] = st.integers(-limit, limit).map(
                lambda number, scale=scale: Decimal(
                    (int(number < 0), tuple(map(int, str(abs(number)))), -scale)
                )
            )
    return table


LEAVES = leaves()
NAMES = st.sampled_from(["a", "b c", "d.e", "_f", 'q"', "ü", "item", "null"])


def field_of(name: str, kind: Any, nullable: bool) -> Any:
    return pa.field(
        name, kind, nullable or pa.types.is_null(kind)
    )  # pyarrow refuses null, not null


def types_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    item = st.builds(field_of, st.just("item"), inner, st.booleans())
    structs = st.lists(
        st.builds(field_of, NAMES, inner, st.booleans()),
        max_size=3,
        unique_by=lambda one: one.name,
    ).map(pa.struct)
    maps = st.builds(pa.map_, st.sampled_from([pa.string(), pa.int16()]), inner)
    fixed = st.builds(pa.list_, item, st.integers(0, 3))
    return st.one_of(item.map(pa.list_), item.map(pa.large_list), fixed, structs, maps)


LEVEL_1 = st.sampled_from(list(LEAVES))
LEVEL_2 = st.one_of(LEVEL_1, types_of(LEVEL_1))
LEVEL_3 = st.one_of(LEVEL_2, types_of(LEVEL_2))
NESTED = types_of(LEVEL_3)


def values_of(kind: Any, nullable: bool = True) -> st.SearchStrategy[Any]:
    """Python values of an Arrow type."""
    present = _present(kind)
    if pa.types.is_null(kind) or not nullable:
        return present
    return st.one_of(present, st.none())


def _present(kind: Any) -> st.SearchStrategy[Any]:
    if kind in LEAVES:
        return LEAVES[kind]
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries(
            {field.name: values_of(field.type, field.nullable) for field in kind}
        )
    if pa.types.is_map(kind):
        pairs = st.tuples(values_of(kind.key_type, False), values_of(kind.item_type))
        return st.lists(pairs, max_size=3)
    item = values_of(kind.value_type, kind.value_field.nullable)
    if pa.types.is_fixed_size_list(kind):
        return st.lists(item, min_size=kind.list_size, max_size=kind.list_size)
    return st.lists(item, max_size=3)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Any, Any]:
    kind = draw(NESTED)
    return kind, draw(values_of(kind, nullable=False))


def model(scalar: Any) -> Any:
    """A scalar of pyarrow as row() returns it, with counts of units for dates and times."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if pa.types.is_struct(kind):
        return {name: model(scalar[name]) for name in scalar}
    if pa.types.is_map(kind):
        return [(model(entry["key"]), model(entry["value"])) for entry in scalar.values]
    if pa.types.is_nested(kind):
        return [model(item) for item in scalar.values]
    if pa.types.is_temporal(kind) and kind != pa.month_day_nano_interval():
        return int(scalar.value)
    return scalar.as_py()


def plain(value: Any) -> Any:
    """A value of row() with counts of units for dates and times."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple) and len(value) == 2:
        return tuple(plain(item) for item in value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return int(value.astype(np.int64))
    return value


def same(a: Any, b: Any) -> bool:
    """Whether two values have equal types, structure and bits; NaN equals NaN."""
    return repr(plain(a)).replace("MonthDayNano(months=", "(") == repr(b).replace(
        "MonthDayNano(months=", "("
    ).replace(", days=", ", ").replace(", nanoseconds=", ", ")


@given(cells())
@settings(deadline=None)
def test_row_returns_the_objects_of_pyarrow(cell: tuple[Any, Any]) -> None:
    kind, value = cell
    expected = model(pa.array([value], kind)[0])
    text = _core.nested_text(str(kind)) if pa_text_is_exact(kind) else text_of(kind)
    store = new_store({"n": "int64", "x": f"nested {text}"})
    store.append_step({"n": 1, "x": value})
    store.append_step({"n": 2})
    store.append([3, 3], ["n", "x"], [3, value])
    rows = [row["x"] for row in store.rows()]
    assert rows[1] is None
    for found in (rows[0], rows[2], store.read_rows([0])["x"][0]):
        assert same(found, expected)
        block = _core._encode_nested(text, "x", found)
        assert block == _core._encode_nested(text, "x", value)


def pa_text_is_exact(kind: Any) -> bool:
    """Whether str(kind) says everything: pyarrow does not quote names."""
    return not any(mark in str(kind) for mark in ("b c", 'q"', "ü"))


def text_of(kind: Any) -> str:
    """The text of a type, built from its parts."""
    return _core.nested_text(tree_of(pa.field("", kind)))


def tree_of(field: Any) -> tuple[Any, ...]:
    kind = field.type
    children: tuple[Any, ...] = ()
    if pa.types.is_map(kind):
        entries = pa.field("entries", pa.struct([kind.key_field, kind.item_field]), nullable=False)
        children = (tree_of(entries),)
    else:
        children = tuple(tree_of(kind.field(i)) for i in range(kind.num_fields))
    return ("", format_of(kind), field.name, field.nullable, 0, children)


def format_of(kind: Any) -> str:
    if pa.types.is_map(kind):
        return "+m"
    if pa.types.is_struct(kind):
        return "+s"
    if pa.types.is_fixed_size_list(kind):
        return f"+w:{kind.list_size}"
    if pa.types.is_nested(kind):
        return "+L" if pa.types.is_large_list(kind) else "+l"
    return _core.nested_type(str(kind))[1]


# --- the forms of a list ---


def forms(value: Any, draw: st.DrawFn) -> Any:
    """The same value with its lists as other sequences."""
    if not isinstance(value, list):
        return value
    items = [forms(item, draw) for item in value]
    boxed = np.empty(len(items), dtype=object)
    boxed[:] = items if all(np.ndim(item) == 0 for item in items) else [None] * len(items)
    for place, item in enumerate(items):
        boxed[place] = item
    return draw(st.sampled_from([list, tuple, deque, lambda _: boxed]))(items)


@given(
    st.sampled_from(sorted(INTS)),
    st.lists(st.lists(st.integers(0, 127) | st.none(), max_size=4), max_size=4),
    st.data(),
)
def test_every_form_of_a_list_is_the_same_cell(name: str, lists: Any, data: st.DataObject) -> None:
    text = f"list<list<{name}>>"
    expected = _core._encode_nested(text, "x", lists)
    assert _core._encode_nested(text, "x", forms(lists, data.draw)) == expected
    if all(None not in one for one in lists):
        arrays = [np.array(one, data.draw(st.sampled_from("bhiqfdQ"))) for one in lists]
        assert _core._encode_nested(text, "x", arrays) == expected


@given(st.sampled_from("efd"), st.lists(st.binary(min_size=8, max_size=8), max_size=4), st.data())
def test_floats_of_arrays_and_lists_have_the_same_bits(
    code: str, raw: list[bytes], data: st.DataObject
) -> None:
    values = np.array([np.frombuffer(item, code, count=1)[0] for item in raw], code)
    text = f"list<{ {'e': 'halffloat', 'f': 'float', 'd': 'double'}[code] }>"
    block = _core._encode_nested(text, "x", values)
    assert block.endswith(values.tobytes())
    assert block == _core._encode_nested(text, "x", list(values))
    for wide in "fd"["efd".index(code) :]:
        if not np.isnan(values).any():
            assert block == _core._encode_nested(text, "x", values.astype(wide).tolist())
    del data


@given(st.sampled_from(["float", "halffloat"]), st.floats(allow_nan=False))
def test_a_float_is_rounded_or_beyond_the_range(text: str, value: float) -> None:
    with np.errstate(over="ignore"):
        rounded = float(np.array(value).astype({"float": "f4", "halffloat": "f2"}[text]))
    for form in ([value], [value, 1], np.array([value]), [np.float64(value)]):
        if np.isinf(rounded) and np.isfinite(value):
            with pytest.raises(ValueError, match=r"x\[0\]: expected a number within"):
                _core._encode_nested(f"list<{text}>", "x", form)
        else:
            block = _core._encode_nested(f"list<{text}>", "x", form)
            assert repr(_core._decode_nested(f"list<{text}>", "x", block)[0]) == repr(rounded)


# --- errors ---

RECORDS = "list<struct<id: int32, parts: list<struct<text: string, tags: list<int8>>>>>"
PARTS = st.lists(
    st.fixed_dictionaries({"text": TEXT, "tags": st.lists(st.integers(-128, 127), max_size=3)}),
    max_size=3,
)
ITEMS = st.lists(st.fixed_dictionaries({"id": st.integers(0, 9), "parts": PARTS}), max_size=3)


def leaf_places(value: Any, place: str = "x") -> list[tuple[str, Any, Any]]:
    """(place, container, key) of every value inside the cell."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    else:
        keys = list(range(len(value))) if isinstance(value, list) else []
    found = []
    for key in keys:
        inner = f"{place}.{key}" if isinstance(value, dict) else f"{place}[{key}]"
        found.append((inner, value, key))
        found.extend(leaf_places(value[key], inner))
    return found


@given(ITEMS, st.data())
@settings(deadline=None)
def test_error_names_the_place_and_nothing_is_appended(value: Any, data: st.DataObject) -> None:
    store = new_store({"n": "int64", "x": f"nested {RECORDS}"})
    store.append_step({"n": 0, "x": value})
    before = facts(store)
    if places := leaf_places(value):
        place, container, key = data.draw(st.sampled_from(places))
        container[key] = object()
        with pytest.raises(TypeError) as caught:
            store.append_step({"n": 1, "x": value})
        assert f"field 'x' (nested {_core.nested_text(RECORDS)}): {place}: expected" in str(
            caught.value
        )
    assert facts(store) == before
