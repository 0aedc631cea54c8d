#!/usr/bin/env python3
"""Write the table of extras and their sizes in docs/get-started.md.

usage: extras_page.py [--print]    (--print writes to the terminal instead)

Measures the packages that are installed in the environment of the interpreter, so each extra must
be installed there: `source install.sh` and `pip install -e '.[torch]'`. A test checks that the
table has every extra.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import pages  # noqa: E402
import requirements  # noqa: E402

PAGE = ROOT / "docs" / "get-started.md"

USES = {
    "cli": "the command `stream-store`",
    "datasets": "Hugging Face `datasets`, Arrow and Parquet",
    "demo": "`make demo`",
    "gym": "recording environments of Gymnasium; spaces as fields",
    "hdf5": "importing HDF5 files",
    "jax": "batches as JAX arrays",
    "lerobot": "LeRobotDataset v3.0, in both directions",
    "mcap": "MCAP files, in both directions",
    "minari": "data sets of Minari, in both directions",
    "plot": "`store.plot()`",
    "ray": "Ray Data and Ray actors",
    "remote": "shipping to object stores",
    "sb3": "the replay buffer of Stable-Baselines3",
    "torch": "datasets and samplers for PyTorch",
    "video": "videos of LeRobot data sets",
    "view": "`stream-store view --rerun`",
    "zarr": "importing Zarr groups",
}
"""What an extra is for. A new extra needs an entry here, or in CONTRIBUTORS."""

CONTRIBUTORS = {"compare", "coverage", "dev", "docs", "lint", "native", "packaging", "test"}
"""Extras with the tools of contributors, which the table leaves out."""


class Missing(Exception):
    """A package that an extra needs but this environment lacks."""


def normalize(name: str) -> str:
    """The name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(wanted: list[str], extra: str) -> set[str]:
    """The packages that these requirements install, with all that those need in turn."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        requirement = waiting.pop()
        name = normalize(requirement.name)
        found.add(name)
        for part in ("", *sorted(requirement.extras)):
            if (name, part) in seen:
                continue
            seen.add((name, part))
            try:
                needs = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                raise Missing(
                    f"extra {extra}: expected the package {name} to be installed but it is not"
                ) from None
            for text in needs:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": part}):
                    waiting.append(inner)
    return found


def installed_bytes(name: str) -> int:
    """The bytes of the files of one package, without compiled Python."""
    files = importlib.metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def table() -> str:
    """The table: one line per extra, smallest first."""
    extras = requirements.read_pyproject()["project"]["optional-dependencies"]
    unknown = sorted(set(extras) - set(USES) - CONTRIBUTORS)
    if unknown:
        raise Missing(f"expected a text in USES of scripts/extras_page.py for the extras {unknown}")
    always = closure(["numpy"], "none")
    rows = []
    for extra in sorted(set(extras) & set(USES)):
        packages = closure(requirements.list_extra(extra), extra) - always
        size = sum(map(installed_bytes, packages)) / 1e6
        rows.append((size, f"| `{extra}` | {USES[extra]} | {len(packages)} | {_shown(size)} |\n"))
    head = "| extra | for | packages | installed, MB |\n|---|---|---:|---:|\n"
    return head + "".join(line for _, line in sorted(rows))


def _shown(size: float) -> str:
    """Megabytes with two digits, as the sizes change with every release."""
    digits = 1 if size < 10 else -1 if size >= 100 else 0
    return f"{round(size, digits):.{max(digits, 0)}f}"


def main() -> None:
    """Write the table, or print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--print", action="store_true", help="print the table, change nothing")
    options = parser.parse_args()
    try:
        text = table()
    except Missing as missing:
        sys.exit(f"error: {missing}")
    if options.print:
        print(text, end="")
    else:
        pages.put(PAGE, "extras", text)


if __name__ == "__main__":
    main()
