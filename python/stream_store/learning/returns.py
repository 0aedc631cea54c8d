"""n_step() and discounted_return(): sums of rewards along the rows of windows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_store._arguments import integer

from ._checks import as_flags, as_numbers, unit_interval


class NStep(NamedTuple):
    """The n-step targets of a batch; see `n_step`.

    The target of a window is ``reward + discount * value(obs[row])``.

    Attributes:
        reward: (batch, ...) sum of the discounted rewards of up to n steps.
        discount: (batch, ...) gamma**k after k steps, 0 if the last of them terminated.
        row: (batch, ...) int64, the number of steps k, which is also the place in the window of the
            row whose observation follows the last step. 0 if the window begins with no whole step.

    Examples:
        >>> from stream_store.learning import n_step
        >>> no = np.zeros((1, 4), bool)
        >>> reward, discount, row = n_step(np.ones((1, 4)), no, no, gamma=0.5)
        >>> reward.tolist(), discount.tolist(), row.tolist()
        ([1.75], [0.125], [3])
    """

    reward: NDArray[Any]
    discount: NDArray[Any]
    row: NDArray[np.int64]


def n_step(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    gamma: float,
    n: int | None = None,
    *,
    valid: ArrayLike | None = None,
) -> NStep:
    """Sum the rewards of the first n steps of each window, up to the end of its episode.

    A window's steps end with the n-th, with the first that terminates or is truncated, or with the
    last one whose next row is in the window and valid: the first of these. The end of an episode
    that is still being recorded is therefore not taken for an ending: the steps so far count, and
    the target bootstraps from the newest row. A step that terminates needs no next row, so it
    counts in any case; its discount is 0, and `row` may be that of padding.

    Args:
        reward: (batch, length) or (batch, length, agents, ...), any real dtype.
        terminated: bool, of the shape of `reward`, or (batch, length) for all agents. Numbers are
            accepted if they are all 0 or 1.
        truncated: as `terminated`.
        gamma: discount of one step, in [0, 1].
        n: the largest number of steps, from 1 to length - 1, which is the default. `length` is
            accepted too, for batches that have one more row of observations than of rewards; `row`
            may then be `length`.
        valid: (batch, length) bool, the batch's "_valid": False marks padding. Steps begin at the
            first row, so a window that begins with padding has none. With n=length, it must have
            length + 1 columns: the last row of observations counts as well. None means all True.

    Returns:
        Reward, discount and row, each (batch,) or (batch, agents, ...). Reward and discount have
        dtype ``np.result_type(reward, np.float32)``: float32 for rewards of float32 and less,
        float64 for float64 and for int32 and int64. Leave windows whose `row` is 0 out of the loss;
        their reward is 0 and their discount 1.

    Raises:
        ValueError: a shape, a dtype, `gamma` or `n` is not accepted.
        TypeError: an argument cannot be converted to an array.

    Examples:
        The second window terminates with its second step, and the third is truncated there:

        >>> from stream_store.learning import n_step
        >>> reward = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]])
        >>> no = np.zeros((3, 4), bool)
        >>> terminated, truncated, valid = no.copy(), no.copy(), ~no
        >>> terminated[1, 1] = truncated[2, 1] = True
        >>> valid[1:, 3] = False
        >>> target = n_step(reward, terminated, truncated, 0.5, valid=valid)
        >>> target.reward.tolist(), target.discount.tolist(), target.row.tolist()
        ([1.75, 1.5, 1.5], [0.125, 0.0, 0.25], [3, 2, 2])
    """
    rewards, terminal, cut = _windows(reward, terminated, truncated)
    gamma = unit_interval("gamma", gamma)
    count = _steps(n, rewards.shape[1])
    ended = terminal[:, :count] | cut[:, :count]
    steps = np.where(ended.any(axis=1), ended.argmax(axis=1) + 1, count)
    if valid is not None:
        whole = _whole_rows(valid, rewards, count)
        terminates = (steps <= whole) & _at(terminal, steps - 1)  # needs no next row
        steps = np.where(terminates, steps, np.minimum(steps, np.maximum(whole - 1, 0)))
    dtype = np.result_type(rewards.dtype, np.float32)
    total = np.zeros(steps.shape)
    for t in range(count):  # in this order, so that a sum does not depend on the shape of the batch
        total += np.where(t < steps, rewards[:, t].astype(np.float64) * gamma**t, 0)
    over = (steps > 0) & _at(terminal, np.maximum(steps - 1, 0))
    discount = np.where(over, 0.0, gamma ** steps.astype(np.float64))
    return NStep(total.astype(dtype), discount.astype(dtype), steps.astype(np.int64))


def discounted_return(
    reward: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    gamma: float,
    *,
    value: ArrayLike | None = None,
    valid: ArrayLike | None = None,
) -> NDArray[Any]:
    """Compute the discounted sum of the rewards from each row on.

    The return of a row is its reward plus `gamma` times the return of the next row. At the end of
    an episode and of the window, `value` decides:

    - A row that terminates has its reward only.
    - A row that is truncated has its reward plus `gamma` times `value` of the next row.
    - The last valid row of a window has `value` of itself, because the step that begins there is
      not in the window. If it terminates, it has its reward.
    - Without `value`, nothing is added: each return is the sum of rewards that are in the window
      and in the episode.

    Args:
        reward: (batch, length) or (batch, length, agents, ...), any real dtype.
        terminated: bool, of the shape of `reward`, or (batch, length) for all agents. Numbers are
            accepted if they are all 0 or 1.
        truncated: as `terminated`.
        gamma: discount of one step, in [0, 1].
        value: estimates of the value of each row's observation, of the shape of `reward`.
        valid: (batch, length) bool, the batch's "_valid": False marks padding, whose return is 0.

    Returns:
        An array of the shape of `reward`, dtype ``np.result_type(reward, np.float32)``.

    Raises:
        ValueError: a shape, a dtype or `gamma` is not accepted.
        TypeError: an argument cannot be converted to an array.

    Examples:
        >>> from stream_store.learning import discounted_return
        >>> reward = np.array([[1.0, 1.0, 1.0, 0.0]])
        >>> no, third = np.zeros((1, 4), bool), np.array([[False, False, True, False]])
        >>> discounted_return(reward, third, no, 0.5).tolist()
        [[1.75, 1.5, 1.0, 0.0]]
        >>> discounted_return(reward, no, third, 0.5, value=np.full((1, 4), 8)).tolist()
        [[2.75, 3.5, 5.0, 8.0]]
    """
    rewards, terminal, cut = _windows(reward, terminated, truncated)
    gamma = unit_interval("gamma", gamma)
    inside = np.ones_like(terminal) if valid is None else _spread("valid", valid, rewards)
    sums = rewards.astype(np.float64)
    at_last, at_cut = sums, np.zeros_like(sums)
    if value is not None:
        at_last = _values(value, rewards)
        at_cut[:, :-1] = at_last[:, 1:]
    last = np.ones_like(terminal)
    last[:, :-1] = ~inside[:, 1:]
    known = terminal | last | cut  # the return does not depend on that of the next row
    result = np.where(terminal, sums, np.where(last, at_last, sums + gamma * at_cut))
    for t in reversed(range(sums.shape[1] - 1)):
        following = sums[:, t] + gamma * result[:, t + 1]
        result[:, t] = np.where(known[:, t], result[:, t], following)
    result[~inside] = 0
    return result.astype(np.result_type(rewards.dtype, np.float32), copy=False)


# --- steps of the functions above ---


def _whole_rows(valid: ArrayLike, rewards: NDArray[Any], count: int) -> NDArray[np.intp]:
    """The number of valid rows from the start of each window, in the shape of the results."""
    length = rewards.shape[1]
    columns = length + 1 if count == length else length
    mask = as_flags("valid", valid)
    if mask.shape not in {(rewards.shape[0], columns), (rewards.shape[0], length + 1)}:
        raise ValueError(
            f"valid must have shape {(rewards.shape[0], columns)} for n={count} and rewards of "
            f"shape {rewards.shape}, not {mask.shape}"
        )
    whole = np.where(mask.all(axis=1), mask.shape[1], mask.argmin(axis=1))
    return np.broadcast_to(_extend(whole, rewards.ndim - 1), rewards[:, 0].shape)


def _at(flags: NDArray[np.bool_], place: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The flag of each window at its own place."""
    return np.take_along_axis(flags, place[:, None], axis=1)[:, 0]


