"""Test the tests: apply plausible bugs (mutants) and check that a test fails for each.

    make mutants               all mutants
    make mutants ONLY=slot     the mutants whose name, file or group contains "slot"; the others
                               keep their results in the report

Writes build/mutants.json; with --docs, puts the last results into docs/reliability.md. The mutants
are listed in scripts/mutant_list.py. The program works on a copy of the tree in which every mutant
is compiled in and one is chosen at run time (scripts/mutant_switch.py). One build therefore serves
all mutants. A second build, with ThreadSanitizer, serves the few mutants that only it can find. For
each mutant, the tests run until one of them fails, the likely ones first.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import mutant_switch
import pages
from mutant_list import MUTANTS
from mutant_switch import HEADER, VARIABLE, Mutant

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "build" / "mutants"
TREE = PLACE / "tree"
SITE = PLACE / "site"
RESULT = ROOT / "build" / "mutants.json"
PAGE = ROOT / "docs" / "reliability.md"
SECONDS = 300  # after this time, a test counts as hanging

# Environment variables that shorten long tests.
SHORT = {
    "crash_step_test": {"STEPS": "8000"},
    "crash_power_test": {"CRASHES": "60000"},
    "crash_fault_test": {"FAULT_STRIDE": "5"},
    "crash_kill_test": {"KILLS": "60"},
    "store_priority_test": {"PRIORITY_UPDATES": "100000"},
    "pytest": {"CI": "1"},  # the same Hypothesis examples in every run
}

PYTHON = (
    "test_windows.py test_rows.py test_indexing.py test_extend.py test_safe_reads.py "
    "test_sampler.py test_sampler_state.py test_window_dataset.py test_arrow_import.py "
    "test_arrow_export.py test_datasets_from.py test_append.py test_values.py test_model.py "
    "test_reports.py test_durability.py"
)

# The tests that run after those that a mutant names, by its group. A test is a program, optionally
# with a filter of GoogleTest cases after a colon, or files of tests/python, optionally with names.
TESTS = {
    "durability": (
        "storage_test",
        "crash_step_test",
        "crash_power_test",
        "crash_fault_test",
        "crash_kill_test",
    ),
    "opening": ("storage_test",),
    "verify": ("storage_test", "store_read_test", "test_reports.py"),
    "reading": ("store_read_test", "storage_test", "store_staged_test", "fuzz_test", PYTHON),
    "sampling": ("store_read_test", "storage_test", "store_threads_test", PYTHON),
    "lanes": ("store_read_test", "test_lanes.py"),
    "groups": ("store_read_test:*Group*:*Sampler*:RowsOfStores*", "test_groups_tools.py"),
    "remote": ("storage_test:Replica*", "test_remote.py"),
    "priorities": ("store_priority_test",),
    "exchange": ("arrow_test", "fuzz_test", PYTHON),
}
THREADS = ("storage_test:*Threads*:*Background*",)


def problems(root: Path) -> list[str]:
    """Return a message for each mutant that no longer fits the sources."""
    return mutant_switch.problems(root, MUTANTS)


def files_of(mutant: Mutant) -> set[str]:
    return {change.file for change in mutant.changes}


# --- the build ---


def write(target: Path, content: bytes) -> None:
    """Write a file unless it has that content, so that only changes are compiled."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.read_bytes() != content:
        target.write_bytes(content)


def make_tree() -> None:
    """Copy the tree, with a switch at each place that a mutant changes."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    switched = mutant_switch.rewritten(ROOT, MUTANTS)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            write(TREE / name, switched[name].encode() if name in switched else content)
    write(PLACE / "mutant.h", HEADER.encode())


def tests_of(mutant: Mutant) -> tuple[str, ...]:
    """Return the tests for a mutant, in the order in which they run."""
    if mutant.threads:
        return THREADS
    return tuple(dict.fromkeys((*mutant.first, *TESTS[mutant.group])))


def build(tests: set[str], *, threads: bool) -> None:
    """Build the programs of the tests. Raises SystemExit with the compiler output on failure."""
    place = PLACE / ("threads" if threads else "plain")
    flags = f"-O1 -g0 -w -DNDEBUG -include {PLACE / 'mutant.h'}"
    options = {
        "CMAKE_BUILD_TYPE": "None",
        "CMAKE_CXX_FLAGS": flags,
        "STREAMSTORE_BUILD_BENCHMARKS": "OFF",
        "STREAMSTORE_BUILD_EXAMPLES": "OFF",
        "STREAMSTORE_BUILD_PYTHON": "OFF" if threads else "ON",
        "STREAMSTORE_SANITIZE": "thread" if threads else "",
        "Python_EXECUTABLE": sys.executable,
    }
    targets = {"_core" if ".py" in test else test.partition(":")[0] for test in tests}
    defined = [f"-D{name}={value}" for name, value in options.items()]
    for command in (
        ["cmake", "-S", str(TREE), "-B", str(place), "-G", "Ninja", *defined],
        ["cmake", "--build", str(place), "--target", *sorted(targets), "--", "-k", "0"],
    ):
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stdout[-8000:])
    if "_core" in targets:
        shutil.copytree(TREE / "python" / "stream_store", SITE / "stream_store", dirs_exist_ok=True)
        for module in (place / "python").glob("_core*.so"):
            shutil.copy2(module, SITE / "stream_store" / module.name)


@functools.cache
def program(name: str, *, threads: bool) -> Path:
    place = PLACE / ("threads" if threads else "plain") / "tests"
    return next(path for path in place.rglob(name) if path.is_file())


# --- one test ---


def limit() -> None:
    """Limit core files and memory, so that a wrong size becomes an error."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))


