"""stream_store.gym.RecordToStore: its rows, its fields, and the rows that failures leave."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import LockedError, StreamStore, WindowSampler

pytest.importorskip("gymnasium")
import gymnasium
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from gym_model import RandomEnds, act, assert_rows, rows_of_log, with_spaces
from stream_store.gym import RecordToStore

INFO = {"count": "int64", "text": "string", "vector": "float64[2]"}


def recorded(env: Any, steps: int = 80, **options: Any) -> tuple[StreamStore, list[Any]]:
    """Record random steps into a temporary store; return it and the log of the environment."""
    store = StreamStore()
    wrapped = RecordToStore(env, store, **options)
    act(wrapped, steps)
    wrapped.close()
    return store, env.unwrapped.log


# --- rows ---


@pytest.mark.parametrize("seed", [0, 3])
def test_rows_are_those_of_the_environment(seed: int) -> None:
    env = RandomEnds()
    store = StreamStore()
    wrapped = RecordToStore(env, store)
    act(wrapped, 300, seed)
    assert_rows(list(store.rows()), rows_of_log(env.log, cut=False))
    wrapped.close()
    assert_rows(list(store.rows()), rows_of_log(env.log))
    assert not store.closed
    assert store.fields == tuple(
        ["episode", "seed", "obs", "action", "reward", "terminated", "truncated"]
    )
    assert store.complete_rows == store.num_rows


def test_windows_of_two_rows_are_the_transitions() -> None:
    store, log = recorded(RandomEnds(), 300)
    rows = store.read_rows(slice(None))
    pairs = WindowSampler(store, 2, unit="row", segment_by="episode", replacement=False)
    drawn = np.concatenate([batch["_row"] for batch in pairs])
    assert sorted(drawn[:, 0].tolist()) == np.flatnonzero(rows["_mask"]["action"]).tolist()
    assert len(drawn) == sum("action" in call for call in log)


def test_an_episode_is_cut_by_a_reset_and_keeps_the_flags_of_its_transitions() -> None:
    store = StreamStore()
    env = RandomEnds()
    env.ends = 0.0
    wrapped = RecordToStore(env, store, {"options": "string"})
    for number in range(3):
        wrapped.reset(seed=number or None, options={"n": number})
        for _ in range(number):
            wrapped.step(0)
    wrapped.close()
    rows = store.read_rows(slice(None))
    assert rows["episode"].tolist() == [0, 1, 1, 2, 2, 2]
    assert rows["_mask"]["action"].tolist() == [False, True, False, True, True, False]
    assert rows["truncated"].tolist() == [True, False, True, False, False, True]
    assert not rows["terminated"].any()
    assert rows["_mask"]["terminated"].all()
    assert rows["_mask"]["seed"].tolist() == [False, True, False, True, False, False]
    options = [row["options"] for row in store.rows()]
    assert options == ['{"n": 0}', '{"n": 1}', None, '{"n": 2}', None, None]


def test_the_wrapper_returns_what_the_environment_returns() -> None:
    plain_env, wrapped = RandomEnds(), RecordToStore(RandomEnds(), StreamStore())
    first, second = plain_env.reset(seed=1), wrapped.reset(seed=1)
    for _ in range(3):
        for one, other in zip(first, second, strict=True):
            np.testing.assert_equal(one, other)
        first, second = plain_env.step(1), wrapped.step(1)


def test_infos_are_in_the_rows_of_their_observations() -> None:
    store, log = recorded(RandomEnds(), fields=INFO, info=["vector", "count", "text"])
    assert_rows(list(store.rows()), rows_of_log(log))
    assert store.read_rows(slice(None))["_mask"]["count"].all()


def test_statistics_of_an_episode_are_a_struct() -> None:
    env = gymnasium.wrappers.RecordEpisodeStatistics(RandomEnds(), stats_key="statistics")
    features = {"statistics": {"r": "float32", "l": "int64", "t": "float32"}}
    store, log = recorded(env, fields=features, info=("statistics",))
    ended = [row["statistics"] for row in store.rows() if row["statistics"] is not None]
    calls = [call for call in log if call.get("terminated") or call.get("truncated")]
    assert len(ended) == len(calls) > 3
    lengths = np.diff(np.flatnonzero([*("action" not in call for call in log), True]))
    assert [one["l"] for one in ended] == (lengths - 1).tolist()[: len(ended)]


SPACES = {
    "box": spaces.Box(-1, 1, (2, 3), np.float64),
    "dict": spaces.Dict(
        {
            "a": spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "c": spaces.Discrete(3)}),
            "d": spaces.Text(5),
            "e": spaces.Box(0, 255, (3, 3), np.uint8),
        }
    ),
    "tuple": spaces.Tuple([spaces.Discrete(4), spaces.Tuple([spaces.MultiBinary(3)])]),
    "image": spaces.Box(0, 255, (4, 5, 3), np.uint8),
    "text": spaces.Text(8),
    "multi": spaces.Tuple([spaces.MultiDiscrete([2, 3]), spaces.Box(0, 1, (), np.float32)]),
    "sequence": spaces.Sequence(spaces.Dict({"n": spaces.Discrete(4)})),
    "numbers": spaces.Sequence(spaces.Box(-1, 1, (2,)), stack=True),
    "graph": spaces.Dict({"g": spaces.Graph(spaces.Box(-1, 1, (2,)), spaces.Discrete(3))}),
    "empty": spaces.Dict({"e": spaces.Dict(), "n": spaces.MultiDiscrete([2, 3])}),
}


@pytest.mark.parametrize("name", SPACES)
def test_samples_of_all_spaces_are_recorded(name: str) -> None:
    actions = {"box", "dict", "tuple", "image", "multi"}
    action = copy.deepcopy(SPACES[name]) if name in actions else spaces.Discrete(2)
    store, log = recorded(with_spaces(copy.deepcopy(SPACES[name]), action)(), 30)
    assert_rows(list(store.rows()), rows_of_log(log))


def test_a_stacked_sequence_of_structs_is_a_list() -> None:
    space = spaces.Sequence(spaces.Dict({"n": spaces.Discrete(4)}), stack=True)
    store, log = recorded(with_spaces(space, spaces.Discrete(2))(), 10)
    for row, call in zip(store.rows(), log, strict=True):
        assert [item["n"] for item in row["obs"]] == call["obs"]["n"].tolist()


def test_images_are_packed() -> None:
    store = StreamStore()
    RecordToStore(with_spaces(SPACES["dict"], SPACES["image"])(), store)
    described = {spec[0]: spec[4] for spec in store._field_specs()}
    assert described["obs.e"]
    assert described["action"]
    assert not described["obs.a.b"]


# --- fields ---


def test_fields_replace_or_leave_out_what_the_spaces_say() -> None:
    fields = {"obs": {"a": {"c": "int32"}, "d": "string"}, "reward": "float64", "seed": None}
    env = with_spaces(SPACES["dict"], spaces.Discrete(2))()
    store, log = recorded(env, 40, fields=fields)
    assert store.fields == ("episode", "obs.a.c", "obs.d", *AFTER)
    for row, call in zip(store.rows(), log, strict=True):
        assert row["obs"]["a"]["c"] == call["obs"]["a"]["c"]
        assert row["obs"]["d"] == call["obs"]["d"]
    rewards = [row["reward"] for row in store.rows() if row["reward"] is not None]
    assert rewards == [call["reward"] for call in log if "action" in call]


AFTER = ("action", "reward", "terminated", "truncated")


def test_observations_and_actions_may_be_left_out() -> None:
    store, log = recorded(RandomEnds(), 40, fields=dict.fromkeys(["obs", "action", "reward"]))
    assert store.fields == ("episode", "seed", "terminated", "truncated")
    assert store.num_rows == len(log)


def test_options_may_be_a_struct() -> None:
    store = StreamStore()
    env = RecordToStore(RandomEnds(), store, {"options": {"level": "int64"}})
    env.reset(options={"level": 3})
    env.reset()
    assert [row["options"] for row in store.rows()] == [{"level": 3}, None]


class Odd(spaces.Space[Any]):
    """A space that cannot be stored."""

    def sample(self, *_: Any, **__: Any) -> Any:
        return object()


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"fields": ["obs"]}, TypeError, "mapping of names to features"),
        ({"fields": {"observation": "int64"}}, ValueError, "unknown field 'observation'"),
        ({"fields": {"env": "int64"}}, ValueError, "unknown field 'env'"),
        ({"fields": {"episode": None}}, ValueError, "'episode' is always recorded as int64"),
        ({"fields": {"truncated": "int64"}}, ValueError, "'truncated' is always recorded as bool"),
        ({"fields": {"obs": "float33"}}, ValueError, "RecordToStore: .*float33"),
        ({"info": "lives"}, TypeError, r"info=\('lives',\)"),
        ({"info": [3]}, TypeError, "a key must be a str, not 3"),
        ({"info": ["lives"]}, ValueError, "info='lives' has no feature"),
        ({"info": ["episode"]}, ValueError, "stats_key"),
        ({"info": ["a", "a"], "fields": {"a": "int64"}}, ValueError, "a key twice"),
        ({"fields": {"obs": {"x": "int64"}}}, ValueError, "'obs.x': the space has no such part"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: Any, kind: type[Exception], text: str, tmp_path: Path
) -> None:
    env = with_spaces(SPACES["dict"], spaces.Discrete(2))()
    with pytest.raises(kind, match=text):
        RecordToStore(env, tmp_path / "store", **arguments)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("odd", [Odd(), spaces.OneOf([spaces.Discrete(2), spaces.Text(3)])])
def test_a_space_that_cannot_be_stored_is_named(odd: Any, tmp_path: Path) -> None:
    for spaces_of in ((odd, spaces.Discrete(2)), (spaces.Dict({"a": odd}), spaces.Discrete(2))):
        env = with_spaces(*spaces_of)()
        with pytest.raises(
            ValueError, match=f"Gymnasium space {type(odd).__name__}.*fields={{'obs'"
        ):
            RecordToStore(env, tmp_path / "store")
        assert not (tmp_path / "store").exists()
    RecordToStore(env, StreamStore(), {"obs": None}).reset()


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "the name is empty"),
        ("a\0b", "zero byte"),
        ("k" * 300, "bytes of UTF-8; expected at most 255"),
        ("\ud800", "lone surrogates"),
        (3, "it is of type int"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_a_key_that_is_no_name_is_named(
    key: Any, problem: str, nested: bool, tmp_path: Path
) -> None:
    space = spaces.Dict({key: spaces.Discrete(2)})
    if nested:
        space = spaces.Dict({"good": spaces.Discrete(2), "in": spaces.Tuple([space])})
    env = with_spaces(space, spaces.Discrete(2))()
    place = "obs.in.0" if nested else "obs"
    with pytest.raises((ValueError, TypeError)) as error:
        RecordToStore(env, tmp_path / "store")
    text = str(error.value)
    assert f"The key {key!r} of the space of {place!r} cannot be the name of a field" in text
    assert problem in text
    assert "Rename the key" in text
    assert "fields={'obs': None}" in text
    assert not (tmp_path / "store").exists()


def test_wrong_environments_and_stores_are_refused(tmp_path: Path) -> None:
    envs = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with pytest.raises(TypeError, match="RecordVectorToStore records a vector"):
        RecordToStore(envs, tmp_path / "store")
    for place in (None, 3, b"x"):
        with pytest.raises(TypeError, match="a StreamStore or the path of one"):
            RecordToStore(RandomEnds(), place)
    for fields in ({"episode": "int64"}, {"x": "int64"}):
        other = StreamStore(tmp_path / "other", fields=fields)
        with pytest.raises(ValueError, match=r"RecordToStore: .*other: the store has other fields"):
            RecordToStore(RandomEnds(), other)
        other.close()
        with pytest.raises(ValueError, match="the store has other fields"):
            RecordToStore(RandomEnds(), tmp_path / "other")
        shutil.rmtree(tmp_path / "other")  # no longer open
    other.close()
    with pytest.raises(ValueError, match="closed"):
        RecordToStore(RandomEnds(), other)
    env = RecordToStore(RandomEnds(), tmp_path / "store")
    with pytest.raises(LockedError):
        RecordToStore(RandomEnds(), tmp_path / "store")
    with pytest.raises(OSError, match="RecordToStore"):
        RecordToStore(RandomEnds(), StreamStore(tmp_path / "store", "r"))
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="one writer"):
            copied(env)
    env.close()
    assert env.store.closed


# --- runs and failures ---


def test_a_second_run_continues_the_numbers(tmp_path: Path) -> None:
    expected: list[Any] = []
    for run in range(3):
        env = RandomEnds()
        with RecordToStore(env, tmp_path / "store") as wrapped:
            act(wrapped, 40, run)
        rows = rows_of_log(env.log)
        first = expected[-1]["episode"] + 1 if expected else 0
        expected += [row | {"episode": row["episode"] + first} for row in rows]
    with StreamStore(tmp_path / "store", "r") as store:
        assert [row["episode"] for row in store.rows()] == [row["episode"] for row in expected]
        assert_rows(list(store.rows()), expected)


def test_a_bounded_store_drops_whole_episodes(tmp_path: Path) -> None:
    env = RandomEnds()
    store = StreamStore(tmp_path / "store", retain_segments=4, segment_by="episode")
    with RecordToStore(env, store) as wrapped:
        act(wrapped, 200)
    store.close()
    rows = rows_of_log(env.log)
    store = StreamStore(tmp_path / "store")
    assert store.first_row > 0
    assert store.row(store.first_row)["episode"] > store.row(-1)["episode"] - 8
    assert_rows(list(store.rows()), rows[store.first_row :])


KILLED = """
import os, signal, sys
from gym_model import RandomEnds
from stream_store.gym import RecordToStore
env = RecordToStore(RandomEnds(), sys.argv[1])
env.reset(seed=0)
env.env.ends = 0.0
env.step(1)
env.step(2)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_completes_the_episode_of_a_killed_one(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "store"],
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == -signal.SIGKILL
    env = RandomEnds()
    env.ends = 0.0
    model = copy.deepcopy(env)
    wrapped = RecordToStore(env, tmp_path / "store")
    assert wrapped.store.num_rows == 3
    with pytest.raises(ResetNeeded):
        wrapped.step(0)
    wrapped.reset(seed=5)
    for one, seed, actions in ((model, 0, [1, 2]), (model, 5, [])):
        one.reset(seed=seed)
        for action in actions:
            one.step(action)
    assert_rows(list(wrapped.store.rows()), rows_of_log(model.log, cut=False))
    wrapped.close()


