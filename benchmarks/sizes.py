"""Steps of the stores that are measured, in every program here."""

from __future__ import annotations

SIZES = (20_000, 2_000_000, 20_000_000)

# The size at which the README compares: large, and every store has an answer.
COMMON = 2_000_000
