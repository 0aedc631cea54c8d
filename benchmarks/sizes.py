"""Numbers of steps of the measured stores, for all programs here."""

from __future__ import annotations

SIZES = (20_000, 2_000_000, 20_000_000)

# The README compares stores of this size: large, and every store has an answer.
COMMON = 2_000_000