class Failing(RandomEnds):
    """Fails in the call that `fails_in` names."""

    ends = 0.0
    fails_in = ""

    def step(self, action: Any) -> Any:
        if self.fails_in == "step":
            raise OSError("the simulator is gone")
        return super().step(action)

    def reset(self, **arguments: Any) -> Any:
        if self.fails_in == "reset":
            raise OSError("the simulator is gone")
        return super().reset(**arguments)


@pytest.mark.parametrize("call", ["step", "reset"])
def test_an_environment_that_raises_leaves_a_cut_episode(call: str) -> None:
    store, env = StreamStore(), Failing()
    wrapped = RecordToStore(env, store)
    wrapped.reset(seed=0)
    wrapped.step(1)
    env.fails_in = call
    with pytest.raises(OSError, match="simulator"):
        wrapped.step(1) if call == "step" else wrapped.reset()
    assert_rows(list(store.rows()), rows_of_log(env.log))
    assert store.complete_rows == store.num_rows == 2
    env.fails_in = ""
    with pytest.raises(ResetNeeded):
        wrapped.step(1)
    wrapped.reset()
    wrapped.step(1)
    wrapped.close()
    assert_rows(list(store.rows()), rows_of_log(env.log))


def test_a_step_that_the_store_refuses_is_not_recorded() -> None:
    class Text(Failing):
        observation_space = spaces.Text(4)

        def observe(self) -> Any:
            return "ab" if len(self.log) != 2 else "\ud800"

    store, env = StreamStore(), Text()
    wrapped = RecordToStore(env, store)
    wrapped.reset(seed=0)
    wrapped.step(1)
    with pytest.raises(ValueError, match="obs"):
        wrapped.step(1)
    with pytest.raises(ResetNeeded):
        wrapped.step(1)
    wrapped.reset()
    wrapped.close()
    del env.log[2]
    assert_rows(list(store.rows()), rows_of_log(env.log))


