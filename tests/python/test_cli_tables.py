"""The commands `stats` and `episodes`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli_helpers import cli
from stream_store import StreamStore
from stream_store._view.model import ViewModel

pytest.importorskip("typer")

FIELDS = {"obs": "float32[3]", "many": "int64[]", "note": "string", "when": "timestamp[us]"}


def fill(store: StreamStore, rows: int) -> None:
    for i in range(rows):
        row = {"obs": [i, 0.5, 0.5], "many": [i] * (i % 4), "when": 10**6 * i}
        store.append_step(row | {"note": "text"} if i % 2 else row)


def test_stats_shows_each_field(tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields=FIELDS) as store:
        fill(store, 9)
    lines = cli("stats", tmp_path / "s").splitlines()
    assert lines[0].split()[:4] == ["field", "count", "missing", "min"]
    names = ["obs[0]", "obs[1]", "obs[2]", *list(FIELDS)[1:]]
    assert [line.split()[0] for line in lines[1:] if not line.startswith(" ")] == names
    found = json.loads(cli("stats", tmp_path / "s", "--json", "-f", "many"))
    assert list(found) == ["many"]
    assert found["many"]["max"] == 7
    assert found["many"]["length"] == [0, 12 / 9, 3]
    assert "Unknown field" in cli("stats", tmp_path / "s", "-f", "none", code=2)


def test_episodes_are_listed_and_sorted(tmp_path: Path) -> None:
    fields = {"episode": "int64", "reward": "float32"}
    with StreamStore(tmp_path / "s", fields=fields) as store:
        store.extend({"episode": [0, 0, 1, 2, 2, 2], "reward": [1, 1, 9, 2, 2, 0]})
    lines = cli("episodes", tmp_path / "s", "--by", "episode").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["0", "2"], ["2", "1"], ["3", "3"]]
    best = cli(
        *("episodes", tmp_path / "s", "--by", "episode", "--sort", "reward", "-n", 1, "--json")
    )
    assert json.loads(best) == {"first_row": 2, "length": 1, "complete": True, "sum_reward": 9.0}
    assert "1 of 3 segments" in cli("episodes", tmp_path / "s", "--by", "episode", "-n", 1)
    assert "--sort must be" in cli(
        *("episodes", tmp_path / "s", "--by", "episode", "--sort", "none"), code=2
    )


@pytest.mark.parametrize("name", ["episode", "episode_index", "episode_id"])
def test_episodes_are_cut_by_the_field_that_view_uses(name: str, tmp_path: Path) -> None:
    with StreamStore(tmp_path / "s", fields={"n": "int64", name: "int64"}) as store:
        store.extend({"n": [1, 2, 3], name: [0, 0, 1]})
    shown = cli("episodes", tmp_path / "s", "--json")
    assert shown == cli("episodes", tmp_path / "s", "--by", name, "--json")
    assert len(shown.splitlines()) == 2
    with StreamStore(tmp_path / "s", "r") as store:
        assert ViewModel(store).by == (name,)


def test_episodes_are_cut_by_the_segments_that_the_store_retains(tmp_path: Path) -> None:
    fields = {"episode": "int64", "done": "bool"}
    with StreamStore(tmp_path / "s", fields=fields, retain_segments=9, segment_by="done") as store:
        store.extend({"episode": [0, 1, 2], "done": [False, False, True]})
    assert json.loads(cli("episodes", tmp_path / "s", "--json"))["length"] == 3


@pytest.mark.parametrize("feature", ["float32", "int64[2]", "string", None])
def test_episodes_ask_for_the_option_of_the_command(feature: str | None, tmp_path: Path) -> None:
    fields = {"n": "int64"} | ({} if feature is None else {"episode": feature})
    StreamStore(tmp_path / "s", fields=fields).close()
    error = cli("episodes", tmp_path / "s", code=2)
    assert "--by must name the field" in error
    assert "its int and bool fields are 'n'" in error
