"""Draw demo.png: an episode of each environment, and the time of a window by store size.

Used by record_and_sample.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from stream_store import StreamStore

mpl.use("Agg")  # draws into files and needs no display
BLUE, ORANGE, GREEN, GREY = "#2166ac", "#d6604d", "#4d9221", "#8c8c8c"


@dataclass
class Curve:
    """Microseconds per window, by the number of stored values."""

    name: str
    values: list[float]
    microseconds: list[float]


def window_times(store: StreamStore, windows: int, width: int, batches: int = 60) -> Curve:
    """Measure the median time of a window in snapshots of increasing size."""
    rng = np.random.default_rng(0)
    least = min(200, store.num_rows)
    curve = Curve("", [], [])
    for rows in np.unique(np.geomspace(least, store.num_rows, 12).astype(int)):
        snapshot = store.snapshot(int(rows))
        if len(snapshot) < width:
            continue
        taken = []
        for _ in range(batches):
            starts = rng.integers(0, len(snapshot) - width + 1, windows)
            begin = time.perf_counter()
            snapshot.windows(starts, width)
            taken.append(time.perf_counter() - begin)
        curve.values.append(len(snapshot))
        curve.microseconds.append(float(np.median(taken)) / windows * 1e6)
    return curve


def good_episode(store: StreamStore, most: int = 250) -> dict[str, Any]:
    """Return the rows of one episode of at most `most` rows, decoded.

    It is the longest such episode. Of several, it is the one with the lowest return, because it
    shows the most control.
    """
    segments = store.segments("episode")
    lengths = segments[:, 1] - segments[:, 0]
    rewards = store.read_rows(np.arange(store.num_rows), fields=["reward"])["reward"]
    returns = np.add.reduceat(rewards, segments[:, 0])
    key = np.where(lengths <= most, lengths, 0)
    chosen = int(np.lexsort((-returns, key))[-1])
    rows = store.read_rows(np.arange(*segments[chosen]))
    return {**rows, "number": chosen, "return": float(returns[chosen])}


def draw(
    out: Path, episodes: dict[str, dict[str, Any]], live: list[Curve], after: list[Curve]
) -> None:
    style = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 10}
    with plt.rc_context(style):
        figure = plt.figure(figsize=(12, 7.6), layout="constrained")
        top, bottom = figure.subfigures(2, 1, height_ratios=[1.15, 1.0])
        left, right = top.subplots(1, 2)
        _draw_cartpole(left, episodes["CartPole-v1"])
        _draw_pendulum(right, episodes["Pendulum-v1"])
        _draw_times(bottom.subplots(), live, after)
        figure.savefig(out, dpi=120)
        plt.close(figure)


def _title(axes: Any, name: str, episode: dict[str, Any]) -> None:
    title = f"{name}: episode {episode['number']:,}, read back from the store"
    axes.set_title(f"{title} (return {episode['return']:,.0f})")
    axes.set_xlabel("step of the episode")
    axes.margins(x=0.01)


def _draw_cartpole(axes: Any, episode: dict[str, Any]) -> None:
    obs, present = episode["obs"], episode["_mask"]["action"]
    steps = np.arange(len(obs))
    axes.plot(steps, obs[:, 0], color=BLUE, label="cart position (m)")
    axes.plot(steps, np.degrees(obs[:, 2]) / 10, color=ORANGE, label="pole angle (10°)")
    low = min(float(obs[:, 0].min()), float(np.degrees(obs[:, 2]).min()) / 10)
    right = episode["action"] == 1
    for chosen, offset, text in ((right, 0.28, "push right"), (~right, 0.48, "push left")):
        at = steps[present & chosen]
        axes.vlines(at, low - offset - 0.07, low - offset + 0.07, color=GREY, lw=1.0)
        axes.annotate(text, (len(obs) * 1.01, low - offset), color=GREY, fontsize=8, va="center",
                      annotation_clip=False)  # fmt: skip
    _title(axes, "CartPole-v1", episode)
    axes.legend(loc="upper right", frameon=False, ncols=2)
    axes.set_ylim(top=axes.get_ylim()[1] + 0.3)


def _draw_pendulum(axes: Any, episode: dict[str, Any]) -> None:
    obs, present = episode["obs"], episode["_mask"]["action"]
    steps = np.arange(len(obs))
    angle = np.degrees(np.unwrap(np.arctan2(obs[:, 1], obs[:, 0])))
    angle -= 360.0 * np.round(angle[-1] / 360.0)
    axes.axhline(0.0, color=GREY, lw=0.6)
    axes.plot(steps, angle, color=BLUE, label="angle from upright (°)")
    axes.margins(y=0.25)
    torque = axes.twinx()
    torque.spines["right"].set_visible(True)
    torque.step(steps[present], episode["action"][present, 0], where="post", color=ORANGE, lw=0.9,
                alpha=0.8, label="torque (N m)")  # fmt: skip
    torque.set_ylim(-2.2, 6.5)
    torque.set_yticks([-2, 0, 2])
    torque.tick_params(axis="y", colors=ORANGE)
    _title(axes, "Pendulum-v1", episode)
    lines = [*axes.get_lines()[1:], *torque.get_lines()]
    axes.legend(
        lines, [line.get_label() for line in lines], loc="upper right", frameon=False, ncols=2
    )


def _draw_times(axes: Any, live: list[Curve], after: list[Curve]) -> None:
    for curve, color in zip(live, (BLUE, GREEN), strict=False):
        axes.plot(curve.values, curve.microseconds, ".", ms=4, alpha=0.45, color=color,
                  label=f"{curve.name}: second process, while it was recorded")  # fmt: skip
    for curve, color in zip(after, (BLUE, GREEN), strict=False):
        axes.plot(curve.values, curve.microseconds, "-o", ms=4, lw=1.6, color=color,
                  label=f"{curve.name}: snapshots of the closed store")  # fmt: skip
    axes.set_xscale("log")
    every = [value for curve in (*live, *after) for value in curve.microseconds]
    axes.set_ylim(0, np.quantile(every, 0.98) * 1.5 if every else 1)
    axes.set_xlabel("values stored")
    axes.set_ylabel("µs per window")
    axes.set_title("Time of a window of 128 values (values, types and steps; 256 windows per call)")
    axes.grid(visible=True, which="major", color="#e5e5e5", lw=0.6)
    axes.legend(frameon=False, fontsize=9, ncols=2, loc="upper right")
