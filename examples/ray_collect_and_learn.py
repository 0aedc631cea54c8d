"""Collectors and a learner as Ray actors, on one machine or on a cluster.

    python examples/ray_collect_and_learn.py [--collectors 2] [--address auto] [--out ray-output]

1. Each collector is an actor. It plays CartPole with the newest policy, and records every step into
   a store of its own on the disk of its node. With --address, a running cluster is used, and every
   node has the given number of collectors.
2. The learner is an actor, too. `stream_store.ray.Sampler` draws its batches of transitions,
   uniformly from the stores of all nodes, while they grow. It improves the policy by least-squares
   policy iteration (Lagoudakis and Parr, 2003): the value of an action is a quadratic function of
   the observation, and a batch adds to the equations for its weights.
3. When the policy keeps the pole up for at least 475 of 500 steps, on average over ten episodes,
   the program prints the rates and ends. It fails if that takes more than --most-rounds rounds.

Needs the extras `ray` and `gym`: pip install 'stream-store[ray,gym]'.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stream_store import StoreGroup
from stream_store.ray import Sampler

FIELDS = {"episode": "int64", "obs": "float32[4]", "action": "int64", "terminated": "bool"}
SCALES = np.array([0.4, 0.4, 4.0, 0.6])
ACTIONS, FEATURES = 2, 15
DISCOUNT = 0.95
BATCH_SIZE, BATCHES = 256, 60  # of an update of the policy
STEPS = 1000  # that a collector records with one policy
GOAL = 475.0

Array = np.ndarray[Any, Any]


def features(obs: Array) -> Array:
    """1, the scaled observation, and all products of two of its numbers."""
    scaled = obs * SCALES
    first, second = np.triu_indices(4)
    one = np.ones((*obs.shape[:-1], 1))
    return np.concatenate([one, scaled, scaled[..., first] * scaled[..., second]], axis=-1)


def best_action(weights: Array, obs: Array) -> Array:
    return np.argmax(features(obs) @ weights.T, axis=-1)


class Collector:
    """Plays episodes, and records them into a store of its own."""

    def __init__(self, path: Path, seed: int) -> None:
        self._store = StoreGroup(path, fields=FIELDS).writer()
        self._env = gymnasium.make("CartPole-v1")
        self._rng = np.random.default_rng(seed)
        self._seed = seed

    def collect(self, weights: Array | None) -> tuple[int, float]:
        """Record some episodes. Returns the number of steps, and the seconds it took."""
        begin, rows = time.perf_counter(), self._store.num_rows
        while self._store.num_rows - rows < STEPS:
            self._record_episode(weights, 1.0 if weights is None else 0.1)
        return self._store.num_rows - rows, time.perf_counter() - begin

    def _record_episode(self, weights: Array | None, noise: float) -> None:
        number = self._store.num_rows  # of the episode: its first row
        obs, _ = self._env.reset(seed=self._seed + number)
        row = {"episode": number, "terminated": False}
        while True:
            random = weights is None or self._rng.random() < noise
            action = int(self._rng.integers(ACTIONS) if random else best_action(weights, obs))
            self._store.append_step({**row, "obs": obs, "action": action})
            obs, _, terminated, truncated, _ = self._env.step(action)
            if terminated or truncated:
                self._store.append_step({**row, "obs": obs, "terminated": terminated})
                return


class Learner:
    """Improves the policy with batches from the stores of all nodes."""

    def __init__(self, path: Path, nodes: Any) -> None:
        self._sampler = Sampler(
            path,
            nodes=nodes,
            batch_size=BATCH_SIZE,
            ahead=BATCHES,  # so that batches have steps of the last rounds
            segment_by="episode",
            require="action",
            offsets={"obs": [0, 1], "action": [0], "terminated": [1]},
        )
        self._weights = np.zeros((ACTIONS, FEATURES))
        self.batches, self.seconds = 0, 0.0

    def improve(self) -> tuple[Array, int, float]:
        """Update the policy. Returns it, and the batches and seconds it took to draw them."""
        batches, begin = [], time.perf_counter()
        for _ in range(BATCHES):
            batches.append(self._sampler.sample())
        seconds = time.perf_counter() - begin
        self._solve(batches)
        return self._weights, BATCHES, seconds

    def _solve(self, batches: list[Any]) -> None:
        """Solve the linear equations for the values of the actions that the policy takes."""
        size = ACTIONS * FEATURES
        matrix, vector = np.eye(size), np.zeros(size)
        for batch in batches:
            failed = batch["terminated"][:, 0]
            before, after = features(batch["obs"][:, 0]), features(batch["obs"][:, 1])
            following = best_action(self._weights, batch["obs"][:, 1])
            now = by_action(before, batch["action"][:, 0])
            then = by_action(after * ~failed[:, None], following)
            matrix += now.T @ (now - DISCOUNT * then)
            vector -= now.T @ failed.astype(np.float64)  # the reward is -1 when the pole falls
        self._weights = np.linalg.solve(matrix, vector).reshape(ACTIONS, FEATURES)


def by_action(some: Array, actions: Array) -> Array:
    """Features in the columns of their action, and zeros in those of the other one."""
    return np.concatenate([some * (actions == one)[:, None] for one in range(ACTIONS)], axis=1)


def evaluate(weights: Array, episodes: int = 10) -> float:
    """The mean number of steps for which the policy keeps the pole up, without noise."""
    env = gymnasium.make("CartPole-v1")
    steps = 0
    for seed in range(episodes):
        obs, _ = env.reset(seed=10_000 + seed)
        done = False
        while not done:
            obs, _, terminated, truncated, _ = env.step(int(best_action(weights, obs)))
            steps += 1
            done = terminated or truncated
    return steps / episodes


def start_collectors(path: Path, on_each: int) -> list[Any]:
    nodes = sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])
    return [
        ray.remote(Collector)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
        .remote(path, 100_000 * number)
        for number, node in enumerate(node for node in nodes for _ in range(on_each))
    ]


def train(path: Path, arguments: argparse.Namespace) -> bool:
    """Collect and learn at the same time. Returns whether the policy reached the goal."""
    collectors = start_collectors(path, arguments.collectors)
    collected = ray.get([collector.collect.remote(None) for collector in collectors])
    learner = ray.remote(Learner).remote(path, "all" if arguments.address else None)
    weights, drawn, reached = None, [], False
    for number in range(1, arguments.most_rounds + 1):
        recording = [collector.collect.remote(weights) for collector in collectors]
        weights, *rate = ray.get(learner.improve.remote())
        drawn.append(rate)
        mean = evaluate(weights)
        collected += ray.get(recording)
        print(f"round {number:3}: {sum(n for n, _ in collected):7,} steps, pole up for {mean:.1f}")
        if reached := mean >= GOAL:
            break
    steps, seconds = np.sum(collected, axis=0)
    batches, wait = np.sum(drawn, axis=0)
    print(f"a collector recorded {steps / seconds:,.0f} steps/s; there were {len(collectors)}")
    print(f"the learner drew {batches / wait:,.0f} batches/s of {BATCH_SIZE} transitions")
    return bool(reached)


def main() -> None:
    parser = argparse.ArgumentParser(description="Collect and learn with actors of Ray.")
    parser.add_argument("--address", help="of a cluster, or auto; default: Ray on this machine")
    parser.add_argument("--collectors", type=int, default=2, help="on each node")
    parser.add_argument("--most-rounds", type=int, default=60)
    parser.add_argument(
        "--out", type=Path, default=Path("ray-output"), help="replaced on this node"
    )
    arguments = parser.parse_args()
    if arguments.collectors < 1 or arguments.most_rounds < 1:
        parser.error("--collectors and --most-rounds must be at least 1")
    shutil.rmtree(arguments.out, ignore_errors=True)
    ray.init(arguments.address or "local", log_to_driver=False, logging_level="ERROR")
    try:
        if not train(arguments.out.absolute(), arguments):
            raise SystemExit(f"the policy did not reach {GOAL} steps")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
