"""StreamReplayBuffer in the algorithms of Stable-Baselines3: training, saving, loading."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

pytest.importorskip("stable_baselines3")
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env

import stream_store
from sb3_model import ACTION, OBS, assert_same_batch, transitions
from stream_store import LockedError, Priorities, StreamStore
from stream_store.sb3 import StreamReplayBuffer


def small() -> dict[str, Any]:
    """Arguments of an algorithm for quick training; it changes the inner dict."""
    return {"policy_kwargs": {"net_arch": [16]}, "learning_starts": 20, "seed": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Small networks are faster with one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def stream(path: Path | None, **given: Any) -> dict[str, Any]:
    """Arguments of an algorithm that give it our buffer."""
    kwargs = {"path": None if path is None else str(path), **given}
    return {"replay_buffer_class": StreamReplayBuffer, "replay_buffer_kwargs": kwargs}


def weights(model: Any) -> torch.Tensor:
    return torch.cat([one.detach().ravel() for one in model.policy.parameters()])


def add(buffer: StreamReplayBuffer, steps: int, n_envs: int = 1, **given: Any) -> None:
    for arguments in transitions(steps, n_envs, **given):
        buffer.add(*arguments)


class Maze(gymnasium.Env):
    """Dict observations of an image and a vector; every episode has nine steps."""

    observation_space = spaces.Dict(
        {"image": spaces.Box(0, 255, (36, 36, 1), np.uint8), "speed": spaces.Box(-1, 1, (2,))}
    )
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:  # noqa: ARG002
        super().reset(seed=seed)
        self.steps = 0
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return self.look(), float(action), self.steps == 9, False, {}

    def look(self) -> dict[str, Any]:
        image = self.np_random.integers(256, size=(36, 36, 1), dtype=np.uint8)
        return {"image": image, "speed": self.np_random.random(2).astype(np.float32)}


# --- training ---


@pytest.mark.parametrize(
    ("algorithm", "env", "n_envs", "n_steps"),
    [(DQN, "CartPole-v1", 1, 1), (DQN, "CartPole-v1", 3, 3), (SAC, "Pendulum-v1", 1, 1),
     (TD3, "Pendulum-v1", 2, 1)],
)  # fmt: skip
def test_training_gives_the_weights_that_it_gives_with_the_buffer_of_sb3(
    path: Path, algorithm: Any, env: str, n_envs: int, n_steps: int
) -> None:
    results = []
    ours = stream(path, n_steps=n_steps) if n_steps > 1 else stream(path)
    for given in (ours, {} if n_steps == 1 else {"n_steps": n_steps}):
        envs = make_vec_env(env, n_envs, seed=0)
        model = algorithm("MlpPolicy", envs, buffer_size=90, batch_size=16, **small(), **given)
        results.append(weights(model.learn(150)))
    assert torch.equal(*results)
    with StreamStore(path, "r") as store:
        assert store.num_rows >= 150


def test_dict_observations_of_two_environments_with_images(path: Path) -> None:
    results = []
    for given in (stream(path), {}):
        envs = make_vec_env(Maze, 2, seed=0)
        model = DQN("MultiInputPolicy", envs, buffer_size=60, batch_size=8, **small(), **given)
        results.append(weights(model.learn(80)))
    assert torch.equal(*results)
    with StreamStore(path, "r") as store:
        assert store.row(0)["obs"]["image"].shape == (1, 36, 36)
        assert store.row(-1)["obs"]["image"].dtype == np.uint8


def test_a_temporary_store_and_priorities_train() -> None:
    model = DQN("MlpPolicy", "CartPole-v1", **small(), **stream(None, priorities=Priorities()))
    model.learn(100)
    buffer: Any = model.replay_buffer
    assert buffer.last_batch.weights.shape == (model.batch_size, 1)
    with pytest.raises(TypeError, match=r'replay_buffer_kwargs=\{"path": "run"\}'):
        pickle.dumps(buffer)


def test_memory_usage_option_trains_again_after_a_reset(path: Path) -> None:
    model = DQN("MlpPolicy", "CartPole-v1", optimize_memory_usage=True, **small(), **stream(path))
    model.learn(60)
    with pytest.warns(UserWarning, match="last trajectory in the replay buffer will be truncated"):
        model.learn(60)
    assert model.replay_buffer.size() == 120


# --- saving and loading ---


def test_a_loaded_buffer_continues_to_append(path: Path, tmp_path: Path) -> None:
    """load_replay_buffer once returned a store opened for reading, on which learn failed."""
    model = SAC("MlpPolicy", "Pendulum-v1", **small(), **stream(path)).learn(60)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer.pkl")
    assert (tmp_path / "buffer.pkl").stat().st_size < 5000
    loaded = SAC.load(tmp_path / "model", env=model.get_env())  # the first model still exists
    loaded.load_replay_buffer(tmp_path / "buffer.pkl")
    assert loaded.replay_buffer.size() == 60
    loaded.learn(30, reset_num_timesteps=False)
    assert loaded.replay_buffer.size() == 90

    code = """
