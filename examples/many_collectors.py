"""Eight collectors that are killed and come back, and one learner that samples from all of them.

    python examples/many_collectors.py [--collectors 8] [--seconds 20] [--out collectors-output]

1. Each collector is a process (this file with --collect) that drives a pendulum of its own with a
   noisy policy and appends each step to a store of its own in the group `out`.
2. The learner samples transitions uniformly from whatever exists and fits a model of the pendulum:
   the next angle and velocity from angle, velocity and torque.
3. Every second a collector is killed with SIGKILL. Half of them go on in their old stores; the
   others are replaced by collectors with new stores.

A collector that is killed leaves an episode without an end. The next one in its store begins a new
episode, so the episodes are told apart by their numbers, not by a flag on their last rows.

At the end each store is verified. The program fails if a row that a collector had appended before
it was killed is missing, if a window mixes two stores or episodes, or if the model has not become
ten times better.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np

from stream_store import StoreGroup, StreamStore, WindowSampler

FIELDS = {
    "collector": "int64",
    "number": "int64",  # of the step in its store
    "state": "float32[2]",  # angle and velocity
    "torque": "float32",
    "episode": "int64",
}
EPISODE = 200  # steps
STEP_SECONDS = 0.05
PAUSE = 0.0005  # between the steps of a collector, as for a simulator that takes time


# --- a collector ---


def next_state(state: np.ndarray, torque: float) -> np.ndarray:
    """One step of a pendulum with friction."""
    angle, velocity = state
    velocity = velocity + STEP_SECONDS * (9.81 * np.sin(angle) - 0.1 * velocity + torque)
    return np.array([angle + STEP_SECONDS * velocity, velocity], np.float32)


def collect(out: Path, number: int, name: str | None) -> None:
    """Append steps until the process is killed; print how many rows there are, now and then."""
    rng = np.random.default_rng()
    store = StoreGroup(out).writer(name)
    print(store.path.name, store.num_rows, flush=True)  # type: ignore[union-attr]
    first = int(store.row(-1)["episode"]) + 1 if store.num_rows else 0
    for episode in itertools.count(first):
        state = rng.uniform(-1, 1, 2).astype(np.float32)
        for _ in range(EPISODE):
            torque = float(rng.normal())
            store.append_step(
                {
                    "collector": number,
                    "number": store.num_rows,
                    "state": state,
                    "torque": torque,
                    "episode": episode,
                }
            )
            state = next_state(state, torque)
            time.sleep(PAUSE)
        print(store.path.name, store.num_rows, flush=True)  # type: ignore[union-attr]


class Collector:
    """A process that collects; it is started again after it was killed."""

    def __init__(self, out: Path, number: int) -> None:
        self.out, self.number = out, number
        self.names: list[str] = []
        self.start(None)

    def start(self, name: str | None) -> None:
        command = [sys.executable, __file__, "--out", str(self.out), "--collect", str(self.number)]
        command += [] if name is None else ["--name", name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.names.append(self.line()[0])

    def line(self) -> tuple[str, int]:
        """The name of the store and the number of rows that the process prints next."""
        assert self.process.stdout is not None
        name, rows = self.process.stdout.readline().split()
        return name, int(rows)

    def kill(self) -> tuple[str, int]:
        """Kill the process. Returns its store and the rows that it said it had appended."""
        self.process.send_signal(signal.SIGKILL)
        lines = self.process.communicate()[0].splitlines()
        whole = [line.split() for line in lines if len(line.split()) == 2]
        return self.names[-1], int(whole[-1][1]) if whole else 0


# --- the learner ---


class Model:
    """Predicts how much a state changes, linearly in a few features; trained by Adam."""

    def __init__(self) -> None:
        self.weights = np.zeros((4, 2))
        self.mean, self.square, self.updates = np.zeros((4, 2)), np.zeros((4, 2)), 0

    @staticmethod
    def features(state: np.ndarray, torque: np.ndarray) -> np.ndarray:
        angle, velocity = state[:, 0], state[:, 1]
        return np.stack([np.sin(angle), velocity, torque, np.ones(len(state))], axis=1)

    def errors(self, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        inputs = self.features(batch["state"][:, 0], batch["torque"][:, 0])
        change = batch["state"][:, 1] - batch["state"][:, 0]
        return inputs, inputs @ self.weights - change

    def update(self, batch: dict[str, np.ndarray], rate: float = 0.01) -> None:
        inputs, errors = self.errors(batch)
        gradient = inputs.T @ errors / len(errors)
        self.updates += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.99 * self.square + 0.01 * gradient**2
        mean = self.mean / (1 - 0.9**self.updates)
        square = self.square / (1 - 0.99**self.updates)
        self.weights -= rate * mean / (np.sqrt(square) + 1e-8)


def sampler_of(group: StoreGroup) -> WindowSampler:
    return WindowSampler(group, 2, unit="row", segment_by="episode", batch_size=256)


def check(batch: dict[str, np.ndarray]) -> None:
    """Each window is two consecutive rows of one episode in one store."""
    assert (batch["collector"][:, 0] == batch["collector"][:, 1]).all()
    assert (batch["number"][:, 0] + 1 == batch["number"][:, 1]).all()
    assert (batch["episode"][:, 0] == batch["episode"][:, 1]).all()


def learn(group: StoreGroup, seconds: float) -> tuple[float, float]:
    """Train for a while. Returns the mean squared errors before and after."""
    model, sampler = Model(), sampler_of(group)
    if not sampler.wait(60):
        raise SystemExit("no transition was recorded within a minute")
    first = float(np.square(model.errors(sampler.sample())[1]).mean())
    began = shown = time.monotonic()
    batches = 0
    while time.monotonic() - began < seconds:
        batch = sampler.sample()
        check(batch)
        model.update(batch)
        batches += 1
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            error = float(np.square(model.errors(batch)[1]).mean())
            group.refresh()
            print(
                f"{shown - began:4.0f} s: {len(group):3} stores, {group.kept_rows:8,} rows, "
                f"{batches / (shown - began):6,.0f} batches of 256 a second, error {error:.2e}",
                flush=True,
            )
    return first, float(np.square(model.errors(sampler.sample())[1]).mean())


# --- both together ---


class Disturber(Thread):
    """Kills a collector every second, and starts it again or another one in its place."""

    def __init__(self, collectors: list[Collector]) -> None:
        super().__init__()
        self.collectors, self.kills = collectors, 0
        self.appended: dict[str, int] = {}  # by name of the store
        self.over = Event()

    def run(self) -> None:
        while not self.over.wait(1.0):
            collector = self.collectors[self.kills % len(self.collectors)]
            self.kills += 1
            name = self.kill(collector)
            collector.start(name if self.kills % 2 else None)

    def kill(self, collector: Collector) -> str:
        name, rows = collector.kill()
        self.appended[name] = max(rows, self.appended.get(name, 0))
        return name

    def end(self) -> None:
        self.over.set()
        self.join()
        ended = [each.number for each in self.collectors if each.process.poll() is not None]
        for collector in self.collectors:
            self.kill(collector)
        if ended:
            raise SystemExit(f"collectors {ended} ended by themselves")


def run(out: Path, count: int, seconds: float) -> None:
    shutil.rmtree(out, ignore_errors=True)
    group = StoreGroup(out, fields=FIELDS)
    collectors = [Collector(out, number) for number in range(count)]
    disturber = Disturber(collectors)
    disturber.start()
    try:
        first, last = learn(group, seconds)
    finally:
        disturber.end()
    group.refresh()
    report(group, disturber.appended, disturber.kills)
    print(f"error of the model: {first:.2e} before, {last:.2e} after")
    if not last * 10 < first:
        raise SystemExit("the model has not become ten times better")


def report(group: StoreGroup, appended: dict[str, int], kills: int) -> None:
    """Verify the stores, and compare them with the rows that the collectors had appended."""
    bad = [name for name, found in group.verify().items() if not found.ok]
    lost = [name for name, rows in appended.items() if group[name].num_rows < rows]
    for name, store in group.items():
        check_rows(name, store)
    print(
        f"{kills} kills, {len(group)} stores, {group.kept_rows:,} rows; damaged stores: "
        f"{len(bad)}; stores that lost rows: {len(lost)}"
    )
    if bad or lost:
        raise SystemExit(f"damaged: {bad}; lost rows: {lost}")


def check_rows(name: str, store: StreamStore) -> None:
    """The rows of a store are numbered without a gap, even after a collector was replaced."""
    if (
        store.num_rows
        and not (
            store.read_rows(slice(None), fields=["number"])["number"] == np.arange(store.num_rows)
        ).all()
    ):
        raise SystemExit(f"{name}: rows are missing")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--collectors", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, default=Path("collectors-output"))
    parser.add_argument("--collect", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.collect is not None:
        collect(given.out, given.collect, given.name)
    else:
        run(given.out, given.collectors, given.seconds)


if __name__ == "__main__":
    main()