def run(test: str, number: int, *, threads: bool = False) -> str:
    """Run a test with a mutant. Return the first failed case, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as scratch:
        environment = {**os.environ, VARIABLE: str(number), "TMPDIR": scratch}
        if ".py" in test:
            name = "pytest"
            # The interpreter of the virtual environment would import the package that is installed
            # there. Use its base interpreter, with the import path of this one for all else.
            environment["PYTHONPATH"] = os.pathsep.join([str(SITE), *filter(None, sys.path)])
            environment.update(SHORT["pytest"])
            files = [f"tests/python/{file}" for file in test.split()]
            command = [
                getattr(sys, "_base_executable", sys.executable), "-m", "pytest", "-x", "-q",
                "--tb=no", "-p", "no:cacheprovider", "--basetemp", f"{scratch}/py", *files,
            ]  # fmt: skip
        else:
            name, _, cases = test.partition(":")
            environment.update(SHORT.get(name, {}))
            if cases:
                environment["GTEST_FILTER"] = cases
            command = [str(program(name, threads=threads)), "--gtest_fail_fast"]
        process = subprocess.Popen(
            command, cwd=TREE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return f"{name}: hangs"
    if process.returncode == 0:
        return ""
    failed = re.findall(r"^\[  FAILED  \] ([\w/.]+)", output, re.M)
    failed += re.findall(r"^(?:FAILED|ERROR) tests/python/(\S+)", output, re.M)
    last = re.findall(r"^\[ RUN      \] ([\w/.]+)", output, re.M)
    case = failed[0] if failed else f"it ends in {last[-1]}" if last else "it ends"
    return f"{name}: {case}"


class Judge:
    """Finds the case that catches a mutant, and verifies that it passes without a mutant."""

    def __init__(self, *, threads: bool) -> None:
        self._threads = threads
        self._clean: dict[str, str] = {}
        self._lock = threading.Lock()

    def passes_without(self, test: str) -> str:
        """Return the case that fails without any mutant, or an empty text. Runs once."""
        with self._lock:
            if test not in self._clean:
                self._clean[test] = run(test, 0, threads=self._threads)
            return self._clean[test]

    def __call__(self, mutant: Mutant) -> dict[str, str]:
        number = MUTANTS.index(mutant) + 1
        began = time.monotonic()
        caught = ""
        for test in tests_of(mutant):
            if caught := run(test, number, threads=self._threads):
                break
        wrong = self.passes_without(test) if caught else ""
        result = "FAILS WITHOUT IT, TOO" if wrong else "caught" if caught else "NOT CAUGHT"
        seconds = time.monotonic() - began
        print(f"{result}: {mutant.name} ({caught}) {seconds:.1f} s", flush=True)
        return {
            "mutant": mutant.name, "file": mutant.changes[0].file, "result": result, "by": caught,
        }  # fmt: skip


# --- the report ---


def last_report() -> dict[str, dict[str, str]]:
    """Return the last result of each mutant that has one."""
    known = {mutant.name for mutant in MUTANTS}
    report: list[dict[str, str]] = json.loads(RESULT.read_text()) if RESULT.exists() else []
    return {entry["mutant"]: entry for entry in report if entry["mutant"] in known}


def into_page() -> None:
    """Put the last results into docs/reliability.md, with the mutants that have not run."""
    found = last_report()
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
    parser.add_argument("--missed", action="store_true", help="only those without a good result")
    arguments = parser.parse_args()
    if arguments.docs:
        into_page()
        return 0
    stale = problems(ROOT)
    if stale:
        print("\n".join(stale), file=sys.stderr)
        return 1
    only = arguments.only
    chosen = [
        mutant
        for mutant in MUTANTS
        if any(only in text for text in (mutant.name, mutant.group, *files_of(mutant)))
    ]
    report = last_report() if only or arguments.missed else {}
    if arguments.missed:
        good_ones = {name for name, entry in report.items() if entry["result"] == "caught"}
        chosen = [mutant for mutant in chosen if mutant.name not in good_ones]
    limit()
    make_tree()
    began = time.monotonic()
    good = 0
    for threads in sorted({mutant.threads for mutant in chosen}):
        some = [mutant for mutant in chosen if mutant.threads == threads]
        build({test for mutant in some for test in tests_of(mutant)}, threads=threads)
        print(f"built after {time.monotonic() - began:.0f} s", flush=True)
        judge = Judge(threads=threads)
        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as workers:
            for judged in as_completed(workers.submit(judge, mutant) for mutant in some):
                entry = judged.result()
                good += entry["result"] == "caught"
                report[entry["mutant"]] = entry
                RESULT.write_text(json.dumps([*report.values()], indent=1) + "\n")
    print(f"mutants: {good} of {len(chosen)} caught in {time.monotonic() - began:.0f} s")
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    raise SystemExit(main())