def test_a_step_after_the_end_is_refused() -> None:
    wrapped = RecordToStore(RandomEnds(), StreamStore())
    with pytest.raises(ResetNeeded):
        wrapped.step(0)
    wrapped.reset(seed=0)
    over = False
    while not over:
        _, _, terminated, truncated, _ = wrapped.step(0)
        over = terminated or truncated
    rows = wrapped.store.num_rows
    with pytest.raises(ResetNeeded, match="Autoreset"):
        wrapped.step(0)
    assert wrapped.store.num_rows == rows


def test_rows_of_others_are_noticed() -> None:
    store = StreamStore()
    wrapped = RecordToStore(Failing(), store)
    wrapped.reset()
    store.append_step({"episode": 9})
    with pytest.raises(RuntimeError, match="one recorder at a time"):
        wrapped.step(0)
    store.clear()
    wrapped.reset()
    wrapped.step(0)
    wrapped.close()
    assert [row["truncated"] for row in store.rows()] == [False, True]


def test_a_wrong_part_of_an_action_changes_nothing() -> None:
    store = StreamStore()
    wrapped = RecordToStore(with_spaces(spaces.Discrete(2), SPACES["dict"])(), store)
    wrapped.reset()
    with pytest.raises(ValueError, match=r"'action.a.b'.*\['a'\]\['b'\]"):
        wrapped.step({"a": 3})
    wrapped.step(SPACES["dict"].sample())


def test_a_store_that_was_closed_can_be_left() -> None:
    store = StreamStore()
    wrapped = RecordToStore(RandomEnds(), store)
    wrapped.reset()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        wrapped.reset()
    wrapped.close()


def test_autoreset_inside_of_a_recorder_and_outside() -> None:
    store = StreamStore()
    env = RandomEnds()
    outside = gymnasium.wrappers.Autoreset(RecordToStore(env, store))
    outside.reset(seed=0)
    for _ in range(60):
        outside.step(0)
    outside.close()
    assert_rows(list(store.rows()), rows_of_log(env.log))


# --- the package ---


def run_code(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return done.stdout + done.stderr


def test_gymnasium_is_imported_on_request_only() -> None:
    code = "import sys, stream_store; print([n for n in sys.modules if 'gym' in n])"
    assert run_code(code) == "[]\n"
    code = "import sys; sys.modules['gymnasium'] = None; import stream_store.gym"
    assert "install it with `pip install 'stream-store[gym]'`" in run_code(code)
