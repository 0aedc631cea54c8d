"""Check the layers of the code, the include graph and the size of files.

    python scripts/check_layers.py [ROOT]

Prints one line ``path:line: text`` per finding and exits with 1 if there is any. The rules:

- a layer of ``src/`` includes itself, the layers below it (arrow, store, storage, format, base) and
  public headers;
- base and format include only those public headers that LOW_LEVEL_HEADERS lists, so that a change
  of the public classes does not recompile them;
- a public header includes only public headers and the standard library;
- ``python/bindings`` includes ``python/convert`` and public headers, ``python/convert`` only public
  headers;
- only ``src/base`` includes system headers;
- no file includes itself, directly or indirectly;
- no two headers in ``src/`` have the same name;
- every C++ file is listed in a CMakeLists.txt of its folder or a folder above;
- at module level, ``python/stream_store`` imports the standard library, NumPy and itself;
  some folders also import the packages in OWN_IMPORTS, as ``stream_store.torch`` imports torch;
- no source file is longer than 500 lines.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_LINES = 500
PUBLIC = "stream_store"
# Each layer with the layers whose headers it may include. All may also include public headers.
LAYERS = {
    "base": {"base"},
    "format": {"format", "base"},
    "storage": {"storage", "format", "base"},
    "store": {"store", "storage", "format", "base"},
    "arrow": {"arrow", "store", "storage", "format", "base"},
    PUBLIC: set(),
    "bindings": {"bindings", "convert"},
    "convert": {"convert"},
}
# The public headers that base and format may include.
LOW_LEVEL_HEADERS = {
    f"{PUBLIC}/{name}.h"
    for name in ("dtype", "error", "export", "field_write", "nested", "schema", "types", "version")
}
LOW_LEVEL_LAYERS = {"base", "format"}
# The folder in which a quoted include such as "base/file.h" is found, by its first part.
LAYER_FOLDERS = {
    **{layer: f"src/{layer}" for layer in ("base", "format", "storage", "store", "arrow")},
    PUBLIC: f"include/{PUBLIC}",
    "bindings": "python/bindings",
    "convert": "python/convert",
}
SOURCE_FOLDERS = ("benchmarks", "examples", "include", "python", "scripts", "src", "tests")
SOURCE_SUFFIXES = {".cc", ".h", ".py", ".pyi", ".sh", ".txt"}
TOP_LEVEL_IMPORTS = {"numpy", PUBLIC} | set(sys.stdlib_module_names)
# Subpackages that `import stream_store` does not import, with the packages they need.
OWN_IMPORTS = {
    "torch": {"torch"},
    "gym": {"gymnasium"},
    "ray": {"ray", "pyarrow"},
    "_cli": {"rich", "typer"},
    "terminal": {"rich", "textual"},
    "sb3": {"gymnasium", "stable_baselines3", "torch"},
}
# System headers, which only the layers in SYSTEM_LAYERS may include.
SYSTEM_HEADER = re.compile(
    r"^(sys/|linux/|asm/)|^(fcntl|unistd|dirent|pthread|sched|poll|signal)\.h$"
)
SYSTEM_LAYERS = {"base"}
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


def list_cpp_files(root: Path, layer: str) -> list[Path]:
    """List the C++ files of one layer in alphabetical order."""
    folder = root / LAYER_FOLDERS[layer]
    return sorted(path for path in folder.rglob("*") if path.suffix in {".cc", ".h"})


def check_direction(root: Path, layer: str) -> Iterator[Finding]:
    """Find includes of one layer that name another layer which it may not include."""
    allowed = LAYERS[layer] | {PUBLIC}
    for path in list_cpp_files(root, layer):
        where = path.relative_to(root).as_posix()
        for include in read_includes(path):
            target = include.target
            seen, _, rest = target.partition("/")
            message = None
            if seen in LAYERS and rest:
                if seen not in allowed:
                    names = ", ".join(sorted(allowed))
                    message = f"{layer} includes {target}; it may include {names} only"
                elif not (root / LAYER_FOLDERS[seen] / rest).is_file():
                    message = f"includes {target}, which does not exist"
                elif (
                    layer in LOW_LEVEL_LAYERS and seen == PUBLIC and target not in LOW_LEVEL_HEADERS
                ):
                    names = ", ".join(sorted(name.split("/")[1] for name in LOW_LEVEL_HEADERS))
                    message = (
                        f"{layer} includes {target}; of the public headers it may include {names}"
                    )
            elif layer not in SYSTEM_LAYERS and SYSTEM_HEADER.match(target):
                message = f"{layer} includes {target}; system headers stay in src/base"
            elif include.quoted:
                message = f'write "{target}" with its folder, as in "{layer}/{target}"'
            if message is not None:
                yield Finding(where, include.line, message)


def resolve_include(root: Path, target: str) -> Path | None:
    """Return the file that an include of one of the layers names, None for any other."""
    layer, _, rest = target.partition("/")
    path = root / LAYER_FOLDERS[layer] / rest if layer in LAYER_FOLDERS and rest else None
    return path if path is not None and path.is_file() else None


def check_cycles(root: Path) -> Iterator[Finding]:
    """Find the includes that close a cycle of files."""
    done: set[Path] = set()
    open_files: list[Path] = []

    def visit(path: Path) -> Iterator[Finding]:
        open_files.append(path)
        for include in read_includes(path):
            target = resolve_include(root, include.target)
            if target in open_files:
                cycle = [*open_files[open_files.index(target) :], target]
                names = " -> ".join(file.relative_to(root).as_posix() for file in cycle)
                yield Finding(
                    path.relative_to(root).as_posix(), include.line, f"include cycle: {names}"
                )
            elif target is not None and target not in done:
                yield from visit(target)
        open_files.pop()
        done.add(path)

    for layer in LAYER_FOLDERS:
        for path in list_cpp_files(root, layer):
            if path not in done:
                yield from visit(path)


def check_lists(root: Path) -> Iterator[Finding]:
    """Find C++ files that the nearest CMakeLists.txt does not list, so that nothing builds them.

    Those in tests/python are compiled by a test, which has to name them.
    """
    python_tests = root / "tests" / "python"
    tests = "".join(path.read_text(encoding="utf-8") for path in python_tests.glob("test_*.py"))
    for path in sorted(python_tests.glob("*.cc")):
        if path.name not in tests:
            yield Finding(path.relative_to(root).as_posix(), 1, "no test in tests/python names it")
    for folder in ("include", "src", "python", "tests", "benchmarks"):
        for path in sorted((root / folder).rglob("*")):
            if path.parent == python_tests:
                continue
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


def check_header_names(root: Path) -> Iterator[Finding]:
    """Find private headers that have the name of another one."""
    first: dict[str, str] = {}
    for path in sorted((root / "src").rglob("*.h")):
        where = path.relative_to(root).as_posix()
        if path.name in first:
            yield Finding(where, 1, f"has the name of {first[path.name]}; use another one")
        first.setdefault(path.name, where)


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
    """Return whether the condition is ``TYPE_CHECKING``, which is false at run time."""
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def check_imports(root: Path) -> Iterator[Finding]:
    """Find imports of optional packages that ``import stream_store`` would run."""
    for path in sorted((root / "python" / PUBLIC).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for line, package in list_module_level_imports(tree.body):
            if package not in TOP_LEVEL_IMPORTS | OWN_IMPORTS.get(path.parent.name, set()):
                yield Finding(
                    path.relative_to(root).as_posix(),
                    line,
                    f"imports {package} at module level; `import {PUBLIC}` needs only numpy, "
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
    """List all findings of the tree at `root`, sorted by place."""
    findings = [*check_cycles(root), *check_lists(root), *check_imports(root), *check_sizes(root)]
    findings += check_header_names(root)
    for layer in LAYERS:
        findings += check_direction(root, layer)
    return sorted(findings)


def run(description: str, check: Callable[[Path], list[Finding]]) -> int:
    """Print the findings of a check of the tree; 1 if there are any, else 0."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    default = Path(__file__).resolve().parent.parent
    parser.add_argument("root", nargs="?", type=Path, default=default, help="the repository")
    root = parser.parse_args().root
    if not (root / "src").is_dir():
        raise SystemExit(f"{root}: expected the repository, but there is no folder src")
    findings = check(root)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(run(__doc__ or "", check_tree))
