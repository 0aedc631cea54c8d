"""verify_remote: reads everything of a remote store, and reports damage as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from stream_store._core import _verify_pack
from stream_store._types import Progress
from stream_store.errors import CorruptStoreError, RemoteError, VersionError
from stream_store.reports import Finding

from .bucket import Bucket
from .fetch import MissingPackError, download
from .history import manifest_numbers, read_manifest, read_on, read_schema, read_state
from .manifest import Pack, State
from .names import FULL_EVERY, PACKS, manifest_name, pack_range


@dataclass(frozen=True)
class RemoteReport:
    """The result of `verify_remote`.

    Attributes:
        findings: damage, and as notices the objects that wait to be deleted.
        store: id of the store; empty if its manifests are damaged.
        manifest: number of the newest manifest; -1 if its manifests are damaged.
        first_row: the first row that is retained.
        rows: number of rows, dropped ones included.
        packs: number of live packs.
        bytes: number of bytes of live packs that were checked.
        ok: whether there is no damage.

    Examples:
        >>> from pathlib import Path
        >>> url = f"file://{Path.cwd()}/remote"
        >>> with StreamStore("run", fields={"reward": "float32"}) as store:
        ...     step = store.append_step({"reward": 1.0})
        ...     shipped = stream_store.Shipper(store, url).ship_now()
        >>> report = stream_store.verify_remote(url)
        >>> report.ok, report.manifest, report.rows
        (True, 0, 1)
    """

    findings: tuple[Finding, ...]
    store: str
    manifest: int
    first_row: int
    rows: int
    packs: int
    bytes: int

    @property
    def ok(self) -> bool:
        """Whether there is no damage."""
        return all(finding.severity != "damage" for finding in self.findings)


def verify_remote(
    url: Any,
    progress: Progress | None = None,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> RemoteReport:
    """Read every pack of a remote store, and check all that a `Mirror` would check.

    Args:
        url: the URL that the `Shipper` was given.
        progress: called with bytes checked and bytes in all; an exception it raises ends the call.
        storage_options: configuration for obstore, such as credentials, by the name of each option.

    Returns:
        A `RemoteReport`. Damage is a finding in it, not an exception.

    Cost:
        Downloads all live packs, one or a few at a time.

    Raises:
        FileNotFoundError: nothing was shipped to the URL.
        RemoteError: the object store cannot be reached, or denies access.
        ImportError: obstore is not installed.

    Examples:
        >>> import obstore.store
        >>> memory = obstore.store.MemoryStore()
        >>> store = StreamStore("run", fields={"reward": "float32"})
        >>> store.extend({"reward": [1.0, 2.0]})
        2
        >>> report = stream_store.Shipper(store, memory).ship_now()
        >>> stream_store.verify_remote(memory).ok
        True
    """
    bucket = Bucket(url, storage_options)
    findings: list[Finding] = []
    try:
        state = read_state(bucket)
    except RemoteError as error:
        if error.transient or isinstance(error.__cause__, Exception):
            raise  # the object store, not an object
        findings.append(_damage(bucket, error))
        return RemoteReport(tuple(findings), "", -1, 0, 0, 0, 0)
    if state is None:
        raise FileNotFoundError(f"{bucket.url}: nothing was shipped there; it has no manifest")
    findings += _check_manifests(bucket, state)
    checked = 0
    for finding, size in _check_packs(bucket, state):
        checked += size
        findings += [finding] if finding else []
        if progress is not None:
            progress(checked, sum(pack.bytes for pack in state.packs))
    findings += _check_objects(bucket, state)
    return RemoteReport(
        findings=tuple(findings),
        store=state.newest.store,
        manifest=state.newest.number,
        first_row=state.begin.row,
        rows=state.end.row,
        packs=len(state.packs),
        bytes=checked,
    )


def _finding(
    severity: Literal["damage", "notice"], name: str, expected: str, found: str
) -> Finding:
    return Finding(severity, name, 0, "the object", expected, found)


def _damage(bucket: Bucket, error: Exception) -> Finding:
    url = getattr(error, "url", "")
    name = url.removeprefix(bucket.url + "/") or bucket.url
    return _finding("damage", name, "a valid object", str(error).removeprefix(f"{url}: "))


def _check_manifests(bucket: Bucket, state: State) -> Iterator[Finding]:
    """The manifests before those that were read already."""
    numbers = manifest_numbers(bucket)
    newest = state.newest.number
    for number in range(numbers[0], newest + 1):
        if number not in range(newest // FULL_EVERY * FULL_EVERY, newest + 1):
            try:
                if read_manifest(bucket, number) is None and manifest_numbers(bucket)[0] < number:
                    yield _finding(
                        *("damage", manifest_name(number)),
                        *("a manifest, because there is an earlier one", "none"),
                    )
            except RemoteError as error:
                if error.transient:
                    raise
                yield _damage(bucket, error)


def _check_packs(bucket: Bucket, state: State) -> Iterator[tuple[Finding | None, int]]:
    try:
        schema = read_schema(bucket, state)
    except RemoteError as error:
        if error.transient:
            raise
        yield _damage(bucket, error), 0
        return
    place: tuple[int, int] | None = None  # where the pack before ends: row, position
    for pack in state.packs:
        try:
            (_, data), *_ = download(bucket, [pack])
            facts = _verify_pack(data, schema, bucket.url_of(pack.name))
        except MissingPackError:
            if pack.name not in read_on(bucket, state).live():
                place = None  # it was replaced or dropped meanwhile
                continue
            yield _finding("damage", pack.name, "a live pack", "no object"), 0
            place = None
            continue
        except (RemoteError, CorruptStoreError, VersionError, ValueError) as error:
            if isinstance(error, RemoteError) and error.transient:
                raise
            yield _finding("damage", pack.name, "a valid pack", _without_url(error)), pack.bytes
            place = None
            continue
        yield _compare(pack, facts, place), pack.bytes
        place = facts[2][1], facts[2][2]
    if place is not None and place != state.end[1:]:
        name = state.newest.name
        yield _finding("damage", name, f"its packs to end at {place}", str(tuple(state.end[1:]))), 0


def _without_url(error: Exception) -> str:
    with suppress(ValueError):
        return str(error)[str(error).index(".pack: ") + 7 :]
    return str(error)


def _compare(pack: Pack, facts: Any, place: tuple[int, int] | None) -> Finding | None:
    """Whether a pack is the one that the manifest lists, and continues the one before."""
    _, begin, end, checksum, session = facts
    if (begin[0], end[0]) != (pack.first, pack.end):
        expected, found = f"records {pack.first} to {pack.end}", f"{begin[0]} to {end[0]}"
    elif (checksum, session) != (pack.checksum, pack.session):
        expected, found = "the last record of its manifest", "another one"
    elif place is not None and (begin[2] != place[1] or begin[1] not in {place[0], place[0] - 1}):
        expected, found = f"to begin at {place} (row, position)", str((begin[1], begin[2]))
    else:
        return None
    return _finding("damage", pack.name, expected, found)


def _check_objects(bucket: Bucket, state: State) -> Iterator[Finding]:
    """Packs that no manifest lists as live."""
    live = state.live()
    waiting = {pack.name for pack in state.retired}
    for name in bucket.list(PACKS):
        if name in live:
            continue
        text = "one that was replaced or dropped; a shipper deletes it"
        if name not in waiting:
            text = "one of no manifest; a shipper deletes it"
        if pack_range(name) is None:
            text = "an object that is no pack; nobody uses it"
        yield _finding("notice", name, "a live pack", text)
