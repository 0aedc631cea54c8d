"""Reads the manifests of a remote store in order."""

from __future__ import annotations

from stream_store._core import crc32c
from stream_store.errors import RemoteError

from .bucket import Bucket
from .manifest import Manifest, State, decode, follow
from .names import FULL_EVERY, MANIFESTS, manifest_name, manifest_number, schema_name


class OtherHistoryError(RemoteError):
    """The remote store was deleted and shipped again while its manifests were read."""


def read_manifest(bucket: Bucket, number: int) -> Manifest | None:
    """The manifest of a number; None if there is none."""
    name = manifest_name(number)
    data = bucket.get(name)
    if data is None:
        return None
    try:
        return decode(data, number)
    except ValueError as error:
        raise bucket.error(name, str(error)) from None


def manifest_numbers(bucket: Bucket, after: int | None = None) -> list[int]:
    """The numbers of the manifests that exist, in order: all, or those above `after`."""
    names = bucket.list(MANIFESTS, None if after is None else manifest_name(after))
    return [number for name in names if (number := manifest_number(name)) is not None]


def read_on(bucket: Bucket, state: State) -> State:
    """The state after all manifests that follow.

    Raises:
        OtherHistoryError: a manifest is of another history.
        RemoteError: a manifest is damaged.
    """
    while True:
        manifest = read_manifest(bucket, state.newest.number + 1)
        if manifest is None:
            return state
        state = _follow(bucket, state, manifest)


def read_state(bucket: Bucket) -> State | None:
    """The state of a remote store, from its newest full manifest on; None if it is empty.

    Raises:
        RemoteError: a manifest is damaged, or missing while there are later ones.
    """
    full = -1
    while numbers := manifest_numbers(bucket):
        before, full = full, numbers[-1] // FULL_EVERY * FULL_EVERY
        first = read_manifest(bucket, full)
        state = None if first is None else read_on(bucket, _follow(bucket, None, first))
        if state is not None and state.newest.number >= numbers[-1]:
            return state
        if full == before:  # else it may have been deleted while newer ones were written
            missing = full if state is None else state.newest.number + 1
            raise bucket.error(
                manifest_name(missing),
                f"expected a manifest, because later ones exist, such as {numbers[-1]}: restore "
                "it, or ship to another URL",
            )
    return None


def _follow(bucket: Bucket, state: State | None, manifest: Manifest) -> State:
    if state is not None and manifest.history != state.newest.history:
        url = bucket.url_of(manifest.name)
        raise OtherHistoryError(
            f"{url}: it is of the history {manifest.history}, but those before of "
            f"{state.newest.history}: the remote store was deleted and shipped again",
            url,
        )
    try:
        return follow(state, manifest)
    except ValueError as error:
        raise bucket.error(manifest.name, str(error)) from None


def read_schema(bucket: Bucket, state: State) -> memoryview:
    """The schema of a state."""
    name = state.newest.schema
    data = bucket.get(name)
    if data is None:
        raise bucket.error(
            name, f"expected a schema, because {bucket.url_of(state.newest.name)} names it"
        )
    if name != schema_name(bytes(data), crc32c(data)):
        raise bucket.error(name, "its content is not that of its name")
    return data
