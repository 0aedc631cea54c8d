"""Checks of the files that are published: the wheels and the source distribution.

scripts/package.py applies them to the wheels of every Python; tests/package to one. Each check
raises Problem with the name of the file, what was expected and what was found.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SIZE_LIMIT = 2_000_000
"""Bytes of a wheel."""

GLIBC_LIMIT = (2, 28)
"""The C library of manylinux_2_28, on which the published wheels are built and run."""

NEWER_HERE = {
    "__libc_single_threaded": (2, 32),
    "exp": (2, 29),
    "fstat": (2, 33),
    "fstatat": (2, 33),
    "log": (2, 29),
    "lstat": (2, 33),
    "pow": (2, 29),
    "pthread_cond_clockwait": (2, 34),
    "pthread_setname_np": (2, 34),
    "pthread_sigmask": (2, 32),
    "stat": (2, 33),
}
"""Symbols that only a build with a newer C library links, with their version.

Most are functions of which glibc 2.28 has an older version. `__libc_single_threaded` and
`pthread_cond_clockwait` come from the headers of libstdc++, which do without them where they do not
exist. So the same source needs none of these when it is built on manylinux_2_28. Any other symbol
beyond GLIBC_LIMIT is a function that manylinux_2_28 lacks, and an error. An older version could be
requested in the source with `.symver`, but it would be slower (`pow`) and differ by processor.
"""


class Problem(Exception):
    """A file that must not be published."""


def check_size(wheel: Path) -> None:
    """Raise unless the wheel has at most SIZE_LIMIT bytes."""
    size = wheel.stat().st_size
    if size > SIZE_LIMIT:
        raise Problem(f"{wheel.name}: expected at most {SIZE_LIMIT} bytes but found {size}")


def files_of_package() -> set[str]:
    """The files of the package in this checkout that a wheel must contain; without the extension.

    Uses the list of git, so that a leftover in the folder does not count. In an unpacked source
    distribution, which has no git, all files count.
    """
    folder = ROOT / "python" / "stream_store"
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--"]
        command += [str(folder)]
        done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE)
        paths = [ROOT / line for line in done.stdout.splitlines()]
    else:
        paths = list(folder.rglob("*"))
    return {
        str(path.relative_to(ROOT / "python"))
        for path in paths
        if path.is_file() and path.suffix not in {".so", ".pyc"}
    }


def check_files(wheel: Path) -> None:
    """Raise unless the wheel has the files of the package, one extension, and its metadata."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    names = {name for name in names if ".dist-info/" not in name}
    extensions = {name for name in names if re.fullmatch(r"stream_store/_core\..*\.so", name)}
    if len(extensions) != 1:
        raise Problem(f"{wheel.name}: expected one extension but found {sorted(extensions)}")
    expected = files_of_package()
    if names - extensions != expected:
        raise Problem(
            f"{wheel.name}: expected the files of python/stream_store but found "
            f"{_difference(names - extensions, expected)}"
        )


def check_sdist(sdist: Path) -> None:
    """Raise unless the source distribution has every file from which a wheel is built."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {f"python/{name}" for name in files_of_package()}
    expected |= {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml"}
    missing = sorted(expected - names)
    if missing:
        raise Problem(f"{sdist.name}: expected also {missing[:5]} but found none of these")
    leftovers = [name for name in names if re.match(r"(build|dist|\.venv|.*__pycache__)/", name)]
    if leftovers:
        raise Problem(f"{sdist.name}: expected sources alone but found {leftovers[:5]}")


def _difference(found: set[str], expected: set[str]) -> str:
    more, fewer = sorted(found - expected), sorted(expected - found)
    parts = [f"also {more[:5]}"] if more else []
    return " and ".join(parts + ([f"not {fewer[:5]}"] if fewer else []))


def symbols_of(wheel: Path) -> Iterator[tuple[str, str]]:
    """Each symbol that the extension takes from another library, with its version.

    A version is a name such as ``GLIBC_2.14``.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = zipfile.ZipFile(wheel)
        for name in archive.namelist():
            if not name.endswith(".so"):
                continue
            listed = subprocess.run(
                ["objdump", "-T", archive.extract(name, folder)],
                check=True,
                text=True,
                stdout=subprocess.PIPE,
            )
            found = re.findall(
                r"\*UND\*\s+\S+\s+\(?([A-Z]+_[0-9.]+)\)?\s+(\S+)$", listed.stdout, re.MULTILINE
            )
            yield from ((symbol, version) for version, symbol in found)


def check_symbols(wheel: Path) -> list[str]:
    """Raise if the extension needs a function of the C library that manylinux_2_28 lacks.

    Returns:
        The symbols that are newer only because this machine's C library is; see NEWER_HERE. Empty
        for a wheel that was built on manylinux_2_28.
    """
    newer: list[str] = []
    allowed: list[str] = []
    glibc = 0
    for symbol, version in symbols_of(wheel):
        if not re.fullmatch(r"GLIBC_[0-9.]+", version):
            continue
        glibc += 1
        number = tuple(int(part) for part in version.removeprefix("GLIBC_").split("."))
        if number <= GLIBC_LIMIT:
            continue
        known = NEWER_HERE.get(symbol) == number and "manylinux" not in wheel.name
        (allowed if known else newer).append(f"{symbol}@{version}")
    if glibc == 0:
        raise Problem(f"{wheel.name}: expected symbols of the C library but found none")
    if newer:
        limit = ".".join(map(str, GLIBC_LIMIT))
        raise Problem(
            f"{wheel.name}: expected symbols of at most GLIBC_{limit} but found {sorted(newer)}"
        )
    return sorted(allowed)


def check_platform(wheel: Path) -> str:
    """Raise unless auditwheel finds that the wheel needs system libraries alone.

    Returns:
        The tag of the oldest platform on which this build runs, such as ``manylinux_2_35_x86_64``.
    """
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    done = subprocess.run(
        command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = " ".join(done.stdout.split())
    tag = re.search(r'is consistent with the following platform tag: "(manylinux_\w+)"', text)
    if tag is None:
        raise Problem(f"{wheel.name}: expected a manylinux platform but auditwheel found: {text}")
    return tag[1]
