"""Conversion of Python objects and back: the values each kind of field takes and refuses."""

from __future__ import annotations

import array
import datetime as dt
import sys
import types
from collections import deque
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stream_store.features import FieldSpec
from stream_store.values import convert_array, decode, decode_words, encode
from value_model import field, round_trip, same, words_of

UTC = dt.timezone.utc
LABEL_JSON = '{"names": ["no", "yes", "maybe"], "_type": "ClassLabel"}'
LABEL = FieldSpec("label", ("label",), "int64", (), False, LABEL_JSON)
LABELS = FieldSpec(
    "label", ("label",), "int64", (-1,), False, f'{{"feature": {LABEL_JSON}, "_type": "List"}}'
)


def ids(cases: list[tuple]) -> list[str]:
    return [f"{feature}-{type(value).__name__}" for feature, value, _ in cases]


ROUND_TRIPS = [
    ("bool", True, np.bool_(True)),
    ("bool", 0, np.bool_(False)),
    ("bool", 1.0, np.bool_(True)),
    ("int8", -128, np.int8(-128)),
    ("uint8", 255, np.uint8(255)),
    ("uint8", True, np.uint8(1)),
    ("int64", 3.0, np.int64(3)),
    ("int64", np.float16(2), np.int64(2)),
    ("int64", Decimal("1E+3"), np.int64(1000)),
    ("int64", Fraction(6, 2), np.int64(3)),
    ("int64", 2**63 - 1, np.int64(2**63 - 1)),
    ("uint64", 2**64 - 1, np.uint64(2**64 - 1)),
    ("uint64", [2**63], np.uint64(2**63)),
    ("uint64", 2.0**63, np.uint64(2**63)),
    ("float64", 7, np.float64(7)),
    ("float64", True, np.float64(1)),
    ("float64", 10**300, np.float64(1e300)),
    ("float64", np.float32(0.1), np.float64(np.float32(0.1))),
    ("float32", 0.1, np.float32(0.1)),
    ("float16", 65519, np.float16(65504)),
    ("float16", float("-inf"), np.float16(-np.inf)),
    ("float32", -0.0, np.float32(-0.0)),
    ("float32", np.array([1.5]), np.float32(1.5)),
    ("float64", np.array(2.5, ">f8"), np.float64(2.5)),
    ("float32", Decimal("0.5"), np.float32(0.5)),
    ("int32[]", [], np.array([], "i4")),
    ("int32[]", 5, np.array([5], "i4")),
    ("int32[]", (1, 2), np.array([1, 2], "i4")),
    ("int32[]", range(3), np.array([0, 1, 2], "i4")),
    ("int32[]", deque([1, 2.0, True]), np.array([1, 2, 1], "i4")),
    ("int32[]", array.array("h", [1, -2]), np.array([1, -2], "i4")),
    ("int32[]", memoryview(np.arange(3)), np.array([0, 1, 2], "i4")),
    ("int32[]", np.arange(10)[::-3], np.array([9, 6, 3, 0], "i4")),
    ("int32[]", np.array([1, 2], dtype=object), np.array([1, 2], "i4")),
    ("int32[]", [np.int8(1), np.array(2), 3], np.array([1, 2, 3], "i4")),
    ("uint64[]", [2**64 - 1, 0], np.array([2**64 - 1, 0], "u8")),
    ("int64[]", [2**62 + 1, 1.0], np.array([2**62 + 1, 1], "i8")),
    ("float32[3]", [1, 2.5, True], np.array([1, 2.5, 1], "f4")),
    ("float32[1]", 4, np.array([4], "f4")),
    ("int8[2,2]", [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], "i1")),
    ("int8[2,2]", [np.array([1, 2]), [3, 4]], np.array([[1, 2], [3, 4]], "i1")),
    ("int8[2,2]", np.array([[1, 2], [3, 4]]).T, np.array([[1, 3], [2, 4]], "i1")),
    ("int8[None,2]", [[1, 2]], np.array([[1, 2]], "i1")),
    ("int8[None,2]", [], np.empty((0, 2), "i1")),
    ("packed uint8[3,3]", np.arange(9).reshape(3, 3), np.arange(9, dtype="u1").reshape(3, 3)),
    ("packed bool[9]", [1] + [0] * 8, np.array([True] + [False] * 8)),
    ("packed float16[3]", [0.1, 2, -0.0], np.array([0.1, 2, -0.0], "f2")),
    ("packed int32[1]", -5, np.array([-5], "i4")),
    ("packed int32[]", [], np.array([], "i4")),
    ("packed int32[]", range(3), np.array([0, 1, 2], "i4")),
    ("packed float32[]", [0.5, 1], np.array([0.5, 1], "f4")),
    ("packed uint8[None,2]", [[1, 2]], np.array([[1, 2]], "u1")),
    ("packed bool[]", [True, 0, 1], np.array([True, False, True])),
    ("packed string", "naïve 🦉", "naïve 🦉"),
    ("packed string", "", ""),
    ("packed binary", b"\xff\0" * 8, b"\xff\0" * 8),
    ("string", "naïve 🦉", "naïve 🦉"),
    ("string", np.str_("a\0b"), "a\0b"),
    ("string", "", ""),
    ("string", ["one"], "one"),
    ("string", np.array(["one"]), "one"),
    ("string", b"bytes", "bytes"),
    ("string", np.frombuffer(b"ab", "u1"), "ab"),
    ("large_string", "x", "x"),
    ("binary", b"\xff\0", b"\xff\0"),
    ("binary", bytearray(b"ab"), b"ab"),
    ("binary", memoryview(b"abcd")[::2], b"ac"),
    ("binary", np.bytes_(b"a\0"), b"a\0"),
    ("binary", np.frombuffer(b"abcd", "u1")[::2], b"ac"),
    ("fixed_size_binary[3]", b"a\0\0", b"a\0\0"),
    ("fixed_size_binary[3]", np.array(b"a", "S3"), b"a\0\0"),
    ("fixed_size_binary[3]", np.void(b"a\0\0"), b"a\0\0"),
    ("decimal128(5, 2)", Decimal("-1.2"), Decimal("-1.20")),
    ("decimal128(5, 2)", [7], Decimal("7.00")),
    ("decimal128(5, -2)", np.int16(1200), Decimal("12E+2")),
    ("decimal128(38, 0)", -(10**38) + 1, Decimal(-(10**38) + 1)),
    ("decimal256(76, 76)", Decimal((0, (9,) * 76, -76)), Decimal((0, (9,) * 76, -76))),
    ("date32", dt.date(2024, 2, 29), np.datetime64("2024-02-29")),
    ("date32", dt.datetime(1960, 1, 1), np.datetime64("1960-01-01")),
    ("date32", np.datetime64("2024-02"), np.datetime64("2024-02-01")),
    ("date64", dt.date(1970, 1, 2), np.datetime64(86_400_000, "ms")),
    ("time32[ms]", dt.time(1, 2, 3, 4000), np.timedelta64(3_723_004, "ms")),
    ("time64[ns]", np.timedelta64(5, "us"), np.timedelta64(5000, "ns")),
    ("timestamp[s]", dt.datetime(1969, 12, 31, 23, 59, 59), np.datetime64(-1, "s")),
    ("timestamp[ns]", np.datetime64("2024-01-01"), np.datetime64("2024-01-01", "ns")),
    ("timestamp[us]", dt.date(1970, 1, 2), np.datetime64(86_400_000_000, "us")),
    ("timestamp[s]", 12, np.datetime64(12, "s")),
    ("timestamp[s]", np.array(12, ">M8[s]"), np.datetime64(12, "s")),
    ("timestamp[s][]", [dt.datetime(1970, 1, 1), 5], np.array([0, 5], "M8[s]")),
    ("timestamp[s][]", np.array([[60000]], "M8[ms]")[0], np.array([60], "M8[s]")),
    ("duration[us]", dt.timedelta(days=-1, microseconds=1), np.timedelta64(-86_399_999_999, "us")),
    ("duration[s]", np.timedelta64(2, "W"), np.timedelta64(1_209_600, "s")),
]


