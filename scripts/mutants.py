"""Do the crash tests catch what they are for? Each mutant is a bug somebody might write.

    make mutants               all of them
    make mutants ONLY=slot     those whose name contains this; the report keeps the others

Writes build/mutants.json; with --docs puts the last results into docs/reliability.md. The bugs
stand in scripts/mutant_list.py. Works on a copy of the tree. Every mutant is applied alone; the
tests run until one of them fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pages
from mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "mutants"
TREE = PLACE / "tree"
RESULT = ROOT / "build" / "mutants.json"
PAGE = ROOT / "docs" / "reliability.md"
MINUTES = 5

# Each with the environment that makes it short.
TESTS = {
    "cpp/storage/storage_test": {},
    "crash/crash_step_test": {"STEPS": "8000"},
    "crash/crash_power_test": {"CRASHES": "60000"},
    "crash/crash_fault_test": {"FAULT_STRIDE": "5"},
    "crash/crash_kill_test": {"KILLS": "60"},
}
THREADS = {"cpp/storage/storage_test": {"GTEST_FILTER": "*Threads*:*Background*"}}


def problems(root: Path) -> list[str]:
    """Mutants that no longer fit the sources."""
    found = []
    for mutant in MUTANTS:
        text = (root / mutant.file).read_text()
        for old, _ in mutant.edits:
            if text.count(old) != 1:
                found.append(
                    f"{mutant.name}: found {text.count(old)} times in {mutant.file}: {old!r}"
                )
    return found


def copy_tree() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        source, target = ROOT / name, TREE / name
        if not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            shutil.copyfile(source, target)


def build(test: str, *, threads: bool) -> str:
    """Build a test; what the compiler says against it, or nothing."""
    place = PLACE / ("threads" if threads else "plain")
    if not (place / "build.ninja").exists():
        sanitize = "thread" if threads else ""
        subprocess.run(
            ["cmake", "-S", TREE, "-B", place, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
             "-DSTREAMSTORE_BUILD_PYTHON=OFF", "-DSTREAMSTORE_BUILD_BENCHMARKS=OFF",
             "-DSTREAMSTORE_BUILD_EXAMPLES=OFF", f"-DSTREAMSTORE_SANITIZE={sanitize}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    done = subprocess.run(
        ["cmake", "--build", place, "-j1", "--target", Path(test).name],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.stdout[-2000:] if done.returncode else ""


class DoesNotCompile(Exception):
    """A mutant that is no program."""


def catch(first: str, *, threads: bool) -> str:
    """The first test that fails, or nothing. Tests are built as they are needed."""
    place = PLACE / ("threads" if threads else "plain") / "tests"
    tests: dict[str, dict[str, str]] = THREADS if threads else TESTS
    for name in sorted(tests, key=lambda name: name != first):
        if error := build(name, threads=threads):
            raise DoesNotCompile(error)
        program = Path(name).name
        try:
            done = subprocess.run(
                [place / name, "--gtest_fail_fast"],
                env={**os.environ, **tests[name]}, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60 * MINUTES,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"{program}: hangs"
        if done.returncode:
            failed = [line for line in done.stdout.splitlines() if line.startswith("[  FAILED  ]")]
            test = failed[0].split("]", 1)[1].split("(")[0].split(",")[0] if failed else "it ends"
            return f"{program}: {test.strip()}"
    return ""


def judge(mutant: Mutant) -> tuple[str, str]:
    """Apply it, look, take it back: the result and what caught it."""
    source = TREE / mutant.file
    text = changed = source.read_text()
    for old, new in mutant.edits:
        changed = changed.replace(old, new)
    source.write_text(changed)
    try:
        caught = catch(mutant.first, threads=mutant.threads)
    except DoesNotCompile as error:
        return "DOES NOT COMPILE", str(error)
    finally:
        source.write_text(text)
    return ("caught" if caught else "NOT CAUGHT"), caught


def last_report() -> list[dict[str, str]]:
    """What the runs before this one found."""
    known = {mutant.name for mutant in MUTANTS}
    report: list[dict[str, str]] = json.loads(RESULT.read_text()) if RESULT.exists() else []
    return [entry for entry in report if entry["mutant"] in known]


def into_page() -> None:
    """Put the last results, and which mutants have none, into docs/reliability.md."""
    found = {entry["mutant"]: entry for entry in last_report()}
    good = sum(entry["result"] == "caught" for entry in found.values())
    lines = [f"{good} of {len(MUTANTS)} were caught.", "", "| bug | first caught by |", "|---|---|"]
    for mutant in MUTANTS:
        entry = found.get(mutant.name, {"result": "not run", "by": ""})
        said = entry["by"] if entry["result"] == "caught" else entry["result"]
        lines.append(f"| {mutant.name} | {said} |")
    pages.put(PAGE, "mutants", "\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="?", default=os.environ.get("ONLY", ""))
    parser.add_argument("--docs", action="store_true", help="put the last results into the page")
    arguments = parser.parse_args()
    if arguments.docs:
        into_page()
        return 0
    only = arguments.only
    stale = problems(ROOT)
    if stale:
        print("\n".join(stale), file=sys.stderr)
        return 1
    copy_tree()
    chosen = [mutant for mutant in MUTANTS if only in mutant.name]
    report = [entry for entry in last_report() if only not in entry["mutant"]] if only else []
    seen = len(report)
    for threads in sorted({mutant.threads for mutant in chosen}):
        if wrong := catch("", threads=threads):
            print(f"without any mutant a test fails: {wrong}", file=sys.stderr)
            return 1
        for mutant in (one for one in chosen if one.threads == threads):
            began = time.monotonic()
            result, caught = judge(mutant)
            seconds = round(time.monotonic() - began, 1)
            print(f"{result}: {mutant.name} ({caught}) {seconds} s", flush=True)
            entry = {"mutant": mutant.name, "file": mutant.file, "result": result, "by": caught}
            report.append(entry)
            RESULT.write_text(json.dumps(report, indent=1) + "\n")
    judged = report[seen:]
    good = sum(entry["result"] == "caught" for entry in judged)
    print(f"mutants: {good} of {len(judged)} caught")
    return 0 if good == len(judged) else 1


if __name__ == "__main__":
    raise SystemExit(main())
