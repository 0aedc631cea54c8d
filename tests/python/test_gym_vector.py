"""stream_store.gym.RecordVectorToStore in all modes of autoreset."""

from __future__ import annotations

import copy
import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_store import StreamStore, WindowSampler

pytest.importorskip("gymnasium")
from gymnasium import spaces, vector
from gymnasium.error import ResetNeeded

from gym_model import (
    RandomEnds,
    act_vector,
    assert_rows,
    draw,
    lane,
    make_vector,
    rows_of_log,
    with_spaces,
)
from stream_store.gym import RecordVectorToStore

MODES = list(vector.AutoresetMode)
ENVS = 3
INFO = {"count": "int64", "text": "string", "vector": "float64[2]"}


def logs(envs: Any) -> list[Any]:
    return list(envs.get_attr("log"))


def record(kind: str, mode: Any, store: Any, ticks: int = 150, **options: Any) -> list[Any]:
    """Record random ticks, and return the logs of the environments."""
    seed = options.pop("seed", 0)
    envs = RecordVectorToStore(make_vector(kind, mode, ENVS), store, **options)
    act_vector(envs, ticks, seed)
    found = logs(envs.env)
    envs.close()
    return found


def replay(rows: dict[str, Any], env: Any, seed: int) -> int:
    """Compare the rows of one environment with a single one; return the number of transitions."""
    obs, _ = env.reset(seed=seed)
    for row, has_action in enumerate(rows["_mask"]["action"]):
        np.testing.assert_array_equal(rows["obs"][row], obs)
        if has_action:
            obs, reward, *ends, _ = env.step(rows["action"][row])
            assert rows["reward"][row] == np.float32(reward)
            assert [rows["terminated"][row], rows["truncated"][row]] == ends
        else:
            obs, _ = env.reset()
    return int(rows["_mask"]["action"].sum())


def assert_windows_are_transitions(store: StreamStore) -> None:
    rows = store.read_rows(slice(None))
    transitions = np.flatnonzero(rows["_mask"]["action"])
    pairs = WindowSampler(
        *(store, 2),
        unit="row",
        lane_by="env",
        segment_by="episode",
        replacement=False,
        batch_size=64,
    )
    drawn = []
    for batch in pairs:
        drawn += batch["_row"][:, 0].tolist()
        for first, second in batch["_row"]:
            assert rows["env"][first] == rows["env"][second]
            assert rows["episode"][first] == rows["episode"][second]
            between = slice(first + 1, second)
            assert rows["env"][first] not in rows["env"][between]
    assert sorted(drawn) == transitions.tolist()


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [0, 7])
def test_every_transition_equals_that_of_a_single_environment_and_can_be_drawn(
    kind: str, mode: Any, seed: int
) -> None:
    store = StreamStore()
    found = record(kind, mode, store, seed=seed)
    rows = store.read_rows(slice(None))
    steps = 0
    for env in range(ENVS):
        own = store.read_rows(np.flatnonzero(rows["env"] == env))
        steps += replay(own, RandomEnds(), seed + env)
        assert_rows(lane(store, env), rows_of_log(found[env]))
    assert steps == sum("action" in call for log in found for call in log)
    assert rows["terminated"].sum() > 20
    assert rows["truncated"].sum() > 20
    assert_windows_are_transitions(store)


@pytest.mark.parametrize("mode", MODES)
def test_infos_are_in_the_rows_of_their_observations(mode: Any) -> None:
    store = StreamStore()
    found = record("sync", mode, store, 60, fields=INFO, info=("text", "count", "vector"))
    assert store.fields[3:7] == ("obs", "text", "count", "vector")
    for env in range(ENVS):
        assert_rows(lane(store, env), rows_of_log(found[env]))
    texts = [row["text"] for row in store.rows()]
    assert None in texts
    assert any(text is not None for text in texts)


SPACES = {
    "dict": spaces.Dict(
        {
            "a": spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "c": spaces.Discrete(3)}),
            "d": spaces.Text(5),
        }
    ),
    "tuple": spaces.Tuple([spaces.Discrete(4), spaces.Tuple([spaces.MultiBinary(3)])]),
    "image": spaces.Box(0, 255, (4, 5, 3), np.uint8),
    "text": spaces.Text(8),
    "sequence": spaces.Dict({"s": spaces.Sequence(spaces.Tuple([spaces.Discrete(4)]))}),
    "graph": spaces.Graph(spaces.Box(-1, 1, (2,)), None),
    "empty": spaces.Dict({"e": spaces.Dict(), "n": spaces.MultiDiscrete([2, 3])}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SPACES)
