"""extend() with structs, tensors and columns of other libraries; errors name the field and the row.

Every column is compared with rows that append_step stores one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from model_process import run
from store_helpers import facts, stored
from stream_store import StreamStore

FIELDS: dict[str, Any] = {
    "obs": {"pos": "float32[2]", "n": "int64", "in": {"z": "string"}},
    "reward": "float32",
    "when": "timestamp[us]",
    "list": "float32[]",
}


class TensorDict:
    """The methods of a TensorDict that extend() may use. Its iterator gives rows, not names."""

    def __init__(self, items: dict[str, Any], rows: int) -> None:
        self._items, self.batch_size = items, (rows,)

    def keys(self) -> Any:
        return self._items.keys()

    def items(self) -> Any:
        return self._items.items()

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __iter__(self) -> Iterator[Any]:
        raise StopIteration


def check(columns: Any, rows: list[dict[str, Any]]) -> None:
    """extend(columns) stores what append_step stores for the rows."""
    store, expected = StreamStore(fields=FIELDS), StreamStore(fields=FIELDS)
    assert store.extend(columns) == len(rows)
    for row in rows:
        expected.append_step(row)
    assert stored(store) == stored(expected)


POS = np.arange(6, dtype=np.float32).reshape(3, 2)
NAMED = np.array([(POS[0], 1), (POS[1], 2), (POS[2], 3)], [("pos", "f4", 2), ("n", "i8")])


@pytest.mark.parametrize(
    ("obs", "rows"),
    [
        ({"pos": POS, "n": [1, 2, 3]}, [{"pos": POS[i], "n": i + 1} for i in range(3)]),
        ({"pos": POS, "n": None}, [{"pos": row} for row in POS]),
        ({"n": [1, None, None], "in": {"z": ["a", None, "c"]}},
         [{"n": 1, "in": {"z": "a"}}, {"in": {"z": None}}, {"in": {"z": "c"}}]),
        ({"in": [None, {}, {"z": "c"}]}, [{}, {"in": {}}, {"in": {"z": "c"}}]),
        ([{"n": 1}, None, {}], [{"n": 1}, None, {}]),
        (({"in": None}, None, {"in": {}}), [{"in": None}, None, {"in": {}}]),
        (NAMED, [{"pos": row, "n": i + 1} for i, row in enumerate(POS)]),
        (list(NAMED), [{"pos": row, "n": i + 1} for i, row in enumerate(POS)]),
        (np.array([{"n": 1}, None, {"n": 2}], object), [{"n": 1}, None, {"n": 2}]),
        (TensorDict({"n": [1, 2, 3], "in": TensorDict({}, 3)}, 3),
         [{"n": n, "in": {}} for n in (1, 2, 3)]),
        ([None, None], [None, None]),
        ([], []),
    ],
)  # fmt: skip
def test_a_struct_takes_rows_and_columns(obs: Any, rows: list[Any]) -> None:
    check({"obs": obs}, [{"obs": row} for row in rows])


def test_a_vector_environment_with_a_dict_space_is_extended_as_it_is() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    spaces = gymnasium.spaces
    space = spaces.Dict({"pos": spaces.Box(-1, 1, (2,), np.float32), "n": spaces.Discrete(5)})
    batch = gymnasium.vector.utils.batch_space(space, 4)
    batch.seed(1)
    store = StreamStore(fields={"obs": space})
    obs = batch.sample()
    assert store.extend({"obs": obs}) == 4
    read = store.read_rows(np.arange(4))["obs"]
    np.testing.assert_array_equal(read["pos"], obs["pos"], strict=True)
    np.testing.assert_array_equal(read["n"], obs["n"])


def test_a_tuple_space_takes_tuples_as_rows_and_as_columns() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    spaces = gymnasium.spaces
    space = spaces.Tuple((spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(5)))
    rows = [(np.zeros(2, np.float32), 3), (np.ones(2, np.float32), 4)]
    expected = StreamStore(fields={"obs": space})
    for row in rows:
        expected.append_step({"obs": row})
    columns = tuple(np.stack([row[place] for row in rows]) for place in range(2))
    for obs in (rows, columns, {"0": columns[0], "1": columns[1]}):
        store = StreamStore(fields={"obs": space})
        assert store.extend({"obs": obs}) == 2
        assert stored(store) == stored(expected)


@pytest.mark.parametrize("name", ["rows", "table", "structs", "chunks", "batch"])
def test_columns_may_be_rows_or_arrow_data(name: str) -> None:
    pa = pytest.importorskip("pyarrow")
    rows: list[dict[str, Any]] = [
        {"obs": {"n": 1, "in": {"z": None}}, "reward": 0.5},
        {"obs": None, "reward": None},
        {"obs": {"n": None, "in": None}, "reward": 1.5},
    ]
    kind = pa.struct([("n", pa.int32()), ("in", pa.struct([("z", pa.string())]))])
    obs = pa.array([row["obs"] for row in rows], kind)
    reward = pa.array([row["reward"] for row in rows])
    table = pa.table({"obs": obs, "reward": reward})
    given = {
        "rows": rows,
        "table": table,
        "structs": {"obs": obs, "reward": reward},
        "chunks": {"obs": pa.chunked_array([obs[:1], obs[1:]]), "reward": reward},
        "batch": table.to_batches()[0],
    }
    check(given[name], rows)


def test_data_frames_and_series_are_columns() -> None:
    pd = pytest.importorskip("pandas")
    when = pd.Series(np.array(["2020-01-01", "NaT", "2021-01-01T00:00:00.000001"], "M8[us]"))
    frame = pd.DataFrame({"reward": [1.0, np.nan, 2.0], "when": when})
    rows = [
        {"reward": 1.0, "when": np.datetime64("2020-01-01", "us")},
        {"reward": np.nan},
        {"reward": 2.0, "when": np.datetime64("2021-01-01T00:00:00.000001")},
    ]
    check(frame, rows)
    check({"reward": frame["reward"], "when": frame["when"]}, rows)
    numbers = pd.Series([1, None, 3], dtype="Int64")
    texts = pd.Series(["a", None, "c"])
    check(
        {"obs": pd.DataFrame({"n": numbers}), "reward": numbers},
        [{"obs": {"n": 1}, "reward": 1}, {"obs": {}}, {"obs": {"n": 3}, "reward": 3}],
    )
    check({"obs.in.z": texts}, [{"obs.in.z": "a"}, {}, {"obs.in.z": "c"}])
    check({"obs": pd.Series([{"n": 1}, None])}, [{"obs": {"n": 1}}, {}])


def test_series_and_frames_of_polars_are_columns() -> None:
    pl = pytest.importorskip("polars")
    rows: list[Any] = [{"obs": {"n": 1}, "reward": 0.5}, {"obs": None}, {"obs": {"n": 2}}]
    obs = pl.Series([{"n": 1}, None, {"n": 2}])
    check({"obs": obs, "reward": pl.Series([0.5, None, None])}, rows)
    check(pl.DataFrame({"reward": [1.0, 2.0]}), [{"reward": 1.0}, {"reward": 2.0}])


def test_tensors_are_columns() -> None:
    torch = pytest.importorskip("torch")
    pos = torch.tensor(POS, requires_grad=True)
    halves = torch.tensor([0.1, float("nan"), 3e38], dtype=torch.bfloat16)
    items = {"obs": TensorDict({"pos": pos * 2, "n": torch.arange(3)}, 3), "reward": halves}
    rows = [
        {"obs": {"pos": pos[i] * 2, "n": torch.tensor(i)}, "reward": halves[i]} for i in range(3)
    ]
    check(TensorDict(items, 3), rows)
    check({"reward": halves}, [{"reward": half.float()} for half in halves])
    check({"list": [pos[0], torch.ones(0), torch.ones(1, dtype=torch.bfloat16)]},
          [{"list": pos[0]}, {"list": []}, {"list": [1]}])  # fmt: skip
    ragged = torch.nested.nested_tensor([torch.ones(2), torch.ones(0)], layout=torch.jagged)
    check({"list": ragged}, [{"list": [1, 1]}, {"list": []}])


def test_arrays_of_jax_are_columns() -> None:
    pytest.importorskip("jax")
    run("""
        import jax.numpy as jnp  # in a process of its own: JAX warns about forks
        store, expected = (StreamStore(fields={"x": "float32", "y": "int8[]"}) for _ in range(2))
        x, y = jnp.array([0.1, jnp.nan, 2.0], jnp.bfloat16), jnp.ones((3, 2), jnp.int8)
        store.extend({"x": x, "y": y})
        for row in range(3):
            expected.append_step({"x": x[row], "y": y[row]})
        assert (store[:]["values"] == expected[:]["values"]).all()
        assert (store.index_table() == expected.index_table()).all()
        """)


def test_masked_rows_are_missing() -> None:
    masked = np.ma.masked_array
    check(
        {
            "reward": masked([1.0, 2.0, 3.0], [0, 1, 0]),
            "obs": {"pos": masked(POS, [[0, 0], [1, 1], [0, 0]])},
            "when": masked(np.array([1, 2, 3], "M8[s]"), [1, 0, 0]),
        },
        [
            {"reward": 1, "obs": {"pos": POS[0]}},
            {"obs": {}, "when": np.datetime64(2, "s")},
            {"reward": 3, "obs": {"pos": POS[2]}, "when": np.datetime64(3, "s")},
        ],
    )


@pytest.mark.parametrize("make", ["list_", "large_list", "list_view", "fixed"])
def test_arrow_lists_are_taken_in_the_shape_of_the_field(make: str) -> None:
    pa = pytest.importorskip("pyarrow")
    item = pa.int16()
    kind = pa.list_(item, 2) if make == "fixed" else getattr(pa, make)(item)
    lists = pa.array([[9, 9], [1, 2], None, [3, 4]], kind)[1:]
    rows = [{"list": [1, 2], "obs": {"pos": [1, 2]}}, {"obs": {}},
            {"list": [3, 4], "obs": {"pos": [3, 4]}}]  # fmt: skip
    check({"list": lists, "obs": {"pos": lists}}, rows)


def test_numbers_of_different_kinds_in_one_column_are_each_stored_as_on_their_own() -> None:
    fields = {"i": "int64[]", "u": "uint64", "f": "packed float32[2]", "b": "bool"}
    rows: list[dict[str, Any]] = [
        {"i": [2**53 + 1], "u": 2**64 - 1, "f": [1, 2**24 + 1], "b": True},
        {"i": np.array([2.0]), "u": 3.0, "f": np.float16([0.1, np.inf]), "b": 0},
        {"i": np.array([2**63 - 1], np.uint64), "u": np.uint8(1), "f": [0.1, -0.0], "b": 1.0},
    ]
    store, expected = StreamStore(fields=fields), StreamStore(fields=fields)
    store.extend({name: [row[name] for row in rows] for name in fields})
    for row in rows:
        expected.append_step(row)
    assert stored(store) == stored(expected)


CASES: list[tuple[Callable[[], Any], str]] = [
    (lambda: {"obs": {"pos": POS, "n": [1, 2]}}, "3 rows of 'obs.pos' and 2 of 'obs.n'"),
    (lambda: {"obs": {"n": [1, 2]}, "reward": [1]}, "2 rows of field 'obs.n' .* and 1 of 'reward'"),
    (lambda: {"obs": {"w": [1]}}, "Unknown field 'w' in struct 'obs'"),
    (lambda: {"obs": [{"n": 1}, 5]}, "'obs'.*: row 1: expected a mapping of its fields, found int"),
    (lambda: {"obs": [{"n": 1}, {"w": 1}]}, "'obs': row 1: Unknown field 'w'"),
    (lambda: {"obs": [{"n": 1}, {"n": "a"}]}, "'obs.n' .*: row 1: expected an integer"),
    (lambda: {"obs": {"n": [1, 2.5]}}, "row 1 .*'obs.n'|'obs.n' .*: row 1: "),
    (lambda: {"obs": {"n": [1, np.array(2.5)]}}, "'obs.n' .*: row 1: .* 2.5"),
    (lambda: {"obs": {"pos": np.ones((2, 3))}}, "row 0 .*'obs.pos'"),
    (lambda: {"obs": {}}, "'obs': expected at least one column"),
    (lambda: {"obs": "abc"}, "'obs' is a struct: expected a list of mappings"),
    (lambda: {"obs": None}, "'obs' is a struct: expected a list of mappings"),
    (lambda: {"obs": {"n": 3}}, "'obs.n' .*: a column must be an array or a list"),
    (lambda: {"obs": [{"n": 1}], "obs.n": [1]}, "duplicate field 'obs.n'"),
    (lambda: [{"obs": {"n": 1}, "obs.n": 1}], "row 0: duplicate field 'obs.n'"),
    (lambda: [{"reward": 1}, {"reward": "a"}], "'reward' .*: row 1: expected a number"),
    (lambda: [{"reward": 1}, {"q": 1}], "row 1: Unknown field 'q'"),
    (lambda: [{"reward": 1}, 1], "row 1: expected a mapping of field names to values, found int"),
    (lambda: {"reward": [1, 1e300]}, "row 1 .*'reward'.* 1e[+]?300"),
    (lambda: {"when": np.array(["2020", "NaT"], "M8[s]")}, "'when' .*: row 1: .*NaT"),
    (lambda: {"list": [[1], [None]]}, "'list' .*: row 1: "),
    (lambda: {"list": np.ma.masked_array(np.ones((2, 2)), [[0, 0], [1, 0]])}, "'list' .*: row 1: "),
    (lambda: {"obs": {"in": {"z": ["a", 3]}}}, "'obs.in.z' .*: row 1: expected a str"),
]


@pytest.mark.parametrize(("columns", "message"), CASES, ids=[message for _, message in CASES])
def test_errors_name_the_field_and_the_row(columns: Callable[[], Any], message: str) -> None:
    store = StreamStore(fields=FIELDS)
    store.append_step({"reward": 1})
    before = facts(store)
    with pytest.raises((ValueError, TypeError), match=message):
        store.extend(columns())
    assert facts(store) == before


def test_images_are_columns_of_media() -> None:
    datasets = pytest.importorskip("datasets")
    image = pytest.importorskip("PIL.Image")
    pictures = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    fields = {"x": datasets.Image()}
    expected = StreamStore(fields=fields)
    for picture in pictures:
        expected.append_step({"x": picture})
    stored_rows = [row["x"] for row in expected.rows()]
    for column in (
        pictures,
        list(pictures),
        [image.fromarray(picture) for picture in pictures],
        stored_rows,
        {"bytes": [row["bytes"] for row in stored_rows], "path": None},
    ):
        store = StreamStore(fields=fields)
        store.extend({"x": column})
        assert stored(store) == stored(expected)
    with pytest.raises(ValueError, match=r"'x': row 1: .*Image"):
        store.extend({"x": [pictures[0], object()]})


def test_nested_cells_of_arrow_keep_their_bits_and_nanoseconds() -> None:
    pa = pytest.importorskip("pyarrow")
    bits = np.array([0x7F800001, 0x3F800000, 0xFF800123], np.uint32)
    floats = pa.ListArray.from_arrays([0, 2, 3], pa.array(bits.view(np.float32)))
    times = pa.array([[1], None], pa.list_(pa.timestamp("ns")))
    store = StreamStore(
        fields={"x": "nested list<float>", "o": {"t": "nested list<timestamp[ns]>"}}
    )
    assert store.extend({"x": floats, "o": {"t": times}}) == 2
    table = pa.table(store)
    cells = table["x"].combine_chunks()
    np.testing.assert_array_equal(cells.flatten().to_numpy().view(np.uint32), bits)
    assert store.row(0)["o"]["t"] == [np.datetime64(1, "ns")]
    assert store.row(1)["o"] == {"t": None}
    with pytest.raises((ValueError, TypeError), match=r"'x' .*: row 0: x\[0\]: expected a number"):
        store.extend({"x": pa.array([["a"]])})
