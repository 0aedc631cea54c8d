"""The formats that can be converted, and their detection by content.

To add a format, add a `Format` here. Its functions are named as "module:function" inside this
package and imported on use, because they need optional packages. The signatures are

    detect(path: Path) -> bool                      # cheap; the standard library only
    importer(store, src, *, append, resume, check, progress, **options) -> ConversionReport
    exporter(store, dst, *, check, progress, **options) -> ConversionReport

The options are those of the methods of `StreamStore`, such as `map`, `episodes` or `fps`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as `--from` and `--to` take it.
        title: for messages.
        detect: "module:function", whether a path holds this format.
        importer: "module:function", or None if it cannot be read.
        exporter: "module:function", or None if it cannot be written.
        suffixes: suffixes of a destination that choose this format, such as ".mcap"; also of one
            that cannot be written, so that no store gets such a name by mistake.
    """

    name: str
    title: str
    detect: str
    importer: str | None = None
    exporter: str | None = None
    suffixes: tuple[str, ...] = ()

    def recognises(self, path: Path) -> bool:
        """Whether a path holds this format."""
        return bool(load(self.detect)(path))


STORE = Format("store", "a store of this package", "stores:is_store")

#: In the order in which they are tried.
FORMATS: tuple[Format, ...] = (
    STORE,
    Format(
        "lerobot",
        "a LeRobotDataset v3.0 (meta/info.json)",
        "detection:is_lerobot",
        "lerobot.importer:from_lerobot",
        "lerobot.exporter:to_lerobot",
    ),
    Format(
        "minari",
        "a Minari data set (data/metadata.json or data/main_data.hdf5)",
        "detection:is_minari",
        "minari:from_minari",
        "minari:to_minari",
    ),
    Format(
        "mcap",
        "an MCAP file or a directory of them",
        "detection:is_mcap",
        "mcap:from_mcap",
        "mcap:to_mcap",
        (".mcap",),
    ),
    Format(
        "hdf5",
        "an HDF5 file or a directory of them",
        "detection:is_hdf5",
        "hdf5:from_hdf5",
        suffixes=(".hdf5", ".h5"),
    ),
    Format(
        "zarr",
        "a Zarr group",
        "detection:is_zarr",
        "zarr:from_zarr",
        suffixes=(".zarr",),
    ),
    Format(
        "parquet",
        "a Parquet file",
        "detection:is_parquet",
        "arrow_files:from_parquet",
        "arrow_files:to_parquet",
        (".parquet", ".pq"),
    ),
    Format(
        "arrow",
        "an Arrow IPC file",
        "detection:is_arrow",
        "arrow_files:from_arrow_file",
        "arrow_files:to_arrow_file",
        (".arrow", ".feather", ".arrows"),
    ),
)


def load(reference: str) -> Callable[..., Any]:
    """The function that "module:function" names, inside this package."""
    module, _, function = reference.partition(":")
    found: Callable[..., Any] = getattr(
        importlib.import_module(f"stream_store._convert.{module}"), function
    )
    return found


def find(name: str) -> Format:
    """The format of a name.

    Raises:
        ValueError: there is none; the message lists those that exist.
    """
    for one in FORMATS:
        if one.name == name:
            return one
    raise ValueError(f"format {name!r}: expected one of {', '.join(one.name for one in FORMATS)}")


def detect(path: Path) -> Format:
    """The format of an existing path, by its content.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: it is in none of the formats; the message lists them.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: convert: there is no such file or directory")
    for one in FORMATS:
        if one.recognises(path):
            return one
    titles = ", ".join(one.title for one in FORMATS)
    raise ValueError(f"{path}: convert: expected {titles}; found none of them")


def format_of_suffix(path: Path) -> Format | None:
    """The format that the suffix of a destination names."""
    return next((one for one in FORMATS if path.suffix.lower() in one.suffixes), None)


def suffixes() -> list[str]:
    """The suffixes of destinations that name a format that can be written."""
    return [suffix for one in FORMATS if one.exporter is not None for suffix in one.suffixes]
