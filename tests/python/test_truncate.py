"""truncate(): the rows left, the next steps, and readers, samplers and processes from before."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

import stream_store
from stream_store import StreamStore, WindowSampler

FIELDS = {"reward": "int64"}


def rows(store):
    return [(int(step), int(row["reward"])) for step, row in enumerate(store.rows())]


@pytest.mark.parametrize("temporary", [True, False])
def test_rows_are_those_of_a_list_that_is_cut(tmp_path, temporary):
    path = None if temporary else tmp_path / "store"
    chance = random.Random(5)
    store = StreamStore(path, fields=FIELDS)
    model = []
    for turn in range(60):
        keep = chance.randint(0, len(model))
        assert store.truncate(keep) == len(model) - keep
        del model[keep:]
        assert store.num_rows == len(store) == keep
        new = [turn * 100 + i for i in range(chance.randint(0, 12))]
        if new:
            store.extend({"reward": new})
        model += new
        assert [value for _, value in rows(store)] == model
        if path is not None and turn % 10 == 9:
            store.close()
            store = StreamStore(path)
            assert store.recovery.state == "clean"
    store.close()
    if path is not None:
        assert stream_store.verify(path).ok


def test_the_next_step_follows_the_last_row_kept():
    store = StreamStore(fields=FIELDS)
    for step in (5, 7, 20):
        store.append_step({"reward": step}, step=step)
    store.truncate(2)
    assert store.last_step == 7
    assert store.append_step({"reward": 0}) == 8
    with pytest.raises(ValueError, match="steps never decrease"):
        store.append_step({"reward": 0}, step=3)


@pytest.mark.parametrize("number", [-1, 4, 2**63, 2**70])
def test_a_number_of_rows_outside_the_store_is_an_index_error(number):
    store = StreamStore(fields=FIELDS)
    store.extend({"reward": [1, 2, 3]})
    with pytest.raises(IndexError, match=str(number)) as error:
        store.truncate(number)
    assert "3" in str(error.value)
    assert store.num_rows == 3
    with pytest.raises(TypeError):
        store.truncate(1.5)


def test_readers_from_before_say_that_the_store_was_cut_back(tmp_path):
    store = StreamStore(tmp_path / "store", fields=FIELDS)
    store.extend({"reward": range(9)})
    readers = [StreamStore(tmp_path / "store", "r"), store.snapshot(3)]
    store.truncate(5)
    store.extend({"reward": range(9)})
    for reader in readers:
        with pytest.raises(stream_store.Error, match=r"truncate\(\) or by recovery"):
            reader.row(0)
    assert store.num_rows == 14


def test_another_process_is_told_and_finds_the_rows_left(tmp_path):
    path = tmp_path / "store"
    store = StreamStore(path, fields=FIELDS)
    store.extend({"reward": range(9)})
    code = f"""
import stream_store
store = stream_store.StreamStore({str(path)!r}, "r")
print(store.num_rows, flush=True)
input()
try:
    store.row(0)
except stream_store.Error as error:
    print("cut back" in str(error), stream_store.StreamStore({str(path)!r}, "r").num_rows)
"""
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout.readline() == "9\n"
        store.truncate(4)
        assert child.communicate("\n")[0] == "True 4\n"


def test_a_sampler_state_loads_if_its_rows_are_left(tmp_path):
    store = StreamStore(tmp_path / "store", fields=FIELDS)
    store.extend({"reward": range(8)})
    options = {"batch_size": 2, "length": 1, "replacement": False}
    sampler = WindowSampler(store, **options)
    next(iter(sampler))
    state = sampler.state_dict()
    store.extend({"reward": range(4)})
    store.truncate(8)
    WindowSampler(store, **options).load_state_dict(state)
    store.truncate(7)
    with pytest.raises(ValueError, match=r"covers 8 rows .* has 7"):
        WindowSampler(store, **options).load_state_dict(state)
