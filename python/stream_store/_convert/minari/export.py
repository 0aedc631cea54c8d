"""Minari data sets written from a store, as HDF5 without compression of images.

The files are written here, because Minari itself can only append whole episodes that are in memory,
and its buffers need JAX. They have the form that Minari 0.5.4 writes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_store import _arguments
from stream_store._convert.exporting import Episode, episodes_of, new_directory, row_blocks
from stream_store._convert.report import ConversionReport
from stream_store._convert.residency import Residency
from stream_store._exchange.optional import require
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store._types import AnyPath, Progress
from stream_store.errors import CheckError
from stream_store.features import FieldSpec
from stream_store.features.names import batch_key

from .arguments import checked_metadata, described, spec_json
from .source import EPISODE_METADATA, MAIN_FILE, METADATA, METADATA_FILE, NAMES
from .spaces import Space, box, parse_space

_VERSION = "0.5.4"
_ID = re.compile(r"(?:[-_\w][-_\w/]*[-_\w]+/)?[-_\w]+?-v\d+")  # (namespace/)name-v0
_FLAGS = ("terminations", "truncations")
_SPACES = {"observations": "observation_space", "actions": "action_space"}


@dataclass(frozen=True)
class _Leaf:
    """A field, and the dataset that it becomes.

    Attributes:
        spec: the field.
        path: in the group of an episode, such as ``observations/image``.
        top: its first part.
        space: what the space says of it, or None.
    """

    spec: FieldSpec
    path: str
    top: str
    space: Space | None


def to_minari(
    store: StoreLife,
    dst: AnyPath,
    *,
    dataset_id: str | None = None,
    episode: str = "episode",
    lane_by: str | Sequence[str] | None = None,
    obs: str = "obs",
    action: str = "action",
    reward: str = "reward",
    terminated: str = "terminated",
    truncated: str = "truncated",
    info: str = "info",
    observation_space: Any = None,
    action_space: Any = None,
    env_spec: Any = None,
    metadata: Mapping[str, Any] | None = None,
    check: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Write the episodes of a store as a data set; `StreamStore.to_minari` describes it."""
    began = time.monotonic()
    target = Path(_arguments.path_text(dst))
    name = dataset_id or target.name
    if not _ID.fullmatch(name):
        raise ValueError(
            f"to_minari: dataset_id {name!r}: expected '(namespace/)name-v0'; without dataset_id, "
            "the name of the directory is taken"
        )
    if not store.fields or not store.kept_rows:
        raise ValueError(f"{store._where()}: to_minari: the store has no rows")
    names = dict(zip(NAMES, (obs, action, reward, terminated, truncated, info), strict=True))
    view = store.snapshot()
    known = _known_metadata(view)
    spaces = {
        "observation_space": observation_space or known.get("observation_space"),
        "action_space": action_space or known.get("action_space"),
    }
    writer = _Writer(view, (episode, lane_by), names, spaces)
    facts = {**known, **checked_metadata(metadata)}
    if env_spec is not None:
        facts["env_spec"] = spec_json(env_spec)
    with new_directory(target, "to_minari") as partial:
        data = partial / "data"
        data.mkdir()
        writer.write(data / MAIN_FILE, progress)
        written = writer.metadata(facts, name, (data / MAIN_FILE).stat().st_size)
        (data / METADATA_FILE).write_text(json.dumps(written))
        compared = writer.check(data / MAIN_FILE) if check else None
    return ConversionReport(
        format="minari",
        rows=writer.rows,
        episodes=writer.episodes,
        fields=tuple(dict.fromkeys(leaf.spec.path[0] for leaf in writer.leaves)),
        left_out=writer.left_out,
        changes=writer.changes,
        seconds=time.monotonic() - began,
        checked_values=compared,
    )


