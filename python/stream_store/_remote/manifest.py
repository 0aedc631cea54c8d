"""Manifests: what each says, and the state of a remote store that follows from them in order."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from stream_store._core import crc32c

from .names import FULL_EVERY, MOST, is_schema_name, manifest_name, pack_range

FORMAT = 1
#: Packs that were removed longer ago are of no use for a reader.
MOST_RETIRED = 4096
#: Beyond this many, the oldest cuts are joined.
MOST_CUTS = 4096
#: The level of a retired pack with records that the source has removed. No reader may use it.
CUT_OFF = 1 << 20
_ID = re.compile(r"[0-9a-f]{32}\Z")
#: A store has far fewer packs than this; a hostile manifest must not use up the memory.
MOST_BYTES = 64 << 20


class Begin(NamedTuple):
    """Where the retained records begin: how many records, rows, values and field-writes precede."""

    record: int
    row: int
    position: int
    field_writes: int


class End(NamedTuple):
    """Where the records end."""

    record: int
    row: int
    position: int


class Pack(NamedTuple):
    """A pack as manifests list it: the records [first, end), which its name says, too."""

    name: str
    bytes: int  # of the object
    level: int  # how often its records were merged
    checksum: int  # of the last record
    session: int  # of the last record
    first: int
    end: int


def make_pack(name: str, bytes: int, level: int, checksum: int, session: int) -> Pack:
    """A pack of that name. Raises ValueError if it is not the name of a pack."""
    found = pack_range(name)
    if found is None:
        raise ValueError(f"{name!r} is not the name of a pack")
    return Pack(name, bytes, level, checksum, session, *found)


class Cut(NamedTuple):
    """Records from `record` on were removed in the source, before the manifest of that number."""

    number: int
    record: int


@dataclass(frozen=True)
class Manifest:
    """The content of one manifest.

    A full manifest lists all live packs in `added`, those that wait for their deletion in
    `retired`, and all cuts that still matter. Others list what has changed since the manifest
    before.
    """

    number: int
    history: str  # of all manifests since number 0
    store: str
    shipper: str
    schema: str
    begin: Begin
    end: End
    time: float
    added: tuple[Pack, ...] = ()
    removed: tuple[str, ...] = ()
    retired: tuple[Pack, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def full(self) -> bool:
        """Whether a reader can begin with this manifest."""
        return self.number % FULL_EVERY == 0

    @property
    def name(self) -> str:
        """The name of its object."""
        return manifest_name(self.number)


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest: canonical JSON, with its own checksum."""
    content = {key: getattr(manifest, key) for key in manifest.__dataclass_fields__}
    for key in ("added", "retired"):
        content[key] = [pack[:5] for pack in content[key]]  # the name has the rest
    content["format"] = FORMAT
    return _text(content | {"checksum": crc32c(_text(content))})


