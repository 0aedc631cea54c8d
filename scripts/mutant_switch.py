"""Many mutants in one build: both variants of each place are compiled, and a number chooses one.

A mutant is a plausible bug: a few changes of the sources under one number. Where a mutant changes
an expression, the rewritten source has

    (STREAM_STORE_MUTANT(7) ? (its expression) : (the right expression))

and where it changes statements

    if (STREAM_STORE_MUTANT(7)) { its statements } else { the right statements }

Changed statements must therefore not declare a name that later code uses. The change of an
initializer is a change of an expression. Memory orders that must be constants are changed with
their whole statement. The compiler includes `HEADER` before every source. The number comes from the
environment variable STREAM_STORE_MUTANT; 0 is the program without a bug.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "STREAM_STORE_MUTANT"

HEADER = f"""\
#pragma once
#include <cstdlib>
namespace stream_store::internal {{
inline int ChosenMutant() noexcept {{
  static const int chosen = [] {{
    const char* text = std::getenv("{VARIABLE}");
    return text == nullptr ? 0 : std::atoi(text);
  }}();
  return chosen;
}}
inline const int chosen_mutant = ChosenMutant();
}}  // namespace stream_store::internal
#define {VARIABLE}(number) (::stream_store::internal::chosen_mutant == (number))
"""


@dataclass(frozen=True)
class Change:
    """In `file`, `old` becomes `new`. `within` is found once in the file, and `old` once in it."""

    file: str
    old: str
    new: str
    within: str = ""
    insert: bool = False  # statements `new` are put before `old`, which stays


@dataclass(frozen=True)
class Mutant:
    """A bug. `first` names the tests that are tried first, in the words of mutants.py."""

    name: str
    changes: tuple[Change, ...]
    first: tuple[str, ...]
    group: str = "durability"
    threads: bool = False  # only ThreadSanitizer can see it


def change(file: str, old: str, new: str = "", within: str = "") -> Change:
    return Change(file, old, new, within)


def insert(file: str, before: str, statements: str, within: str = "") -> Change:
    return Change(file, before, statements, within, insert=True)


class DoesNotFit(Exception):
    """A change whose place was not found exactly once, or overlaps that of another."""


@dataclass
class _Place:
    """Part [begin, end) of a source, the changes of it, and the places inside it."""

    begin: int
    end: int
    variants: list[tuple[int, Change]] = field(default_factory=list)
    inside: list[_Place] = field(default_factory=list)


_STATEMENT = re.compile(r"(if|for|while|return|switch|throw)\b")
_UNFINISHED = re.compile(r"([-+*/%&|^=<>!,(.]|->)$")
_GOES_ON = re.compile(r"[.(\[]|->")


def _is_whole(expression: str) -> bool:
    """Whether a text may be an expression: no part of a statement, and no operand is missing."""
    text = expression.strip().removesuffix("++").removesuffix("--")
    return (
        text.count("(") == text.count(")")
        and text.count("{") == text.count("}")
        and not _STATEMENT.match(text)
        and not _UNFINISHED.search(text)
    )


def _check_expression(text: str, end: int, change: Change) -> None:
    """Refuse a change that the operator of _switch() would take out of its context."""
    if not _is_whole(change.old) or not _is_whole(change.new) or _GOES_ON.match(text, end):
        raise DoesNotFit(f"{change.file}: expected a whole expression or statement: {change.old!r}")


def _find(text: str, change: Change) -> tuple[int, int]:
    around = change.within or change.old
    if text.count(around) != 1:
        raise DoesNotFit(f"found {text.count(around)} times in {change.file}: {around!r}")
    if around.count(change.old) != 1:
        raise DoesNotFit(f"found {around.count(change.old)} times in {around!r}: {change.old!r}")
    begin = text.index(around) + around.index(change.old)
    if not _is_statement(change):
        _check_expression(text, begin + len(change.old), change)
    return begin, begin if change.insert else begin + len(change.old)


def _nest(places: Iterable[_Place], file: str) -> list[_Place]:
    """The outermost of these places, the others inside them."""
    top: list[_Place] = []
    open_places: list[_Place] = []
    for place in sorted(places, key=lambda place: (place.begin, -place.end)):
        while open_places and open_places[-1].end <= place.begin:
            open_places.pop()
        if open_places and place.end > open_places[-1].end:
            raise DoesNotFit(f"changes of {file} overlap: {place.variants[0][1].old!r}")
        (open_places[-1].inside if open_places else top).append(place)
        open_places.append(place)
    return top


def _is_statement(change: Change) -> bool:
    old = change.old.rstrip()
    return change.insert or (";" in old and old.endswith((";", "}")))


def _switch(place: _Place, right: str) -> str:
    statements = [_is_statement(one) for _, one in place.variants]
    if all(statements):
        parts = [f"if ({VARIABLE}({number})) {{ {one.new} }}" for number, one in place.variants]
        parts += [] if place.begin == place.end else [f"{{ {right} }}"]
        return " " + " else ".join(parts) + " "
    if any(statements):
        raise DoesNotFit(f"one mutant changes a statement, another an expression: {right!r}")
    for number, one in place.variants:
        right = f"({VARIABLE}({number}) ? ({one.new}) : ({right}))"
    return right


def _rewrite(text: str, begin: int, end: int, places: Sequence[_Place]) -> str:
    parts = []
    for place in places:
        parts.append(text[begin : place.begin])
        parts.append(_switch(place, _rewrite(text, place.begin, place.end, place.inside)))
        begin = place.end
    return "".join([*parts, text[begin:end]])


def rewritten(root: Path, mutants: Sequence[Mutant]) -> dict[str, str]:
    """The changed sources of a tree, by name; mutants count from 1. Raises DoesNotFit."""
    places: dict[str, dict[tuple[int, int], _Place]] = {}
    texts: dict[str, str] = {}
    for number, mutant in enumerate(mutants, 1):
        for one in mutant.changes:
            text = texts.setdefault(one.file, (root / one.file).read_text())
            try:
                begin, end = _find(text, one)
            except DoesNotFit as error:
                raise DoesNotFit(f"{mutant.name}: {error}") from None
            known = places.setdefault(one.file, {})
            known.setdefault((begin, end), _Place(begin, end)).variants.append((number, one))
    return {
        file: _rewrite(texts[file], 0, len(texts[file]), _nest(known.values(), file))
        for file, known in places.items()
    }


def problems(root: Path, mutants: Sequence[Mutant]) -> list[str]:
    """Mutants that no longer fit the sources."""
    found = []
    for mutant in mutants:
        for one in mutant.changes:
            path = root / one.file
            if not path.is_file():
                found.append(f"{mutant.name}: no file {one.file}")
                continue
            try:
                _find(path.read_text(), one)
            except DoesNotFit as error:
                found.append(f"{mutant.name}: {error}")
    if not found:
        try:
            rewritten(root, mutants)
        except DoesNotFit as error:
            found.append(str(error))
    return found
