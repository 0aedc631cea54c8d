"""A build of the C++ library, and the compiler, for tests that compile programs against it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


def library() -> Path:
    """Return a build of the library that is as new as its sources; build it if there is none."""
    sources = [
        file
        for folder in ("src", "include")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".cc", ".h")
    ]
    newest = max(file.stat().st_mtime for file in sources)
    there = [*ROOT.glob("build/*/libstream_store.a")]
    if "STREAMSTORE_LIBRARY" in os.environ:
        there.append(Path(os.environ["STREAMSTORE_LIBRARY"]))
    for file in there:
        sanitized = file.parent.name in ("asan", "tsan")
        if not sanitized and file.stat().st_mtime >= newest:
            return file
    return _build()


def compile_program(source: Path, program: Path) -> None:
    """Compile a source that includes only public headers, and link it with the library."""
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]
    compiler = os.environ.get("CXX", "g++")
    _run(compiler, *flags, source, library(), "-pthread", "-o", program)


def _build() -> Path:
    """Build examples/cpp_quickstart as a separate project, as its CMakeLists.txt describes."""
    build = ROOT / "build" / "cpp_quickstart"
    with _only_one(ROOT / "build" / "cpp_quickstart.lock"):
        _run("cmake", "-S", ROOT / "examples" / "cpp_quickstart", "-B", build)
        _run("cmake", "--build", build, "-j", "2")
    return build / "stream_store" / "libstream_store.a"


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        command, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