# --- checks ---


def _windows(
    reward: Any, terminated: Any, truncated: Any
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
    """The rewards, and the flags in the shape of the rewards."""
    rewards = as_numbers("reward", reward)
    if rewards.ndim < 2 or rewards.shape[1] == 0:
        raise ValueError(
            "reward must have shape (batch, length) or (batch, length, agents, ...) with a length "
            f"of 1 or more, not {rewards.shape}"
        )
    terminal = _spread("terminated", terminated, rewards)
    return rewards, terminal, _spread("truncated", truncated, rewards)


def _spread(name: str, given: Any, rewards: NDArray[Any]) -> NDArray[np.bool_]:
    """Flags of (batch, length) or of the shape of the rewards, in the shape of the rewards."""
    flags = as_flags(name, given)
    if flags.shape not in {rewards.shape, rewards.shape[:2]}:
        either = "" if rewards.ndim == 2 else f" or {rewards.shape}"
        raise ValueError(
            f"{name} must have shape {rewards.shape[:2]}{either}, as reward has, not {flags.shape}"
        )
    return np.broadcast_to(_extend(flags, rewards.ndim), rewards.shape)


def _extend(array: NDArray[Any], ndim: int) -> NDArray[Any]:
    """The array with axes of length 1 at its end."""
    return array.reshape(array.shape + (1,) * (ndim - array.ndim))


def _values(given: Any, rewards: NDArray[Any]) -> NDArray[np.float64]:
    values = as_numbers("value", given)
    if values.shape != rewards.shape:
        raise ValueError(
            f"value must have the shape of reward, {rewards.shape}, not {values.shape}"
        )
    return values.astype(np.float64)


def _steps(n: Any, length: int) -> int:
    """The largest number of steps in windows of `length` rows."""
    if n is None and length == 1:
        raise ValueError(
            "reward must have windows of 2 rows or more, because the last row only ends a step, or "
            "n must be given; its windows have 1 row"
        )
    count = length - 1 if n is None else integer("n", n, 1)
    if count > length:
        raise ValueError(
            f"n must be at most {length}, the number of rows in a window of reward, not {n}"
        )
    return count
