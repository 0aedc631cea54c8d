"""Run the long versions of the crash tests: kill, step, cut, damage and fuzz, and count losses.

    make campaign KILLS=100000 SEED=7
    make campaign ONLY=kills      runs the parts whose name contains "kills"

Runs the programs of tests/crash and tests/fuzz from the release build, and
tests/crash/filesystems.py where root and loop devices are available. Writes build/campaign.json and
prints a table; with --docs, puts the table into docs/reliability.md. Parts that cannot run on this
machine are listed as skipped. With ONLY, the other parts keep their results in the report.

The amounts come from the environment: KILLS, STEPS, CRASHES, WINDOWS, FUZZ_RUNS, CUTS, SEED. FULL=0
samples the bits and the system calls instead of testing all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pages

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release" / "tests"
RESULT = ROOT / "build" / "campaign.json"
PAGE = ROOT / "docs" / "reliability.md"

AMOUNTS = {
    "SEED": "7",
    "KILLS": "100000",
    "STEPS": "1000000",
    "CRASHES": "2000000",
    "WINDOWS": "10000000",
    "FUZZ_RUNS": "1000000",
    "CUTS": "300",
}


@dataclass
class Part:
    """One program, with its output, its date and its machine."""

    name: str
    what: str
    command: list[str]
    amounts: dict[str, str] = field(default_factory=dict)
    date: str = ""
    machine: str = ""
    kernel: str = ""
    cores: int = 0
    result: str = "not run"
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)


def gtest(program: str, filter_: str = "*") -> list[str]:
    return [program, f"--gtest_filter={filter_}"]


def parts(amounts: dict[str, str], full: bool) -> list[Part]:
    """Return the parts of a campaign, in order."""
    fault = {"FAULT_STRIDE": "1"} if full else {}
    flip = {"FLIP_STRIDE": "1"} if full else {}
    some = {name: amounts[name] for name in ("SEED",)}

    def more(*names: str) -> dict[str, str]:
        return {**some, **{name: amounts[name] for name in names}}

    killed = "*NothingThatWasAcknowledgedIsLost"
    created = "*AStoreAppearsWholeOrNotAtAll:*KeepsNoLock"
    runs = int(amounts["FUZZ_RUNS"])
    return [
        Part("steps", "a check at every instruction of append, growth and sync",
             gtest("crash/crash_step_test", "*Append*"), more("STEPS")),
        Part("steps in create", "a check at every instruction of create",
             gtest("crash/crash_step_test", "*Create*"),
             {**some, "STEPS": str(max(int(amounts["STEPS"]) // 4, 1))}),
        Part("power cuts", "simulated disks", gtest("crash/crash_power_test"), more("CRASHES")),
        Part("faults", "system calls that fail, and kills at each",
             gtest("crash/crash_fault_test"), fault),
        Part("limits", "file size, address space, descriptors, allocations",
             gtest("crash/crash_limit_test"), {}),
        Part("readers", "eight reading processes, some of them killed",
             gtest("crash/crash_reader_test"), more("WINDOWS")),
        Part("fuzz: schema, control", "mutations of the corpus",
             gtest("fuzz/fuzz_test", "*schema:*nested:*control"),
             {**some, "FUZZ_RUNS": str(10 * runs)}),
        Part("fuzz: stores", "patches on whole stores, with corrected checksums",
             gtest("fuzz/fuzz_test", "*/store"), {**some, "FUZZ_RUNS": str(max(runs // 10, 1))}),
        Part("fuzz: packs", "patches on packs, with corrected checksums",
             gtest("fuzz/fuzz_test", "*/pack"), {**some, "FUZZ_RUNS": str(max(runs // 10, 1))}),
        Part("fuzz: operations", "sequences against a model",
             gtest("fuzz/fuzz_test", "*operations"),
             {**some, "FUZZ_RUNS": str(max(runs // 50, 1))}),
        Part("file systems", "forced shutdowns, failed write-back, full disks",
             [sys.executable, str(ROOT / "tests" / "crash" / "filesystems.py")], more("CUTS")),
        Part("kills", "kill -9 of a writer that appends", gtest("crash/crash_kill_test", killed),
             more("KILLS")),
        Part("kills in create", "kill -9 from nothing to the first appends",
             gtest("crash/crash_kill_test", created),
             {**some, "KILLS": str(max(int(amounts["KILLS"]) // 5, 1))}),
        Part("damage", "each bit, each length, hostile numbers",
             gtest("crash/crash_flip_test"), flip),
    ]  # fmt: skip


def run(part: Part) -> None:
    """Run one part and keep its summary lines: those that count something."""
    part.date = time.strftime("%Y-%m-%d")
    part.machine = platform.machine()
    part.kernel = platform.release().split("-")[0]
    part.cores = os.cpu_count() or 0
    began = time.monotonic()
    done = subprocess.run(
        part.command,
        env={key: value for key, value in os.environ.items() if key != "ONLY"} | part.amounts,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    part.seconds = round(time.monotonic() - began, 1)
    lines = done.stdout.splitlines()
    part.said = [line for line in lines if re.match(r"[\w].*\d", line) and "://" not in line]
    part.said = [line for line in part.said if not line.startswith(("Running main", "Note:"))]
    skipped = [line for line in lines if "Skipped" in line or line.startswith("skipped")]
    if done.returncode != 0 or not lines:
        part.result = "FAILED"
        part.said = lines[-40:] or ["it counted nothing"]
    elif skipped and len(skipped) >= max(len(part.said), 1):
        part.result = "skipped"
    else:
        part.result = "passed"


def table(done: list[Part]) -> str:
    """Format the counts of all parts as a Markdown table."""
    lines = ["| part | counted | seconds | result |", "|---|---|---|---|"]
    for part in done:
        said = "<br>".join(part.said).replace("|", "\\|")
        lines.append(f"| {part.name}: {part.what} | {said} | {part.seconds:,.0f} | {part.result} |")
    return "\n".join(lines)


def places(done: list[Part]) -> str:
    """Format the date and machine of the parts, by part unless all are from one run."""
    names: dict[str, list[str]] = {}
    for part in done:
        place = f"{part.date}, {part.machine}, Linux {part.kernel}, {part.cores} cores, shared"
        names.setdefault(place, []).append(part.name)
    if len(names) == 1:
        return f"{next(iter(names))}."
    return "\n".join(f"- {place}: {'; '.join(run)}." for place, run in names.items())


def write(done: list[Part]) -> None:
    listed = [
        {**asdict(part), "command": [Path(part.command[0]).name, *part.command[1:2]]}
        for part in done
    ]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"parts": listed}, indent=1) + "\n")


def last_report() -> dict[str, Part]:
    """Return the parts of the last report, by name."""
    report = json.loads(RESULT.read_text()) if RESULT.exists() else {"parts": []}
    # Old reports have these once, for all parts together.
    common = {key: report[key] for key in ("date", "machine", "kernel", "cores") if key in report}
    return {part["name"]: Part(**{**common, **part}) for part in report["parts"]}


def into_page(done: list[Part]) -> None:
    """Put the table of a report between the markers of docs/reliability.md."""
    pages.put(PAGE, "campaign", f"{places(done)}\n\n{table(done)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", default=os.environ.get("ONLY", ""), help="run the parts with this in their name"
    )
    parser.add_argument("--tests", type=Path, help="folder of the test programs")
    parser.add_argument("--docs", action="store_true", help="put the last report into the page")
    arguments = parser.parse_args()
    if arguments.docs:
        into_page(list(last_report().values()))
        return 0
    amounts = {name: os.environ.get(name, value) for name, value in AMOUNTS.items()}
    chosen = parts(amounts, os.environ.get("FULL", "1") != "0")
    for part in chosen:
        if "/" in part.command[0] and not Path(part.command[0]).is_absolute():
            part.command[0] = str((arguments.tests or BUILD) / part.command[0])
    order = [part.name for part in chosen]
    chosen = [part for part in chosen if arguments.only in part.name]
    if not arguments.only:
        RESULT.unlink(missing_ok=True)  # with --only, the other parts stay in the report
    for part in chosen:
        print(f"== {part.name}: {part.what}", flush=True)
        run(part)
        done = {**last_report(), part.name: part}
        print("\n".join(part.said), f"\n   {part.result} in {part.seconds} s", flush=True)
        # Written after each part, so that an interrupted campaign keeps its results.
        write([done[name] for name in order if name in done])
    print(table(chosen))
    return 1 if any(part.result == "FAILED" for part in chosen) else 0


if __name__ == "__main__":
    raise SystemExit(main())
