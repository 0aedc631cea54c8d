"""Check that every room of the house looks the right way only, and that no file outgrows it.

    python scripts/check_layers.py [ROOT]

Prints one line ``path:line: what is wrong`` per finding and exits with 1 if there is any.
The rules:

- rooms of ``src/`` include themselves, the rooms below them (arrow, store, storage, format, base)
  and the public headers;
- public headers include public headers and the standard library, nothing of ``src/``;
- ``python/bindings`` sees ``python/convert`` and public headers, ``python/convert`` the latter;
- system headers stay in ``src/base``;
- no file includes itself, directly or through others;
- every C++ file is listed in the CMakeLists.txt beside or above it;
- at module level, ``python/stream_store`` imports the standard library, NumPy and itself,
  ``stream_store.torch`` also torch, and the command line typer and rich;
- no source file is longer than 500 lines.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 500
PUBLIC = "stream_store"
# Each room with the rooms whose headers it may include; every room may include public headers.
ROOMS = {
    "base": {"base"},
    "format": {"format", "base"},
    "storage": {"storage", "format", "base"},
    "store": {"store", "storage", "format", "base"},
    "arrow": {"arrow", "store", "storage", "format", "base"},
    PUBLIC: set(),
    "bindings": {"bindings", "convert"},
    "convert": {"convert"},
}
# Where the headers of a quoted include such as "base/file.h" are found, by its first folder.
ROOM_FOLDERS = {
    **{room: f"src/{room}" for room in ("base", "format", "storage", "store", "arrow")},
    PUBLIC: f"include/{PUBLIC}",
    "bindings": "python/bindings",
    "convert": "python/convert",
}
SOURCE_FOLDERS = ("benchmarks", "examples", "include", "python", "scripts", "src", "tests")
SOURCE_SUFFIXES = {".cc", ".h", ".py", ".pyi", ".sh", ".txt"}
TOP_LEVEL_IMPORTS = {"numpy", PUBLIC} | set(sys.stdlib_module_names)
# Subpackages that `import stream_store` does not import, with what they need.
OWN_IMPORTS = {"torch": {"torch"}, "_cli": {"rich", "typer"}}
# Headers of the system, which only the rooms named here may include.
SYSTEM_HEADER = re.compile(
    r"^(sys/|linux/|asm/)|^(fcntl|unistd|dirent|pthread|sched|poll|signal)\.h$"
)
SYSTEM_ROOMS = {"base"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule and where."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Include:
    """One ``#include`` line of a file."""

    line: int
    target: str
    quoted: bool


def read_includes(path: Path) -> list[Include]:
    """List the includes of a C++ file in order."""
    includes = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        match = INCLUDE.match(text)
        if match:
            includes.append(Include(number, match[2], match[1] == '"'))
    return includes


def list_cpp_files(root: Path, room: str) -> list[Path]:
    """List the C++ files of one room, sorted."""
    folder = root / ROOM_FOLDERS[room]
    return sorted(path for path in folder.rglob("*") if path.suffix in {".cc", ".h"})


def check_direction(root: Path, room: str) -> Iterator[Finding]:
    """Find includes of one room that name a room it may not see."""
    allowed = ROOMS[room] | {PUBLIC}
    for path in list_cpp_files(root, room):
        where = path.relative_to(root).as_posix()
        for include in read_includes(path):
            seen = include.target.split("/")[0]
            if seen in ROOMS and "/" in include.target:
                if seen not in allowed:
                    names = ", ".join(sorted(allowed))
                    message = f"{room} includes {include.target}; it may include {names} only"
                    yield Finding(where, include.line, message)
                elif (
                    not (root / ROOM_FOLDERS[seen])
                    .joinpath(*include.target.split("/")[1:])
                    .is_file()
                ):
                    message = f"includes {include.target}, which does not exist"
                    yield Finding(where, include.line, message)
            elif room not in SYSTEM_ROOMS and SYSTEM_HEADER.match(include.target):
                message = f"{room} includes {include.target}; system headers stay in src/base"
                yield Finding(where, include.line, message)
            elif include.quoted:
                message = f'write "{include.target}" from its room, as in "{room}/{include.target}"'
                yield Finding(where, include.line, message)


