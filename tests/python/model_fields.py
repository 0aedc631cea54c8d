"""Fields of the model: declarations, values to append, and the words and values they must become.

Used by test_model.py. All is computed with Python ints, bytes and `struct`, without the package
under test. A field-write is a list of words, ints in [-2**63, 2**63).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from decimal import Decimal
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

RAGGED = -1


def signed(number: int) -> int:
    """A number of 64 bits as a word."""
    return (number + 2**63) % 2**64 - 2**63


def double_bits(number: float) -> int:
    (word,) = struct.unpack("<q", struct.pack("<d", number))
    return int(word)


def as_double(word: int) -> float:
    (number,) = struct.unpack("<d", struct.pack("<q", word))
    return float(number)


def _layout(size: int) -> tuple[int, int]:
    """Bits of exponent and mantissa of a float of `size` bytes."""
    return {2: (5, 10), 4: (8, 23), 8: (11, 52)}[size]


def narrow(word: int, size: int) -> bytes:
    """The float64 of a word, rounded to `size` bytes; of a NaN sign and top payload, else quiet."""
    exponent, mantissa = _layout(size)
    bits = word % 2**64
    if bits >> 52 & 0x7FF == 0x7FF and bits % 2**52:
        payload = bits % 2**52 >> (52 - mantissa) or 1 << (mantissa - 1)
        whole = (bits >> 63) << (8 * size - 1) | (2**exponent - 1) << mantissa | payload
        return whole.to_bytes(size, "little")
    code = {2: "<e", 4: "<f", 8: "<d"}[size]
    try:
        return struct.pack(code, as_double(word))
    except OverflowError:
        return struct.pack(code, float("-inf") if bits >> 63 else float("inf"))


def widen(data: bytes) -> int:
    """The bits of a float of any size as the word of the equal float64; payloads move up."""
    exponent, mantissa = _layout(len(data))
    bits = int.from_bytes(data, "little")
    payload = bits % 2**mantissa
    if bits >> mantissa & (2**exponent - 1) == 2**exponent - 1 and payload:
        sign = bits >> (8 * len(data) - 1)
        return signed(sign << 63 | 0x7FF << 52 | payload << (52 - mantissa))
    return double_bits(struct.unpack({2: "<e", 4: "<f", 8: "<d"}[len(data)], data)[0])


def overflows(word: int, size: int) -> bool:
    """Whether a finite float64 rounds to infinity; a store refuses such a number."""
    infinite = math.isinf(as_double(widen(narrow(word, size))))
    return infinite and not math.isinf(as_double(word))


def int_as_float32(number: int) -> bytes:
    """An int rounded once, half to even."""
    shift = max(abs(number).bit_length() - 24, 0)
    quotient, rest = divmod(abs(number), 1 << shift)
    if 2 * rest > 1 << shift or (2 * rest == 1 << shift and quotient % 2):
        quotient += 1
    return struct.pack("<f", float(quotient << shift) * (-1 if number < 0 else 1))


@dataclass(frozen=True)
class Item:
    """One item type: its dtype name, the NumPy one it decodes to, and the numbers it takes."""

    kind: str  # bool, int, float, time, decimal, text, bytes
    numpy: str = ""
    low: int = 0
    high: int = 0

    @property
    def size(self) -> int:
        return np.dtype(self.numpy).itemsize

    def words(self) -> st.SearchStrategy[int]:
        """Stored words, the odd ones often."""
        if self.kind == "float":
            size = self.size
            edges = [0, 1, (2 ** _layout(size)[0] - 1) << _layout(size)[1]]
            edges += [edges[2] + 1, edges[2] - 1, edges[2] | 1 << (_layout(size)[1] - 1)]
            edges += [edge | 1 << (8 * size - 1) for edge in edges]
            narrow_bits = st.sampled_from(edges) | st.integers(0, 2 ** (8 * size) - 1)
            narrow_words = narrow_bits.map(lambda bits: widen(bits.to_bytes(size, "little")))
            wide_words = st.floats(allow_nan=False).map(double_bits)
            return narrow_words | wide_words.filter(lambda word: not overflows(word, size))
        edges = sorted({self.low, self.high, min(max(0, self.low), self.high)})
        return (st.sampled_from(edges) | st.integers(self.low, self.high)).map(signed)

    def decode(self, word: int) -> bytes:
        """The item in its own dtype."""
        if self.kind == "float":
            return narrow(word, self.size)
        return (word % 2 ** (8 * self.size)).to_bytes(self.size, "little")

    def number(self, word: int) -> bytes:
        """The item as float32."""
        if self.kind == "float":
            return narrow(word, 4)
        return int_as_float32(word % 2**64 if self.numpy == "u8" else word)


_DAYS, _NS = 2**31 - 1, 2**63 - 1
ITEMS = {
    "bool": Item("bool", "?", 0, 1),
    **{f"int{8 * n}": Item("int", f"i{n}", -(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1)
       for n in (1, 2, 4, 8)},
    **{f"uint{8 * n}": Item("int", f"u{n}", 0, 2 ** (8 * n) - 1) for n in (1, 2, 4, 8)},
    **{f"float{8 * n}": Item("float", f"f{n}") for n in (2, 4, 8)},
    "date32": Item("time", "M8[D]", -_DAYS, _DAYS),
    "time32[s]": Item("time", "m8[s]", 0, 86399),
    "time64[ns]": Item("time", "m8[ns]", 0, 86400 * 10**9 - 1),
    "timestamp[us]": Item("time", "M8[us]", -_NS, _NS),
    "duration[ns]": Item("time", "m8[ns]", -_NS, _NS),
    "decimal128(20, 3)": Item("decimal", "O", -(10**20) + 1, 10**20 - 1),
    "decimal256(50, 0)": Item("decimal", "O", -(10**50) + 1, 10**50 - 1),
    "string": Item("text"),
    "binary": Item("bytes"),
    "fixed_size_binary[3]": Item("bytes"),
}  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of one dtype and shape: draws inputs, knows their words, decodes words."""

    feature: str
    dtype: str
    shape: tuple[int, ...] = ()
    packed: bool = False

    @property
    def item(self) -> Item:
        return ITEMS[self.dtype]

    @property
    def ragged(self) -> bool:
        return self.shape[:1] == (RAGGED,)

    @property
    def inner(self) -> tuple[int, ...]:
        return self.shape[1:] if self.ragged else self.shape

    @property
    def is_text(self) -> bool:
        return self.item.kind in ("text", "bytes")

    def draw(self, draw: Any) -> tuple[Any, list[int]]:
        """Something to append, and its words."""
        if self.is_text:
            return self._draw_text(draw)
        if self.item.kind == "decimal":
            return self._draw_decimal(draw)
        count = draw(st.integers(0, 5)) if self.ragged else 1
        items = count * prod(self.inner)
        words = draw(st.lists(self.item.words(), min_size=items, max_size=items))
        value = self._dress(draw, words, (count, *self.inner) if self.ragged else self.shape)
        return value, self._pack(words) if self.packed else words

    def _draw_text(self, draw: Any) -> tuple[Any, list[int]]:
        if self.item.kind == "text":
            text = draw(st.text(st.characters(exclude_categories=("Cs",)), max_size=6))
            data, value = text.encode(), draw(st.sampled_from([text, [text], np.str_(text)]))
            return (text if text.endswith("\0") else value), list(data)
        sizes = {"min_size": 3, "max_size": 3} if self.dtype != "binary" else {"max_size": 6}
        data = draw(st.binary(**sizes))
        kinds = [bytes, bytearray, memoryview, lambda raw: np.frombuffer(raw, np.uint8)]
        return draw(st.sampled_from(kinds))(data), list(data)

    def _draw_decimal(self, draw: Any) -> tuple[Any, list[int]]:
        number = draw(st.integers(self.item.low, self.item.high))
        scale, words = (3, 2) if self.dtype.startswith("decimal128") else (0, 4)
        value = Decimal((number < 0, tuple(map(int, str(abs(number)))), -scale))
        data = number.to_bytes(8 * words, "little", signed=True)
        return value, list(struct.unpack(f"<{words}q", data))

    def _dress(self, draw: Any, words: list[int], shape: tuple[int, ...]) -> Any:
        """The items as Python objects or as an array of some kind."""
        objects = self._objects(words)
        styles = ["array", "swapped", "strided"]
        if len(shape) < 2 and objects is not None:
            styles += ["list", "tuple"] if shape else ["one", "one", "list"]
        style = draw(st.sampled_from(styles))
        if objects is not None and style in ("one", "list", "tuple"):
            return {"one": lambda: objects[0], "list": lambda: objects,
                    "tuple": lambda: tuple(objects)}[style]()  # fmt: skip
        array = self._array(words).reshape(shape)
        if style == "swapped":
            return array.byteswap().view(array.dtype.newbyteorder())
        if style == "strided" and shape:
            return np.repeat(array, 2, axis=0)[::2]
        return array[()] if not shape else array

    def _objects(self, words: list[int]) -> list[Any] | None:
        kind = self.item.kind
        if kind == "time":
            return list(self._array(words))
        if kind == "float":
            return [as_double(word) for word in words]
        if kind == "bool":
            return [bool(word) for word in words]
        return [word % 2**64 if self.dtype == "uint64" else word for word in words]

    def _array(self, words: list[int]) -> np.ndarray[Any, Any]:
        if self.item.kind == "float":
            exact = [narrow(word, self.item.size) for word in words]
            if all(widen(data) == word for data, word in zip(exact, words, strict=True)):
                return np.frombuffer(b"".join(exact), self.item.numpy).copy()
            return np.array(words, np.int64).view(np.float64)
        if self.item.kind == "time":
            return np.array(words, np.int64).view(self.item.numpy)
        if self.item.kind == "bool":
            return np.array(words, np.int64) != 0
        return np.array([word % 2 ** (8 * self.item.size) for word in words], np.uint64).astype(
            self.item.numpy
        )

    def _pack(self, words: list[int]) -> list[int]:
        data = b"".join(self.item.decode(word) for word in words)
        data += b"\0" * (-len(data) % 8)
        return [int(word) for word in struct.unpack(f"<{len(data) // 8}q", data)]

    def items(self, words: list[int]) -> bytes:
        """Decoded items of a field-write, end to end."""
        if self.packed:
            data = struct.pack(f"<{len(words)}q", *words)
            return data[: prod(self.shape) * self.item.size]
        return b"".join(self.item.decode(word) for word in words)

    def decode(self, words: list[int]) -> Any:
        """What row() shows, in the form of `shown`."""
        if self.is_text:
            data = bytes(words)
            return data.decode() if self.item.kind == "text" else data
        if self.item.kind == "decimal":
            number = int.from_bytes(struct.pack(f"<{len(words)}q", *words), "little", signed=True)
            return ("decimal", number)
        shape = (len(words) // prod(self.inner), *self.inner) if self.ragged else self.shape
        return (np.dtype(self.item.numpy).str, shape, self.items(words))


def shown(value: Any) -> Any:
    """A value of row() in a form that compares bits, dtype and shape."""
    if isinstance(value, dict):
        return {name: shown(inner) for name, inner in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, Decimal):
        sign, digits, _ = value.as_tuple()
        return ("decimal", (-1) ** sign * int("".join(map(str, digits))))
    return value


def catalogue() -> list[Field]:
    """Every dtype on its own, and the shapes that differ in how they are kept."""
    one = [Field(dtype, dtype) for dtype in ITEMS]
    lists = [
        Field(f"{dtype}[]", dtype, (RAGGED,))
        for dtype in ("float32", "uint64", "int64", "int16", "bool", "timestamp[us]", "float16")
    ]
    fixed = [Field("int64[3]", "int64", (3,)), Field("float16[2]", "float16", (2,))]
    arrays = [Field("float32[2,2]", "float32", (2, 2)), Field("int8[1,2,3]", "int8", (1, 2, 3)),
              Field("int32[None,2]", "int32", (RAGGED, 2))]  # fmt: skip
    packed = [
        Field(f"packed {dtype}[{','.join(map(str, shape))}]", dtype, shape, packed=True)
        for dtype, shape in (("uint8", (3, 5)), ("int16", (5,)), ("float32", (3,)), ("bool", (9,)),
                             ("float16", (2, 2)), ("uint32", (1,)))
    ]  # fmt: skip
    return one + lists + fixed + arrays + packed
