"""`stream-store convert`: the options of the command as arguments of `stream_store.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_store._convert.convert import convert
from stream_store._convert.journal import Journal
from stream_store._convert.registry import FORMATS, load
from stream_store._convert.report import ConversionReport

from .exit_codes import ArgumentError
from .output import bar


def run_convert(
    src: Path,
    dst: Path,
    formats: tuple[str | None, str | None],
    maps: list[str],
    named: dict[str, Any],
    other: list[str],
    quiet: bool,
) -> ConversionReport:
    """Convert, with a progress bar.

    Args:
        src: the source.
        dst: the destination.
        formats: names of the formats of both, or None.
        maps: texts "field=path".
        named: options of the command that are arguments of `convert`; None if not given.
        other: texts "name=value" for arguments that the command has no option for.
        quiet: whether to show no bar.
    """
    options = {name: value for name, value in named.items() if value is not None}
    if maps:
        options["map"] = _pairs(maps, "--map", "FIELD=PATH")
    options |= _options(other)
    with bar("convert", hidden=quiet) as progress:
        try:
            return convert(
                src, dst, source_format=formats[0], to=formats[1], progress=progress, **options
            )
        except TypeError as error:  # an option takes a value of a type that _value() cannot give
            if not other:
                raise
            raise ArgumentError(f"--option {', '.join(other)}: {error}") from error


def can_be_resumed(dst: Path) -> bool:
    """Whether an import into a store was interrupted."""
    return Journal.path_of(dst).exists()


#: What to use instead of --option for arguments that the command sets itself.
_OWN = {
    "src": "the first argument",
    "dst": "the second argument",
    "store": "the arguments SRC and DST",
    "source_format": "--from",
    "to": "--to",
    "map": "--map",
    "by": "--by",
    "fps": "--fps",
    "resume": "--resume",
    "check": "--check",
    "progress": "--json, which shows no progress,",
}


def _options(texts: list[str]) -> dict[str, Any]:
    """The arguments in texts "name=value". A list has one text for each item."""
    given: dict[str, list[str]] = {}
    for text in texts:
        name, value = _pair(text, "--option", "NAME=VALUE")
        given.setdefault(name.replace("-", "_"), []).append(value)
    kinds = _kinds() if given else {}
    for name in given:
        if name in _OWN:
            raise ArgumentError(f"--option {name}: use {_OWN[name]} instead")
    return {name: _value(name, values, kinds.get(name, "")) for name, values in given.items()}


def _kinds() -> dict[str, str]:
    """The types of the arguments of all importers and exporters, as text."""
    functions = [
        load(reference)
        for one in FORMATS
        for reference in (one.importer, one.exporter)
        if reference is not None
    ]
    return {name: kind for one in functions for name, kind in one.__annotations__.items()}


def _pairs(texts: list[str], option: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, value = _pair(text, option, form)
        if name in pairs:
            raise ArgumentError(f"{option}: {name!r} is given twice")
        pairs[name] = value
    return pairs


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ArgumentError(f"{option}: expected {form}, found {text!r}")
    return name, value


def _value(name: str, texts: list[str], kind: str) -> Any:
    """The value of an argument of a type."""
    if "Sequence[str]" in kind or "Iterable[str]" in kind:
        return texts
    if "Iterable[int]" in kind:
        return [_number(name, text, int) for text in texts]
    if len(texts) > 1:
        raise ArgumentError(f"--option: {name!r} is given twice")
    text = texts[0]
    if kind.startswith("Mapping"):
        raise ArgumentError(
            f"--option {name}: it has names and values; expected a call of the Python method"
        )
    if text.lower() == "none" and ("None" in kind or kind == "Any"):
        return None
    if kind == "bool":
        return _bool(name, text)
    if kind in ("int", "float"):
        return _number(name, text, int if kind == "int" else float)
    return text


def _bool(name: str, text: str) -> bool:
    words = {"true": True, "false": False}
    if text.lower() not in words:
        raise ArgumentError(f"--option {name}: expected true or false, found {text!r}")
    return words[text.lower()]


def _number(name: str, text: str, kind: type[int | float]) -> int | float:
    try:
        return kind(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise ArgumentError(f"--option {name}: expected {expected}, found {text!r}") from None
