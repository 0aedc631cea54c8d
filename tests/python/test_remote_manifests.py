"""Manifests from anywhere: decoding one ends with a manifest or a ValueError, and a mirror with an
error that names it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_helpers import FIELDS, Remote, append, memory
from stream_store import RemoteError, StreamStore
from stream_store._core import crc32c
from stream_store._remote.fetch import choose_packs
from stream_store._remote.manifest import (
    Begin,
    Cut,
    End,
    Manifest,
    Pack,
    State,
    as_written,
    decode,
    encode,
    follow,
    make_pack,
)
from stream_store._remote.merge import choose_group
from stream_store._remote.names import FULL_EVERY, pack_name

STORE, SHIPPER, HISTORY = "a" * 32, "b" * 32, "1" * 32
SCHEMA = "schemas/0-00000000.schema"


def pack(first: int, end: int, level: int = 0, size: int = 100) -> Pack:
    return make_pack(pack_name(first, end - first, end, SHIPPER), size, level, end, 1)


def manifest(number: int, end: int, **changes: Any) -> Manifest:
    facts = {
        "number": number,
        "history": HISTORY,
        "store": STORE,
        "shipper": SHIPPER,
        "schema": SCHEMA,
        "begin": Begin(0, 0, 0, 0),
        "end": End(end, end, end),
        "time": 0.0,
    }
    return Manifest(**(facts | changes))


def signed(content: Any) -> bytes:
    """The bytes of a manifest with any content and the right checksum."""
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return b"{}"
    if not isinstance(content, dict):
        return text
    return json.dumps(content | {"checksum": crc32c(text)}).encode()


GOOD = json.loads(encode(manifest(0, 9, added=(pack(0, 4), pack(4, 9)), cuts=(Cut(0, 3),))))
GOOD.pop("checksum")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.binary(max_size=200) | JSON.map(signed))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(data, 0)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_of_a_key_is_refused_or_read(key: str, value: Any) -> None:
    data = signed(GOOD | {key: value})
    with suppress(ValueError):
        found = decode(data, 0)
        follow(None, found)
        assert decode(encode(found), 0) == found


@given(st.data())
def test_any_change_of_a_list_is_refused_or_read(data: st.DataObject) -> None:
    content = json.loads(json.dumps(GOOD))
    key = data.draw(st.sampled_from(["added", "cuts", "begin", "end", "retired", "removed"]))
    place = content[key]
    if place and isinstance(place[0], list):
        place = data.draw(st.sampled_from(place))
    if place and data.draw(st.booleans()):
        place[data.draw(st.integers(0, len(place) - 1))] = data.draw(JSON)
    else:
        place.append(data.draw(JSON))
    with suppress(ValueError):
        follow(None, decode(signed(content), 0))


def test_huge_and_deep_manifests_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at most"):
        decode(bytes(65 << 20), 0)
    for text in (b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(ValueError, match="not a manifest"):
            decode(text, 0)


def test_a_mirror_names_the_manifest_that_it_refuses(tmp_path: Path) -> None:
    remote = memory()
    with StreamStore(tmp_path / "source", fields=FIELDS) as source:
        append(source, 10)
        remote.shipper(source).ship_now()
    name = remote.names("manifests")[0]
    good = json.loads(bytes(remote.bucket.get(name) or b""))
    good.pop("checksum")
    wrong: list[dict[str, Any]] = [
        {"format": 2},
        {"number": 1},
        {"store": "x"},
        {"schema": "../secret"},
        {"begin": [20, 20, 90, 90]},
        {"end": [11, 10, 40]},
        {"added": []},
        {"added": [["packs/../../x.pack", 1, 0, 1, 1]]},
        {"added": good["added"] * 2},
        {"time": "now"},
    ]
    for change in wrong:
        refuse(remote, tmp_path / "replica", name, signed(good | change))
    refuse(remote, tmp_path / "replica", name, b"{}")


def refuse(remote: Remote, replica: Path, name: str, data: bytes) -> None:
    remote.bucket.put(name, data)
    with pytest.raises(RemoteError, match=name) as caught:
        remote.mirror(replica).pull()
    assert not caught.value.transient
    assert not replica.exists()
    assert [finding.file for finding in remote.verify().findings] == [name]


# --- states ---


def fold(changes: list[Manifest]) -> State:
    state = None
    for change in changes:
        state = follow(state, as_written(state, change))
    assert state is not None
    return state


def test_a_full_manifest_says_what_all_before_it_say() -> None:
    changes = [manifest(0, 2, added=(pack(0, 2),))]
    for number in range(1, FULL_EVERY + 1):
        end = 2 + 2 * number
        removed: tuple[str, ...] = ()
        added: tuple[Pack, ...] = (pack(end - 2, end),)
        cuts: tuple[Cut, ...] = ()
        if number == 50:
            removed = tuple(p.name for p in (pack(0, 2), pack(2, 4)))
            added = (*added, pack(0, 4, level=1))
        if number == 60:
            removed, cuts = (pack(end - 4, end - 2).name,), (Cut(60, end - 3),)
            added = (pack(end - 4, end - 3), pack(end - 3, end))
        changes.append(manifest(number, end, added=added, removed=removed, cuts=cuts))
    state = fold(changes)
    full = as_written(fold(changes[:-1]), changes[-1])
    assert full.full
    assert not changes[-2].full
    assert follow(None, decode(encode(full), FULL_EVERY)) == state
    assert [p.first for p in state.packs] == sorted(p.first for p in state.packs)
    assert state.cuts == (Cut(60, 119),)
    assert len(state.retired) == 3


def test_later_cuts_hide_those_that_removed_less() -> None:
    def cut(number: int, record: int, end: int) -> Manifest:
        gone = tuple(p.name for p in (pack(i, i + 1) for i in range(record, end)))
        return manifest(number, record, removed=gone, cuts=(Cut(number, record),))

    first = manifest(0, 10, added=tuple(pack(i, i + 1) for i in range(10)))
    state = fold([first, cut(1, 8, 10), cut(2, 5, 8), cut(3, 4, 5)])
    assert state.cuts == (Cut(3, 4),)
    again = manifest(4, 9, added=tuple(pack(i, i + 1, level=2) for i in range(4, 9)))
    state = follow(state, again)
    assert state.cuts == (Cut(3, 4),)
    assert choose_packs(state, 4, set()) == list(again.added)  # none that was cut off


def test_manifests_that_do_not_follow_are_refused() -> None:
    state = fold([manifest(0, 4, added=(pack(0, 4),))])
    for change, problem in (
        (manifest(2, 4), "expected manifest 1"),
        (manifest(1, 4, store="c" * 32), "it is of the store"),
        (manifest(1, 6), "a gap: its packs end at record 4, the store at 6"),
        (manifest(1, 6, added=(pack(5, 6),)), "a gap: expected a pack from record 4 on"),
        (manifest(1, 4, removed=(pack(0, 3).name,)), "which is no live pack"),
        (manifest(1, 4, begin=Begin(5, 5, 5, 5)), "comes after its end"),
    ):
        with pytest.raises(ValueError, match=problem):
            follow(state, change)
    with pytest.raises(ValueError, match="expected a full manifest"):
        follow(None, manifest(1, 4, added=(pack(0, 4),)))


def test_packs_of_one_level_are_merged_in_groups() -> None:
    small = [pack(i, i + 1) for i in range(40)]
    assert choose_group(small[:15], 0, 10_000) == ()
    assert choose_group(small, 0, 10_000) == tuple(small[:16])
    assert choose_group(small, 5, 10_000) == tuple(small[5:21])
    assert choose_group(small, 0, 500) == tuple(small[:5])
    assert choose_group(small, 0, 150) == ()
    large = [pack(0, 50, level=3), *(pack(50 + i, 51 + i, level=1) for i in range(16))]
    assert choose_group(large, 0, 10_000) == tuple(large[1:])
    assert choose_group([*large[:9], pack(99, 100), *large[9:]], 0, 10_000) == ()
