"""One row per feature of `datasets` and per Arrow type, with sample values.

The tests iterate over `ROWS` for every path into a store and out of it, and the guide's table of
features is generated from it (scripts/feature_page.py). Only pyarrow and `datasets` are used here,
so that the table is independent of the code under test.

    for row in ROWS:
        store = StreamStore(fields={"x": row.declared()})
        store.append_step({"x": value})                      # each of row.values that is not None
        assert canonical(store.row(0)["x"], row.arrow) == canonical(value, row.arrow)
        assert_same(pa.table(store)["x"], row.array())       # of arrow_model.py
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import datasets
import numpy as np
import pyarrow as pa
from datasets import (
    Array2D,
    Array3D,
    Array4D,
    Array5D,
    ClassLabel,
    Dataset,
    Features,
    Json,
    LargeList,
    List,
    Translation,
    TranslationVariableLanguages,
    Value,
)

Stored = Literal["flat", "packed", "nested", "struct"]

NAN, INF = float("nan"), float("inf")
LONG = "a long text of more than sixty-four bytes, as the body of a message may be, " * 2


@dataclass(frozen=True)
class Row:
    """One feature or Arrow type.

    name      unique, a valid identifier of a test.
    arrow     the Arrow type of the column, as a Dataset or a table has it.
    values    samples in the form that `append` takes, None for a missing value. Dates, times and
              durations are counts of the type's unit.
    feature   the feature of `datasets`, or None if it has none for this type.
    text      a string that declares such a field, or "" if there is none.
    stored    how a store without declared fields keeps the column.
    returned  the Arrow type that comes out, if it is not `arrow`.
    by_data   whether `stored` follows from the values: the feature alone declares a plain field.
    parquet   what Parquet makes of it; "" if it comes back unchanged.
    """

    name: str
    arrow: pa.DataType
    values: list[Any] = field(compare=False)
    feature: Any = None
    text: str = ""
    stored: Stored = "flat"
    returned: pa.DataType | None = None
    by_data: bool = False
    parquet: str = ""

    def declared(self) -> Any:
        """A declaration of a field for these values; None if only an Arrow schema declares it."""
        return next(iter(self.declarations()), None)

    def declarations(self) -> list[Any]:
        """Every declaration of a field for these values."""
        given = [self.text] if self.by_data else [self.feature, self.text]
        return [one for one in given if one is not None and one != ""]

    @property
    def out(self) -> pa.DataType:
        """The Arrow type that comes out of a store."""
        return self.arrow if self.returned is None else self.returned

    def array(self, *, returned: bool = False) -> pa.Array:
        """The samples as an Arrow array, as it goes in or, with `returned`, as it comes out."""
        return array_of(self.values, self.out if returned else self.arrow)

    def table(self, name: str = "x") -> pa.Table:
        """The samples as a table with one column."""
        return pa.table({name: self.array()})

    def dataset(self, name: str = "x") -> Dataset:
        """The samples as a Dataset with the feature; only for rows that have one."""
        schema = Features({name: self.feature}).arrow_schema
        return Dataset(pa.Table.from_arrays([self.array()], schema=schema))


def array_of(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values of the table as an Arrow array; also of types that pyarrow cannot make."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, array_of(values, kind.storage_type))
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    if pa.types.is_run_end_encoded(kind):
        ends = pa.array(range(1, len(values) + 1), kind.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(ends, array_of(values, kind.value_type))
    if _has_special(kind):
        return _list_of_special(values, kind)
    return pa.array(values, kind)


def _has_special(kind: pa.DataType) -> bool:
    """Whether a list has items that `pa.array` cannot make."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    inner = kind.value_type
    return isinstance(inner, pa.BaseExtensionType) or pa.types.is_dictionary(inner)


def _list_of_special(values: list[Any], kind: pa.DataType) -> pa.Array:
    inner = array_of([item for value in values if value is not None for item in value],
                     kind.value_type)  # fmt: skip
    ends = np.cumsum([0, *(len(value or []) for value in values)])
    large = pa.types.is_large_list(kind)
    offsets = pa.array(ends, pa.int64() if large else pa.int32())
    mask = pa.array([value is None for value in values])
    made = pa.LargeListArray if large else pa.ListArray
    return made.from_arrays(offsets, inner, type=kind, mask=mask)


