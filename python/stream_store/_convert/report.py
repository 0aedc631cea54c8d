"""ConversionReport: the result of every conversion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ConversionReport:
    """The result of a conversion, in either direction.

    Attributes:
        format: name of the other format, such as "lerobot".
        rows: number of rows that this call converted.
        episodes: number of episodes that this call converted.
        fields: names of the fields (of the store) that were converted.
        left_out: name of a part that was not converted -> the reason.
        changes: field -> how its dtype or its values differ between both sides.
        seconds: duration of the call.
        checked_values: number of values compared by `check=True`, all equal; None without it.
        resumed_episodes: number of episodes that an earlier, interrupted import left.

    Examples:
        >>> report = stream_store.ConversionReport("lerobot", 100, 2, ("action",))
        >>> print(report)
        lerobot: 100 rows in 2 episodes, 1 field: action
    """

    format: str
    rows: int
    episodes: int
    fields: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    checked_values: int | None = None
    resumed_episodes: int = 0

    def __str__(self) -> str:
        lines = [
            f"{self.format}: {self.rows:,} {_plural('row', self.rows)} in {self.episodes:,} "
            f"{_plural('episode', self.episodes)}, {len(self.fields)} "
            f"{_plural('field', len(self.fields))}: {', '.join(self.fields)}"
        ]
        if self.resumed_episodes:
            lines.append(f"resumed after {self.resumed_episodes:,} episodes")
        lines += [f"left out: {name}: {why}" for name, why in self.left_out.items()]
        lines += [f"changed: {name}: {how}" for name, how in self.changes.items()]
        if self.checked_values is not None:
            lines.append(f"checked: {self.checked_values:,} values are equal")
        return "\n".join(lines)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + "s"
