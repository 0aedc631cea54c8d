"""Minari data sets as a source, in the layouts HDF5, Arrow and Parquet of Minari 0.4 and 0.5.

Row *t* of an episode has the observation before the action, the action and what followed it; one
more row has the last observation. The names are those that the rest of this package uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stream_store import _arguments
from stream_store._convert.arrays import ArraySource, EpisodeArrays, StoredArray, with_facts
from stream_store._convert.hdf5 import Hdf5Array, OpenFiles, reading_hdf5
from stream_store._exchange.optional import require
from stream_store._types import AnyPath

from .arrow_episodes import Kept, arrow_columns
from .jpeg import decoded
from .spaces import Space, parse_space

MAIN_FILE = "main_data.hdf5"
METADATA_FILE = "metadata.json"

#: Field with the metadata of the data set, as JSON, in the first row.
METADATA = "minari"
#: Struct with what Minari calls the metadata of an episode, in its first row.
EPISODE_METADATA = "episode_attrs"

#: Names in a data set -> names of fields.
NAMES = {
    "observations": "obs",
    "actions": "action",
    "rewards": "reward",
    "terminations": "terminated",
    "truncations": "truncated",
    "infos": "info",
}
_PER_STEP = ("rewards", "terminations", "truncations")
_OWN_ATTRIBUTES = ("id", "seed", "total_steps")


class MinariSource(ArraySource):
    """A data set: its directory, or the directory ``data`` within."""

    def __init__(self, src: AnyPath, map: Mapping[str, str] | None) -> None:
        self._root = data_directory(Path(_arguments.path_text(src)))
        self._metadata = read_metadata(self._root)
        self._spaces = {
            "observations": self._space("observation_space"),
            "actions": self._space("action_space"),
        }
        self._jpeg = bool(self._metadata.get("jpeg_encoding", True))
        self._files: OpenFiles | None = None
        form = self._metadata.get("data_format", "hdf5")
        try:
            if form == "hdf5":
                with reading_hdf5(self._root / MAIN_FILE, "from_minari"):
                    episodes = list(self._hdf5_episodes())
            elif form in ("arrow", "parquet"):
                episodes = list(self._arrow_episodes(form))
            else:
                raise ValueError(
                    f"{self._root}: from_minari: data_format {form!r}: expected 'hdf5', 'arrow' or "
                    "'parquet'"
                )
            expected = self._metadata.get("total_episodes")
            if isinstance(expected, int) and expected != len(episodes):
                raise ValueError(
                    f"{self._root}: from_minari: expected {expected} episodes as in "
                    f"{METADATA_FILE}, found {len(episodes)}"
                )
            facts = {METADATA: json.dumps(self._metadata, ensure_ascii=False)}
            episodes = with_facts(episodes, facts)
            episodes = [
                replace(one, arrays=_ordered(one.arrays), ends_false=_flags(one))
                for one in episodes
            ]
            names = {path: _renamed(path) for one in episodes for path in (*one.arrays, *one.facts)}
            super().__init__("minari", self._root, episodes, map, {}, names)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the file."""
        if self._files is not None:
            self._files.close()

    def _space(self, key: str) -> Space | None:
        text = self._metadata.get(key)
        return None if text is None else parse_space(text, f"{self._root / METADATA_FILE}: {key}")

    # --- HDF5 ---

    def _hdf5_episodes(self) -> Iterator[EpisodeArrays]:
        path = self._root / MAIN_FILE
        if not path.exists():
            raise FileNotFoundError(f"{path}: from_minari: no such file")
        self._files = OpenFiles(require("h5py", "from_minari", extra="minari"))
        if not self._metadata.get("total_episodes") and path.stat().st_size == 0:
            return
        file = self._files.get(path)
        for number in range(len(file)):
            group = file.get(f"episode_{number}")
            if not isinstance(group, self._files.h5py.Group):
                raise ValueError(f"{path}: expected a group episode_{number}, found none")
            arrays = {name: one for name, one in self._hdf5_arrays(path, group, "", None)}
            facts = _facts(dict(group.attrs), flat=True)
            yield _episode(f"{path}: {group.name}", number, arrays, facts)

    def _hdf5_arrays(
        self, path: Path, group: Any, prefix: str, space: Space | None
    ) -> Iterator[tuple[str, StoredArray]]:
        assert self._files is not None
        for name in group:
            one = group[name]
            part = self._spaces.get(name) if not prefix else space and space.parts.get(_part(name))
            shown = f"{prefix}{_part(name)}"
            if isinstance(one, self._files.h5py.Group):
                yield from self._hdf5_arrays(path, one, f"{shown}/", part)
            elif one.ndim == 0:
                raise ValueError(f"{path}: {one.name}: expected one value per step, found a scalar")
            elif part is not None and part.is_image and self._jpeg:
                yield shown, JpegArray(self._files, path, one, part.shape)
            else:
                yield shown, Hdf5Array(self._files, path, one)

    # --- Arrow and Parquet ---

    def _arrow_episodes(self, form: str) -> Iterator[EpisodeArrays]:
        spaces: dict[str, Space] = {}
        kept = Kept()
        for name, space in self._spaces.items():
            if space is None:
                raise ValueError(f"{self._root / METADATA_FILE}: expected the space of {name}")
            spaces[name] = space
        numbers = sorted(
            int(one.name) for one in self._root.iterdir() if one.is_dir() and one.name.isdigit()
        )
        for number in numbers:
            directory = self._root / str(number)
            arrays, rows = arrow_columns(directory, form, spaces, kept, jpeg=self._jpeg)
            facts = _facts(_json(directory / METADATA_FILE), flat=False)
            steps = rows - 1
            lengths = {
                path: steps
                for path in arrays
                if path.split("/")[0] not in ("observations", "infos")
            }
            parts = {path: (one, 0) for path, one in arrays.items()}
            yield EpisodeArrays(number, rows, parts, facts, lengths)


