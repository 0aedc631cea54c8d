"""The formats that can be converted, and their detection by content.

To add a format, add a `Format` here. Its functions are named as "module:function" inside this
package and imported on use. The signatures are

    detect(path: Path) -> bool                      # cheap; the standard library only
    import(store, src, *, map=None, append=False, resume=False, check=False, progress=None,
           **options) -> ConversionReport
    export(store, dst, *, check=False, progress=None, **options) -> ConversionReport

The options are those of the methods of `StreamStore`, such as `episodes` or `fps`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: as `--from` and `--to` take it.
        extra: the extra of this package that installs what it needs.
        detect: "module:function", whether a path holds this format.
        importer: "module:function", or None if it cannot be read.
        exporter: "module:function", or None if it cannot be written.
        suffixes: suffixes of a destination that choose this format, such as ".mcap".
    """

    name: str
    extra: str
    detect: str
    importer: str | None = None
    exporter: str | None = None
    suffixes: tuple[str, ...] = ()


#: In the order in which they are tried.
FORMATS: tuple[Format, ...] = (
    Format(
        "lerobot",
        "lerobot",
        "detection:is_lerobot",
        "lerobot.importer:from_lerobot",
        "lerobot.exporter:to_lerobot",
    ),
    Format("minari", "minari", "detection:is_minari", "minari:from_minari", "minari:to_minari"),
    Format("mcap", "mcap", "detection:is_mcap", "mcap:from_mcap", "mcap:to_mcap", (".mcap",)),
    Format("hdf5", "hdf5", "detection:is_hdf5", "hdf5:from_hdf5"),
    Format("zarr", "zarr", "detection:is_zarr", "zarr:from_zarr"),
)
