"""Statistics of features: per episode, and over the whole data set.

An episode has the extremes, mean, standard deviation and five quantiles of every item of a feature;
of arrays with several dimensions, of every place in the last one, over all others. Those of
images are per channel, scaled to [0, 1], from a sample of the frames. The data set has the averages
of its episodes, weighted by their numbers of frames, quantiles included: that is how the layout
defines them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)
_SAMPLE_ROWS = 10_000  # rows of an episode of which quantiles are computed
_SAMPLE_BYTES = 4 << 20

Stats = dict[str, NDArray[Any]]


class EpisodeStats:
    """Statistics of one feature in one episode, from blocks of values.

    Extremes, mean and standard deviation are those of all values. Quantiles are exact for up to
    10,000 rows of up to 4 MiB in all; of longer episodes every second, fourth, … row counts.
    NaN is left out, unless there is nothing else.
    """

    def __init__(self) -> None:
        self._count = 0
        self._lines = 0  # of the blocks as matrices
        self._kind = "f"
        self._min = self._max = self._mean = self._squares = np.zeros(0)
        self._numbers = np.zeros(0)
        self._sample: list[NDArray[Any]] = []
        self._every = 1
        self._sampled = 0

    @np.errstate(all="ignore")  # data may hold infinities, or overflow
    def add(self, values: NDArray[Any]) -> None:
        """Add a block of shape (rows, ...), with at least one row."""
        flat = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
        low, high, numbers, mean, squares = _moments(flat)
        if self._count == 0:
            self._kind = values.dtype.kind
            self._min, self._max = low, high
            self._numbers, self._mean, self._squares = numbers, mean, squares
        else:
            self._min, self._max = np.fmin(self._min, low), np.fmax(self._max, high)
            total = self._numbers + numbers
            weight = np.divide(numbers, total, out=np.zeros_like(total), where=total > 0)
            delta = np.where((self._numbers > 0) & (numbers > 0), mean - self._mean, 0.0)
            base = np.where(self._numbers > 0, self._mean, mean)
            self._squares = self._squares + squares + delta**2 * self._numbers * weight
            self._mean = base + delta * weight
            self._numbers = total
        self._take_sample(flat)
        self._lines += len(flat)
        self._count += len(values)

    def _take_sample(self, flat: NDArray[Any]) -> None:
        offset = -self._lines % self._every
        part = flat[offset :: self._every]
        most = max(2, min(_SAMPLE_ROWS, _SAMPLE_BYTES // max(flat[0].nbytes, 1)))
        self._sample.append(part)
        self._sampled += len(part)
        while self._sampled > most:
            whole = np.concatenate(self._sample)[::2]
            self._sample, self._sampled = [whole], len(whole)
            self._every *= 2

    @np.errstate(all="ignore")
    def result(self) -> Stats:
        """The statistics, each of the length of the last dimension, 1 for a scalar; count has 1."""
        lines = np.concatenate(self._sample).T.astype(np.float64, order="C")
        sample = np.sort(lines, axis=1)  # NaN at the end
        valid = np.maximum((~np.isnan(sample)).sum(1), 1)
        stats: Stats = {
            "min": self._exact(self._min),
            "max": self._exact(self._max),
            "mean": self._mean,
            "std": np.sqrt(np.maximum(self._squares / np.maximum(self._numbers, 1), 0)),
        }
        columns = np.arange(len(sample))
        for name, quantile in QUANTILES.items():
            place = quantile * (valid - 1)
            below = np.floor(place).astype(np.int64)
            above = np.minimum(below + 1, valid - 1)
            low, high = sample[columns, below], sample[columns, above]
            stats[name] = low + (high - low) * (place - below)
        stats["count"] = np.array([self._count])
        return {name: stats[name] for name in NAMES}

    def _exact(self, values: NDArray[Any]) -> NDArray[Any]:
        """Extremes as bool, int64 or float64: the types that the library writes."""
        if self._kind == "b":
            return values.astype(np.bool_)
        return values.astype(np.int64 if values.dtype.kind == "i" else np.float64)


def _moments(flat: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """min, max, number, mean and sum of squared deviations of each column, without NaN."""
    lines = np.ascontiguousarray(flat.T)  # a reduction over long lines is several times faster
    low, high = lines.min(1), lines.max(1)
    if low.dtype.kind in ("b", "u") and low.dtype.itemsize < 8:
        low, high = low.astype(np.int64), high.astype(np.int64)
    wide = lines.astype(np.float64)
    if flat.dtype.kind == "f" and np.isnan(low).any():
        nan = np.isnan(wide)
        numbers = (len(flat) - nan.sum(1)).astype(np.float64)
        low, high = np.fmin.reduce(lines, 1), np.fmax.reduce(lines, 1)
        mean = np.where(nan, 0.0, wide).sum(1) / np.maximum(numbers, 1)
        squares = np.where(nan, 0.0, (wide - mean[:, None]) ** 2).sum(1)
        return low, high, numbers, np.where(numbers > 0, mean, np.nan), squares
    mean = wide.mean(1)
    wide -= mean[:, None]
    squares = np.einsum("ij,ij->i", wide, wide)
    return low, high, np.full(len(low), float(len(flat))), mean, squares


class ImageStats:
    """Statistics of the images of one feature in one episode.

    A sample of about n**0.75 frames of n is decoded, between 100 and 10,000, and large images are
    thinned out to about 150 pixels, as the library itself does.
    """

    def __init__(self, rows: int) -> None:
        count = max(min(100, rows), min(int(rows**0.75), 10_000))
        self._wanted = set(np.round(np.linspace(0, rows - 1, count)).astype(int).tolist())
        self._pixels = EpisodeStats()
        self._frames = 0

    def wants(self, frame: int) -> bool:
        """Whether frame number `frame` of the episode is in the sample."""
        return frame in self._wanted

    def add(self, image: NDArray[np.uint8]) -> None:
        """Add an RGB image of shape (height, width, 3)."""
        longest = max(image.shape[:2])
        every = 1 if longest < 300 else max(longest // 150, 1)
        self._pixels.add(image[::every, ::every].reshape(-1, 3))
        self._frames += 1

    def result(self) -> Stats:
        """The statistics of each channel, of shape (3, 1, 1)."""
        stats = {
            name: (value / 255.0).reshape(3, 1, 1)
            for name, value in self._pixels.result().items()
            if name != "count"
        }
        stats["count"] = np.array([self._frames])
        return {name: stats[name] for name in NAMES}


class TotalStats:
    """Statistics of the data set, from those of its episodes."""

    def __init__(self) -> None:
        self._total: dict[str, Stats] = {}

    def add(self, episode: dict[str, Stats]) -> None:
        """Add an episode."""
        for name, stats in episode.items():
            self._total[name] = (
                _merged(self._total[name], stats) if name in self._total else dict(stats)
            )

    def result(self) -> dict[str, dict[str, Any]]:
        """Lists for stats.json."""
        return {
            name: {key: value.tolist() for key, value in stats.items()}
            for name, stats in self._total.items()
        }

    def load(self, stored: dict[str, dict[str, Any]]) -> None:
        """Start from the statistics in stats.json."""
        self._total = {
            name: {key: np.asarray(value) for key, value in stats.items()}
            for name, stats in stored.items()
        }


@np.errstate(all="ignore")
def _merged(one: Stats, other: Stats) -> Stats:
    first, second = float(one["count"][0]), float(other["count"][0])
    weight = second / (first + second)
    mean = one["mean"] + (other["mean"] - one["mean"]) * weight
    variance = (one["std"] ** 2 + (one["mean"] - mean) ** 2) * (1 - weight) + (
        other["std"] ** 2 + (other["mean"] - mean) ** 2
    ) * weight
    merged: Stats = {
        "min": np.fmin(one["min"], other["min"]),
        "max": np.fmax(one["max"], other["max"]),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": one["count"] + other["count"],
    }
    for name in QUANTILES:
        if name in one and name in other:
            merged[name] = one[name] + (other[name] - one[name]) * weight
    return merged
