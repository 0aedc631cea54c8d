"""Recognition of formats by the content of a path. Cheap, and the standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stream_store.group import is_group

from .file_reading import HDF5_SUFFIXES, files_with

_HDF5 = b"\x89HDF\r\n\x1a\n"
_MCAP = b"\x89MCAP0\r\n"


def is_store_group(path: Path) -> bool:
    """A group of stores."""
    return path.is_dir() and bool(is_group(path))


def is_lerobot(path: Path) -> bool:
    """A LeRobotDataset of any version; the reader refuses others than v3."""
    try:
        info = json.loads((path / "meta" / "info.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and "codebase_version" in info


def is_minari(path: Path) -> bool:
    """A Minari data set, or its folder `data`."""
    return any(
        (folder / "main_data.hdf5").is_file() or (folder / "metadata.json").is_file()
        for folder in (path / "data", path)
    )


def is_mcap(path: Path) -> bool:
    """A file with the magic bytes of MCAP, also one whose recorder was killed; or their directory.

    Such a directory is a bag of ROS 2.
    """
    return any(_begins(file, _MCAP) for file in _files(path, (".mcap",)))


def is_hdf5(path: Path) -> bool:
    """A file with the signature of HDF5, or a directory of such files."""
    return any(map(_is_hdf5_file, _files(path, HDF5_SUFFIXES)))


def _is_hdf5_file(path: Path) -> bool:
    """The signature may follow a user block of 512, 1024, … bytes."""
    size = path.stat().st_size
    offset = 0
    while offset < size:
        if _begins(path, _HDF5, offset):
            return True
        offset = 512 if offset == 0 else offset * 2
    return False


def is_zarr(path: Path) -> bool:
    """A group or an array of Zarr, version 2 or 3, in a directory or a zip file of that name."""
    if path.is_file():
        return path.name.endswith(".zarr.zip")
    return any((path / name).is_file() for name in (".zgroup", ".zarray", "zarr.json"))


def is_parquet(path: Path) -> bool:
    """A Parquet file."""
    return _begins(path, b"PAR1")


def is_arrow(path: Path) -> bool:
    """An Arrow IPC file, or a stream in a file of that suffix."""
    return _begins(path, b"ARROW1") or (
        path.suffix == ".arrows" and _begins(path, b"\xff\xff\xff\xff")
    )


def _files(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The file, or those of a directory that have one of the suffixes."""
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from files_with(path, suffixes)


def _begins(path: Path, magic: bytes, offset: int = 0) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(len(magic)) == magic
    except OSError:
        return False
