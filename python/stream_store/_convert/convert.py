"""convert: from any format to any other, with a store in between where neither side is one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream_store._arguments import path_text
from stream_store._outside import require_outside
from stream_store._types import AnyPath, Progress
from stream_store.store import StreamStore

from .journal import Journal
from .registry import FORMATS, STORE, Format, detect, find, format_of_suffix, load, suffixes
from .report import ConversionReport
from .stores import is_store


def convert(
    src: AnyPath,
    dst: AnyPath,
    *,
    source_format: str | None = None,
    to: str | None = None,
    resume: bool = False,
    check: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ConversionReport:
    """Convert between a store and another format, or between two other formats.

    The format of `src` is recognised by its content. The command is `stream-store convert`.

    Args:
        src: a store, or data in another format.
        dst: a new path. After an error there is nothing. After a kill, `resume=True` continues an
            import into a store.
        source_format: name of the format of `src`; None recognises it. One of "store", "lerobot",
            "minari", "mcap", "hdf5", "zarr", "parquet" and "arrow".
        to: name of the format of `dst`. By default a suffix such as ".mcap" or ".parquet" decides,
            and any other name is that of a store.
        resume: continue an import that was interrupted; start one if there is nothing at `dst`.
        check: read the source again afterwards, and compare every value.
        progress: called with (rows done, rows in all; 0 if unknown); an exception ends the call.
        options: arguments of the methods of `StreamStore`, such as `map` and `episodes` of
            `from_lerobot`, or `fps` of `to_lerobot`.

    Returns:
        A report. Between two other formats, it is that of the export, and also has what the import
        left out or changed.

    Cost:
        Memory does not grow with the data. Between two other formats, the rows are stored in a
        temporary store.

    Raises:
        FileNotFoundError: there is nothing at `src`, or no directory for the file at `dst`.
        FileExistsError: there is something at `dst`; a store is accepted if it has no rows.
        ImportError: an optional package is missing; the message names the extra.
        ValueError: a format is not known or cannot be read or written, an argument is missing or
            does not fit it, `dst` is inside `src`, or a value cannot be converted.
        CheckError: with `check`, a value differs.

    Examples:
        >>> import stream_store
        >>> with StreamStore("run", fields={"episode": "int64", "reward": "float32"}) as store:
        ...     rows = store.extend({"episode": [0, 0, 1], "reward": [0.5, 1.0, 2.0]})
        >>> print(stream_store.convert("run", "rows.parquet"))
        parquet: 3 rows in 1 episode, 2 fields: episode, reward
        >>> stream_store.convert("rows.parquet", "copy", check=True).checked_values
        6
    """
    source, target = Path(path_text(src)), Path(path_text(dst))
    given = detect(source) if source_format is None else find(source_format)
    wanted = find(to) if to is not None else format_of_suffix(target) or STORE
    if source_format is not None and not source.exists():
        detect(source)  # raises
    if given is STORE and wanted is STORE:
        raise ValueError(
            f"{source}: convert: both are stores: {target} has none of the suffixes "
            f"{', '.join(suffixes())}, and to= (--to) names no other format. To copy a store, use "
            "checkpoint(), and for a part of it extend() with read_rows(); the command export "
            "writes CSV"
        )
    _refuse_inside(source, target)
    common: dict[str, Any] = {"check": check, "progress": progress}
    if wanted is STORE:
        return _into_store(source, target, given, {**common, "resume": resume}, options)
    if resume:
        raise ValueError(f"{target}: convert: resume is for imports into a store")
    if given is STORE:
        with StreamStore(source, "r") as store:
            return _call(wanted, "exporter", store, target, {**common, **options})
    reading, writing = _split(given, options)
    with StreamStore() as store:
        first = _call(given, "importer", store, source, {**common, **reading, **_START})
        second = _call(wanted, "exporter", store, target, {**common, **writing})
    return replace(
        second,
        left_out=_joined(first.left_out, second.left_out),
        changes=_joined(first.changes, second.changes),
    )


_COMMON = ("append", "resume", "check", "progress")
_START = {"append": False, "resume": False}


def _refuse_inside(source: Path, target: Path) -> None:
    """Refuse a destination inside the source, which would become a part of what is read."""
    parent, inner = os.path.realpath(source), os.path.realpath(target)
    if inner.startswith(parent.rstrip(os.sep) + os.sep):
        raise ValueError(
            f"{target}: convert: expected a path outside of the source {source}, but it is inside"
        )


def _joined(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """The notes of both steps by name; a name that both have gets both texts."""
    both = {name: f"{first[name]}; {second[name]}" for name in first.keys() & second.keys()}
    return {**first, **second, **both}


def _into_store(
    source: Path, target: Path, given: Format, common: dict[str, Any], options: dict[str, Any]
) -> ConversionReport:
    existed = target.exists()
    if not is_store(target):
        require_outside(target, "convert")
    with StreamStore(target) as store:
        try:
            return _call(given, "importer", store, source, {"append": False, **common, **options})
        except (KeyboardInterrupt, SystemExit):
            raise  # the journal has the place to continue at
        except BaseException:
            store.close()
            if not existed and not Journal.path_of(target).exists():
                shutil.rmtree(target, ignore_errors=True)
            raise


def _call(
    which: Format, side: str, store: StreamStore, path: Path, arguments: dict[str, Any]
) -> ConversionReport:
    reference = getattr(which, side)
    if reference is None:
        verb = "written" if side == "exporter" else "read"
        others = ", ".join(one.name for one in FORMATS if getattr(one, side) is not None)
        raise ValueError(f"{path}: convert: {which.name} cannot be {verb}, only store, {others}")
    function = load(reference)
    allowed = _parameters(function)
    wrong = [name for name in arguments if name not in allowed]
    if wrong:
        raise ValueError(
            f"{path}: convert: {which.name} has no option {', '.join(map(repr, wrong))}; it has "
            f"{', '.join(sorted(allowed - set(_COMMON))) or 'none'}"
        )
    missing = allowed - (function.__kwdefaults__ or {}).keys() - arguments.keys()
    if missing:
        raise ValueError(
            f"{path}: convert: {which.name} needs the option {', '.join(sorted(missing))}"
        )
    result: ConversionReport = function(store, path, **arguments)
    return result


def _split(given: Format, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the import, and those of the export; one that both have is the import's."""
    if given.importer is None:
        raise ValueError(f"convert: {given.name} cannot be read")
    reading = _parameters(load(given.importer))
    first = {name: value for name, value in options.items() if name in reading}
    return first, {name: value for name, value in options.items() if name not in reading}


def _parameters(function: Any) -> set[str]:
    """Names of the keyword arguments of an importer or exporter."""
    code = function.__code__
    return set(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
