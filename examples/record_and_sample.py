"""The demo: record environments into stores on disk while a second process samples them.

    python examples/record_and_sample.py [--steps 200000] [--out demo-output]

1. Records CartPole-v1 and Pendulum-v1, `--steps` steps each, into one store each.
2. Meanwhile, a second process (demo/follow.py) opens the store by its path and samples it.
3. Opens the stores again and compares every row with the recorded data, bit by bit.
4. Prints a table and saves demo.png: episodes read back, and the time of a window by store size.

Needs the extra `demo`: pip install 'stream-store[demo]'. The parts are in demo/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
from demo.compare import compare
from demo.follow import WIDTH, WINDOWS
from demo.picture import Curve, draw, good_episode, window_times
from demo.record import Log, record
from demo.tasks import TASKS, Task, fields_of
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from stream_store import StreamStore


class Learner:
    """The second process and the reports that it prints."""

    def __init__(self, path: Path) -> None:
        script = Path(__file__).parent / "demo" / "follow.py"
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.reports: list[dict[str, Any]] = []
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.reports.append(json.loads(line))

    @property
    def windows(self) -> int:
        return self.reports[-1]["windows"] if self.reports else 0

    def close(self) -> None:
        """Close its standard input, which ends it, and wait for its last report."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait(timeout=60)
        self._reading.join()
        if code != 0:
            raise RuntimeError(f"the second process failed with exit status {code}")


@dataclass
class Result:
    """The results of one environment, for the table and the chart."""

    task: Task
    log: Log
    facts: dict[str, str] = field(default_factory=dict)
    episode: dict[str, Any] = field(default_factory=dict)
    live: Curve = field(default_factory=lambda: Curve("", [], []))
    after: Curve = field(default_factory=lambda: Curve("", [], []))


def collect(task: Task, path: Path, steps: int, progress: Progress) -> tuple[Log, Learner]:
    """Record one environment while a second process samples the store."""
    bar = progress.add_task(task.name, total=steps, sampled="")
    env = gymnasium.make(task.name)
    with contextlib.closing(Learner(path)) as learner:

        def watch(taken: int) -> None:
            progress.update(
                bar, completed=min(taken, steps), sampled=f"{learner.windows:>9,} windows sampled"
            )

        with StreamStore(path, mode="x", fields=fields_of(env)) as store:
            log = record(store, env, task.policy, steps, seed=1, watch=watch)
            store.sync()
            time.sleep(0.1)  # time for the learner to see the last rows
    watch(log.steps)
    env.close()
    return log, learner


def examine(task: Task, path: Path, log: Log, learner: Learner) -> Result:
    """Open the store again, compare it with the recorded data, and measure it."""
    begin = time.perf_counter()
    store = StreamStore(path, mode="r")
    opened = time.perf_counter() - begin
    begin = time.perf_counter()
    compared = compare(store, log)
    took = time.perf_counter() - begin
    last = learner.reports[-1]
    if last["rows"] < log.rows - 1:
        raise AssertionError(f"the second process saw {last['rows']} of {log.rows} rows")
    times = [report for report in learner.reports if report["microseconds"] is not None]
    result = Result(task, log)
    result.after = window_times(store, WINDOWS, WIDTH)
    result.after.name = task.name
    result.live = Curve(
        task.name, [one["values"] for one in times], [one["microseconds"] for one in times]
    )
    on_disk = sum(file.stat().st_size for file in path.iterdir())
    result.facts = {
        "steps recorded": f"{log.steps:,}",
        "episodes": f"{len(log.first_rows):,}",
        "rows": f"{store.num_rows:,}",
        "field-writes": f"{store.num_field_writes:,}",
        "values": f"{len(store):,}",
        "steps per second, environment included": f"{log.steps / log.seconds:,.0f}",
        "time of an append": f"{log.append_seconds / log.appends * 1e6:.2f} µs",
        "share of the time spent in append": f"{100 * log.append_seconds / log.seconds:.1f} %",
        "size on disk": f"{on_disk / 1e6:.1f} MB",
        "bytes per value, index included": f"{store.nbytes / max(len(store), 1):.1f}",
        "windows sampled meanwhile": f"{last['windows']:,}",
        "row windows sampled meanwhile": f"{last['row_windows']:,}",
        "time of a window, smallest store": f"{result.after.microseconds[0]:.2f} µs",
        "time of a window, whole store": f"{result.after.microseconds[-1]:.2f} µs",
        "opening the closed store": f"{opened * 1e3:.1f} ms",
        "compared with the recorded data": f"{compared:,} field-writes, {took:.1f} s",
        "differences": "none",
    }
    result.episode = good_episode(store)
    store.close()
    return result


def print_table(console: Console, results: list[Result], out: Path) -> None:
    table = Table(title="Recorded, sampled, read back")
    table.add_column("")
    for result in results:
        table.add_column(result.task.name, justify="right")
    for name in results[0].facts:
        table.add_row(name, *(result.facts[name] for result in results))
    console.print(table)
    console.print(f"Stores and chart: {out}", soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Record environments, sample them from a second process, check."
    )
    parser.add_argument("--steps", type=int, default=200_000, help="steps of each environment")
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder for the results"
    )
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps must be at least 1")
    console = Console()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[sampled]}"),
        TimeElapsedColumn(),
    )
    results = []
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for task in TASKS:
            path = out / task.name
            if (path / "control").exists():  # a store of an earlier run
                shutil.rmtree(path)
            log, learner = collect(task, path, arguments.steps, progress)
            results.append(examine(task, path, log, learner))
    episodes = {result.task.name: result.episode for result in results}
    draw(out / "demo.png", episodes, [one.live for one in results], [one.after for one in results])
    print_table(console, results, out)


if __name__ == "__main__":
    main()
