"""Stores that change while they are shipped, and remote stores that are shipped again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import stream_store
from remote_helpers import Remote, assert_same, content, memory
from stream_store import RemoteError, StreamStore, verify_remote

X = {"x": "int64", "text": "string"}


@pytest.fixture
def source(tmp_path: Path) -> StreamStore:
    return StreamStore(tmp_path / "source", fields=X)


def extend(store: StreamStore, first: int, count: int) -> None:
    numbers = range(first, first + count)
    store.extend({"x": list(numbers), "text": [f"row {number}" for number in numbers]})


# --- changes during a round ---


def once(change: Callable[[], object]) -> Callable[[int, int], None]:
    """A progress callback that changes something once, in the middle of a round."""
    calls = []

    def progress(done: int, total: int) -> None:  # noqa: ARG001
        if not calls:
            change()
        calls.append(done)

    return progress


@pytest.mark.parametrize("kept", [0, 1, 250, 999])
def test_a_store_that_is_truncated_during_a_round_is_shipped(
    source: StreamStore, tmp_path: Path, kept: int
) -> None:
    remote = memory()
    shipper = remote.shipper(source, pack_bytes=4000)
    extend(source, 0, 1000)
    shipper.ship_now(once(lambda: source.truncate(kept)))
    extend(source, 5000, 10)
    shipper.ship_now()
    remote.mirror(tmp_path / "replica").pull()
    assert_same(tmp_path / "source", tmp_path / "replica")
    with StreamStore(tmp_path / "replica", "r") as replica:
        expected = [*range(kept), *range(5000, 5010)]
        assert replica["x"][:].tolist() == expected
    source.close()


def test_rows_that_are_dropped_during_a_round_are_left_out(tmp_path: Path) -> None:
    remote = memory()
    with StreamStore(tmp_path / "source", fields=X, chunk_bytes=1 << 20) as source:
        shipper = remote.shipper(source, pack_bytes=4000)
        extend(source, 0, 1000)
        shipper.ship_now(once(lambda: source.drop_before(800)))
        shipper.ship_now()
        remote.mirror(tmp_path / "replica").pull()
    assert_same(tmp_path / "source", tmp_path / "replica")


def test_shipping_in_the_background_survives_truncation(
    source: StreamStore, tmp_path: Path
) -> None:
    remote = memory()
    with remote.shipper(source, every=0.01, pack_bytes=400) as shipper:
        for take in range(200):
            extend(source, 100 * take, 30)
            source.truncate(source.num_rows - 10)
        assert shipper.error is None
    remote.mirror(tmp_path / "replica").pull()
    assert_same(tmp_path / "source", tmp_path / "replica")
    source.close()


# --- a remote store that begins again ---


@pytest.mark.parametrize("kept", [0, 30, 50, 99])
@pytest.mark.parametrize("rounds", [0, 1, 3, 130])
@pytest.mark.parametrize("same_mirror", [False, True])
def test_a_mirror_notices_that_the_remote_store_was_shipped_again(
    source: StreamStore, tmp_path: Path, kept: int, rounds: int, same_mirror: bool
) -> None:
    url = f"file://{tmp_path / 'remote'}"
    shipper = stream_store.Shipper(source, url)
    for first in range(0, 100, 25):
        extend(source, first, 25)
        shipper.ship_now()
    mirror = stream_store.Mirror(url, tmp_path / "replica")
    mirror.pull()
    shipper.close()
    shutil.rmtree(tmp_path / "remote")
    source.truncate(kept)
    extend(source, 1000, 100 - kept)
    shipper = stream_store.Shipper(source, url)
    shipper.ship_now()
    for number in range(rounds):
        extend(source, 2000 + number, 1)
        shipper.ship_now()
    if not same_mirror:
        mirror = stream_store.Mirror(url, tmp_path / "replica")
    report = mirror.pull()
    assert report.rows == 100 + rounds
    assert report.records == 100 + rounds
    assert_same(tmp_path / "source", tmp_path / "replica")
    shipper.close()
    source.close()


def test_a_replica_without_its_note_is_downloaded_again(
    source: StreamStore, tmp_path: Path
) -> None:
    remote = memory()
    shipper = remote.shipper(source)
    for first in range(0, 100, 25):
        extend(source, first, 25)
        shipper.ship_now()
    remote.mirror(tmp_path / "replica").pull()
    (tmp_path / "replica" / "mirror").unlink()
    extend(source, 100, 5)
    shipper.ship_now()
    assert remote.mirror(tmp_path / "replica").pull().records == 105
    assert_same(tmp_path / "source", tmp_path / "replica")
    source.close()


def test_manifests_that_an_earlier_history_left_are_an_error(
    source: StreamStore, tmp_path: Path
) -> None:
    remote = Remote("file", f"file://{tmp_path / 'remote'}")
    shipper = remote.shipper(source)
    for first in range(3):
        extend(source, first, 1)
        shipper.ship_now()
    shipper.close()
    left = (tmp_path / "remote" / remote.names("manifests")[2]).read_bytes()
    shutil.rmtree(tmp_path / "remote")
    shipper = remote.shipper(source)
    shipper.ship_now()
    extend(source, 3, 1)
    shipper.ship_now()
    (tmp_path / "remote" / "manifests" / f"{2:020}.json").write_bytes(left)
    with pytest.raises(RemoteError, match="deleted and shipped again"):
        remote.mirror(tmp_path / "replica").pull()
    source.close()


def test_a_source_that_was_restored_from_a_backup_is_mirrored_again(tmp_path: Path) -> None:
    remote = Remote("file", f"file://{tmp_path / 'remote'}")
    path, backup = tmp_path / "source", tmp_path / "backup"
    with StreamStore(path, fields=X) as source:
        extend(source, 0, 50)
    shutil.copytree(path, backup)
    with StreamStore(path) as source:
        extend(source, 50, 50)
        remote.shipper(source).ship_now()
    remote.mirror(tmp_path / "replica").pull()
    shutil.rmtree(path)
    shutil.rmtree(tmp_path / "remote")
    shutil.copytree(backup, path)
    with StreamStore(path) as source:
        extend(source, 5000, 50)
        remote.shipper(source).ship_now()
    remote.mirror(tmp_path / "replica").pull()
    assert_same(path, tmp_path / "replica")


# --- gaps ---


def test_rows_that_were_replaced_and_dropped_since_are_a_gap(tmp_path: Path) -> None:
    remote = memory()
    with StreamStore(tmp_path / "source", fields={"text": "string"}) as source:
        shipper = remote.shipper(source)
        source.extend({"text": ["a"] * 100})
        shipper.ship_now()
        remote.mirror(tmp_path / "replica").pull()
        source.truncate(40)
        source.extend({"text": ["longer text"] * 40})
        source.drop_before(60)
        shipper.ship_now()
        for _ in range(2):
            with pytest.raises(RemoteError, match=r"a gap: .* mirror it to a new path"):
                remote.mirror(tmp_path / "replica").pull()
        remote.mirror(tmp_path / "other").pull()
        with StreamStore(tmp_path / "other", "r") as other:
            assert content(other) == content(source)


# --- objects that are damaged, and objects of others ---


@pytest.mark.parametrize("damage", ["a bit", "the end", "all"])
def test_a_damaged_pack_that_was_replaced_does_not_matter(tmp_path: Path, damage: str) -> None:
    remote = Remote("file", f"file://{tmp_path / 'remote'}")
    with StreamStore(tmp_path / "source", fields=X) as source:
        shipper = remote.shipper(source)
        for first in range(0, 50, 10):
            extend(source, first, 10)
            shipper.ship_now()
        third = tmp_path / "remote" / remote.names("packs")[2]
        data = bytearray(third.read_bytes())
        data[400] ^= 4
        if damage == "all":
            third.unlink()
        else:
            third.write_bytes(data if damage == "a bit" else third.read_bytes()[:-8])
        with pytest.raises(RemoteError, match=third.name):
            remote.mirror(tmp_path / "replica").pull()
        with StreamStore(tmp_path / "replica", "r") as replica:
            assert replica.num_rows == 20
        for first in range(50, 200, 10):
            extend(source, first, 10)
            shipper.ship_now()
        shipper.close()  # waits for the merge
        with remote.shipper(source):
            extend(source, 200, 10)
        remote.mirror(tmp_path / "replica").pull()
    assert_same(tmp_path / "source", tmp_path / "replica")


def test_a_shipper_deletes_only_packs(tmp_path: Path) -> None:
    remote = Remote("file", f"file://{tmp_path / 'remote'}")
    other = tmp_path / "remote" / "packs" / "notes" / "mine.txt"
    with StreamStore(tmp_path / "source", fields=X) as source:
        extend(source, 0, 10)
        remote.shipper(source).ship_now()
        other.parent.mkdir()
        other.write_text("mine")
        (tmp_path / "remote" / "packs" / "list.txt").write_text("mine")
        for first in range(10, 30, 10):
            extend(source, first, 10)
            remote.shipper(source, grace=0).ship_now()
    assert other.read_text() == "mine"
    notices = [finding.file for finding in verify_remote(remote.place).findings]
    assert sorted(notices) == ["packs/list.txt", "packs/notes/mine.txt"]


def test_a_shipper_that_has_shipped_nothing_has_written_nothing(tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'a' / 'remote'}"
    shipper = stream_store.Shipper(tmp_path / "nothing", url)
    with pytest.raises(FileNotFoundError, match=r"nothing: shipping it: there is no store"):
        shipper.ship_now()
    assert not (tmp_path / "a").exists()
    with StreamStore(tmp_path / "nothing", fields=X) as source:
        append_row = source.extend({"x": [1], "text": ["a"]})
        assert append_row == 1
        source.sync()
        assert shipper.ship_now().rows == 1
    shipper.close()


def test_options_that_are_no_dict_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"storage_options must be a dict .* not 3"):
        stream_store.Mirror(f"file://{tmp_path}", tmp_path / "m", storage_options=3)  # type: ignore[arg-type]
