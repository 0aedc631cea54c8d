"""The journal of an import: a file beside the store that tells where to continue after a kill.

The first line identifies the import. Each later line is written before a commit: the store has
`row` rows now and `row + rows` after it, and the import then continues with episode `episode`. A
commit is all or nothing, so the number of rows of the store tells whether it happened. After a
power cut the store may have fewer rows; the import then continues after an earlier commit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_store._file_errors import naming
from stream_store._store_life import StoreLife


@dataclass(frozen=True)
class Position:
    """A number of rows at which the store has whole episodes only, and the episode that follows."""

    row: int
    episode: int


class Journal:
    """The journal of one store, which has a path. Nothing is on disk before `start`."""

    def __init__(self, store: StoreLife) -> None:
        assert store.path is not None
        self.path = self.path_of(store.path)

    @staticmethod
    def path_of(store: Path) -> Path:
        """The journal of the store at a path."""
        absolute = store.absolute()
        return absolute.with_name(absolute.name + ".import")

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def start(self, identity: dict[str, Any], row: int, offset: int) -> None:
        """Begin the journal of a new import, which replaces an older one.

        `offset` is added to the numbers of episodes. It is written down because a store may drop
        the rows from which it was computed.

        Opening a store creates missing parent directories when its fields are declared, which is
        after this.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with naming(self.path, "import"):
            line = json.dumps({**identity, "row": row, "offset": offset})
            self.path.write_text(line + "\n", encoding="utf-8")

    def add(self, row: int, rows: int, episode: int) -> None:
        """Write down a commit that follows."""
        with naming(self.path, "import"), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": row, "rows": rows, "episode": episode}) + "\n")

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def read(self, identity: dict[str, Any], num_rows: int) -> tuple[int, int, Position]:
        """Where to continue a store of `num_rows` rows.

        Returns:
            The row at which the import began, what it adds to the numbers of episodes, and the
            position to continue at, which may lie before the end of the store.

        Raises:
            ValueError: the import had another source or other options, or rows were appended or
                removed since.
        """
        lines = [self._parse(text) for text in self.path.read_text("utf-8").splitlines()]
        begun, commits = lines[0] if lines else None, [line for line in lines[1:] if line]
        if not begun or "row" not in begun:
            raise ValueError(f"{self.path}: resume: expected a journal but found another file")
        first, offset = begun.pop("row"), begun.pop("offset", 0)
        if begun != identity:
            differing = [key for key in identity if begun.get(key) != identity[key]]
            was = ", ".join(f"{key} {begun.get(key)!r}" for key in differing)
            now = ", ".join(f"{key} {identity[key]!r}" for key in differing)
            raise ValueError(f"{self.path}: resume: the interrupted import had {was}, not {now}")
        places = [Position(first, 0)]
        places += [Position(line["row"] + line["rows"], line["episode"]) for line in commits]
        if not first <= num_rows <= places[-1].row:
            raise ValueError(
                f"{self.path}: resume: expected between {first:,} and {places[-1].row:,} rows in "
                f"the store but found {num_rows:,}; it was changed since the import"
            )
        return (
            first,
            offset,
            max(
                (place for place in places if place.row <= num_rows),
                key=lambda place: (place.row, place.episode),
            ),
        )

    @staticmethod
    def _parse(text: str) -> dict[str, Any] | None:
        try:
            line = json.loads(text)
        except ValueError:
            return None  # a line that a power cut has torn; the commit after it did not happen
        return line if isinstance(line, dict) else None