def _known_metadata(view: StoreLife) -> dict[str, Any]:
    """The metadata of the data set that the store was imported from."""
    if METADATA not in view.fields:
        return {}
    text = view.row(view.first_row)[METADATA]
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class _End(NamedTuple):
    """What the last row of an episode, that of its final observation, says.

    Attributes:
        lengths: how many values each field has; those of infos may lack the one of the last row.
        marks: the flags that are true there. They belong to the last step: `RecordToStore` marks an
            episode that was cut on its last row, where Minari has no place for a flag.
    """

    lengths: dict[str, int]
    marks: dict[str, Any]


class _Writer:
    """Writes the episodes of a snapshot."""

    def __init__(
        self,
        view: StoreLife,
        cuts: tuple[str, str | Sequence[str] | None],
        names: Mapping[str, str],
        spaces: Mapping[str, Any],
    ) -> None:
        self._h5py = require("h5py", "to_minari", extra="minari")
        self._view = view
        self._residency = Residency(view)
        self._names = names
        self.left_out: dict[str, str] = {}
        self.changes: dict[str, str] = {}
        self._moved: dict[str, int] = {}  # flags of last rows, and in how many episodes
        self.rows = self.episodes = self._steps = 0
        known = declared_fields(view).outer_names
        episode, lane_by = cuts
        for name in (episode, *(names[top] for top in ("observations", "actions", "rewards"))):
            if name not in known:
                raise ValueError(
                    f"{view._where()}: to_minari: the store has no field {name!r}; it has "
                    f"{', '.join(known)}"
                )
        for top in _FLAGS:
            if names[top] not in known:
                self.changes[top] = f"all false: the store has no field {names[top]!r}"
        self._described = {
            top: None if spaces[key] is None else described(spaces[key], f"{view._where()}: {key}")
            for top, key in _SPACES.items()
        }
        self.leaves = [leaf for top in NAMES for leaf in self._leaves(top)]
        self._fields = [leaf.spec.name for leaf in self.leaves]
        self._texts = {leaf.path: _Texts() for leaf in self.leaves if leaf.spec.is_bytes}
        self._episodes = episodes_of(view, episode, lane_by, "to_minari")
        self._numbers: list[Episode] = []  # those that are written
        used = {episode, "seed", "options", METADATA, EPISODE_METADATA, *names.values()}
        for name in known:
            if name not in used:
                self.left_out[name] = "Minari has no place for it"

    def _leaves(self, top: str) -> Iterator[_Leaf]:
        """The fields of a part of the data set."""
        described = self._described.get(top)
        where = f"{self._view._where()}: to_minari"
        space = None if described is None else parse_space(described, f"{where}: space of {top}")
        for spec in declared_fields(self._view).specs:
            if spec.hidden or spec.path[0] != self._names[top]:
                continue
            if not _is_writable(spec):
                if top == "infos":
                    self.left_out[spec.name] = "expected numbers of a fixed shape, or texts"
                    continue
                raise ValueError(
                    f"{where}: field {spec.name!r} is {spec.text}; expected numbers of a fixed "
                    "shape, or texts"
                )
            part, path = space, [top]
            for name in spec.path[1:]:
                path.append(f"_index_{name}" if part is not None and part.kind == "Tuple" else name)
                part = None if part is None else part.parts.get(name)
                if space is not None and part is None:
                    raise ValueError(f"{where}: the space of {top} has no part {spec.name!r}")
            if part is not None and (part.parts or part.shape != spec.shape):
                raise ValueError(
                    f"{where}: field {spec.name!r} has the shape {spec.shape}, but its space is a "
                    f"{part.kind} of shape {part.shape}"
                )
            yield _Leaf(spec, "/".join(path), top, part)

    # --- writing ---

    def write(self, path: Path, progress: Progress | None) -> None:
        """Write all episodes that have a step."""
        total = sum(one.rows for one in self._episodes)
        done = 0
        alone: list[int] = []
        with self._h5py.File(path, "w", track_order=True) as file:
            for one in self._episodes:
                if one.rows < 2:
                    alone.append(one.first)
                else:
                    self._write_episode(file, one)
                done += one.rows
                if progress is not None:
                    progress(done, total)
        if len(alone) == 1:
            self.left_out[f"row {alone[0]}"] = "an episode without a step"
        elif alone:
            shown = ", ".join(map(str, alone[:20])) + ", …" * (len(alone) > 20)
            self.left_out[f"{len(alone):,} rows"] = f"episodes without a step: {shown}"

    def _write_episode(self, file: Any, episode: Episode) -> None:
        number = len(self._numbers)
        group = file.create_group(f"episode_{number}")
        steps = episode.rows - 1
        group.attrs["id"] = number
        group.attrs["total_steps"] = steps
        for name, value in self._attributes(episode.first).items():
            group.attrs[name] = value
        end = self._end(episode)
        datasets = {
            leaf.path: group.create_dataset(
                leaf.path,
                shape=(end.lengths[leaf.path], *leaf.spec.shape),
                maxshape=(None, *leaf.spec.shape),
                dtype=self._h5py.string_dtype() if leaf.spec.is_bytes else leaf.spec.numpy_dtype,
                chunks=True,
            )
            for leaf in self.leaves
        }
        for top in _FLAGS:
            if not any(leaf.top == top for leaf in self.leaves):
                group[top] = np.zeros(steps, np.bool_)
        group.require_group("infos")  # as Minari writes it, also if it is empty
        for leaf, begin, values in self._blocks(episode, end):
            datasets[leaf.path][begin : begin + len(values)] = values
            if leaf.spec.is_bytes:
                self._texts[leaf.path].add(values)
        for top in end.marks:
            self._moved[top] = self._moved.get(top, 0) + 1
            self.changes[top] = (
                f"true in the last row of {self._moved[top]:,} episodes, written for the last step"
            )
        self._numbers.append(episode)
        self.episodes += 1
        self.rows += episode.rows
        self._steps += steps

    def _blocks(self, episode: Episode, end: _End) -> Iterator[tuple[_Leaf, int, Any]]:
        """The values of each field with their place in its dataset, checked to be there."""
        begin, steps = 0, episode.rows - 1
        for rows, batch in row_blocks(self._residency, episode, self._fields):
            for leaf in self.leaves:
                values = batch[batch_key(leaf.spec.name)]
                mask = batch["_mask"][batch_key(leaf.spec.name)]
                count = max(0, min(len(values), end.lengths[leaf.path] - begin))
                if leaf.top not in _FLAGS and not mask[:count].all():
                    row = rows[np.argmin(mask[:count])]
                    raise ValueError(
                        f"{self._view._where()}: to_minari: row {row} has no "
                        f"{leaf.spec.name!r}; each row of an episode but the last needs one"
                    )
                self._check_end(leaf, mask[count:], episode.last)
                if leaf.top in end.marks and begin < steps <= begin + count:
                    values = values.copy()
                    values[steps - 1 - begin] = end.marks[leaf.top]
                if count:
                    yield leaf, begin, values[:count]
            begin += len(rows)

    def _check_end(self, leaf: _Leaf, mask: NDArray[np.bool_], row: int) -> None:
        """Refuse a value in the last row of an episode, for which Minari has no place."""
        if mask.any() and leaf.top not in _FLAGS:
            raise ValueError(
                f"{self._view._where()}: to_minari: row {row} is the last one of its episode and "
                f"has {leaf.spec.name!r}; expected a last row with only the final observation"
            )

    def _end(self, episode: Episode) -> _End:
        last = self._view.read_rows([episode.last], fields=self._fields)
        lengths = {
            leaf.path: episode.rows
            if leaf.top == "observations"
            or (leaf.top == "infos" and bool(last["_mask"][batch_key(leaf.spec.name)][0]))
            else episode.rows - 1
            for leaf in self.leaves
        }
        flags = [leaf for leaf in self.leaves if leaf.top in _FLAGS]
        found = {leaf.top: last[batch_key(leaf.spec.name)][0] for leaf in flags}
        return _End(lengths, {top: flag for top, flag in found.items() if np.any(flag)})

    def _attributes(self, row: int) -> dict[str, Any]:
        """The facts in the first row of an episode."""
        names = declared_fields(self._view).outer_names
        facts = self._view.row(row)
        found: dict[str, Any] = {}
        if "seed" in names and facts["seed"] is not None:
            found["seed"] = facts["seed"]
        options = facts.get("options")
        if isinstance(options, str):
            try:
                options = json.loads(options)
            except ValueError:
                options = None
        if isinstance(options, Mapping):
            found |= _flat("options", options)
        for name, value in (facts.get(EPISODE_METADATA) or {}).items():
            if value is not None:
                found[name] = value
        return found

    # --- metadata ---

    def metadata(self, facts: Mapping[str, Any], dataset_id: str, size: int) -> dict[str, Any]:
        """The metadata of the data set."""
        return {
            **{name: sorted(one) if isinstance(one, set) else one for name, one in facts.items()},
            "total_episodes": self.episodes,
            "total_steps": self._steps,
            "data_format": "hdf5",
            "jpeg_encoding": False,
            **{
                key: json.dumps(self._described[top] or self._default_space(top))
                for top, key in _SPACES.items()
            },
            "dataset_id": dataset_id,
            "minari_version": _VERSION,
            "dataset_size": round(size / 1e6, 1),
        }

    def _default_space(self, top: str) -> dict[str, Any]:
        """The space that follows from the fields."""
        tree: dict[str, Any] = {}
        for leaf in self.leaves:
            if leaf.top == top:
                made = (
                    self._texts[leaf.path].space()
                    if leaf.spec.is_bytes
                    else box(leaf.spec.numpy_dtype, leaf.spec.shape)
                )
                if len(leaf.spec.path) == 1:
                    return made
                at = tree
                for name in leaf.spec.path[1:-1]:
                    at = at.setdefault(name, {})
                at[leaf.spec.path[-1]] = made
        return _as_dict_space(tree)

    # --- checking ---

    def check(self, path: Path) -> int:
        """Compare every value of the file with the store; returns their number."""
        compared = 0
        with self._h5py.File(path, "r") as file:
            for number, episode in enumerate(self._numbers):
                group = file[f"episode_{number}"]
                for leaf, begin, values in self._blocks(episode, self._end(episode)):
                    dataset = group[leaf.path]
                    found = (dataset.asstr() if leaf.spec.is_bytes else dataset)[
                        begin : begin + len(values)
                    ]
                    if not _same(values, found):
                        raise CheckError(
                            f"{path}: check: episode_{number}/{leaf.path} differs from field "
                            f"{leaf.spec.name!r} in rows from {episode.row_numbers[begin]} on"
                        )
                    compared += len(values)
        return compared


