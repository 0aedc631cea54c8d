"""Run every benchmark and write a report: `make bench`.

Builds and runs the C++ benchmarks, runs those in benchmarks/python and the comparison with other
stores, and writes benchmarks/results: latest.json, latest.md and charts. Both sides of a ratio are
from one run, and a figure is the least of several. `python benchmarks/report.py` puts the last run
into the documents.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import report
from sizes import SIZES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"
RESULTS = HERE / "results"

Row = dict[str, Any]


def run(*command: str | Path) -> str:
    """Return the standard output of a command. Its standard error is passed through."""
    print("  " + " ".join(str(part) for part in command), file=sys.stderr, flush=True)
    return subprocess.run(
        [str(part) for part in command], check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def build() -> None:
    """Build the C++ benchmarks, optimised."""
    if not (BUILD / "CMakeCache.txt").exists():
        options = [
            "-DCMAKE_BUILD_TYPE=Release",
            "-DSTREAMSTORE_BUILD_TESTS=OFF",
            "-DSTREAMSTORE_BUILD_PYTHON=OFF",
        ]
        run("cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja", *options)
    run("cmake", "--build", BUILD, "-j", str(os.cpu_count() or 1))


def google_benchmark(program: str, *options: str) -> dict[str, float]:
    """Return the least nanoseconds per call, by benchmark name."""
    scale = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
    text = run(BUILD / "benchmarks" / program, "--benchmark_format=json", *options)
    least: dict[str, float] = {}
    for entry in json.loads(text)["benchmarks"]:
        if entry.get("aggregate_name", "min") == "min":
            name = entry["run_name"].split("/iterations")[0]
            nanoseconds = entry["real_time"] * scale[entry["time_unit"]]
            least[name] = min(least.get(name, float("inf")), nanoseconds)
    return least


def append_rows() -> list[Row]:
    """Measure the C++ append, in one and in two calls, against bare stores of the same bytes."""
    least = google_benchmark("cpp/append_bench")
    steps = 2000  # per run of append_bench
    bare = least["BareStores"] / steps
    rows: list[Row] = []
    for name, task, goal in (
        ("OneCall", "C++ append of a step, 4 fields, 11 values", 30),
        ("TwoCalls", "C++ append of the same step in two calls", 45),
        ("Extend", "C++ extend, per row", None),
    ):
        ours = least[name] / steps
        rows.append(
            {
                "task": task,
                "unit": "ns",
                "ours": ours,
                "theirs": bare,
                "competitor": "bare stores",
                "goal": goal,
            }
        )
    return rows


def window_rows() -> list[Row]:
    """Measure windows of 128 values, three columns, against memcpy of the same bytes."""
    least = google_benchmark(
        "cpp/windows_bench", "--benchmark_filter=Windows/", "--benchmark_repetitions=5"
    )
    return [
        {
            "task": f"C++ {windows} x 128 values, {steps:,} steps",
            "unit": "µs",
            "ours": least[f"BM_ReadWindows/{steps}/{windows}"] / 1e3,
            "theirs": least[f"BM_MemcpyWindows/{steps}/{windows}"] / 1e3,
            "competitor": "memcpy",
            "goal": None,
        }
        for steps in SIZES
        for windows in (1, 256)
    ]


def sampling_rows() -> list[Row]:
    """Measure 256 row windows, read and sampled, against memcpy of their stored bytes."""
    options = ("--benchmark_repetitions=5", "--benchmark_min_time=0.1")
    least = google_benchmark("cpp/sampling_bench", *options)
    kinds = {
        "ReadRows/{}/0": "rows read",
        "SampleRows/{}/0": "rows sampled",
        "SampleRows/{}/2": "rows sampled by segments",
    }
    return [
        {
            "task": f"C++ 256 x 12 {text}, {steps:,} steps",
            "unit": "µs",
            "ours": least[name.format(steps)] / 1e3,
            "theirs": least[f"Memcpy/{steps}"] / 1e3,
            "competitor": "memcpy of the stored bytes",
            "goal": None,
        }
        for steps in SIZES
        for name, text in kinds.items()
    ]


def lanes_rows() -> list[Row]:
    """Measure samplers of rows that 16 agents store in turn, against others on the same data."""
    options = ("--benchmark_repetitions=5", "--benchmark_min_time=0.1")
    least = google_benchmark("cpp/lanes_bench", *options)
    # Numbers of `How` in lanes_bench.cc: that of the sampler, and that of its competitor.
    kinds = (
        ("256 x 12 sampled by key", 2, "lanes=16", 1, 1.3),
        ("256 x 12 sampled by key right after an append", 7, "lanes=16", 6, 1.3),
        ("256 x 12 sampled by key, rows left out", 3, "by key", 2, 1.1),
        ("256 x (2 observations, 12 actions) by offsets", 4, "by key", 2, None),
        ("15 whole segments of 200 by key", 5, "256 x 12 by key", 2, None),
    )
    rows: list[Row] = [
        {
            "task": f"C++ {task}, 16 agents, {steps:,} steps",
            "unit": "µs",
            "ours": least[f"SampleRows/{steps}/16/{how}"] / 1e3,
            "theirs": least[f"SampleRows/{steps}/16/{other}"] / 1e3,
            "competitor": name,
            "goal": most and most * least[f"SampleRows/{steps}/16/{other}"] / 1e3,
        }
        for steps in SIZES[1:]
        for task, how, name, other, most in kinds
    ]
    rows += [
        {
            "task": f"C++ first count of windows by key, {agents:,} agents, {SIZES[2]:,} steps",
            "unit": "ms",
            "ours": least[f"FirstCount/{SIZES[2]}/{agents}/2"] / 1e6,
            "theirs": least[f"FirstCount/{SIZES[2]}/{agents}/0"] / 1e6,
            "competitor": "without lanes",
            "goal": 1000,
        }
        for agents in (64, 10_000)
    ]
    return rows


def latency_rows(seconds: int) -> list[Row]:
    """Measure appends at 1 kHz while a helper thread grows the files."""
    with tempfile.TemporaryDirectory(prefix="stream-store-bench-") as directory:
        text = run(BUILD / "benchmarks" / "cpp" / "latency_bench", str(seconds), directory)
    result = json.loads(text)
    return [
        {
            "task": f"append at 1 kHz for {seconds} s, p99.99",
            "unit": "µs",
            "ours": result["append"]["p99_99"] / 1e3,
            "theirs": result["clock"]["p99_99"] / 1e3,
            "competitor": "reading the clock",
            "goal": 50,
            "detail": result,
        }
    ]


def python_rows(gigabytes: float) -> list[Row]:
    """Run the scripts in benchmarks/python. Each prints one JSON object per line."""
    rows: list[Row] = []
    for script in sorted((HERE / "python").glob("bench_*.py")):
        options = ["--gigabytes", str(gigabytes)] if script.name == "bench_files.py" else []
        for line in run(sys.executable, script, *options).splitlines():
            if line.startswith("{"):
                rows.append(json.loads(line))
    return rows


def lag_rows() -> list[Row]:
    """Measure the time from the return of an append until another process sees it."""
    with tempfile.TemporaryDirectory(prefix="stream-store-bench-") as directory:
        result = json.loads(run(BUILD / "benchmarks" / "cpp" / "lag_bench", directory))
    word = result["word"]
    return [
        {
            "task": f"append visible in another process, {how}, {quantile}",
            "unit": "µs",
            "ours": result[kind][quantile] / 1e3,
            "theirs": word[quantile] / 1e3,
            "competitor": "a word in shared memory, spinning",
            "goal": goal,
        }
        for kind, how, quantile, goal in (
            ("spin", "both spinning", "p50", 1),
            ("spin", "both spinning", "p99", None),
            ("wait", "by wait()", "p50", None),
            ("wait", "by wait()", "p99", None),
        )
    ]


def safety_rows() -> list[Row]:
    """Measure verifying, and opening after a kill."""
    result = json.loads(run(BUILD / "benchmarks" / "cpp" / "safety_bench", "0.5"))
    rows: list[Row] = []
    for size, figures in result.items():
        for key, task, unit, goal in (
            ("verify_gb_per_s", "verify, records of {}", "GB/s", None),
            ("reader_opens_after_kill_s_per_gib", "open after a kill, records of {}", "s/GiB", 0.1),
        ):
            rows.append(
                {"task": task.format(size), "unit": unit, "ours": figures[key], "goal": goal}
            )
    return rows


def compare_rows(sizes: Sequence[int]) -> list[Row]:
    """Ask every store the same questions."""
    script = HERE / "compare" / "compare.py"
    text = run(sys.executable, script, "--steps", *(str(size) for size in sizes))
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="length of the 1 kHz run")
    parser.add_argument(
        "--gigabytes", type=float, default=10, help="size of the large store; 0 skips it"
    )
    parser.add_argument(
        "--steps", type=int, nargs="*", default=SIZES,
        help="sizes of the compared stores; without a size, nothing is compared",
    )  # fmt: skip
    arguments = parser.parse_args()
    build()
    rows = append_rows()
    rows += window_rows()
    rows += sampling_rows()
    rows += lanes_rows()
    rows += lag_rows()
    rows += safety_rows()
    rows += python_rows(arguments.gigabytes)
    rows += latency_rows(arguments.seconds)
    compared = compare_rows(arguments.steps) if arguments.steps else []
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": report.machine(), "rows": rows, "compared": compared}
    (RESULTS / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, RESULTS)
    print((RESULTS / "latest.md").read_text())


if __name__ == "__main__":
    main()