def test_samples_of_all_spaces_are_recorded(mode: Any, name: str) -> None:
    action = SPACES[name] if name in {"dict", "tuple", "image"} else spaces.Discrete(2)
    env = with_spaces(copy.deepcopy(SPACES[name]), copy.deepcopy(action))
    with StreamStore() as store:
        envs = RecordVectorToStore(make_vector("sync", mode, 2, env), store)
        act_vector(envs, 30)
        found = logs(envs.env)
        envs.close()
        for number in range(2):
            assert_rows(lane(store, number), rows_of_log(found[number]))


@pytest.mark.parametrize("mode", MODES)
def test_resets_in_the_middle_of_episodes_cut_them(mode: Any) -> None:
    store, rng = StreamStore(), np.random.default_rng(0)
    envs = RecordVectorToStore(make_vector("sync", mode, ENVS), store, fields={"options": "string"})
    disabled = mode == vector.AutoresetMode.DISABLED
    envs.reset(seed=[5, None, 9], options={"level": 2})
    for tick in range(80):
        *_, terminated, truncated, _ = envs.step(draw(envs.action_space, rng))
        over = terminated | truncated
        if tick % 9 == 8:
            envs.reset(options={"level": tick})
        elif tick % 9 == 4 or (disabled and over.any()):
            mask = over | (rng.random(ENVS) < 0.5) | (np.arange(ENVS) == 0)
            envs.reset(seed=tick, options={"reset_mask": mask})
    found = logs(envs.env)
    envs.close()
    for env in range(ENVS):
        rows = rows_of_log(found[env])
        for row in rows:
            options = row.pop("options", None)
            row["options"] = None if not options else f'{{"level": {options["level"]}}}'
        assert_rows(lane(store, env), rows)
    cut = [row for row in store.rows() if row["action"] is None and row["truncated"]]
    assert len(cut) > 10
    assert {row["seed"] for row in store.rows()} > {None, 5, 9}
    assert_windows_are_transitions(store)


@pytest.mark.parametrize("mode", MODES)
def test_a_second_run_continues_the_numbers(mode: Any, tmp_path: Path) -> None:
    record("sync", mode, tmp_path / "store", 40, seed=1)
    with StreamStore(tmp_path / "store", "r") as store:
        first = store.num_rows
    found = record("sync", mode, tmp_path / "store", 40, seed=2)
    store = StreamStore(tmp_path / "store")
    episodes = store.read_rows(slice(None))["episode"]
    assert episodes[first:].min() == episodes[:first].max() + 1
    for env in range(ENVS):
        rows = [row for row in store.rows(first) if row["env"] == env]
        assert_rows(rows, rows_of_log(found[env]))
    assert_windows_are_transitions(store)


def test_a_bounded_store_drops_old_rows_and_is_a_dataset(tmp_path: Path) -> None:
    store = StreamStore(tmp_path / "store", retain_rows=100)
    record("sync", MODES[1], store, 120)
    store.close()
    store = StreamStore(tmp_path / "store")
    assert store.kept_rows < store.num_rows
    newest = int(store.row(-1)["episode"])
    record("sync", MODES[1], store, 1)
    assert int(store.row(-1)["episode"]) > newest
    pytest.importorskip("datasets")
    store.close()  # else it may drop more rows meanwhile
    store = StreamStore(tmp_path / "store", "r")
    dataset = store.to_dataset()
    assert len(dataset) == store.kept_rows
    assert dataset[0]["obs"] == store.row(store.first_row)["obs"].tolist()


class Failing(RandomEnds):
    """Fails in the call that `fails_in` names."""

    fails_in = ""

    def step(self, action: Any) -> Any:
        if self.fails_in == "step":
            raise OSError("the simulator is gone")
        return *super().step(action)[:2], False, False, {}

    def reset(self, **arguments: Any) -> Any:
        if self.fails_in == "reset":
            raise OSError("the simulator is gone")
        return super().reset(**arguments)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call", ["step", "reset"])
def test_an_environment_that_raises_leaves_cut_episodes(mode: Any, call: str) -> None:
    store = StreamStore()
    envs = RecordVectorToStore(make_vector("sync", mode, ENVS, Failing), store)
    envs.reset(seed=0)
    envs.step(np.zeros(ENVS, int))
    failing = envs.env.envs[1]
    failing.fails_in = call
    with pytest.raises(OSError, match="simulator"):
        envs.step(np.zeros(ENVS, int)) if call == "step" else envs.reset()
    rows = [list(lane(store, env)) for env in range(ENVS)]
    assert all(one[-1]["action"] is None for one in rows)
    assert store.complete_rows == store.num_rows
    with pytest.raises(ResetNeeded):
        envs.step(np.zeros(ENVS, int))
    failing.fails_in = ""
    if mode != vector.AutoresetMode.DISABLED:
        with pytest.raises(ResetNeeded):
            envs.step(np.zeros(ENVS, int))
    envs.reset(seed=1)
    envs.step(np.zeros(ENVS, int))
    envs.close()
    assert_windows_are_transitions(store)