import sys
from stable_baselines3 import SAC
model = SAC.load(sys.argv[1], env=__import__("gymnasium").make("Pendulum-v1"))
model.load_replay_buffer(sys.argv[2])
print(model.learn(30).replay_buffer.size())
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "buffer.pkl")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "LockedError" in done.stderr
    assert "StreamStore(path, 'r')" in done.stderr
    del model, loaded
    gc.collect()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout == "120\n", done.stderr
    assert stream_store.verify(path).ok


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("steps", [9, 40])
def test_a_reopened_buffer_has_the_same_transitions(path: Path, n_envs: int, steps: int) -> None:
    buffer = StreamReplayBuffer(30 * n_envs, OBS, ACTION, "cpu", n_envs, path=path, n_steps=2)
    add(buffer, steps, n_envs, resets=0.2)
    size = buffer.size()
    order = (np.arange(size) + (buffer.pos if buffer.full else 0)) % 30
    expected = []
    for env in range(n_envs):
        expected.append(buffer._batch(order * n_envs + env, None))
    buffer.close()
    again = StreamReplayBuffer(30 * n_envs, OBS, ACTION, "cpu", n_envs, path=path, n_steps=2)
    assert again.size() == size
    for env in range(n_envs):
        assert_same_batch(again._batch(np.arange(size) * n_envs + env, None), expected[env])
    add(again, 5, n_envs, seed=9)
    assert again.size() == min(size + 5, 30)
    smaller = pickle.loads(pickle.dumps(again))
    assert smaller.store is again.store, "buffers of one process share the store"
    again.close()
    fewer = StreamReplayBuffer(4 * n_envs, OBS, ACTION, "cpu", n_envs, path=path)
    assert (fewer.size(), fewer.full) == (4, True)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_a_killed_run_loses_its_last_step_only(path: Path, n_envs: int) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from sb3_model import ACTION, OBS, transitions
from stream_store.sb3 import StreamReplayBuffer
buffer = StreamReplayBuffer(100, OBS, ACTION, "cpu", {n_envs}, path={str(path)!r})
for arguments in transitions(20, {n_envs}, ends=0.0):
    buffer.add(*arguments)