def resolve_include(root: Path, target: str) -> Path | None:
    """The file behind an include of one of the rooms, None for any other."""
    room, _, rest = target.partition("/")
    path = root / ROOM_FOLDERS[room] / rest if room in ROOM_FOLDERS and rest else None
    return path if path is not None and path.is_file() else None


def check_cycles(root: Path) -> Iterator[Finding]:
    """Find the includes that close a circle of files."""
    done: set[Path] = set()
    open_files: list[Path] = []

    def visit(path: Path) -> Iterator[Finding]:
        open_files.append(path)
        for include in read_includes(path):
            target = resolve_include(root, include.target)
            if target in open_files:
                circle = [*open_files[open_files.index(target) :], target]
                names = " -> ".join(file.relative_to(root).as_posix() for file in circle)
                yield Finding(
                    path.relative_to(root).as_posix(), include.line, f"include cycle: {names}"
                )
            elif target is not None and target not in done:
                yield from visit(target)
        open_files.pop()
        done.add(path)

    for room in ROOM_FOLDERS:
        for path in list_cpp_files(root, room):
            if path not in done:
                yield from visit(path)


def check_lists(root: Path) -> Iterator[Finding]:
    """Find C++ files that the nearest CMakeLists.txt does not list, so that nothing builds them."""
    for folder in ("include", "src", "python", "tests", "benchmarks"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix == ".cc" or (path.suffix == ".h" and folder == "include"):
                lists = next(
                    (
                        up / "CMakeLists.txt"
                        for up in path.parents
                        if (up / "CMakeLists.txt").exists()
                    ),
                    root / "CMakeLists.txt",
                )
                name = path.relative_to(lists.parent).as_posix()
                text = lists.read_text(encoding="utf-8") if lists.is_file() else ""
                if name not in re.split(r"[\s()]+", text):
                    message = f"not listed in {lists.relative_to(root).as_posix()}"
                    yield Finding(path.relative_to(root).as_posix(), 1, message)


def list_module_level_imports(body: Iterable[ast.stmt]) -> Iterator[tuple[int, str]]:
    """List (line, top package) of the imports that run when the module is imported."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0 and node.module is not None:
                yield node.lineno, node.module.split(".")[0]
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            yield from list_module_level_imports(node.orelse)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for name in ("body", "orelse", "finalbody"):
                yield from list_module_level_imports(getattr(node, name, []))
            for handler in getattr(node, "handlers", []):
                yield from list_module_level_imports(handler.body)


def is_type_checking(test: ast.expr) -> bool:
    """Whether the condition is ``TYPE_CHECKING``, under which imports never run."""
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def check_imports(root: Path) -> Iterator[Finding]:
    """Find imports that ``import stream_store`` would run and a user may not have."""
    for path in sorted((root / "python" / PUBLIC).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for line, package in list_module_level_imports(tree.body):
            if package not in TOP_LEVEL_IMPORTS | OWN_IMPORTS.get(path.parent.name, set()):
                yield Finding(
                    path.relative_to(root).as_posix(),
                    line,
                    f"imports {package} at module level; `import {PUBLIC}` needs numpy alone, "
                    "import it in the function that uses it",
                )


def check_sizes(root: Path) -> Iterator[Finding]:
    """Find source files longer than MAX_LINES."""
    for folder in SOURCE_FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES and path.is_file():
                lines = len(path.read_bytes().splitlines())
                if lines > MAX_LINES:
                    where = path.relative_to(root).as_posix()
                    yield Finding(where, lines, f"{lines} lines; a file has at most {MAX_LINES}")


def check_tree(root: Path) -> list[Finding]:
    """All findings of the tree at `root`, sorted by place."""
    findings = [*check_cycles(root), *check_lists(root), *check_imports(root), *check_sizes(root)]
    for room in ROOMS:
        findings += check_direction(root, room)
    return sorted(findings)


def main() -> int:
    """Print the findings; 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(__file__).resolve().parent.parent
    parser.add_argument("root", nargs="?", type=Path, default=default, help="the repository")
    root = parser.parse_args().root
    if not (root / "src").is_dir():
        raise SystemExit(f"{root}: expected the repository, but there is no folder src")
    findings = check_tree(root)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