@pytest.mark.parametrize(("feature", "value", "expected"), ROUND_TRIPS, ids=ids(ROUND_TRIPS))
def test_value_comes_back_in_the_fields_own_type(feature, value, expected) -> None:
    decoded = round_trip(feature, value)
    assert same(decoded, expected), decoded


REFUSED = [
    ("float32", 1e300, ValueError),
    ("float32[]", [1, -1e39], ValueError),
    ("float16", 70000, ValueError),
    ("float16", np.float32(65520), ValueError),
    ("packed float16[]", np.array([1, 65520]), ValueError),
    ("packed float32[2]", [1, 1e300], ValueError),
    ("int64", 1.5, ValueError),
    ("int64", float("nan"), ValueError),
    ("int64", float("inf"), ValueError),
    ("int64", 2**63, ValueError),
    ("int64", 2.0**63, ValueError),
    ("int64", 10**5000, ValueError),
    ("int64", Decimal("1E+999999"), ValueError),
    ("int64", Decimal("sNaN"), ValueError),
    ("int64", "5", ValueError),
    ("int64", b"5", ValueError),
    ("int64", np.array("5"), ValueError),
    ("int64", {"a": 1}, TypeError),
    ("int64", object(), TypeError),
    ("int64", 1j, TypeError),
    ("int64", np.array(1j), TypeError),
    ("int64", np.datetime64(1, "s"), TypeError),
    ("int64", dt.date(2024, 1, 1), TypeError),
    ("int64", None, ValueError),
    ("int64", [1, 2], ValueError),
    ("int64", [[1]], ValueError),
    ("int64", np.ma.array([1], mask=[1]), ValueError),
    ("uint8", 300, ValueError),
    ("uint8", -1, ValueError),
    ("uint8[]", np.array([1, 300]), ValueError),
    ("uint8[]", np.array([1, 2.5], "f2"), ValueError),
    ("uint64", -1, ValueError),
    ("uint64", 2**64, ValueError),
    ("uint64", 2.0**64, ValueError),
    ("uint64[]", np.array([-1]), ValueError),
    ("bool", 2, ValueError),
    ("bool", 0.5, ValueError),
    ("bool", "yes", ValueError),
    ("float32", "1", ValueError),
    ("float32", 10**400, ValueError),
    ("float32", Decimal("1E+999"), ValueError),
    ("float32", np.longdouble(1), TypeError),
    ("float32", [1j], TypeError),
    ("float32", {1.0}, TypeError),
    ("float32", (x for x in (1.0,)), TypeError),
    ("float32[]", [1.0, None], ValueError),
    ("float32[]", np.array([1.0, None]), ValueError),
    ("float32[]", [[1.0], [2.0]], ValueError),
    ("float32[]", [[1.0], [2.0, 3.0]], ValueError),
    ("float32[]", [np.ma.masked, 1.0], ValueError),
    ("float32[3]", [1.0], ValueError),
    ("float32[3]", 1.0, ValueError),
    ("float32[2,2]", [1.0] * 4, ValueError),
    ("float32[None,2]", [[1.0]], ValueError),
    ("float32[None,2]", [[], []], ValueError),
    ("packed uint8[2]", [1, 256], ValueError),
    ("packed uint8[2]", [1, 2, 3], ValueError),
    ("string", "\ud800", ValueError),
    ("string", b"\xff", ValueError),
    ("string", np.array([255], "u1"), ValueError),
    ("string", 5, TypeError),
    ("string", ["a", "b"], TypeError),
    ("binary", "text", ValueError),
    ("binary", [1, 2], TypeError),
    ("binary", np.array([1]), TypeError),
    ("fixed_size_binary[3]", b"ab", ValueError),
    ("decimal128(5, 2)", Decimal("1.234"), ValueError),
    ("decimal128(5, 2)", Decimal("1E-999999"), ValueError),
    ("decimal128(5, 2)", Decimal("1000"), ValueError),
    ("decimal128(5, 2)", Decimal("1E+999999"), ValueError),
    ("decimal128(5, 2)", Decimal("NaN"), ValueError),
    ("decimal128(5, 2)", "1.2", ValueError),
    ("decimal128(5, 2)", 1.5, TypeError),
    ("date32", dt.datetime(2024, 1, 1, 1), ValueError),
    ("date32", dt.datetime(2024, 1, 1, tzinfo=UTC), ValueError),
    ("date32", "2024-01-01", ValueError),
    ("date32", 2**31, ValueError),
    ("date32", np.datetime64(2**40, "D"), ValueError),
    ("time32[s]", dt.time(1, 1, 1, 1), ValueError),
    ("time32[s]", dt.time(1, tzinfo=UTC), ValueError),
    ("time32[s]", dt.timedelta(days=1), ValueError),
    ("time32[s]", dt.datetime(2024, 1, 1), TypeError),
    ("timestamp[s]", dt.datetime(2024, 1, 1, microsecond=1), ValueError),
    ("timestamp[s]", np.datetime64("NaT"), ValueError),
    ("timestamp[s]", np.datetime64(1500, "ms"), ValueError),
    ("timestamp[s]", dt.timedelta(1), TypeError),
    ("timestamp[ns]", np.datetime64("3000-01-01"), ValueError),
    ("timestamp[ns]", dt.datetime(3000, 1, 1), ValueError),
    ("duration[s]", np.timedelta64(1, "M"), ValueError),
    ("duration[s]", np.timedelta64(1), ValueError),
    ("duration[s]", np.timedelta64(1, "as"), ValueError),
    ("duration[s]", np.datetime64(1, "s"), TypeError),
    ("duration[us]", 1.5, ValueError),
    ("null", 1, ValueError),
]


