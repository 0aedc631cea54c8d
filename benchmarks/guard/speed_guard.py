"""Fail if a hot path has become slower. `make test-speed` runs this on the program of this folder.

    python benchmarks/guard/speed_guard.py PROGRAM [--accept]

The instructions of each operation, counted by callgrind, must stay within a margin of the figures
in counts.json. The same code from the same compiler gives the same count on a busy and on an idle
machine. `make bench` measures the effects that a count does not include: caches, memory and
waiting. One ratio is timed, windows over memcpy of the same bytes, with a limit beyond any noise.

Counts depend on the compiler and the C library. With other tools, an operation fails only if its
count has more than doubled. With another instruction set, the library chooses other loops, and the
counts are not compared: the exit status is 77, and the last line gives the reason. --accept writes
the new counts into counts.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parent / "counts.json"
ACCEPT = "ACCEPT=1 make test-speed"

# Largest accepted increase in percent. Runs of one binary differ by less than 0.1 %. For the same
# code, other compilers need up to 57 % more instructions than g++ 12 (clang++ 14, choosing windows)
# or 17 % more (g++ 11, extend).
MARGIN = 3.0
OTHER_TOOLS_MARGIN = 100.0

# Windows over memcpy, both in the caches. It was 1.1 when first measured, also on a busy machine.
MOST_RATIO = 1.5
ROUNDS = 3

NOT_COMPARED = 77


@dataclass(frozen=True)
class Counts:
    """Instructions per unit of each operation, and the tools that they depend on."""

    compiler: str
    libc: str
    instruction_set: str
    operations: dict[str, float]
    units: dict[str, str]

    def same_tools(self, other: Counts) -> bool:
        """Whether equal code should give equal counts: major version of the compiler, C library."""
        return (self.compiler.split(".")[0], self.libc) == (
            other.compiler.split(".")[0],
            other.libc,
        )


def read_counts(path: Path) -> Counts:
    """Read the stored figures."""
    text = json.loads(path.read_text(encoding="utf-8"))
    operations = text["operations"]
    return Counts(
        text["compiler"],
        text["libc"],
        text["instruction_set"],
        {name: entry["instructions"] for name, entry in operations.items()},
        {name: entry["per"] for name, entry in operations.items()},
    )


def write_counts(path: Path, counts: Counts) -> None:
    """Store the figures, one operation per line, so that a diff shows each change."""
    lines = [
        f'    "{name}": {{"instructions": {instructions:.1f}, "per": "{counts.units[name]}"}}'
        for name, instructions in counts.operations.items()
    ]
    tools = "".join(
        f'  "{key}": "{value}",\n'
        for key, value in (
            ("compiler", counts.compiler),
            ("libc", counts.libc),
            ("instruction_set", counts.instruction_set),
        )
    )
    body = ",\n".join(lines)
    path.write_text(f'{{\n{tools}  "operations": {{\n{body}\n  }}\n}}\n', encoding="utf-8")


def output(*command: str | Path) -> str:
    """Return the standard output of a command. Exit with its error output if it fails."""
    done = subprocess.run(
        [str(part) for part in command], check=False, text=True, capture_output=True
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def count(program: Path) -> Counts:
    """Run every operation under callgrind, which leaves one file for each counted run."""
    with tempfile.TemporaryDirectory(prefix="speed-guard-") as folder:
        files = Path(folder) / "callgrind"
        text = output(
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=CountedRun",
            "--dump-after=CountedRun",
            f"--callgrind-out-file={files}",
            program,
            "counts",
        )
        program_output: dict[str, Any] = json.loads(text)
        entries = program_output["operations"]
        totals = {int(file.suffix[1:]): total_of(file) for file in Path(folder).glob("callgrind.*")}
    if set(totals) != set(range(1, len(entries) + 1)) or not all(totals.values()):
        sys.exit(f"callgrind counted {len(totals)} runs, expected {len(entries)}: {totals}")
    return Counts(
        program_output["compiler"],
        program_output["libc"],
        program_output["instruction_set"],
        {entry["name"]: totals[i] / entry["units"] for i, entry in enumerate(entries, 1)},
        {entry["name"]: entry["unit"] for entry in entries},
    )


def total_of(file: Path) -> int:
    """Read the number of instructions from a callgrind file."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    return 0


def percent(found: float, stored: float) -> float:
    return 100 * (found / stored - 1)