class JpegArray(StoredArray):
    """Images that are stored as JPEG files, decoded as Minari does it."""

    def __init__(self, files: OpenFiles, path: Path, dataset: Any, shape: tuple[int, ...]) -> None:
        self._files = files
        self._path = path
        self._name = str(dataset.name)
        self._shape = shape
        self.where = f"{path}: {self._name}"
        self.rows = int(dataset.shape[0])
        self.feature = f"packed uint8[{','.join(map(str, shape))}]"
        self.row_bytes = int(np.prod(shape))

    def read(self, start: int, stop: int) -> Any:
        """Rows [start, stop)."""
        try:
            files = self._files.get(self._path)[self._name][start:stop]
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(
                f"{self.where}: from_minari: cannot read rows [{start}, {stop}): {error}"
            ) from error
        return decoded(files, self._shape, self.where, start)


def data_directory(path: Path) -> Path:
    """The directory with the metadata: `path`, or ``data`` within."""
    for one in (path / "data", path):
        if (one / METADATA_FILE).is_file():
            return one
    if not path.exists():
        raise FileNotFoundError(f"{path}: from_minari: no such directory")
    raise ValueError(
        f"{path}: from_minari: expected a Minari data set, found no {METADATA_FILE} in it or in "
        f"{path / 'data'}"
    )


def read_metadata(root: Path) -> dict[str, Any]:
    """The metadata of a data set."""
    return _json(root / METADATA_FILE)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: from_minari: no such file") from None
    except ValueError as error:
        raise ValueError(f"{path}: from_minari: expected JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: from_minari: expected a JSON object, found {found!r:.60}")
    return found


def _episode(
    where: str, number: int, arrays: dict[str, StoredArray], facts: dict[str, Any]
) -> EpisodeArrays:
    """An episode in HDF5, whose arrays have one item per observation or per step."""
    for name in _PER_STEP:
        if name not in arrays:
            raise ValueError(
                f"{where}: expected the arrays {', '.join(_PER_STEP)}; {name} is missing"
            )
    steps = arrays["rewards"].rows
    lengths = {}
    for path, array in arrays.items():
        top = path.split("/")[0]
        allowed = {"observations": (steps + 1,), "infos": (steps, steps + 1)}.get(top, (steps,))
        if array.rows not in allowed:
            raise ValueError(
                f"{where}/{path}: expected {' or '.join(map(str, allowed))} items for {steps} "
                f"steps, found {array.rows}"
            )
        lengths[path] = array.rows
    parts = {path: (array, 0) for path, array in arrays.items()}
    return EpisodeArrays(number, steps + 1, parts, facts, lengths)


def _facts(attributes: Mapping[str, Any], *, flat: bool) -> dict[str, Any]:
    """The metadata of an episode. HDF5 has nested values flat, as ``options/name``."""
    facts: dict[str, Any] = {}
    if attributes.get("seed") is not None:
        facts["seed"] = int(attributes["seed"])
    options: dict[str, Any] = {}
    for name, value in attributes.items():
        if flat and name.startswith("options/"):
            at = options
            *outer, last = name.split("/")[1:]
            for part in outer:
                at = at.setdefault(part, {})
            at[last] = np.asarray(value).tolist()
        elif name == "options":
            options = value
        elif name not in _OWN_ATTRIBUTES and value is not None:
            facts[f"{EPISODE_METADATA}/{name.replace('/', '.')}"] = value
    if options:
        facts["options"] = json.dumps(options, ensure_ascii=False)
    return facts


def _ordered(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays in the order of the fields of `RecordToStore`, which ends with the flags."""
    tops = ("observations", "infos", "actions", *_PER_STEP)
    rank = {top: number for number, top in enumerate(tops)}
    order = sorted(arrays, key=lambda path: rank.get(path.split("/")[0], -1))
    return {path: arrays[path] for path in order}


def _flags(episode: EpisodeArrays) -> list[str]:
    """The flags, which are false on the final row, as `RecordToStore` writes them."""
    flags = ("terminations", "truncations")
    return [path for path in flags if episode.arrays[path][0].feature == "bool"]


def _renamed(path: str) -> str:
    top, slash, rest = path.partition("/")
    return NAMES.get(top, top) + slash + rest


def _part(name: str) -> str:
    """The name of a part of a space; those of tuples are stored as ``_index_0``."""
    return name.removeprefix("_index_") if name.startswith("_index_") else name
