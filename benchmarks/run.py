"""Run every benchmark and write a report: `make bench`, or a part: `make bench ONLY="cpp sb3"`.

Builds and runs the C++ benchmarks, runs those in benchmarks/python and the comparison with other
stores, and writes benchmarks/results: latest.json, latest.md and charts. Both sides of a ratio are
from one run, and a figure is the least of several. `python benchmarks/report.py` puts the last run
into the documents.

A part is "cpp", "latency", a program of benchmarks/python without "bench_", "ray", which only runs
on request, "compare", or a question of the comparison. A run of some parts writes only.json and
only.md instead, which the documents do not show.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import report
from sizes import SIZES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "bench"
RESULTS = HERE / "results"
COMPARE = HERE / "compare"

sys.path.append(str(COMPARE))

from questions import NAMES as QUESTIONS  # noqa: E402 (its folder is on the path from here on)

Row = dict[str, Any]


def run(*command: str | Path) -> str:
    """Return the standard output of a command. Its standard error is passed through."""
    print("  " + " ".join(str(part) for part in command), file=sys.stderr, flush=True)
    done = subprocess.run(
        [str(part) for part in command], check=False, text=True, stdout=subprocess.PIPE
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)  # compilers and build tools report errors there
        done.check_returncode()
    return done.stdout


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
    options = (
        "--benchmark_filter=^SampleRows/[0-9]+/16/|^FirstCount/",  # the others take minutes
        "--benchmark_repetitions=5",
        "--benchmark_min_time=0.1",
    )
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
            "task": f"append at 1 kHz for {seconds} s{where}, p99.99",
            "unit": "µs",
            "ours": result[ours]["p99_99"] / 1e3,
            "theirs": result[floor]["p99_99"] / 1e3,
            "competitor": competitor,
            "goal": 50,
            "detail": result,
        }
        for where, ours, floor, competitor in (
            ("", "append", "mapped", "stores to a mapped file that is synced as often"),
            (" in /dev/shm", "memory", "clock", "reading the clock"),
        )
    ]


def python_rows(script: Path, *options: str) -> list[Row]:
    """Run a script in benchmarks/python. It prints one JSON object per line."""
    lines = run(sys.executable, script, *options).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


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
    """Measure verifying, and opening after a kill, against a thread that reads the files."""
    result = json.loads(run(BUILD / "benchmarks" / "cpp" / "safety_bench", "0.5"))
    rows: list[Row] = []
    for size, figures in result.items():
        for key, floor, task, unit, goal in (
            ("verify_gb_per_s", "read_gb_per_s", "verify", "GB/s", 5),
            (
                "reader_opens_after_kill_s_per_gib",
                "read_s_per_gib",
                "open after a kill",
                "s/GiB",
                0.1,
            ),
        ):
            rows.append(
                {
                    "task": f"{task}, records of {size}",
                    "unit": unit,
                    "ours": figures[key],
                    "theirs": figures[floor],
                    "competitor": "read() of its files, one thread",
                    "goal": goal,
                    "more_is_better": unit == "GB/s",
                }
            )
    return rows


def compare_rows(sizes: Sequence[int], questions: Sequence[str]) -> list[Row]:
    """Ask every store the same questions, all of them by default."""
    options = ["--steps", *(str(size) for size in sizes)]
    if questions:
        options += ["--questions", *questions]
    text = run(sys.executable, COMPARE / "compare.py", *options)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def cpp_rows() -> list[Row]:
    """Run the C++ programs, except for the long one."""
    rows = append_rows() + window_rows() + sampling_rows() + lanes_rows()
    return rows + lag_rows() + safety_rows()


def all_parts(arguments: argparse.Namespace) -> dict[str, Callable[[], list[Row]]]:
    """Return the parts of a run that fill the table of goals, in the order of the report."""
    parts: dict[str, Callable[[], list[Row]]] = {"cpp": cpp_rows}
    for script in sorted((HERE / "python").glob("bench_*.py")):
        name = script.stem.removeprefix("bench_")
        options = ["--gigabytes", str(arguments.gigabytes)] if name == "files" else []
        parts[name] = partial(python_rows, script, *options)
    parts["latency"] = partial(latency_rows, arguments.seconds)
    parts["ray"] = partial(python_rows, HERE / "python" / "ray_rates.py")
    return parts


def timed(name: str, seconds: dict[str, float], work: Callable[[], list[Row]]) -> list[Row]:
    began = time.perf_counter()
    rows = work()
    seconds[name] = round(time.perf_counter() - began, 1)
    return rows


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
    parser.add_argument("--only", nargs="*", default=[], metavar="PART", help="run these parts")
    arguments = parser.parse_args()
    only, parts, questions = arguments.only, all_parts(arguments), QUESTIONS
    if unknown := sorted(set(only) - {*parts, *questions, "compare"}):
        parser.error(
            f"unknown part {', '.join(unknown)}; parts: {' '.join(parts)}; "
            f"of the comparison: compare {' '.join(questions)}"
        )
    chosen = [name for name in parts if (name in only if only else name != "ray")]
    if {"cpp", "latency"} & set(chosen):
        build()
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    for name in chosen:
        rows += timed(name, seconds, parts[name])
    compared: list[Row] = []
    asked = [name for name in questions if name in only and "compare" not in only]
    if arguments.steps and (asked or not only or "compare" in only):
        sizes = partial(compare_rows, arguments.steps, asked)
        compared = timed("compare", seconds, sizes)
    RESULTS.mkdir(exist_ok=True)
    result = {
        "machine": report.machine(),
        "rows": rows,
        "compared": compared,
        "seconds": seconds,
    }
    where = "only" if only else "latest"
    (RESULTS / f"{where}.json").write_text(json.dumps(result, indent=1) + "\n")
    report.write(result, RESULTS, where)
    print((RESULTS / f"{where}.md").read_text())
    print_times(seconds, compared)


def print_times(seconds: dict[str, float], compared: list[Row]) -> None:
    """Print the seconds of each part and of each question, so that slow ones are noticed."""
    print(f"seconds: {sum(seconds.values()):,.0f} in all", file=sys.stderr)
    for name, took in seconds.items():
        print(f"  {took:8.1f} {name}", file=sys.stderr)
    for row in compared:
        print(f"  {row['seconds']:8.1f}   {report.task(row)}", file=sys.stderr)


if __name__ == "__main__":
    main()
