"""load_dataset and save_dataset with the real clients, against a small Hub on loopback.

The clients read the address of the Hub when they are imported, so each test runs its program in a
new process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import fake_hub
from model_process import PATIENCE

TOKEN = "hf_secretSecretSecretSecretSecret1234"

PREAMBLE = """
import datasets, os, sys
import numpy as np
from stream_store import StreamStore
datasets.config.USE_PARQUET_EXPORT = False  # asks another server
FIELDS = {
    "obs": "float32[]",
    "label": datasets.ClassLabel(names=["no", "yes"]),
    "image": "packed uint8[2,2]",
    "pose": {"x": "float64"},
    "text": "string",
}

def filled(count, first=0):
    store = StreamStore(fields=FIELDS)
    for i in range(first, first + count):
        if i % 5 == 4:
            store.append_step({"pose": {}})
        else:
            store.append_step({
                "obs": [i / 2] * (i % 3), "label": i % 2, "image": np.full((2, 2), i % 251),
                "pose": {"x": i}, "text": f"row {i}",
            })
    return store

def same(a, b):
    assert a.num_rows == b.num_rows and len(a) == len(b), (a, b)
    assert a.features == b.features, (a.features, b.features)
    assert (a[:]["values"] == b[:]["values"]).all() and (a[:]["types"] == b[:]["types"]).all()

def refused(error, call):
    try:
        call()
    except error as caught:
        return f"{type(caught).__name__}: {caught}"
    raise AssertionError("nothing was raised")
"""


@pytest.fixture
def hub() -> Iterator[fake_hub.FakeHub]:
    with fake_hub.running() as running:
        yield running


def run(hub: fake_hub.FakeHub, folder: Path, script: str, **environment: str) -> str:
    """Run a program that finds this Hub and no other; return its output."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(script)],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout


def test_a_pushed_store_loads_back(hub: fake_hub.FakeHub, tmp_path: Path) -> None:
    run(
        hub,
        tmp_path,
        """
        store = filled(100)
        store.save_dataset("me/run", "train")
        filled(30, first=100).save_dataset("me/run", "test")
        again = StreamStore()
        assert again.load_dataset("me/run", "train") == 100
        assert "packed" not in repr(again)  # pixels come back as an array: the Hub has no packing
        declared = StreamStore(fields=FIELDS)
        assert declared.load_dataset("me/run", "train") == 100
        same(declared, store)
        assert declared.load_dataset("me/run", "test", append=True) == 30
        assert declared.num_rows == 130 and declared.row(129)["pose"] == {"x": None}
        same(declared, filled(130))
        chosen = StreamStore()
        assert chosen.load_dataset("me/run", "train", columns=["text"]) == 100
        assert chosen.fields == ("text",)
        part = StreamStore()
        assert part.load_dataset("me/run", "train[10:20]") == 10
        assert part.row(0)["text"] == "row 10"
        streamed = StreamStore(fields=FIELDS)
        assert streamed.load_dataset("me/run", "train", streaming=True) == 100
        same(streamed, store)
        """,
    )
    names = sorted(hub.files("me/run"))
    assert [name for name in names if name.endswith(".parquet")] == [
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    ]
    assert b"class_label" in hub.files("me/run")["README.md"]


def test_every_feature_comes_back_from_the_hub(hub: fake_hub.FakeHub, tmp_path: Path) -> None:
    run(
        hub,
        tmp_path,
        f"""
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import pyarrow as pa
        from arrow_model import assert_same
        from feature_table import FEATURE_ROWS, Features
        # `datasets` cannot push a Translation together with media.
        rows = [row for row in FEATURE_ROWS if not row.parquet and "Translation" not in row.name]
        arrays = [pa.concat_arrays([row.array()] * 8).slice(0, 8) for row in rows]
        features = Features({{f"_{{row.name}}": row.feature for row in rows}})
        ds = datasets.Dataset(pa.Table.from_arrays(arrays, schema=features.arrow_schema))
        store = StreamStore()
        assert store.from_dataset(ds) == 8
        store.save_dataset("me/all", "train", embed_external_files=False)
        for streaming in (False, True):
            again = StreamStore()
            assert again.load_dataset("me/all", "train", streaming=streaming) == 8
            assert again.features == store.features == features
            table = again.to_dataset().data.table
            for name, array in zip(features, arrays):
                assert_same(table[name], array, name)
        """,
    )


def test_more_than_one_shard_and_other_arguments_pass_through(
    hub: fake_hub.FakeHub, tmp_path: Path
) -> None:
    hub.token = TOKEN
    run(
        hub,
        tmp_path,
        f"""
        store = filled(1000)
        result = store.save_dataset("me/private", "train", config_name="robots", num_shards=3,
                                    num_proc=1, private=True, revision="v2", token={TOKEN!r},
                                    step_column="when")
        assert {TOKEN!r} not in repr(result)
        again = StreamStore(fields=FIELDS)
        assert again.load_dataset("me/private", "train", config_name="robots", revision="v2",
                                  token={TOKEN!r}, step_column="when") == 1000
        same(again, store)
        print(refused(Exception, lambda: again.load_dataset("me/private", "train", token="hf_wrong",
                                                            cache_dir="elsewhere")))
        """,
    )
    assert hub.repositories["me/private"].private
    shards = [name for name in hub.files("me/private", "v2") if name.endswith(".parquet")]
    assert sorted(shards) == [f"robots/train-0000{i}-of-00003.parquet" for i in range(3)]
    assert not any(name.endswith(".parquet") for name in hub.files("me/private"))
    assert TOKEN in hub.tokens