# --- values in one form, so that those of any path can be compared ---


def canonical(value: Any, kind: pa.DataType) -> Any:
    """A value of any path in the form in which equal values, and only those, are equal.

    Floats are bytes, times are counts, arrays are lists, decimals are fractions.
    """
    if isinstance(kind, pa.BaseExtensionType):
        value = value.bytes if isinstance(value, uuid.UUID) else value
        return canonical(value, kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return canonical(value, kind.value_type)
    if value is None or pa.types.is_null(kind):
        assert value is None, f"{value!r} is not null"
        return None
    if pa.types.is_map(kind):
        pairs = value.items() if isinstance(value, Mapping) else value
        return [
            [canonical(key, kind.key_type), canonical(item, kind.item_type)] for key, item in pairs
        ]
    if pa.types.is_struct(kind):
        assert isinstance(value, Mapping), f"{value!r} is not a mapping"
        assert set(value) <= {part.name for part in kind}, f"{value!r} has more than {kind}"
        return {part.name: canonical(value.get(part.name), part.type) for part in kind}
    if hasattr(kind, "value_type"):  # every kind of list
        return [canonical(item, kind.value_type) for item in value]
    return _canonical_item(value, kind)


def _canonical_item(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_boolean(kind):
        assert isinstance(value, (bool, np.bool_, int))
        return bool(value)
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_floating(kind):
        return np.array(value, kind.to_pandas_dtype()).tobytes()
    if pa.types.is_decimal(kind):
        return Fraction(Decimal(value))
    if pa.types.is_interval(kind):
        return tuple(value)
    if pa.types.is_temporal(kind):
        return _count(value, kind)
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _count(value: Any, kind: pa.DataType) -> int:
    """A date, time or duration as the count of its type's unit."""
    unit = "D" if pa.types.is_date32(kind) else "ms" if pa.types.is_date64(kind) else kind.unit
    if isinstance(value, dt.time):
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        value = dt.timedelta(seconds=seconds, microseconds=value.microsecond)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    letter = "m" if pa.types.is_time(kind) or pa.types.is_duration(kind) else "M"
    if isinstance(value, (dt.date, dt.timedelta, np.datetime64, np.timedelta64)):
        return int(np.array(value, f"{letter}8[{unit}]").view(np.int64))
    return int(value)


# --- the rows ---


def _value(dtype: str, kind: pa.DataType, values: list[Any], **more: Any) -> Row:
    """A row of `Value(dtype)`, which is also a string of a declaration."""
    return Row(dtype.replace(" ", ""), kind, values, Value(dtype), dtype, **more)


def _ints(bits: int, *, signed: bool) -> Row:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    name = f"{'' if signed else 'u'}int{bits}"
    return _value(name, getattr(pa, name)(), [0, 1, low, high, None])


_NUMBERS = [
    _value("null", pa.null(), [None, None]),
    _value("bool", pa.bool_(), [True, False, None]),
    Row("bool_", pa.bool_(), [True, False, None], Value("bool_")),
    *(_ints(bits, signed=signed) for signed in (True, False) for bits in (8, 16, 32, 64)),
    _value("float16", pa.float16(), [0.5, -0.0, 65504.0, NAN, -INF, None]),
    _value("float32", pa.float32(), [0.5, -0.0, 2.0**-149, NAN, INF, None]),
    _value("float64", pa.float64(), [0.1, -0.0, 5e-324, 1.7976931348623157e308, NAN, INF, None]),
]

_DECIMALS = [
    _value("decimal128(20, 3)", pa.decimal128(20, 3), [Decimal("1.250"), Decimal(-7), 0, None]),
    _value("decimal256(60, 2)", pa.decimal256(60, 2), [Decimal(10) ** 50, Decimal("-0.01"), None]),
    Row("decimal32", pa.decimal32(5, 2), [Decimal("123.45"), Decimal(-1), None],
        text="nested decimal32(5, 2)", stored="nested"),
    Row("decimal64", pa.decimal64(12, 4), [Decimal("1.0625"), Decimal(-1), None],
        text="nested decimal64(12, 4)", stored="nested"),
]  # fmt: skip

_TIMES = [
    _value("date32", pa.date32(), [0, -1, 20_000, None]),
    _value("date64", pa.date64(), [0, -86_400_000, 86_400_000 * 20_000, None], parquet="as date32"),
    _value("time32[s]", pa.time32("s"), [0, 86_399, None], parquet="as time32[ms]"),
    _value("time32[ms]", pa.time32("ms"), [1, 86_399_999, None]),
    _value("time64[us]", pa.time64("us"), [1, 86_399_999_999, None]),
    _value("time64[ns]", pa.time64("ns"), [1, 86_399_999_999_999, None]),
    _value("timestamp[s]", pa.timestamp("s"), [0, -1, 10**10, None], parquet="as timestamp[ms]"),
    *(
        _value(f"timestamp[{unit}]", pa.timestamp(unit), [0, -1, 10**10 + 7, None])
        for unit in ("ms", "us", "ns")
    ),
    _value("timestamp[us, tz=Europe/Zurich]", pa.timestamp("us", "Europe/Zurich"), [0, 5, None]),
    *(
        _value(f"duration[{unit}]", pa.duration(unit), [0, -1, 10**10 + 7, None])
        for unit in ("s", "ms", "us", "ns")
    ),
    Row("month_day_nano_interval", pa.month_day_nano_interval(), [(1, -2, 3), (0, 0, 0), None],
        text="nested month_day_nano_interval", stored="nested"),
]  # fmt: skip

_TEXTS = ["", "a", "größe €\0😀", None]
_BYTES = [b"", b"\0", b"\xff\xfe\0abc", None]

_TEXT = [
    *(
        _value(name, kind, _TEXTS)
        for name, kind in (
            ("string", pa.string()),
            ("large_string", pa.large_string()),
            ("string_view", pa.string_view()),
        )
    ),
    Row("utf8", pa.string(), _TEXTS, Value("utf8")),
    Row("large_utf8", pa.large_string(), _TEXTS, Value("large_utf8")),
    *(
        _value(name, kind, _BYTES)
        for name, kind in (
            ("binary", pa.binary()),
            ("large_binary", pa.large_binary()),
            ("binary_view", pa.binary_view()),
        )
    ),
    _value("fixed_size_binary[3]", pa.binary(3), [b"abc", b"\0\0\0", None]),
    Row("long_string", pa.string(), [LONG, LONG * 3, "", None], Value("string"), "packed string",
        "packed", by_data=True),
    Row("long_binary", pa.binary(), [LONG.encode(), b"\xff" * 999, b"", None], Value("binary"),
        "packed binary", "packed", by_data=True),
    Row("dictionary", pa.dictionary(pa.int32(), pa.string()), ["a", "b", "a", None],
        returned=pa.string()),
    Row("run_end_encoded", pa.run_end_encoded(pa.int32(), pa.string()), ["a", "a", "b", None],
        returned=pa.string()),
]  # fmt: skip

_LISTS = [
    Row("list", pa.list_(pa.float32()), [[0.5, NAN], [], [-0.0], None], List(Value("float32")),
        "float32[]"),
    Row("list_of_bools", pa.list_(pa.bool_()), [[True, False], [], None], List(Value("bool")),
        "bool[]"),
    Row("list_of_timestamps", pa.list_(pa.timestamp("ns")), [[1, -1], [], None],
        List(Value("timestamp[ns]")), "timestamp[ns][]"),
    Row("large_list", pa.large_list(pa.uint64()), [[0, 2**64 - 1], [], None],
        LargeList(Value("uint64"))),
    Row("fixed_size_list", pa.list_(pa.int16(), 2), [[1, -2], [0, 0], None],
        List(Value("int16"), length=2), "int16[2]"),
    Row("list_of_fixed_size_lists", pa.list_(pa.list_(pa.int8(), 2)), [[[1, 2], [3, 4]], [], None],
        List(List(Value("int8"), length=2)), "int8[None,2]"),
    Row("list_view", pa.list_view(pa.int64()), [[1, 2], [], None]),
    Row("list_with_nulls", pa.list_(pa.int64()), [[1, None, 3], [], [None], None],
        List(Value("int64")), "nested list<int64>", "nested", by_data=True),
    Row("list_of_strings", pa.list_(pa.string()), [["a", "", None], [], None],
        List(Value("string")), "nested list<string>", "nested"),
    Row("list_of_binaries", pa.list_(pa.binary()), [[b"\xff", b""], [], None],
        List(Value("binary")), "nested list<binary>", "nested"),
    Row("list_of_lists", pa.list_(pa.list_(pa.int64())), [[[1], [], [2, 3]], [], [None], None],
        List(List(Value("int64"))), "nested list<list<int64>>", "nested"),
    Row("list_of_structs",
        pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
        [[{"role": "user", "content": "hi"}, {"role": None, "content": LONG}], [], [None], None],
        List({"role": Value("string"), "content": Value("string")}),
        "nested list<struct<role: string, content: string>>", "nested"),
    Row("list_of_decimals", pa.list_(pa.decimal128(10, 2)), [[Decimal("1.25"), None], [], None],
        List(Value("decimal128(10, 2)")), "nested list<decimal128(10, 2)>", "nested"),
    Row("list_of_nulls", pa.list_(pa.null()), [[], [None, None], None], List(Value("null")),
        "nested list<null>", "nested"),
    Row("list_of_nothing", pa.list_(pa.null()), [[], [], None], List(Value("null")),
        "nested list<null>", "nested"),
    Row("fixed_size_list_of_0", pa.list_(pa.int64(), 0), [[], [], None],
        List(Value("int64"), length=0), "nested fixed_size_list<int64>[0]", "nested",
        parquet="not possible"),
    Row("list_of_dictionaries", pa.list_(pa.dictionary(pa.int32(), pa.string())),
        [["a", "b", "a"], [], ["b"], None], stored="nested", returned=pa.list_(pa.string())),
    Row("map", pa.map_(pa.string(), pa.int64()), [[("a", 1), ("b", None)], [], None],
        text="nested map<string, int64>", stored="nested"),
    Row("list_of_maps", pa.list_(pa.map_(pa.string(), pa.float64())),
        [[[("a", 0.5)], []], [], None], text="nested list<map<string, double>>", stored="nested"),
]  # fmt: skip

_STRUCTS = [
    Row("struct", pa.struct([("x", pa.float32()), ("name", pa.string())]),
        [{"x": 0.5, "name": "a"}, {"x": None, "name": None}, None],
        {"x": Value("float32"), "name": Value("string")}, stored="struct"),
    Row("struct_in_struct", pa.struct([("a", pa.struct([("b", pa.list_(pa.int64()))]))]),
        [{"a": {"b": [1]}}, {"a": None}, {"a": {"b": None}}, None],
        {"a": {"b": List(Value("int64"))}}, stored="struct"),
    Row("struct_with_a_list_of_strings", pa.struct([("tags", pa.list_(pa.string()))]),
        [{"tags": ["a", None]}, {"tags": None}, None], {"tags": List(Value("string"))},
        stored="struct"),
    Row("struct_without_fields", pa.struct([]), [{}, None], {}, "nested struct<>", "nested",
        parquet="not possible"),
]  # fmt: skip


def _array_row(feature: Any, kind: pa.DataType, values: list[Any], text: str) -> Row:
    dims = "_of_any_length" if feature.shape[0] is None else ""
    return Row(type(feature).__name__ + dims, kind, values, feature, text)


def _xd(feature: Any, values: list[Any], text: str) -> Row:
    kind = Features({"x": feature}).arrow_schema.field("x").type
    return _array_row(feature, kind, values, text)


_SHAPES = [
    _xd(Array2D((2, 2), "float32"), [[[0.5, 1], [2, NAN]], [[0, 0], [0, 0]], None], "float32[2,2]"),
    _xd(Array2D((None, 2), "int16"), [[[1, 2]], [[1, 2], [3, 4]], None], "int16[None,2]"),
    _xd(Array3D((1, 2, 2), "uint8"), [[[[1, 2], [3, 255]]], None], "uint8[1,2,2]"),
    _xd(Array4D((1, 1, 2, 1), "int64"), [[[[[1], [-(2**63)]]]], None], "int64[1,1,2,1]"),
    _xd(Array5D((1, 1, 1, 1, 2), "bool"), [[[[[[True, False]]]]], None], "bool[1,1,1,1,2]"),
]

_MEDIA = ("Image", "Audio", "Video", "Pdf", "Nifti", "Mesh", "BioSequence", "BioStructure")
_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_FILES: list[Any] = [
    {"bytes": b"\x89PNG" + bytes(range(256)), "path": "a.png"},
    {"bytes": b"\xff\xd8", "path": None},
    None,
]

_FEATURES = [
    Row("ClassLabel", pa.int64(), [0, 1, -1, -100, None], ClassLabel(names=["no", "yes"])),
    Row("list_of_ClassLabels", pa.list_(pa.int64()), [[0, 1, -100], [], None],
        List(ClassLabel(names=["no", "yes"]))),
    Row("Translation", pa.struct([("de", pa.string()), ("en", pa.string())]),
        [{"de": "ja", "en": "yes"}, {"de": None, "en": "no"}, None],
        Translation(languages=["de", "en"]), stored="struct"),
    Row("TranslationVariableLanguages",
        pa.struct([("language", pa.list_(pa.string())), ("translation", pa.list_(pa.string()))]),
        [{"language": ["de", "en"], "translation": ["ja", "yes"]},
         {"language": [], "translation": []}, None],
        TranslationVariableLanguages(languages=["de", "en"]), stored="struct"),
    *(Row(name, _FILE, _FILES, getattr(datasets, name)(), stored="struct") for name in _MEDIA),
    Row("Image_with_mode", _FILE, _FILES, datasets.Image(mode="RGB", decode=False),
        stored="struct"),
    Row("list_of_Images", pa.list_(_FILE), [_FILES[:2], [], None], List(datasets.Image()),
        stored="nested"),
    Row("list_of_structs_with_Audio", pa.list_(pa.struct([("sound", _FILE)])),
        [[{"sound": _FILES[0]}, {"sound": None}], [], None], List({"sound": datasets.Audio()}),
        stored="nested"),
    Row("Json", pa.json_(), ['{"a": [1, null]}', "null", '"text"', None], Json()),
    Row("list_of_Jsons", pa.list_(pa.json_()), [['{"a":1}', "2"], [], None], List(Json()),
        stored="nested"),
]  # fmt: skip

_EXTENSIONS = [
    Row("uuid", pa.uuid(), [bytes(range(16)), b"\xff" * 16, None]),
    Row("bool8", pa.bool8(), [0, 1, None]),
    Row("fixed_shape_tensor", pa.fixed_shape_tensor(pa.float32(), [2, 2]),
        [[0.5, 1.0, 2.0, NAN], [0.0] * 4, None]),
    Row("opaque", pa.opaque(pa.binary(), "geometry", "vendor"), [b"\0\1", b"", None]),
]  # fmt: skip

#: Every row; their names are unique.
ROWS: list[Row] = [
    *_NUMBERS, *_DECIMALS, *_TIMES, *_TEXT, *_LISTS, *_STRUCTS, *_SHAPES, *_FEATURES, *_EXTENSIONS,
]  # fmt: skip

BY_NAME: dict[str, Row] = {row.name: row for row in ROWS}

#: The rows that a `Dataset` can have.
FEATURE_ROWS: list[Row] = [row for row in ROWS if row.feature is not None]

assert len(BY_NAME) == len(ROWS)