class _Texts:
    """What a space says about texts: their lengths and characters."""

    def __init__(self) -> None:
        self._shortest: int | None = None
        self._longest = 0
        self._characters: set[str] = set()

    def add(self, values: Sequence[str]) -> None:
        for text in values:
            self._shortest = len(text) if self._shortest is None else min(self._shortest, len(text))
            self._longest = max(self._longest, len(text))
            self._characters.update(text)

    def space(self) -> dict[str, Any]:
        return {
            "type": "Text",
            "max_length": max(1, self._longest),
            "min_length": self._shortest or 0,
            "charset": "".join(sorted(self._characters)) or " ",
        }


def _same(values: Any, found: Any) -> bool:
    if isinstance(values, list):
        return list(found) == values
    return bool(values.dtype == found.dtype and values.tobytes() == found.tobytes())


def _is_writable(spec: FieldSpec) -> bool:
    if spec.dtype == "string":
        return not spec.shape or spec.shape == (-1,)
    return spec.info.kind in ("bool", "int", "uint", "float") and not spec.is_ragged


def _as_dict_space(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The space of a tree of spaces."""
    if "type" in tree and isinstance(tree["type"], str):
        return dict(tree)
    parts = {name: _as_dict_space(one) for name, one in tree.items()}
    return {"type": "Dict", "subspaces": parts}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values as attributes of HDF5, as Minari names them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(f"{prefix}/{name}", value)
        elif value is not None:
            found[f"{prefix}/{name}"] = value
    return found