@pytest.mark.parametrize(("feature", "value", "error"), REFUSED, ids=ids(REFUSED))
def test_refused_value_names_field_and_feature(feature, value, error) -> None:
    with pytest.raises(error) as caught:
        encode(field(feature), value)
    assert "'x'" in str(caught.value)
    assert f"({feature})" in str(caught.value)


def test_message_names_the_first_bad_item() -> None:
    with pytest.raises(
        ValueError, match=r"expected an integer in \[0, 255\], found 300 .*at 2 of 4"
    ):
        encode(field("uint8[]"), np.array([1, 2, 300, 400]))


def test_self_containing_list_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="32 lists"):
        encode(field("int64[]"), loop)


@pytest.mark.parametrize(
    ("value", "number"), [("yes", 1), (np.str_("maybe"), 2), (0, 0), (-1, -1), (-100, -100)]
)
def test_label_takes_names_and_numbers(value: object, number: int) -> None:
    assert decode(LABEL, words_of(LABEL, value)) == number


@pytest.mark.parametrize("value", [["yes", 2, "no"], np.array(["yes", "maybe", "no"])])
def test_list_of_labels_takes_names(value: object) -> None:
    assert decode(LABELS, words_of(LABELS, value)).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("value", "text"), [("nope", "one of no, yes, maybe"), (3, "below 3"), (2**63, "below 3")]
)
def test_unknown_label_is_refused(value: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode(LABEL, value)


def test_datetime_with_a_zone_is_its_instant() -> None:
    local = dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    for feature in ("timestamp[us]", "timestamp[us, tz=Asia/Tokyo]"):
        assert round_trip(feature, local) == np.datetime64("2024-07-01T16:00", "us")


def test_pandas_stamps_keep_their_nanoseconds() -> None:
    pd = pytest.importorskip("pandas")
    assert round_trip("timestamp[ns]", pd.Timestamp(1_700_000_000_123_456_789)).astype(int) == (
        1_700_000_000_123_456_789
    )
    assert round_trip("duration[ns]", pd.Timedelta(-123_456_789_012_345)).astype(int) == (
        -123_456_789_012_345
    )
    with pytest.raises(ValueError, match="NaT"):
        encode(field("timestamp[ns]"), pd.NaT)


class Foreign:
    """An array of another library that has one of the protocols."""

    def __init__(self, **protocol: object) -> None:
        self.__dict__.update(protocol)


def test_foreign_arrays_are_taken_by_their_protocol() -> None:
    data = np.array([1.5, 2.5], "f4")
    by_array = Foreign(__array__=data.__array__)
    by_dlpack = Foreign(__dlpack__=data.__dlpack__, __dlpack_device__=data.__dlpack_device__)
    by_interface = Foreign(__array_interface__=data.__array_interface__)
    for foreign in (by_array, by_dlpack, by_interface):
        assert same(round_trip("float32[2]", foreign), data)
        assert same(round_trip("float32[2,2]", [foreign, data]), np.stack([data, data]))


def test_bfloat16_of_torch_is_taken_by_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.SimpleNamespace(bfloat16="bfloat16", int16="int16")
    monkeypatch.setitem(sys.modules, "torch", torch)
    bits = np.array([0x3FC0, 0x7F81, 0x8000], "u2")
    tensor = type("Tensor", (Foreign,), {"__module__": "torch"})(
        detach=lambda: tensor, dtype=torch.bfloat16, view=lambda _: bits.view("i2")
    )
    expected = np.array([0x3FC00000, 0x7F810000, 0x80000000], "u4").view("f4")
    assert same(round_trip("float32[]", tensor), expected)


def test_arrow_arrays_are_taken_unless_they_hold_nulls() -> None:
    pa = pytest.importorskip("pyarrow")
    assert same(round_trip("float32[]", pa.array([1.5])), np.array([1.5], "f4"))
    with pytest.raises(ValueError, match="without None"):
        encode(field("float32[]"), pa.array([1.5, None]))


def test_failing_conversion_is_a_type_error_with_its_cause() -> None:
    class Bad:
        def __array__(self, *_: object, **__: object) -> np.ndarray:
            raise RuntimeError("no data")

    with pytest.raises(TypeError, match=r"'x'.*RuntimeError: no data") as caught:
        encode(field("float32[]"), Bad())
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_index_and_float_of_objects_are_used() -> None:
    class Number:
        def __index__(self) -> int:
            return 7

        def __float__(self) -> float:
            return 0.5

    assert round_trip("int64", Number()) == 7
    assert round_trip("float64", [Number()]) == 0.5


@pytest.mark.parametrize(
    ("feature", "words", "expected"),
    [
        ("uint8[]", [[1, 255]], np.array([[1, 255]], "u1")),
        ("uint64", -1, np.array(2**64 - 1, "u8")),
        ("bool", [0, 1], np.array([False, True])),
        ("string", [104, 105], np.array([104, 105], "u1")),
        ("date32", [1], np.array(["1970-01-02"], "M8[D]")),
        ("time64[us]", [7], np.array([7], "m8[us]")),
        ("float32[2,2]", np.array([1.5]).view("i8"), np.array([1.5], "f4")),
        ("float64", [], np.array([], "f8")),
    ],
)
def test_decode_words_keeps_the_shape(feature, words, expected) -> None:
    decoded = decode_words(field(feature), words)
    assert same(decoded, expected)
    assert decoded.flags.owndata or decoded.base.flags.owndata


NO_ITEMS = ["packed uint8[4]", "packed int8[]", "packed string", "decimal128(5, 2)", "null"]


@pytest.mark.parametrize("feature", [*NO_ITEMS, "nested list<string>"])
def test_decode_words_refuses_fields_whose_values_are_no_items(feature: str) -> None:
    with pytest.raises(ValueError, match="'x'"):
        decode_words(field(feature), [0])


def test_decode_words_refuses_floats() -> None:
    with pytest.raises(TypeError, match="float64"):
        decode_words(field("int64"), [1.5])


@pytest.mark.parametrize(
    ("feature", "count"),
    [("int64", 2), ("int64[3]", 2), ("int64[None,2]", 3), ("decimal128(5, 2)", 1), ("int8", 0)],
)
def test_decode_refuses_a_wrong_number_of_words(feature: str, count: int) -> None:
    with pytest.raises(ValueError, match="values, found"):
        decode(field(feature), np.zeros(count, np.int64))


@pytest.mark.parametrize("words", [[], [1], [9, 0], [-1, 0], [2**62, 0], [0, 0]])
@pytest.mark.parametrize("feature", ["packed uint8[]", "packed string", "nested list<int8>"])
def test_decode_refuses_a_wrong_number_of_items(feature: str, words: list[int]) -> None:
    with pytest.raises(ValueError, match="number of items"):
        decode(field(feature), np.array(words, np.int64))


def test_decoded_arrays_do_not_share_memory_with_the_words() -> None:
    for feature in ("int64[]", "uint64[]", "float64[]", "timestamp[ns][]", "packed uint8[8]"):
        words = np.zeros(1, np.int64)
        assert not np.shares_memory(decode(field(feature), words), words)


def test_columns_convert_in_any_shape() -> None:
    counts = convert_array(field("timestamp[s]"), np.array([[60_000], [0]], "M8[ms]"))
    assert (counts.dtype, counts.tolist()) == (np.int64, [[60], [0]])
