"""No module of the package imports itself through others, not even for types.

Imports are read from the sources, so those in functions and under TYPE_CHECKING count too: a cycle
among them means that two modules know each other's classes, although neither could be read alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import stream_store

PACKAGE = Path(stream_store.__file__).parent


def module_name(path: Path, package: Path) -> str:
    parts = [package.name, *path.relative_to(package).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names of modules, or of their attributes, that a module imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> modules of the same package that it imports."""
    sources = [path for path in package.rglob("*.py*") if path.suffix in {".py", ".pyi"}]
    paths = {module_name(path, package): path for path in sources}  # a stub: the compiled part
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        graph[module] = set()
        for name in imported_names(tree, module, path.name == "__init__.py"):
            # The name is a module, or something inside one.
            target = name if name in paths else name.rpartition(".")[0]
            if target in paths and target != module:
                graph[module].add(target)
    return graph


def find_cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules of one cycle in order, [] if there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return path[path.index(module) :]
        if module in done:
            return []
        for target in sorted(graph[module]):
            if cycle := visit(target, [*path, module]):
                return cycle
        done.add(module)
        return []

    for module in sorted(graph):
        if cycle := visit(module, []):
            return cycle
    return []


def test_the_package_has_no_import_cycle() -> None:
    assert find_cycle(import_graph(PACKAGE)) == []


def test_the_graph_is_that_of_the_package() -> None:
    graph = import_graph(PACKAGE)
    assert len(graph) > 40
    assert "stream_store._exchange.arrow" in graph["stream_store._store_tables"]  # in a function
    assert "stream_store.store" in graph["stream_store"]
    assert "stream_store._core" in graph["stream_store.reports"]


def test_a_cycle_of_types_is_found(tmp_path: Path) -> None:
    package = tmp_path / "pkg"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("from .a import A\n")
    (package / "a.py").write_text("from .sub import b\nclass A: ...\n")
    (package / "sub" / "__init__.py").write_text("")
    (package / "sub" / "b.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ..a import A\n"
        "def f() -> None:\n    from . import c\n"
    )
    (package / "sub" / "c.py").write_text("")
    graph = import_graph(package)
    assert graph["pkg.sub.b"] == {"pkg.a", "pkg.sub.c"}
    assert find_cycle(graph) == ["pkg.a", "pkg.sub.b"]
