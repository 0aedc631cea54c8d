"""Every public method with every odd argument, also on stores that are closed or read-only: it
returns or raises a documented exception, and the store does not change.

One process with little address space takes thousands of calls, so that a crash, an exception of the
wrong kind, a hang or an unbounded allocation fails the test.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_process import run
from stream_store import StreamStore

CALLS = """
import itertools, math, random, resource, warnings
from decimal import Decimal
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
warnings.simplefilter("ignore")  # of NumPy, about odd conversions

class Huge:
    def __index__(self): return 2**80

ODD = [None, True, False, 0, 1, -1, 5, 2**31, 2**40, 2**62, 2**63 - 1, 2**63, -2**63, -2**63 - 1,
       2**64, 10**30, 0.0, 1.5, math.nan, math.inf, 1j, "", "a", "left", "values", "b", b"", b"a",
       (), [], {}, set(), [0], [[0]], [[]], [0, 1], [-1], [2**62], [2**63], [None], ["a"],
       ["a", "a"], ["b", "t", "p"], ["number", "row"], ("a",), (0, 1), range(3), range(0),
       slice(None), slice(0, 2), slice(None, None, -1), slice(None, None, 2**62),
       slice(-2**70, 2**70, 1), slice(0, None, 0), np.int8(1), np.uint64(2**63), np.float32(1),
       np.array(1), np.array([1]), np.array([[1, 2]]), np.array([]), np.zeros((0, 3), int),
       np.zeros((2, 0), int), np.array([True]), np.array([1.5]), np.array(["a"]),
       np.array([2**63], np.uint64), np.array([1, None], object), np.arange(10)[::-2],
       np.array([1], ">i8"), np.datetime64(1, "s"), np.zeros(3, [("a", int)]),
       np.broadcast_to(np.int64(0), (3,)), np.zeros((1,) * 32, int), {"a": 1}, {"a": [1, 2]},
       {"a": np.zeros(2)}, {"values": np.zeros((1, 1), int)}, {"b": 3}, {"b": 2**40}, {"b": -1},
       {"_mask": {"a": np.zeros(1, bool)}}, {"_mask": 3}, {"_length": {}}, {0: 1}, {None: None},
       object(), Ellipsis, NotImplemented, int, memoryview(b"abcdefgh"), bytearray(8), Decimal(1),
       Huge(), "\\ud800", "a" * 10000]
FIELDS = {"a": "int64", "b": "float32[]", "t": "string", "p": "packed uint8[3]",
          "d": "decimal128(5,2)", "q": "packed float32[]", "u": "packed string",
          "n": "nested list<struct<a: int8, b: map<string, double>>>", "s": {"x": "int8"}}

store = StreamStore(fields=FIELDS)

def fill():
    store.clear()
    for i in range(5):
        row = {"a": i, "b": [1.0] * i, "t": "x" * i, "p": [1, 2, 3], "d": i, "s": {"x": i},
               "q": [1.0] * i, "u": "x" * i, "n": [{"a": i, "b": {"c": 0.5}}] * i}
        store.append_step(row)

