"""`stream-store convert`: the options of the command as arguments of `stream_store.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stream_store._convert.convert import convert
from stream_store._convert.journal import Journal
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
    for name, value in _pairs(other, "--option", "NAME=VALUE").items():
        option = name.replace("-", "_")
        if option in _OWN:
            raise ArgumentError(f"--option {name}: use {_OWN[option]} instead")
        options[option] = _value(value)
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


def _value(text: str) -> Any:
    """A bool, None, an int, a float, or the text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
