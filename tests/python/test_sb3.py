"""StreamReplayBuffer holds and draws the same transitions as the buffers of Stable-Baselines3."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("stable_baselines3")
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from priorities_model import chi_square
from sb3_model import ACTION, OBS, assert_same_draws, transitions
from stream_store import Priorities, WindowSampler
from stream_store.sb3 import StreamReplayBuffer

DICT = spaces.Dict({"image": spaces.Box(0, 255, (4, 5, 1), np.uint8), "goal": spaces.Discrete(7)})


def pair(
    size: int,
    n_envs: int = 1,
    *,
    obs: spaces.Space = OBS,
    action: spaces.Space = ACTION,
    **given: Any,
) -> tuple[StreamReplayBuffer, Any]:
    """A buffer of ours and one of Stable-Baselines3."""
    mine = StreamReplayBuffer(size, obs, action, "cpu", n_envs, **given)
    kind = DictReplayBuffer if isinstance(obs, spaces.Dict) else ReplayBuffer
    kind = NStepReplayBuffer if "n_steps" in given else kind
    return mine, kind(size, obs, action, "cpu", n_envs, **given)


def fill(buffers: Any, steps: int, n_envs: int = 1, **given: Any) -> None:
    for arguments in transitions(steps, n_envs, **given):
        for buffer in buffers:
            buffer.add(*copy.deepcopy(arguments))  # DictReplayBuffer changes its arguments


# --- equality ---


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 60])
@pytest.mark.parametrize("resets", [0.0, 0.3])
def test_draws_equal_those_of_sb3_at_every_step(n_envs: int, size: int, resets: float) -> None:
    mine, theirs = pair(size, n_envs)
    for seed, arguments in enumerate(transitions(100, n_envs, resets=resets)):
        mine.add(*arguments)
        theirs.add(*arguments)
        assert (mine.pos, mine.full, mine.size()) == (theirs.pos, theirs.full, theirs.size())
        assert_same_draws(mine, theirs, seed)


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("size", [7, 60])
@pytest.mark.parametrize("n_steps", [2, 5])
def test_n_step_draws_equal_those_of_sb3(n_envs: int, size: int, n_steps: int) -> None:
    mine, theirs = pair(size, n_envs, n_steps=n_steps, gamma=0.9)
    for seed, arguments in enumerate(transitions(100, n_envs)):
        mine.add(*arguments)
        theirs.add(*arguments)
        assert_same_draws(mine, theirs, seed)


@pytest.mark.parametrize(
    ("obs", "action"),
    [
        (DICT, spaces.Discrete(4)),
        (spaces.Discrete(9), spaces.Discrete(4)),
        (spaces.MultiBinary(5), spaces.MultiDiscrete([3, 100])),
        (spaces.Box(0, 255, (12, 12, 3), np.uint8), ACTION),
        (spaces.Box(0, 100, (2, 300), np.float64), spaces.Box(-1, 1, (2, 2), np.float64)),
        (spaces.Box(0, 100, (1,), np.float32), spaces.MultiBinary(3)),
        *((spaces.Box(0, 100, (2,), name), ACTION) for name in ("float16", "int64", "uint16")),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_envs", [1, 2])
def test_spaces_are_stored_as_sb3_stores_them(
    obs: spaces.Space, action: spaces.Space, n_envs: int
) -> None:
    mine, theirs = pair(30, n_envs, obs=obs, action=action)
    fill((mine, theirs), 25, n_envs, obs=obs, action=action)
    for seed in range(10):
        assert_same_draws(mine, theirs, seed)
    fill((mine, theirs), 15, n_envs, obs=obs, action=action, seed=1)
    for seed in range(10):
        assert_same_draws(mine, theirs, seed)


def test_terminations_by_a_time_limit_count_only_if_asked() -> None:
    mine, theirs = pair(50, 2, handle_timeout_termination=False)
    fill((mine, theirs), 60, 2, ends=0.5)
    assert_same_draws(mine, theirs, 0, 500)
    batch = mine.sample(2000)
    assert 0.4 < batch.dones.mean() < 0.6
    with_limits, _ = pair(50, 2)
    fill((with_limits,), 60, 2, ends=0.5)
    assert 0.15 < with_limits.sample(2000).dones.mean() < 0.35


def test_batches_are_normalised_when_they_are_drawn() -> None:
    env = VecNormalize(make_vec_env("Pendulum-v1", n_envs=2))
    arguments = {"obs": env.observation_space, "action": env.action_space}
    mine, theirs = pair(100, 2, **arguments)
    env.reset()
    for _ in range(20):
        env.step(np.array([env.action_space.sample() for _ in range(2)]))
    fill((mine, theirs), 60, 2, **arguments)
    assert_same_draws(mine, theirs, 1, env=env)
    sums, expected = pair(100, 2, **arguments, n_steps=3)
    fill((sums, expected), 60, 2, **arguments)
    assert_same_draws(sums, expected, 1, env=env)


def test_memory_usage_option_keeps_final_observations_right() -> None:
    mine = StreamReplayBuffer(20, OBS, ACTION, "cpu", optimize_memory_usage=True)
    _, theirs = pair(20)
    fill((mine, theirs), 33, ends=0.3)
    assert_same_draws(mine, theirs, 0)


def test_arrays_of_sb3_can_be_indexed() -> None:
    mine, theirs = pair(40, 2, obs=spaces.Box(0, 100, (2, 3)))
    fill((mine, theirs), 15, 2, obs=spaces.Box(0, 100, (2, 3)))
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        ours, expected = getattr(mine, name), getattr(theirs, name)
        assert ours.shape == expected.shape
        assert len(ours) == 20
        for key in (
            slice(None),
            3,
            -1,
            (4, 1),
            [2, 9],
            (slice(2, 8), 0),
            (..., 0),
            ([1, 2], [0, 1]),
        ):
            np.testing.assert_array_equal(np.asarray(ours[key]), expected[key], err_msg=str(key))
    np.testing.assert_array_equal(mine.observations[3, 1, 0], theirs.observations[3, 1, 0])
    with pytest.raises(IndexError):
        mine.rewards[20]


def test_changed_dones_hold_as_in_sb3() -> None:
    mine, theirs = pair(30)
    fill((mine, theirs), 12, ends=0.0)
    for buffer in (mine, theirs):
        buffer.dones[buffer.pos - 1] = True
    assert_same_draws(mine, theirs, 3, 200)
    assert mine.sample(200).dones.any()


@pytest.mark.parametrize("n_envs", [1, 3])
def test_ends_of_episodes_are_found_again_and_forgotten(n_envs: int, tmp_path: Path) -> None:
    _, theirs = pair(60, n_envs)
    mine = StreamReplayBuffer(60, OBS, ACTION, "cpu", n_envs, path=tmp_path / "run")
    fill((mine, theirs), 15, n_envs, ends=0.5)
    mine.close()
    mine = StreamReplayBuffer(60, OBS, ACTION, "cpu", n_envs, path=tmp_path / "run")
    assert_same_draws(mine, theirs, 0, 200)
    mine.reset()
    _, theirs = pair(60, n_envs)
    fill((mine, theirs), 15, n_envs, ends=0.0)
    assert_same_draws(mine, theirs, 0, 200)


def test_step_and_environment_are_drawn_uniformly_and_independently() -> None:
    n_envs, steps = 4, 12
    buffer = StreamReplayBuffer(n_envs * steps, OBS, spaces.Discrete(99), "cpu", n_envs)
    for step in range(3 * steps + 5):
        obs = np.full((n_envs, 3), step)
        done = np.arange(n_envs) == step % n_envs
        buffer.add(obs, obs + 1, np.arange(n_envs), np.zeros(n_envs), done, [{}] * n_envs)
    np.random.seed(5)  # noqa: NPY002
    batch = buffer.sample(40_000)
    drawn = batch.observations[:, 0].numpy().astype(int) - (2 * steps + 5)
    counts = np.zeros((steps, n_envs), int)
    np.add.at(counts, (drawn, batch.actions[:, 0].numpy()), 1)
    assert chi_square(counts.ravel(), np.full(counts.size, 1 / counts.size)) < 4
    assert torch.equal(batch.next_observations, batch.observations + 1)


def test_a_sum_ends_where_the_environment_was_reset() -> None:
    buffer = StreamReplayBuffer(20, OBS, ACTION, "cpu", n_steps=3, gamma=0.5)
    for first in (0, 50):  # the second episode begins although the first one has not ended
        for i in range(first, first + 4):
            obs = np.full((1, 3), i)
            buffer.add(obs, obs + 1, np.zeros((1, 2)), np.ones(1), np.zeros(1), [{}])
    batch = buffer._get_samples(np.array([1, 2, 3, 4]))
    assert batch.rewards[:, 0].tolist() == [1.75, 1.5, 1.0, 1.75]
    assert batch.discounts[:, 0].tolist() == [0.125, 0.25, 0.5, 0.125]
    assert batch.next_observations[:, 0].tolist() == [4, 4, 4, 53]
    assert batch.dones.sum() == 0


# --- the store ---


def test_an_observation_is_stored_once() -> None:
    buffer = StreamReplayBuffer(100, OBS, ACTION, "cpu", 2)
    ends = 0
    for arguments in transitions(50, 2):
        buffer.add(*arguments)
        ends += int(arguments[4].sum())
    assert ends > 0
    assert buffer.store.num_rows == 2 * 50 + ends


@pytest.mark.parametrize("n_envs", [1, 2])
def test_another_process_samples_transitions_while_they_are_added(
    tmp_path: Path, n_envs: int
) -> None:
    buffer = StreamReplayBuffer(1000, OBS, ACTION, "cpu", n_envs, path=tmp_path / "run")
    fill((buffer,), 50, n_envs)
    code = """
