"""n_step and discounted_return: equal to plain loops over episodes, and to Stable-Baselines3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from learning_model import (
    GOLDEN,
    JUNK,
    golden_episodes,
    loop_n_step,
    loop_return,
    make_batch,
    make_case,
)
from stream_store import StreamStore, WindowSampler
from stream_store.learning import discounted_return, n_step, relabel_goals

# --- n-step returns ---


@pytest.mark.parametrize("seed", range(5))
def test_n_step_equals_a_loop_over_episodes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(40):  # 5 * 40 * 50 = 10,000 windows
        episodes, starts, length = make_case(rng, 50)
        n, gamma = int(rng.integers(1, length)), float(rng.choice([0.0, 0.5, 0.99, 1.0]))
        batch = make_batch(episodes, starts, length)
        found = n_step(**batch, gamma=gamma, n=n)
        expected = [
            loop_n_step(episode, start, n, gamma)
            for episode, start in zip(episodes, starts, strict=True)
        ]
        for part, values in zip(found, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(part, values, rtol=1e-12, atol=1e-12)


def test_n_step_of_one_more_row_of_observations_than_of_rewards_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        episodes, starts, length = make_case(rng, 50)
        batch = make_batch(episodes, starts, length)
        batch["valid"] = make_batch(episodes, starts, length + 1)["valid"]
        found = n_step(**batch, gamma=0.9, n=length)
        expected = [
            loop_n_step(episode, start, length, 0.9)
            for episode, start in zip(episodes, starts, strict=True)
        ]
        for part, values in zip(found, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(part, values, rtol=1e-12, atol=1e-12)


def test_n_step_takes_all_steps_but_the_last_row_by_default() -> None:
    no = np.zeros((2, 4), bool)
    reward, discount, row = n_step(np.ones((2, 4)), no, no, 0.5)
    assert reward.tolist() == [1.75, 1.75]
    assert discount.tolist() == [0.125, 0.125]
    assert row.tolist() == [3, 3]


def test_termination_in_the_last_valid_row_needs_no_final_row() -> None:
    reward, no = np.array([[1.0, 1.0, JUNK]]), np.zeros((1, 3), bool)
    ends, valid = np.array([[False, True, False]]), np.array([[True, True, False]])
    assert [part.tolist() for part in n_step(reward, ends, no, 0.5, valid=valid)] == [
        [1.5],
        [0.0],
        [2],
    ]
    # Truncation bootstraps from the next row. Without it, the last whole step is the first one.
    assert [part.tolist() for part in n_step(reward, no, ends, 0.5, valid=valid)] == [
        [1.0],
        [0.5],
        [1],
    ]


def test_a_row_that_is_both_terminated_and_truncated_is_terminated() -> None:
    both = np.array([[True, False]])
    assert n_step(np.ones((1, 2)), both, both, 0.9).discount.tolist() == [0]
    values = np.full((1, 2), 7.0)
    assert discounted_return(np.ones((1, 2)), both, both, 0.9, value=values)[0, 0] == 1


def test_a_window_without_a_step_has_row_zero() -> None:
    no = np.zeros((2, 3), bool)
    valid = np.array([[True, False, False], [False, True, True]])  # padded on the right, the left
    target = n_step(np.full((2, 3), JUNK), no, no, 0.9, valid=valid)
    assert [part.tolist() for part in target] == [[0, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_steps_end_with_the_episode_also_if_the_window_goes_on(ending: str) -> None:
    flags = {name: np.zeros((1, 5), bool) for name in ("terminated", "truncated")}
    flags[ending][0, 1] = True
    target = n_step(np.array([[1.0, 1.0, JUNK, JUNK, JUNK]]), **flags, gamma=0.5)
    assert target.reward.tolist() == [1.5]
    assert target.discount.tolist() == [0.25 if ending == "truncated" else 0]
    assert target.row.tolist() == [2]


def test_padding_may_hold_anything() -> None:
    no, valid = np.zeros((1, 3), bool), np.array([[True, True, False]])
    reward = np.array([[1, 2, np.nan]])
    assert n_step(reward, no, no, 0.5, valid=valid).reward.tolist() == [1]
    assert discounted_return(reward, no, no, 0.5, valid=valid).tolist() == [[2, 2, 0]]
    target = n_step(reward, ~no, ~no, 0.5, valid=no)
    assert [part.tolist() for part in target] == [[0], [1], [0]]


def test_agents_end_on_their_own_or_together() -> None:
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(20, 6, 3))
    terminated, truncated = rng.random((2, 20, 6, 3)) < 0.2
    valid = np.arange(6) < rng.integers(0, 7, (20, 1))
    value = rng.normal(size=(20, 6, 3))
    target = n_step(reward, terminated, truncated, 0.9, 4, valid=valid)
    returns = discounted_return(reward, terminated, truncated, 0.9, value=value, valid=valid)
    assert target.reward.shape == target.discount.shape == target.row.shape == (20, 3)
    for agent in range(3):
        own = (reward[..., agent], terminated[..., agent], truncated[..., agent])
        for part, one in zip(target, n_step(*own, 0.9, 4, valid=valid), strict=True):
            np.testing.assert_array_equal(part[:, agent], one)
        one = discounted_return(*own, 0.9, value=value[..., agent], valid=valid)
        np.testing.assert_array_equal(returns[..., agent], one)
    together = n_step(reward, terminated[..., 0], truncated[..., 0], 0.9)
    np.testing.assert_array_equal(together.row, np.repeat(together.row[:, :1], 3, axis=1))


def test_an_empty_batch_gives_empty_results() -> None:
    none, flags = np.zeros((0, 4)), np.zeros((0, 4), bool)
    assert n_step(none, flags, flags, 0.9, valid=flags).row.shape == (0,)
    assert discounted_return(none, flags, flags, 0.9, value=none, valid=flags).shape == (0, 4)
    assert relabel_goals([], [], []).row.shape == (0,)


# --- discounted returns ---


@pytest.mark.parametrize("with_value", [False, True])
def test_discounted_returns_equal_a_loop_over_episodes(with_value: bool) -> None:
    rng = np.random.default_rng(int(with_value))
    for _ in range(100):  # 2 * 100 * 50 = 10,000 windows
        episodes, starts, length = make_case(rng, 50)
        gamma = float(rng.choice([0.0, 0.5, 0.99, 1.0]))
        batch = make_batch(episodes, starts, length)
        value = rng.normal(size=(50, length)) if with_value else None
        found = discounted_return(**batch, gamma=gamma, value=value)
        assert not found[~batch["valid"]].any()
        for b in range(50):
            rows = int(batch["valid"][b].sum())
            window = {name: array[b, :rows] for name, array in batch.items()}
            own = None if value is None else value[b]
            expected = [loop_return(window, t, gamma, own) for t in range(rows)]
            np.testing.assert_allclose(found[b, :rows], expected, rtol=1e-12, atol=1e-9)


def test_a_return_equals_the_n_step_target_of_its_row() -> None:
    rng = np.random.default_rng(3)
    episodes, starts, _ = make_case(rng, 300)
    batch = make_batch(episodes, starts, 12)
    value = rng.normal(size=(300, 12))
    target = n_step(**batch, gamma=0.9)
    bootstrap = value[np.arange(300), target.row]
    returns = discounted_return(**batch, gamma=0.9, value=value)[:, 0]
    same = ~batch["terminated"][:, -1]  # a return also has the reward of a last row that terminates
    expected = target.reward + target.discount * bootstrap
    np.testing.assert_allclose(returns[same], expected[same])
    assert 0 < same.sum() < 300


# --- dtypes and other libraries ---


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("longdouble", "float64"),
        ("bool", "float32"),
        ("int8", "float32"),
        ("int32", "float64"),
        ("int64", "float64"),
    ],
)
def test_results_have_the_dtype_that_the_reference_states(given: str, expected: str) -> None:
    reward, no = np.ones((2, 3), given), np.zeros((2, 3), bool)
    target = n_step(reward, no, no, 0.9)
    assert (target.reward.dtype, target.discount.dtype) == (expected, expected)
    assert target.row.dtype == np.int64
    assert discounted_return(reward, no, no, 0.9).dtype == expected


def test_sums_are_computed_in_float64() -> None:
    reward, no = np.ones((1, 2**16), np.float16), np.zeros((1, 2**16), bool)
    assert n_step(reward, no, no, 1, n=2**16).reward.tolist() == [2**16]
    assert discounted_return(reward, no, no, 1)[0, 0] == 2**16
    single = np.random.default_rng(0).normal(size=(1000, 8)).astype(np.float32)
    no = np.zeros((1000, 8), bool)
    for function in (n_step, discounted_return):
        found, exact = (function(given, no, no, 0.99) for given in (single, single.astype(float)))
        assert (np.asarray(found[0]) == np.asarray(exact[0]).astype(np.float32)).all()


def test_tensors_and_lists_and_numbers_as_flags_are_accepted() -> None:
    torch = pytest.importorskip("torch")
    reward, ends = torch.ones(1, 3, requires_grad=True), torch.tensor([[0.0, 1.0, 0.0]])
    target = n_step(reward, ends, [[0, 0, 0]], torch.tensor(0.5))
    assert [part.tolist() for part in target] == [[1.5], [0], [2]]
    half = n_step(reward.to(torch.bfloat16), ends, torch.zeros(1, 3), 0.5)
    assert half.reward.tolist() == [1.5]
    goals = relabel_goals(torch.tensor([3]), torch.tensor([0]), 9, "final", fraction=1)
    assert goals.choose(torch.ones(1), torch.zeros(1)).tolist() == [1]


def test_frame_stacks_of_the_guide_equal_those_of_gymnasium() -> None:
    """The recipe of the guide, "Learning": the first frame of an episode instead of padding."""
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make("CartPole-v1")
    stacked = gymnasium.wrappers.FrameStackObservation(env, 4)
    store = StreamStore(fields={"episode": "int64", "obs": env.observation_space, "end": "bool"})
    expected = []
    for episode in range(20):
        obs, over = stacked.reset(seed=episode)[0], False
        while True:
            expected.append(obs)
            store.append_step({"episode": episode, "obs": obs[-1], "end": over})
            if over:
                break
            obs, _, terminated, truncated, _ = stacked.step(episode % 2)
            over = terminated or truncated
    options: dict[str, Any] = {"unit": "row", "batch_size": 64, "segment_by": "episode"}
    drawn = []
    for batch in WindowSampler(store, 4, pad="left", replacement=False, **options):
        first = batch["_valid"].argmax(axis=1)
        nearest = np.maximum(np.arange(4), first[:, None])
        frames = batch["obs"][np.arange(len(first))[:, None], nearest]
        for row, stack in zip(batch["_step"][:, -1].tolist(), frames, strict=True):
            np.testing.assert_array_equal(stack, expected[row])
            drawn.append(row)
    assert sorted(drawn) == list(range(len(expected)))


# --- Stable-Baselines3 ---


@pytest.mark.parametrize("case", range(6))
def test_n_step_equals_stable_baselines(case: int, tmp_path: Path) -> None:
    """The numbers are those of its NStepReplayBuffer; see tests/golden/learning/make_sb3.py."""
    golden = np.load(GOLDEN)
    n, gamma = int(golden["settings"][case, 0]), float(golden["settings"][case, 1])
    firsts, _, rows = golden_episodes(golden)
    count = int(golden["lengths"].sum() + len(firsts))
    columns: dict[str, Any] = {"reward": np.zeros(count, np.float32), "episode": np.zeros(count)}
    columns["episode"] = np.repeat(np.arange(len(firsts)), golden["lengths"] + 1)
    columns["reward"][rows] = golden["rewards"]
    last = firsts + golden["lengths"] - 1
    ends = np.arange(len(firsts)) < len(firsts) - 1  # the last episode is open
    for name, which in (("terminated", True), ("truncated", False)):
        columns[name] = np.zeros(count, bool)
        columns[name][last[ends & (golden["terminated"] == which)]] = True
    store = StreamStore(
        tmp_path / "store",
        fields={"reward": "float32", "episode": "int64", "terminated": "bool", "truncated": "bool"},
    )
    store.extend(columns)
    sampler = WindowSampler(
        store,
        n + 1,
        unit="row",
        batch_size=64,
        segment_by="episode",
        pad="right",
        replacement=False,
    )
    found = {}
    for batch in sampler:
        flags = (batch["terminated"], batch["truncated"])
        target = n_step(batch["reward"], *flags, gamma, valid=batch["_valid"])
        for b, row in enumerate(batch["_step"][:, 0].tolist()):
            found[row] = (target.reward[b], target.discount[b], row + target.row[b])
    assert sorted(found) == list(range(count))
    names = ("reward", "discount", "next_row")
    for name, values in zip(names, np.array([found[row] for row in rows]).T, strict=True):
        np.testing.assert_allclose(values, golden[name][case], rtol=2e-6, atol=2e-6, err_msg=name)


# --- bad input ---

REWARD, NO = np.ones((2, 4)), np.zeros((2, 4), bool)


@pytest.mark.parametrize("function", [n_step, discounted_return])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((REWARD[0], NO[0], NO[0], 0.9), r"reward must have shape .* not \(4,\)"),
        ((REWARD[:, :0], NO[:, :0], NO[:, :0], 0.9), r"length of 1 or more, not \(2, 0\)"),
        ((REWARD.astype(complex), NO, NO, 0.9), "reward must be of a real dtype, not complex128"),
        ((REWARD.astype(str), NO, NO, 0.9), "reward must be of a real dtype"),
        (([[1], [1, 2]], NO, NO, 0.9), "reward must be a regular array"),
        ((REWARD, NO[:1], NO, 0.9), r"terminated must have shape \(2, 4\), .* not \(1, 4\)"),
        ((REWARD, NO, NO[:, 1:], 0.9), r"truncated must have shape \(2, 4\), .* not \(2, 3\)"),
        ((REWARD, REWARD + 1, NO, 0.9), "terminated must be bools, or numbers that are 0 or 1"),
        ((REWARD, NO, NO, 1.1), r"gamma must be a number in \[0, 1\], not 1.1"),
        ((REWARD, NO, NO, -0.1), "gamma must be a number"),
        ((REWARD, NO, NO, float("nan")), "gamma must be a number"),
        ((REWARD, NO, NO, "0.9"), "gamma must be a number"),
        ((REWARD, NO, NO, True), "gamma must be a number"),
        ((REWARD, NO, NO, [0.9, 0.9]), "gamma must be a number"),
    ],
)
def test_bad_rewards_flags_and_discounts_are_refused(
    function: Any, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(*arguments)


@pytest.mark.parametrize(
    ("n", "message"),
    [
        (0, "n must be an int, 1 or more, not 0"),
        (-1, "n must be an int"),
        (1.5, "n must be an int"),
        (True, "n must be an int"),
        (5, "n must be at most 4, .* not 5"),
    ],
)
def test_a_bad_number_of_steps_is_refused(n: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        n_step(REWARD, NO, NO, 0.9, n)


def test_windows_of_one_row_need_a_number_of_steps() -> None:
    one = NO[:, :1]
    with pytest.raises(ValueError, match="2 rows or more"):
        n_step(REWARD[:, :1], one, one, 0.9)
    assert n_step(REWARD[:, :1], one, one, 0.9, 1).row.tolist() == [1, 1]


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3), (2, 6), (2, 4, 1)])
def test_valid_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="valid must have shape"):
        n_step(REWARD, NO, NO, 0.9, valid=np.ones(shape, bool))
    with pytest.raises(ValueError, match="valid must have shape"):
        discounted_return(REWARD, NO, NO, 0.9, valid=np.ones(shape, bool))


def test_bootstrapping_after_the_window_needs_to_know_whether_that_row_is_valid() -> None:
    with pytest.raises(ValueError, match=r"valid must have shape \(2, 5\) for n=4"):
        n_step(REWARD, NO, NO, 0.9, 4, valid=~NO)


def test_values_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"value must have the shape of reward, \(2, 4\), not"):
        discounted_return(REWARD, NO, NO, 0.9, value=np.ones(2))
