"""Format the last run of `make bench` as tables and charts.

    python benchmarks/report.py    puts them into docs/benchmarks.md, docs/images and README.md

Needs matplotlib. Reads benchmarks/results/latest.json.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sizes import COMMON

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT / "scripts"))

from pages import put  # noqa: E402 (its folder is on the path from here on)

RESULTS = HERE / "results"
OURS = "StreamStore"
OUR_COLOUR = "#1f6f5c"
PACKAGES = (
    "numpy",
    "torch",
    "torchrl",
    "cpprb",
    "datasets",
    "pyarrow",
    "pylance",
    "h5py",
    "flashbax",
    "jax",
    "polars",
    "duckdb",
    "stable-baselines3",
    "ray",
)

LINES = ("row_windows", "episode_windows")

Row = dict[str, Any]
Result = dict[str, Any]


def machine() -> dict[str, str]:
    """Describe the machine, the compiler and the versions of the packages."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith(("model name", "Model"))
        ),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    compiler = subprocess.run(
        [os.environ.get("CXX", "c++"), "--version"], check=False, text=True, stdout=subprocess.PIPE
    ).stdout.splitlines()
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"Linux {platform.release().split('-')[0]}",
        "compiler": compiler[0] if compiler else "unknown",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


def number(value: float) -> str:
    """Format a figure with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def task(row: Row) -> str:
    return row["task"] + (f", {row['steps']:,} steps" if row["steps"] else "")


def goals_table(rows: list[Row]) -> str:
    """Format our figures with their goals, whether these are met, and ratios to competitors."""
    lines = ["| task | ours | goal | met | competitor | ratio |", "|---|---|---|---|---|---|"]
    for row in rows:
        goal, met = "", ""
        rate = row.get("more_is_better", False)
        if row.get("goal") is not None:
            goal = f"{'≥' if rate else '≤'} {row['goal']:.3g} {row['unit']}"
            reached = row["ours"] >= row["goal"] if rate else row["ours"] <= row["goal"]
            met = "yes" if reached else "**no**"
        theirs = row.get("theirs")
        competitor = (
            "" if theirs is None else f"{row['competitor']}: {number(theirs)} {row['unit']}"
        )
        ratio = ""
        if theirs:  # below 1 where ours is better, also for rates
            ratio = f"{theirs / row['ours'] if rate else row['ours'] / theirs:.2f}"
        ours = f"{number(row['ours'])} {row['unit']}"
        lines.append(f"| {row['task']} | {ours} | {goal} | {met} | {competitor} | {ratio} |")
    return "\n".join(lines)


def compared_tables(compared: list[Row]) -> str:
    """Format one table for each set of stores, then notes and refusals.

    A table has a row per question and size, and a column per store.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in compared:
        groups.setdefault(tuple(row["answers"]), []).append(row)
    tables: list[str] = []
    notes: list[str] = []
    reasons: dict[str, list[str]] = {}
    for names, rows in groups.items():
        tables += ["| task | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for row in rows:
            cells = []
            for name, answer in row["answers"].items():
                if "figure" not in answer:
                    cells.append("-")
                    reasons.setdefault(f"{name} {answer['cannot']}", []).append(row["task"])
                    continue
                cells.append(number(answer["figure"]))
                if "note" in answer:
                    notes.append(f"- [{len(notes) + 1}] {name}: {answer['note']}.")
                    cells[-1] += f" [{len(notes)}]"
            tables.append(f"| {task(row)}, {row['unit']} | " + " | ".join(cells) + " |")
        tables.append("")
    missing = [
        f"- {reason}: {'; '.join(dict.fromkeys(tasks))}."
        for reason, tasks in sorted(reasons.items())
    ]
    if notes:
        tables += ["Notes:", "", *notes, ""]
    return "\n".join([*tables, "Reasons for missing figures:", "", *missing])


def best_others(compared: list[Row]) -> list[tuple[Row, str, float]]:
    """Return the rows of the README, each with the best other store and our ratio to it."""
    best = []
    for row in compared:
        if row["steps"] not in {None, COMMON} or "figure" not in row["answers"][OURS]:
            continue
        others = {
            name: answer["figure"]
            for name, answer in row["answers"].items()
            if name != OURS and "figure" in answer
        }
        if others:
            name = min(others, key=lambda other: others[other])
            best.append((row, name, row["answers"][OURS]["figure"] / others[name]))
    return best


def best_table(compared: list[Row]) -> str:
    """Format our figures next to the best other store, with links to the notes."""
    lines = ["| task | StreamStore | the best other | ratio |", "|---|---|---|---|"]
    for row, name, ratio in best_others(compared):
        unit, ours, other = row["unit"], row["answers"][OURS], row["answers"][name]
        see = ", [with a note](docs/benchmarks.md)" if "note" in other else ""
        lines.append(
            f"| {task(row)} | {number(ours['figure'])} {unit} "
            f"| {name}: {number(other['figure'])} {unit}{see} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def ahead(compared: list[Row]) -> str:
    """Return a sentence that lists the tasks in which another store is ahead."""
    lost = [
        f"{task(row)} ({name}, {ratio:.2f})"
        for row, name, ratio in best_others(compared)
        if round(ratio, 2) > 1
    ]
    return (
        f"Others are ahead in: {'; '.join(lost)}." if lost else "No other store is ahead in these."
    )


def ratios(row: Row) -> dict[str, float]:
    """Return the figure of each other store divided by ours."""
    ours = row["answers"][OURS]["figure"]
    return {
        name: answer["figure"] / ours
        for name, answer in row["answers"].items()
        if name != OURS and "figure" in answer
    }


def compared_picture(compared: list[Row]) -> Figure:
    """Draw the ratio of each other store to ours, on one line for each task.

    The page shows the picture at 400 to 700 pixels, so it is narrow, and the names of the tasks
    stand above the lines instead of next to them.
    """
    chosen = [
        row
        for row in compared
        if row["steps"] in {None, COMMON} and "figure" in row["answers"][OURS] and ratios(row)
    ]
    figure, axis = plt.subplots(figsize=(5, 0.42 * len(chosen) + 1.7), layout="constrained")
    for line, row in enumerate(chosen):
        axis.axhline(line, color="#dfe2e6", linewidth=0.8, zorder=0)
        ours = f"{number(row['answers'][OURS]['figure'])} {row['unit']}"
        axis.text(
            0, line - 0.27, f"{row['task']}: {ours}", fontsize=8, va="bottom",
            transform=axis.get_yaxis_transform(),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=2,
        )  # fmt: skip
    for (name, (colour, marker)), points in zip(
        styles(compared).items(), points_of(chosen, styles(compared)), strict=True
    ):
        if points:
            axis.plot(
                *zip(*points, strict=True), linestyle="none", marker=marker, markersize=6.5,
                color=colour, markeredgecolor="white", markeredgewidth=0.6, label=name,
            )  # fmt: skip
    axis.axvline(1, color=OUR_COLOUR, linewidth=2, zorder=1, label=OURS)
    axis.set_xscale("log")
    axis.set_ylim(len(chosen) - 0.5, -0.9)
    axis.yaxis.set_visible(False)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axis.set_xlabel("figure of the other store / figure of StreamStore")
    axis.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.suptitle(
        f"StreamStore is ahead of stores to the right of the line;\n"
        f"{COMMON:,} steps where the size matters",
        fontsize=9,
    )
    return figure


def styles(compared: list[Row]) -> dict[str, tuple[str, str]]:
    """Return a colour and a marker for each other store, the same in all charts."""
    stores = dict.fromkeys(name for row in compared for name in row["answers"])
    others = [name for name in stores if name != OURS]
    return {name: (f"C{i}", "osD^vPXd"[i % 8]) for i, name in enumerate(others)}


def points_of(chosen: list[Row], stores: Iterable[str]) -> list[list[tuple[float, int]]]:
    """Return the ratio and the line of each task that a store has done, store by store."""
    return [
        [(ratios(row)[store], line) for line, row in enumerate(chosen) if store in ratios(row)]
        for store in stores
    ]


def sizes_picture(compared: list[Row]) -> Figure:
    """Draw lines over the size of the store, one panel above the other."""
    figure, axes = plt.subplots(
        len(LINES), 1, figsize=(5, 3 * len(LINES) + 0.8), layout="constrained", sharex=True
    )
    for axis, name in zip(axes, LINES, strict=True):
        rows = [row for row in compared if row["question"] == name]
        for store, (colour, marker) in {OURS: (OUR_COLOUR, "o"), **styles(compared)}.items():
            points = [
                (row["steps"], row["answers"][store]["figure"])
                for row in rows
                if "figure" in row["answers"].get(store, {})
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True), marker=marker, label=store,
                    color=colour, linewidth=2.5 if store == OURS else 1.2,
                )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylabel("µs a batch")
        axis.set_title(rows[0]["task"] if rows else name, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("steps in the store")
    labelled = {
        label: line
        for axis in axes
        for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        labelled.values(), labelled.keys(), loc="outside lower center", ncols=3, frameon=False,
        fontsize=8,
    )  # fmt: skip
    return figure


def pictures(compared: list[Row]) -> dict[str, Figure]:
    """Return the charts by file name, without writing them."""
    mpl.rcParams.update({"svg.hashsalt": OURS, "font.size": 9, "svg.fonttype": "path"})
    return {"compared.svg": compared_picture(compared), "sizes.svg": sizes_picture(compared)}


def save(figures: dict[str, Figure], where: Path) -> None:
    where.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(where / name, metadata={"Date": None})
        plt.close(figure)


def full_report(result: Result) -> str:
    """Format all tables of one run."""
    made = result["machine"]
    parts = [
        f"{made['date']}: {made['machine']}, {made['system']}, {made['compiler']}. "
        f"{made['versions']}.",
    ]
    if result["compared"]:
        parts += ["### Comparison with other stores", compared_tables(result["compared"])]
    parts += [
        "### Comparison with goals and with the floor of the machine",
        goals_table(result["rows"]),
    ]
    return "\n\n".join(parts) + "\n"


def write(result: Result, where: Path, name: str = "latest") -> None:
    """Write the tables of a run into a folder, and for the latest one the charts."""
    (where / f"{name}.md").write_text(full_report(result))
    if result["compared"] and name == "latest":
        save(pictures(result["compared"]), where)


def others_counted(compared: list[Row]) -> str:
    """Return the number of other stores of steps in words, as the README has it."""
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    return words[max(len(row["answers"]) for row in compared) - 1]


def wrong_claims(readme: str, result: Result) -> list[str]:
    """Return what the README claims outside of its generated part and the run does not confirm."""
    wrong = []
    found = re.search(r"this build and with (\w+) other stores", readme)
    counted = others_counted(result["compared"])
    if found and found[1] != counted:
        wrong.append(f'README.md compares "{found[1]} other stores", but the run has {counted}')
    appends = [row["ours"] for row in result["rows"] if row["task"].startswith("C++ append of a")]
    if "some tens of nanoseconds" in readme and any(not 10 <= took <= 99 for took in appends):
        wrong.append(
            'README.md claims "some tens of nanoseconds" for a step in C++, but the run has '
            + ", ".join(f"{took:.3g} ns" for took in appends)
        )
    return wrong


def publish(result: Result, root: Path) -> None:
    """Put the tables and charts of a run into the documents.

    All of them are created before the first is written. Raises SystemExit if the run lacks a
    comparison that the documents show, or refutes a claim of the README.
    """
    compared = result["compared"]
    if not any(row["steps"] == COMMON and OURS in row["answers"] for row in compared):
        sys.exit(f"the documents compare stores of {COMMON:,} steps, and the last run had none")
    if wrong := wrong_claims((root / "README.md").read_text(), result):
        sys.exit("; ".join(wrong))
    page, figures = full_report(result), pictures(compared)
    readme = f"{best_table(compared)}\n\n{ahead(compared)}"
    put(root / "docs" / "benchmarks.md", "benchmark", page)
    put(root / "README.md", "benchmark", readme)
    save(figures, root / "docs" / "images")


if __name__ == "__main__":
    publish(json.loads((RESULTS / "latest.json").read_text()), ROOT)