import sys, numpy as np
from stream_store import StreamStore, WindowSampler
store = StreamStore(sys.argv[1], "r")
offsets = {"obs": [0, 1], "action": [0], "reward": [0], "terminated": [0]}
sampler = WindowSampler(
    store, offsets=offsets, lane_by="episode", require="action", outside="skip", batch_size=500)
print(sampler.num_starts, flush=True)
store.wait(int(sys.stdin.readline()), timeout=60)
batch = sampler.sample()
np.savez(sys.argv[2], **{name: batch[name] for name in offsets})
"""
    out = tmp_path / "batch.npz"
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(out)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert int(process.stdout.readline()) >= 49 * n_envs - 1  # the last row may still grow
        fill((buffer,), 50, n_envs, seed=1)
        print(buffer.store.num_rows, file=process.stdin, flush=True)
    assert process.returncode == 0
    read = np.load(out)
    known = {}
    for seed in (0, 1):
        for obs, following, action, reward, *_ in transitions(50, n_envs, seed=seed):
            for env in range(n_envs):
                known[obs[env].tobytes()] = following[env], action[env], reward[env]
    for obs, action, reward in zip(read["obs"], read["action"], read["reward"], strict=True):
        expected = known[obs[0].tobytes()]
        np.testing.assert_array_equal(obs[1], expected[0])
        np.testing.assert_array_equal(action[0], expected[1])
        assert reward[0] == expected[2]


def test_old_rows_are_dropped_and_needed_ones_are_not() -> None:
    mine, theirs = pair(300, 2)
    for seed in range(30):
        fill((mine, theirs), 100, 2, seed=seed, ends=0.9 if seed > 20 else 0.0)
        assert_same_draws(mine, theirs, seed)
    oldest = mine._index.oldest_row()
    assert oldest is not None
    assert mine.store.first_row <= oldest
    limit = mine.store.retention.rows
    assert limit is not None
    assert limit < 3000 < mine.store.num_rows
    began = time.monotonic()
    while mine.store.kept_rows > limit * 1.1:  # the helper thread drops them a moment later
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def test_the_limit_grows_with_the_rows_of_the_index() -> None:
    mine, theirs = pair(2_000)
    fill((mine, theirs), 3_000, ends=1.0)  # two rows for each transition
    assert mine.store.num_rows == 6_000
    limit = mine.store.retention.rows
    assert limit is not None
    assert limit >= 4_000
    assert mine.store.first_row <= mine.store.num_rows - 4_000
    assert_same_draws(mine, theirs, 0)


def test_a_temporary_store_is_gone_with_its_buffer() -> None:
    buffer = StreamReplayBuffer(10, OBS, ACTION, "cpu")
    fill((buffer,), 5)
    store = buffer.store
    assert store.path is None
    del buffer
    assert store.closed


# --- priorities ---


def test_transitions_are_drawn_by_priority() -> None:
    buffer = StreamReplayBuffer(
        40, OBS, ACTION, "cpu", 2, priorities=Priorities(alpha=1.0, beta=1.0, eps=0.0)
    )
    assert buffer.last_batch is None
    for step in range(50):
        obs = np.stack([np.full(3, step), np.full(3, step + 0.5)])
        buffer.add(obs, obs + 1, np.zeros((2, 2)), np.zeros(2), [step % 7 == 0] * 2, [{}] * 2)
    buffer.sample(32)
    rows = buffer._index.rows.ravel()
    numbers = np.asarray(buffer.observations)[..., 0].ravel()
    weights = (numbers - 29).astype(float)
    assert buffer.update_priorities(rows, torch.tensor(weights)) == 0
    counts: dict[float, int] = {}
    for _ in range(100):
        batch = buffer.sample(200)
        last = buffer.last_batch
        assert last is not None
        drawn = batch.observations[:, 0].numpy()
        np.testing.assert_allclose(last.probabilities, (drawn - 29) / weights.sum())
        expected = 1 / (drawn - 29)
        assert last.weights.shape == (200, 1)
        np.testing.assert_allclose(last.weights[:, 0], expected / expected.max(), rtol=1e-6)
        assert torch.equal(batch.next_observations, batch.observations + 1)
        for one in drawn.tolist():
            counts[one] = counts.get(one, 0) + 1
    observed = np.array([counts.get(one, 0) for one in numbers.tolist()])
    assert chi_square(observed, weights / weights.sum()) < 4


@pytest.mark.parametrize("normalize", ["batch", None])
def test_old_transitions_are_not_drawn_by_priority(normalize: Any) -> None:
    buffer = StreamReplayBuffer(
        20, OBS, ACTION, "cpu", priorities=Priorities(beta=1.0, normalize=normalize)
    )
    for step in range(500):
        obs = np.full((1, 3), step)
        buffer.add(obs, obs + 1, np.zeros((1, 2)), np.zeros(1), [False], [{}])
        if step % 3 == 0:
            drawn = buffer.sample(16 if step % 2 else 24).observations[:, 0]
            assert drawn.min() > step - 20
            assert buffer.last_batch is not None
            np.testing.assert_allclose(buffer.last_batch.weights, 1, rtol=1e-5)
            first = buffer.last_batch.indices
    assert buffer.update_priorities(first - 100, 1.0) == len(first)
    buffer.update_priorities(buffer._index.rows.ravel(), 0.0)
    assert buffer.sample(64).observations[:, 0].min() >= 480  # all equally likely


def test_priorities_reach_n_step_sums_and_survive_other_batch_sizes() -> None:
    buffer = StreamReplayBuffer(50, OBS, ACTION, "cpu", n_steps=3, priorities=Priorities(eps=0.0))
    fill((buffer,), 30)
    buffer.sample(8)
    rows = buffer._index.rows.ravel()[:30]
    buffer.update_priorities(rows, np.where(rows == rows[4], 1.0, 0.0))
    for count in (8, 5):
        batch = buffer.sample(count)
        assert (batch.observations == torch.as_tensor(buffer.observations[4])).all()
        assert batch.discounts is not None
    assert isinstance(buffer.sampler, WindowSampler)
    with pytest.raises(ValueError, match=r"found indices of float64 and shape \(1,\)"):
        buffer.update_priorities([0.5], 1.0)
    with pytest.raises(ValueError, match=r"priorities of shape \(3,\)"):
        buffer.update_priorities(rows, np.ones(3))
    buffer.sampler.beta = 1.0
    assert buffer.sampler.beta == 1.0


# --- errors ---

NONES = {name: name for name in ("obs", "action", "reward", "done")} | {"next_obs": "obs"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"obs": np.zeros((1, 4))}, ValueError, r"'obs' must have shape \(1, 3\).* \(1, 4\)"),
        ({"next_obs": np.zeros((2, 3))}, ValueError, "'obs' must have shape"),
        ({"action": np.zeros(3)}, ValueError, "'action' must have 2 items for each of 1"),
        ({"reward": np.zeros(2)}, ValueError, "'reward' must have shape"),
        ({"done": np.zeros(3, bool)}, ValueError, "'done' must have shape"),
        ({"infos": {"episode": 1}}, TypeError, "handle_timeout_termination=False"),
        ({"infos": [{}, {}]}, ValueError, "expected 1 infos but found 2"),
        *(({name: None}, TypeError, f"'{field}' is None") for name, field in NONES.items()),
    ],
)
def test_a_bad_transition_changes_nothing(change: Any, error: Any, message: str) -> None:
    buffer = StreamReplayBuffer(10, OBS, ACTION, "cpu")
    fill((buffer,), 3, ends=0.0)
    rows = buffer.store.num_rows
    good = dict(
        obs=np.zeros((1, 3)),
        next_obs=np.zeros((1, 3)),
        action=np.zeros((1, 2)),
        reward=np.zeros(1),
        done=np.zeros(1),
        infos=[{}],
    )
    with pytest.raises(error, match=message):
        buffer.add(**good | change)
    assert (buffer.pos, buffer.store.num_rows) == (3, rows)
    buffer.add(**good)
    assert buffer.size() == 4


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n_sampled_goal": 4}, TypeError, "HerReplayBuffer"),
        ({"nsteps": 4}, TypeError, "unexpected keyword argument 'nsteps'"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"gamma": 1.5}, ValueError, "gamma"),
        ({"mode": "r"}, ValueError, "mode must be 'a' or 'x'"),
        ({"priorities": 0.6}, TypeError, "priorities must be a Priorities"),
        ({"priorities": Priorities(mix=0.1)}, ValueError, "does not support mix"),
    ],
)
def test_bad_arguments_are_refused(given: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        StreamReplayBuffer(10, OBS, ACTION, "cpu", **given)


def test_a_dict_inside_a_dict_is_refused() -> None:
    nested = spaces.Dict(a=OBS, b=spaces.Dict(c=OBS))
    with pytest.raises(NotImplementedError, match="has a Dict at 'b'; Stable-Baselines3 supports"):
        StreamReplayBuffer(10, nested, ACTION, "cpu")


def test_use_that_has_no_meaning_is_refused() -> None:
    buffer = StreamReplayBuffer(10, OBS, ACTION, "cpu")
    with pytest.raises(ValueError, match="the replay buffer is empty"):
        buffer.sample(4)
    with pytest.raises(ValueError, match="is for a buffer with priorities"):
        buffer.update_priorities([0], 1.0)
    with pytest.raises(AttributeError, match=r"reset\(\) removes"):
        buffer.full = True
    fill((buffer,), 3)
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.sample(4)
    with pytest.raises(ValueError, match="closed"):
        fill((buffer,), 1)


def test_importing_the_package_needs_neither_sb3_nor_torch() -> None:
    code = "import sys, stream_store; sys.exit('stable_baselines3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    code = "import sys; sys.modules['stable_baselines3'] = None; import stream_store.sb3"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "ImportError: stream_store.sb3 needs Stable-Baselines3" in done.stderr
    assert "pip install 'stream-store[sb3]'" in done.stderr


def test_the_fields_are_as_documented() -> None:
    buffer = StreamReplayBuffer(10, DICT, spaces.Discrete(3), "cpu", 2)
    names = ("obs.goal", "obs.image", "action", "reward", "episode", "env")
    assert buffer.store.fields == (*names, "terminated", "truncated")
    assert "env" not in StreamReplayBuffer(10, OBS, ACTION, "cpu").store.fields
