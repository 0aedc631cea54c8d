"""Text of the terminal: sparklines, images, values, and the lines of the panes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

from stream_store._view.pictures import Pixels, half_blocks, shrink

_BARS = "▁▂▃▄▅▆▇█"
_SHADES = " ░▒▓█"


def sparkline(low: NDArray[np.float64], high: NDArray[np.float64]) -> str:
    """One character per pair of numbers, a space where there is none.

    A character shows the end of its range that is farther from the middle of all, so that a spike
    in either direction is visible.
    """
    found = ~np.isnan(low)
    if not found.any():
        return " " * len(low)
    low, high = np.where(found, low / 2, 0), np.where(found, high / 2, 0)  # halves cannot overflow
    least, most = low[found].min(), high[found].max()
    if least == most:
        return "".join(_BARS[3] if one else " " for one in found)
    center = float(np.median((low / 2 + high / 2)[found]))
    value = np.where(np.abs(high - center) >= np.abs(low - center), high, low)
    level = np.clip(((value - least) / (most - least) * 7.999), 0, 7).astype(int)
    return "".join(_BARS[bar] if one else " " for bar, one in zip(level, found, strict=True))


def draw_picture(pixels: Pixels, height: int, width: int, *, colors: bool) -> Text:
    """An image in lines of text: two pixels per character, or shades of gray without colours."""
    height, width = max(height, 1), max(width, 1)
    text = Text()
    if not colors:
        small = shrink(pixels, height * 2, width).astype(np.float64).mean(axis=2)
        for line in small[::2]:
            text.append("".join(_SHADES[int(gray / 51.001)] for gray in line) + "\n")
        return text
    for line in half_blocks(pixels, height, width):
        for upper, lower in line:
            style = Style(color=_color(upper), bgcolor=_color(lower))
            text.append("▀", style)
        text.append("\n")
    return text


def _color(pixel: Pixels) -> Color:
    return Color.from_rgb(*(int(channel) for channel in pixel))
