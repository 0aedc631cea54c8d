"""A learner on one host samples the rows that a collector records on another one.

    python examples/learn_on_another_host.py [--seconds 15] [--url file:///tmp/shipped]

The collector records a pendulum that is pushed at random, and ships its store to a URL. The learner
mirrors it from there into a replica, draws windows from the replica with an ordinary WindowSampler,
and learns by gradient descent to predict the next state. It prints the number of rows, the lag (the
age of the newest row that it has) and the error, once a second.

Without a role, both run here, as two processes that share only the URL; by default it is a
directory that is deleted at the end. On two hosts, start one role on each:

    python examples/learn_on_another_host.py --role collector --url s3://bucket/pendulum
    python examples/learn_on_another_host.py --role learner --url s3://bucket/pendulum

Needs `pip install 'stream-store[remote]'`. The lag compares the clocks of the two hosts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from stream_store import Mirror, Shipper, StreamStore, WindowSampler

FIELDS = {
    "episode": "int64",
    "state": "float64[3]",  # cosine and sine of the angle, speed
    "push": "float64",
    "time": "float64",
}
ROWS_PER_SECOND = 1000
EPISODE = 200  # rows


def collect(url: str, path: Path, seconds: float) -> None:
    """Record at a steady rate, and ship every half second."""
    rng = np.random.default_rng(0)
    angle = speed = 0.0
    end = time.monotonic() + seconds
    started = time.monotonic()
    with StreamStore(path, fields=FIELDS) as store, Shipper(store, url, every=0.5):
        first = store.num_rows
        while time.monotonic() < end:
            row = store.num_rows
            if row % EPISODE == 0:
                angle, speed = rng.uniform(-np.pi, np.pi), rng.uniform(-1.0, 1.0)
            push = rng.uniform(-2.0, 2.0)
            state = [np.cos(angle), np.sin(angle), speed]
            now = {"episode": row // EPISODE, "state": state, "push": push, "time": time.time()}
            store.append_step(now)
            speed += 0.05 * (15.0 * np.sin(angle) + 3.0 * push)
            speed = float(np.clip(speed, -8.0, 8.0))
            angle += 0.05 * speed
            ahead = started + (row - first) / ROWS_PER_SECOND - time.monotonic()
            if ahead > 0.01:
                time.sleep(ahead)
        print(f"collector: {store.num_rows:,} rows recorded", flush=True)


def learn(url: str, path: Path, seconds: float) -> None:
    """Mirror, and learn from the replica while it grows."""
    weights = np.zeros((5, 3))
    end = time.monotonic() + seconds
    with (
        Mirror(url, path, every=0.2) as mirror,
        StreamStore(path, "r", wait=60 + seconds) as replica,
    ):
        sampler = WindowSampler(
            replica, 2, unit="row", batch_size=256, segment_by="episode", seed=1
        )
        shown = time.monotonic()
        while time.monotonic() < end:
            batch = sampler.sample()
            state, push = batch["state"], batch["push"][:, :1]
            inputs = np.hstack([state[:, 0], push, np.ones((len(push), 1))])
            error = inputs @ weights - (state[:, 1] - state[:, 0])
            weights -= 0.02 * inputs.T @ error / len(push)
            if time.monotonic() - shown > 1:
                shown = time.monotonic()
                lag = time.time() - replica.row(-1)["time"]
                print(
                    f"learner: {replica.num_rows:>7,} rows; lag {lag:5.2f} s; "
                    f"error of the prediction {np.mean(error**2):.5f}",
                    flush=True,
                )
        if mirror.error is not None:
            raise mirror.error


def both(url: str, directory: Path, seconds: float) -> None:
    """Run each role in a process of its own."""
    command = [sys.executable, __file__, "--url", url, "--seconds", str(seconds)]
    roles = [
        subprocess.Popen([*command, "--role", role, "--store", str(directory / role)])
        for role in ("collector", "learner")
    ]
    codes = [process.wait() for process in roles]
    if any(codes):
        raise SystemExit(f"exit codes of collector and learner: {codes}")
    with StreamStore(directory / "learner", "r") as replica:
        print(f"the replica has {replica.num_rows:,} rows and verifies: {replica.verify().ok}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn on one host from rows of another one.")
    parser.add_argument("--role", choices=("collector", "learner"), help="only this part")
    parser.add_argument(
        "--url", help="where the store is shipped: s3://…, gs://…, az://…, file://…"
    )
    parser.add_argument("--store", type=Path, help="directory of the store or of the replica")
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    if arguments.role is None:
        with tempfile.TemporaryDirectory() as directory:
            both(arguments.url or f"file://{directory}/remote", Path(directory), arguments.seconds)
        return
    if arguments.url is None:
        parser.error("a role needs --url")
    store = arguments.store or Path(f"pendulum-{arguments.role}")
    run = collect if arguments.role == "collector" else learn
    run(arguments.url, store, arguments.seconds)


if __name__ == "__main__":
    main()
