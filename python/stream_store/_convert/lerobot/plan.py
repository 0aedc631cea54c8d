"""Which features of a data set the fields of a store become."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_store import _arguments
from stream_store._fields import declared_fields
from stream_store._store_life import StoreLife
from stream_store._structs import Struct
from stream_store.features import FieldSpec

from .layout import DEFAULT_FEATURES, IMAGE, VIDEO

_OPERATION = "to_lerobot"
_NUMERIC = ("bool", "int", "uint", "float")
_CHANNELS = (1, 3, 4)
FORMS = ("png", "jpeg", None)


@dataclass
class Feature:
    """One feature, and where its values come from.

    Attributes:
        name: name of the feature, and of the field or leaf of a struct.
        kind: "numeric", "string", "pixels" (an array that becomes an image) or "encoded" (the bytes
            of image files).
        leaf: the leaf that is read from the store.
        dtype: of info.json.
        shape: of one value; () for a scalar. For lists of varying length and for images it is
            known only from the first value.
        names: of info.json.
    """

    name: str
    kind: str
    leaf: str
    dtype: str
    shape: tuple[int, ...] | None
    names: Any = None
    video: bool = False

    @property
    def leaves(self) -> tuple[str, ...]:
        """The leaf, and that of the path of an image file."""
        return (self.leaf, f"{self.name}.path") if self.kind == "encoded" else (self.leaf,)

    @property
    def is_image(self) -> bool:
        return self.kind in ("pixels", "encoded")

    def described(self) -> dict[str, Any]:
        """The feature in info.json."""
        dtype = (VIDEO if self.video else IMAGE) if self.is_image else self.dtype
        names = ["height", "width", "channels"] if self.is_image else self.names
        return {"dtype": dtype, "shape": list(self.shape or (1,)), "names": names}


@dataclass
class Plan:
    """The plan of a data set.

    Attributes:
        features: in the order of the fields.
        task: leaf with the task, or None if `task_text` is the task of all rows.
        task_text: see `task`.
        facts: leaves that have one value in an episode, a fact about it.
        images: "png", "jpeg" or None: what arrays of pixels become.
        left_out: field -> why it is not written.
        changes: field -> how it differs.
    """

    features: list[Feature]
    task: str | None
    task_text: str
    facts: list[str]
    images: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def lossy(self) -> set[str]:
        """Features whose values change."""
        return {
            one.name
            for one in self.features
            if one.video or (one.kind == "pixels" and self.images == "jpeg")
        }

    @property
    def leaves(self) -> list[str]:
        """The leaves that are read."""
        leaves = [leaf for one in self.features for leaf in one.leaves]
        return leaves + ([] if self.task is None else [self.task])


def make_plan(
    view: StoreLife,
    *,
    fields: Sequence[str] | None,
    task: str | None,
    episode_fields: Sequence[str],
    names: Mapping[str, Any],
    images: str | None,
    video: bool,
    used: Iterable[str],
) -> Plan:
    """Decide for every field.

    Args:
        view: a snapshot.
        fields: the fields or leaves to write, or None for all that are not used otherwise.
        task: a string field with the task, or its text, or None.
        episode_fields: fields with facts about episodes.
        names: names of the items of a feature.
        images: "png" or "jpeg": arrays of pixels become images; None: they stay arrays.
        video: whether images become videos.
        used: fields that are used otherwise, for times; they are left out if they cannot be
            features, where others are refused.

    Raises:
        ValueError: a field is unknown, or it cannot be a feature; the message names all of them.
    """
    if images not in FORMS:
        raise ValueError(f"{_OPERATION}: images={images!r}: expected 'png', 'jpeg' or None")
    if video and images is None:
        raise ValueError(f"{_OPERATION}: video=True needs images='png' or 'jpeg'")
    fields = _arguments.names("fields", fields, one=True)
    facts = _arguments.names("episode_fields", episode_fields or None, one=True) or []
    if not isinstance(names, Mapping):
        raise ValueError(
            f"{_OPERATION}: names={names!r:.60}: expected a mapping of features to the names of "
            "their items"
        )
    leaves = dict(_leaves(view))
    by_name = {spec.name: spec for spec in declared_fields(view).specs if not spec.hidden}
    plan = Plan([], None, "", [], images)
    _plan_task(plan, by_name, task)
    for name in facts:
        if name not in by_name:
            raise ValueError(_unknown("episode_fields", name, by_name))
        plan.facts.append(name)
    chosen = _chosen(leaves, fields)
    unfit: list[str] = []
    for name in chosen:
        if name in DEFAULT_FEATURES:
            plan.left_out[name] = "it is written anew"
        elif fields is None and name in (plan.task, *plan.facts):
            continue
        else:
            made = _feature(name, leaves[name], images, video)
            if isinstance(made, Feature):
                made.names = names.get(name)
                plan.features.append(made)
                if made.video:
                    plan.changes[name] = "a video in H.264, which is lossy"
                elif made.kind == "pixels":
                    plan.changes[name] = f"{images} files" + ", lossy" * (images == "jpeg")
                elif made.shape == (1,):
                    plan.changes[name] = "a list of one item becomes a scalar"
                    made.shape = ()
            elif name in used:
                plan.left_out[name] = made
            else:
                unfit.append(f"{name!r} ({made})")
    if unfit:
        raise ValueError(
            f"{_OPERATION}: these fields cannot be features of a LeRobotDataset: "
            f"{', '.join(unfit)}. Choose others with fields=; values that hold for a whole "
            "episode can be named in episode_fields="
        )
    if not plan.features:
        raise ValueError(f"{_OPERATION}: there is no field to write")
    wrong = [name for name in names if name not in {one.name for one in plan.features}]
    if wrong:
        raise ValueError(_unknown("names", wrong[0], {one.name: one for one in plan.features}))
    return plan


def _leaves(view: StoreLife) -> Iterator[tuple[str, FieldSpec | Struct]]:
    """The fields, with structs replaced by their fields, as (name with dots, leaf or media).

    Raises:
        ValueError: two have the same name, such as a field "a.b" and the leaf b of a struct a.
    """
    fields = declared_fields(view)
    seen: set[str] = set()

    def walk(prefix: str, children: Mapping[str, int | Struct]) -> Iterator[tuple[str, Any]]:
        for name, child in children.items():
            full = f"{prefix}{name}"
            if isinstance(child, Struct) and not child.feature:
                yield from walk(f"{full}.", child.children)
                continue
            if full in seen:
                raise ValueError(f"{_OPERATION}: two fields have the name {full!r}")
            seen.add(full)
            yield full, child if isinstance(child, Struct) else fields.specs[child]

    yield from walk("", fields.tree.children)


def _chosen(leaves: Mapping[str, Any], fields: Sequence[str] | None) -> list[str]:
    if fields is None:
        return list(leaves)
    chosen: list[str] = []
    for name in fields:
        inside = [leaf for leaf in leaves if leaf == name or leaf.startswith(f"{name}.")]
        if not inside:
            raise ValueError(_unknown("fields", name, leaves))
        chosen += [leaf for leaf in inside if leaf not in chosen]
    return chosen


def _unknown(argument: str, name: object, known: Iterable[str]) -> str:
    return f"{_OPERATION}: {argument} names {name!r}; expected one of {', '.join(known)}"


def _plan_task(plan: Plan, specs: Mapping[str, FieldSpec], task: str | None) -> None:
    if task is not None and not isinstance(task, str):
        raise ValueError(
            f"{_OPERATION}: task={task!r:.60}: expected a string field, or the text of the task"
        )
    if task is None:
        task = "task" if "task" in specs and specs["task"].dtype == "string" else ""
    if task in specs:
        if specs[task].dtype != "string" or specs[task].shape:
            raise ValueError(
                f"{_OPERATION}: task={task!r}: expected a string field, or the text of the task, "
                f"but the field is {specs[task].text}"
            )
        plan.task = task
    else:
        plan.task_text = task


def _feature(name: str, leaf: FieldSpec | Struct, images: str | None, video: bool) -> Feature | str:
    """The feature of a field, or why there is none."""
    if "/" in name:
        return "its name contains '/'"
    if isinstance(leaf, Struct):
        kind = str(json.loads(leaf.feature).get("_type", "a struct"))
        if kind != "Image":
            return kind
        return Feature(name, "encoded", f"{name}.bytes", IMAGE, None, video=video)
    if leaf.dtype == "string" and not leaf.shape and not leaf.nested:
        return Feature(name, "string", leaf.name, "string", ())
    if leaf.info.kind not in _NUMERIC or leaf.nested:
        return leaf.text
    shape: tuple[int, ...] | None = leaf.shape
    if leaf.is_ragged:
        shape = None  # that of the first value, which all others must have
    elif 0 in leaf.shape:
        return f"{leaf.text}: it has no items"
    if len(leaf.shape) > 5:
        return f"{leaf.text}: more than five dimensions"
    if (
        images is not None
        and leaf.dtype == "uint8"
        and len(leaf.shape) == 3
        and leaf.shape[-1] in _CHANNELS
    ):
        return Feature(name, "pixels", leaf.name, IMAGE, shape, video=video)
    return Feature(name, "numeric", leaf.name, leaf.dtype, shape)