def slower(stored: Counts, found: Counts, margin: float) -> list[str]:
    """Return a line for each operation that is too slow or that only one side has."""
    lines = []
    for name in sorted(stored.operations.keys() | found.operations.keys()):
        if name not in stored.operations:
            lines.append(f"{name}: counts.json has no figure for it")
        elif name not in found.operations:
            lines.append(f"{name}: counts.json has a figure, but it is not measured any more")
        elif (more := percent(found.operations[name], stored.operations[name])) > margin:
            lines.append(
                f"{name}: {more:.1f} % more instructions than stored (margin {margin:g} %): stored "
                f"{stored.operations[name]:.1f} a {stored.units[name]}, "
                f"found {found.operations[name]:.1f}"
            )
    return lines


def table(stored: Counts | None, found: Counts) -> str:
    """Format the counts, with their change since the stored ones."""
    lines = []
    for name, instructions in found.operations.items():
        line = f"  {name:28} {instructions:9.1f} a {found.units[name]}"
        if stored is not None and name in stored.operations:
            change = round(percent(instructions, stored.operations[name]), 1) + 0.0  # no "-0.0"
            line += f" ({change:+.1f} %)"
        lines.append(line)
    return "\n".join(lines)


def windows_over_memcpy(program: Path) -> tuple[float, str]:
    """Return the best ratio of a few rounds, stopping at the first that passes."""
    best = (float("inf"), "")
    for _ in range(ROUNDS):
        times = json.loads(output(program, "ratio"))
        windows, memcpy = times["windows_ns"], times["memcpy_ns"]
        text = f"windows {windows / 1e3:.1f} µs, memcpy of the same bytes {memcpy / 1e3:.1f} µs"
        best = min(best, (windows / memcpy, text))
        if best[0] <= MOST_RATIO:
            break
    return best


def accept(path: Path, stored: Counts | None, found: Counts) -> None:
    """Replace the stored figures and print the changes."""
    write_counts(path, found)
    print(f"{path.name} now says, for {found.compiler}, {found.libc}, {found.instruction_set}:")
    print(table(stored, found))


def check_counts(stored: Counts, found: Counts) -> list[str]:
    """Return the operations that are too slow, and print all counts."""
    margin = MARGIN
    if not stored.same_tools(found):
        margin = OTHER_TOOLS_MARGIN
        print(
            f"counts.json is for {stored.compiler}, {stored.libc}; this is {found.compiler}, "
            f"{found.libc}: an operation fails only if it is more than {margin:g} % slower"
        )
    print(f"instructions, {found.compiler}, {found.libc}, {found.instruction_set}:")
    print(table(stored, found))
    failures = slower(stored, found, margin)
    cheaper = [
        name
        for name, instructions in found.operations.items()
        if name in stored.operations and percent(instructions, stored.operations[name]) < -margin
    ]
    if cheaper and not failures:
        print(f"faster than stored: {', '.join(cheaper)}; to store the new counts: {ACCEPT}")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("program", type=Path, help="the speed_guard program")
    parser.add_argument("--accept", action="store_true", help="write counts.json")
    arguments = parser.parse_args()

    found = count(arguments.program.resolve())
    stored = read_counts(STORED) if STORED.exists() else None
    if arguments.accept:
        accept(STORED, stored, found)
        return 0
    if stored is None:
        sys.exit(f"{STORED} is missing; write it with: {ACCEPT}")

    other_loops = stored.instruction_set != found.instruction_set
    failures = [] if other_loops else check_counts(stored, found)
    if failures:
        failures.append(
            f"Make the code faster. If the cost is justified, `{ACCEPT}` writes the new figures "
            "into benchmarks/guard/counts.json; give the reason in the commit."
        )
    ratio, figures = windows_over_memcpy(arguments.program.resolve())
    print(f"{figures}: {ratio:.2f} times, at most {MOST_RATIO:g}")
    if ratio > MOST_RATIO:
        failures.append(
            f"windows of 128 values take {ratio:.2f} times as long as memcpy of the same bytes, "
            f"expected at most {MOST_RATIO:g}: {figures}"
        )
    if failures:
        print("\n".join(["error: a hot path became slower", *failures]), file=sys.stderr)
        return 1
    if other_loops:
        print(
            f"counts.json is for {stored.instruction_set}, this processor is "
            f"{found.instruction_set}: instructions were not compared"
        )
        return NOT_COMPARED
    return 0


if __name__ == "__main__":
    sys.exit(main())