def test_rows_can_be_sorted_by_keys_alone(hub: fake_hub.FakeHub, tmp_path: Path) -> None:
    run(
        hub,
        tmp_path,
        """
        ds = datasets.Dataset.from_dict({"a": [2, 1, None, 2, 1], "b": ["x", "y", "z", "w", "y"],
                                         "n": [0, 1, 2, 3, 4]})
        ds.push_to_hub("me/sort", split="train")
        store = StreamStore()
        store.load_dataset("me/sort", "train", sort_by="a")
        assert [row["n"] for row in store.rows()] == [1, 4, 0, 3, 2]
        store.load_dataset("me/sort", "train", sort_by=["a", "b"])
        assert [row["n"] for row in store.rows()] == [1, 4, 3, 0, 2]
        store.load_dataset("me/sort", "train", sort_by="n", columns=["b"])
        assert [row["b"] for row in store.rows()] == ["x", "y", "z", "w", "y"]
        def wrong(**more):
            return refused(ValueError, lambda: store.load_dataset("me/sort", "train", **more))
        before = store.num_rows
        assert "no column 'c'" in wrong(sort_by="c")
        assert "empty" in wrong(sort_by=[])
        assert "streaming" in wrong(sort_by="a", streaming=True)
        assert store.num_rows == before
        """,
    )


def test_an_interrupted_push_leaves_the_hub_and_can_be_repeated(
    hub: fake_hub.FakeHub, tmp_path: Path
) -> None:
    run(hub, tmp_path, 'filled(10).save_dataset("me/run", "train")')
    before = dict(hub.files("me/run"))
    hub.fail_after = hub.uploads
    output = run(
        hub,
        tmp_path,
        f"""
        push = lambda: filled(20).save_dataset("me/run", "train", token={TOKEN!r})
        print(refused(Exception, push))
        """,
    )
    assert "Error" in output
    assert hub.files("me/run") == before
    hub.fail_after = None
    run(
        hub,
        tmp_path,
        """
        filled(20).save_dataset("me/run", "train")
        again = StreamStore(fields=FIELDS)
        assert again.load_dataset("me/run", "train") == 20
        same(again, filled(20))
        """,
    )


def test_errors_name_their_cause_and_change_nothing(hub: fake_hub.FakeHub, tmp_path: Path) -> None:
    run(
        hub,
        tmp_path,
        f"""
        filled(10).save_dataset("me/run", "train")
        store = filled(3)
        def wrong(*arguments, **more):
            text = refused(Exception, lambda: store.load_dataset(*arguments, **more))
            assert store.num_rows == 3
            return text
        assert "ValueError" in wrong("me/run", "validation")
        assert "validation" in wrong("me/run", "validation")
        wrong("me/nothing", "train", token={TOKEN!r})
        assert "name is empty" in wrong("", "train")
        assert "split is empty" in wrong("me/run", "")
        assert "name is empty" in refused(ValueError, lambda: store.save_dataset(" ", "train"))
        assert "split is empty" in refused(ValueError, lambda: store.save_dataset("me/run", ""))
        assert "split" in refused(ValueError, lambda: store.save_dataset("me/run", "a/b"))
        assert "str" in refused(TypeError, lambda: store.save_dataset(None, "train"))
        assert "no column 'x'" in wrong("me/run", "train", columns=["x"])
        with StreamStore("persistent", fields=FIELDS) as persistent:
            persistent.append_step({{}})
            load = lambda: persistent.load_dataset("me/run", "train")
            assert "append=True" in refused(ValueError, load)
        """,
    )


def test_local_files_and_saved_directories_load(hub: fake_hub.FakeHub, tmp_path: Path) -> None:
    run(
        hub,
        tmp_path,
        """
        store = filled(50)
        ds = store.to_dataset("train")
        ds.to_parquet("some.parquet")
        again = StreamStore(fields=FIELDS)
        assert again.load_dataset("parquet", "train", data_files="some.parquet") == 50
        same(again, store)
        files = {"train": "*.parquet"}
        assert again.load_dataset("parquet", "train", data_files=files, append=True) == 50
        ds.save_to_disk("one")
        assert again.load_dataset("one", "train") == 50
        same(again, store)
        wrong = refused(ValueError, lambda: again.load_dataset("one", "test"))
        assert "is the split 'train', not 'test'" in wrong
        datasets.DatasetDict({"train": ds, "test": ds.select([3, 1])}).save_to_disk("both")
        assert again.load_dataset("both", "test") == 2
        assert [row["text"] for row in again.rows()] == ["row 3", "row 1"]
        assert "'train', 'test'" in refused(ValueError, lambda: again.load_dataset("both", "dev"))
        ds.shuffle(seed=1).save_to_disk("shuffled")
        assert again.load_dataset("shuffled", "train", sort_by="text") == 50
        """,
    )
    assert hub.requests == []


def test_errors_do_not_contain_the_token() -> None:
    from stream_store._exchange.hub import _without_token

    def fail() -> None:
        raise RuntimeError(f"GET https://hub/?token={TOKEN} failed")

    with pytest.raises(OSError, match="<token>") as caught:
        _without_token(fail, {"token": TOKEN})
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__

    def fail_deeper() -> None:
        try:
            fail()
        except RuntimeError as error:
            raise ValueError("the request failed") from error

    with pytest.raises(OSError, match="the request failed") as deeper:
        _without_token(fail_deeper, {"token": TOKEN})
    assert deeper.value.__cause__ is None
    with pytest.raises(ValueError, match="the request failed"):
        _without_token(fail_deeper, {"token": "another"})
