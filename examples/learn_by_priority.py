"""Prioritised replay against uniform replay, where the difference is exponential.

    python examples/learn_by_priority.py [--largest 10] [--seeds 3]

The "blind cliffwalk" of Schaul, Quan, Antonoglou and Silver, "Prioritized Experience Replay", 2015,
section 3. In each of n states one of two actions leads on, the other one ends the episode. Only n
right actions in a row give a reward. The store has the episodes of all 2^n sequences of actions in
random order, so one of its 2^(n+1) - 2 transitions has a reward. Q-learning with a table replays
one transition per update until the values are right.

1. Prints how many updates that takes with uniform and with prioritised replay, for growing n.
2. Prints the two learning curves for the largest n: the error after 1, 2, 4, … updates.

Needs NumPy only.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream_store import Priorities, StreamStore, WindowSampler

FIELDS = {
    "state": "int64",
    "action": "int64",
    "reward": "float64",
    "next_state": "int64",
    "end": "bool",
}
STEP_SIZE = 0.25
SMALL_ERROR = 1e-3
MOST_UPDATES = 1_000_000

# A transition whose error is 0 now can have another one later, when the values of its next state
# have changed. A window with priority 0 is never drawn, so a little is added to each error.
FLOOR = 1e-4


@dataclass
class Run:
    """The updates until the values were right, and the error after some of the updates."""

    updates: int = 0
    curve: dict[int, float] = field(default_factory=dict)


def right_action(state: int) -> int:
    return state % 2


def record_all_episodes(states: int, seed: int) -> StreamStore:
    """A temporary store with the episodes of all sequences of actions, in random order."""
    store = StreamStore(fields=FIELDS)
    sequences = list(itertools.product((0, 1), repeat=states))
    rows: dict[str, list[float]] = {name: [] for name in FIELDS}
    for number in np.random.default_rng(seed).permutation(len(sequences)):
        for state, action in enumerate(sequences[number]):
            right = action == right_action(state)
            goal = right and state == states - 1
            values = (state, action, float(goal), state + 1, goal or not right)
            for name, value in zip(FIELDS, values, strict=True):
                rows[name].append(value)
            if not right:
                break
    store.extend({name: np.array(values) for name, values in rows.items()})
    return store


def true_values(states: int, discount: float) -> npt.NDArray[np.float64]:
    values = np.zeros((states, 2))
    for state in range(states):
        values[state, right_action(state)] = discount ** (states - 1 - state)
    return values


def learn(store: StreamStore, states: int, seed: int, priorities: Priorities | None) -> Run:
    """Replay one transition after the other until the values are right."""
    sampler = WindowSampler(store, 1, unit="row", batch_size=1, seed=seed, priorities=priorities)
    discount = 1 - 1 / states
    wanted = true_values(states, discount)
    values = np.zeros((states + 1, 2))  # the last state is that after the goal
    run = Run()
    while True:
        error = float(np.mean((values[:states] - wanted) ** 2))
        if run.updates & (run.updates - 1) == 0:
            run.curve[run.updates] = error
        if error < SMALL_ERROR or run.updates == MOST_UPDATES:
            return run
        batch = sampler.sample()
        state, action = batch["state"][0, 0], batch["action"][0, 0]
        target = batch["reward"][0, 0]
        if not batch["end"][0, 0]:
            target += discount * values[batch["next_state"][0, 0]].max()
        difference = target - values[state, action]
        values[state, action] += STEP_SIZE * difference
        if priorities is not None:
            sampler.update(batch["_index"], abs(difference) + FLOOR)
        run.updates += 1


def compare(states: int, seeds: int) -> tuple[list[Run], list[Run], int]:
    """The runs of all seeds with uniform and with prioritised replay; the number of transitions."""
    uniform, prioritised = [], []
    # The task is deterministic, so draws by priority bias nothing, and beta is 0.
    priorities = Priorities(alpha=1.0, beta=0.0)
    with record_all_episodes(states, seed=0) as store:
        for seed in range(seeds):
            uniform.append(learn(store, states, seed, None))
            prioritised.append(learn(store, states, seed, priorities))
        return uniform, prioritised, store.num_rows


def median_updates(runs: list[Run]) -> int:
    return int(np.median([run.updates for run in runs]))


def print_curves(uniform: Run, prioritised: Run) -> None:
    print("\nmean squared error of the values\n")
    print(f"{'updates':>10} {'uniform':>12} {'prioritised':>12}")
    for updates, error in uniform.curve.items():
        other = prioritised.curve.get(updates)
        print(f"{updates:>10,} {error:>12.5f} {'right' if other is None else f'{other:.5f}':>12}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare prioritised with uniform replay.")
    parser.add_argument("--largest", type=int, default=10, help="states of the longest chain")
    parser.add_argument("--seeds", type=int, default=3, help="runs, of which the median is shown")
    arguments = parser.parse_args()
    if not 2 <= arguments.largest <= 16 or arguments.seeds < 1:
        parser.error("--largest must be from 2 to 16, and --seeds at least 1")
    print("updates until the values are right, median of the seeds\n")
    print(f"{'states':>6} {'transitions':>12} {'uniform':>12} {'prioritised':>12} {'ratio':>8}")
    for states in range(2 + arguments.largest % 2, arguments.largest + 1, 2):
        uniform, prioritised, transitions = compare(states, arguments.seeds)
        slow, fast = median_updates(uniform), median_updates(prioritised)
        print(f"{states:>6} {transitions:>12,} {slow:>12,} {fast:>12,} {slow / fast:>8.1f}")
    print_curves(uniform[0], prioritised[0])


if __name__ == "__main__":
    main()
