"""Fit a policy that sees the last 2 images and plans the next 16 actions.

    python examples/image_policy.py [--flights 400]

A ball flies through small images in a straight line, and a camera must follow it. Each row of the
store has an image and the action of an expert: the place that the camera must look at next. The
final row of a flight has an image, but no action.

A sample has 2 images and 16 actions, all relative to one row: `offsets={"image": [-1, 0], "action":
range(16)}`. The store reads these images only, not those of the 15 rows that follow. A flight is a
segment, and with `outside="edge"`, its first image is repeated where the offset leads to the row
before it. `require="action"` leaves out the final rows, after which there is nothing to plan.

The policy is linear, and is fitted by least squares in one pass over the samples. One image does
not show how fast the ball is, so the same policy with one image loses it. The program fails unless
the error of the policy with 2 images is at most half of that. Needs NumPy only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from stream_store import StreamStore, WindowSampler

SIZE = 16  # lines and columns of an image
PLAN = 16  # actions in a sample
FIELDS = {"flight": "int64", "image": f"packed uint8[{SIZE},{SIZE}]", "action": "float32[2]"}

Policy = Callable[[np.ndarray], np.ndarray]  # images (samples, n, lines, columns) -> plans


def flight(rng: np.random.Generator) -> np.ndarray:
    """Return the places of a ball, as lines and columns, from one random place to another."""
    begin, end = rng.uniform(0, SIZE - 1, (2, 1, 2))
    return begin + np.linspace(0, 1, int(rng.integers(20, 41)))[:, None] * (end - begin)


def draw(place: np.ndarray) -> np.ndarray:
    """Return an image of the ball. The four pixels around its place share its light."""
    lines, columns = np.maximum(1 - np.abs(np.arange(SIZE) - place[:, None]), 0)
    return np.round(255 * lines[:, None] * columns).astype(np.uint8)


def record(store: StreamStore, flights: int) -> None:
    rng = np.random.default_rng(0)
    for number in range(flights):
        places = flight(rng)
        for place, following in pairwise(places):
            store.append_step({"flight": number, "image": draw(place), "action": following})
        store.append_step({"flight": number, "image": draw(places[-1])})


def features(images: np.ndarray) -> np.ndarray:
    """Return all pixels of each sample, and a constant."""
    pixels = images.reshape(len(images), -1) / 255
    return np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)


def hold_last(actions: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Repeat the last action of a flight where the plan reaches beyond it."""
    last = known.sum(axis=1, keepdims=True) - 1
    places = np.minimum(np.arange(PLAN), last)
    return np.take_along_axis(actions, places[:, :, None], axis=1)


def fit(store: StreamStore, images: list[int]) -> Policy:
    """Fit a policy that sees the images at these offsets."""
    sampler = WindowSampler(
        store,
        offsets={"image": images, "action": range(PLAN)},
        outside="edge",
        segment_by="flight",
        require="action",
        batch_size=256,
        replacement=False,
    )
    size = len(images) * SIZE * SIZE + 1
    squares, products = 1e-3 * np.eye(size), np.zeros((size, 2 * PLAN))
    for batch in sampler:
        seen = features(batch["image"])
        wanted = hold_last(batch["action"], batch["_mask"]["action"])
        squares += seen.T @ seen
        products += seen.T @ wanted.reshape(-1, 2 * PLAN)
    weights = np.linalg.solve(squares, products)
    return lambda recent: (features(recent) @ weights).reshape(-1, PLAN, 2)


def error(policy: Policy, images: int, flights: int = 200) -> float:
    """Return the mean distance, in pixels, of the plans to the places of new balls."""
    rng = np.random.default_rng(1)
    distances = []
    for _ in range(flights):
        places = flight(rng)
        for now in range(1, len(places) - PLAN):
            recent = np.stack([draw(place) for place in places[now + 1 - images : now + 1]])
            wanted = places[now + 1 : now + 1 + PLAN]
            distances.append(np.linalg.norm(policy(recent[None])[0] - wanted, axis=1).mean())
    return float(np.mean(distances))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--flights", type=int, default=400)
    arguments = parser.parse_args()
    with StreamStore(fields=FIELDS) as store:
        record(store, arguments.flights)
        two = error(fit(store, [-1, 0]), images=2)
        one = error(fit(store, [0]), images=1)
    print(f"error of the plans: {two:.2f} pixels with 2 images, {one:.2f} with 1 image")
    if two > one / 2:
        raise SystemExit("expected at most half with 2 images")


if __name__ == "__main__":
    main()
