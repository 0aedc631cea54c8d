#!/usr/bin/env python3
"""Build the packages of a release for each Python of this machine and check them.

usage: package.py [--pythons 3.10 3.12] [--reproduce]    (`make package`)

1.  Builds the source distribution and, from its unpacked content, one wheel per Python.
2.  Checks the files: metadata, content, size, symbols; see package_checks.py.
3.  Installs each wheel without a network in an empty virtual environment, from a folder that has
    the wheels of NumPy, runs tests/package/smoke.py and measures the time of the import.

The packages are left in dist/, the rest in build/package/. Nothing is published. A Python that
has no headers (Python.h) or no module venv is left out and named. --reproduce builds one wheel a
second time and compares the bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import package_checks as checks  # noqa: E402

PLACE = ROOT / "build" / "package"
DIST = ROOT / "dist"
LOCAL = PLACE / "local"
"""The folder from which the packages are installed; pip fills it with NumPy once."""

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
IMPORT_LIMIT = 0.050
"""Seconds that the import may take in addition to that of NumPy; of CPU time, so that a busy
machine measures the same."""

_TRAITS = """
import ensurepip, pathlib, sys, sysconfig, venv
print(*sys.version_info[:2], sep='.')
print(pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists())
print(bool(sysconfig.get_config_var('Py_GIL_DISABLED')))
"""

_IMPORT = """
import sys, time
import numpy
began = time.process_time()
import stream_store
print(time.process_time() - began)
"""


def run(*command: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run a command; returns its output, or raises Problem with it."""
    done = subprocess.run(
        command,
        cwd=cwd,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | (environment or {}),
    )
    if done.returncode:
        shown = " ".join(map(str, command))
        raise checks.Problem(f"{shown} failed with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def say(text: str) -> None:
    """Print a step before it begins."""
    print(f"== {text}", flush=True)


# --- the Pythons ---


def find_pythons(asked: list[str]) -> dict[str, Path]:
    """The interpreter of each version, on PATH or below ~/.pyenv; only those asked for."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found: dict[str, Path] = {}
    for version in asked or VERSIONS:
        candidates = sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
        on_path = shutil.which(f"python{version}")
        candidates += [Path(on_path)] if on_path else []
        reason = "not on this machine"
        for candidate in candidates:
            reason = _why_unusable(candidate, version)
            if not reason:
                found[version] = candidate
                break
        if version not in found:
            say(f"Python {version} is left out: {reason}")
            if asked:
                raise checks.Problem(f"Python {version} was asked for but is {reason}")
    if not found:
        raise checks.Problem(f"expected one of the Pythons {', '.join(VERSIONS)} but found none")
    return found


def _why_unusable(python: Path, version: str) -> str:
    """Why an interpreter cannot be used, or an empty string."""
    done = subprocess.run([python, "-c", _TRAITS], check=False, text=True, capture_output=True)
    if done.returncode:
        return "not usable: it does not run, or has no module venv"
    is_version, has_headers, free_threaded = done.stdout.split()
    if is_version != version:
        return f"not usable: {python} is Python {is_version}"
    if free_threaded == "True":
        return "free-threaded, which is not tested"
    return "" if has_headers == "True" else "without Python.h"


# --- building ---


def epoch() -> str:
    """The time of the last commit, which all files in the packages get."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return os.environ["SOURCE_DATE_EPOCH"]
    return run("git", "log", "-1", "--format=%ct").strip()


def build_sdist(stamp: str) -> Path:
    """Build the source distribution twice; both have the same bytes."""
    made = []
    for attempt in ("first", "second"):
        out = PLACE / "sdist" / attempt
        command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(out)]
        run(*command, environment={"SOURCE_DATE_EPOCH": stamp})
        made.append(next(out.iterdir()))
    if made[0].read_bytes() != made[1].read_bytes():
        raise checks.Problem(f"{made[0].name}: expected the same bytes when built again")
    return Path(shutil.copy2(made[0], DIST))


def unpack(sdist: Path) -> Path:
    """The folder with the content of the source distribution, from which the wheels are built."""
    with tarfile.open(sdist) as archive:
        archive.extractall(PLACE / "source", filter="data")
    (folder,) = (PLACE / "source").iterdir()
    return folder


def build_wheel(version: str, python: Path, source: Path, out: Path, stamp: str) -> Path:
    """Build the wheel of one Python, with the build requirements in an environment of its own."""
    tools = PLACE / f"tools-{version}"
    if not (tools / "bin" / "python").exists():
        run(python, "-m", "venv", tools)
    inside = tools / "bin" / "python"
    needed = run(sys.executable, "scripts/requirements.py", "build-system", "native").split()
    run(inside, "-m", "pip", "install", "-q", "-c", "scripts/constraints.txt", *needed)
    pip: list[str | Path] = [
        inside,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
    ]
    pip += ["-w", out]
    environment = {"SOURCE_DATE_EPOCH": stamp, "PATH": f"{tools}/bin:{os.environ['PATH']}"}
    if shutil.which("ccache"):  # the library is the same for each Python
        environment |= {
            "CMAKE_CXX_COMPILER_LAUNCHER": "ccache",
            "CCACHE_NOHASHDIR": "1",
            "CCACHE_BASEDIR": str(PLACE),
            "CCACHE_SLOPPINESS": "pch_defines,time_macros",
        }
    run(*pip, source, environment=environment)
    (wheel,) = out.glob(f"*-cp{version.replace('.', '')}-*.whl")
    return wheel


