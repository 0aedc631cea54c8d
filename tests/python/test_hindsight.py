"""relabel_goals: uniform over the rows that a plain loop lists, and those of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from learning_model import GOLDEN, golden_episodes
from stream_store.learning import HindsightGoals, relabel_goals


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_goals_come_from_the_same_rows_as_those_of_stable_baselines(strategy: str) -> None:
    golden = np.load(GOLDEN)
    firsts, episode, rows = golden_episodes(golden)
    count = len(golden[strategy])
    begin, end = firsts[episode], (firsts + golden["lengths"] + 1)[episode]
    rng = np.random.default_rng(0)
    drawn = np.stack(
        [
            relabel_goals(rows, begin, end, strategy, fraction=1, rng=rng).row[:count]
            for _ in range(2000)
        ]
    )
    assert drawn.min(axis=0).tolist() == golden[strategy][:, 0].tolist()
    assert drawn.max(axis=0).tolist() == golden[strategy][:, 1].tolist()


# --- hindsight goals ---


def allowed_rows(strategy: str, row: int, begin: int, end: int, lanes: int) -> list[int]:
    """The rows whose goals a transition may get, listed one by one."""
    own = range(begin, end, lanes)
    if strategy == "future":
        return [other for other in own if other > row]
    if strategy == "episode":
        return [other for other in own if other > begin] if row != own[-1] else []
    return [own[-1]] if row != own[-1] else []


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
@pytest.mark.parametrize("lanes", [1, 3])
def test_goals_are_uniform_over_the_rows_of_a_plain_loop(strategy: Any, lanes: int) -> None:
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(10_000):
        begin, steps = int(rng.integers(100)), int(rng.integers(1, 51))
        end = begin + lanes * steps + int(rng.integers(1, lanes + 1))
        cases.append((begin + lanes * int(rng.integers(steps + 1)), begin, end))
    row, begins, ends = np.array(cases).T
    goals = relabel_goals(row, begins, ends, strategy, fraction=1, rng=rng, lanes=lanes)
    places = []
    for case, chosen, is_new in zip(cases, goals.row, goals.mask, strict=True):
        allowed = allowed_rows(strategy, *case, lanes)
        assert bool(is_new) == bool(allowed)
        assert chosen in (allowed or [case[0]])
        if allowed:
            places.append((allowed.index(chosen) + rng.random()) / len(allowed))
    counts = np.histogram(places, 20, (0, 1))[0]
    expected = len(places) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi-square, 19 degrees, p < 1e-4


def test_the_fraction_is_the_probability_of_a_new_goal() -> None:
    row = np.arange(100_000)
    for fraction in (0.0, 0.3, 0.8, 1.0):
        goals = relabel_goals(row, 0, 100_001, fraction=fraction, rng=1)
        assert goals.mask.mean() == pytest.approx(fraction, abs=0.01)
        assert (goals.row[~goals.mask] == row[~goals.mask]).all()


def test_equal_seeds_give_equal_goals_and_a_generator_continues() -> None:
    row, rng = np.arange(50), np.random.default_rng(4)
    first, second = (relabel_goals(row, 0, 60, rng=rng) for _ in range(2))
    np.testing.assert_array_equal(first, relabel_goals(row, 0, 60, rng=4))
    assert (first.row != second.row).any()


def test_given_rows_are_taken_where_a_goal_is_new() -> None:
    row, given = np.array([[0, 1], [2, 9]]), np.array([[5, 70], [3, 4]])
    goals = relabel_goals(row, 0, 10, given, fraction=1)
    assert goals.mask.tolist() == [[True, True], [True, False]]  # row 9 is the final observation
    assert goals.row.tolist() == [[5, 70], [3, 9]]


def test_choose_keeps_the_dtype_and_covers_all_axes_of_a_goal() -> None:
    goals = HindsightGoals(np.array([1, 2]), np.array([True, False]))
    old = np.zeros((2, 3, 2), np.float32)
    chosen = goals.choose(np.ones((2, 3, 2)), old)
    assert chosen.dtype == np.float32
    assert chosen.sum(axis=(1, 2)).tolist() == [6, 0]
    assert not old.any()


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([5], 0, 5), {}, r"row must be in \[begin, end\), \[0, 5\), not 5"),
        (([1, 4], [0, 5], 9), {}, r"\[5, 9\), not 4"),
        (([4], 0, 9), {"lanes": 3}, r"\[0, 9\) in steps of 3, not 4"),
        (([0.5], 0, 9), {}, "row must be row numbers of an int dtype, not float64"),
        (([0], [0, 1], 9), {}, r"begin must broadcast to the shape of row, \(1,\)"),
        (([0], 0, 9, "past"), {}, "strategy must be 'future', 'final', 'episode'.* not 'past'"),
        (([0], 0, 9, [1, 2]), {}, r"row numbers of shape \(1,\), not of shape \(2,\)"),
        (([0], 0, 9, 0.5), {}, "strategy must be row numbers of an int dtype"),
        (([0], 0, 9), {"fraction": 4}, r"fraction must be a number in \[0, 1\], not 4"),
        (([0], 0, 9), {"lanes": 0}, "lanes must be an int, 1 or more, not 0"),
    ],
)
def test_bad_arguments_of_relabel_goals_are_refused(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        relabel_goals(*arguments, **options)


@pytest.mark.parametrize(
    ("new", "old", "message"),
    [
        (np.ones((3, 2)), np.ones((3, 2)), r"old must have a shape that begins with \(2,\)"),
        (np.ones(2), np.ones((2, 2)), r"new must have the shape of old, \(2, 2\), not \(2,\)"),
        (np.ones(2), np.ones(2, int), "new must have a dtype of the kind of old, int64, not float"),
    ],
)
def test_goals_that_do_not_fit_together_are_refused(new: Any, old: Any, message: str) -> None:
    goals = HindsightGoals(np.array([1, 2]), np.array([True, False]))
    with pytest.raises(ValueError, match=message):
        goals.choose(new, old)
