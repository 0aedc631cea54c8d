"""The stores that a path names, on this machine or on each node of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from stream_store import _arguments
from stream_store._fields import declared_fields
from stream_store.errors import Error
from stream_store.features import FieldSpec
from stream_store.group import StoreGroup
from stream_store.store import StreamStore

AnyPaths = Any  # a path, a store or a group, or a sequence of them

#: The nodes on which paths are looked up: all, or those with these ids.
Nodes = Literal["all"] | Sequence[str] | None

_CONTROL = "control"
_Result = TypeVar("_Result")


def absolute_paths(paths: AnyPaths, operation: str) -> list[str]:
    """The paths as text. They are absolute, because other processes have other directories.

    Raises:
        TypeError: something is neither a path, nor a store or group with a path.
        ValueError: there is none, or a store is temporary or a snapshot.
    """
    several = isinstance(paths, Sequence) and not isinstance(paths, (str, bytes))
    given = list(paths) if several else [paths]
    if not given:
        raise ValueError(f"{operation}: expected at least one path, found []")
    return [_absolute(one, operation) for one in given]


def _absolute(given: Any, operation: str) -> str:
    if isinstance(given, StreamStore) and (given.path is None or given._is_snapshot):
        what = "a temporary store" if given.path is None else f"a snapshot of {given.path}"
        raise ValueError(
            f"{operation}: other processes open stores by their paths: expected a path, found "
            f"{what}"
        )
    path = getattr(given, "path", given)
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"{operation}: expected the path of a store or of a directory of stores, or a list of "
            f"such paths, not {given!r}"
        )
    return _arguments.absolute_path(_arguments.path_text(path))


@dataclass(frozen=True)
class StorePlace:
    """A store that was found.

    Attributes:
        path: of the store.
        specs: the fields of its group, which are the first of its own; None without a group.
    """

    path: str
    specs: list[FieldSpec] | None


def find_stores(paths: Sequence[str], operation: str) -> list[StorePlace]:
    """The stores that are at these paths now: stores themselves, or all stores of groups.

    A group without stores gives the empty store that has its fields.

    Raises:
        FileNotFoundError: there is neither a store nor a group at a path.
        ValueError: a store of a group has other fields.
    """
    return [store for path in paths for store in _stores_at(path, operation)]


def _stores_at(path: str, operation: str) -> list[StorePlace]:
    if is_store(path):
        return [StorePlace(path, None)]
    with open_group(path, "raise", operation) as group:
        specs = declared_fields(group._holder).specs
        names = [str(group.path / name) for name in group]
        return [StorePlace(one, specs) for one in names or [str(group._holder.path)]]


def is_store(path: str) -> bool:
    """Whether there is a store at a path."""
    return (Path(path) / _CONTROL).exists()


def open_group(path: str, on_error: Literal["raise", "skip"], operation: str) -> StoreGroup:
    """The group at a path.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        return StoreGroup(path, on_error=on_error)
    except (FileNotFoundError, NotADirectoryError) as error:
        found = "a directory without stores" if Path(path).is_dir() else "nothing"
        found = "a file" if Path(path).is_file() else found
        raise FileNotFoundError(
            f"{path}: {operation}: expected a store or a directory of stores, but found {found}"
        ) from error


# --- nodes ---


def paths_of_nodes(paths: AnyPaths, nodes: Any, operation: str) -> dict[str, list[str]] | None:
    """The paths to look up on each node, by node id; None if they are those of this machine.

    `paths` may be a mapping of node ids to paths.

    Raises:
        ValueError: a node is not alive; the message names it.
    """
    if isinstance(paths, Mapping) and not isinstance(paths, StoreGroup):
        if nodes is not None:
            raise ValueError(f"{operation}: paths names the nodes already; leave nodes out")
        given = {
            check_node(node, operation): absolute_paths(one, operation)
            for node, one in paths.items()
        }
        if not given:
            raise ValueError(f"{operation}: expected at least one node, found {{}}")
        return given
    if nodes is None:
        return None
    same = absolute_paths(paths, operation)
    if isinstance(nodes, str) and nodes == "all":
        return dict.fromkeys(alive_nodes(), same)
    if isinstance(nodes, (str, bytes)) or not isinstance(nodes, Sequence) or not nodes:
        raise ValueError(f"{operation}: nodes must be 'all' or a list of node ids, not {nodes!r}")
    return {check_node(node, operation): same for node in nodes}


def alive_nodes() -> list[str]:
    """The ids of the nodes of the cluster, in a fixed order."""
    connect()
    return sorted(node["NodeID"] for node in ray.nodes() if node["Alive"])


def check_node(node: Any, operation: str) -> str:
    """The id of a node that is alive."""
    alive = alive_nodes()
    if node not in alive:
        raise ValueError(
            f"{operation}: node {node!r} is not alive; the nodes are {', '.join(alive)}"
        )
    return str(node)


def this_node() -> str:
    """The id of the node of this process."""
    connect()
    return str(ray.get_runtime_context().get_node_id())


def on_node(node: str) -> Any:
    """The strategy that schedules on one node only, and fails at once if it is dead."""
    return NodeAffinitySchedulingStrategy(node, soft=False)


def run_on_nodes(
    function: Callable[..., _Result], arguments: Mapping[str, tuple[Any, ...]], operation: str
) -> dict[str, _Result]:
    """Call a function on each node, at the same time, with the arguments for that node.

    Raises:
        Error: a node died.
    """
    remote = ray.remote(function).options
    running = {
        node: remote(num_cpus=0, scheduling_strategy=on_node(node)).remote(*given)
        for node, given in arguments.items()
    }
    results = {}
    for node, reference in running.items():
        try:
            results[node] = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error_of(error, f"{operation}: node {node}") from error
        except ray.exceptions.RayError as error:
            raise Error(f"{operation}: node {node} does not answer: {error}") from error
    return results


def error_of(error: ray.exceptions.RayTaskError, place: str) -> Exception:
    """The exception that a task raised, with the place in its message."""
    cause = error.cause
    text = f"{place}: {cause}"
    if isinstance(cause, OSError) and not isinstance(cause, Error):
        return type(cause)(text)
    try:
        return type(cause)(text) if isinstance(cause, Exception) else Error(text)
    except TypeError:  # its constructor takes other arguments
        return Error(text)


def connect() -> None:
    """Connect to Ray as its own functions do when they are the first to be called."""
    if not ray.is_initialized():
        ray.init()
