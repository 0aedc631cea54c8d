"""The recipes of the guide, "Vector environments", in all modes of autoreset.

The functions are those of the page. The environment ends at random, also at its first step.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore

gymnasium = pytest.importorskip("gymnasium")
vector = pytest.importorskip("gymnasium.vector")

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "vector-environments.md"
ENVS = 3


def functions_of(page: Path) -> dict[str, Any]:
    """The functions of a page; the rest of its code does not run."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    kept = (ast.FunctionDef, ast.Import, ast.ImportFrom)
    code = ast.parse("".join(blocks))
    code.body = [node for node in code.body if isinstance(node, kept)]
    namespace: dict[str, Any] = {}
    exec(compile(code, str(page), "exec"), namespace)
    return namespace


GUIDE = functions_of(PAGE)


class RandomEnds(gymnasium.Env):  # type: ignore[misc]
    """Episodes of 1 to about 20 steps, which terminate, are truncated, or both."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = gymnasium.spaces.Discrete(5)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed, options=options)
        self.state = self.np_random.normal(size=3).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.state += np.float32(action) + self.np_random.normal(size=3).astype(np.float32)
        terminated, truncated = (bool(end) for end in self.np_random.random(2) < 0.12)
        return self.state.copy(), float(self.np_random.normal()), terminated, truncated, {}


def make(kind: str, mode: Any) -> Any:
    cls = {"sync": vector.SyncVectorEnv, "async": vector.AsyncVectorEnv}[kind]
    return cls([RandomEnds] * ENVS, autoreset_mode=mode)


def record_next_step(kind: str, path: Path, ticks: int, seed: int) -> tuple[list[StreamStore], int]:
    """Record side by side; return the stores and the number of lanes."""
    envs = make(kind, vector.AutoresetMode.NEXT_STEP)
    store = StreamStore(path / "all", fields=GUIDE["fields_of"](envs))
    GUIDE["record_side_by_side"](envs, store, ticks, seed)
    envs.close()
    return [store], ENVS


def record_separately(
    mode: Any,
) -> Callable[[str, Path, int, int], tuple[list[StreamStore], int]]:
    def record(kind: str, path: Path, ticks: int, seed: int) -> tuple[list[StreamStore], int]:
        envs = make(kind, mode)
        fields = GUIDE["fields_of"](envs)
        stores = [StreamStore(path / str(env), fields=fields) for env in range(ENVS)]
        GUIDE["record_separately"](envs, stores, ticks, seed)
        envs.close()
        return stores, 1

    return record


RECORDERS = {
    "NEXT_STEP": record_next_step,
    "SAME_STEP": record_separately(vector.AutoresetMode.SAME_STEP),
    "DISABLED": record_separately(vector.AutoresetMode.DISABLED),
}


def lives_of(stores: list[StreamStore], lanes: int, first: int = 0) -> list[dict[str, Any]]:
    """The rows of each environment, from row `first` of its store on."""
    return [
        store.read_rows(np.arange(first + lane, store.num_rows, lanes))
        for store in stores
        for lane in range(lanes)
    ]


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mode", RECORDERS)
@pytest.mark.parametrize("seed", [0, 7])
def test_every_transition_equals_that_of_a_single_environment_and_can_be_drawn(
    kind: str, mode: str, seed: int, tmp_path: Path
) -> None:
    stores, lanes = RECORDERS[mode](kind, tmp_path, 300, seed)
    transitions = [
        GUIDE["replay"](life, RandomEnds(), seed + env)
        for env, life in enumerate(lives_of(stores, lanes))
    ]
    ended = [int((life["_mask"]["action"] == 0).sum()) for life in lives_of(stores, lanes)]
    if mode == "NEXT_STEP":  # its ticks also reset
        assert [count + end for count, end in zip(transitions, ended, strict=True)] == [301] * ENVS
    else:
        assert transitions == [300] * ENVS
    drawn = GUIDE["check_windows"](stores, **({"lanes": lanes} if lanes > 1 else {}))
    assert min(drawn.values()) > 20


@pytest.mark.parametrize("mode", RECORDERS)
def test_a_second_run_begins_new_episodes(mode: str, tmp_path: Path) -> None:
    stores, lanes = RECORDERS[mode]("sync", tmp_path, 20, 1)
    first = stores[0].num_rows
    for store in stores:
        store.close()
    stores, lanes = RECORDERS[mode]("sync", tmp_path, 20, 2)
    second = lives_of(stores[:1], lanes, first)[0]
    GUIDE["replay"](second, RandomEnds(), 2)
    earlier = lives_of(stores[:1], lanes)[0]["episode"][: first // lanes]
    assert second["episode"].min() > earlier.max()
    GUIDE["check_windows"](stores, **({"lanes": lanes} if lanes > 1 else {}))


def test_the_check_finds_an_episode_number_that_changes_one_tick_early(tmp_path: Path) -> None:
    """The guide of version 0.1 gave the final observation the number of the next episode.

    Windows then began with it, joined two episodes, and never held a terminal transition.
    """
    (store,), lanes = record_next_step("sync", tmp_path, 100, 0)
    rows = store.read_rows(np.arange(store.num_rows))
    final = np.flatnonzero(~rows["_mask"]["action"][:-lanes])
    rows["episode"][final] = rows["episode"][final + lanes]
    fields = GUIDE["fields_of"](make("sync", vector.AutoresetMode.NEXT_STEP))
    wrong = StreamStore(tmp_path / "wrong", fields=fields)
    given = {name: rows[name] for name in ("env", "episode", "obs", "terminated", "truncated")}
    for name in ("action", "reward"):
        given[name] = np.ma.array(rows[name], mask=~rows["_mask"][name])
    wrong.extend(given)
    with pytest.raises(AssertionError):
        GUIDE["check_windows"]([wrong], lanes=lanes)
