"""Rates of stream_store.ray on this machine.

    python benchmarks/python/ray_rates.py [--rows 500000] [--runs 5]

Prints rows as the other programs of this folder do, but only `make bench ONLY=ray` runs it, because
it needs the extra `ray`:

- rows per second of `stream_store.ray.read` and of `ray.data.read_parquet` on the same rows, both
  alternating, the best of several runs: as blocks in the object store, and as batches of NumPy;
- batches per second of `stream_store.ray.Sampler` and of a `WindowSampler` in this process, for 256
  windows of 12 rows inside episodes, in the same way.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import ray
import ray.data
from common import report

import stream_store.ray
from stream_store import StoreGroup, WindowSampler

FIELDS = {"obs": "float32[17]", "action": "int64", "reward": "float32", "end": "bool"}
STORES = 4
READ_GOAL, SAMPLER_GOAL = 0.8, 0.5  # at least these parts of the rate of the other
BATCHES = 2000


def write_both(directory: Path, rows: int) -> None:
    """The same rows as a group of stores and as Parquet files of equal number."""
    rng = np.random.default_rng(0)
    (directory / "parquet").mkdir()
    group = StoreGroup(directory / "group", fields=FIELDS)
    for number in range(STORES):
        count = rows // STORES
        with group.writer(str(number)) as store:
            store.extend(
                {
                    "obs": rng.normal(size=(count, 17)),
                    "action": rng.integers(0, 4, count),
                    "reward": rng.normal(size=count),
                    "end": np.arange(count) % 200 == 199,
                }
            )
            table = store.to_arrow().read_all().replace_schema_metadata(None)
        pq.write_table(table, directory / "parquet" / f"{number}.parquet")


def best_rates(work: dict[str, Callable[[], int]], runs: int) -> dict[str, float]:
    """The best rate of each, in units per second, after one run that does not count."""
    best = dict.fromkeys(work, 0.0)
    for run in range(runs + 1):
        for name, function in work.items():
            begin = time.perf_counter()
            units = function()
            rate = units / (time.perf_counter() - begin)
            if run > 0:
                best[name] = max(best[name], rate)
    return best


def count_blocks(dataset: Any) -> int:
    return sum(bundle.num_rows() for bundle in dataset.iter_internal_ref_bundles())


def count_batches(dataset: Any) -> int:
    batches: Iterable[Any] = dataset.iter_batches(batch_size=8192, batch_format="numpy")
    return sum(len(batch["action"]) for batch in batches)


def compare_reads(directory: Path, runs: int) -> None:
    for what, count in (("blocks", count_blocks), ("batches of NumPy", count_batches)):
        rates = best_rates(
            {
                "ours": lambda count=count: count(stream_store.ray.read(directory / "group")),  # type: ignore[misc]
                "theirs": lambda count=count: count(  # type: ignore[misc]
                    ray.data.read_parquet(str(directory / "parquet"))
                ),
            },
            runs,
        )
        report(
            f"stream_store.ray.read, {what}",
            rates["ours"] / 1e6,
            READ_GOAL * rates["theirs"] / 1e6,
            rates["theirs"] / 1e6,
            "ray.data.read_parquet",
            unit="million rows/s",
            more_is_better=True,
        )


def compare_samplers(directory: Path, runs: int) -> None:
    arguments: dict[str, Any] = {"length": 12, "batch_size": 256, "segment_by": "end"}
    local = WindowSampler(StoreGroup(directory / "group"), unit="row", **arguments)
    with stream_store.ray.Sampler(directory / "group", **arguments) as sampler:

        def draw(one: Any) -> int:
            for _ in range(BATCHES):
                one.sample()
            return BATCHES

        rates = best_rates({"ours": lambda: draw(sampler), "theirs": lambda: draw(local)}, runs)
    report(
        "stream_store.ray.Sampler, 256 windows of 12 rows",
        rates["ours"],
        SAMPLER_GOAL * rates["theirs"],
        rates["theirs"],
        "WindowSampler in this process",
        unit="batches/s",
        more_is_better=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    with tempfile.TemporaryDirectory() as place:
        write_both(Path(place), arguments.rows)
        compare_reads(Path(place), arguments.runs)
        compare_samplers(Path(place), arguments.runs)
    ray.shutdown()


if __name__ == "__main__":
    main()