def _text(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def decode(data: bytes | memoryview, number: int) -> Manifest:
    """The manifest in some bytes.

    Raises:
        ValueError: the bytes are not the manifest of that number; the message says why.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES} bytes but found {len(data)}")
    try:
        content = json.loads(bytes(data))
        checksum = content.pop("checksum")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is not a manifest: {error!r}") from None
    try:
        computed = crc32c(_text(content))
    except (ValueError, RecursionError) as error:  # NaN; half of a surrogate pair
        raise ValueError(f"it is not a manifest: {error!r}") from None
    if checksum != computed:
        raise ValueError(f"its checksum is {computed} but should be {checksum}")
    if content.pop("format", None) != FORMAT:
        raise ValueError(f"expected format {FORMAT}; a newer version may read it")
    try:
        return _checked(content, number)
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"it is not a valid manifest: {error!r}") from None


def _checked(content: dict[str, Any], number: int) -> Manifest:
    if set(content) != set(Manifest.__dataclass_fields__):
        raise ValueError(f"its entries are {sorted(content)}")
    manifest = Manifest(
        number=_count(content["number"], "number"),
        history=_matching(_ID, content["history"], "history"),
        store=_matching(_ID, content["store"], "store"),
        shipper=_matching(_ID, content["shipper"], "shipper"),
        schema=content["schema"],
        begin=Begin(*(_count(n, "begin") for n in content["begin"])),
        end=End(*(_count(n, "end") for n in content["end"])),
        time=float(content["time"]),
        added=tuple(_pack(entry) for entry in content["added"]),
        removed=tuple(_pack_name(name) for name in content["removed"]),
        retired=tuple(_pack(entry) for entry in content["retired"]),
        cuts=tuple(Cut(*(_count(n, "cut") for n in entry)) for entry in content["cuts"]),
    )
    if manifest.number != number:
        raise ValueError(f"expected manifest {number} but found {manifest.number}")
    if not is_schema_name(manifest.schema):
        raise ValueError(f"{manifest.schema!r} is not the name of a schema")
    return manifest


def _count(value: Any, what: str) -> int:
    if type(value) is not int or not 0 <= value < MOST:
        raise ValueError(f"{what}: expected a number but found {value!r}")
    return value


def _matching(pattern: re.Pattern[str], value: Any, what: str) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise ValueError(f"{what}: {value!r} is not valid")
    return value


def _pack_name(name: Any) -> str:
    return make_pack(name, 0, 0, 0, 0).name


def _pack(entry: Any) -> Pack:
    name, *numbers = entry
    return make_pack(name, *(_count(value, "pack") for value in numbers))


@dataclass(frozen=True)
class State:
    """A remote store after some manifest: the live packs in order, and where they begin and end.

    `retired` packs were removed, but may still exist. `cuts` have increasing numbers and records: a
    cut hides those before it that removed fewer records. They stay after their records were dropped
    in the source, because a mirror may have been away since before the cut.
    """

    newest: Manifest
    packs: tuple[Pack, ...] = ()
    retired: tuple[Pack, ...] = ()
    cuts: tuple[Cut, ...] = ()

    @property
    def end(self) -> End:
        """Where the records end."""
        return self.newest.end

    @property
    def begin(self) -> Begin:
        """Where the retained records begin."""
        return self.newest.begin

    def live(self) -> set[str]:
        """The names of the live packs."""
        return {pack.name for pack in self.packs}


def follow(state: State | None, manifest: Manifest) -> State:
    """The state after one more manifest; a full one needs no state before it.

    Raises:
        ValueError: the manifest does not follow; the message says why.
    """
    if state is not None:
        if manifest.store != state.newest.store:
            raise ValueError(
                f"it is of the store {manifest.store}, but those before of {state.newest.store}"
            )
        if manifest.number != state.newest.number + 1:
            raise ValueError(f"expected manifest {state.newest.number + 1}")
    if manifest.full:
        return _valid(State(manifest, manifest.added, manifest.retired, manifest.cuts))
    if state is None:
        raise ValueError("expected a full manifest")
    unknown = set(manifest.removed) - state.live()
    if unknown:
        raise ValueError(f"it removes {min(unknown)}, which is no live pack")
    return _valid(_changed(state, manifest))


def as_written(state: State | None, changes: Manifest) -> Manifest:
    """The manifest with these changes: a full one, if its number demands it."""
    if state is None or not changes.full:
        return changes
    after = _changed(state, changes)
    return replace(changes, added=after.packs, removed=(), retired=after.retired, cuts=after.cuts)


def _changed(state: State, changes: Manifest) -> State:
    removed = set(changes.removed)
    packs = [pack for pack in state.packs if pack.name not in removed] if removed else state.packs
    packs = sorted([*packs, *changes.added], key=lambda pack: pack.first)
    retired = [*state.retired, *(pack for pack in state.packs if pack.name in removed)]
    if changes.cuts:
        left = min(cut.record for cut in changes.cuts)
        retired = [pack._replace(level=CUT_OFF) if pack.end > left else pack for pack in retired]
    cuts = list(state.cuts)
    for cut in changes.cuts:
        cuts = [*(other for other in cuts if other.record < cut.record), cut]
    return State(changes, tuple(packs), tuple(retired[-MOST_RETIRED:]), _bounded(cuts))


def _bounded(cuts: list[Cut]) -> tuple[Cut, ...]:
    """At most MOST_CUTS cuts: the oldest ones become one that removes what any of them did.

    A mirror that has made some of those removes too much, and downloads it again.
    """
    joined = len(cuts) - MOST_CUTS
    if joined > 0:
        cuts = [Cut(cuts[joined].number, cuts[0].record), *cuts[joined + 1 :]]
    return tuple(cuts)


def _valid(state: State) -> State:
    begin, end = state.begin, state.end
    if any(low > high for low, high in zip(begin[:3], end, strict=True)):
        raise ValueError(f"its begin {tuple(begin)} comes after its end {tuple(end)}")
    at = state.packs[0].first if state.packs else begin.record
    if at > begin.record:
        raise ValueError(f"a gap: its packs begin at record {at}, the store at {begin.record}")
    for pack in state.packs:
        if pack.first != at:
            raise ValueError(f"a gap: expected a pack from record {at} on but found {pack.name}")
        at = pack.end
    if at != end.record:
        raise ValueError(f"a gap: its packs end at record {at}, the store at {end.record}")
    return state
