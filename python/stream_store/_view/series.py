"""Numbers reduced for drawing: the lowest and the highest value per pixel, and statistics.

A line through every n-th row would lose spikes; a pixel that covers several rows shows their whole
range instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .model import Block


class Envelope:
    """Lowest and highest values of the series of one field in equal parts of a range of rows.

    Args:
        start, stop: the rows, half-open.
        pixels: the most parts; there are fewer if there are fewer rows.
        series: number of series.

    Attributes:
        low, high: (pixels, series) float64, NaN where no row has a finite value.
        missing: (pixels,) number of rows without the field.
    """

    def __init__(self, start: int, stop: int, pixels: int, series: int) -> None:
        self.start, self.stop = start, stop
        self.pixels = max(1, min(pixels, stop - start))
        self.low = np.full((self.pixels, series), np.nan)
        self.high = np.full((self.pixels, series), np.nan)
        self.missing = np.zeros(self.pixels, np.int64)

    def add(self, block: Block) -> None:
        """Add a block of rows inside of the range."""
        if block.stop <= block.start:
            return
        rows = np.arange(block.start - self.start, block.stop - self.start)
        pixel = rows * self.pixels // (self.stop - self.start)
        firsts = np.flatnonzero(np.diff(pixel, prepend=-1))
        places = pixel[firsts]
        low = np.fmin.reduceat(block.low, firsts, axis=0)
        high = np.fmax.reduceat(block.high, firsts, axis=0)
        self.low[places] = np.fmin(self.low[places], low)
        self.high[places] = np.fmax(self.high[places], high)
        self.missing[places] += np.add.reduceat((~block.present).astype(np.int64), firsts)

    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each part."""
        places = np.arange(self.pixels, dtype=np.int64)
        return self.start - (-places * (self.stop - self.start) // self.pixels)


@dataclass
class Statistics:
    """Statistics of one series. Mean and deviation are those of the rows with a finite value.

    For a band, the mean is that of the middles between lowest and highest item.
    """

    count: int = 0
    odd: int = 0  # items that are NaN or infinite
    low: float = np.nan
    high: float = np.nan
    mean: float = np.nan
    _squares: float = field(default=0.0, repr=False)

    def add(self, low: NDArray[np.float64], high: NDArray[np.float64], odd: int) -> None:
        """Add the rows of one block; NaN is left out."""
        self.odd += odd
        found = ~np.isnan(low)
        count = int(found.sum())
        if not count:
            return
        low, high = low[found], high[found]
        self.low = float(np.fmin(self.low, low.min()))
        self.high = float(np.fmax(self.high, high.max()))
        with np.errstate(over="ignore", invalid="ignore"):
            middle = low if low is high else low / 2 + high / 2
            mean = float(middle.mean())
            squares = float(((middle - mean) ** 2).sum())
            if self.count:  # the sums of two parts, after Chan, Golub and LeVeque
                whole = self.count + count
                delta = mean - self.mean
                squares += self._squares + delta * delta * self.count * count / whole
                mean = self.mean + delta * count / whole
        self.count += count
        self.mean, self._squares = mean, squares

    @property
    def deviation(self) -> float:
        """The standard deviation; NaN without values."""
        return float(np.sqrt(self._squares / self.count)) if self.count else np.nan
