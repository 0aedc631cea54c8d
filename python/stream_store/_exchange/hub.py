"""The Hub, and datasets in local files: load_dataset and save_dataset."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from stream_store import _core

from .arrow import replaces_rows
from .from_dataset import from_dataset
from .optional import require
from .to_dataset import check_split, to_dataset

_Result = TypeVar("_Result")


def load_dataset(
    core: _core.Store,
    name: str,
    split: str,
    sort_by: str | Sequence[str] | None,
    append: bool,
    config_name: str | None,
    columns: Sequence[str] | None,
    step_column: str | None,
    arguments: dict[str, Any],
) -> int:
    """Import one split of a dataset on the Hub, in a builder's files, or saved to disk."""
    _check_names(name, split)
    core._require_writable("load_dataset")
    replaces_rows(core, append)
    datasets = require("datasets", "load_dataset")
    streaming = bool(arguments.get("streaming"))
    if streaming and sort_by is not None:
        raise ValueError(
            "sort_by needs the whole dataset, so it cannot be used with streaming=True"
        )
    files = arguments.get("data_files")
    shown = repr(name) if files is None else f"{name!r} with data_files={files!r}"
    ds = _without_token(
        lambda: _explained(shown, lambda: _load(datasets, name, config_name, split, arguments)),
        arguments,
    )
    order = None if sort_by is None else _order(ds, sort_by)
    return from_dataset(core, ds, append, columns, step_column, order)


def save_dataset(
    core: _core.Store,
    name: str,
    split: str,
    config_name: str | None,
    step_column: str | None,
    arguments: dict[str, Any],
) -> Any:
    """Push all rows to the Hub as one split; returns the result of `push_to_hub`."""
    _check_names(name, split)
    check_split(split)
    shards, processes = arguments.get("num_shards"), arguments.get("num_proc")
    if shards is not None and processes is not None and processes > shards:
        # Processes without a shard have nothing to do, and some versions lost rows with them
        # (https://github.com/huggingface/datasets/pull/8044).
        arguments = {**arguments, "num_proc": shards}
    ds = to_dataset(core, split, step_column)
    if config_name is not None:
        arguments = {**arguments, "config_name": config_name}
    return _without_token(lambda: _push(ds, name, split, arguments), arguments)


def _push(ds: Any, name: str, split: str, arguments: dict[str, Any]) -> Any:
    try:
        return ds.push_to_hub(name, split=split, **arguments)
    except (AttributeError, KeyError, IndexError, NotImplementedError) as error:
        # Such as a Translation together with media: errors inside of `datasets` that say nothing.
        raise RuntimeError(
            f"save_dataset of split {split!r} to {name!r}: `datasets` cannot push these features "
            f"({type(error).__name__}: {error}); push the columns in several datasets"
        ) from error


def _check_names(name: object, split: object) -> None:
    for argument, text in (("name", name), ("split", split)):
        if not isinstance(text, str):
            raise TypeError(f"{argument} must be a str, not {text!r} ({type(text).__name__})")
        if not text.strip():
            raise ValueError(f"{argument} is empty")


def _saved_to_disk(path: Path) -> bool:
    return (path / "state.json").is_file() or (path / "dataset_dict.json").is_file()


def _load(
    datasets: Any, name: str, config_name: str | None, split: str, arguments: dict[str, Any]
) -> Any:
    path = Path(name)
    if _saved_to_disk(path):
        return _from_disk(datasets, path, split)
    if path.is_dir() and not any(path.iterdir()):
        raise ValueError(
            f"{path}: the directory is empty: expected data files, or a dataset that save_to_disk "
            "wrote"
        )
    return datasets.load_dataset(name, config_name, split=split, **arguments)


def _from_disk(datasets: Any, path: Path, split: str) -> Any:
    """A split of a directory that `save_to_disk` wrote."""
    splits = _json_of(path / "dataset_dict.json").get("splits")
    if splits is not None:
        if split not in splits:
            found = ", ".join(map(repr, splits)) or "none"
            raise ValueError(f"{path} has no split {split!r}; it has {found}")
        path = path / split
    if _json_of(path / "state.json").get("_data_files") == []:
        raise ValueError(
            f"{path}: the saved dataset has no data files, because it had no rows when "
            "save_to_disk wrote it. Save one with rows, or declare the fields with fields=…"
        )
    saved = datasets.load_from_disk(str(path))
    if splits is None and saved.split is not None and str(saved.split) != split:
        raise ValueError(f"{path} is the split {str(saved.split)!r}, not {split!r}")
    return saved


def _json_of(path: Path) -> dict[str, Any]:
    """The object in a file of JSON; empty if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _explained(shown: str, call: Callable[[], _Result]) -> _Result:
    """The result of a call of `datasets`. Errors that do not say where they arose are replaced."""
    try:
        return call()
    except Exception as error:
        of_arrow = type(error).__module__.partition(".")[0] == "pyarrow"
        if isinstance(error, OSError) or (isinstance(error, ValueError) and not of_arrow):
            raise
        root: BaseException = error
        while root.__cause__ is not None:  # datasets wraps the errors of its builders
            root = root.__cause__
        reason = f"{type(root).__name__}: {root}".partition("\n")[0]
        if isinstance(error, TypeError):
            raise TypeError(
                f"load_dataset of {shown}: {reason}; arguments that load_dataset does not know "
                "are passed to datasets.load_dataset"
            ) from error
        raise OSError(
            f"load_dataset of {shown}: its files cannot be read ({reason}). Check that they are "
            "complete and of the format that their name says, or read them with `datasets` and "
            "pass the result to from_dataset"
        ) from error


def _order(ds: Any, sort_by: str | Sequence[str]) -> Any:
    """Row numbers sorted by the columns, missing values last. Takes 8 bytes a row, loads no row."""
    keys = [sort_by] if isinstance(sort_by, str) else list(sort_by)
    if not keys:
        raise ValueError("sort_by is empty; None keeps the order")
    for key in keys:
        if key not in ds.column_names:
            raise ValueError(
                f"sort_by: there is no column {key!r}; the columns are {', '.join(ds.column_names)}"
            )
    pyarrow = require("pyarrow", "load_dataset")
    compute = require("pyarrow.compute", "load_dataset")
    table = ds.data.table.select(keys)
    try:
        if int(pyarrow.__version__.partition(".")[0]) >= 25:
            return compute.sort_indices(
                table, sort_keys=[(key, "ascending", "at_end") for key in keys]
            )
        return compute.sort_indices(
            table, sort_keys=[(key, "ascending") for key in keys], null_placement="at_end"
        )
    except (TypeError, NotImplementedError) as error:
        raise ValueError(f"sort_by: columns of this type cannot be sorted: {error}") from error


def _without_token(call: Callable[[], _Result], arguments: dict[str, Any]) -> _Result:
    """The result of a call. The token in `arguments` is removed from the text of errors."""
    token = arguments.get("token")
    if not isinstance(token, str) or not token:
        return call()
    try:
        return call()
    except Exception as error:
        seen: BaseException | None = error
        while seen is not None:
            if token in str(seen) or token in repr(seen):
                raise OSError(str(error).replace(token, "<token>")) from None
            seen = seen.__cause__ or seen.__context__
        raise
