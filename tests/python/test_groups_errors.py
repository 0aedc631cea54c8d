"""Groups with stores that cannot be read: they are left out by name, or are errors."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from group_model import LENGTH, check, new_group, starts_of, wait_for, write
from store_helpers import data_file
from stream_store import StoreGroup, StreamStore, WindowSampler
from stream_store.errors import CorruptStoreError, VersionError


def replace(file: Path, content: bytes) -> None:
    """Write another file in place of this one, which processes may have mapped."""
    file.with_suffix(".new").write_bytes(content)
    file.with_suffix(".new").rename(file)


def shorten(place: Path, name: str) -> None:
    replace(place / name, b"short")


def set_version(place: Path) -> None:
    control = bytearray((place / "control").read_bytes())
    control[8] = 99
    replace(place / "control", bytes(control))


def make_other(place: Path) -> None:
    shutil.rmtree(place)
    StreamStore(place, fields={"who": "int64", "other": "int8"}).close()


def copy_first(place: Path) -> None:
    shutil.rmtree(place)
    shutil.copytree(place.parent / "writer000", place)


def sampler_of(group: StoreGroup) -> WindowSampler:
    return WindowSampler(group, LENGTH, unit="row", batch_size=64, segment_by="done")


DAMAGE: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "control is short": (lambda p: shorten(p, "control"), CorruptStoreError, "control"),
    "no control": (lambda p: (p / "control").unlink(), CorruptStoreError, "no file 'control'"),
    "schema is short": (lambda p: shorten(p, "schema"), CorruptStoreError, "schema"),
    "no records": (lambda p: data_file(p, "records").unlink(), CorruptStoreError, "records"),
    "another version": (set_version, VersionError, "99"),
    "other fields": (make_other, ValueError, "other fields than the group: type id 1: .*'n'"),
    "a copy": (copy_first, ValueError, "a copy of writer000: both have id"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_store_that_cannot_be_read_is_left_out_or_is_an_error(tmp_path: Path, kind: str) -> None:
    damage, error, text = DAMAGE[kind]
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 30)
    place = tmp_path / "group" / "writer001"
    damage(place)
    with pytest.warns(RuntimeWarning, match=f"leaves out store writer001: .*{text}"):
        group.refresh()
    group.refresh()  # warns once
    assert list(group) == ["writer000", "writer002"]
    assert list(group.skipped) == ["writer001"]
    assert re.search(text, group.skipped["writer001"])
    sampler = sampler_of(group)
    with pytest.warns(RuntimeWarning, match="leaves out store writer001"):
        batch = sampler.sample()
    check(batch)
    assert set(np.unique(batch["who"])) == {0, 2}
    with pytest.raises(error, match=f"store writer001: .*{text}"):
        StoreGroup(tmp_path / "group", on_error="raise")
    shutil.rmtree(place)
    group.refresh()
    assert group.skipped == {}
    assert len(StoreGroup(tmp_path / "group", on_error="raise")) == 2


@pytest.mark.parametrize(
    "kind", ["control is short", "no control", "another version", "other fields"]
)
def test_a_store_that_is_damaged_while_it_is_sampled(tmp_path: Path, kind: str) -> None:
    damage, error, text = DAMAGE[kind]
    group = new_group(tmp_path)
    for who in range(3):
        write(group, who, 30)
    lenient, strict = (
        sampler_of(StoreGroup(tmp_path / "group", on_error=choice))  # type: ignore[arg-type]
        for choice in ("skip", "raise")
    )
    assert lenient.num_starts == strict.num_starts == 3 * starts_of(30)
    place = tmp_path / "group" / "writer001"
    damage(place)
    with pytest.warns(RuntimeWarning, match=f"leaves out store writer001: .*{text}"):
        wait_for(lambda: lenient.num_starts == 2 * starts_of(30))
    batch = lenient.sample()
    check(batch)
    assert set(np.unique(batch["who"])) == {0, 2}

    def outcome() -> str:
        try:
            strict.sample()
        except error as found:
            return str(found)
        return ""

    wait_for(lambda: re.search(f"store writer001: .*{text}", outcome()) is not None)
    shutil.rmtree(place)  # both continue
    wait_for(lambda: outcome() == "")
    assert strict.num_starts == 2 * starts_of(30)


def test_damage_that_leaves_the_directory_of_the_group_as_it_is_is_found(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    for who in range(2):
        write(group, who, 30)
    place = tmp_path / "group"
    os.utime(place, (1, 1))  # it has not changed for a long time
    sampler = sampler_of(group)
    assert sampler.num_starts == 2 * starts_of(30)
    DAMAGE["another version"][0](place / "writer001")
    os.utime(place, (1, 1))
    with pytest.warns(RuntimeWarning, match="leaves out store writer001"):
        wait_for(lambda: sampler.num_starts == starts_of(30))


def test_other_entries_are_no_stores(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    write(group, 0, 10)
    place = tmp_path / "group"
    (place / "notes.txt").write_text("x")
    (place / "empty").mkdir()
    (place / "folder").mkdir()
    (place / "folder" / "data.bin").write_bytes(b"x")
    (place / "link").symlink_to(tmp_path / "nowhere")
    (place / ".hidden").mkdir()
    (place / ".hidden" / "control").write_bytes(b"x")
    group.refresh()
    assert (list(group), group.skipped) == (["writer000"], {})


def test_a_link_to_a_store_is_a_store(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    other = StoreGroup(tmp_path / "other", fields=group._holder.features)
    write(other, 7, 10)
    (tmp_path / "group" / "linked").symlink_to(tmp_path / "other" / "writer007")
    group.refresh()
    assert group["linked"].num_rows == 10


def test_a_group_whose_directory_is_gone_is_an_error_that_names_it(tmp_path: Path) -> None:
    group = new_group(tmp_path)
    write(group, 0, 30)
    sampler = WindowSampler(group, LENGTH, unit="row", segment_by="done")
    shutil.rmtree(tmp_path / "group")
    with pytest.raises(FileNotFoundError, match="the directory of the group is gone"):
        group.refresh()

    def fails() -> bool:
        try:
            sampler.sample()
        except FileNotFoundError:
            return True
        return False

    wait_for(fails)


def test_a_limit_of_the_process_is_no_damage_of_a_store(tmp_path: Path) -> None:
    from model_process import run

    group = new_group(tmp_path)
    for who in range(8):
        write(group, who, 10)
    run(
        """
import resource
from stream_store import StoreGroup
StoreGroup(sys.argv[1] + "/group")
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for limit in range(3, 200):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        group = StoreGroup(sys.argv[1] + "/group")
        break
    except OSError as error:
        assert error.errno == 24, error
assert len(group) == 8 and group.skipped == {}, group
""",
        tmp_path,
    )
