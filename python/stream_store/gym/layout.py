"""The layout of a recording: its fields, its store, and where in a sample each field's value is.

Both recorders store the rows of the guide, "Recording episodes". The fields come in this order:

    env (of a vector), episode, seed, options, obs, the keys of info, action, reward,
    terminated, truncated

Everything that is known when an observation arrives comes before everything that is known after
the step, because a row takes its fields in declared order. The end flags come last, and every row
of an episode that is over has them, so that no such row counts as one that may still grow.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from stream_store._arguments import plain_array
from stream_store._fields import declared_fields
from stream_store._structs import Struct, StructTree
from stream_store._types import AnyPath
from stream_store.features import FieldSpec, difference, parse_fields
from stream_store.features.names import MAX_NAME_BYTES, problem_of
from stream_store.store import StreamStore

#: The fields that samplers and later runs need. They cannot be changed or left out.
_FIXED = {"env": "int64", "episode": "int64", "terminated": "bool", "truncated": "bool"}

#: The newest episode has a row among the last two ticks of a run, so as many rows are enough for a
#: vector of 16,384 environments, each of which has at most two rows in a tick.
_NEWEST_ROWS = 1 << 16


class Leaf:
    """One field of a sample, and how to get its value from the sample.

    Attributes:
        name: the name of the field, such as "obs.pos".
    """

    def __init__(self, name: str, path: tuple[Any, ...], space: spaces.Space[Any]) -> None:
        self.name = name
        self._path = path
        self._space = space
        self._is_array = isinstance(
            space, (spaces.Box, spaces.Discrete, spaces.MultiBinary, spaces.MultiDiscrete)
        )
        self._converts = isinstance(space, (spaces.Dict, spaces.Tuple, spaces.Sequence))

    def get(self, sample: Any) -> Any:
        """The value of this field in a sample of the whole space."""
        if self._path:
            sample = self._find(sample)
        return as_stored(self._space, sample) if self._converts else sample

    def column(self, batch: Any, count: int) -> Any:
        """A copy of the values of this field in a batch of samples: an array, or a list."""
        part = self._find(batch) if self._path else batch
        if self._is_array:
            return np.array(plain_array(part))
        samples = _unbatched(self._space, part, count)
        return copy.deepcopy([as_stored(self._space, sample) for sample in samples])

    def _find(self, sample: Any) -> Any:
        part = sample
        try:
            for key in self._path:
                part = part[key]
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"field {self.name!r}: expected a sample with the part "
                f"{''.join(f'[{key!r}]' for key in self._path)}, found {sample!r:.80}"
            ) from error
        return part


class Layout:
    """The fields of a recording.

    Args:
        recorder: the name of the class that records, for messages.
        observation: the space of one environment's observations.
        action: the space of one environment's actions.
        has_env: whether there is a field `env`.
        fields: features that replace those of the spaces, None to leave a field out.
        info: the keys of info to record.

    Raises:
        ValueError: a space or a feature cannot be stored, or a name is unknown.
        TypeError: `fields` is not a mapping, or `info` is not a sequence of str.

    Attributes:
        fields: the features by name, in declared order.
        obs: the leaves of an observation; none if it is not recorded.
        action: those of an action.
        info: the recorded keys of info.
    """

    def __init__(
        self,
        recorder: str,
        observation: spaces.Space[Any],
        action: spaces.Space[Any],
        *,
        has_env: bool,
        fields: Mapping[str, Any] | None,
        info: Sequence[str],
    ) -> None:
        self.recorder = recorder
        derived: dict[str, Any] = {"env": "int64"} if has_env else {}
        derived |= {"episode": "int64", "seed": "int64", "options": None, "obs": observation}
        after = {"action": action, "reward": "float32", "terminated": "bool", "truncated": "bool"}
        self.info = self._checked_info(info, {*derived, *after})
        derived |= dict.fromkeys(self.info) | after
        derived |= self._checked_fields(fields, derived)
        if undeclared := [name for name in self.info if derived[name] is None]:
            raise ValueError(
                f"{recorder}: info={undeclared[0]!r} has no feature; pass one, as in "
                f"fields={{{undeclared[0]!r}: 'float32'}}"
            )
        self.fields = {name: one for name, one in derived.items() if one is not None}
        specs = [spec for name in self.fields for spec in self._parsed(name)]
        # The markers of structs come after all other fields, as in a declaration of all at once.
        self._specs = sorted(specs, key=lambda spec: spec.hidden)
        tree = StructTree(self._specs)
        self.obs = self._leaves(tree, "obs", observation)
        self.action = self._leaves(tree, "action", action)
        self.has_reward = "reward" in self.fields
        self._json_options = any(
            spec.name == "options" and spec.dtype == "string" for spec in self._specs
        )

    # --- the arguments ---

    def _checked_info(self, info: Any, reserved: set[str]) -> tuple[str, ...]:
        if isinstance(info, (str, bytes)) or not isinstance(info, Sequence):
            raise TypeError(
                f"{self.recorder}: info must be a sequence of keys, as in info=('lives',), "
                f"not {info!r:.80}"
            )
        for name in info:
            if not isinstance(name, str):
                raise TypeError(f"{self.recorder}: info: a key must be a str, not {name!r:.80}")
            if name in reserved:
                raise ValueError(
                    f"{self.recorder}: info={name!r} has the name of another field of the "
                    "recording; let the environment report it with another key, as stats_key= of "
                    "RecordEpisodeStatistics does"
                )
        if len(set(info)) != len(info):
            raise ValueError(f"{self.recorder}: info has a key twice: {list(info)}")
        return tuple(info)

    def _checked_fields(self, fields: Any, derived: Mapping[str, Any]) -> Mapping[str, Any]:
        if fields is None:
            return {}
        if not isinstance(fields, Mapping):
            raise TypeError(
                f"{self.recorder}: fields must be a mapping of names to features, or to None for a "
                f"field that is not recorded, not {type(fields).__name__}"
            )
        for name, feature in fields.items():
            if name not in derived:
                raise ValueError(
                    f"{self.recorder}: fields: unknown field {name!r}; expected "
                    f"{', '.join(derived)} or a key that info= names"
                )
            if name in _FIXED and feature != _FIXED[name]:
                raise ValueError(
                    f"{self.recorder}: fields: {name!r} is always recorded as {_FIXED[name]}"
                )
        return fields

    def _parsed(self, name: str) -> list[FieldSpec]:
        feature = self.fields[name]
        try:
            return parse_fields({name: feature})
        except (ValueError, TypeError) as error:
            hint = ""
            if bad := _bad_key(feature, (name,)):
                place, problem = bad
                hint = (
                    f". The key {place[-1]!r} of the space of {'.'.join(map(str, place[:-1]))!r} "
                    f"cannot be the name of a field: {problem}. A key must be a str that is not "
                    "empty and has no zero byte, and all names on the way to a field must have at "
                    f"most {MAX_NAME_BYTES} bytes of UTF-8 together. Rename the key in a wrapper "
                    "of the environment, as gymnasium.wrappers.TransformObservation, or leave the "
                    f"field out with fields={{{name!r}: None}}"
                )
            elif isinstance(feature, spaces.Space):
                hint = (
                    f". The space is {feature!r:.200}. Pass a feature for its samples, as in "
                    f"fields={{{name!r}: 'float32[]'}}, or leave it out with fields={{{name!r}: "
                    "None}"
                )
            raise type(error)(f"{self.recorder}: {error}{hint}") from error

    def _leaves(self, tree: StructTree, name: str, space: spaces.Space[Any]) -> list[Leaf]:
        """The leaves of a space that is recorded; none if it is not."""
        if name not in tree.children:
            return []
        found: list[Leaf] = []
        self._add_leaves(tree.children[name], space, name, (), found)
        return found

    def _add_leaves(
        self,
        node: int | Struct,
        space: spaces.Space[Any],
        name: str,
        path: tuple[Any, ...],
        found: list[Leaf],
    ) -> None:
        # A struct whose value is given leaf by leaf needs no function of Python in each append.
        splits = isinstance(node, Struct) and node.children and not node.feature
        if not splits or not isinstance(space, (spaces.Dict, spaces.Tuple)):
            found.append(Leaf(name, path, space))
            return
        assert isinstance(node, Struct)
        parts = dict(space.items()) if isinstance(space, spaces.Dict) else dict(enumerate(space))
        keys = {str(key): key for key in parts}
        for child, inner in node.children.items():
            if child not in keys:
                raise ValueError(
                    f"{self.recorder}: field {f'{name}.{child}'!r}: the space has no such part, "
                    f"only {', '.join(keys)}"
                )
            key = keys[child]
            self._add_leaves(inner, parts[key], f"{name}.{child}", (*path, key), found)

    # --- the store ---

    def open_store(self, store_or_path: StreamStore | AnyPath) -> tuple[StreamStore, bool]:
        """The store to record into, with its fields declared, and whether it was opened here.

        Raises:
            TypeError: the argument is neither a store nor a path.
            ValueError: the store has other fields, or is closed.
            io.UnsupportedOperation: the store was not opened for writing.
        """
        if isinstance(store_or_path, StreamStore):
            store_or_path._require_writable(self.recorder)
            self._declare(store_or_path)
            return store_or_path, False
        if not isinstance(store_or_path, (str, os.PathLike)):
            raise TypeError(
                f"{self.recorder}: expected a StreamStore or the path of one, "
                f"found {store_or_path!r:.80}"
            )
        store = StreamStore(store_or_path)
        try:
            self._declare(store)
        except BaseException:
            store.close()
            raise
        return store, True

    def _declare(self, store: StreamStore) -> None:
        """Declare the fields, or compare them with those that the store has."""
        if not store.fields:
            store._define_fields(self._specs)
            return
        text = difference(declared_fields(store).specs, self._specs)
        if text is not None:
            place = "a temporary store" if store.path is None else store.path
            raise ValueError(
                f"{self.recorder}: {place}: the store has other fields than the recording: {text}. "
                "Record into another store, or change the fields with fields= and info="
            )

    def facts(self, seed: Any, options: Any) -> dict[str, Any]:
        """The facts of an episode that are recorded on its first row. Nothing in it is shared."""
        facts = {}
        if seed is not None and "seed" in self.fields:
            facts["seed"] = seed
        if options is not None and "options" in self.fields:
            as_json = self._json_options and not isinstance(options, str)
            facts["options"] = self._json(options) if as_json else copy.deepcopy(options)
        return facts

    def _json(self, options: Any) -> str:
        try:
            return json.dumps(options)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"{self.recorder}: options: expected values that JSON can hold, but {error}. For "
                "arrays, declare a struct, as in fields={'options': {'goal': 'float32[2]'}}"
            ) from error


def _bad_key(space: Any, path: tuple[Any, ...]) -> tuple[tuple[Any, ...], str] | None:
    """The path of the first key of a Dict space that cannot be the name of a field, and why."""
    if isinstance(space, spaces.Dict):
        parts: list[tuple[Any, Any]] = list(space.items())
    elif isinstance(space, spaces.Tuple):
        parts = [(str(place), part) for place, part in enumerate(space)]
    else:
        return None
    for key, part in parts:
        inner = (*path, key)
        if not isinstance(key, str):
            return inner, f"it is of type {type(key).__name__}"
        if problem := problem_of(inner):
            return inner, problem
        if bad := _bad_key(part, inner):
            return bad
    return None


def next_episode(store: StreamStore) -> int:
    """The number after those of all episodes that the store has."""
    view = store.snapshot()  # so that no row is dropped meanwhile
    first = max(view.first_row, view.num_rows - _NEWEST_ROWS)
    if first == view.num_rows:
        return view.num_rows  # all rows were dropped; no episode had a number as high
    rows = view.read_rows(slice(first, None), fields=["episode"])
    return int(rows["episode"].max()) + 1


def as_stored(space: spaces.Space[Any], sample: Any) -> Any:
    """A sample in the form that a nested field or a struct takes.

    There a sequence is a list of its items, also one that Gymnasium stacks, and a tuple is a
    mapping.
    """
    if isinstance(space, spaces.Dict):
        return {key: as_stored(part, sample[key]) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return {str(i): as_stored(part, sample[i]) for i, part in enumerate(space)}
    if isinstance(space, spaces.Sequence):
        item = space.feature_space
        if not isinstance(item, (spaces.Dict, spaces.Tuple, spaces.Sequence)):
            return sample
        items = _unbatched(item, sample, None) if space.stack else sample
        return [as_stored(item, one) for one in items]
    return sample


def _unbatched(space: spaces.Space[Any], batch: Any, count: int | None) -> list[Any]:
    """The samples of a batch. `count` is needed only for spaces that have no parts."""
    if isinstance(space, spaces.Dict):
        columns = {key: _unbatched(part, batch[key], count) for key, part in space.items()}
        if not columns:
            return [{} for _ in range(count or 0)]
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if isinstance(space, spaces.Tuple):
        parts = [_unbatched(part, batch[i], count) for i, part in enumerate(space)]
        return list(zip(*parts, strict=True)) if parts else [() for _ in range(count or 0)]
    return list(batch)
