"""Arrow arrays of every type that a store takes, made and compared by pyarrow and NumPy alone."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

Nulls = Literal["none", "some", "all", "edges"]

#: One column of each type: name -> Arrow type.
TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    **{
        f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "time32_s": pa.time32("s"),
    "time64_ns": pa.time64("ns"),
    "timestamp_s": pa.timestamp("s"),
    "timestamp_us_zone": pa.timestamp("us", "Europe/Zurich"),
    "duration_ms": pa.duration("ms"),
    "decimal128": pa.decimal128(20, 3),
    "decimal128_negative_scale": pa.decimal128(9, -2),
    "decimal256": pa.decimal256(60, 30),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "binary": pa.binary(),
    "large_binary": pa.large_binary(),
    "binary_view": pa.binary_view(),
    "fixed_binary": pa.binary(3),
    "fixed_binary_of_a_word": pa.binary(8),
    "list_float32": pa.list_(pa.float32()),
    "list_bool": pa.list_(pa.bool_()),
    "list_int64": pa.list_(pa.int64()),
    "list_timestamp": pa.list_(pa.timestamp("ns")),
    "large_list_uint16": pa.large_list(pa.uint16()),
    "fixed_list_float64": pa.list_(pa.float64(), 3),
    "fixed_list_bool": pa.list_(pa.bool_(), 5),
    "list_of_fixed": pa.list_(pa.list_(pa.int16(), 2)),
    "fixed_of_fixed": pa.list_(pa.list_(pa.float16(), 2), 3),
    "large_of_fixed": pa.large_list(pa.list_(pa.uint8(), 4)),
    "struct": pa.struct([("x", pa.int32()), ("y", pa.list_(pa.float32()))]),
    "nested_struct": pa.struct(
        [
            ("a", pa.struct([("b", pa.bool_()), ("c", pa.string())])),
            ("d", pa.struct([("e", pa.struct([("f", pa.int8())]))])),
        ]
    ),
    "a.b": pa.int64(),
}

#: Arrays that Arrow stores as nested variable lists: declaration, Arrow type and shape of each.
ARRAYS: dict[str, tuple[str, pa.DataType, tuple[int, ...]]] = {
    "array2d": ("float32[2,3]", pa.list_(pa.list_(pa.float32())), (2, 3)),
    "array3d": ("int8[2,1,2]", pa.list_(pa.list_(pa.list_(pa.int8()))), (2, 1, 2)),
    "packed": ("packed uint8[3,5]", pa.list_(pa.list_(pa.uint8())), (3, 5)),
    "packed_bool": ("packed bool[3,3]", pa.list_(pa.list_(pa.bool_())), (3, 3)),
    "packed_half": ("packed float16[5]", pa.list_(pa.float16(), 5), (5,)),
}


def items(kind: pa.DataType, count: int, rng: np.random.Generator) -> pa.Array:
    """`count` items with random bits, as far as the type allows."""
    if pa.types.is_boolean(kind):
        return pa.array(rng.integers(0, 2, count).astype(bool))
    if pa.types.is_decimal(kind):
        digits = kind.precision
        numbers = [
            int(rng.integers(-9, 10)) * 10 ** int(rng.integers(0, digits)) for _ in range(count)
        ]
        raw = b"".join(n.to_bytes(kind.byte_width, "little", signed=True) for n in numbers)
        return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(raw)])
    if pa.types.is_date64(kind):
        return pa.array(rng.integers(-(10**4), 10**4, count) * 86_400_000).cast(kind)
    if pa.types.is_time(kind):
        most = 86_400 if kind.unit == "s" else 86_400 * 10**9
        whole = rng.integers(0, most, count).astype(np.int32 if kind.bit_width == 32 else np.int64)
        return pa.array(whole).cast(kind)
    if pa.types.is_fixed_size_binary(kind):
        return pa.array([rng.bytes(kind.byte_width) for _ in range(count)], kind)
    if kind in (pa.string(), pa.large_string(), pa.string_view()):
        letters = "aé€😀\0z"
        texts = ["".join(rng.choice(list(letters), int(rng.integers(0, 9)))) for _ in range(count)]
        return pa.array(texts, kind)
    if kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        return pa.array([rng.bytes(int(rng.integers(0, 30))) for _ in range(count)], kind)
    width = kind.bit_width // 8
    raw = rng.integers(0, 256, count * width).astype(np.uint8).tobytes()
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(raw)])


def mask_of(count: int, nulls: Nulls, rng: np.random.Generator) -> np.ndarray:
    """A mask that is true where a row is null."""
    mask = rng.random(count) < 0.4
    if nulls == "none":
        mask[:] = False
    elif nulls == "all":
        mask[:] = True
    elif nulls == "edges":
        mask[:] = False
        mask[:2] = mask[-2:] = True
    return mask


def with_nulls(array: pa.Array, mask: np.ndarray) -> pa.Array:
    """The same array, null where `mask` is true. The values under the nulls stay there."""
    if not mask.any():
        return array
    bitmap = pa.py_buffer(np.packbits(~mask, bitorder="little").tobytes())
    children = None
    if pa.types.is_struct(array.type):
        children = [array.field(i) for i in range(array.type.num_fields)]
    elif pa.types.is_nested(array.type):
        children = [array.values]
    # The buffers of a struct or list itself come before those of its children.
    own = {True: 1}.get(
        pa.types.is_struct(array.type) or pa.types.is_fixed_size_list(array.type), 2
    )
    buffers = array.buffers()[: own if children is not None else None]
    return pa.Array.from_buffers(array.type, len(array), [bitmap, *buffers[1:]], children=children)


def column(kind: pa.DataType, count: int, nulls: Nulls, rng: np.random.Generator) -> pa.Array:
    """A column of `count` rows; lists have up to 5 items."""
    mask = mask_of(count, nulls, rng)
    if pa.types.is_struct(kind):
        fields = [column(kind.field(i).type, count, nulls, rng) for i in range(kind.num_fields)]
        return with_nulls(pa.StructArray.from_arrays(fields, fields=list(kind)), mask)
    if pa.types.is_fixed_size_list(kind):
        inner = column(kind.value_type, count * kind.list_size, "none", rng)
        return with_nulls(pa.FixedSizeListArray.from_arrays(inner, type=kind), mask)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = rng.integers(0, 6, count)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        inner = column(kind.value_type, int(offsets[-1]), "none", rng)
        large = pa.types.is_large_list(kind)
        made = (pa.LargeListArray if large else pa.ListArray).from_arrays(
            pa.array(offsets, pa.int64() if large else pa.int32()), inner, type=kind
        )
        return with_nulls(made, mask)
    return with_nulls(items(kind, count, rng), mask)


def shaped_column(
    kind: pa.DataType, shape: tuple[int, ...], count: int, nulls: Nulls, rng: np.random.Generator
) -> pa.Array:
    """A column of nested lists of one shape."""
    leaf = kind
    while pa.types.is_nested(leaf):
        leaf = leaf.value_type
    made = items(leaf, count * int(np.prod(shape)), rng)
    kinds = [kind]
    for _ in shape[1:]:
        kinds.append(kinds[-1].value_type)
    for level, size in zip(reversed(kinds), reversed(shape), strict=True):
        if pa.types.is_fixed_size_list(level):
            made = pa.FixedSizeListArray.from_arrays(made, type=level)
        else:
            offsets = np.arange(0, len(made) + 1, size, dtype=np.int32)
            made = pa.ListArray.from_arrays(pa.array(offsets), made, type=level)
    return with_nulls(made, mask_of(count, nulls, rng))


def assert_same(a: Any, b: Any, where: str = "column") -> None:
    """Assert that two columns have equal types, nulls and values, bit for bit."""
    a, b = _whole(a), _whole(b)
    assert a.type == b.type, where
    assert len(a) == len(b), where
    there = np.asarray(a.is_valid())
    np.testing.assert_array_equal(there, np.asarray(b.is_valid()), where)
    if pa.types.is_struct(a.type):
        for i in range(a.type.num_fields):
            # The children of a null struct may hold anything.
            rows = np.flatnonzero(there)
            one, other = (_taken(array.field(i), rows) for array in (a, b))
            assert_same(one, other, f"{where}.{a.type.field(i).name}")
        return
    if a.type in (pa.string_view(), pa.binary_view()):
        assert a.to_pylist() == b.to_pylist(), where
        return
    a, b = a.drop_null(), b.drop_null()
    if (
        pa.types.is_fixed_size_list(a.type)
        or pa.types.is_list(a.type)
        or pa.types.is_large_list(a.type)
    ):
        lengths = a.value_lengths().to_pylist()
        assert lengths == b.value_lengths().to_pylist(), where
        assert_same(a.flatten(), b.flatten(), f"{where}[]")
        return
    assert _raw(a) == _raw(b), where


def _taken(array: pa.Array, rows: np.ndarray) -> pa.Array:
    """Some rows of an array; pyarrow has no kernel for views."""
    if array.type in (pa.string_view(), pa.binary_view()):
        return pa.array([array[int(row)].as_py() for row in rows], array.type)
    return array.take(pa.array(rows))


def _whole(array: Any) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # pyarrow leaves some types in chunks
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.ExtensionArray):
        return array.storage
    return array


def _raw(array: pa.Array) -> Any:
    """A form of the array that compares equal only if every bit is equal."""
    kind = array.type
    if pa.types.is_interval(kind):
        return array.to_pylist()
    if pa.types.is_floating(kind) or pa.types.is_temporal(kind) or pa.types.is_integer(kind):
        whole = {16: pa.int16(), 32: pa.int32(), 64: pa.int64(), 8: pa.int8()}[kind.bit_width]
        return array.view(whole).to_pylist()
    return array.to_pylist()