def step_often(envs: Any) -> None:
    for _ in range(100):
        envs.step(np.zeros(envs.num_envs, int))


def test_a_step_that_the_store_refuses_is_not_recorded() -> None:
    class Odd(RandomEnds):
        observation_space = spaces.Text(4)

        def observe(self) -> Any:
            return "ab" if len(self.log) != 4 else "\ud800"

    store = StreamStore()
    envs = RecordVectorToStore(make_vector("sync", MODES[0], 2, Odd), store, {"obs": "string"})
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="obs"):
        step_often(envs)
    steps = sum("action" in call for log in logs(envs.env) for call in log)
    assert sum(row["action"] is not None for row in store.rows()) == steps - 2
    with pytest.raises(ResetNeeded, match="all environments"):
        envs.step([0, 0])
    assert envs.store is store


def test_ended_environments_must_be_reset_in_mode_disabled() -> None:
    envs = RecordVectorToStore(make_vector("sync", vector.AutoresetMode.DISABLED, 2), StreamStore())
    with pytest.raises(ResetNeeded, match=r"\[0, 1\] must be reset"):
        envs.step([0, 0])
    envs.reset(seed=0)
    over = np.zeros(2, bool)
    while not over.any():
        *_, terminated, truncated, _ = envs.step([0, 0])
        over = terminated | truncated
    rows = envs.store.num_rows
    with pytest.raises(ResetNeeded, match=rf"{np.flatnonzero(over).tolist()}".replace("[", r"\[")):
        envs.step([0, 0])
    assert envs.store.num_rows == rows
    with pytest.raises(TypeError, match="array of bool"):
        envs.reset(options={"reset_mask": [True, False]})
    with pytest.raises(ValueError, match="at least one"):
        envs.reset(options={"reset_mask": np.zeros(2, bool)})
    with pytest.raises(ValueError, match="2 seeds"):
        envs.reset(seed=[1, 2, 3])
    envs.reset(options={"reset_mask": over})
    envs.step([0, 0])


def test_the_mode_is_next_step_if_the_metadata_lacks_it() -> None:
    envs = make_vector("sync", vector.AutoresetMode.NEXT_STEP, ENVS)
    del envs.metadata["autoreset_mode"]
    store = StreamStore()
    with pytest.warns(UserWarning, match="NEXT_STEP"):
        recorded = RecordVectorToStore(envs, store)
    envs.metadata = {**envs.metadata, "autoreset_mode": vector.AutoresetMode.NEXT_STEP}
    act_vector(recorded, 50)
    found = logs(envs)
    recorded.close()
    for env in range(ENVS):
        assert_rows(lane(store, env), rows_of_log(found[env]))
    envs.metadata = {"autoreset_mode": "sometimes"}
    with pytest.raises(ValueError, match="'sometimes'"):
        RecordVectorToStore(envs, StreamStore())


def test_the_mode_may_be_text_and_final_observations_may_be_a_batch() -> None:
    """Vector environments in C++ return all final observations as one array."""

    class Batched(vector.SyncVectorEnv):
        def step(self, actions: Any) -> Any:
            obs, *others, infos = super().step(actions)
            if "final_obs" in infos:
                last = [obs[i] if o is None else o for i, o in enumerate(infos["final_obs"])]
                infos["final_obs"] = np.stack(last)
            return obs, *others, infos

    envs = Batched([RandomEnds] * ENVS, autoreset_mode="SameStep")
    envs.metadata["autoreset_mode"] = "SameStep"
    store = StreamStore()
    recorded = RecordVectorToStore(envs, store)
    act_vector(recorded, 60)
    found = logs(envs)
    recorded.close()
    for env in range(ENVS):
        assert_rows(lane(store, env), rows_of_log(found[env]))


def test_final_observations_that_are_lacking_are_an_error() -> None:
    envs = make_vector("sync", vector.AutoresetMode.NEXT_STEP, 1)
    envs.metadata["autoreset_mode"] = vector.AutoresetMode.SAME_STEP
    recorded = RecordVectorToStore(envs, StreamStore())
    recorded.reset(seed=0)
    with pytest.raises(ValueError, match="final_obs"):
        step_often(recorded)


def test_copies_and_wrong_arguments_are_refused(tmp_path: Path) -> None:
    envs = RecordVectorToStore(make_vector("sync", MODES[0], 2), tmp_path / "store")
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="one writer"):
            copied(envs)
    envs.close()
    with pytest.raises(TypeError, match="RecordToStore records a single"):
        RecordVectorToStore(RandomEnds(), tmp_path / "other")
    inner = make_vector("sync", MODES[0], 2)
    with pytest.raises(ValueError, match="RecordVectorToStore: fields: unknown field 'x'"):
        RecordVectorToStore(inner, tmp_path / "other", {"x": "int64"})
    assert not (tmp_path / "other").exists()
    gc.collect()
    assert not inner.closed
