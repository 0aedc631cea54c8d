"""Values compared with independent models: struct, Decimal, Fraction and datetime arithmetic."""

from __future__ import annotations

import datetime as dt
import math
import struct
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_store.values import decode, decode_words, encode
from stream_store.values.numeric import narrow, widen
from value_model import field, round_trip, same, words_of

INT_RANGES = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


def test_every_float16_survives_widening_and_narrowing() -> None:
    halves = np.arange(2**16, dtype="u2").view("f2")
    assert narrow(widen(halves), np.dtype("f2")).tobytes() == halves.tobytes()


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_every_float32_survives_a_float_field(patterns: list[int]) -> None:
    edges = [0x7F800001, 0xFF800001, 0x7FC00000, 0x7FBFFFFF, 0x80000000, 1, 0x7F7FFFFF]
    floats = np.array(edges + patterns, "u4").view("f4")
    for value in (floats, floats.byteswap().view(">f4")):
        assert same(round_trip("float32[]", value), floats)
        assert same(round_trip(f"packed float32[{floats.size}]", value), floats)
        assert same(round_trip("packed float32[]", value), floats)
    assert same(round_trip("float32[]", list(floats)), floats)
    assert same(round_trip("float32[]", [*floats, 1.0])[:-1], floats)


@given(st.integers(0, 2**64 - 1))
def test_every_float64_survives(pattern: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", pattern))
    assert words_of(field("float64"), value).view("u8")[0] == pattern
    assert words_of(field("float64[]"), [value]).view("u8")[0] == pattern


@given(st.floats(allow_nan=False, width=64))
def test_narrowing_rounds_as_struct_does(value: float) -> None:
    word = np.array([value]).view(np.int64)
    for feature, code in (("float32", "<f"), ("float16", "<e")):
        try:
            expected = struct.unpack(code, struct.pack(code, value))[0]
        except OverflowError:
            expected = float("inf") if value > 0 else -float("inf")
        assert float(decode(field(feature), word)) == expected


@given(st.integers(1, 2**52 - 1), st.booleans())
def test_narrowed_nan_stays_a_nan_and_keeps_its_top_bits(payload: int, negative: bool) -> None:
    word = np.array([(negative << 63) | (0x7FF << 52) | payload], "u8").view("i8")
    for feature, bits, unsigned in (("float32", 23, "u4"), ("float16", 10, "u2")):
        (narrowed,) = decode_words(field(feature), word).view(unsigned).tolist()
        assert narrowed & (2**bits - 1) == (payload >> (52 - bits) or 1 << (bits - 1))
        assert narrowed >> (8 * np.dtype(unsigned).itemsize - 1) == negative
        assert np.isnan(decode(field(feature), word))


@given(st.sampled_from(sorted(INT_RANGES)), st.integers(-(2**65), 2**65))
def test_int_field_takes_exactly_its_range(dtype: str, number: int) -> None:
    low, high = INT_RANGES[dtype]
    forms = [number, [number], np.array([number], dtype=object), Decimal(number), Fraction(number)]
    for form in forms:
        if low <= number <= high:
            assert round_trip(dtype, form) == number
        else:
            with pytest.raises(ValueError, match="expected an integer"):
                encode(field(dtype), form)


@given(st.sampled_from(sorted(INT_RANGES)), st.sampled_from("bBhHiIqQefd"), st.data())
def test_int_field_checks_arrays_item_by_item(dtype: str, code: str, data: st.DataObject) -> None:
    low, high = INT_RANGES[dtype]
    raw = data.draw(st.lists(st.binary(min_size=8, max_size=8), max_size=4))
    values = np.array([np.frombuffer(item, np.dtype(code), count=1)[0] for item in raw], code)
    fits = all(
        math.isfinite(item) and low <= item <= high and item == int(item)
        for item in values.tolist()
    )
    if fits:
        assert round_trip(f"{dtype}[]", values).tolist() == [int(item) for item in values.tolist()]
    else:
        with pytest.raises(ValueError, match="expected an integer"):
            encode(field(f"{dtype}[]"), values)


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(1, 76), st.integers(-5, 40))
def test_decimal_is_exact_or_refused(number: Decimal, precision: int, scale: int) -> None:
    name = f"decimal{128 if precision <= 38 else 256}({precision}, {scale})"
    unscaled = Fraction(number) * Fraction(10) ** scale
    if unscaled.denominator == 1 and abs(unscaled) < 10**precision:
        decoded = round_trip(name, number)
        assert isinstance(decoded, Decimal)
        assert (Fraction(decoded), decoded.as_tuple().exponent) == (Fraction(number), -scale)
    else:
        with pytest.raises(ValueError, match=r"exact at scale|at most"):
            encode(field(name), number)


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_decimal_words_are_twos_complement_lowest_first(number: int) -> None:
    low, high = words_of(field("decimal128(38, 0)"), number).tolist()
    assert (high << 64) + low % 2**64 == number


UNIT_US = {"s": 10**6, "ms": 10**3, "us": 1}


@given(st.datetimes(), st.sampled_from(["s", "ms", "us"]), st.sampled_from([None, -330, 0, 720]))
def test_timestamp_counts_from_the_epoch_or_refuses(moment, unit, offset) -> None:
    zone = None if offset is None else dt.timezone(dt.timedelta(minutes=offset))
    micros = (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    micros -= (offset or 0) * 60 * 10**6
    spec = field(f"timestamp[{unit}]")
    if micros % UNIT_US[unit]:
        with pytest.raises(ValueError, match="exact"):
            encode(spec, moment.replace(tzinfo=zone))
    else:
        assert words_of(spec, moment.replace(tzinfo=zone)).tolist() == [micros // UNIT_US[unit]]


@given(
    st.sampled_from(["W", "D", "h", "m", "s", "ms", "us", "ns", "ps"]),
    st.sampled_from(["s", "ms", "us", "ns"]),
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-9, 9), min_size=1, max_size=4),
    st.integers(1, 20),
)
def test_units_convert_exactly_or_not_at_all(source, target, counts, many) -> None:
    picos = {"W": 604_800 * 10**12, "D": 86_400 * 10**12, "h": 3600 * 10**12, "m": 60 * 10**12}
    picos |= {"s": 10**12, "ms": 10**9, "us": 10**6, "ns": 10**3, "ps": 1}
    exact = [Fraction(count * many * picos[source], picos[target]) for count in counts]
    values = np.array(counts, f"m8[{many}{source}]")
    if all(count.denominator == 1 and abs(count) < 2**63 for count in exact):
        assert words_of(field(f"duration[{target}][]"), values).tolist() == exact
    else:
        with pytest.raises(ValueError, match=r"exact|64 bits"):
            encode(field(f"duration[{target}][]"), values)


@given(st.text())
def test_text_is_its_utf8_bytes(text: str) -> None:
    assert words_of(field("string"), text).tolist() == list(text.encode())
    assert round_trip("string", text) == text
