"""StreamReplayBuffer against the buffers of Stable-Baselines3: calls, training time, learning.

    python benchmarks/python/bench_sb3.py
    python benchmarks/python/bench_sb3.py calls [--rounds 40]
    python benchmarks/python/bench_sb3.py training [--steps 3000] [--runs 5]
    python benchmarks/python/bench_sb3.py learning [--steps 20000] [--seeds 5]

calls     CPU time of one `add` and one `sample(256)`, in turns; the least of all rounds.
training  CPU time of DQN on CartPole and SAC on Pendulum with each buffer, in turns of 100 steps.
learning  DQN on CartPole with each buffer and several seeds: the mean return of each tenth of the
          episodes. The buffers draw the same transitions for a seed, so that both learn the same;
          our runs use other seeds, and the difference of the means is given in standard errors.

Without an argument, it prints rows of the report for run.py: `add`, `sample(256)` and DQN on
CartPole, with short settings of "calls" and "training".

Times are those of the calling thread, because other programs may run at the same time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import report
from gymnasium import spaces
from stable_baselines3 import DQN, SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

from stream_store.sb3 import StreamReplayBuffer

SLICE = 100  # steps

CASES = {
    "CartPole": (spaces.Box(-1, 1, (4,)), spaces.Discrete(2), 1, 50_000),
    "Pendulum": (spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)), 1, 50_000),
    "Pendulum, 4 environments": (spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)), 4, 50_000),
    "Humanoid": (spaces.Box(-1, 1, (376,)), spaces.Box(-1, 1, (17,)), 1, 20_000),
    "84 x 84 x 4 images": (spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(4), 1, 2000),
}


def seconds(call: Callable[[], object], count: int) -> float:
    began = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - began) / count


def adder(buffer: Any, obs_space: spaces.Box, action_space: spaces.Space) -> Callable[[], None]:
    """A call that adds the next transition of episodes of 100 steps."""
    n = buffer.n_envs
    rng = np.random.default_rng(0)
    obs = [(rng.random((n, *obs_space.shape)) * 9).astype(obs_space.dtype) for _ in range(100)]
    actions = np.array([action_space.sample() for _ in range(n)])
    rewards, infos, step = np.ones(n, np.float32), [{"TimeLimit.truncated": False}] * n, [0]
    dones = [np.full(n, i == 99) for i in range(100)]

    def add() -> None:
        at = step[0] % 100
        buffer.add(obs[at], obs[(at + 1) % 100], actions, rewards, dones[at], infos)
        step[0] += 1

    return add


def call_times(name: str, rounds: int) -> np.ndarray:
    """Microseconds of add with our buffer and theirs, and of sample(256) with both."""
    obs, action, n_envs, size = CASES[name]
    buffers = [
        kind(size, obs, action, "cpu", n_envs) for kind in (StreamReplayBuffer, ReplayBuffer)
    ]
    adds = [adder(buffer, obs, action) for buffer in buffers]
    for _ in range(size // n_envs + 100):
        for add in adds:
            add()
    count = 3 if obs.dtype == np.uint8 else 50
    best = np.full(4, np.inf)
    for _ in range(rounds):
        calls = [(add, 4 * count) for add in adds]
        calls += [(lambda buffer=buffer: buffer.sample(256), count) for buffer in buffers]
        best = np.minimum(best, [seconds(*call) for call in calls])
    return best * 1e6


def measure_calls(rounds: int) -> None:
    print(f"{'µs':28}{'add: ours':>12}{'theirs':>10}{'sample(256): ours':>20}{'theirs':>10}")
    for name in CASES:
        ours, theirs, our_sample, their_sample = call_times(name, rounds)
        print(
            f"{name:28}{ours:12.1f}{theirs:10.1f}{our_sample:20.1f}{their_sample:10.1f}", flush=True
        )


def model(kind: Any, env: str, seed: int, path: str | None, **given: Any) -> Any:
    if path is not None:
        given |= {"replay_buffer_class": StreamReplayBuffer, "replay_buffer_kwargs": {"path": path}}
    return kind("MlpPolicy", make_vec_env(env, seed=seed), seed=seed, device="cpu", **given)


def training_times(kind: Any, env: str, steps: int, runs: int) -> tuple[float, float]:
    """Seconds of training with our buffer and with theirs.

    All models draw the same transitions and learn the same, so that each of them does the same work
    between two steps. They take turns every SLICE steps, and the least time counts for each slice.
    Two models with equal buffers differ by up to a tenth, depending on where their weights are in
    memory, so each run has two models of each kind, made in another order.
    """
    best = np.full((2, steps // SLICE), np.inf)
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            kinds = (0, 1, 1, 0) if run % 2 else (1, 0, 0, 1)  # 0 is ours
            paths = [None if theirs else f"{folder}/{i}" for i, theirs in enumerate(kinds)]
            turns = [
                (who, model(kind, env, 0, path, learning_starts=100, train_freq=1))
                for who, path in zip(kinds, paths, strict=True)
            ]
            for number in range(best.shape[1]):
                for who, one in turns if number % 2 else reversed(turns):
                    began = time.thread_time()
                    one.learn(SLICE, reset_num_timesteps=False)
                    took = time.thread_time() - began
                    best[who, number] = min(best[who, number], took)
            for who, one in turns:
                if who == 0:
                    one.replay_buffer.close()  # before its folder is removed
    ours, theirs = best.sum(axis=1)
    return ours, theirs


def measure_training(steps: int, runs: int) -> None:
    for kind, env in ((DQN, "CartPole-v1"), (SAC, "Pendulum-v1")):
        ours, theirs = training_times(kind, env, steps, runs)
        print(
            f"{kind.__name__} on {env}, {steps} steps: {ours:.3f} s with ours, "
            f"{theirs:.3f} s with theirs, ratio {ours / theirs:.3f}",
            flush=True,
        )


def report_rows(steps: int = 2000, runs: int = 2, rounds: int = 15) -> None:
    for name in ("CartPole", "84 x 84 x 4 images"):
        ours, theirs, our_sample, their_sample = call_times(name, rounds)
        who = "SB3's ReplayBuffer"
        report(f"SB3: add a transition, {name}", ours, None, theirs, who)
        report(f"SB3: sample(256), {name}", our_sample, None, their_sample, who)
    ours, theirs = training_times(DQN, "CartPole-v1", steps, runs)
    report(f"SB3: DQN on CartPole for {steps:,} steps, CPU time", ours, theirs, theirs, who, "s")


def learn(steps: int, seed: int, path: str | None) -> np.ndarray:
    """The mean return of each tenth of a run."""
    made = model(
        DQN, "CartPole-v1", seed, path,
        learning_rate=2.3e-3, batch_size=64, buffer_size=100_000, learning_starts=1000,
        target_update_interval=10, train_freq=256, gradient_steps=128,
        exploration_fraction=0.16, exploration_final_eps=0.04,
        policy_kwargs={"net_arch": [256, 256]},
    )  # fmt: skip
    made.learn(steps)
    if path is not None:
        made.replay_buffer.close()
    env = made.get_env()
    monitor = env.envs[0]
    returns, lengths = (
        np.array(one) for one in (monitor.get_episode_rewards(), monitor.get_episode_lengths())
    )
    tenth = np.minimum(np.cumsum(lengths) * 10 // steps, 9)
    return np.array(
        [returns[tenth == i].mean() if (tenth == i).any() else np.nan for i in range(10)]
    )


def measure_learning(steps: int, seeds: int) -> None:
    curves = {}
    for who, first in (("theirs", 0), ("ours, same seeds", 0), ("ours, other seeds", 1000)):
        runs = []
        for seed in range(first, first + seeds):
            with tempfile.TemporaryDirectory() as folder:
                runs.append(learn(steps, seed, None if who == "theirs" else f"{folder}/run"))
        curves[who] = np.array(runs)
        print(f"{who:20}", *(f"{one:6.0f}" for one in np.nanmean(runs, axis=0)), flush=True)
    same = np.array_equal(curves["theirs"], curves["ours, same seeds"], equal_nan=True)
    print("equal for equal seeds:", same)
    means = [np.nanmean(curves[who], axis=1) for who in ("theirs", "ours, other seeds")]
    error = np.sqrt(sum(one.var(ddof=1) / seeds for one in means))
    print(
        f"mean return {means[0].mean():.1f} with theirs, {means[1].mean():.1f} with ours and other "
        f"seeds: {(means[1].mean() - means[0].mean()) / error:+.2f} standard errors"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["calls", "training", "learning"])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what is None:
        report_rows()
    elif given.what == "calls":
        measure_calls(given.rounds)
    elif given.what == "training":
        measure_training(given.steps or 3000, given.runs)
    else:
        measure_learning(given.steps or 20_000, given.seeds)


if __name__ == "__main__":
    main()