def check_reproduced(version: str, python: Path, source: Path, wheel: Path, stamp: str) -> None:
    """Raise unless a second build of a wheel has the same bytes."""
    again = build_wheel(version, python, source, PLACE / "again", stamp)
    if again.read_bytes() != wheel.read_bytes():
        raise checks.Problem(f"{wheel.name}: expected the same bytes when built again; see {again}")


# --- checking ---


def check_metadata(packages: list[Path]) -> None:
    """pyproject.toml is valid, PyPI will accept the packages, and the wheels are well formed."""
    run(sys.executable, "-m", "validate_pyproject", "pyproject.toml")
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    wheels = [path for path in packages if path.suffix == ".whl"]
    run(Path(sys.executable).parent / "check-wheel-contents", *wheels)


def check_wheel(wheel: Path) -> str:
    """All checks of the file of a wheel; returns notable facts."""
    checks.check_size(wheel)
    checks.check_files(wheel)
    tag = checks.check_platform(wheel)
    newer = checks.check_symbols(wheel)
    note = f"; because of this machine's C library it needs {', '.join(newer)}" if newer else ""
    return f"{wheel.stat().st_size / 1000:.0f} kB, runs on {tag}{note}"


def fill_local(version: str) -> None:
    """Download NumPy for one Python, unless its wheel is there: all that an installation needs."""
    tag = f"cp{version.replace('.', '')}"
    if list(LOCAL.glob(f"numpy-*-{tag}-{tag}-*.whl")):
        return
    pip = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "--no-deps"]
    run(*pip, "--python-version", version, "-d", str(LOCAL), "numpy>=2.0")


def check_installed(version: str, python: Path) -> float:
    """Install from the local folder, run the smoke test; returns the seconds of the import."""
    fill_local(version)
    empty = PLACE / f"empty-{version}"
    run(python, "-m", "venv", "--clear", empty)
    inside = empty / "bin" / "python"
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": f"{LOCAL} {DIST}",
        "PIP_CONFIG_FILE": os.devnull,
    }
    run(
        inside,
        "-m",
        "pip",
        "install",
        "-q",
        "stream-store",
        "--only-binary=:all:",
        environment=offline,
    )
    run(inside, "-I", "tests/package/smoke.py")
    seconds = min(float(run(inside, "-I", "-c", _IMPORT, cwd=empty)) for _ in range(7))
    if seconds > IMPORT_LIMIT:
        limit, took = IMPORT_LIMIT * 1000, seconds * 1000
        raise checks.Problem(
            f"Python {version}: import stream_store: expected at most {limit:.0f} ms more than the "
            f"import of NumPy but it took {took:.0f} ms"
        )
    return seconds


def main() -> None:
    """Build and check everything; exit code 1 and a message on the first problem."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pythons", nargs="+", default=[], metavar="X.Y", choices=VERSIONS)
    parser.add_argument("--reproduce", action="store_true", help="build one wheel twice")
    options = parser.parse_args()
    began = time.monotonic()
    for name in ("sdist", "source", "wheels", "again"):
        shutil.rmtree(PLACE / name, ignore_errors=True)
    shutil.rmtree(DIST, ignore_errors=True)
    for folder in (DIST, LOCAL):
        folder.mkdir(parents=True, exist_ok=True)
    pythons = find_pythons(options.pythons)
    stamp = epoch()
    say("source distribution")
    sdist = build_sdist(stamp)
    checks.check_sdist(sdist)
    source = unpack(sdist)
    report = []
    for version, python in pythons.items():
        say(f"wheel for Python {version}, {python}")
        wheel = build_wheel(version, python, source, PLACE / "wheels" / version, stamp)
        result = check_wheel(wheel)
        shutil.copy2(wheel, DIST)
        if options.reproduce and version == list(pythons)[-1]:
            check_reproduced(version, python, source, wheel, stamp)
            result += "; a second build has the same bytes"
        report.append(f"{wheel.name}: {result}")
    say("metadata")
    check_metadata(sorted(DIST.iterdir()))
    for version, python in pythons.items():
        say(f"installing for Python {version} without a network")
        seconds = check_installed(version, python)
        report.append(
            f"Python {version}: smoke test passed, import {seconds * 1000:.0f} ms over NumPy"
        )
    print("\n".join(report))
    took = time.monotonic() - began
    print(f"{len(pythons)} wheels and {sdist.name} in dist/: all checks passed in {took:.0f} s")
    print("not tested here: free-threaded Python, other processors")


if __name__ == "__main__":
    try:
        main()
    except checks.Problem as problem:
        sys.exit(f"error: {problem}")