READS = [
    lambda s, x, y: s[x], lambda s, x, y: s.windows(x, y), lambda s, x, y: s.windows(x, 1, out=y),
    lambda s, x, y: s.windows([0], 1, columns=x), lambda s, x, y: s.read_rows(x, y),
    lambda s, x, y: s.read_rows([0, 1], fields=x), lambda s, x, y: s.read_rows(x, out=y),
    lambda s, x, y: s.read_rows([0, 1], max_length=x), lambda s, x, y: s.decode(x, y),
    lambda s, x, y: s.decode(x, "a"), lambda s, x, y: s.row(x), lambda s, x, y: list(s.rows(x, y)),
    lambda s, x, y: s.row_of(x), lambda s, x, y: s.position_of(x), lambda s, x, y: s.row_at(x, y),
    lambda s, x, y: s.row_at(x), lambda s, x, y: s.segments(x), lambda s, x, y: x in s,
    lambda s, x, y: s.index_table(x, y), lambda s, x, y: s.snapshot(x), lambda s, x, y: s == x,
    lambda s, x, y: s["a"][x], lambda s, x, y: s["s"][x], lambda s, x, y: s["n"][x],
    lambda s, x, y: s.stats(x), lambda s, x, y: s.stats(["a"], quantiles=x),
    lambda s, x, y: s.episodes(x, sums=y), lambda s, x, y: s.episodes("a", sums=x),
]
WRITES = [
    lambda s, x, y: s.append(x, y, [1]), lambda s, x, y: s.append([9], x, y),
    lambda s, x, y: s.append(x, ["a"], y), lambda s, x, y: s.append_step(x, y),
    lambda s, x, y: s.append_step({"a": x, "b": y}), lambda s, x, y: s.extend(x, y),
    *[lambda s, x, y, n=n: s.append([9], [n], [x]) for n in FIELDS],
    *[lambda s, x, y, n=n: s.extend({n: x}) for n in FIELDS],
]
OTHERS = [
    lambda s, x, y: StreamStore().define_fields(x, y), lambda s, x, y: StreamStore(fields=x),
    lambda s, x, y: StreamStore(fields={"a": x}), lambda s, x, y: StreamStore(mode=x, capacity=y),
    lambda s, x, y: stream_store.MemmapBuffer("i4", x), lambda s, x, y: s.define_fields(x, y),
]
ALLOWED = (ValueError, TypeError, IndexError, KeyError, RuntimeError, MemoryError)
rng = random.Random(0)
fill()
for number, call in enumerate({"reads": READS, "writes": WRITES, "others": OTHERS}[sys.argv[1]]):
    pairs = [(x, x) for x in ODD] + [(rng.choice(ODD), rng.choice(ODD)) for _ in range(600)]
    for x, y in pairs:
        before, began = (len(store), store.num_rows, store.last_step), time.monotonic()
        try:
            call(store, x, y)
        except ALLOWED as error:
            if isinstance(error, RuntimeError):
                assert "fields" in str(error), (number, x, y, error)
            assert (len(store), store.num_rows, store.last_step) == before, (number, x, y)
            assert "incompatible function arguments" not in str(error), (number, x, y, error)
        assert time.monotonic() - began < 60, (number, x, y)
        if store.num_rows != before[1]:
            assert sys.argv[1] == "writes"
            fill()
"""


@pytest.mark.parametrize("kind", ["reads", "writes", "others"])
def test_odd_arguments(kind: str) -> None:
    run(CALLS, kind)


FIELDS = {"first": "int64", "text": "string"}


def test_everything_says_that_a_store_is_closed(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as store:
        store.append_step({"first": 1})
        shown = store.snapshot()
    calls: list[Callable[[], Any]] = [
        lambda: len(store), lambda: store[0], lambda: store[:], lambda: store.num_rows,
        lambda: store.append([2], ["first"], [1]), lambda: store.append([], [], []),
        lambda: store.append_step({}), lambda: store.extend({}), lambda: store.windows([], 1),
        lambda: store.read_rows([]), lambda: store.row(0), store.rows,
        lambda: store.row_of([]), lambda: store.position_of([]), lambda: store.row_at([]),
        lambda: store.decode([], "first"), lambda: store.segments("first"), store.index_table,
        store.snapshot, store.sync, store.clear, store.__enter__, lambda: store.complete_rows,
        lambda: store.last_step, lambda: store.nbytes, lambda: store.num_field_writes,
        lambda: store.define_fields(["a"]), lambda: store.fields, store.__reduce__,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="closed"):
            call()
    store.close()
    assert "closed" in repr(store)
    assert shown.row(0)["first"] == 1


def test_what_only_a_writer_may_do(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "run", fields=FIELDS) as store:
        store.append_step({"first": 1})
        with pytest.raises(io.UnsupportedOperation):
            store.clear()
        for view in (StreamStore(tmp_path / "run", "r"), store.snapshot()):
            for call in (
                lambda v=view: v.append([2], ["first"], [1]),
                lambda v=view: v.append_step({"first": 1}),
                lambda v=view: v.extend({"first": [1]}),
                lambda v=view: v.define_fields(["a"]),
                lambda v=view: v.clear(),
                lambda v=view: v.sync(),
            ):
                with pytest.raises(io.UnsupportedOperation, match=r"needs a store opened for writ"):
                    call()
        assert store.num_rows == 1