os._exit(0)
"""
    for run in range(1, 3):
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
        buffer = StreamReplayBuffer(100, OBS, ACTION, "cpu", n_envs, path=path)
        assert buffer.size() == 19 * run
        firsts = np.asarray(buffer.observations)[:19, 0, 0].tolist()
        lasts = np.asarray(buffer.next_observations)[:19, 0, 0].tolist()
        followed = dict(zip(firsts, lasts, strict=True))
        for obs, following, *_ in list(transitions(20, n_envs, ends=0.0))[:19]:
            assert followed[float(obs[0, 0])] == following[0, 0]
        buffer.close()


def test_saving_does_not_change_what_is_drawn(path: Path) -> None:
    given = {"n_steps": 3, "gamma": 0.9}
    saved = StreamReplayBuffer(50, OBS, ACTION, "cpu", 2, path=path, **given)
    other = StreamReplayBuffer(50, OBS, ACTION, "cpu", 2, **given)
    for number, arguments in enumerate(transitions(40, 2)):
        saved.add(*arguments)
        other.add(*arguments)
        if number % 7 == 0:
            assert copy.copy(saved).size() == saved.size()
            pickle.dumps(saved)
        slots = np.arange(saved.size() * 2)
        assert_same_batch(saved._batch(slots, None), other._batch(slots, None))


@pytest.mark.parametrize("where", [None, "run"])
def test_reset_removes_all_transitions(tmp_path: Path, where: str | None) -> None:
    path = None if where is None else tmp_path / where
    buffer = StreamReplayBuffer(20, OBS, ACTION, "cpu", 2, path=path, priorities=Priorities())
    add(buffer, 50, 2)
    if path is not None:
        buffer.store.drop_before(30)
    buffer.sample(8)
    buffer.reset()
    assert (buffer.size(), buffer.pos, buffer.full, buffer.last_batch) == (0, 0, False, None)
    with pytest.raises(ValueError, match="empty"):
        buffer.sample(1)
    add(buffer, 3, 2, seed=5)
    assert buffer.sample(30).observations.shape == (30, 3)
    if path is not None:
        buffer.close()
        assert StreamReplayBuffer(20, OBS, ACTION, "cpu", 2, path=path).size() == 3


# --- errors ---


def test_a_store_of_another_form_is_refused(path: Path) -> None:
    buffer = StreamReplayBuffer(40, OBS, ACTION, "cpu", 4, path=path)
    add(buffer, 3, 4)
    for change in ({"n_envs": 2}, {"buffer_size": 80}, {"action_space": spaces.Discrete(2)}):
        given = {"buffer_size": 40, "action_space": ACTION, "n_envs": 4} | change
        with pytest.raises(ValueError, match=r"of this process has this store open with"):
            StreamReplayBuffer(observation_space=OBS, path=path, **given)
    buffer.close()
    with pytest.raises(ValueError, match=r"transitions of 2 environments but found .* 4"):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", 2, path=path)
    with pytest.raises(
        ValueError, match="cannot hold the transitions of these spaces and n_envs=1"
    ):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", 1, path=path)
    with pytest.raises(FileExistsError):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", 4, path=path, mode="x")
    with StreamStore(path), pytest.raises(LockedError, match="this process already has it open"):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", 4, path=path)
    assert StreamReplayBuffer(40, OBS, ACTION, "cpu", 4, path=path).size() == 3


def test_an_empty_path_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^path is empty; None makes a temporary store$"):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", path="")


@pytest.mark.parametrize("keys", [False, True])
def test_a_store_of_other_spaces_names_each_field_that_differs(path: Path, keys: bool) -> None:
    def space(size: int) -> spaces.Space:
        box = spaces.Box(-1, 1, (size,), np.float32)
        return spaces.Dict({"near": box, "far": spaces.Discrete(3)}) if keys else box

    StreamReplayBuffer(40, space(3), spaces.Discrete(2), "cpu", path=path).close()
    name = "obs.near" if keys else "obs"
    with pytest.raises(
        ValueError,
        match=rf"field '{name}': expected packed float32\[4\] but found packed float32\[3\]; "
        r"field 'action': expected packed float32\[2\] but found int64$",
    ):
        StreamReplayBuffer(40, space(4), spaces.Box(-1, 1, (2,)), "cpu", path=path)
    with pytest.raises(ValueError, match=r"field 'env': expected int32 but found no such field$"):
        StreamReplayBuffer(40, space(3), spaces.Discrete(2), "cpu", 2, path=path)


def test_a_store_of_something_else_is_described(path: Path) -> None:
    StreamStore(path, fields={"obs": "string", "n": "int64"}).close()
    with pytest.raises(ValueError, match=r"field 'obs': expected .* but found string.*and 4 more"):
        StreamReplayBuffer(40, OBS, ACTION, "cpu", path=path)


AT_EXIT = """
import builtins, sys
import numpy as np
from gymnasium import spaces
from stream_store import MemmapBuffer
from stream_store.sb3 import StreamReplayBuffer

buffer = StreamReplayBuffer(9, spaces.Box(-1, 1, (3,)), spaces.Discrete(2), "cpu", path=PATH)
obs = np.zeros((1, 3), np.float32)
buffer.add(obs, obs, np.zeros(1), np.zeros(1), np.zeros(1, bool), [{}])
# Modules that are still referred to are cleared before what builtins refers to is destroyed.
modules = [module for name, module in sys.modules.items() if name.startswith("stream_store")]
builtins.kept = [modules, buffer, MemmapBuffer("int64")]
"""


@pytest.mark.parametrize("temporary", [False, True])
def test_a_buffer_that_outlives_the_modules_ends_silently(temporary: bool, tmp_path: Path) -> None:
    where = None if temporary else str(tmp_path / "replay")
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT.replace("PATH", repr(where))],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.stderr == ""
    if not temporary:
        with StreamStore(tmp_path / "replay", "r") as store:
            assert store.num_rows == 2
        (tmp_path / "replay").rename(tmp_path.with_suffix(".read"))
    assert list(tmp_path.iterdir()) == []


def test_a_saved_buffer_whose_store_is_gone_is_an_error(path: Path) -> None:
    buffer = StreamReplayBuffer(40, OBS, ACTION, "cpu", path=path)
    add(buffer, 3)
    saved = pickle.dumps(buffer)
    buffer.close()
    path.rename(path.with_name("moved"))
    with pytest.raises(FileNotFoundError, match="in a store that is not there"):
        pickle.loads(saved)
    assert not path.exists()
