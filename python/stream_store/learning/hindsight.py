"""relabel_goals(): new goals for transitions that were already recorded."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_store._arguments import integer

from ._checks import as_array, as_ints, unit_interval

Strategy: TypeAlias = Literal["future", "final", "episode"]


class HindsightGoals(NamedTuple):
    """Which transitions get a new goal, and from which rows; see `relabel_goals`.

    Attributes:
        row: int64, the number of the row whose achieved goal becomes the new goal. Where `mask` is
            False, the row of the transition itself, so that all can be read in one call.
        mask: bool, True where a transition gets a new goal.

    Examples:
        >>> from stream_store.learning import relabel_goals
        >>> goals = relabel_goals([0, 4], 0, 5, "final", fraction=1)
        >>> goals.row.tolist(), goals.mask.tolist()
        ([4, 4], [True, False])
    """

    row: NDArray[np.int64]
    mask: NDArray[np.bool_]

    def choose(self, new: Any, old: Any) -> NDArray[Any]:
        """Take `new` where a transition gets a new goal, and `old` elsewhere.

        Use it for the goals, then for the rewards that follow from them.

        Args:
            new: array of shape (*mask.shape, ...), such as the achieved goals of `row`.
            old: array of the same shape, such as the goals of the batch. Its dtype is kept.

        Returns:
            A new array of the shape and dtype of `old`.

        Raises:
            ValueError: the shapes of `new`, `old` and `mask` do not fit together, or `old` cannot
                hold numbers of the dtype of `new`.

        Examples:
            >>> from stream_store.learning import relabel_goals
            >>> goals = relabel_goals([0, 4], 0, 5, "final", fraction=1)
            >>> goals.choose(np.ones((2, 3)), np.zeros((2, 3))).sum(axis=1).tolist()
            [3.0, 0.0]
        """
        old_array, new_array = as_array("old", old), as_array("new", new)
        shape = self.mask.shape
        if old_array.shape[: len(shape)] != shape:
            raise ValueError(
                f"old must have a shape that begins with {shape}, that of the rows, not "
                f"{old_array.shape}"
            )
        if new_array.shape != old_array.shape:
            raise ValueError(
                f"new must have the shape of old, {old_array.shape}, not {new_array.shape}"
            )
        if not np.can_cast(new_array.dtype, old_array.dtype, "same_kind"):
            raise ValueError(
                f"new must have a dtype of the kind of old, {old_array.dtype}, not "
                f"{new_array.dtype}"
            )
        mask = self.mask.reshape(shape + (1,) * (old_array.ndim - len(shape)))
        return np.where(mask, new_array.astype(old_array.dtype, copy=False), old_array)


def relabel_goals(
    row: ArrayLike,
    begin: ArrayLike,
    end: ArrayLike,
    strategy: Strategy | ArrayLike = "future",
    *,
    fraction: float = 0.8,
    rng: np.random.Generator | int | None = None,
    lanes: int = 1,
) -> HindsightGoals:
    """Choose the rows whose achieved goals become the goals of drawn transitions.

    This is hindsight experience replay (Andrychowicz et al., 2017, arXiv:1707.01495). A transition
    goes from row r to row r + 1 of its episode. Each transition gets a new goal with probability
    `fraction`, independently of the others. The caller reads the achieved goals of the returned
    rows, and computes the rewards of the transitions again. Whether they terminate stays as stored
    unless the caller computes that, too.

    The strategies are those of the paper and of `HerReplayBuffer` of Stable-Baselines3:

    - "future": a row after `row` in the same episode, each equally likely. The next row is one.
    - "final": the last row of the episode.
    - "episode": any row of the episode except its first, which no transition of it leads to.
    - an array of row numbers, which are taken as they are: any other strategy.

    Args:
        row: int array of any shape, the row numbers of the transitions. For windows that share one
            goal, pass one row for each window.
        begin: int array that broadcasts to the shape of `row`, the first row of each one's episode.
        end: as `begin`, the row after the last of the episode. The last row holds the final
            observation. In an episode that is still being recorded it is the newest row.
        strategy: one of the names above, or an int array of the shape of `row`.
        fraction: probability of a new goal, in [0, 1]. `n_sampled_goal=k` of Stable-Baselines3
            means k / (k + 1), so 0.8 is its default of 4.
        rng: a generator, or a seed. A seed gives the same choices in every call, so pass one
            generator to all calls of a run. None seeds from the operating system.
        lanes: distance between the rows of one episode, as in `WindowSampler(lanes=)`.

    Returns:
        Rows and a mask, both of the shape of `row`. A transition that has no later row in its
        episode, such as one drawn at the final observation, is never relabelled.

    Raises:
        ValueError: a shape, a dtype, a strategy or `fraction` is not accepted, or a row is not in
            its episode.
        TypeError: an argument cannot be converted to an array.

    Examples:
        >>> from stream_store.learning import relabel_goals
        >>> rng = np.random.default_rng(0)
        >>> row, begin, end = np.array([10, 11, 25]), np.array([10, 10, 20]), np.array([13, 13, 30])
        >>> goals = relabel_goals(row, begin, end, "future", fraction=1, rng=rng)
        >>> bool(((row < goals.row) & (goals.row < end)).all())
        True
    """
    rows = as_ints("row", row)
    first, stop = (
        _ints_like(name, given, rows) for name, given in (("begin", begin), ("end", end))
    )
    stride = integer("lanes", lanes, 1)
    _check_inside(rows, first, stop, stride)
    share = unit_interval("fraction", fraction)
    generator = np.random.default_rng(rng)
    drawn = generator.random(rows.shape) < share  # always drawn, so that equal seeds correspond
    later = (stop - 1 - rows) // stride
    chosen = _goal_rows(strategy, rows, (rows - first) // stride, later, generator, stride)
    mask = drawn & (later > 0)
    return HindsightGoals(np.where(mask, chosen, rows), mask)


def _goal_rows(
    strategy: Any,
    rows: NDArray[np.int64],
    earlier: NDArray[np.int64],
    later: NDArray[np.int64],
    generator: np.random.Generator,
    stride: int,
) -> NDArray[np.int64]:
    """The rows of new goals, for rows with `earlier` and `later` rows of their episode.

    Rows without a later one get any row: the caller leaves them out.
    """
    if not isinstance(strategy, str):
        given = as_ints("strategy", strategy)
        if given.shape != rows.shape:
            raise ValueError(
                "strategy must be 'future', 'final', 'episode', or row numbers of shape "
                f"{rows.shape}, not of shape {given.shape}"
            )
        return given
    if strategy == "final":
        return rows + stride * later
    if strategy == "future":
        ahead: NDArray[np.int64] = generator.integers(1, np.maximum(later, 1) + 1)
        return rows + stride * ahead
    if strategy == "episode":
        ahead = generator.integers(1, np.maximum(earlier + later, 1) + 1) - earlier
        return rows + stride * ahead
    raise ValueError(
        "strategy must be 'future', 'final', 'episode', or an array of row numbers, not "
        f"{strategy!r}"
    )


def _ints_like(name: str, given: Any, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    array = as_ints(name, given)
    try:
        return np.broadcast_to(array, rows.shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to the shape of row, {rows.shape}, not have shape {array.shape}"
        ) from None


def _check_inside(
    rows: NDArray[np.int64], first: NDArray[np.int64], stop: NDArray[np.int64], stride: int
) -> None:
    """Refuse rows outside of their episode, and rows of another lane."""
    wrong = (rows < first) | (rows >= stop) | ((rows - first) % stride != 0)
    if wrong.any():
        at = int(wrong.argmax())
        row, begin, end = (int(array.flat[at]) for array in (rows, first, stop))
        lane = f" in steps of {stride}" if stride > 1 else ""
        raise ValueError(f"row must be in [begin, end), [{begin}, {end}){lane}, not {row}")
