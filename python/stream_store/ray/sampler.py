"""Sampler: batches of windows from the stores of all nodes of a cluster.

One actor per node draws windows from the stores of its node. The driver asks all of them for the
windows of several batches at a time, a round, and reads rounds ahead:

1. The driver draws how many windows of each batch each node contributes, in proportion to the
   numbers of valid starts that the nodes reported last.
2. It asks every node for its windows of the round. A node that contributes none is asked, too,
   because its answer has its number of starts.
3. The answers stay in the object store until the batches are taken from them.

So each batch is a uniform draw from the union of all nodes, as it was a few rounds ago.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from stream_store import _arguments
from stream_store._closing import ClosedByWith
from stream_store._sampler_options import sampler_options
from stream_store._types import Batch
from stream_store.sampler import WindowSampler

from .draws import Shares, cut, merge, with_store_numbers
from .node import OPERATION, Drawn, generator_of
from .paths import AnyPaths, Nodes, absolute_paths, paths_of_nodes, this_node
from .pool import Node, NodePool, PoolOptions

#: Version of state_dict(). load_state_dict() refuses other versions.
STATE_VERSION = 1

#: Arguments of WindowSampler that Sampler has itself, or that a union of nodes does not allow.
_NOT_PASSED_ON = {
    *("unit", "align", "columns", "batch_size", "seed", "replacement", "priorities"),
    *("rank", "world_size", "drop_last"),
}

_ROUNDS_AHEAD = 4  # two are drawn at a time, and two are on their way
_ROUND_BYTES = 16 << 20
_POLL_SECONDS = 0.05


@dataclass
class _Round:
    """The windows of several batches: references first, and the windows once they were taken."""

    number: int
    shares: Shares
    nodes: list[Node]
    references: list[Any]
    windows: dict[int, Batch] = field(default_factory=dict)  # by place among the nodes


class Sampler(ClosedByWith):
    """Draws batches of windows of rows, uniformly from the stores of all nodes of a Ray cluster.

    One actor per node samples the stores of its node, and batches travel through Ray's object
    store. Every window of the union is equally likely, whatever number of windows a node has. The
    stores may grow meanwhile: a batch is drawn from the rows that the nodes had when it was read
    ahead.

    A batch is that of a `WindowSampler` of rows over a list of stores. "_store" and "_index" number
    the stores of all nodes, in the order of `stores`. Its arrays may be read-only, because they lie
    in the object store; they are views without a copy if one node has all stores.

    Args:
        paths: the path of a store or of a `StoreGroup`, which is any directory of stores; or a list
            of both. A mapping of node ids to such paths names paths that are local to each node.
            Stores may join and leave a group meanwhile if it is the only path of its node.
        length: as for `WindowSampler`.
        nodes: nodes that each have stores of their own under these paths: "all", or a list of node
            ids. None samples with one actor on this node.
        batch_size: windows in each batch.
        seed: with the stores, determines all random choices.
        ahead: about how many batches are drawn ahead, at most 64 MiB. With fewer, batches have
            newer rows; with more, they arrive faster.
        on_error: "raise" raises an error if a node dies, or a store of a group is damaged. "skip"
            samples the others, and the stores of the node again when it is back.
        num_cpus: CPUs of each actor, as for any actor of Ray.
        kwargs: further arguments of `WindowSampler`, except for `unit`, `align`, `columns`,
            `replacement`, `priorities`, `rank`, `world_size` and `drop_last`.

    Raises:
        FileNotFoundError: there is neither a store nor a group at a path.
        ValueError: an argument is not valid, the fields of stores differ, or a node is not alive.
        TypeError: `WindowSampler` has no such argument.
        Error: a node died.

    Examples:
        >>> import stream_store.ray
        >>> with StreamStore("run", fields={"obs": "float32[2]", "done": "bool"}) as store:
        ...     rows = store.extend({"obs": np.ones((100, 2)), "done": np.arange(100) % 10 == 9})
        >>> with stream_store.ray.Sampler("run", 4, batch_size=32, segment_by="done") as sampler:
        ...     sampler.sample()["obs"].shape
        (32, 4, 2)
    """

    def __init__(
        self,
        paths: AnyPaths,
        length: int | None = None,
        *,
        nodes: Nodes = None,
        batch_size: int = 256,
        seed: int = 0,
        ahead: int = 128,
        on_error: Literal["raise", "skip"] = "raise",
        num_cpus: float | None = None,
        **kwargs: Any,
    ) -> None:
        self._batch_size = _arguments.integer("batch_size", batch_size, 1)
        self._seed = _arguments.integer("seed", seed, 0)
        self._ahead = _arguments.integer("ahead", ahead, 1)
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        by_node = paths_of_nodes(paths, nodes, OPERATION)
        options = PoolOptions(
            arguments=_window_arguments(length, kwargs),
            num_cpus=num_cpus,
            skips=on_error == "skip",
            may_lack=nodes is not None,
            everywhere=absolute_paths(paths, OPERATION) if nodes == "all" else None,
        )
        if by_node is None:
            by_node = {this_node(): absolute_paths(paths, OPERATION)}
        self._rank = 0
        self._batches = 0  # handed out
        self._in_round: int | None = None  # batches of a round; known with the first window
        self._rounds: deque[_Round] = deque()
        self._closed = False
        self._pool = NodePool(by_node, options)

    # --- batches ---

    def sample(self) -> Batch:
        """Return the next batch.

        Returns:
            A dict of arrays, which may be read-only.

        Raises:
            ValueError: there is no valid start on any node, or the sampler was closed.
            Error: a node died, and `on_error` is "raise", or no node is left.

        Examples:
            >>> import stream_store.ray
            >>> with StreamStore("run", fields={"action": "int64"}) as store:
            ...     rows = store.extend({"action": np.arange(100)})
            >>> sampler = stream_store.ray.Sampler("run", 4, batch_size=32)
            >>> sampler.sample()["action"].shape
            (32, 4)
        """
        if self._closed:
            raise ValueError(f"{OPERATION}: the sampler was closed")
        try:
            number, batch = divmod(self._batches, self._round_size())
            while self._rounds and self._rounds[0].number != number:
                self._rounds.popleft()
            while len(self._rounds) <= min(_ROUNDS_AHEAD, self._ahead):
                self._rounds.append(self._ask(number + len(self._rounds), 0))
            result = self._batch(self._windows_of(self._rounds[0]), batch)
        except BaseException:
            self._rounds.clear()  # the next call asks the nodes that are there then
            raise
        self._batches += 1
        return result

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over batches, endlessly."""
        while True:
            yield self.sample()

    def _batch(self, drawn: _Round, batch: int) -> Batch:
        """One batch of a round."""
        shares = drawn.shares
        parts = {
            place: cut(windows, shares.part(batch, place))
            for place, windows in drawn.windows.items()
        }
        places = shares.places(batch)
        if places is None:
            return next(iter(parts.values()))
        return merge(list(parts.values()), [places[place] for place in parts])

    # --- rounds ---

    def _round_size(self) -> int:
        """The batches of a round: as many as take some megabytes."""
        if self._in_round is None:
            self._pool.ready()
            batches = _ROUND_BYTES // (self._pool.window_bytes() * self._batch_size)
            self._in_round = max(1, min(batches, self._ahead // _ROUNDS_AHEAD))
        return self._in_round

    def _ask(self, number: int, attempt: int) -> _Round:
        """Ask all nodes for their windows of a round."""
        nodes = self._pool.ready()
        key = (self._rank, number, attempt)
        shares = Shares(
            [one.num_starts for one in nodes],
            self._round_size(),
            self._batch_size,
            generator_of(self._seed, *key, 0),
        )
        references = [
            one.actor.draw.remote(
                shares.of_node(place), self._seed, (*key, place + 1), len(one.numbers)
            )
            for place, one in enumerate(nodes)
        ]
        return _Round(number, shares, nodes, references)

    def _windows_of(self, drawn: _Round) -> _Round:
        """The round with its windows. It is drawn again if a node could not give its share."""
        attempt = 0
        while not drawn.windows:
            answers = [
                self._answer(node, reference)
                for node, reference in zip(drawn.nodes, drawn.references, strict=True)
            ]
            wanted = [place for place in range(len(answers)) if drawn.shares.of_node(place)]
            if all(answers[place] is not None for place in wanted):
                drawn.windows = {place: answers[place] for place in wanted}  # type: ignore[misc]
            else:
                attempt += 1
                drawn = self._rounds[0] = self._ask(drawn.number, attempt)
        return drawn

    def _answer(self, node: Node, reference: Any) -> Batch | None:
        """The windows that a node gives; None if it has none, or was lost and is skipped."""
        answer: Drawn | None = self._pool.get(node, reference)
        if answer is None or node.facts is None:
            return None
        node.facts = replace(node.facts, num_starts=answer.num_starts)
        self._pool.number_stores(node, answer.new_paths)
        if answer.windows is None:
            return None
        return with_store_numbers(answer.windows, np.array(node.numbers, np.int64))

    # --- facts ---

    @property
    def num_starts(self) -> int:
        """Number of valid starts on all nodes now."""
        return self._pool.count_starts()

    @property
    def nodes(self) -> list[str]:
        """The ids of the nodes that are sampled; those that were lost are left out."""
        return self._pool.alive()

    @property
    def stores(self) -> list[tuple[str, str]]:
        """Node and path of each store, by its number in "_store"."""
        return list(self._pool.stores)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is a valid start on any node.

        Args:
            timeout: seconds; None waits without a limit.

        Returns:
            Whether there is a valid start.

        Raises:
            ValueError: `timeout` is negative.

        Examples:
            >>> import stream_store.ray
            >>> store = StreamStore("run", fields={"action": "int64"})
            >>> stream_store.ray.Sampler("run", 4).wait(timeout=0.01)
            False
        """
        end = time.monotonic() + _arguments.timeout_seconds(timeout)
        while self.num_starts == 0:
            left = end - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _POLL_SECONDS))
        return True

    # --- copies, resuming and the end ---

    def split(self, n: int) -> list[Sampler]:
        """Make samplers for `n` trainers. Each draws a sequence of its own, and can be pickled.

        They share the actors of this sampler, which must stay open as long as they are used.

        Args:
            n: how many.

        Raises:
            ValueError: `n` is below 1, or this sampler is one of such samplers itself.

        Examples:
            >>> import stream_store.ray
            >>> with StreamStore("run", fields={"action": "int64"}) as store:
            ...     rows = store.extend({"action": np.arange(100)})
            >>> one, other = stream_store.ray.Sampler("run", 4, batch_size=8).split(2)
            >>> bool((one.sample()["_row"] == other.sample()["_row"]).all())
            False
        """
        if self._rank:
            raise ValueError(f"{OPERATION}: split: the sampler is one of a split already")
        copies = [copy.copy(self) for _ in range(_arguments.integer("n", n, 1))]
        for rank, one in enumerate(copies, start=1):
            one._rank = rank
            one._batches = 0
        return copies

    def state_dict(self) -> dict[str, Any]:
        """Return the state: ints.

        It counts the batches that were handed out. A sampler with the same arguments continues
        after them. It gives the same batches if nodes and stores are the same; otherwise, it draws
        with the same random numbers from the rows that are stored then.

        Returns:
            A dict that `load_state_dict` accepts.

        Examples:
            >>> import stream_store.ray
            >>> with StreamStore("run", fields={"action": "int64"}) as store:
            ...     rows = store.extend({"action": np.arange(100)})
            >>> sampler = stream_store.ray.Sampler("run", 4, batch_size=8)
            >>> state = sampler.state_dict()
            >>> batch = sampler.sample()
            >>> sampler.load_state_dict(state)
            >>> bool((sampler.sample()["action"] == batch["action"]).all())
            True
        """
        return {
            "version": STATE_VERSION,
            "seed": self._seed,
            "rank": self._rank,
            "batches": self._batches,
            "batch_size": self._batch_size,
            "in_round": self._in_round or 0,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`, with its seed.

        Args:
            state: the state of a sampler with the same arguments.

        Raises:
            ValueError: the state is of another version or batch size. The sampler is not changed
                then.

        Examples:
            >>> import stream_store.ray
            >>> with StreamStore("run", fields={"action": "int64"}) as store:
            ...     rows = store.extend({"action": np.arange(100)})
            >>> first = stream_store.ray.Sampler("run", 4, batch_size=8, seed=5)
            >>> second = stream_store.ray.Sampler("run", 4, batch_size=8)
            >>> second.load_state_dict(first.state_dict())
            >>> bool((first.sample()["action"] == second.sample()["action"]).all())
            True
        """
        if not isinstance(state, Mapping):
            raise ValueError(f"load_state_dict: expected a state_dict() but found {state!r}")
        for name, mine in (("version", STATE_VERSION), ("batch_size", self._batch_size)):
            if state.get(name) != mine:
                raise ValueError(
                    f"load_state_dict: expected a state with {name}={mine}, as this sampler has, "
                    f"but found {state.get(name)!r}"
                )
        names = ("seed", "rank", "batches", "in_round")
        numbers = [_arguments.integer(f"{name} of the state", state.get(name), 0) for name in names]
        self._seed, self._rank, self._batches, in_round = numbers
        self._in_round = in_round or None
        self._rounds.clear()

    def close(self) -> None:
        """Release the actors and the batches that were read ahead. Further calls do nothing.

        Examples:
            >>> import stream_store.ray
            >>> StreamStore("run", fields={"action": "int64"}).close()
            >>> stream_store.ray.Sampler("run", 4).close()
        """
        self._closed = True
        self._rounds.clear()
        self._pool.close()

    def __repr__(self) -> str:
        return f"<Sampler of {len(self.stores)} stores on {len(self.nodes)} nodes>"

    def __getstate__(self) -> dict[str, Any]:
        """A copy shares the actors, but not the batches that were read ahead."""
        return self.__dict__ | {"_rounds": deque(), "_pool": self._pool.copy()}


def _window_arguments(length: int | None, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the WindowSampler of each node.

    Raises:
        ValueError: an argument is not valid.
        TypeError: there is no such argument.
    """
    parameters = inspect.signature(WindowSampler).parameters
    known = {name: one.default for name, one in parameters.items() if name != "store"}
    for name in given:
        if name not in known or name in _NOT_PASSED_ON:
            accepted = [one for one in known if one not in _NOT_PASSED_ON]
            raise TypeError(
                f"{OPERATION}: there is no argument {name!r}; the arguments of WindowSampler that "
                f"it takes are {', '.join(accepted)}"
            )
    arguments = {"length": length, **given, "unit": "row"}
    sampler_options(known | arguments)
    return arguments
