"""NodePool: the nodes that a Sampler draws from, and their actors.

It starts the actors, notices nodes that died, are back or are new, and numbers the stores of all
nodes. Used by one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray

from stream_store.errors import Error
from stream_store.features import difference

from .node import OPERATION, NodeFacts, NodeSampler
from .paths import alive_nodes, error_of, on_node

_LOOK_SECONDS = 1.0  # between two looks for nodes that are back or new


@dataclass
class Node:
    """A node and its actor."""

    node: str
    paths: list[str]
    actor: Any = None  # None while the node is lost
    facts: NodeFacts | None = None  # None until the actor has answered
    asked: Any = None  # the reference of facts that were asked for
    lost: bool = False  # it has died, and has not answered since
    numbers: list[int] = field(default_factory=list)  # of its stores, in batches

    @property
    def num_starts(self) -> int:
        """Valid starts, as the node has reported them last."""
        return 0 if self.facts is None else self.facts.num_starts


@dataclass(frozen=True)
class PoolOptions:
    """How the nodes of a pool are sampled.

    Attributes:
        arguments: those of the WindowSampler.
        num_cpus: CPUs of an actor; None is Ray's default.
        skips: whether nodes that die, and damaged stores of groups, are left out without an error.
        may_lack: whether a node may have nothing at its paths.
        everywhere: the paths to look up on nodes that join the cluster, or None.
    """

    arguments: dict[str, Any]
    num_cpus: float | None
    skips: bool
    may_lack: bool
    everywhere: list[str] | None


class NodePool:
    """The nodes of a Sampler.

    Args:
        paths: the paths on each node, by node id.
        options: how they are sampled.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: the fields of stores differ.
        Error: a node died.
    """

    def __init__(self, paths: dict[str, list[str]], options: PoolOptions) -> None:
        self._options = options
        self._looked = time.monotonic()
        self.stores: list[tuple[str, str]] = []  # node and path, by number
        self.nodes = [Node(node, some) for node, some in paths.items()]
        for one in self.nodes:
            self._start(one)
        self._take_facts(self.nodes)
        if options.may_lack and not self.stores and self._active() == self.nodes:
            raise FileNotFoundError(
                f"{', '.join(self.nodes[0].paths)}: {OPERATION}: expected stores on at least one "
                f"node, but none of {len(self.nodes)} nodes has any"
            )

    def copy(self) -> NodePool:
        """A pool that shares the actors, for another process or trainer."""
        other = NodePool.__new__(NodePool)
        other.__setstate__(self.__getstate__())
        return other

    def __getstate__(self) -> dict[str, Any]:
        nodes = [replace(one, asked=None, numbers=list(one.numbers)) for one in self.nodes]
        return self.__dict__ | {"nodes": nodes, "stores": list(self.stores)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._looked = time.monotonic()

    def close(self) -> None:
        """Give up the actors. Ray ends an actor without references."""
        for one in self.nodes:
            one.actor = one.facts = one.asked = None

    def ready(self) -> list[Node]:
        """The nodes that can be asked for windows now; at least one of them has a valid start.

        Raises:
            ValueError: no node has a valid start.
            Error: a node died.
        """
        self._look()
        if not any(one.num_starts for one in self.nodes) and self.count_starts() == 0:
            if not self._active():
                lost = ", ".join(one.node for one in self.nodes)
                raise Error(f"{OPERATION}: no node is left; these do not answer: {lost}")
            raise ValueError(
                f"{OPERATION}: there is no valid start on any of {len(self.nodes)} nodes"
            )
        return [one for one in self.nodes if one.facts is not None]

    def alive(self) -> list[str]:
        """The ids of the nodes that are not lost."""
        return [one.node for one in self._active()]

    def count_starts(self) -> int:
        """Ask all nodes for their numbers of valid starts."""
        active = self._active()
        for one in active:
            one.asked = one.asked or one.actor.facts.remote()
        self._take_facts(active)
        return sum(one.num_starts for one in self.nodes)

    def window_bytes(self) -> int:
        """About how many bytes a window takes."""
        return max(1, *(one.facts.window_bytes for one in self.nodes if one.facts is not None))

    def get(self, node: Node, reference: Any) -> Any:
        """The result of a call of an actor; None if the node was lost, and is skipped.

        Raises:
            Exception: the call raised it; the message names the node.
            Error: the node was lost.
        """
        try:
            return ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error_of(error, f"{OPERATION}: node {node.node}") from error
        except ray.exceptions.RayError as error:
            node.actor = node.facts = node.asked = None
            node.lost = True
            if not self._options.skips:
                raise _lost(node) from error
            return None

    def number_stores(self, node: Node, paths: Sequence[str]) -> None:
        """Number stores that a node has found."""
        for path in paths:
            store = (node.node, path)
            if store not in self.stores:
                self.stores.append(store)
            node.numbers.append(self.stores.index(store))

    def _active(self) -> list[Node]:
        return [one for one in self.nodes if one.actor is not None]

    def _start(self, node: Node) -> None:
        """Start the actor of a node, and ask for its facts."""
        options: dict[str, Any] = {"max_restarts": 3, "max_task_retries": 3, "max_concurrency": 2}
        if self._options.num_cpus is not None:
            options["num_cpus"] = self._options.num_cpus
        actor = ray.remote(NodeSampler).options(**options, scheduling_strategy=on_node(node.node))
        how = self._options
        node.numbers = []
        node.actor = actor.remote(node.paths, how.arguments, how.may_lack, how.skips)
        node.asked = node.actor.facts.remote()

    def _take_facts(self, nodes: Sequence[Node]) -> None:
        """Wait for the facts that were asked for."""
        for node in nodes:
            facts: NodeFacts | None = self.get(node, node.asked)
            node.asked = None
            if facts is not None:
                node.facts = facts
                node.lost = False
                self.number_stores(node, facts.paths[len(node.numbers) :])
                self._require_equal_fields(node, facts)

    def _look(self) -> None:
        """Start actors on nodes that are back or new, and take the facts of those that answer.

        If no node may be left out, one that was lost is waited for: batches without its stores
        would not be uniform.
        """
        self._start_some()
        for one in [one for one in self.nodes if one.asked is not None]:
            awaited = one.lost and not self._options.skips
            if awaited or ray.wait([one.asked], timeout=0)[0]:
                self._take_facts([one])
        for one in self.nodes:
            if one.actor is None and not self._options.skips:
                raise _lost(one)

    def _start_some(self) -> None:
        everywhere = self._options.everywhere
        lost = [one for one in self.nodes if one.actor is None]
        if time.monotonic() - self._looked < _LOOK_SECONDS or (not lost and everywhere is None):
            return
        self._looked = time.monotonic()
        alive = alive_nodes()
        if everywhere is not None:
            known = {one.node for one in self.nodes}
            new = [Node(node, everywhere) for node in alive if node not in known]
            self.nodes += new
            lost += new
        for one in lost:
            if one.node in alive:
                self._start(one)

    def _require_equal_fields(self, node: Node, facts: NodeFacts) -> None:
        """Refuse a node whose stores have other fields than those of another node."""
        for other in self.nodes:
            if other is node or other.facts is None or not other.facts.specs or not facts.specs:
                continue
            text = difference(facts.specs, other.facts.specs)
            if text is not None:
                raise ValueError(
                    f"{OPERATION}: expected stores with equal fields, but {facts.paths[0]} on node "
                    f"{node.node} differs from {other.facts.paths[0]} on node {other.node}: {text}"
                )


def _lost(node: Node) -> Error:
    return Error(
        f"{OPERATION}: node {node.node} with {', '.join(node.paths)} does not answer: it died, or "
        "its actor was killed; on_error='skip' samples the other nodes"
    )
